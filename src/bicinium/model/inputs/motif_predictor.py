"""What a line leads one to expect: that it goes on as it did when it came this way before.

The short-term model of IDyOM (Pearce 2005, after Conklin and Witten 1995): a prediction from the
piece itself and nothing else. A context is the last few melodic steps of a voice with the ticks
they took, or two steps alone. Of the contexts that have come before, in either voice, the longest
counts, and of its occurrences the last. Steps are counted on the white keys (pieces are in C major
or A minor), so that a sequence on other degrees is the same again. Knows notes; knows no tokens.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import NamedTuple

from bicinium.music.score import HIGHEST_PITCH, LOWEST_PITCH, VOICES

_ORDERS = (1, 2, 3, 4, 6, 8)  # steps in a context with ticks
_ORDER_WITHOUT_TICKS = 2
CONFIDENCES = len(_ORDERS) + 2  # none; and one for each kind of context, the longest the greatest
_LONGEST = max(_ORDERS)
_DEGREES = (0, 0, 1, 1, 2, 3, 3, 4, 4, 5, 5, 6)  # of each pitch class
_WHITE_KEYS = (0, 2, 4, 5, 7, 9, 11)
_FACTOR, _SIZE = 6_364_136_223_846_793_005, 2**64  # Knuth's, to make one number of many
_MOST_TICKS = 2**12


class Expected(NamedTuple):
    """How a voice is expected to go on after its last note; all 0 where nothing is."""

    confidence: int  # grows with the length of the context
    step: int  # to the next note, on the white keys
    ticks: int  # from onset to onset
    pitch: int


NOTHING_EXPECTED = Expected(0, 0, 0, 0)


class Expectations:
    """Hears the notes of one piece as they begin, and says how it expects their voice to go on."""

    def __init__(self) -> None:
        self._went_on: dict[int, tuple[int, int]] = {}  # after each context, step and ticks
        self._last: list[tuple[int, int] | None] = [None] * VOICES  # degree and tick
        self._steps: list[deque[tuple[int, int]]] = [deque(maxlen=_LONGEST) for _ in range(VOICES)]
        self._contexts: list[list[tuple[int, int]]] = [[] for _ in range(VOICES)]

    def hear(self, voice: int, tick: int, pitch: int) -> Expected:
        """A note begins in a voice: what is expected after it."""
        degree = degree_of(pitch)
        if (last := self._last[voice]) is not None:
            went = degree - last[0], tick - last[1]
            for _, context in self._contexts[voice]:
                self._went_on[context] = went
            self._steps[voice].appendleft(went)
            self._contexts[voice] = _contexts(self._steps[voice])
        self._last[voice] = degree, tick
        for confidence, context in reversed(self._contexts[voice]):
            if (before := self._went_on.get(context)) is not None:
                octave, white_key = divmod(degree + before[0], len(_WHITE_KEYS))
                pitch = octave * len(_DEGREES) + _WHITE_KEYS[white_key]
                return Expected(confidence, *before, min(max(pitch, LOWEST_PITCH), HIGHEST_PITCH))
        return NOTHING_EXPECTED


def degree_of(pitch: int) -> int:
    """The number of the white key; of a black one that of the key below."""
    octave, pitch_class = divmod(pitch, len(_DEGREES))
    return octave * len(_WHITE_KEYS) + _DEGREES[pitch_class]


def _contexts(steps: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """A number for each context that ends here, and how far to trust it; the least first.

    steps: with their ticks, the last first.
    """
    found: list[tuple[int, int]] = []
    with_ticks, alone = 1, 2
    for order, (step, ticks) in enumerate(steps, 1):
        with_ticks = (with_ticks * _FACTOR + step * _MOST_TICKS + ticks) % _SIZE
        if order <= _ORDER_WITHOUT_TICKS:
            alone = (alone * _FACTOR + step) % _SIZE
            if order == _ORDER_WITHOUT_TICKS:
                found.append((len(found) + 1, alone))
        if order in _ORDERS:
            found.append((len(found) + 1, with_ticks))
    return found
