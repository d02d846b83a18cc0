"""Training the REMI baseline: our pieces, repeats, windows, steps, optimiser and schedule.

A run's folder holds ``tokens.npz`` (the pieces as ids), ``last.pt`` (to resume from, and the
result) and ``metrics.jsonl``. Each batch is a function of seed and step.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.progress import track as shown_track
from torch import Tensor

from benchmarks.baselines.remi_model import CONTEXT, RemiModel
from benchmarks.baselines.remi_tokens import PREFIX, RemiTokens
from bicinium.atomic_write import atomic_write
from bicinium.data.piece_record import PieceRecord, score_of
from bicinium.data.shards import load_pieces
from bicinium.model.transformer import Transformer
from bicinium.training.config import DataSection, TrainingSection
from bicinium.training.corpus import piece_repeats
from bicinium.training.interrupts import InterruptHandler
from bicinium.training.losses import IGNORE_INDEX
from bicinium.training.optim import build_optimizers, learning_rate_at, next_token_loss
from bicinium.training.windows import Window, tile

LEFT_OUT = "palestrina"
KEYBOARD_REPEATS = DataSection().keyboard_repeats  # the defaults, as for ours
CONDITION_DROPOUT = DataSection().condition_dropout
TRAINING = TrainingSection(max_steps=3200, batch_size=6)  # the rest is the default, as for ours
_CHECKPOINT_EVERY, _LOG_EVERY = 200, 10  # steps
LAST, TOKENS, METRICS = "last.pt", "tokens.npz", "metrics.jsonl"


def training_pieces(data: Path) -> list[PieceRecord]:
    """Those that our model is trained on."""
    return [p for p in load_pieces(data) if p.split == "train" and p.style != LEFT_OUT]


@dataclass(frozen=True, slots=True)
class Batches:
    """Windows of pieces in REMI; before each what is told of its piece."""

    vocabulary: RemiTokens
    pieces: Sequence[PieceRecord]
    tokens: Sequence[NDArray[np.int16]]

    def epoch(self, number: int) -> list[Window]:
        """All windows of an epoch, in the order in which they are shown."""
        rng = np.random.default_rng([TRAINING.seed, 0, number])
        windows = [
            window
            for piece, times in enumerate(piece_repeats(self.pieces, KEYBOARD_REPEATS))
            for _ in range(times)
            for window in tile(len(self.tokens[piece]), CONTEXT - PREFIX, piece, rng)
        ]
        return [windows[i] for i in rng.permutation(len(windows))]

    def batch(self, windows: Sequence[Window], step: int) -> tuple[Tensor, Tensor]:
        """Return (B, T) ids, padded with PAD, and (B, T) targets, padded with IGNORE_INDEX."""
        rng = np.random.default_rng([TRAINING.seed, 1, step])
        length = PREFIX + max(window.stop - window.start for window in windows)
        ids = np.zeros((len(windows), length), np.int64)
        targets = np.full((len(windows), length), IGNORE_INDEX, np.int64)
        for row, window in enumerate(windows):
            piece, tokens = self.pieces[window.piece], self.tokens[window.piece]
            keep = (rng.random(PREFIX) >= CONDITION_DROPOUT).tolist()
            told = self.vocabulary.prefix(piece.mode, piece.meter, piece.bars, piece.style, keep)
            stop = PREFIX + window.stop - window.start
            ids[row, :stop] = [*told, *tokens[window.start : window.stop]]
            targets[row, PREFIX:stop] = tokens[window.start + 1 : window.stop + 1]
        return torch.from_numpy(ids), torch.from_numpy(targets)


def tokenised(
    path: Path, vocabulary: RemiTokens, pieces: Sequence[PieceRecord]
) -> list[NDArray[np.int16]]:
    """Return the pieces as ids. They are cached in ``path`` and reused for the same pieces."""
    mark = np.array([len(pieces), sum(len(p.tokens) for p in pieces), vocabulary.size])
    if path.is_file():
        with np.load(path) as kept:
            if np.array_equal(kept["mark"], mark):
                return np.split(kept["tokens"], np.cumsum(kept["lengths"])[:-1])
    found = [
        vocabulary.encode(score_of(piece)) for piece in shown_track(pieces, "Pieces to REMI tokens")
    ]
    with atomic_write(path) as temporary, temporary.open("wb") as file:
        np.savez(file, mark=mark, tokens=np.concatenate(found), lengths=[len(ids) for ids in found])
    return found


def train(data: Path, run: Path, steps: int = TRAINING.max_steps) -> None:
    """Train, or go on where a run has stopped. Ctrl-C saves and ends."""
    torch.set_num_threads(1)
    run.mkdir(parents=True, exist_ok=True)
    vocabulary = RemiTokens()
    pieces = training_pieces(data)
    batches = Batches(vocabulary, pieces, tokenised(run / TOKENS, vocabulary, pieces))
    torch.manual_seed(TRAINING.seed)
    model = RemiModel(vocabulary.size)
    optimizers = build_optimizers(cast(Transformer, model), TRAINING)
    step = _resume(run / LAST, model, optimizers)
    plan: tuple[int, list[Window]] = (-1, [])
    per_epoch = -(-len(batches.epoch(0)) // TRAINING.batch_size)
    tokens = sum(map(len, batches.tokens))
    print(f"{model.parameter_count} parameters, {len(pieces)} pieces, {tokens} tokens, "
          f"{per_epoch} steps an epoch", flush=True)  # fmt: skip
    started, first = time.monotonic(), step
    bar = Progress(
        MofNCompleteColumn(), BarColumn(), TimeRemainingColumn(), TextColumn("{task.description}")
    )
    with InterruptHandler() as interrupts, bar as progress:
        task = progress.add_task("", total=steps, completed=step)
        while step < steps and not interrupts.requested:
            epoch, index = divmod(step, per_epoch)
            if plan[0] != epoch:
                plan = epoch, batches.epoch(epoch)
            windows = plan[1][index * TRAINING.batch_size :][: TRAINING.batch_size]
            loss, norm = _advance(model, optimizers, batches.batch(windows, step), step)
            step += 1
            if step % _LOG_EVERY == 0 or step == 1:
                rate = (step - first) / (time.monotonic() - started)
                record = {"step": step, "loss": loss, "norm": norm, "steps_per_second": rate}
                with (run / METRICS).open("a", encoding="utf-8") as file:
                    file.write(json.dumps(record) + "\n")
            if step % _CHECKPOINT_EVERY == 0:
                _save(run / LAST, model, optimizers, step)
            progress.update(task, completed=step, description=f"loss {loss:.3f}")
    _save(run / LAST, model, optimizers, step)
    print(f"step {step} of {steps} is at {run / LAST}", flush=True)


def _advance(
    model: RemiModel,
    optimizers: Sequence[torch.optim.Optimizer],
    batch: tuple[Tensor, Tensor],
    step: int,
) -> tuple[float, float]:
    """Make one step of the optimisers. Return the loss before it and the norm of the gradient."""
    rate = learning_rate_at(TRAINING, step)
    for optimizer in optimizers:
        optimizer.zero_grad()
        for group in optimizer.param_groups:
            group["lr"] = rate
    ids, targets = batch
    with torch.autocast("cpu", torch.bfloat16):
        logits = model(ids)
    loss = next_token_loss(logits, targets)
    loss.backward()
    norm = torch.nn.utils.clip_grad_norm_(model.parameters(), TRAINING.gradient_clip)
    for optimizer in optimizers:
        optimizer.step()
    return float(loss.detach()), float(norm)


def _save(
    path: Path, model: RemiModel, optimizers: Sequence[torch.optim.Optimizer], step: int
) -> None:
    state: dict[str, Any] = {
        "step": step,
        "model": model.state_dict(),
        "optimizers": [optimizer.state_dict() for optimizer in optimizers],
    }
    with atomic_write(path) as temporary:
        torch.save(state, temporary)


def _resume(path: Path, model: RemiModel, optimizers: Sequence[torch.optim.Optimizer]) -> int:
    if not path.is_file():
        return 0
    state = torch.load(path, weights_only=True)
    model.load_state_dict(state["model"])
    for optimizer, saved in zip(optimizers, state["optimizers"], strict=True):
        optimizer.load_state_dict(saved)
    return int(state["step"])
