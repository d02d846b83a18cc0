"""Read MusicXML files into ``Content``, on the grid of 24 ticks to the quarter note.

The reader takes notes, metres, keys, tempi, dynamics and titles. It counts time in exact fractions
and rounds each onset and end to the grid from its absolute position, so errors do not add up.

- Each staff of each part becomes a staff. The two staves of a keyboard part are named ``right``
  and ``left``.
- Repeats are not unfolded. First and second endings follow one another.
- Grace notes, cue notes and unpitched notes are left out. Ornaments are not played.
- Transposing instruments are read at sounding pitch. Tied notes are joined.
- A short bar at the start, or where the metre changes, is an anacrusis. Elsewhere a short bar is
  filled with rest, unless the next bar completes it. Barlines stay where the metre puts them.
"""

from __future__ import annotations

import zipfile
import zlib
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise
from math import floor
from pathlib import Path
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from bicinium.errors import NotationFileError
from bicinium.formats.musicxml_measures import (
    Measure,
    MeasureNote,
    Part,
    element_text,
    parse_parts,
)
from bicinium.formats.musicxml_values import SOFTWARE
from bicinium.formats.spelling import Spelling
from bicinium.music.content import Content, Staff, without_restrikes
from bicinium.music.key import Key
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

MUSICXML_SUFFIXES = (".musicxml", ".xml", ".mxl")

_DEFAULT_VELOCITY = 80
_DEFAULT_QPM = 120.0
_MAX_QUARTERS = 40_000  # 10,000 bars of 4/4. A longer file is damaged.


@dataclass(frozen=True, slots=True)
class SpelledNote:
    """A note with its ties joined. Times are in quarters from the first downbeat."""

    staff: int  # counted through all parts
    voice: str
    onset: Fraction
    offset: Fraction
    spelling: Spelling
    pitch: int  # as it sounds
    velocity: int


@dataclass(frozen=True, slots=True)
class _Timeline:
    """Where the measures start, in quarters from the first downbeat."""

    starts: list[Fraction]
    meters: list[tuple[Fraction, Meter]]
    anacrusis: Fraction
    end: Fraction


def read_musicxml(path: str | Path) -> Content:
    """Read a MusicXML file, compressed or not.

    Raises NotationFileError if the file cannot be read or has no notes.
    """
    path = Path(path)
    return parse_content(parse_musicxml(path), path)


def parse_musicxml(path: Path) -> Element:
    """Return the root element of a MusicXML file. Raises NotationFileError if it is damaged."""
    try:
        data = path.read_bytes()
        if data.startswith(b"PK"):
            data = _decompress(path)
        return ElementTree.fromstring(data)
    except OSError as error:
        raise NotationFileError(f"{path} cannot be opened: {error.strerror or error}.") from error
    except (
        zipfile.BadZipFile, zlib.error, EOFError, KeyError, NotImplementedError, RuntimeError
    ) as error:  # fmt: skip
        raise NotationFileError(f"{path} is damaged and cannot be unpacked: {error}.") from error
    except (ElementTree.ParseError, LookupError, ValueError) as error:
        raise NotationFileError(f"{path} is not well-formed XML: {error}.") from error


def _decompress(path: Path) -> bytes:
    """Return the score inside a compressed file. Its container file names the score."""
    with zipfile.ZipFile(path) as archive:
        container = ElementTree.fromstring(archive.read("META-INF/container.xml"))
        elements = (e for e in container.iter() if e.tag.rpartition("}")[2] == "rootfile")
        root = next(elements, None)
        if root is None:
            raise KeyError("its container names no score")
        return archive.read(root.get("full-path", ""))


def read_spelled_notes(root: Element, path: Path) -> list[SpelledNote]:
    """Return the notes of a score with their spelling, ordered by staff, onset and pitch."""
    parts = parse_parts(root, path)
    return _join_ties(parts, _lay_out(parts, path))


def parse_content(root: Element, path: Path) -> Content:
    """Return the content of a parsed score. ``path`` is for messages."""
    parts = parse_parts(root, path)
    timeline = _lay_out(parts, path)
    notes = _join_ties(parts, timeline)
    on_piano = [note for note in notes if LOWEST_PITCH <= note.pitch <= HIGHEST_PITCH]
    measures = [measure for part in parts for measure in part.measures]
    if not on_piano:
        unpitched = sum(measure.unpitched_notes for measure in measures)
        reason = f" except {unpitched} of percussion" if unpitched else ""
        raise NotationFileError(f"{path} holds no notes{reason}.")
    fifths, key = _key_signature(measures, trust_major=_is_written_by_bicinium(root))
    tempi = _tempi(parts, timeline)
    return Content(
        staves=_staves(parts, on_piano),
        meters=tuple((_nearest_tick(at * TICKS_PER_QUARTER), m) for at, m in timeline.meters),
        fifths=fifths,
        key=key,
        tempo_qpm=tempi[0] if tempi else _DEFAULT_QPM,
        anacrusis_ticks=_nearest_tick(timeline.anacrusis * TICKS_PER_QUARTER),
        notes_off_grid=sum(not _is_on_grid(note) for note in on_piano),
        notes_left_out=sum(m.omitted_notes for m in measures) + len(notes) - len(on_piano),
        tempo_changes=sum(abs(later - earlier) > 1e-6 for earlier, later in pairwise(tempi)),
        end_tick=_nearest_tick(timeline.end * TICKS_PER_QUARTER),
        rights=_rights(root),
        title=element_text(root, "work/work-title") or element_text(root, "movement-title"),
        composer=_composer(root),
    )


def _is_on_grid(note: SpelledNote) -> bool:
    times = (note.onset * TICKS_PER_QUARTER, note.offset * TICKS_PER_QUARTER)
    return all(ticks.denominator == 1 for ticks in times)


def _rights(root: Element) -> str:
    """Return all statements of rights in one line."""
    texts = [element.text or "" for element in root.iterfind("identification/rights")]
    return " ".join(" ".join(texts).split())


def _nearest_tick(ticks: Fraction) -> int:
    """Round to the nearest tick, halves upwards."""
    return floor(ticks + Fraction(1, 2))


def _staves(parts: Sequence[Part], notes: Sequence[SpelledNote]) -> tuple[Staff, ...]:
    """Return the staves that hold notes, with all times rounded to the grid."""
    names = [name for part in parts for name in _staff_names(part)]
    by_staff: list[list[Note]] = [[] for _ in names]
    for note in notes:
        onset_tick = _nearest_tick(note.onset * TICKS_PER_QUARTER)
        offset_tick = _nearest_tick(note.offset * TICKS_PER_QUARTER)
        by_staff[note.staff].append(
            Note(onset_tick, note.pitch, max(1, offset_tick - onset_tick), note.velocity)
        )
    return tuple(
        Staff(name, NoteSequence(without_restrikes(note_array(tuple(line)))))
        for name, line in zip(names, by_staff, strict=True)
        if line
    )


def _staff_names(part: Part) -> list[str]:
    if part.staves == 1:
        return [part.name]
    if part.staves == 2:
        return ["right", "left"]
    return [f"{part.name} {number + 1}".strip() for number in range(part.staves)]


def _key_signature(measures: Sequence[Measure], trust_major: bool) -> tuple[int | None, Key | None]:
    """Return the first signature in fifths, and its key if the mode can be trusted.

    Many programs write "major" by default, so major counts only if ``trust_major``.
    """
    fifths = next((m.fifths for m in measures if m.fifths is not None), None)
    mode = next((m.mode for m in measures if m.mode), "")
    if fifths is None:
        return None, None
    if mode == "minor":
        return fifths, Key.from_signature(fifths, "minor")
    if mode == "major" and trust_major:
        return fifths, Key.from_signature(fifths, "major")
    return fifths, None


def _is_written_by_bicinium(root: Element) -> bool:
    return any(
        (software.text or "").startswith(SOFTWARE)
        for software in root.iterfind("identification/encoding/software")
    )


def _composer(root: Element) -> str:
    creators = root.iterfind("identification/creator")
    names = ((c.text or "").strip() for c in creators if c.get("type") == "composer")
    return next(names, "")


def _tempi(parts: Sequence[Part], timeline: _Timeline) -> list[float]:
    """Return all tempi of all parts in quarters a minute, in order of time."""
    tempi = [
        (start + position, tempo_qpm)
        for part in parts
        for measure, start in zip(part.measures, timeline.starts, strict=False)
        for position, tempo_qpm in measure.tempi
    ]
    return [tempo_qpm for _, tempo_qpm in sorted(tempi, key=lambda tempo: tempo[0])]


# ------------------------------------------------------------------ timeline


def _lay_out(parts: Sequence[Part], path: Path) -> _Timeline:
    """Place the measures one after another so that full bars start on barlines."""
    count = max(len(part.measures) for part in parts)
    if not count:
        raise NotationFileError(f"{path} holds no measures.")
    columns = [_measures_at(parts, index) for index in range(count)]
    lengths = [max(measure.length for measure in column) for column in columns]
    stated = [next((m.meter for m in column if m.meter), None) for column in columns]
    has_anacrusis = count > 1 and 0 < lengths[0] < _bar_quarters(stated[0] or COMMON_TIME)
    starts, meters = _place_measures(lengths, stated, has_anacrusis)
    end = starts[-1] + lengths[-1]
    if end > _MAX_QUARTERS:
        raise NotationFileError(f"{path} is damaged: it is longer than {_MAX_QUARTERS} quarters.")
    last_change, meter = meters[-1]
    if beyond := (end - last_change) % _bar_quarters(meter):
        end += _bar_quarters(meter) - beyond
    return _Timeline(starts, meters, lengths[0] if has_anacrusis else Fraction(0), end)


def _measures_at(parts: Sequence[Part], index: int) -> list[Measure]:
    """Return the measure at an index of every part that has one."""
    return [part.measures[index] for part in parts if index < len(part.measures)]


def _place_measures(
    lengths: Sequence[Fraction], stated: Sequence[Meter | None], has_anacrusis: bool
) -> tuple[list[Fraction], list[tuple[Fraction, Meter]]]:
    """Return the start of each measure, and the changes of metre with their times, in quarters."""
    meter = stated[0] or COMMON_TIME
    meters = [(Fraction(0), meter)]
    starts: list[Fraction] = []
    now = Fraction(0)
    for index, (changed, length) in enumerate(zip(stated, lengths, strict=True)):
        if changed and changed != meter:
            meter = changed
            meters.append((now, meter))
        if index == 0 and has_anacrusis:
            now += _bar_quarters(meter) - length
        else:
            following = lengths[index + 1] if index + 1 < len(lengths) else Fraction(0)
            now += _rest_before(now - meters[-1][0], length, following, _bar_quarters(meter))
        starts.append(now)
        now += length
    return starts, meters


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


def _bar_quarters(meter: Meter) -> Fraction:
    return Fraction(4 * meter.numerator, meter.denominator)


# ------------------------------------------------------------------ ties


def _join_ties(parts: Sequence[Part], timeline: _Timeline) -> list[SpelledNote]:
    """Return all notes with tied ones joined, ordered by staff, onset and pitch."""
    notes: list[SpelledNote] = []
    first_staff = 0
    for part in parts:
        notes += _join_ties_of_part(part, timeline, first_staff)
        first_staff += part.staves
    notes.sort(key=lambda note: (note.staff, note.onset, note.pitch))
    return notes


def _join_ties_of_part(part: Part, timeline: _Timeline, first_staff: int) -> list[SpelledNote]:
    marks = [
        (start + position, velocity)
        for measure, start in zip(part.measures, timeline.starts, strict=False)
        for position, velocity in sorted(measure.velocities)
    ]
    mark_onsets = [onset for onset, _ in marks]
    notes: list[SpelledNote] = []
    open_ties: dict[tuple[int, str], int] = {}  # (pitch, voice) -> index in ``notes``
    for onset, written in _notes_in_time(part, timeline):
        offset = onset + written.duration
        tie = (written.pitch, written.voice)
        if written.tied_from_last and tie not in open_ties:  # A tie may lead to another voice.
            tie = next((other for other in open_ties if other[0] == written.pitch), tie)
        if written.tied_from_last and tie in open_ties:
            index = open_ties.pop(tie)
            notes[index] = replace(notes[index], offset=offset)
        else:
            index = len(notes)
            mark = bisect_right(mark_onsets, onset)
            velocity = written.velocity or (marks[mark - 1][1] if mark else _DEFAULT_VELOCITY)
            staff = first_staff + min(written.staff, part.staves) - 1
            notes.append(
                SpelledNote(
                    staff, written.voice, onset, offset, written.spelling, written.pitch, velocity
                )
            )
        if written.tied_to_next:
            open_ties[written.pitch, written.voice] = index
    return notes


def _notes_in_time(part: Part, timeline: _Timeline) -> Iterator[tuple[Fraction, MeasureNote]]:
    """Yield the notes of a part with their onsets, in order of time."""
    for measure, start in zip(part.measures, timeline.starts, strict=False):
        for note in sorted(measure.notes, key=lambda note: note.onset):
            yield start + note.onset, note
