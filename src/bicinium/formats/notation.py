"""How a score is written down: which signs stand for its notes and rests, tied, in tuplets, beamed.

Knows time, not pitch: the clefs apart, nothing here looks at how high a note is. Every duration in
ticks can be written: a bar is divided down to 32nds (3 ticks), and any of its divisions can be a
triplet, whose smallest sign (a 64th) is one tick. What no single sign can say is a chain of ties.

The rules are those of engravers (for instance E. Gould, Behind Bars, 2011, on metre): a bar is a
tree of halves or thirds; a sign may cross a division only where both its ends stay on the next
level below, so that the beats are seen; rests cross less than notes do.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import pairwise
from typing import Literal

from bicinium.music.score import Meter, Note, Score, Voice

Clef = Literal["treble", "bass"]
Beam = Literal["begin", "continue", "end", "forward hook", "backward hook"]

# Signs by length; the length of a 64th is one and a half ticks, so all are counted in half ticks.
_SIGNS = {
    384: "breve", 192: "whole", 96: "half", 48: "quarter", 24: "eighth", 12: "16th", 6: "32nd",
    3: "64th",
}  # fmt: skip
_FLAGS = {"eighth": 1, "16th": 2, "32nd": 3, "64th": 4}
_SMALLEST_DIVISION = 3  # ticks

_CLEF_CHANGE_COST = 10.0  # in ledger lines, each counted at every note
_MIDDLE_LINES = {"treble": 71, "bass": 50}  # B4, D3
_STAFF_REACH = 9  # semitones from the middle line to where ledger lines begin
_SEMITONES_A_LEDGER_LINE = 3.4


@dataclass(frozen=True, slots=True)
class Tuplet:
    """Three in the time of two: ``ticks`` from ``onset_tick`` on."""

    onset_tick: int
    ticks: int

    @property
    def sign(self) -> str:
        """The sign of which three stand in the tuplet."""
        return _SIGNS[self.ticks]

    @property
    def end_tick(self) -> int:
        return self.onset_tick + self.ticks


@dataclass(frozen=True, slots=True)
class Symbol:
    """One sign: a note, a part of a note, or a rest (``note`` None)."""

    onset_tick: int
    duration_ticks: int
    note: Note | None
    sign: str
    dots: int = 0
    tuplet: Tuplet | None = None
    tied_from_last: bool = False
    tied_to_next: bool = False
    fills_bar: bool = False  # a rest that stands for a whole bar of any metre
    beams: tuple[Beam, ...] = ()

    @property
    def end_tick(self) -> int:
        return self.onset_tick + self.duration_ticks


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar of all voices. Its ticks count from the first downbeat of the piece."""

    start_tick: int  # where it begins to sound: late, in an anacrusis
    end_tick: int
    voices: tuple[tuple[Symbol, ...], ...]
    clefs: tuple[Clef, ...]  # in force, for each voice


def notate(score: Score) -> list[Bar]:
    """The bars of a score, sign by sign."""
    length = score.meter.bar_ticks
    clefs = [clef_of_bars(voice, score, index) for index, voice in enumerate(score.voices)]
    bars = []
    for index in range(score.bars):
        first_tick, end = index * length, (index + 1) * length
        start = max(first_tick, score.start_tick)
        bars.append(
            Bar(
                start,
                end,
                tuple(_symbols(voice, start, end, score.meter) for voice in score.voices),
                tuple(line[index] for line in clefs),
            )
        )
    return bars


# ------------------------------------------------------------------ the tree of a bar


@dataclass(frozen=True, slots=True)
class _Division:
    """A stretch of a bar, in ticks from its barline, and what it is divided into."""

    start: int
    ticks: int
    parts: tuple[_Division, ...] = ()

    @property
    def end(self) -> int:
        return self.start + self.ticks

    @property
    def ternary(self) -> bool:
        return len(self.parts) == 3

    def cuts(self, a: int, b: int) -> list[int]:
        """The borders between the parts that lie inside (a, b)."""
        return [part.start for part in self.parts[1:] if a < part.start < b]


@lru_cache(maxsize=64)
def _tree(meter: Meter) -> _Division:
    return _of_beats(0, meter.bar_ticks // meter.beat_ticks, meter.beat_ticks)


def _of_beats(start: int, beats: int, beat_ticks: int) -> _Division:
    """Beats in halves where they are even, else in thirds, else one by one."""
    if beats == 1:
        return _of_beat(start, beat_ticks)
    groups = 2 if beats % 2 == 0 else 3 if beats % 3 == 0 else beats
    each = beats // groups
    parts = (_of_beats(start + i * each * beat_ticks, each, beat_ticks) for i in range(groups))
    return _Division(start, beats * beat_ticks, tuple(parts))


def _of_beat(start: int, ticks: int) -> _Division:
    """A beat: thirds where it is a dotted value, halves otherwise, down to 32nds."""
    if ticks <= _SMALLEST_DIVISION:
        return _Division(start, ticks)
    third = ticks // 3
    count = 3 if ticks % 9 == 0 else 2
    each = third if count == 3 else ticks // 2
    return _Division(start, ticks, tuple(_of_beat(start + i * each, each) for i in range(count)))


@lru_cache(maxsize=1024)
def _triplet_tree(start: int, ticks: int) -> _Division:
    """A stretch in three parts, each in halves down to one tick."""

    def halves(at: int, length: int) -> _Division:
        if length == 1:
            return _Division(at, 1)
        half = length // 2
        return _Division(at, length, (halves(at, half), halves(at + half, half)))

    third = ticks // 3
    return _Division(start, ticks, tuple(halves(start + i * third, third) for i in range(3)))


# ------------------------------------------------------------------ tuplets


@lru_cache(maxsize=65536)
def _tuplets(division: _Division, moments: tuple[int, ...]) -> tuple[float, tuple[int, ...]]:
    """What a division costs to write when something happens at ``moments`` (inside or on its
    edges, from the barline), and the starts and lengths of the triplets that are needed.
    """
    inside = tuple(m for m in moments if division.start < m < division.end)
    if all(m % _SMALLEST_DIVISION == 0 for m in inside):
        return 0.0, ()
    parted = _parted(division, moments)
    if not _can_be_triplet(division, inside):
        return parted
    tree = _triplet_tree(division.start, division.ticks)
    edges = [division.start, *inside, division.end]
    signs = sum(len(_split(tree, a, b, False, True)) for a, b in pairwise(edges))
    cut = (division.start not in moments) + (division.end not in moments)
    # Ties cost one each, a bracket one, an edge that cuts a note one and a half.
    cost = 1 + signs - (len(edges) - 1) + 1.5 * cut
    return min((cost, (division.start, division.ticks)), parted)


def _parted(division: _Division, moments: tuple[int, ...]) -> tuple[float, tuple[int, ...]]:
    if not division.parts:
        return float("inf"), ()
    found = [_tuplets(part, moments) for part in division.parts]
    return sum(cost for cost, _ in found), tuple(x for _, spans in found for x in spans)


def _can_be_triplet(division: _Division, inside: tuple[int, ...]) -> bool:
    """Three equal signs in the time of two need a length of 3, 6, 12, …, 96 ticks; over more than a
    quarter only where nothing but the three happens.
    """
    third, rest = divmod(division.ticks, 3)
    if rest or third & (third - 1) or division.ticks not in _SIGNS:
        return False
    return third <= 8 or all((m - division.start) % third == 0 for m in inside)


# ------------------------------------------------------------------ signs


def _sign(ticks: int, in_tuplet: bool) -> tuple[str, int] | None:
    """The sign that lasts so long, and its dots; None where there is none."""
    half_ticks = ticks * (3 if in_tuplet else 2)
    for dots, share in ((0, (1, 1)), (1, (2, 3)), (2, (4, 7))):
        plain, rest = divmod(half_ticks * share[0], share[1])
        if rest == 0 and plain in _SIGNS:
            return _SIGNS[plain], dots
    return None


def _split(
    division: _Division, a: int, b: int, is_rest: bool, in_tuplet: bool
) -> list[tuple[int, int]]:
    """[a, b) in pieces that are one sign each."""
    if (a, b) == (division.start, division.end):
        sign = _sign(b - a, in_tuplet)
        if sign and (not sign[1] or division.ternary or not is_rest):
            return [(a, b)]
    for part in division.parts:
        if part.start <= a and b <= part.end:
            return _split(part, a, b, is_rest, in_tuplet)
    may = _rest_may_cross if is_rest else _note_may_cross
    if _sign(b - a, in_tuplet) and may(division, a, b):
        return [(a, b)]
    cuts = division.cuts(a, b)
    starts_on_part = any(part.start == a for part in division.parts)
    cut = cuts[-1] if starts_on_part and not is_rest else cuts[0]
    return [
        *_split(division, a, cut, is_rest, in_tuplet),
        *_split(division, cut, b, is_rest, in_tuplet),
    ]


def _note_may_cross(division: _Division, a: int, b: int) -> bool:
    """May one sign stand for [a, b), which crosses a border between parts?"""
    part = division.parts[0]
    on_parts = (a - division.start) % part.ticks == 0 and (b - division.start) % part.ticks == 0
    if on_parts or part.ternary:
        return on_parts
    if len(division.parts) == 2 and a == division.start and 8 * (b - a) == 7 * division.ticks:
        return True  # double dotted, and the short note after it
    half = part.ticks // 2
    if part.ticks % 2 or (a - division.start) % half or (b - division.start) % half:
        return False
    if len(division.parts) == 2:
        return True
    starts_on_part = (a - division.start) % part.ticks == 0
    fills_end = b == division.end and len(division.cuts(a, b)) == 1
    return starts_on_part or fills_end or b - a == part.ticks


def _rest_may_cross(division: _Division, a: int, b: int) -> bool:
    """Rests show every beat; only in a dotted beat may two thirds be one rest, at its beginning."""
    part = division.parts[0]
    small = not part.parts or all(len(p.parts) != 3 for p in division.parts)
    in_beat = division.ternary and small and division.ticks <= 36
    return in_beat and a == division.start and b == division.start + 2 * part.ticks


def _symbols(voice: Voice, start: int, end: int, meter: Meter) -> tuple[Symbol, ...]:
    """The signs of one voice in one bar."""
    spans = list(_spans(voice, start, end))
    if len(spans) == 1 and spans[0][2] is None and end - start == meter.bar_ticks:
        return (Symbol(start, end - start, None, "whole", fills_bar=True),)
    barline = end - meter.bar_ticks
    tree = _tree(meter)
    moments = tuple(sorted({a - barline for a, _, _ in spans} | {meter.bar_ticks}))
    flat = _tuplets(tree, moments)[1]
    tuplets = [Tuplet(barline + a, ticks) for a, ticks in zip(flat[::2], flat[1::2], strict=True)]
    symbols: list[Symbol] = []
    for a, b, note in spans:
        for piece_start, piece_end, tuplet in _cut_at_tuplets(a, b, tuplets):
            inside = _triplet_tree(tuplet.onset_tick - barline, tuplet.ticks) if tuplet else tree
            for x, y in _split(
                inside, piece_start - barline, piece_end - barline, note is None, tuplet is not None
            ):
                sign = _sign(y - x, tuplet is not None)
                assert sign is not None
                symbols.append(
                    Symbol(
                        onset_tick=barline + x,
                        duration_ticks=y - x,
                        note=note,
                        sign=sign[0],
                        dots=sign[1],
                        tuplet=tuplet,
                        tied_from_last=note is not None and barline + x > note.onset_tick,
                        tied_to_next=note is not None and barline + y < note.offset_tick,
                    )
                )
    return tuple(_beamed(symbols, barline, meter))


def _spans(voice: Voice, start: int, end: int) -> Iterator[tuple[int, int, Note | None]]:
    """Notes and rests that fill the bar, cut at its barlines."""
    first = bisect_right(voice.notes, start, key=lambda note: note.offset_tick)
    now = start
    for note in voice.notes[first:]:
        if note.onset_tick >= end:
            break
        if note.onset_tick > now:
            yield now, note.onset_tick, None
            now = note.onset_tick
        yield now, min(note.offset_tick, end), note
        now = min(note.offset_tick, end)
    if now < end:
        yield now, end, None


def _cut_at_tuplets(
    a: int, b: int, tuplets: Sequence[Tuplet]
) -> Iterator[tuple[int, int, Tuplet | None]]:
    """[a, b) in pieces that lie inside a tuplet or outside of all."""
    for tuplet in tuplets:
        if tuplet.end_tick <= a or tuplet.onset_tick >= b:
            continue
        if a < tuplet.onset_tick:
            yield a, tuplet.onset_tick, None
            a = tuplet.onset_tick
        yield a, min(b, tuplet.end_tick), tuplet
        a = min(b, tuplet.end_tick)
    if a < b:
        yield a, b, None


# ------------------------------------------------------------------ beams


def _beamed(symbols: list[Symbol], barline: int, meter: Meter) -> Iterator[Symbol]:
    """The symbols with their beams: notes with flags that follow one another in one group."""
    groups = _beam_groups(symbols, barline, meter)
    run: list[Symbol] = []
    group_of_run = -1
    for symbol in symbols:
        group = bisect_right(groups, symbol.onset_tick - barline)
        beamable = symbol.note is not None and symbol.sign in _FLAGS
        if run and (not beamable or group != group_of_run):
            yield from _one_beam(run)
            run = []
        if beamable:
            run.append(symbol)
            group_of_run = group
        else:
            yield symbol
    yield from _one_beam(run)


def _beam_groups(symbols: Sequence[Symbol], barline: int, meter: Meter) -> list[int]:
    """Where beams must end, in ticks from the barline: at beats, or where only eighths stand in
    one half of 4/4, in 2/4 or in 3/4, there.
    """
    beat = meter.beat_ticks if meter.beat_ticks % 9 == 0 else max(meter.beat_ticks, 24)
    if (meter.numerator, meter.denominator) in ((3, 8), (3, 16)):
        beat = meter.bar_ticks
    borders = list(range(0, meter.bar_ticks, beat))
    if meter.denominator != 4 or meter.numerator not in (2, 3, 4):
        return borders
    wide = 72 if meter.numerator == 3 else 48
    for start in range(0, meter.bar_ticks, wide):
        within = [s for s in symbols if start <= s.onset_tick - barline < start + wide]
        plain = all(s.note and s.sign == "eighth" and not (s.dots or s.tuplet) for s in within)
        if plain and within and within[0].onset_tick == barline + start:
            borders = [b for b in borders if not start < b < start + wide]
    return borders


def _one_beam(run: Sequence[Symbol]) -> Iterator[Symbol]:
    """The symbols under one beam, with its lines."""
    if len(run) < 2:
        yield from run
        return
    flags = [_FLAGS[symbol.sign] for symbol in run]
    for i, symbol in enumerate(run):
        beams: list[Beam] = []
        for level in range(1, flags[i] + 1):
            left = i > 0 and flags[i - 1] >= level
            right = i + 1 < len(run) and flags[i + 1] >= level
            if left or right:
                beams.append("continue" if left and right else "end" if left else "begin")
            else:
                forward = i == 0 or (i + 1 < len(run) and flags[i - 1] > flags[i + 1])
                beams.append("forward hook" if forward else "backward hook")
        yield replace(symbol, beams=tuple(beams))


# ------------------------------------------------------------------ clefs


def clef_of_bars(voice: Voice, score: Score, index: int) -> list[Clef]:
    """The clef of each bar of a voice: as few ledger lines as a few changes of clef can buy.

    The upper voice begins in the treble, the others in the bass, unless their first notes lie far
    from it. The cheapest way through all bars is found by dynamic programming.
    """
    names: tuple[Clef, Clef] = ("treble", "bass")
    usual = names[min(index, 1)]
    costs = [[0.0, 0.0] for _ in range(score.bars)]
    for note in voice.notes:
        bar = note.onset_tick // score.meter.bar_ticks
        for i, name in enumerate(names):
            beyond = abs(note.pitch - _MIDDLE_LINES[name]) - _STAFF_REACH
            costs[bar][i] += max(0.0, beyond / _SEMITONES_A_LEDGER_LINE)
    best = [0.0 if name == usual else _CLEF_CHANGE_COST for name in names]
    came_from: list[list[int]] = []
    for cost in costs:
        choice = [
            i if best[i] <= best[1 - i] + _CLEF_CHANGE_COST else 1 - i for i in range(len(names))
        ]
        best = [
            best[c] + (_CLEF_CHANGE_COST if c != i else 0.0) + cost[i] for i, c in enumerate(choice)
        ]
        came_from.append(choice)
    now = 0 if best[0] < best[1] or (best[0] == best[1] and usual == "treble") else 1
    clefs = []
    for choice in reversed(came_from):
        clefs.append(names[now])
        now = choice[now]
    return clefs[::-1]
