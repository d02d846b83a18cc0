"""Loops: the same few tokens again and again. Not ungrammatical, but what a collapsed model does.

A loop is a run of at least 24 tokens in which 2 to 32 tokens come for the fourth time or more. In
the keyboard corpus 0.05 % of all tokens stand in one (repeated notes, mostly), in songs, with their
repeated chords, 2.7 % (docs/log.md). Runs of a single token are the rule ``repetition``.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

MOST_LOOPED = 0.4  # of a piece's tokens; beyond it is no music: the loopiest of 311 has 0.29
_LONGEST_PERIOD = 32  # tokens
_TIMES = 4
_FEWEST_TOKENS = 24


def loop_continuations(tokens: NDArray[np.integer]) -> NDArray[np.int64]:
    """(B, T) tokens → (B, T) after each of them, the token that would continue a loop, or -1.

    Negative tokens are no tokens: they are part of no loop.
    """
    rows, length = tokens.shape
    places = np.arange(length)
    following = np.full((rows, length), -1, np.int64)
    for period in range(2, min(_LONGEST_PERIOD, length - 1) + 1):
        alike = np.zeros((rows, length), np.bool_)
        alike[:, period:] = (tokens[:, period:] == tokens[:, :-period]) & (tokens[:, period:] >= 0)
        run = places - np.maximum.accumulate(np.where(alike, -1, places), axis=1)
        needed = max(_TIMES * period, _FEWEST_TOKENS) - period
        row, place = np.nonzero((run >= needed) & (following < 0))
        following[row, place] = tokens[row, place + 1 - period]
    return following


def looped_share(tokens: NDArray[np.integer]) -> float:
    """The share of a sequence's tokens (T,) that continue a loop, 0 to 1."""
    if len(tokens) < 2:
        return 0.0
    expected = loop_continuations(tokens[None])[0]
    return float((expected[:-1] == tokens[1:]).mean())
