"""The training run: Lightning's loop around the model, the loss and the windows.

A run is a folder: ``config.yaml``, ``checkpoints/last.ckpt`` (to resume from), ``metrics.csv`` (of
the sessions before a resumption ``metrics-1.csv``, …) and TensorBoard's files, and at the end
``model.safetensors``. A run that was interrupted and resumed ends with the same weights as one that
was not: batches and random numbers are functions of the seed and the optimiser's step.
"""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import torch
import torch.nn.functional as F
import yaml
from lightning.pytorch.callbacks import ModelCheckpoint, RichProgressBar
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from torch import Tensor
from torch.utils.data import DataLoader, Sampler

from bicinium.corpus.shards import Piece, load_pieces
from bicinium.corpus.sources import STYLES
from bicinium.errors import ConfigError
from bicinium.model.checkpoint import save_checkpoint
from bicinium.model.transformer import Transformer
from bicinium.training.config import TrainConfig
from bicinium.training.dataset import (
    KEYBOARD_STYLES,
    Batch,
    PieceStore,
    TrainingBatches,
    ValidationBatches,
    validation_pieces,
)
from bicinium.training.musical_grammar import IGNORED, MusicalGrammarLoss, illegal_mass

# What validation tells the model beyond metre and mode, in bits a piece: key, bars, style.
_TOLD_BITS = math.log2(12) + math.log2(64) + math.log2(len(STYLES))


class GrammarTraining(L.LightningModule):
    """The model, its loss and its optimiser."""

    def __init__(self, config: TrainConfig, held_out: dict[str, list[Piece]]) -> None:
        super().__init__()
        self.config = config
        self.model = Transformer(config.model)
        self.grammar_loss = MusicalGrammarLoss(config.training.musical_grammar)
        self.held_out = held_out
        self._sums: dict[str, np.ndarray] = {}

    def forward(self, features: Tensor) -> Tensor:
        return self.model(features)

    def on_train_batch_start(self, batch: Batch, index: int) -> None:
        rng = np.random.default_rng([self.config.training.seed, 2, self.global_step])
        torch.manual_seed(int(rng.integers(2**63)))  # for dropout

    def training_step(self, batch: Batch, index: int) -> Tensor:
        logits = self(batch.features)
        cross_entropy = next_token_loss(logits, batch.targets)
        grammar = self.config.training.musical_grammar
        self.log("train/cross_entropy", cross_entropy.detach(), prog_bar=True)
        if not grammar.enabled:
            return cross_entropy
        scale = min(1.0, self.global_step / max(1, grammar.ramp_steps))
        total, components = self.grammar_loss(
            predicted_tokens=logits.flatten(0, 1)[batch.grammar_rows],
            target_tokens=batch.targets.flatten()[batch.grammar_rows],
            base_loss=cross_entropy,
            states=batch.states,
            scale=scale,
        )
        self.log_dict({f"train/{name}": value.detach() for name, value in components.items()})
        return total

    def validation_step(self, batch: Batch, index: int, dataloader_idx: int = 0) -> None:
        logits = self(batch.features)
        nats = F.cross_entropy(
            logits.flatten(0, 1).float(),
            batch.targets.flatten(),
            ignore_index=IGNORED,
            reduction="sum",
        )
        rows = batch.grammar_rows
        mask = self.grammar_loss.grammar.token_mask(batch.states)
        illegal = illegal_mass(logits.flatten(0, 1)[rows], torch.from_numpy(~mask)).sum()
        name = list(self.held_out)[dataloader_idx]
        sums = self._sums.setdefault(name, np.zeros(3))
        sums += [float(nats), float(illegal), len(rows)]

    def on_validation_epoch_end(self) -> None:
        for name, (nats, illegal, tokens) in self._sums.items():
            pieces = self.held_out[name]
            bits = nats / math.log(2) + len(pieces) * _TOLD_BITS
            bits_per_note = bits / sum(piece.notes for piece in pieces)
            self.log(f"validation/{name}/bits_per_note", bits_per_note, prog_bar=True)
            self.log(f"validation/{name}/bits_per_token", nats / math.log(2) / tokens)
            self.log(f"validation/{name}/illegal_mass", illegal / tokens)
        self._sums.clear()

    def configure_optimizers(self) -> Any:
        training = self.config.training
        matrices = [p for p in self.model.parameters() if p.ndim >= 2]
        vectors = [p for p in self.model.parameters() if p.ndim < 2]
        optimizer = torch.optim.AdamW(
            [
                {"params": matrices, "weight_decay": training.weight_decay},
                {"params": vectors, "weight_decay": 0.0},
            ],
            lr=training.learning_rate,
            betas=(0.9, 0.95),
        )

        def factor(step: int) -> float:
            if step < training.warmup_steps:
                return (step + 1) / training.warmup_steps
            span = max(1, training.max_steps - training.warmup_steps)
            done = min(1.0, (step - training.warmup_steps) / span)
            return 0.05 + 0.95 * (1 + math.cos(math.pi * done)) / 2

        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": schedule, "interval": "step"},
        }


class _StepsToDo(Sampler[int]):
    """The steps from where the optimiser stands: Lightning alone would begin a resumed run again at
    the first batch."""

    def __init__(self, module: L.LightningModule, steps: int) -> None:
        self.module, self.steps = module, steps

    def __iter__(self) -> Iterator[int]:
        return iter(range(self.module.global_step, self.steps))

    def __len__(self) -> int:
        return self.steps


class _SaveOnException(L.Callback):
    """Saves where an exception or Ctrl-C ends the run. (Lightning's own callback for this deletes
    its file at the end of a run that went well.)"""

    def __init__(self, path: Path) -> None:
        self.path = path

    def on_exception(
        self, trainer: L.Trainer, module: L.LightningModule, exception: BaseException
    ) -> None:
        if trainer.global_step:  # else the checkpoint to resume from may be what failed
            # an interrupted validation begins again: the sums of its first half are not saved
            trainer.fit_loop.epoch_loop.val_loop.batch_progress.current.reset()
            trainer.save_checkpoint(self.path)


def next_token_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """Mean cross-entropy in nats of (B, T, V) logits and the (B, T) tokens that came next."""
    return F.cross_entropy(logits.flatten(0, 1).float(), targets.flatten(), ignore_index=IGNORED)


def train(config: TrainConfig, run: Path, resume: bool = False) -> Path:
    """Train and return the path of the model. ``run`` is the folder that receives everything."""
    last = run / "checkpoints" / "last.ckpt"
    if resume and not last.is_file():
        raise ConfigError(f"there is nothing to resume at {last}; start without --resume")
    if not resume and (last.is_file() or (run / "model.safetensors").is_file()):
        raise ConfigError(f"{run} holds a run already; resume it with --resume or name another")
    training = config.training
    if training.threads:
        torch.set_num_threads(training.threads)
    L.seed_everything(training.seed, verbose=False)
    config = config.model_copy(update={"model": config.model.model_copy(update={"styles": STYLES})})

    pieces = load_pieces(config.data.prepared)
    shown = [piece for piece in pieces if piece.split == "train"]
    held_out = validation_pieces(pieces, config.data.validation_tokens)
    if not shown or not held_out:
        raise ConfigError(
            f"{config.data.prepared} has {len(shown)} training pieces and "
            f"{len(pieces) - len(shown)} validation pieces; both are needed"
        )
    repeats = np.array(
        [config.data.keyboard_repeats if p.style in KEYBOARD_STYLES else 1 for p in shown]
    )
    batches = TrainingBatches(
        PieceStore(shown, config.model),
        repeats,
        steps=training.max_steps,
        batch_size=training.batch_size,
        seed=training.seed,
        condition_dropout=config.data.condition_dropout,
        grammar_positions=training.musical_grammar.positions,
    )
    validation = [
        ValidationBatches(PieceStore(chosen, config.model), training.batch_size)
        for chosen in held_out.values()
    ]

    run.mkdir(parents=True, exist_ok=True)
    _keep_metrics(run)
    (run / "config.yaml").write_text(yaml.safe_dump(config.model_dump(mode="json")))
    module = GrammarTraining(config, held_out)
    trainer = L.Trainer(
        accelerator="cpu",
        devices=1,
        max_steps=training.max_steps,
        max_epochs=-1,
        precision=training.precision,
        gradient_clip_val=training.gradient_clip,
        val_check_interval=min(training.validate_every_steps, training.max_steps),
        check_val_every_n_epoch=None,
        num_sanity_val_steps=0,
        log_every_n_steps=10,
        logger=[CSVLogger(run, name="", version=""), TensorBoardLogger(run, name="", version="")],
        callbacks=[
            RichProgressBar(),
            ModelCheckpoint(
                run / "checkpoints",
                filename="last",
                every_n_train_steps=training.checkpoint_every_steps,
                enable_version_counter=False,
            ),
            _SaveOnException(last),
        ],
        enable_model_summary=False,
    )
    started = time.monotonic()
    with warnings.catch_warnings():
        for untrue in ("your dataloader is not resumable", "Previous log files .* will be deleted"):
            warnings.filterwarnings("ignore", f".*{untrue}")
        try:
            trainer.fit(
                module,
                DataLoader(
                    batches, batch_size=None, sampler=_StepsToDo(module, training.max_steps)
                ),
                [DataLoader(batches, batch_size=None) for batches in validation],
                ckpt_path=last if resume else None,
            )
        except SystemExit:  # what Lightning makes of Ctrl-C
            if trainer.interrupted:
                raise KeyboardInterrupt from None
            raise
    path = run / "model.safetensors"
    metrics = {name: round(float(v), 4) for name, v in trainer.callback_metrics.items()}
    record = {
        "config": config.model_dump(mode="json"),
        "steps": trainer.global_step,
        "training_pieces": len(shown),
        "hours_of_this_session": round((time.monotonic() - started) / 3600, 2),
        "torch_threads": torch.get_num_threads(),
        "metrics": metrics,
    }
    weights = {name: w.detach().float().numpy() for name, w in module.model.state_dict().items()}
    save_checkpoint(path, config.model, weights, record, dtype=np.float16)
    return path


def _keep_metrics(run: Path) -> None:
    """Put the metrics of an earlier session aside: the logger begins a new file."""
    metrics = run / "metrics.csv"
    if metrics.is_file():
        metrics.rename(run / f"metrics-{len(list(run.glob('metrics-*.csv'))) + 1}.csv")
