"""Changes of metre, as (tick, metre) pairs in order of time."""

from __future__ import annotations

from collections.abc import Sequence

from bicinium.music.score import Meter


def without_repeats(changes: Sequence[tuple[int, Meter]]) -> list[tuple[int, Meter]]:
    """Return the changes without those that repeat the metre before them."""
    return [change for i, change in enumerate(changes) if i == 0 or change[1] != changes[i - 1][1]]
