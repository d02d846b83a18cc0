"""Divide a bar into beats and note values, and choose its triplets.

A bar is a tree of halves or thirds, down to 32nds (3 ticks). Each division can become a triplet,
whose smallest note, a 64th, is one tick. So every duration in ticks can be written, as a chain of
ties if no single note value fits.

The rules follow engraving practice (E. Gould, Behind Bars, 2011, on metre): a note value may cross
a division only if both its ends lie on the next level below, so that the beats stay visible. Rests
cross less than notes do.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

from bicinium.formats.notation.symbols import NOTE_TYPES, note_value
from bicinium.music.score import Meter

_SMALLEST_DIVISION_TICKS = 3  # a 32nd
_MAX_FREE_TRIPLET_TICKS = 24  # A wider triplet stands only for three equal notes.
_MAX_TWO_THIRDS_REST_TICKS = 36  # a dotted quarter beat

# Costs of writing a triplet, compared with the cost of smaller triplets inside it.
_BRACKET_COST = 1.0
_TIE_COST = 1.0
_CUT_NOTE_COST = 1.5  # for each edge of the triplet that lies inside a note


@dataclass(frozen=True, slots=True)
class Division:
    """A span of a bar, in ticks from its barline, and the equal parts it divides into."""

    start: int
    ticks: int
    parts: tuple[Division, ...] = ()

    @property
    def end(self) -> int:
        return self.start + self.ticks

    @property
    def is_ternary(self) -> bool:
        return len(self.parts) == 3

    def borders_inside(self, start: int, end: int) -> list[int]:
        """Return the borders between parts that lie inside (start, end)."""
        return [part.start for part in self.parts[1:] if start < part.start < end]


# ------------------------------------------------------------------ trees


@lru_cache(maxsize=64)
def bar_tree(meter: Meter) -> Division:
    """Return the divisions of a bar."""
    return _divide_beats(0, meter.bar_ticks // meter.beat_ticks, meter.beat_ticks)


def _divide_beats(start: int, beats: int, beat_ticks: int) -> Division:
    """Divide beats into halves if their number is even, else into thirds, else one by one."""
    if beats == 1:
        return _divide_beat(start, beat_ticks)
    groups = 2 if beats % 2 == 0 else 3 if beats % 3 == 0 else beats
    each = beats // groups
    parts = (_divide_beats(start + i * each * beat_ticks, each, beat_ticks) for i in range(groups))
    return Division(start, beats * beat_ticks, tuple(parts))


def _divide_beat(start: int, ticks: int) -> Division:
    """Divide a dotted beat into thirds and any other into halves, down to 32nds."""
    if ticks <= _SMALLEST_DIVISION_TICKS:
        return Division(start, ticks)
    count, each = (3, ticks // 3) if ticks % 9 == 0 else (2, ticks // 2)
    return Division(start, ticks, tuple(_divide_beat(start + i * each, each) for i in range(count)))


@lru_cache(maxsize=1024)
def triplet_tree(start: int, ticks: int) -> Division:
    """Return the divisions of a triplet: three parts, each in halves down to one tick."""

    def halve(at: int, length: int) -> Division:
        if length == 1:
            return Division(at, 1)
        half = length // 2
        return Division(at, length, (halve(at, half), halve(at + half, half)))

    third = ticks // 3
    return Division(start, ticks, tuple(halve(start + i * third, third) for i in range(3)))


# ------------------------------------------------------------------ triplets


def find_triplets(tree: Division, onsets: tuple[int, ...]) -> list[tuple[int, int]]:
    """Return the start and length of each triplet that a bar needs, in ticks.

    ``onsets`` are the sorted ticks, from the barline, at which a note or rest begins or the bar
    ends.
    """
    flat = _cheapest_triplets(tree, onsets)[1]
    return list(zip(flat[::2], flat[1::2], strict=True))


@lru_cache(maxsize=65536)
def _cheapest_triplets(
    division: Division, onsets: tuple[int, ...]
) -> tuple[float, tuple[int, ...]]:
    """Return the lowest cost of writing a division, and its triplets as (start, length, …)."""
    inside = tuple(onset for onset in onsets if division.start < onset < division.end)
    if all(onset % _SMALLEST_DIVISION_TICKS == 0 for onset in inside):
        return 0.0, ()
    in_parts = _triplets_in_parts(division, onsets)
    if not _can_be_triplet(division, inside):
        return in_parts
    tree = triplet_tree(division.start, division.ticks)
    edges = [division.start, *inside, division.end]
    values = sum(
        len(split_span(tree, start, end, is_rest=False, in_tuplet=True))
        for start, end in pairwise(edges)
    )
    ties = values - (len(edges) - 1)
    cut_notes = (division.start not in onsets) + (division.end not in onsets)
    cost = _BRACKET_COST + _TIE_COST * ties + _CUT_NOTE_COST * cut_notes
    return min((cost, (division.start, division.ticks)), in_parts)


def _triplets_in_parts(
    division: Division, onsets: tuple[int, ...]
) -> tuple[float, tuple[int, ...]]:
    if not division.parts:
        return float("inf"), ()
    found = [_cheapest_triplets(part, onsets) for part in division.parts]
    return sum(cost for cost, _ in found), tuple(x for _, spans in found for x in spans)


def _can_be_triplet(division: Division, inside: tuple[int, ...]) -> bool:
    """Return whether a division can be a triplet with these onsets inside.

    Its length must be 3, 6, 12, …, 96 ticks so that three equal note values fill it.
    """
    third, rest = divmod(division.ticks, 3)
    if rest or third & (third - 1) or division.ticks not in NOTE_TYPES:
        return False
    has_three_equal_notes = all((onset - division.start) % third == 0 for onset in inside)
    return division.ticks <= _MAX_FREE_TRIPLET_TICKS or has_three_equal_notes


# ------------------------------------------------------------------ note values


def split_span(
    division: Division, start: int, end: int, is_rest: bool, in_tuplet: bool
) -> list[tuple[int, int]]:
    """Split the span [start, end) of a note or rest into spans of one note value each."""
    value = note_value(end - start, in_tuplet)
    if (start, end) == (division.start, division.end) and value:
        is_dotted = value[1] > 0
        if not is_dotted or division.is_ternary or not is_rest:
            return [(start, end)]
    for part in division.parts:
        if part.start <= start and end <= part.end:
            return split_span(part, start, end, is_rest, in_tuplet)
    may_cross = _rest_may_cross if is_rest else _note_may_cross
    if value and may_cross(division, start, end):
        return [(start, end)]
    borders = division.borders_inside(start, end)
    starts_on_part = any(part.start == start for part in division.parts)
    border = borders[-1] if starts_on_part and not is_rest else borders[0]
    return [
        *split_span(division, start, border, is_rest, in_tuplet),
        *split_span(division, border, end, is_rest, in_tuplet),
    ]


def _note_may_cross(division: Division, start: int, end: int) -> bool:
    """Return whether one note value may stand for [start, end), which crosses a border."""
    part = division.parts[0]
    starts_on_part = (start - division.start) % part.ticks == 0
    on_parts = starts_on_part and (end - division.start) % part.ticks == 0
    if on_parts or part.is_ternary:
        return on_parts
    is_binary = len(division.parts) == 2
    if is_binary and start == division.start and 8 * (end - start) == 7 * division.ticks:
        return True  # a double-dotted note with the short note after it
    half = part.ticks // 2
    if part.ticks % 2 or (start - division.start) % half or (end - division.start) % half:
        return False
    if is_binary:
        return True
    fills_end = end == division.end and len(division.borders_inside(start, end)) == 1
    return starts_on_part or fills_end or end - start == part.ticks


def _rest_may_cross(division: Division, start: int, end: int) -> bool:
    """Return whether one rest may stand for [start, end), which crosses a border.

    Rests show every beat. Only two thirds of a dotted beat may be one rest, at its start.
    """
    part = division.parts[0]
    has_no_thirds_below = not any(p.is_ternary for p in division.parts)
    is_dotted_beat = (
        division.is_ternary and has_no_thirds_below and division.ticks <= _MAX_TWO_THIRDS_REST_TICKS
    )
    return is_dotted_beat and (start, end) == (division.start, division.start + 2 * part.ticks)
