"""Saying a figure again: where a line has come the same way before, that it go on as it did then.

A model of this size follows its own figures as often as real music follows its own, where they are
equally long; but it seldom has long ones, since each note that leaves a figure makes the next less
likely (docs/decisions.md). So the longer the context, the more the note that is expected gains.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bicinium.grammar.rules import State
from bicinium.model.inputs.bar_lag import BarLag
from bicinium.model.inputs.motif_predictor import CONFIDENCES, MotifPrediction, degree_of
from bicinium.tokenizer.vocabulary import BLOCKS, Kind

# Nats for each ``MotifPrediction.confidence`` at strength 1, chosen on training data (docs/log.md).
GAINS = np.array([0, 0, 0, 0.3, 0.6, 1.2, 2, 3])
assert len(GAINS) == CONFIDENCES

_NOTE_ON = BLOCKS[Kind.NOTE_ON].ids
_DEGREE = np.array([degree_of(pitch) for pitch in range(BLOCKS[Kind.NOTE_ON].values.max() + 1)])
_HARDLY = -1e30  # the logarithm of no probability, but a number
_DEGREES = _DEGREE[BLOCKS[Kind.NOTE_ON].values]  # (88,)


def apply_motif_bias(
    logits: NDArray[np.floating],
    allowed: NDArray[np.bool_] | None,
    state: State,
    past: BarLag,
    strength: NDArray[np.floating],
) -> NDArray[np.floating]:
    """(N, 774) log probabilities, in which the NOTE_ON that is due has gained ``strength`` (N,)
    times its nats over the others; raised or not, since what is expected is a white key, but not
    where it repeats the note before. That a note begins is as likely as before.
    """
    due = MotifPrediction(*past.predicted_now(state))
    gain = np.where(due.step != 0, strength * GAINS[due.confidence], 0)
    rows = np.flatnonzero(gain)
    if not len(rows):
        return logits
    favoured = _DEGREE[due.pitch][rows, None] == _DEGREES  # (n, 88)
    before = logits[rows, _NOTE_ON]
    after = before + np.where(favoured, gain[rows, None], 0)
    possible = np.ones_like(favoured) if allowed is None else allowed[rows, _NOTE_ON]
    leaning = logits.copy()
    leaning[rows, _NOTE_ON] = after - (_log_sum(after, possible) - _log_sum(before, possible))
    return leaning


def _log_sum(logits: NDArray[np.floating], where: NDArray[np.bool_]) -> NDArray[np.floating]:
    """(n, 1) of the exponentials of those (n, 88) logits that count."""
    counted = np.where(where, logits, _HARDLY)
    return np.asarray(np.logaddexp.reduce(counted, axis=1, keepdims=True))
