"""How numbers become classes: ticks, bars and pitches as small integers for the embedding table.

Compiled when the package is built; the C types are in ``classes.pxd``.
"""

from __future__ import annotations

import math
from array import array

from bicinium.model.inputs.layout import BAR_CLASSES, FIRST_PITCH, TICK_CLASSES, WAIT_CLASSES
from bicinium.music.score import LOWEST_PITCH, TICKS_PER_QUARTER
from bicinium.tokenizer.vocabulary import UNK, VOCAB_SIZE

EXACT_TICKS = 96
EXACT_BARS, MAX_BARS = 64, 1023
LOWEST = LOWEST_PITCH
QUARTER = TICKS_PER_QUARTER
TOKENS, UNKNOWN_TOKEN = VOCAB_SIZE, UNK


def token_class(token: int) -> int:
    """The token itself. An id that is not in the vocabulary counts as UNK."""
    return token if 0 <= token < TOKENS else UNKNOWN_TOKEN


def tick_class(ticks: int) -> int:
    """Classify a duration: 1 for zero ticks, exact to four quarters, then by the quarter."""
    if ticks < 0:
        return 1
    if ticks < EXACT_TICKS:
        return ticks + 1
    return min(EXACT_TICKS + (ticks - EXACT_TICKS) // QUARTER + 1, TICK_CLASSES - 1)


def wait_class(ticks: int) -> int:
    """Classify a wait: exact to WAIT_CLASSES - 2 ticks; the last class is any longer wait."""
    return min(max(ticks, 1), WAIT_CLASSES - 1)


def bar_class(bars: int) -> int:
    """Classify a number of bars: 0 is unknown, exact to 64, then eight classes to the doubling."""
    return _bar_classes[min(max(bars, 0), MAX_BARS)]


def held_class(pitch: int) -> int:
    """Classify a held pitch: FIRST_PITCH is the lowest of the piano."""
    return pitch - LOWEST + FIRST_PITCH


def _class_of_bars(bars: int) -> int:
    if bars <= EXACT_BARS:
        return bars
    return min(EXACT_BARS + math.ceil(8 * math.log2(bars / EXACT_BARS)), BAR_CLASSES - 1)


_bar_classes = memoryview(array("i", [_class_of_bars(bars) for bars in range(MAX_BARS + 1)]))
