"""Validation of the current weights: prediction of held-out pieces, and generated pieces.

Pieces are generated as users compose, by the numpy decoder, but without mask, constraints or
truncation, from START to the model's own END.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Generic, TypeVar

import numpy as np
import torch
import torch.nn.functional as F
from lightning_fabric import Fabric
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from torch import Tensor

from bicinium.atomic_write import atomic_write
from bicinium.data.piece_record import PieceRecord
from bicinium.errors import ConfigError
from bicinium.generation.composition import Composition
from bicinium.grammar import MusicalGrammar, ValidationResult
from bicinium.grammar.loops import MAX_LOOPED_SHARE, looped_share
from bicinium.model.teacher_forcing import condition_bits
from bicinium.model.transformer import Transformer
from bicinium.music.quality import quality
from bicinium.music.score import TICKS_PER_QUARTER
from bicinium.reports.html_report import html_report
from bicinium.reports.verdicts import validate_file
from bicinium.tokenizer.vocabulary import KINDS, VALUES, Kind
from bicinium.training.batches import ValidationBatches, on_policy_dataset
from bicinium.training.config import TrainConfig
from bicinium.training.dataset import Batch, PieceDataset
from bicinium.training.live_sampler import GeneratedPiece, LiveSampler, generated_pieces
from bicinium.training.losses import illegal_mass
from bicinium.training.monitor import Validation
from bicinium.training.random_streams import RandomStream, stream_seed
from bicinium.training.run_dir import samples_folder

_SCALE = (0, 2, 4, 5, 7, 9, 11)  # C major and A minor, the keys of all training pieces
_NGRAM = 8  # tokens
_BATCH_OF_GENERATED = 8

# Thresholds of degenerate music. Of 311 keyboard pieces the sparsest has 0.6 notes per quarter, and
# the mean entropy of the trained model is 0.8 nats per token.
_MIN_NOTES_PER_QUARTER = 0.2
_MIN_ENTROPY = 0.05  # nats per token


Piece = TypeVar("Piece")


@dataclass(frozen=True, slots=True)
class LiveValidation(Generic[Piece]):
    """Generated pieces, their metrics, and why they are degenerate (empty if they are not)."""

    pieces: list[Piece]
    metrics: dict[str, float]
    degenerate: str


@dataclass(frozen=True, slots=True)
class ValidationReport:
    """Everything that a validation yields; ``error`` is set if it failed."""

    validation: Validation
    metrics: dict[str, float] = field(default_factory=dict)
    pieces: list[GeneratedPiece] = field(default_factory=list)  # to learn from
    summary: str = ""
    samples_page: str | None = None
    error: str = ""

    @classmethod
    def unknown(cls, step: int, error: str = "") -> ValidationReport:
        """Return the report of a state that was not validated."""
        return cls(Validation(step, None, None), error=error)


class Validator:
    """Validates the weights of a run as they are."""

    def __init__(
        self,
        fabric: Fabric,
        config: TrainConfig,
        net: Transformer,
        held_out: Mapping[str, Sequence[PieceRecord]],
        sampler: LiveSampler,
        run: Path,
    ) -> None:
        self.fabric, self.config, self.net, self.run = fabric, config, net, run
        self.held_out, self.sampler = held_out, sampler
        self.batches = {
            name: ValidationBatches(PieceDataset(pieces, config.model), config.training.batch_size)
            for name, pieces in held_out.items()
        }

    def rehearse(self) -> None:
        """Validate a little. Raises ConfigError for what would make every validation fail."""
        bars = self.config.training.musical_grammar.live_bars
        try:
            self.sampler.check_conditions(bars)
            with self.fabric.autocast():
                for batches in self.batches.values():
                    self.sampler.grammar.legal(batches[0].states)
                    predict_logits(self.net, batches[0])
            live = validate_live(self.sampler, 1, 1, (0,))
            with TemporaryDirectory() as folder:
                save_samples(live.pieces, Path(folder))
        except Exception as error:
            raise ConfigError(
                f"No validation of this run would succeed, so it is not begun: "
                f"{type(error).__name__}: {error}"
            ) from error

    def validate(self, step: int) -> ValidationReport:
        """Measure the weights. Any failure becomes ``error``: the state is unknown then."""
        if not all(bool(weight.isfinite().all()) for weight in self.net.parameters()):
            return ValidationReport(Validation(step, math.nan, 0.0, "the weights are not finite"))
        try:
            return self._measure(step)
        except Exception as error:  # Whatever it is, training continues.
            return ValidationReport.unknown(step, repr(error))

    def _measure(self, step: int) -> ValidationReport:
        grammar = self.config.training.musical_grammar
        with self.fabric.autocast():
            sets = {
                name: held_out_metrics(self.net, batches, self.held_out[name], self.sampler.grammar)
                for name, batches in self.batches.items()
            }
        seed = stream_seed(self.config.training.seed, RandomStream.LIVE_VALIDATION)
        live = validate_live(self.sampler, grammar.live_pieces, grammar.live_bars, seed)
        page = save_samples(live.pieces[: grammar.saved_pieces], samples_folder(self.run, step))
        bits = next(iter(sets.values()))["bits_per_note"]
        score, valid = live.metrics["grammar_score"], live.metrics["valid"]
        metrics = {
            f"validation/{name}/{key}": value
            for name, found in sets.items()
            for key, value in found.items()
        }
        return ValidationReport(
            Validation(step, bits, score, live.degenerate),
            metrics | {f"live/{name}": value for name, value in live.metrics.items()},
            generated_pieces([p.tokens for p in live.pieces], [p.conditions for p in live.pieces]),
            f"grammar score {score:.3f}, {bits:.2f} bits per note, {valid:.0%} of "
            f"{len(live.pieces)} pieces valid",
            str(page) if page else None,
        )


def validate_live(
    sampler: LiveSampler, count: int, bars: int, seed: Sequence[int]
) -> LiveValidation[Composition]:
    """Generate whole pieces and measure them."""
    pieces = sampler.compose(count, bars, seed)
    metrics = generated_metrics(pieces) | _next_token_metrics(sampler, pieces)
    return LiveValidation(pieces, metrics, why_degenerate(metrics))


def held_out_metrics(
    model: Transformer,
    batches: ValidationBatches,
    pieces: Sequence[PieceRecord],
    grammar: MusicalGrammar | None = None,
) -> dict[str, float]:
    """Return teacher-forced bits per note, bits per token and mean illegal mass of whole pieces."""
    grammar = grammar or MusicalGrammar()
    nats = illegal = 0.0
    tokens = 0
    for index in range(len(batches)):
        batch = batches[index]
        logits = predict_logits(model, batch)
        targets = batch.targets.flatten()[batch.grammar_rows]
        nats += float(F.cross_entropy(logits, targets, reduction="sum"))
        forbidden = torch.from_numpy(~grammar.legal(batch.states))
        illegal += float(illegal_mass(logits, forbidden).sum())
        tokens += len(logits)
    bits = nats / math.log(2) + len(pieces) * condition_bits(model.config)
    return {
        "bits_per_note": bits / sum(piece.notes for piece in pieces),
        "bits_per_token": nats / math.log(2) / tokens,
        "illegal_mass": illegal / tokens,
    }


def _next_token_metrics(sampler: LiveSampler, pieces: Sequence[Composition]) -> dict[str, float]:
    """Return mean entropy (nats per token) and illegal mass along generated pieces."""
    own = generated_pieces([piece.tokens for piece in pieces], [p.conditions for p in pieces])
    model, grammar = sampler.model, sampler.grammar
    batches = ValidationBatches(on_policy_dataset(own, model.config), _BATCH_OF_GENERATED)
    entropy = illegal = tokens = 0.0
    for index in range(len(batches)):
        batch = batches[index]
        logits = predict_logits(model, batch)
        log_p = logits.log_softmax(dim=-1)
        entropy -= float((log_p.exp() * log_p).sum())
        forbidden = torch.from_numpy(~grammar.legal(batch.states))
        illegal += float(illegal_mass(logits, forbidden).sum())
        tokens += len(logits)
    return {"entropy": entropy / tokens, "illegal_mass": illegal / tokens}


@torch.no_grad()
def predict_logits(model: Transformer, batch: Batch) -> Tensor:
    """Return (N, V) logits at the ``grammar_rows`` of a batch, on the CPU."""
    device = next(model.parameters()).device
    model.eval()
    try:
        logits = model(batch.inputs.to(device)).flatten(0, 1)[batch.grammar_rows]
    finally:
        model.train()
    return logits.float().cpu()


def generated_metrics(pieces: Sequence[Composition]) -> dict[str, float]:
    """Return metrics of generated pieces. Shares are of pieces unless a comment says otherwise."""
    results = [piece.result for piece in pieces]
    sequences = [piece.tokens for piece in pieces]
    tokens = np.concatenate(sequences)
    kinds, values = KINDS[tokens], VALUES[tokens]
    pitches = values[kinds == Kind.NOTE_ON]
    quarters = values[kinds == Kind.TIME_SHIFT].sum() / TICKS_PER_QUARTER
    classes = np.bincount(pitches % 12, minlength=12) / max(1, len(pitches))
    class_entropy = -(classes * np.log2(np.maximum(classes, 1e-12))).sum()  # bits
    notes = sum(result.notes for result in results)
    measured = [quality(piece.score) if piece.score else None for piece in pieces]
    scores = [one.score if one else 0.0 for one in measured]
    return sequence_metrics(sequences, results) | {
        "notes_per_quarter": float(notes / max(1.0, quarters)),
        "pitch_class_entropy": float(class_entropy),
        "quality_score": float(np.mean(scores)),
        "in_scale": float(classes[list(_SCALE)].sum()),  # of notes
    }


def sequence_metrics(
    sequences: Sequence[NDArray[np.integer]], results: Sequence[ValidationResult]
) -> dict[str, float]:
    """Return the metrics of generated sequences that mean the same in every vocabulary."""
    notes = sum(result.notes for result in results)
    return {
        "grammar_score": float(np.mean([result.grammar_score for result in results])),
        "min_grammar_score": min(result.grammar_score for result in results),
        "valid": float(np.mean([result.valid for result in results])),
        "paired_notes": sum(result.paired_notes for result in results) / max(1, notes),  # of notes
        "looped": float(np.mean([looped_share(tokens) for tokens in sequences])),  # of tokens
        "distinct": distinct_ngram_ratio(sequences),
    }


def distinct_ngram_ratio(sequences: Sequence[NDArray[np.integer]]) -> float:
    """Return the number of distinct 8-grams of tokens divided by the number of all 8-grams."""
    ngrams = [
        tuple(ngram)
        for tokens in sequences
        if len(tokens) >= _NGRAM
        for ngram in sliding_window_view(tokens, _NGRAM)
    ]
    return len(set(ngrams)) / max(1, len(ngrams))


def why_degenerate(metrics: Mapping[str, float]) -> str:
    """Return why music with the metrics of ``LiveValidation`` is degenerate, or an empty string.

    In other vocabularies, where quarters are not known, a piece without notes has the score 0.
    """
    if metrics.get("notes_per_quarter", math.inf) < _MIN_NOTES_PER_QUARTER:
        return f"only {metrics['notes_per_quarter']:.2f} notes per quarter"
    if metrics["looped"] > MAX_LOOPED_SHARE:
        return f"{metrics['looped']:.0%} of the tokens are in loops"
    if metrics["entropy"] < _MIN_ENTROPY:
        return f"the entropy is {metrics['entropy']:.3f} nats per token"
    return ""


def save_samples(pieces: Sequence[Composition], folder: Path) -> Path | None:
    """Write pieces as MIDI (tokens if they are no score) and a page of marked piano rolls.

    Return the path of the page, or None if there are no pieces.
    """
    if not pieces:
        return None
    folder.mkdir(parents=True, exist_ok=True)
    paths = [piece.save(folder / f"{index}.mid") for index, piece in enumerate(pieces)]
    page = folder / "index.html"
    with atomic_write(page) as temporary:
        temporary.write_text(html_report([validate_file(path) for path in paths]), encoding="utf-8")
    return page
