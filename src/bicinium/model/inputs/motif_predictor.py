"""Motif predictor: a voice is predicted to continue as it did when it last came this way.

It is the short-term model of IDyOM (Pearce 2005, after Conklin and Witten 1995): a prediction from
the piece itself and nothing else. A context is the last few melodic steps of a voice with their
inter-onset times, or two steps alone. Of the contexts that have occurred before, in either voice,
the longest counts, and of its occurrences the last. Steps are counted on the white keys (pieces
are in C major or A minor), so that a sequence on other degrees counts as a repetition. Knows notes;
knows no tokens.

Compiled when the package is built; the C types are in ``motif_predictor.pxd``.
"""

from __future__ import annotations

from array import array

from bicinium.music.form import WHITE_KEY_BELOW
from bicinium.music.score import HIGHEST_PITCH, LOWEST_PITCH, VOICES

_ORDERS = (1, 2, 3, 4, 6, 8)  # steps in a context with ticks
ORDER_WITHOUT_TICKS = 2
CONTEXTS = len(_ORDERS) + 1  # at most, after a note
CONFIDENCES = CONTEXTS + 1  # no prediction, and one for each kind of context, longest last
MAX_ORDER = max(_ORDERS)
LOWEST, HIGHEST = LOWEST_PITCH, HIGHEST_PITCH
# A context is hashed to one number of 64 bits by Knuth's multiplier.
MULTIPLIER, BITS = 6_364_136_223_846_793_005, 2**64 - 1
TICK_SPAN = 2**12
FREE = -1
ROOM = 256  # contexts, at first
_is_order = memoryview(array("i", [order in _ORDERS for order in range(MAX_ORDER + 1)]))
_degree_of = memoryview(array("i", WHITE_KEY_BELOW))  # of each pitch class
_white_key = memoryview(array("i", [0, 2, 4, 5, 7, 9, 11]))  # the pitch class of each degree


class MotifPrediction:
    """The predicted continuation of a voice after its last note; all 0 where there is none."""

    def __init__(self, confidence: int, step: int, ticks: int, pitch: int) -> None:
        self.confidence = confidence  # grows with the length of the context
        self.step = step  # to the next note, on the white keys
        self.ticks = ticks  # from onset to onset
        self.pitch = pitch


NO_PREDICTION = MotifPrediction(0, 0, 0, 0)


class Continuations:
    """The step and the ticks that came after each context when it last occurred.

    A hash table with open addressing: a context is in the first place, from that of its hash on,
    that is free or its own.
    """

    def __init__(self) -> None:
        self.used = 0
        self._make_room(ROOM)

    def place_of(self, context: int) -> int:
        """Where the context is, or where it would be."""
        last = len(self.ticks) - 1
        place = (context ^ (context >> 32)) & last
        while self.ticks[place] != FREE and self.context[place] != context:
            place = (place + 1) & last
        return place

    def record(self, context: int, step: int, ticks: int) -> None:
        """Take in what came after a context."""
        place = self.place_of(context)
        if self.ticks[place] == FREE:
            self.used += 1
            self.context[place] = context
        self.step[place] = step
        self.ticks[place] = ticks
        if 2 * self.used > len(self.ticks):
            self._double()

    def _double(self) -> None:
        contexts, steps, ticks = self.context, self.step, self.ticks
        self._make_room(2 * len(ticks))
        for old in range(len(ticks)):
            if ticks[old] != FREE:
                place = self.place_of(contexts[old])
                self.context[place] = contexts[old]
                self.step[place] = steps[old]
                self.ticks[place] = ticks[old]

    def _make_room(self, places: int) -> None:
        """Begin with so many free places, a power of two."""
        self.context = memoryview(array("Q", [0]) * places)
        self.step = memoryview(array("i", [0]) * places)
        self.ticks = memoryview(array("i", [FREE]) * places)


class MotifPredictor:
    """Observes the notes of one piece in the order of their onsets, and predicts the next."""

    def __init__(self) -> None:
        self.continuations = Continuations()
        self.last_degree = memoryview(array("i", [0] * VOICES))
        self.last_tick = memoryview(array("i", [-1] * VOICES))  # -1 before the first note
        # Of each voice its last steps, the latest first, and the contexts that end with them.
        self.steps = memoryview(array("i", [0] * VOICES))  # how many
        self.step = memoryview(array("i", [0] * (VOICES * MAX_ORDER)))
        self.ticks = memoryview(array("i", [0] * (VOICES * MAX_ORDER)))
        self.contexts = memoryview(array("i", [0] * VOICES))  # how many
        self.context = memoryview(array("Q", [0] * (VOICES * CONTEXTS)))

    def observe(self, voice: int, tick: int, pitch: int) -> MotifPrediction:
        """Take in a note that begins, and predict the voice's next one."""
        degree = degree_of(pitch)
        if self.last_tick[voice] >= 0:
            self._move_on(voice, degree - self.last_degree[voice], tick - self.last_tick[voice])
        self.last_degree[voice] = degree
        self.last_tick[voice] = tick
        for kind in range(self.contexts[voice] - 1, -1, -1):
            place = self.continuations.place_of(self.context[voice * CONTEXTS + kind])
            ticks = self.continuations.ticks[place]
            if ticks != FREE:
                step = self.continuations.step[place]
                return MotifPrediction(kind + 1, step, ticks, _pitch_of(degree + step))
        return NO_PREDICTION

    def _move_on(self, voice: int, step: int, ticks: int) -> None:
        """Take in a step of a voice: it came after the contexts so far, and ends new ones."""
        first = voice * CONTEXTS
        for kind in range(self.contexts[voice]):
            self.continuations.record(self.context[first + kind], step, ticks)
        first = voice * MAX_ORDER
        for back in range(first + MAX_ORDER - 1, first, -1):
            self.step[back] = self.step[back - 1]
            self.ticks[back] = self.ticks[back - 1]
        self.step[first] = step
        self.ticks[first] = ticks
        self.steps[voice] = min(self.steps[voice] + 1, MAX_ORDER)
        self._hash_contexts(voice)

    def _hash_contexts(self, voice: int) -> None:
        """Hash each context that ends with the last step, the least confident first."""
        with_ticks = 1
        alone = 2
        found = voice * CONTEXTS
        for back in range(self.steps[voice]):
            step = self.step[voice * MAX_ORDER + back]
            ticks = self.ticks[voice * MAX_ORDER + back]
            with_ticks = (with_ticks * MULTIPLIER + step * TICK_SPAN + ticks) & BITS
            if back < ORDER_WITHOUT_TICKS:
                alone = (alone * MULTIPLIER + step) & BITS
            if back + 1 == ORDER_WITHOUT_TICKS:
                self.context[found] = alone
                found += 1
            if _is_order[back + 1]:
                self.context[found] = with_ticks
                found += 1
        self.contexts[voice] = found - voice * CONTEXTS


def degree_of(pitch: int) -> int:
    """Return the number of the white key; for a black key, that of the white key below it."""
    return pitch // 12 * 7 + _degree_of[pitch % 12]


def _pitch_of(degree: int) -> int:
    """The pitch of a white key, at most the highest and at least the lowest of the piano."""
    pitch = degree // 7 * 12 + _white_key[degree % 7]
    return min(max(pitch, LOWEST), HIGHEST)
