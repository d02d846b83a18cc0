"""Unfold repeats, endings and jumps into the order in which measures are played."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from bicinium.formats.measures import Measure

_MAX_MEASURES = 20_000  # played in all; more is a damaged file
_JUMPS = ("dacapo", "dalsegno")


def count_repeats(columns: Sequence[Sequence[Measure]]) -> int:
    """Return the number of repeats and jumps. A column is a measure of every part."""
    bars = [_Bar.of(column) for column in columns]
    return sum((bar.plays > 1) + bool(bar.marks & {*_JUMPS}) for bar in bars)


def section_order(names: Sequence[str]) -> str:
    """Return a stated order of sections in words; nothing if each is played once."""
    return ", ".join(names) if len(set(names)) < len(names) else ""


def played_order(columns: Sequence[Sequence[Measure]]) -> list[int]:
    """Return the indices of the measures in the order in which they are played.

    After a jump, repeats are not taken again, and of several endings the last is played.
    """
    player = _Player([_Bar.of(column) for column in columns])
    while player.index < len(columns) and len(player.order) < _MAX_MEASURES:
        player.step()
    return player.order


@dataclass(frozen=True, slots=True)
class _Bar:
    """What one measure states in any part."""

    starts_repeat: bool
    plays: int
    endings: frozenset[int]
    marks: frozenset[str]

    @classmethod
    def of(cls, column: Sequence[Measure]) -> _Bar:
        plays = max((measure.plays for measure in column), default=0)
        endings = frozenset().union(*(measure.endings for measure in column))
        return cls(
            any(measure.starts_repeat for measure in column),
            plays,
            endings,
            frozenset().union(*(measure.jumps for measure in column)),
        )


@dataclass(slots=True)
class _Player:
    bars: list[_Bar]
    order: list[int] = field(default_factory=list)
    index: int = 0
    start: int = 0  # of the present repeat
    play: int = 1  # of the present repeat, from 1
    has_jumped: bool = False

    def step(self) -> None:
        """Play the present measure, or skip it, and go to the next."""
        bar = self.bars[self.index]
        if bar.starts_repeat and self.index != self.start:
            self.start, self.play = self.index, 1
        if self._skips(bar):
            self.index += 1
            return
        self.order.append(self.index)
        if not self.has_jumped and self.play < self._plays(bar):
            self.play += 1
            self.index = self.start
            return
        if self._jumps(bar):
            return
        self.index += 1
        if (bar.plays > 1 or bar.endings) and not self._endings_at(self.index):
            self.start, self.play = self.index, 1

    def _plays(self, bar: _Bar) -> int:
        """Return how often a repeat that ends here is played; the last of its endings says so."""
        if not (bar.plays and bar.endings):
            return bar.plays
        first = last = self.index
        while first and self._endings_at(first - 1):
            first -= 1
        while self._endings_at(last):
            last += 1
        return max(2, *(max(self._endings_at(index)) for index in range(first, last)))

    def _skips(self, bar: _Bar) -> bool:
        """Return whether an ending is not for this play."""
        if not bar.endings:
            return False
        if not self.has_jumped:
            return self.play not in bar.endings
        index = self.index
        while self._endings_at(index) == bar.endings:
            index += 1
        return bool(self._endings_at(index))  # a later ending follows

    def _jumps(self, bar: _Bar) -> bool:
        """Take the jump of a measure, if it has one."""
        target = None
        if self.has_jumped:
            if "fine" in bar.marks:
                target = len(self.bars)
            elif "tocoda" in bar.marks:
                target = self._find("coda", self.index + 1)
        elif "dacapo" in bar.marks:
            target = 0
        elif "dalsegno" in bar.marks:
            target = self._find("segno", 0)
        if target is None:
            return False
        self.has_jumped = True
        self.index = self.start = target
        self.play = 1
        return True

    def _endings_at(self, index: int) -> frozenset[int]:
        return self.bars[index].endings if index < len(self.bars) else frozenset()

    def _find(self, mark: str, start: int) -> int | None:
        found = (i for i in range(start, len(self.bars)) if mark in self.bars[i].marks)
        return next(found, None)
