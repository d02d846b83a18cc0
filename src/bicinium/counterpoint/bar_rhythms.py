"""The rhythms that a bar of each species may have."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class BarRhythm:
    """Lengths in quarters of the cantus note; the first is a rest, or tied to the bar before."""

    quarters: tuple[float, ...]
    rest: bool = False
    tied: bool = False


_WHOLE, _HALVES = BarRhythm((4,)), BarRhythm((2, 2))
_LATE_HALF, _TIED_HALVES = BarRhythm((2, 2), rest=True), BarRhythm((2, 2), tied=True)
_QUARTERS = BarRhythm((1, 1, 1, 1))
FLORID = (
    _TIED_HALVES, _HALVES, _QUARTERS,
    BarRhythm((2, 1, 1)), BarRhythm((1, 1, 2)),
    BarRhythm((2, 1, 1), tied=True), BarRhythm((1, 1, 1, 1), tied=True),
    BarRhythm((1, 0.5, 0.5, 1, 1), tied=True), BarRhythm((1, 1, 2), tied=True),
)  # fmt: skip
_FLORID_CLOSE = (
    _TIED_HALVES, _HALVES, BarRhythm((1, 1, 2)), BarRhythm((1, 0.5, 0.5, 2), tied=True), _WHOLE,
)  # fmt: skip


def bar_rhythms(species: int, bar: int, bars: int) -> tuple[BarRhythm, ...]:
    """Return the rhythms that a bar may have, the preferred ones first."""
    if bar == bars - 1:
        return (_WHOLE,)
    if bar == 0:
        return {1: (_WHOLE,), 3: (_QUARTERS,)}.get(species, (_LATE_HALF,))
    is_close = bar == bars - 2
    if species == 1:
        return (_WHOLE,)
    if species == 2:
        return (_HALVES, _WHOLE) if is_close else (_HALVES,)
    if species == 3:
        return (_QUARTERS,)
    if species == 4:
        return (_TIED_HALVES, _HALVES, _WHOLE) if is_close else (_TIED_HALVES, _HALVES)
    return _FLORID_CLOSE if is_close else FLORID
