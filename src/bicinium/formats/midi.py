"""Read MIDI files, on the grid of 24 ticks to the quarter note.

The reader keeps staves apart: each channel of each track is one. It changes nothing but time (see
``grid``). It treats irregular files as follows; ``Content.losses`` lists what was lost.

- Type 0 and 1. Of type 2, independent pieces, the first that has notes is read.
- The tempo at the first note counts. A tempo of 0 is ignored.
- Drums are left out. The sustain pedal is ignored.
- All metres are reported; ``voice_reduction`` splits the piece there. A first metre that lasts one
  bar and is shorter than the second is an anacrusis. A metre of 0 and a key of more than seven
  sharps or flats are ignored.
- Notes without length and notes off the piano are left out. Notes that never end are held to the
  end of their track. A note that starts again while it sounds ends there.
- A file without notes, in seconds, cut off, or that is not MIDI raises MidiFileError.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bicinium.errors import MidiFileError, ScoreError
from bicinium.formats.grid import GridCount, to_grid
from bicinium.formats.meter_changes import without_repeats
from bicinium.formats.midi_events import TrackEvents
from bicinium.formats.midi_texts import TEXT, TRACK_NAME, decode, title_and_composer
from bicinium.formats.midi_writer import write_midi
from bicinium.formats.musicxml_values import SOFTWARE
from bicinium.formats.source_bytes import read_source
from bicinium.music.content import Content, Staff, without_restrikes
from bicinium.music.losses import Loss, LossKind, losses_of
from bicinium.music.score import (
    COMMON_TIME,
    HIGHEST_PITCH,
    LOWEST_PITCH,
    TICKS_PER_QUARTER,
    Meter,
    NoteSequence,
    note_array,
)
from bicinium.music.signature import Signature

__all__ = ["MidiEvents", "midi_meters", "read_midi", "read_midi_events", "write_midi"]

_MAX_TICKS = TICKS_PER_QUARTER * 4 * 10_000  # 10,000 bars of 4/4. A longer file is damaged.
_MAX_BYTES_BEFORE_HEADER = 1024  # RIFF and MacBinary put a header of their own first.
_DEFAULT_MICROSECONDS = 500_000  # of a quarter note
_MICROSECONDS_PER_MINUTE = 60_000_000
_DRUM_CHANNEL = 9
_MARKER, _TEMPO, _METER, _KEY = 0x06, 0x51, 0x58, 0x59  # types of meta events


@dataclass(slots=True)
class MidiEvents:
    """The tracks of a MIDI file. Times are ticks of the file."""

    ticks_per_quarter: int
    tracks: list[TrackEvents]
    other_pieces: int = 0  # in a file of type 2
    damage: list[str] = field(default_factory=list)

    def metas(self, kind: int) -> list[tuple[int, bytes]]:
        """Return (tick, content) of all meta events of a type, in order of time."""
        found = [
            (tick, data) for t in self.tracks for tick, type_, data in t.metas if type_ == kind
        ]
        return sorted(found, key=lambda meta: meta[0])


def read_midi_events(path: Path) -> MidiEvents:
    """Return the events of a MIDI file. Raises MidiFileError if it cannot be read."""
    return parse_midi_events(read_source(path, MidiFileError), path)


def parse_midi_events(data: bytes, path: Path) -> MidiEvents:
    """Return the events of a MIDI file from its bytes. ``path`` is for messages."""
    start = data.find(b"MThd", 0, _MAX_BYTES_BEFORE_HEADER)
    if start < 0:
        raise MidiFileError(f"{path} is not a MIDI file: it does not begin with MThd.")
    header = data[start + 4 : start + 14]
    if len(header) < 10:
        raise _damaged(path, "its header is cut off")
    size, kind, announced, division = (
        int.from_bytes(header[a:b], "big") for a, b in ((0, 4), (4, 6), (6, 8), (8, 10))
    )
    if not division:
        raise _damaged(path, "it counts 0 ticks to the quarter note")
    if division & 0x8000:
        raise MidiFileError(f"{path} counts time in seconds, not in beats. Export it with beats.")
    try:
        tracks = _tracks(data, start + 8 + max(6, size))
    except ValueError as error:
        raise _damaged(path, str(error)) from error
    if announced and not tracks:
        raise _damaged(path, f"none of its {announced} tracks is there")
    events = MidiEvents(division, tracks)
    if len(tracks) < announced:
        events.damage.append(f"{len(tracks)} of its {announced} tracks are there")
    if kind == 2:
        with_notes = [track for track in tracks if track.count]
        events.tracks, events.other_pieces = with_notes[:1], max(0, len(with_notes) - 1)
    return events


def _tracks(data: bytes, position: int) -> list[TrackEvents]:
    """Return the tracks of a file whose header ends at ``position``.

    The length of a chunk is trusted only if a chunk or the end of the file follows.
    """
    tracks: list[TrackEvents] = []
    while position >= 0 and position + 8 <= len(data):
        name = data[position : position + 4]
        length = int.from_bytes(data[position + 4 : position + 8], "big")
        start = position + 8
        end = start + length
        if name != b"MTrk":
            position = end if name.isalnum() and end <= len(data) else data.find(b"MTrk", position)
            continue
        track = TrackEvents()
        is_sound = end == len(data) or (end < len(data) and data[end : end + 4].isalnum())
        track.scan(data, start, end if is_sound else len(data))
        if not (is_sound or track.has_ended):
            raise ValueError(f"track {len(tracks) + 1} is cut off")
        tracks.append(track)
        position = end if is_sound else data.find(b"MTrk", track.position)
    return tracks


def _damaged(path: Path, reason: str) -> MidiFileError:
    return MidiFileError(f"{path} is damaged and cannot be read as MIDI: {reason}.")


def read_midi(path: str | Path) -> Content:
    """Read a MIDI file. Raises MidiFileError if it cannot be read or has no notes."""
    path = Path(path)
    return midi_content(read_midi_events(path), path)


def midi_content(events: MidiEvents, path: Path) -> Content:
    """Return the content of the events of a MIDI file. ``path`` is for messages."""
    counts: Counter[LossKind] = Counter()
    grid = GridCount()
    staves = [staff for track in events.tracks for staff in _staves(track, events, counts, grid)]
    if not staves:
        raise MidiFileError(f"{path} holds no notes.")
    end_tick = max(_end_tick(staff) for staff in staves)
    if end_tick > _MAX_TICKS:
        raise MidiFileError(f"{path} is damaged: its last note ends after {end_tick} ticks.")
    first_onset = min(int(t.notes[0, 0]) for t in events.tracks if t.count)
    meters = _meter_changes(events, end_tick, path, counts)
    anacrusis_ticks = _anacrusis_ticks(meters)
    if anacrusis_ticks:
        meter = meters[1][1]
        shift = meter.bar_ticks - anacrusis_ticks
        staves = [staff.shift(shift) for staff in staves]
        meters = [(0, meter), *((tick + shift, later) for tick, later in meters[2:])]
    signature = _key_signature(events, counts)
    left_out = counts[LossKind.OFF_PIANO] + counts[LossKind.NO_LENGTH]
    tempo_qpm = _tempo_qpm(events, first_onset, counts)
    title, composer = title_and_composer(events.tracks)
    counts[LossKind.PEDAL] = sum(track.pedal_uses for track in events.tracks)
    return Content(
        staves=tuple(staves),
        meters=tuple(meters),
        signature=signature,
        tempo_qpm=tempo_qpm,
        anacrusis_ticks=anacrusis_ticks,
        title=title,
        composer=composer,
        notes_off_grid=grid.off_grid,
        notes_left_out=left_out,
        tempo_changes=counts[LossKind.TEMPO],
        losses=(*grid.losses(), *losses_of(counts), *_losses_of_file(events)),
    )


def _losses_of_file(events: MidiEvents) -> list[Loss]:
    """Return what is to be said of a file as a whole."""
    losses = [Loss(LossKind.DAMAGE, 1, text) for text in events.damage]
    if events.other_pieces:
        total = str(events.other_pieces + 1)
        losses.append(Loss(LossKind.OTHER_PIECES, events.other_pieces, total))
    return losses


def _end_tick(staff: Staff) -> int:
    notes = note_array(staff.notes)
    return int((notes[0] + notes[2]).max())


def _staves(
    track: TrackEvents, events: MidiEvents, counts: Counter[LossKind], grid: GridCount
) -> list[Staff]:
    """Return a staff for each channel of a track that has notes, on the grid."""
    if not track.count:
        return []
    notes = _playable(track, counts)
    name = next((data for _, kind, data in track.metas if kind == TRACK_NAME), b"")
    staves = []
    channels = np.flatnonzero(np.bincount(notes[4], minlength=1))
    for number in channels:
        chosen = notes if len(channels) == 1 else notes[:, notes[4] == number]
        counts[LossKind.RESTRUCK] += _restrikes(chosen)
        ticks = to_grid(chosen[:2], events.ticks_per_quarter, grid)
        columns = np.array([ticks[0], chosen[2], np.maximum(1, ticks[1] - ticks[0]), chosen[3]])
        staves.append(Staff(decode(name), NoteSequence(without_restrikes(columns))))
    return staves


def _playable(track: TrackEvents, counts: Counter[LossKind]) -> NDArray[np.int64]:
    """Return the notes of a track that have a length, are on the piano, and are no drums."""
    counts[LossKind.NEVER_ENDED] += len(track.never_ended)
    onset, end, pitch, _, channel = track.notes
    is_drum = channel == _DRUM_CHANNEL
    has_length = end > onset
    on_piano = (pitch >= LOWEST_PITCH) & (pitch <= HIGHEST_PITCH)
    playable = has_length & on_piano & ~is_drum
    if playable.all():
        return track.notes
    counts[LossKind.PERCUSSION] += int(is_drum.sum())
    counts[LossKind.NO_LENGTH] += int((~has_length & ~is_drum).sum())
    counts[LossKind.OFF_PIANO] += int((has_length & ~on_piano & ~is_drum).sum())
    return track.notes[:, playable]


def _restrikes(notes: NDArray[np.int64]) -> int:
    """Return the number of notes that still sound when their pitch starts again."""
    onset, end, pitch = notes[:3]
    if (onset[1:] >= end[:-1]).all():  # a line
        return 0
    order = np.lexsort((onset, pitch))
    onset, end, same = onset[order], end[order], np.diff(pitch[order]) == 0
    return int((same & (end[:-1] > onset[1:])).sum())


def _tempo_qpm(events: MidiEvents, first_onset: int, counts: Counter[LossKind]) -> float:
    """Return the tempo in force at the first note, in quarters a minute."""
    tempi = [(tick, int.from_bytes(data, "big")) for tick, data in events.metas(_TEMPO)]
    tempi = [(tick, length) for tick, length in tempi if length]
    before = [length for tick, length in tempi if tick <= first_onset]
    length = before[-1] if before else _DEFAULT_MICROSECONDS
    changes = 0
    now = length
    for tick, later in tempi:
        if tick > first_onset and later != now:
            changes, now = changes + 1, later
    counts[LossKind.TEMPO] = changes
    return _MICROSECONDS_PER_MINUTE / length


def _meter_changes(
    events: MidiEvents, end_tick: int, path: Path, counts: Counter[LossKind]
) -> list[tuple[int, Meter]]:
    """Return (tick, metre) of each change before ``end_tick``, the first at tick 0."""
    meters: dict[int, Meter] = {0: COMMON_TIME}
    signatures = events.metas(_METER)
    try:
        valid = midi_meters(events)
    except ScoreError as error:
        raise MidiFileError(f"{path} cannot be put into bars: {error}") from error
    counts[LossKind.BAD_METER] = len(signatures) - len(valid)
    for tick, meter in valid:
        scaled = 2 * tick * TICKS_PER_QUARTER + events.ticks_per_quarter
        meters[scaled // (2 * events.ticks_per_quarter)] = meter
    return without_repeats([item for item in sorted(meters.items()) if item[0] < end_tick])


def midi_meters(events: MidiEvents) -> list[tuple[int, Meter]]:
    """Return (tick of the file, metre) of each time signature. Those without beats are left out.

    Raises ScoreError for a metre that notation does not have.
    """
    return [
        (tick, Meter(data[0], 2 ** min(data[1], 16)))
        for tick, data in events.metas(_METER)
        if len(data) >= 2 and data[0]
    ]


def _anacrusis_ticks(meters: Sequence[tuple[int, Meter]]) -> int:
    """Return the length of a first metre that is one short bar, or 0."""
    if len(meters) < 2:
        return 0
    (_, first), (second_tick, second) = meters[:2]
    return first.bar_ticks if second_tick == first.bar_ticks < second.bar_ticks else 0


def _key_signature(events: MidiEvents, counts: Counter[LossKind]) -> Signature | None:
    """Return the first signature; None if there is none.

    Many programs write "major" by default, so only files of bicinium state a major mode.
    """
    signatures = []
    for tick, data in events.metas(_KEY):
        fifths = int.from_bytes(data[:1], "big", signed=True)
        if len(data) < 2 or abs(fifths) > 7:
            counts[LossKind.BAD_KEY] += 1
        else:
            signatures.append((tick, fifths, data[1] == 1))
    if not signatures:
        return None
    first_tick, fifths, is_minor = signatures[0]
    later = [s for s in signatures if s[0] > first_tick]
    counts[LossKind.KEY] += sum(
        after[1:] != before[1:]
        for before, after in zip([signatures[0], *later], later, strict=False)
    )
    if is_minor:
        return Signature(fifths, "minor")
    texts = [*events.metas(TEXT), *events.metas(_MARKER)]
    is_ours = any(text.startswith(SOFTWARE.encode()) for _, text in texts)
    return Signature(fifths, "major" if is_ours else "")
