"""Read kern, ABC and MEI files with music21, on the grid of 24 ticks to the quarter note.

Grace notes and drums are left out, tied notes are joined, chords are kept. music21 is imported when
a file is read, because its import takes most of a second.
"""

from __future__ import annotations

import re
import warnings
from fractions import Fraction
from pathlib import Path
from typing import Any

from bicinium.errors import NotationFileError, ScoreError
from bicinium.formats.meter_changes import without_repeats
from bicinium.music.content import Content, Staff
from bicinium.music.key import Key
from bicinium.music.score import (
    COMMON_TIME,
    HIGHEST_PITCH,
    LOWEST_PITCH,
    TICKS_PER_QUARTER,
    Meter,
    Note,
)
from bicinium.optional_imports import import_optional

# music21's format names, by suffix.
MUSIC21_FORMATS = {".krn": "humdrum", ".abc": "abc", ".mei": "mei"}

_MAX_BYTES = 20_000_000
_MAX_REASON_CHARACTERS = 120
_MAX_DENOMINATOR = 960  # Fractions of a quarter are taken as multiples of 1/960 at the finest.
_DEFAULT_VELOCITY = 80
_DEFAULT_QPM = 120.0


def read_with_music21(path: Path) -> Content:
    """Read a kern, ABC or MEI file.

    Raises NotationFileError if the file cannot be read or has no notes, and RequestError if music21
    is not installed.
    """
    music21 = import_optional("music21", "notation", f"reading {path.suffix} files")
    file_format = MUSIC21_FORMATS[path.suffix.lower()]
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise NotationFileError(f"{path} is larger than {_MAX_BYTES:,} bytes.")
        text = path.read_text(encoding="utf-8", errors="replace")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            stream: Any = music21.converter.parseData(text, format=file_format)
        if isinstance(stream, music21.stream.Opus):
            stream = stream.scores[0]
        stream.toSoundingPitch(inPlace=True)
        return _content(stream, path)
    except ScoreError:
        raise
    except OSError as error:
        raise NotationFileError(f"{path} cannot be opened: {error.strerror or error}.") from error
    except Exception as error:  # music21 raises errors of every kind for a damaged file.
        reason = re.sub(r"[\s.]+", " ", str(error)).strip() or type(error).__name__
        raise NotationFileError(
            f"{path} cannot be read as {file_format}: {reason[:_MAX_REASON_CHARACTERS]}."
        ) from error


def _content(stream: Any, path: Path) -> Content:
    """Return the content of a music21 score, on the grid. ``path`` is for messages."""
    parts = list(stream.parts) or [stream]
    found = [_staff(part) for part in parts]
    staves = [staff for staff, _ in found if staff.notes]
    if not staves:
        raise NotationFileError(f"{path} holds no notes.")
    meters = _meter_changes(parts[0])
    anacrusis_ticks = _anacrusis_ticks(parts[0], meters[0][1])
    if anacrusis_ticks:
        shift = meters[0][1].bar_ticks - anacrusis_ticks
        staves = [staff.shift(shift) for staff in staves]
        meters = [meters[0], *((tick + shift, meter) for tick, meter in meters[1:])]
    fifths, key = _key_signature(parts[0])
    title, composer, rights = _metadata(stream.metadata)
    return Content(
        staves=tuple(staves),
        meters=tuple(meters),
        fifths=fifths,
        key=key,
        tempo_qpm=_tempo_qpm(stream),
        anacrusis_ticks=anacrusis_ticks,
        notes_off_grid=sum(off_grid for _, off_grid in found),
        notes_left_out=0,
        tempo_changes=0,
        title=title,
        composer=composer,
        rights=rights,
    )


def _tempo_qpm(stream: Any) -> float:
    """Return the first tempo of a score in quarter notes a minute, or the default."""
    mark = next(iter(stream.recurse().getElementsByClass("MetronomeMark")), None)
    tempo_qpm = mark.getQuarterBPM() if mark is not None else None
    return float(tempo_qpm) if tempo_qpm else _DEFAULT_QPM


def _metadata(metadata: Any) -> tuple[str, str, str]:
    """Return title, composer and rights; empty strings where they are not stated."""
    if not metadata:
        return "", "", ""
    title = metadata.title or metadata.movementName or ""
    return title, metadata.composer or "", " ".join((metadata.copyright or "").split())


def _nearest_tick(quarters: Any) -> tuple[int, bool]:
    """Return the nearest tick to a time in quarters, and whether the time lies on the grid."""
    exact = Fraction(quarters).limit_denominator(_MAX_DENOMINATOR) * TICKS_PER_QUARTER
    return round(exact), exact.denominator == 1


def _staff(part: Any) -> tuple[Staff, int]:
    """Return the notes of a part with ties joined, and the number of notes off the grid."""
    notes: dict[tuple[int, int], Note] = {}  # by onset and pitch
    latest: dict[int, Note] = {}  # by pitch
    off_grid = 0
    for element in part.flatten().notes:
        if element.duration.isGrace or not hasattr(element, "pitches"):
            continue
        onset_tick, onset_on_grid = _nearest_tick(element.offset)
        offset_tick, offset_on_grid = _nearest_tick(element.offset + element.quarterLength)
        if offset_tick <= onset_tick:
            continue
        off_grid += not (onset_on_grid and offset_on_grid)
        for single in getattr(element, "notes", None) or (element,):
            pitch, tie = single.pitch.midi, single.tie or element.tie
            if not LOWEST_PITCH <= pitch <= HIGHEST_PITCH:
                continue
            start, last = onset_tick, latest.get(pitch)
            is_continued = tie and tie.type in ("stop", "continue")
            if is_continued and last and last.offset_tick == onset_tick:
                start = last.onset_tick
            note = Note(start, pitch, offset_tick - start, _DEFAULT_VELOCITY)
            latest[pitch] = notes[start, pitch] = note
    return Staff(part.partName or "", tuple(sorted(notes.values()))), off_grid


def _key_signature(part: Any) -> tuple[int | None, Key | None]:
    """Return the first signature in fifths, and its key if it is minor.

    Many files state "major" by default, so a major key is not trusted.
    """
    signature = next(iter(part.recurse().getElementsByClass("KeySignature")), None)
    if signature is None:
        return None, None
    fifths = int(signature.sharps)
    is_minor = getattr(signature, "mode", None) == "minor"
    return fifths, Key.from_signature(fifths, "minor") if is_minor else None


def _meter_changes(part: Any) -> list[tuple[int, Meter]]:
    """Return (tick, metre) of each change, the first at 0. Raises ScoreError if one is invalid."""
    meters = {0: COMMON_TIME}
    for signature in part.flatten().getElementsByClass("TimeSignature"):
        tick, _ = _nearest_tick(signature.offset)
        meters[tick] = Meter(signature.numerator, signature.denominator)
    return without_repeats(sorted(meters.items()))


def _anacrusis_ticks(part: Any, meter: Meter) -> int:
    """Return the length of a first bar that is shorter than its metre, or 0."""
    bars = list(part.getElementsByClass("Measure"))
    if len(bars) < 2:
        return 0
    ticks, _ = _nearest_tick(bars[1].offset - bars[0].offset)
    return ticks if 0 < ticks < meter.bar_ticks else 0
