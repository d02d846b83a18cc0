"""Motif predictor: a voice is predicted to continue as it did when it last came this way.

It is the short-term model of IDyOM (Pearce 2005, after Conklin and Witten 1995): a prediction from
the piece itself and nothing else. A context is the last few melodic steps of a voice with their
inter-onset times, or two steps alone. Of the contexts that have occurred before, in either voice,
the longest counts, and of its occurrences the last. Steps are counted on the white keys (pieces
are in C major or A minor), so that a sequence on other degrees counts as a repetition. Knows notes;
knows no tokens.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import NamedTuple

from bicinium.music.score import HIGHEST_PITCH, LOWEST_PITCH, VOICES

_ORDERS = (1, 2, 3, 4, 6, 8)  # Steps in a context with ticks.
_ORDER_WITHOUT_TICKS = 2
CONFIDENCES = len(_ORDERS) + 2  # No prediction, and one for each kind of context, longest last.
_MAX_ORDER = max(_ORDERS)
_DEGREES = (0, 0, 1, 1, 2, 3, 3, 4, 4, 5, 5, 6)  # Of each pitch class.
_WHITE_KEYS = (0, 2, 4, 5, 7, 9, 11)
# A context is hashed to one number by Knuth's multiplier.
_MULTIPLIER, _MODULUS = 6_364_136_223_846_793_005, 2**64
_TICK_SPAN = 2**12


class MotifPrediction(NamedTuple):
    """The predicted continuation of a voice after its last note; all 0 where there is none."""

    confidence: int  # Grows with the length of the context.
    step: int  # To the next note, on the white keys.
    ticks: int  # From onset to onset.
    pitch: int


NO_PREDICTION = MotifPrediction(0, 0, 0, 0)


class MotifPredictor:
    """Observes the notes of one piece in the order of their onsets, and predicts the next."""

    def __init__(self) -> None:
        self._continuations: dict[int, tuple[int, int]] = {}  # context: step and ticks after it
        self._last: list[tuple[int, int] | None] = [None] * VOICES  # degree and tick
        self._steps: list[deque[tuple[int, int]]] = [
            deque(maxlen=_MAX_ORDER) for _ in range(VOICES)
        ]
        self._contexts: list[list[tuple[int, int]]] = [[] for _ in range(VOICES)]

    def observe(self, voice: int, tick: int, pitch: int) -> MotifPrediction:
        """Take in a note that begins, and predict the voice's next one."""
        degree = degree_of(pitch)
        if (last := self._last[voice]) is not None:
            step = degree - last[0], tick - last[1]
            for _, context in self._contexts[voice]:
                self._continuations[context] = step
            self._steps[voice].appendleft(step)
            self._contexts[voice] = _contexts(self._steps[voice])
        self._last[voice] = degree, tick
        for confidence, context in reversed(self._contexts[voice]):
            if (before := self._continuations.get(context)) is not None:
                octave, white_key = divmod(degree + before[0], len(_WHITE_KEYS))
                pitch = octave * len(_DEGREES) + _WHITE_KEYS[white_key]
                pitch = min(max(pitch, LOWEST_PITCH), HIGHEST_PITCH)
                return MotifPrediction(confidence, *before, pitch)
        return NO_PREDICTION


def degree_of(pitch: int) -> int:
    """Return the number of the white key; for a black key, that of the white key below it."""
    octave, pitch_class = divmod(pitch, len(_DEGREES))
    return octave * len(_WHITE_KEYS) + _DEGREES[pitch_class]


def _contexts(steps: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return (confidence, hash) of each context that ends here, the least confident first.

    steps: pairs of step and ticks, the last first.
    """
    contexts: list[tuple[int, int]] = []
    with_ticks, alone = 1, 2
    for order, (step, ticks) in enumerate(steps, 1):
        with_ticks = (with_ticks * _MULTIPLIER + step * _TICK_SPAN + ticks) % _MODULUS
        if order <= _ORDER_WITHOUT_TICKS:
            alone = (alone * _MULTIPLIER + step) % _MODULUS
            if order == _ORDER_WITHOUT_TICKS:
                contexts.append((len(contexts) + 1, alone))
        if order in _ORDERS:
            contexts.append((len(contexts) + 1, with_ticks))
    return contexts
