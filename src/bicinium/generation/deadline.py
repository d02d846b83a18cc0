"""When composing must end. It then gives the best pieces that it has."""

from __future__ import annotations

import time
from collections.abc import Callable

Expired = Callable[[], bool]

# Twelve candidates of 16 bars take 2.7 seconds (docs/log.md), on a busy machine 30.
_SECONDS, _SECONDS_PER_BAR = 30.0, 1 / 6  # of each candidate


def default_time_limit(bars: int, candidates: int) -> float:
    """Return the seconds for pieces that have so many bars in all, and candidates each."""
    return _SECONDS + _SECONDS_PER_BAR * bars * candidates


def deadline(seconds: float, clock: Callable[[], float] = time.monotonic) -> Expired:
    """Return a function that returns whether so many seconds have passed since now."""
    end = clock() + seconds
    return lambda: clock() >= end


def never() -> bool:
    """Return False: there is no time limit."""
    return False
