"""Loops: the same few tokens repeated. They are grammatical, but a collapsed model writes them.

A loop is a run of at least 24 tokens in which a pattern of 2 to 32 tokens occurs for the fourth
time or more. In the keyboard corpus 0.05 % of all tokens are in a loop (mostly repeated notes); in
songs, with their repeated chords, 2.7 % (docs/log.md). Runs of a single token break the rule
``repetition``.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

MAX_LOOPED_SHARE = 0.4  # Of a piece's tokens. The highest among 311 real pieces is 0.29.
_MAX_PERIOD = 32  # Tokens.
_MIN_REPEATS = 4
_MIN_TOKENS = 24


def loop_continuations(tokens: NDArray[np.integer]) -> NDArray[np.int64]:
    """Return (B, T): after each token (B, T), the token that would continue a loop, or -1.

    Negative numbers are padding and belong to no loop.
    """
    rows, length = tokens.shape
    places = np.arange(length)
    following = np.full((rows, length), -1, np.int64)
    for period in range(2, min(_MAX_PERIOD, length - 1) + 1):
        alike = np.zeros((rows, length), np.bool_)
        alike[:, period:] = (tokens[:, period:] == tokens[:, :-period]) & (tokens[:, period:] >= 0)
        run = places - np.maximum.accumulate(np.where(alike, -1, places), axis=1)
        needed = max(_MIN_REPEATS * period, _MIN_TOKENS) - period
        row, place = np.nonzero((run >= needed) & (following < 0))
        following[row, place] = tokens[row, place + 1 - period]
    return following


def looped_share(tokens: NDArray[np.integer]) -> float:
    """Return the share of a sequence's tokens (T,) that continue a loop, 0 to 1."""
    if len(tokens) < 2:
        return 0.0
    expected = loop_continuations(tokens[None])[0]
    return float((expected[:-1] == tokens[1:]).mean())
