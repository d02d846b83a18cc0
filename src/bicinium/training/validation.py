"""Validating the live model: how well it predicts held-out pieces, and what it writes by itself.

What it writes is drawn as users draw it, by the numpy decoder, but unconstrained (no mask,
temperature 1, nothing cut off), from START to the model's own END.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from torch import Tensor

from bicinium.atomic_write import atomic_write
from bicinium.data.piece_record import PieceRecord
from bicinium.generation.composition import Composition
from bicinium.generation.conditions import Conditions
from bicinium.generation.engine import Composer, GenerationConfig
from bicinium.generation.sampling import Sampling
from bicinium.grammar import MusicalGrammar
from bicinium.grammar.loops import MAX_LOOPED_SHARE, looped_share
from bicinium.model.checkpoint import Checkpoint
from bicinium.model.teacher_forcing import condition_bits
from bicinium.model.transformer import Transformer
from bicinium.music.key import REFERENCE_KEYS
from bicinium.music.quality import quality
from bicinium.music.score import TICKS_PER_QUARTER, Meter
from bicinium.reports.html_report import html_report
from bicinium.reports.verdicts import validate_file
from bicinium.tokenizer.vocabulary import KINDS, VALUES, Kind
from bicinium.training.dataset import Batch, PieceDataset, ValidationBatches
from bicinium.training.losses import illegal_mass

_SCALE = (0, 2, 4, 5, 7, 9, 11)  # of both homes
_UNTOUCHED = Sampling()

# Music that is none. Of 311 keyboard pieces the sparsest has 0.6 notes a quarter; the trained
# model's mean entropy is 0.8 nats a token.
_FEWEST_NOTES = 0.2  # a quarter
_LEAST_ENTROPY = 0.05  # nats a token


@dataclass(frozen=True, slots=True)
class GeneratedPiece:
    """A piece of the model's own, in the form of a training piece, however wrong it is."""

    tokens: NDArray[np.int16]
    meter: str
    mode: str
    style: str | None
    bars: int
    transposition: int


def held_out_metrics(
    model: Transformer, batches: ValidationBatches, pieces: Sequence[PieceRecord]
) -> dict[str, float]:
    """Bits per note and per token, teacher-forced, and the mean illegal mass, over whole pieces."""
    grammar = MusicalGrammar()
    nats = illegal = 0.0
    tokens = 0
    for index in range(len(batches)):
        batch = batches[index]
        logits = predict_logits(model, batch)
        targets = batch.targets.flatten()[batch.grammar_rows]
        nats += float(F.cross_entropy(logits, targets, reduction="sum"))
        forbidden = torch.from_numpy(grammar.forbidden(batch.states))
        illegal += float(illegal_mass(logits, forbidden).sum())
        tokens += len(logits)
    bits = nats / math.log(2) + len(pieces) * condition_bits(model.config)
    return {
        "bits_per_note": bits / sum(piece.notes for piece in pieces),
        "bits_per_token": nats / math.log(2) / tokens,
        "illegal_mass": illegal / tokens,
    }


@dataclass(frozen=True, slots=True)
class LiveValidation:
    """Pieces that the model has written by itself, and what was measured of them."""

    pieces: list[Composition]
    metrics: dict[str, float]
    degenerate: str  # in which way they are no music; nothing where they are


class LiveSampler:
    """The model as it stands, writing pieces whose conditions are those of training pieces.

    The same seed and the same weights give the same pieces.
    """

    def __init__(
        self, model: Transformer, like: Sequence[PieceRecord], shares: NDArray[np.integer]
    ) -> None:
        self.model, self.like = model, like
        self.shares = shares / shares.sum()  # how often each is shown

    def write(
        self,
        count: int,
        most_bars: int,
        max_tokens: int,
        hottest: float,
        slips: float,
        seed: Sequence[int],
    ) -> list[GeneratedPiece]:
        """Pieces of 2 to ``most_bars`` bars, each broken off at ``max_tokens``, drawn at one
        temperature between 1 and ``hottest``; of the tokens, ``slips`` are such as the grammar
        forbids.
        """
        rng = np.random.default_rng(seed)
        asked = self._ask(rng, rng.integers(2, most_bars + 1, count).tolist())
        rngs = rng.spawn(count)
        sampling = Sampling(temperature=rng.uniform(1, hottest))
        manner = GenerationConfig(sampling, use_grammar=False, max_tokens=max_tokens, slips=slips)
        drawn = self._composer().draw(asked, rngs, manner)
        return generated_pieces(drawn, asked)

    def validate(self, count: int, bars: int, seed: Sequence[int]) -> LiveValidation:
        """Whole pieces, judged."""
        rng = np.random.default_rng(seed)
        asked = self._ask(rng, [bars] * count)
        seeds = rng.integers(2**31, size=count).tolist()
        pieces = self._composer().compose(asked, seeds, _UNTOUCHED, use_grammar=False)
        metrics = generated_metrics(pieces) | self._own_distribution(pieces)
        return LiveValidation(pieces, metrics, _degenerate(metrics))

    def _ask(self, rng: np.random.Generator, bars: Sequence[int]) -> list[Conditions]:
        chosen = rng.choice(len(self.like), size=len(bars), p=self.shares)
        return [
            Conditions(
                key=REFERENCE_KEYS[self.like[i].mode].transpose(self.like[i].transposition),
                meter=Meter.parse(self.like[i].meter),
                bars=count,
                style=self.like[i].style,
            )
            for i, count in zip(chosen, bars, strict=True)
        ]

    def _composer(self) -> Composer:
        return Composer(Checkpoint(self.model.config, self.model.weights()), dtype=np.float32)

    def _own_distribution(self, pieces: Sequence[Composition]) -> dict[str, float]:
        """Mean entropy and illegal mass of the next token, at the states the model has reached."""
        own = generated_pieces([piece.tokens for piece in pieces], [p.conditions for p in pieces])
        store = PieceDataset(own, self.model.config, spare_slots=3)
        grammar = MusicalGrammar()
        entropy = illegal = tokens = 0.0
        batches = ValidationBatches(store, batch_size=8)
        for index in range(len(batches)):
            batch = batches[index]
            logits = predict_logits(self.model, batch)
            log_p = logits.log_softmax(dim=-1)
            entropy -= float((log_p.exp() * log_p).sum())
            forbidden = torch.from_numpy(grammar.forbidden(batch.states))
            illegal += float(illegal_mass(logits, forbidden).sum())
            tokens += len(logits)
        return {"entropy": entropy / tokens, "illegal_mass": illegal / tokens}


def generated_pieces(
    written: Sequence[NDArray[np.int16]], asked: Sequence[Conditions]
) -> list[GeneratedPiece]:
    """What the model wrote when it was asked so."""
    return [
        GeneratedPiece(
            tokens,
            str(one.meter),
            one.key.mode,
            one.style,
            one.bars,
            -one.key.semitones_to_reference,
        )
        for tokens, one in zip(written, asked, strict=True)
    ]


@torch.no_grad()
def predict_logits(model: Transformer, batch: Batch) -> Tensor:
    """(N, V) logits at the positions that a batch asks about, on the CPU as its targets are;
    wherever the model is.
    """
    device = next(model.parameters()).device
    model.eval()
    try:
        logits = model(batch.inputs.to(device)).flatten(0, 1)[batch.grammar_rows]
    finally:
        model.train()
    return logits.float().cpu()


def generated_metrics(pieces: Sequence[Composition]) -> dict[str, float]:
    """Grammar and music of pieces as they were written; shares are of pieces unless named."""
    results = [piece.result for piece in pieces]
    tokens = np.concatenate([piece.tokens for piece in pieces])
    kinds, values = KINDS[tokens], VALUES[tokens]
    pitches = values[kinds == Kind.NOTE_ON]
    quarters = values[kinds == Kind.TIME_SHIFT].sum() / TICKS_PER_QUARTER
    classes = np.bincount(pitches % 12, minlength=12) / max(1, len(pitches))
    notes = sum(result.notes for result in results)
    judged = [quality(piece.score) if piece.score else None for piece in pieces]
    return {
        "grammar_score": float(np.mean([result.grammar_score for result in results])),
        "least_grammar_score": min(result.grammar_score for result in results),
        "valid": float(np.mean([result.valid for result in results])),
        "paired_notes": sum(result.paired_notes for result in results) / max(1, notes),  # of notes
        "looped": float(np.mean([looped_share(piece.tokens) for piece in pieces])),  # of tokens
        "notes_per_quarter": float(notes / max(1.0, quarters)),
        "pitch_class_entropy": float(
            -(classes * np.log2(np.maximum(classes, 1e-12))).sum()
        ),  # bits
        "distinct": distinct_ngram_ratio([piece.tokens for piece in pieces]),
        "quality_score": float(np.mean([one.score if one else 0.0 for one in judged])),
        "in_scale": float(classes[list(_SCALE)].sum()),  # of notes
    }


def distinct_ngram_ratio(sequences: Sequence[NDArray[np.integer]]) -> float:
    """Different runs of eight tokens, as a share of all: 1 where none comes twice."""
    runs = [tuple(run) for s in sequences if len(s) >= 8 for run in sliding_window_view(s, 8)]
    return len(set(runs)) / max(1, len(runs))


def _degenerate(metrics: Mapping[str, float]) -> str:
    if metrics["notes_per_quarter"] < _FEWEST_NOTES:
        return f"only {metrics['notes_per_quarter']:.2f} notes a quarter"
    if metrics["looped"] > MAX_LOOPED_SHARE:
        return f"{metrics['looped']:.0%} of the tokens stand in loops"
    if metrics["entropy"] < _LEAST_ENTROPY:
        return f"the entropy is {metrics['entropy']:.3f} nats a token"
    return ""


def save_samples(pieces: Sequence[Composition], folder: Path) -> Path | None:
    """Keep pieces to be heard (MIDI; tokens where they spell none) and seen (``index.html``, with
    piano rolls in which every violation is marked). Returns the page.
    """
    if not pieces:
        return None
    folder.mkdir(parents=True, exist_ok=True)
    paths = [piece.save(folder / f"{index}.mid") for index, piece in enumerate(pieces)]
    page = folder / "index.html"
    with atomic_write(page) as temporary:
        temporary.write_text(html_report([validate_file(path) for path in paths]), encoding="utf-8")
    return page
