"""A bias towards continuing a motif as it went on before.

A model of this size repeats short motifs as often as real music does, but seldom long ones, since
each deviating note makes the next one less likely (docs/decisions.md). So the longer the matching
context is, the more the expected note gains.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bicinium.generation.batch import Batch
from bicinium.generation.processors import LogitsProcessor
from bicinium.grammar.states import Ints
from bicinium.model.inputs.motif_predictor import CONFIDENCES, degree_of
from bicinium.tokenizer.vocabulary import BLOCKS, Kind

# Nats for each ``MotifPrediction.confidence`` at strength 1, chosen on training data (docs/log.md).
GAINS = np.array([0, 0, 0, 0.3, 0.6, 1.2, 2, 3])
assert len(GAINS) == CONFIDENCES

_KEYBOARD_STRENGTH = 1.0  # the default in keyboard styles (docs/log.md)
_NOTE_ON = BLOCKS[Kind.NOTE_ON].ids
_DEGREE = np.array([degree_of(pitch) for pitch in range(BLOCKS[Kind.NOTE_ON].values.max() + 1)])
_DEGREES = _DEGREE[BLOCKS[Kind.NOTE_ON].values]  # (88,)
_LOG_ZERO = -1e30  # stands for the logarithm of 0


def motif_strength(requested: float | None, is_keyboard: bool) -> float:
    """Return the strength of the bias; None depends on the style. 0 turns the bias off."""
    if requested is not None:
        return requested
    return _KEYBOARD_STRENGTH if is_keyboard else 0.0


class MotifBias(LogitsProcessor):
    """Applies the motif bias to each of B pieces at its strength (B,)."""

    def __init__(self, strength: NDArray[np.floating]) -> None:
        self._strength = strength

    def __call__(
        self, batch: Batch, logits: NDArray[np.floating], allowed: NDArray[np.bool_]
    ) -> tuple[NDArray[np.floating], NDArray[np.bool_]]:
        """Return (N, V) the log probabilities with the bias, and the mask as it is."""
        expected = batch.inputs.predicted_now(batch.state, batch.rows)
        return apply_motif_bias(logits, allowed, expected, self._strength[batch.rows]), allowed


def apply_motif_bias(
    logits: NDArray[np.floating],
    allowed: NDArray[np.bool_],
    expected: Ints,
    strength: NDArray[np.floating],
) -> NDArray[np.floating]:
    """Return (N, 774) logits in which the expected NOTE_ON gains over the others.

    expected: (4, N) from ``BatchInputs.predicted_now``.

    The gain is ``strength`` (N,) times ``GAINS``. The prediction is a scale degree, so a raised or
    lowered form gains as well. A repetition of the last note gains nothing. The probability that
    any note begins stays the same.
    """
    confidence, step, _, pitch = expected
    gain = np.where(step != 0, strength * GAINS[confidence], 0)
    rows = np.flatnonzero(gain)
    if not len(rows):
        return logits
    favoured = _DEGREE[pitch][rows, None] == _DEGREES  # (n, 88)
    before = logits[rows, _NOTE_ON]
    after = before + np.where(favoured, gain[rows, None], 0)
    possible = allowed[rows, _NOTE_ON]
    biased = logits.copy()
    biased[rows, _NOTE_ON] = after - (_log_sum(after, possible) - _log_sum(before, possible))
    return biased


def _log_sum(logits: NDArray[np.floating], where: NDArray[np.bool_]) -> NDArray[np.floating]:
    """Return (n, 1) the log of the summed exponentials of the (n, 88) logits that count."""
    counted = np.where(where, logits, _LOG_ZERO)
    return np.asarray(np.logaddexp.reduce(counted, axis=1, keepdims=True))
