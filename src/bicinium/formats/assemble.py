"""Assemble the measures of a notation file to ``Content``, on the grid of 24 ticks a quarter note.

Every reader of notation ends here. Time is counted in exact fractions; each onset and end is
rounded from its absolute position, so errors do not add up.

- Tied notes are joined if one begins where the other ends.
- Voices that the file states are used: if there are just two lines, they are the two staves. A line
  that crosses between staves belongs to the staff that has most of its notes.
- A short bar at the start, or where the metre changes, is an anacrusis. Elsewhere a short bar is
  filled with rest, unless the next bar completes it. A bar longer than its metre has a metre of its
  own, unless it is several bars long. Barlines stay where the metre puts them.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import accumulate, pairwise
from math import floor
from pathlib import Path

from bicinium.errors import NotationFileError
from bicinium.formats.grid import MAX_SNAP, GridCount
from bicinium.formats.measures import Measure, MeasureNote, Part
from bicinium.formats.repeats import count_repeats, played_order
from bicinium.formats.spelling import Spelling, sounding_position
from bicinium.music.content import Content, Staff, without_restrikes
from bicinium.music.losses import Loss, LossKind, losses_of
from bicinium.music.score import (
    COMMON_TIME,
    HIGHEST_PITCH,
    LOWEST_PITCH,
    TICKS_PER_QUARTER,
    Meter,
    Note,
    NoteSequence,
    note_array,
)
from bicinium.music.signature import MODES, Signature, Spellings, is_writable

_DEFAULT_VELOCITY = 80
_DEFAULT_QPM = 120.0
_MAX_QUARTERS = 40_000  # 10,000 bars of 4/4. A longer file is damaged.
_MAX_BARS_NAMED = 5  # in a sentence
_MAX_BEATS = 32  # of a metre
_LEAST_EXCESS = Fraction(1, 8)  # quarters; less is an error of rounding
_LEFT_OUT = (LossKind.GRACE, LossKind.CUE, LossKind.NO_LENGTH, LossKind.OFF_PIANO)


@dataclass(frozen=True, slots=True)
class SpelledNote:
    """A note with its ties joined. Times are in quarters from the first downbeat."""

    part: int
    staff: int  # counted through all parts
    voice: str
    onset: Fraction
    offset: Fraction
    spelling: Spelling
    pitch: int  # as it sounds
    velocity: int


@dataclass(frozen=True, slots=True)
class Timeline:
    """Where the measures start, in quarters from the first downbeat."""

    starts: list[Fraction]
    meters: list[tuple[Fraction, Meter]]
    anacrusis: Fraction
    end: Fraction
    losses: tuple[Loss, ...]


def assemble(parts: Sequence[Part], path: Path, *, unfold: bool = False) -> Content:
    """Return the content of some parts. ``path`` is for messages.

    With ``unfold`` repeats are played. Raises NotationFileError if there are no notes.
    """
    counts = _losses_of_measures(parts)
    columns = columns_of(parts)
    if unfold:
        order = played_order(columns)
        parts = [_reordered(part, order) for part in parts]
    else:
        counts[LossKind.REPEAT] = count_repeats(columns)
    timeline = lay_out(parts, path)
    notes, open_ties = join_ties(parts, timeline)
    on_piano = [note for note in notes if LOWEST_PITCH <= note.pitch <= HIGHEST_PITCH]
    if not on_piano:
        unpitched = counts[LossKind.PERCUSSION]
        reason = f" except {unpitched} of percussion" if unpitched else ""
        raise NotationFileError(f"{path} holds no notes{reason}.")
    tempi = _tempi(parts, timeline)
    grid = GridCount()
    staves = _staves(parts, on_piano, grid)
    counts[LossKind.OFF_PIANO] = len(notes) - len(on_piano)
    counts[LossKind.OPEN_TIES] += open_ties
    counts[LossKind.TEMPO] = sum(abs(b - a) > 1e-6 for a, b in pairwise(tempi))
    counts[LossKind.KEY] = _key_changes(parts[0])
    return Content(
        staves=staves,
        meters=tuple((nearest_tick(at * TICKS_PER_QUARTER), m) for at, m in timeline.meters),
        signature=_first_signature(parts),
        tempo_qpm=tempi[0] if tempi else _DEFAULT_QPM,
        anacrusis_ticks=nearest_tick(timeline.anacrusis * TICKS_PER_QUARTER),
        notes_off_grid=grid.off_grid,
        notes_left_out=sum(counts[kind] for kind in _LEFT_OUT),
        tempo_changes=counts[LossKind.TEMPO],
        end_tick=nearest_tick(timeline.end * TICKS_PER_QUARTER),
        losses=(*grid.losses(), *losses_of(counts), *timeline.losses),
        spellings=spellings_of(on_piano),
    )


def columns_of(parts: Sequence[Part]) -> list[list[Measure]]:
    """Return for each index the measures of every part that has one."""
    count = max((len(part.measures) for part in parts), default=0)
    return [[p.measures[i] for p in parts if i < len(p.measures)] for i in range(count)]


def _reordered(part: Part, order: Sequence[int]) -> Part:
    measures = [part.measures[i] if i < len(part.measures) else Measure() for i in order]
    return replace(part, measures=measures)


def nearest_tick(ticks: Fraction) -> int:
    """Round to the nearest tick, halves upwards."""
    return floor(ticks + Fraction(1, 2))


# ------------------------------------------------------------------ staves


def _staves(
    parts: Sequence[Part], notes: Sequence[SpelledNote], grid: GridCount
) -> tuple[Staff, ...]:
    """Return the staves that hold notes, with all times on the grid."""
    lines = _stated_lines(notes)
    if lines:
        names = ["right", "left"]
        home = {note: line for line, of_line in enumerate(lines) for note in map(id, of_line)}
    else:
        names = [name for part in parts for name in _staff_names(part)]
        home = _home_staves(notes)
    by_staff: list[list[Note]] = [[] for _ in names]
    for note in notes:
        onset_tick, offset_tick = _on_grid(note, grid)
        by_staff[home[id(note)]].append(
            Note(onset_tick, note.pitch, max(1, offset_tick - onset_tick), note.velocity)
        )
    return tuple(
        Staff(name, NoteSequence(without_restrikes(note_array(tuple(line)))))
        for name, line in zip(names, by_staff, strict=True)
        if line
    )


def _on_grid(note: SpelledNote, grid: GridCount) -> tuple[int, int]:
    """Return onset and end in ticks. Adds to the count how far the note moved."""
    times = (note.onset * TICKS_PER_QUARTER, note.offset * TICKS_PER_QUARTER)
    ticks = (nearest_tick(times[0]), nearest_tick(times[1]))
    if times[0].denominator != 1 or times[1].denominator != 1:
        move = max(abs(time - tick) for time, tick in zip(times, ticks, strict=True))
        move /= TICKS_PER_QUARTER
        unit = Fraction(1, max(note.onset.denominator, note.offset.denominator))
        if move <= unit <= MAX_SNAP:  # A coarser unit is that of a tuplet.
            grid.snapped += 1
            grid.longest_move = max(grid.longest_move, move)
        else:
            grid.off_grid += 1
    return ticks


def _staff_names(part: Part) -> list[str]:
    if part.staves == 1:
        return [part.name]
    if part.staves == 2:
        return ["right", "left"]
    return [f"{part.name} {number + 1}".strip() for number in range(part.staves)]


def _by_voice(notes: Sequence[SpelledNote]) -> list[list[SpelledNote]]:
    """Return the notes of each voice, in order of time.

    A voice belongs to one part. If the notes of one name overlap, as where each staff has a voice
    1, the voices of the staves are different voices.
    """
    voices: dict[tuple[int, str], list[SpelledNote]] = defaultdict(list)
    for note in sorted(notes, key=lambda note: (note.onset, note.pitch)):
        voices[note.part, note.voice].append(note)
    found = []
    for line in voices.values():
        if _is_line(line):
            found.append(line)
            continue
        by_staff: dict[int, list[SpelledNote]] = defaultdict(list)
        for note in line:
            by_staff[note.staff].append(note)
        found += by_staff.values()
    return found


def _is_line(notes: Sequence[SpelledNote]) -> bool:
    return all(later.onset >= earlier.offset for earlier, later in pairwise(notes))


def _stated_lines(notes: Sequence[SpelledNote]) -> list[list[SpelledNote]] | None:
    """Return the two lines of a file that states just two voices, the higher first, or None.

    Two parts keep their staves, so that their order can be decided by their names.
    """
    if len({note.part for note in notes}) > 1:
        return None
    voices = _merged(_by_voice(notes))
    if len(voices) != 2 or not all(map(_is_line, voices)):
        return None
    if {note.staff for note in voices[0]} == {note.staff for note in voices[1]}:
        return sorted(voices, key=_height, reverse=True)
    return sorted(voices, key=lambda line: (_main_staff(line), -_height(line)))


def _merged(voices: list[list[SpelledNote]]) -> list[list[SpelledNote]]:
    """Return the voices; if they are more than two, the two longest with all notes that fit there.

    A note fits where a line of the same staff is silent. If one does not fit, nothing is merged.
    """
    if len(voices) < 3 or not all(map(_is_line, voices)):
        return voices
    first, second, *others = sorted(voices, key=len, reverse=True)
    lines = [list(first), list(second)]
    for note in sorted((note for voice in others for note in voice), key=lambda n: n.onset):
        fitting = [line for line in lines if _has_room(line, note)]
        if not fitting:
            return voices
        fitting[-1].append(note)
    return [sorted(line, key=lambda note: note.onset) for line in lines]


def _has_room(line: Sequence[SpelledNote], note: SpelledNote) -> bool:
    return note.staff in {other.staff for other in line} and all(
        other.offset <= note.onset or other.onset >= note.offset for other in line
    )


def _height(line: Sequence[SpelledNote]) -> float:
    return sum(note.pitch for note in line) / len(line)


def _main_staff(line: Sequence[SpelledNote]) -> int:
    return Counter(note.staff for note in line).most_common(1)[0][0]


def _home_staves(notes: Sequence[SpelledNote]) -> dict[int, int]:
    """Return the staff of each note, by its identity. A line stays in its main staff."""
    home = {}
    for voice in _by_voice(notes):
        staff = _main_staff(voice) if _is_line(voice) else None
        for note in voice:
            home[id(note)] = note.staff if staff is None else staff
    return home


# ------------------------------------------------------------------ key and tempo


def _losses_of_measures(parts: Sequence[Part]) -> Counter[LossKind]:
    counts: Counter[LossKind] = Counter()
    for part in parts:
        for measure in part.measures:
            counts.update(measure.losses)
    return counts


def _key_changes(part: Part) -> int:
    signatures = [m.fifths for m in part.measures if m.fifths is not None]
    if part.measures[0].fifths is None:
        signatures.insert(0, 0)
    return sum(a != b for a, b in pairwise(signatures))


def _first_signature(parts: Sequence[Part]) -> Signature | None:
    """Return the first signature, with the first mode that is stated; None if there is none."""
    measures = [measure for part in parts for measure in part.measures]
    fifths = next((m.fifths for m in measures if m.fifths is not None), None)
    mode = next((m.mode for m in measures if m.mode in MODES), "")
    return None if fifths is None else Signature(fifths, mode)


def spellings_of(notes: Sequence[SpelledNote]) -> Spellings:
    """Return the spelling of every note as it sounds, by its onset in ticks and its pitch."""
    spellings = {}
    for note in notes:
        position = sounding_position(note.spelling, note.pitch)
        if is_writable(position):
            spellings[nearest_tick(note.onset * TICKS_PER_QUARTER), note.pitch] = position
    return spellings


def _tempi(parts: Sequence[Part], timeline: Timeline) -> list[float]:
    """Return all tempi of all parts in quarters a minute, in order of time, the last of a place."""
    tempi = {
        start + position: tempo_qpm
        for part in parts
        for measure, start in zip(part.measures, timeline.starts, strict=False)
        for position, tempo_qpm in measure.tempi
    }
    return [tempo_qpm for _, tempo_qpm in sorted(tempi.items())]


# ------------------------------------------------------------------ timeline


def lay_out(parts: Sequence[Part], path: Path) -> Timeline:
    """Place the measures one after another so that full bars start on barlines."""
    columns = columns_of(parts)
    if not columns:
        raise NotationFileError(f"{path} holds no measures.")
    lengths = [_length(column) for column in columns]
    stated, longer, divided = _metres_stated(columns, lengths)
    first_bar = bar_quarters(stated[0] or COMMON_TIME)
    has_anacrusis = len(columns) > 1 and 0 < lengths[0] < first_bar
    starts, meters, filled = _place_measures(lengths, stated, has_anacrusis)
    end = starts[-1] + lengths[-1]
    if end > _MAX_QUARTERS:
        raise NotationFileError(f"{path} is damaged: it is longer than {_MAX_QUARTERS} quarters.")
    last_change, meter = meters[-1]
    if beyond := (end - last_change) % bar_quarters(meter):
        end += bar_quarters(meter) - beyond
    numbers = [column[0].number or str(i + 1) for i, column in enumerate(columns)]
    losses = (
        *_bars_loss(LossKind.SHORT_BARS, [numbers[i] for i in filled]),
        *_bars_loss(LossKind.LONG_BARS, [numbers[i] for i in longer]),
        *_bars_loss(LossKind.DIVIDED_BARS, [numbers[i] for i in divided]),
    )
    anacrusis = lengths[0] if has_anacrusis else Fraction(0)
    return Timeline(starts, meters, anacrusis, end, losses)


def _bars_loss(kind: LossKind, numbers: Sequence[str]) -> list[Loss]:
    if not numbers:
        return []
    named = ", ".join(numbers[:_MAX_BARS_NAMED])
    more = " and others" if len(numbers) > _MAX_BARS_NAMED else ""
    return [Loss(kind, len(numbers), f"bar {named}{more}")]


def _length(column: Sequence[Measure]) -> Fraction:
    """Return the length of a measure. A rest for the whole measure is as long as other parts."""
    lengths = [measure.length for measure in column if not measure.is_full_rest]
    return max(lengths or [measure.length for measure in column])


def _metres_stated(
    columns: Sequence[Sequence[Measure]], lengths: list[Fraction]
) -> tuple[list[Meter | None], list[int], list[int]]:
    """Return the metre that begins with each measure, if any, and the indices of long measures.

    A measure longer than its metre has a metre of its own, which the first indices tell. The others
    are of measures that lack barlines: of several bars, or the only one. ``lengths`` of rests for
    the whole measure, and those that are too long by less than a 32nd, are corrected.
    """
    stated = [next((m.meter for m in column if m.meter), None) for column in columns]
    in_force = list(accumulate(stated, lambda last, new: new or last, initial=COMMON_TIME))[1:]
    bars = [bar_quarters(meter or COMMON_TIME) for meter in in_force]
    _correct_lengths(columns, lengths, bars)
    long = [i for i, (length, bar) in enumerate(zip(lengths, bars, strict=True)) if length > bar]
    divided = [i for i in long if len(columns) == 1 or lengths[i] % bars[i] == 0]
    longer = [i for i in long if i not in divided]
    return _with_own_metres(stated, in_force, lengths, longer), longer, divided


def _correct_lengths(
    columns: Sequence[Sequence[Measure]], lengths: list[Fraction], bars: Sequence[Fraction]
) -> None:
    """Give measures the length of the bar that are rests, or are too long by mistake.

    That is by less than a 32nd, or by rests at the end of one part, where another part is right.
    """
    for index, (column, bar) in enumerate(zip(columns, bars, strict=True)):
        excess = lengths[index] - bar
        is_rest = all(measure.is_full_rest for measure in column)
        is_right_elsewhere = excess > 0 and any(measure.length == bar for measure in column)
        if is_right_elsewhere and _last_end(column) <= bar:
            excess = Fraction(0)
        if is_rest or excess == 0 or 0 < excess < _LEAST_EXCESS:
            lengths[index] = bar


def _last_end(column: Sequence[Measure]) -> Fraction:
    """Return where the last note of a measure ends."""
    ends = (note.onset + note.duration for measure in column for note in measure.notes)
    return max(ends, default=Fraction(0))


def _with_own_metres(
    stated: Sequence[Meter | None],
    in_force: Sequence[Meter | None],
    lengths: Sequence[Fraction],
    longer: Sequence[int],
) -> list[Meter | None]:
    """Give long measures metres of their own, after which the metre in force returns."""
    own = {index: _meter_of(lengths[index]) for index in longer}
    returns = {index + 1: in_force[index] for index, meter in own.items() if meter}
    return [own.get(i) or meter or returns.get(i) for i, meter in enumerate(stated)]


def _meter_of(length: Fraction) -> Meter | None:
    """Return a metre whose bar has a length in quarters, in the largest unit; None if none has."""
    for denominator in (4, 8, 16, 32):
        units = length * denominator / 4
        if units.denominator == 1 and units <= _MAX_BEATS:
            return Meter(int(units), denominator)
    return None


def _place_measures(
    lengths: Sequence[Fraction], stated: Sequence[Meter | None], has_anacrusis: bool
) -> tuple[list[Fraction], list[tuple[Fraction, Meter]], list[int]]:
    """Return the start of each measure, the changes of metre, and the indices of filled measures.

    Times are in quarters.
    """
    meter = stated[0] or COMMON_TIME
    meters = [(Fraction(0), meter)]
    starts: list[Fraction] = []
    filled = []
    now = Fraction(0)
    for index, (changed, length) in enumerate(zip(stated, lengths, strict=True)):
        if changed and changed != meter:
            if index and (beyond := (now - meters[-1][0]) % bar_quarters(meter)):
                now += bar_quarters(meter) - beyond
                filled.append(index - 1)
            meter = changed
            meters.append((now, meter))
        if index == 0 and has_anacrusis:
            now += bar_quarters(meter) - length
        else:
            following = lengths[index + 1] if index + 1 < len(lengths) else Fraction(0)
            position = now - meters[-1][0]
            rest = _rest_before(position, length, following, bar_quarters(meter))
            if rest and position:
                filled.append(index - 1)
            now += rest
        starts.append(now)
        now += length
    return starts, meters, filled


def _rest_before(
    position: Fraction, length: Fraction, following: Fraction, bar: Fraction
) -> Fraction:
    """Return the rest to insert before a measure, in quarters.

    ``position`` counts from the last change of metre. A short measure right after the change is an
    anacrusis if the ``following`` one is full. A full measure starts on the next barline.
    """
    if position == 0 and length < bar <= following:
        return bar - length
    beyond = position % bar
    return bar - beyond if beyond and length >= bar else Fraction(0)


def bar_quarters(meter: Meter) -> Fraction:
    """Return the length of a bar in quarters."""
    return Fraction(4 * meter.numerator, meter.denominator)


# ------------------------------------------------------------------ ties


def join_ties(parts: Sequence[Part], timeline: Timeline) -> tuple[list[SpelledNote], int]:
    """Return all notes with tied ones joined, ordered by staff, onset, pitch; and the open ties."""
    notes: list[SpelledNote] = []
    first_staff = open_ties = 0
    for index, part in enumerate(parts):
        found, unmatched = _join_ties_of_part(part, index, timeline, first_staff)
        notes += found
        open_ties += unmatched
        first_staff += part.staves
    notes.sort(key=lambda note: (note.staff, note.onset, note.pitch))
    return notes, open_ties


def _join_ties_of_part(
    part: Part, number: int, timeline: Timeline, first_staff: int
) -> tuple[list[SpelledNote], int]:
    marks = [
        (start + position, velocity)
        for measure, start in zip(part.measures, timeline.starts, strict=False)
        for position, velocity in sorted(measure.velocities)
    ]
    mark_onsets = [onset for onset, _ in marks]
    notes: list[SpelledNote] = []
    # (pitch, voice) -> index in ``notes``, while a tie waits for its second note
    waiting: dict[tuple[int, str], int] = {}
    unmatched = 0
    for onset, written in _notes_in_time(part, timeline):
        offset = onset + written.duration
        tie = (written.pitch, written.voice)
        joins = [
            other
            for other, index in waiting.items()
            if other[0] == written.pitch and notes[index].offset == onset
        ]  # A tie may lead to another voice.
        if written.tied_from_last and joins:
            index = waiting.pop(tie if tie in joins else joins[0])
            notes[index] = replace(notes[index], offset=offset)
        else:
            unmatched += written.tied_from_last
            index = len(notes)
            mark = bisect_right(mark_onsets, onset)
            velocity = written.velocity or (marks[mark - 1][1] if mark else _DEFAULT_VELOCITY)
            staff = first_staff + max(1, min(written.staff, part.staves)) - 1
            notes.append(
                SpelledNote(
                    number, staff, written.voice, onset, offset, written.spelling, written.pitch,
                    velocity,
                )
            )  # fmt: skip
        if written.tied_to_next:
            unmatched += tie in waiting
            waiting[tie] = index
    return notes, unmatched + len(waiting)


def _notes_in_time(part: Part, timeline: Timeline) -> Iterator[tuple[Fraction, MeasureNote]]:
    """Yield the notes of a part with their onsets, in order of time."""
    for measure, start in zip(part.measures, timeline.starts, strict=False):
        for note in sorted(measure.notes, key=lambda note: note.onset):
            yield start + note.onset, note
