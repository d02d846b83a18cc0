"""Likelihood of held-out music equals what training measures."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bicinium.data.piece_record import PieceRecord
from bicinium.data.shards import load_pieces
from bicinium.evaluation.likelihood import Likelihood, measure_likelihood
from bicinium.model.checkpoint import Checkpoint
from bicinium.model.config import ModelConfig
from bicinium.model.decoder import Decoder
from bicinium.model.inputs.encode import PieceConditions
from bicinium.model.teacher_forcing import condition_bits
from bicinium.music.score import Meter

Weights = Callable[..., dict[str, Any]]
_SPREAD = 3.0  # of the weights, so that the logits differ clearly


@pytest.fixture(scope="module")
def pieces(prepared: Path) -> list[PieceRecord]:
    return load_pieces(prepared)


@pytest.fixture(scope="module")
def wide(tiny_config: ModelConfig) -> ModelConfig:
    """A model whose context holds every piece whole."""
    return tiny_config.model_copy(update={"context": 1024})


def test_result_equals_the_training_metrics(
    pieces: list[PieceRecord], wide: ModelConfig, random_weights: Weights
) -> None:
    torch = pytest.importorskip("torch")
    from bicinium.model.transformer import Transformer
    from bicinium.training.batches import ValidationBatches
    from bicinium.training.dataset import PieceDataset
    from bicinium.training.validation import held_out_metrics

    weights = random_weights(wide, spread=_SPREAD)
    model = Transformer(wide)
    model.load_state_dict({name: torch.from_numpy(w) for name, w in weights.items()})
    assert max(len(piece.tokens) for piece in pieces) < wide.context
    theirs = held_out_metrics(model, ValidationBatches(PieceDataset(pieces, wide), 3), pieces)
    ours = measure_likelihood(Checkpoint(wide, weights), pieces)
    notes = sum(piece.notes for piece in pieces)
    assert ours.bits_per_note == pytest.approx(theirs["bits_per_note"], abs=1e-3)
    assert ours.bits_per_token == pytest.approx(theirs["bits_per_token"], abs=1e-4)
    assert ours.illegal_mass == pytest.approx(theirs["illegal_mass"], abs=1e-4)
    assert (ours.notes, ours.pieces) == (notes, len(pieces))
    assert ours.tokens == sum(len(piece.tokens) - 1 for piece in pieces)


def _token_by_token_bits(
    checkpoint: Checkpoint, piece: PieceRecord, shown_along: Callable[..., np.ndarray]
) -> float:
    """The bits of one piece, token by token."""
    decoder, bits = Decoder(checkpoint.config, checkpoint.weights), 0.0
    told = PieceConditions.of(
        checkpoint.config, [piece.meter], [piece.mode], [piece.style], [piece.bars]
    )
    inputs = shown_along(
        checkpoint.config,
        piece.tokens,
        told,
        bar_ticks=Meter.parse(piece.meter).bar_ticks,
        bars=piece.bars,
        transposition=piece.transposition,
    )
    for row, following in zip(inputs, piece.tokens[1:], strict=False):
        logits = decoder.step(row[None])[0]
        bits -= (logits[following] - np.logaddexp.reduce(logits)) / math.log(2)
    return float(bits)


def test_long_pieces_are_measured_with_a_sliding_window(
    pieces: list[PieceRecord],
    tiny_config: ModelConfig,
    random_weights: Weights,
    shown_along: Callable[..., np.ndarray],
) -> None:
    checkpoint = Checkpoint(tiny_config, random_weights(tiny_config, spread=_SPREAD))
    assert min(len(piece.tokens) for piece in pieces) > 2 * tiny_config.context
    ours = measure_likelihood(checkpoint, pieces[:3])
    assert ours.bits == pytest.approx(
        sum(_token_by_token_bits(checkpoint, p, shown_along) for p in pieces[:3]), rel=1e-5
    )


def test_batches_and_threads_do_not_change_the_result(
    pieces: list[PieceRecord], tiny_config: ModelConfig, random_weights: Weights
) -> None:
    checkpoint = Checkpoint(tiny_config, random_weights(tiny_config, spread=_SPREAD))
    together = measure_likelihood(checkpoint, pieces)
    told: list[tuple[int, int]] = []
    apart = measure_likelihood(
        checkpoint, pieces, lambda done, total: told.append((done, total)), threads=2
    )
    assert sum(
        (measure_likelihood(checkpoint, [p]) for p in pieces), Likelihood()
    ).bits == pytest.approx(together.bits, rel=1e-9)
    assert apart.bits == pytest.approx(together.bits, rel=1e-6)
    assert apart.illegal == pytest.approx(together.illegal, rel=1e-5)
    assert told[-1] == (together.tokens, together.tokens)
    assert [done for done, _ in told] == sorted(done for done, _ in told)


def test_uniform_model_needs_log2_of_the_vocabulary_per_token(
    pieces: list[PieceRecord], tiny_config: ModelConfig, random_weights: Weights
) -> None:
    weights = random_weights(tiny_config)
    for name in ("head.weight", "relative_head.weight", "ending_head.weight"):
        weights[name] *= 0
    found = measure_likelihood(Checkpoint(tiny_config, weights), pieces)
    assert found.bits_per_token == pytest.approx(math.log2(774), rel=1e-6)
    assert 0.5 < found.illegal_mass < 1


def test_side_information_is_charged_per_piece(tiny_config: ModelConfig) -> None:
    assert condition_bits(tiny_config) == pytest.approx(math.log2(12) + 6 + 1)
    assert condition_bits(tiny_config.model_copy(update={"styles": ()})) == pytest.approx(
        math.log2(12) + 6
    )


def test_likelihoods_can_be_added() -> None:
    one, other = Likelihood(100, 10, 0.5, 200, 50, 2), Likelihood(20, 5, 0.1, 100, 10, 1)
    both = one + other + Likelihood()
    assert both.bits_per_note == pytest.approx(135 / 60)
    assert both.bits_per_token == pytest.approx(120 / 300)
    assert both.illegal_mass == pytest.approx(0.6 / 300)
    assert both.as_json()["pieces"] == 3
