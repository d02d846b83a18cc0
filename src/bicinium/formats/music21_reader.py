"""Files that music21 reads (kern, ABC, MEI), on the grid.

music21 parses; here its parts become notes. Grace notes and drums are left out, ties joined, chords
kept. It is imported when a file is read: that takes most of a second, and composing does not need
it.
"""

from __future__ import annotations

import re
import warnings
from fractions import Fraction
from pathlib import Path
from typing import Any

from bicinium.errors import NotationFileError, ScoreError
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

MUSIC21_FORMATS = {".krn": "humdrum", ".abc": "abc", ".mei": "mei"}
_MOST_BYTES = 20_000_000
_VELOCITY = 80


def read_with_music21(path: Path) -> Content:
    """Read a file by music21. Raises NotationFileError where it cannot, or finds no notes."""
    music21 = import_optional("music21", "notation", f"reading {path.suffix} files")
    form = MUSIC21_FORMATS[path.suffix.lower()]
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise NotationFileError(f"{path} is larger than {_MOST_BYTES:,} bytes: no piece is")
        text = path.read_text(encoding="utf-8", errors="replace")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            stream: Any = music21.converter.parseData(text, format=form)
        if isinstance(stream, music21.stream.Opus):
            stream = stream.scores[0]
        stream.toSoundingPitch(inPlace=True)
        return _content(stream, path)
    except ScoreError:
        raise
    except OSError as error:
        raise NotationFileError(f"{path} cannot be opened: {error.strerror or error}") from error
    except Exception as error:  # a damaged file makes music21 fail in every way there is
        reason = re.sub(r"[\s.]+", " ", str(error)).strip() or type(error).__name__
        raise NotationFileError(f"{path} cannot be read as {form}: {reason[:120]}") from error


def _content(stream: Any, path: Path) -> Content:
    parts = list(stream.parts) or [stream]
    rounded = 0
    staves = []
    for part in parts:
        staff, off_grid = _staff(part)
        rounded += off_grid
        if staff.notes:
            staves.append(staff)
    if not staves:
        raise NotationFileError(f"{path} holds no notes")
    changes = _meters(parts[0])
    anacrusis = _anacrusis(parts[0], changes[0][1])
    if anacrusis:
        shift = changes[0][1].bar_ticks - anacrusis
        staves = [staff.shift(shift) for staff in staves]
        changes = [changes[0], *((tick + shift, meter) for tick, meter in changes[1:])]
    signature = next(iter(parts[0].recurse().getElementsByClass("KeySignature")), None)
    tempo = next(iter(stream.recurse().getElementsByClass("MetronomeMark")), None)
    qpm = tempo.getQuarterBPM() if tempo is not None else None
    fifths = int(signature.sharps) if signature is not None else None
    minor = getattr(signature, "mode", None) == "minor"  # a major one often is a default
    about = stream.metadata
    return Content(
        staves=tuple(staves),
        meters=tuple(changes),
        fifths=fifths,
        key=Key.from_signature(fifths, "minor") if fifths is not None and minor else None,
        tempo_qpm=float(qpm) if qpm else 120.0,
        anacrusis_ticks=anacrusis,
        notes_off_grid=rounded,
        notes_left_out=0,
        tempo_changes=0,
        title=(about.title or about.movementName or "") if about else "",
        composer=(about.composer or "") if about else "",
        rights=" ".join((about.copyright or "").split()) if about else "",
    )


def _ticks(quarters: Any) -> tuple[int, bool]:
    """Quarter notes in ticks, rounded, and whether they were on the grid."""
    exact = Fraction(quarters).limit_denominator(960) * TICKS_PER_QUARTER
    return round(exact), exact.denominator == 1


def _staff(part: Any) -> tuple[Staff, int]:
    """The notes of a part, tied ones joined, and how many of them are off the grid."""
    notes: dict[tuple[int, int], Note] = {}  # by onset and pitch
    latest: dict[int, Note] = {}  # by pitch
    off_grid = 0
    for element in part.flatten().notes:
        if element.duration.isGrace or not hasattr(element, "pitches"):
            continue
        onset, begins_on = _ticks(element.offset)
        end, ends_on = _ticks(element.offset + element.quarterLength)
        if end <= onset:
            continue
        off_grid += not (begins_on and ends_on)
        for single in getattr(element, "notes", None) or (element,):
            pitch, tie = single.pitch.midi, single.tie or element.tie
            if not LOWEST_PITCH <= pitch <= HIGHEST_PITCH:
                continue
            start, before = onset, latest.get(pitch)
            if tie and tie.type in ("stop", "continue") and before and before.offset_tick == onset:
                start = before.onset_tick
            latest[pitch] = notes[start, pitch] = Note(start, pitch, end - start, _VELOCITY)
    return Staff(part.partName or "", tuple(sorted(notes.values()))), off_grid


def _meters(part: Any) -> list[tuple[int, Meter]]:
    """The metres and from when each counts. Raises ScoreError for one that notation lacks."""
    meters = {0: COMMON_TIME}
    for signature in part.flatten().getElementsByClass("TimeSignature"):
        meters[_ticks(signature.offset)[0]] = Meter(signature.numerator, signature.denominator)
    changes = sorted(meters.items())
    return [item for i, item in enumerate(changes) if i == 0 or item[1] != changes[i - 1][1]]


def _anacrusis(part: Any, meter: Meter) -> int:
    """Ticks of a first bar that is shorter than its metre, 0 where it is full."""
    bars = list(part.getElementsByClass("Measure"))
    if len(bars) < 2:
        return 0
    first = _ticks(bars[1].offset - bars[0].offset)[0]
    return first if 0 < first < meter.bar_ticks else 0
