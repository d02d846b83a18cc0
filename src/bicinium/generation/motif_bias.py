"""A bias towards continuing a motif as it went on before.

A model of this size repeats short motifs as often as real music does, but seldom long ones, since
each deviating note makes the next one less likely (docs/decisions.md). So the longer the matching
context is, the more the expected note gains.

Compiled when the package is built; the C types are in ``motif_bias.pxd``.
"""

from __future__ import annotations

import math
from array import array
from typing import Any

from bicinium.generation.processors import Processor
from bicinium.grammar.state import State
from bicinium.grammar.terms import FIRST_ON, LOWEST, PITCHES
from bicinium.model.inputs.motif_predictor import CONFIDENCES, degree_of
from bicinium.model.inputs.sequence import SequenceInputs

# Nats for each ``MotifPrediction.confidence`` at strength 1, chosen on training data (docs/log.md).
GAINS = (0, 0, 0, 0.3, 0.6, 1.2, 2, 3)
assert len(GAINS) == CONFIDENCES

_KEYBOARD_STRENGTH = 1.0  # the default in keyboard styles (docs/log.md)


def motif_strength(requested: float | None, is_keyboard: bool) -> float:
    """Return the strength of the bias; None depends on the style. 0 turns the bias off."""
    if requested is not None:
        return requested
    return _KEYBOARD_STRENGTH if is_keyboard else 0.0


class MotifBias(Processor):
    """Applies the motif bias to a piece.

    The log probability of the expected NOTE_ON gains ``strength`` times ``GAINS``. The prediction
    is a scale degree, so a raised or lowered form gains as well. A repetition of the last note
    gains nothing. The probability that any note begins stays the same.
    """

    def __init__(self, strength: float, inputs: SequenceInputs) -> None:
        self.inputs = inputs
        self.factors = memoryview(array("d", [math.exp(strength * gain) for gain in GAINS]))

    def weigh(self, state: State, weights: memoryview[Any]) -> None:
        """Raise the weight of the expected note, if it is due now."""
        expected = self.inputs.predicted_now(state)
        factor = self.factors[expected.confidence]
        if expected.step == 0 or factor == 1:
            return
        degree = degree_of(expected.pitch)
        before = 0.0
        after = 0.0
        for index in range(PITCHES):
            weight = weights[FIRST_ON + index]
            before += weight
            if degree_of(LOWEST + index) == degree:
                weight = weight * factor
                weights[FIRST_ON + index] = weight
            after += weight
        if after > 0:
            for index in range(PITCHES):
                weights[FIRST_ON + index] *= before / after
