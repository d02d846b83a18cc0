"""Seeds of a run. Every random draw is a function of the seed, a purpose and a place in the run."""

from __future__ import annotations

from enum import IntEnum


class RandomStream(IntEnum):
    """Purposes of random numbers. The values are part of every run's results: never renumber."""

    EPOCH_ORDER = 0
    BATCH = 1
    DROPOUT = 2
    ON_POLICY_PIECES = 3
    ON_POLICY_WINDOWS = 4
    LIVE_VALIDATION = 5
    FORM_BANK = 6


def stream_seed(seed: int, stream: RandomStream, *place: int) -> list[int]:
    """Return a seed for numpy. ``place`` is, for example, the step, rollbacks and process."""
    return [seed, int(stream), *place]
