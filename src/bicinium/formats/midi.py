"""Read and write MIDI files, on the grid of 24 ticks to the quarter note.

The reader keeps staves apart and changes nothing but time. It rounds each onset and end to the grid
from its absolute position, so errors do not add up. It treats irregular files as follows:

- Type 0, 1 and 2, running status and note-ons of velocity 0 follow the standard.
- The first tempo counts. The number of later ones is reported. A tempo of 0 is ignored.
- A staff that changes its program stays one staff. Drums are left out.
- All metres are reported; ``voice_reduction`` splits the piece there. A first metre that lasts one
  bar and is shorter than the second is an anacrusis.
- Notes without length and notes off the piano are left out and counted. Notes that never end are
  left out uncounted, because symusic drops them.
- A note that starts again while it sounds ends there and starts again.
- A file without notes, with an invalid metre, or that is not MIDI raises MidiFileError.
"""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import mido
import numpy as np
import symusic
from mido.midifiles.meta import KeySignatureError
from numpy.typing import NDArray

from bicinium.atomic_write import atomic_write
from bicinium.errors import MidiFileError, ScoreError
from bicinium.formats.meter_changes import without_repeats
from bicinium.music.content import Content, Staff, without_restrikes
from bicinium.music.key import Key
from bicinium.music.score import (
    COMMON_TIME,
    HIGHEST_PITCH,
    LOWEST_PITCH,
    TICKS_PER_QUARTER,
    Meter,
    NoteArray,
    NoteSequence,
    Score,
    note_array,
)

_STAFF_NAMES = ("right", "left")
_PIANO_PROGRAM = 0
_MICROSECONDS_PER_MINUTE = 60_000_000
_MAX_MICROSECONDS_PER_QUARTER = 2**24 - 1  # A tempo has three bytes.
_MAX_TICKS = TICKS_PER_QUARTER * 4 * 10_000  # 10,000 bars of 4/4. A longer file is damaged.
_DEFAULT_QPM = 120.0


# ------------------------------------------------------------------ reading


def read_midi(path: str | Path) -> Content:
    """Read a MIDI file. Raises MidiFileError if it cannot be read or has no notes."""
    path = Path(path)
    data = _midi_bytes(path)
    try:
        source: Any = symusic.Score.from_midi(data)
        if len({track.program for track in source.tracks}) > 1:
            source = symusic.Score.from_midi(_without_program_changes(path))
    except (RuntimeError, ValueError) as error:
        raise _damaged(path, error) from error
    return _content(source, path)


def read_midi_messages(path: Path) -> mido.MidiFile:
    """Return the messages of a MIDI file unchanged. Raises MidiFileError if it is damaged."""
    try:
        return mido.MidiFile(file=io.BytesIO(_midi_bytes(path)), clip=True)
    except (OSError, EOFError, ValueError, LookupError, TypeError, KeySignatureError) as error:
        raise _damaged(path, error) from error


def _midi_bytes(path: Path) -> bytes:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise MidiFileError(f"{path} cannot be opened: {error.strerror or error}.") from error
    if not data.startswith(b"MThd"):
        raise MidiFileError(f"{path} is not a MIDI file: it does not begin with MThd.")
    if len(data) >= 14 and int.from_bytes(data[12:14], "big", signed=True) <= 0:
        raise MidiFileError(f"{path} counts time in seconds, not in beats. Export it with beats.")
    return data


def _damaged(path: Path, error: Exception) -> MidiFileError:
    reason = (str(error) or type(error).__name__).splitlines()[0]
    return MidiFileError(f"{path} is damaged and cannot be read as MIDI: {reason}.")


def _without_program_changes(path: Path) -> bytes:
    """Return the file without its program changes. symusic would start a new track at each."""
    midi = read_midi_messages(path)
    for track in midi.tracks:
        skipped_ticks = 0  # delta times of the messages left out since the last one kept
        messages = []
        for message in track:
            if message.type == "program_change":
                skipped_ticks += message.time
            else:
                messages.append(message.copy(time=message.time + skipped_ticks))
                skipped_ticks = 0
        track[:] = messages
    file = io.BytesIO()
    midi.save(file=file)
    return file.getvalue()


def _content(source: Any, path: Path) -> Content:
    """Return the content of a symusic score, on the grid. ``path`` is for messages."""
    ticks_per_quarter = int(source.ticks_per_quarter)
    staves: list[Staff] = []
    off_grid = left_out = 0
    for track in source.tracks:
        if track.is_drum or not len(track.notes):
            continue
        notes, omitted = _playable_notes(track)
        left_out += omitted
        times = notes[[0, 2]] * TICKS_PER_QUARTER
        off_grid += int((times % ticks_per_quarter != 0).any(axis=0).sum())
        onset, offset = _nearest_ticks(times, ticks_per_quarter)
        notes[0], notes[2] = onset, np.maximum(1, offset - onset)
        if len(onset):
            staves.append(Staff(track.name, NoteSequence(without_restrikes(notes))))
    if not staves:
        raise MidiFileError(f"{path} holds no notes.")
    arrays = [note_array(staff.notes) for staff in staves]
    end_tick = int(max((notes[0] + notes[2]).max() for notes in arrays))
    if end_tick > _MAX_TICKS:
        raise MidiFileError(f"{path} is damaged: its last note ends after {end_tick} ticks.")
    meters = _meter_changes(source, end_tick, path)
    anacrusis_ticks = _anacrusis_ticks(meters)
    if anacrusis_ticks:
        meter = meters[1][1]
        shift = meter.bar_ticks - anacrusis_ticks
        staves = [staff.shift(shift) for staff in staves]
        meters = [(0, meter), *((tick + shift, later) for tick, later in meters[2:])]
    fifths, key = _key_signature(source)
    tempi = sorted(
        (int(event.time), float(event.qpm)) for event in source.tempos if math.isfinite(event.qpm)
    )
    return Content(
        staves=tuple(staves),
        meters=tuple(meters),
        fifths=fifths,
        key=key,
        tempo_qpm=tempi[0][1] if tempi else _DEFAULT_QPM,
        anacrusis_ticks=anacrusis_ticks,
        notes_off_grid=off_grid,
        notes_left_out=left_out,
        tempo_changes=max(0, len(tempi) - 1),
    )


def _playable_notes(track: Any) -> tuple[NoteArray, int]:
    """Return (4, N) onset, pitch, end, velocity of the notes a piano can play.

    Times are in ticks of the file. The second value is the number of notes left out.
    """
    columns = track.notes.numpy()
    onset, pitch = columns["time"].astype(np.int64), columns["pitch"].astype(np.int64)
    notes = np.stack([onset, pitch, onset + columns["duration"], columns["velocity"]])
    playable = (notes[2] > onset) & (pitch >= LOWEST_PITCH) & (pitch <= HIGHEST_PITCH)
    playable &= (onset >= 0) & (notes[3] > 0)
    if not playable.all():
        notes = notes[:, playable]
    return notes, len(playable) - notes.shape[1]


def _nearest_ticks(times: NDArray[np.int64], ticks_per_quarter: int) -> NDArray[np.int64]:
    """Round times to the grid. ``times`` are ticks of the file, multiplied by 24."""
    return (2 * times + ticks_per_quarter) // (2 * ticks_per_quarter)


def _meter_changes(source: Any, end_tick: int, path: Path) -> list[tuple[int, Meter]]:
    """Return (tick, metre) of each change before ``end_tick``, the first at tick 0."""
    meters: dict[int, Meter] = {0: COMMON_TIME}
    for event in sorted(source.time_signatures, key=lambda event: int(event.time)):
        try:
            meter = Meter(event.numerator, event.denominator)
        except ScoreError as error:
            raise MidiFileError(f"{path} cannot be put into bars: {error}") from error
        time = np.array(event.time * TICKS_PER_QUARTER)
        meters[int(_nearest_ticks(time, int(source.ticks_per_quarter)))] = meter
    return without_repeats([item for item in sorted(meters.items()) if item[0] < end_tick])


def _anacrusis_ticks(meters: Sequence[tuple[int, Meter]]) -> int:
    """Return the length of a first metre that is one short bar, or 0."""
    if len(meters) < 2:
        return 0
    (_, first), (second_tick, second) = meters[:2]
    return first.bar_ticks if second_tick == first.bar_ticks < second.bar_ticks else 0


def _key_signature(source: Any) -> tuple[int | None, Key | None]:
    """Return the first signature in fifths, and its key if it is minor.

    Many programs write "major" by default, so a major key is not trusted.
    """
    signature = min(source.key_signatures, key=lambda event: int(event.time), default=None)
    if not signature or not -7 <= signature.key <= 7:
        return None, None
    fifths = int(signature.key)
    return fifths, Key.from_signature(fifths, "minor") if signature.tonality == 1 else None


# ------------------------------------------------------------------ writing


def write_midi(score: Score, path: str | Path, metadata: Mapping[str, str] | None = None) -> None:
    """Write a type 1 file: a conductor track, then one track for each voice.

    ``metadata`` (such as the seed) is stored as one text. An anacrusis becomes a first bar of its
    own length, as in notation programs. Every track ends on the last barline. Raises MidiFileError
    for a tempo or an anacrusis that MIDI cannot represent.
    """
    midi = mido.MidiFile(type=1, ticks_per_beat=TICKS_PER_QUARTER)
    conductor = _conductor_track(score, path)
    if metadata:
        text = "; ".join(f"{name}: {value}" for name, value in metadata.items())
        conductor.insert(0, mido.MetaMessage("text", text=_latin_1(text)))
    midi.tracks.append(conductor)
    midi.tracks += [_voice_track(score, index) for index in range(len(score.voices))]
    with atomic_write(Path(path)) as temporary:
        midi.save(temporary)


def _conductor_track(score: Score, path: str | Path) -> mido.MidiTrack:
    """Return the track of the title, tempo, time signatures and key signature."""
    microseconds = round(_MICROSECONDS_PER_MINUTE / score.tempo_qpm)
    if microseconds > _MAX_MICROSECONDS_PER_QUARTER:
        slowest_qpm = _MICROSECONDS_PER_MINUTE / _MAX_MICROSECONDS_PER_QUARTER
        raise MidiFileError(
            f"{path} cannot hold a tempo of {score.tempo_qpm:g} quarters a minute: MIDI allows "
            f"{slowest_qpm:.2f} or more. Choose a faster tempo, or MusicXML."
        )
    events: list[tuple[int, mido.MetaMessage]] = []
    if score.title:
        events.append((0, mido.MetaMessage("track_name", name=_latin_1(score.title))))
    events.append((0, mido.MetaMessage("set_tempo", tempo=microseconds)))
    if score.anacrusis_ticks:
        events.append((0, _time_signature(_shortest_meter(score.anacrusis_ticks))))
    events.append((score.anacrusis_ticks, _time_signature(score.meter)))
    if score.key:
        name = str(score.key).split()[0] + ("m" if score.key.mode == "minor" else "")
        events.append((0, mido.MetaMessage("key_signature", key=name)))
    return _track(events, score.end_tick - score.start_tick)


def _voice_track(score: Score, index: int) -> mido.MidiTrack:
    """Return the track of one voice, on the MIDI channel of its index."""
    name = _STAFF_NAMES[index] if index < len(_STAFF_NAMES) else f"voice {index + 1}"
    events = [
        (0, mido.MetaMessage("track_name", name=name)),
        (0, mido.Message("program_change", program=_PIANO_PROGRAM, channel=index)),
    ]
    notes = score.voices[index].notes
    # At one tick, notes end before others start: False sorts before True.
    times = [(note.offset_tick, False, note) for note in notes]
    times += [(note.onset_tick, True, note) for note in notes]
    for tick, starts, note in sorted(times, key=lambda time: time[:2]):
        kind, velocity = ("note_on", note.velocity) if starts else ("note_off", 0)
        message = mido.Message(kind, note=note.pitch, velocity=velocity, channel=index)
        events.append((tick - score.start_tick, message))
    return _track(events, score.end_tick - score.start_tick)


def _track(events: Sequence[tuple[int, mido.Message]], end_tick: int) -> mido.MidiTrack:
    """Return a track of (tick, message) events that ends at ``end_tick``."""
    track = mido.MidiTrack()
    now = 0
    for tick, message in sorted(events, key=lambda event: event[0]):
        track.append(message.copy(time=tick - now))
        now = tick
    track.append(mido.MetaMessage("end_of_track", time=end_tick - now))
    return track


def _time_signature(meter: Meter) -> mido.MetaMessage:
    return mido.MetaMessage(
        "time_signature",
        numerator=meter.numerator,
        denominator=meter.denominator,
        clocks_per_click=meter.beat_ticks,
        notated_32nd_notes_per_beat=8,
    )


def _shortest_meter(ticks: int) -> Meter:
    """Return the metre that ``ticks`` fill, in the largest unit: 24 is 1/4, 36 is 3/8."""
    for denominator in (4, 8, 16, 32):
        unit_ticks = TICKS_PER_QUARTER * 4 // denominator
        if ticks % unit_ticks == 0 and ticks // unit_ticks <= 32:
            return Meter(ticks // unit_ticks, denominator)
    raise MidiFileError(
        f"An anacrusis of {ticks} ticks cannot be written as a bar of 32nds (3 ticks each). "
        "Write MusicXML instead."
    )


def _latin_1(text: str) -> str:
    """Return text as MIDI stores it: Latin-1, with other characters replaced."""
    return text.replace("♭", "b").replace("♯", "#").encode("latin-1", "replace").decode("latin-1")
