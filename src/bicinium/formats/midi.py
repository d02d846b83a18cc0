"""MIDI files in and out, on the grid of 24 ticks to the quarter note.

Reading keeps the staves apart and changes nothing but time: onsets and ends are rounded to the grid
from their absolute position, so that no error accumulates. What other programs leave in files is
handled like this:

- type 0, 1 and 2, running status, note-ons of velocity 0: as the standard says;
- several tempi: the first counts, the number of the others is reported; one of 0 is no tempo;
- a hand that changes its sound (program) is still one staff; drums are left out;
- several metres: all are reported, ``texture`` splits the piece there; a first metre that lasts for
  one bar and is shorter than the second is an anacrusis;
- notes of no length, notes off the piano, notes that never end: left out and, the last excepted,
  counted (symusic drops what never ends before we see it);
- a note that starts again while it sounds: ends there, and starts again;
- a file without notes, one in a metre that notation does not have, or one that is no MIDI:
  MidiFileError.
"""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import mido
import numpy as np
import symusic
from mido.midifiles.meta import KeySignatureError
from numpy.typing import NDArray

from bicinium.atomic_write import atomic_write
from bicinium.errors import MidiFileError, ScoreError
from bicinium.music.content import Content, Staff, without_restrikes
from bicinium.music.key import Key
from bicinium.music.score import (
    COMMON_TIME,
    HIGHEST_PITCH,
    LOWEST_PITCH,
    TICKS_PER_QUARTER,
    Meter,
    NoteSequence,
    Score,
    note_array,
)

_HAND_NAMES = ("right", "left")
_PIANO_PROGRAM = 0
_MICROSECONDS_A_MINUTE = 60_000_000
_MOST_MICROSECONDS = 2**24 - 1  # of a quarter note: a tempo has three bytes
_MAX_TICKS = TICKS_PER_QUARTER * 4 * 10_000  # ten thousand bars: beyond is a damaged file


def read_midi(path: str | Path) -> Content:
    """Read a MIDI file. Raises MidiFileError where it cannot be read or has no notes."""
    path = Path(path)
    data = _midi_bytes(path)
    try:
        source: Any = symusic.Score.from_midi(data)
        if len({track.program for track in source.tracks}) > 1:
            source = symusic.Score.from_midi(_without_programs(path))
    except (RuntimeError, ValueError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise MidiFileError(f"{path} is damaged and cannot be read as MIDI: {reason}") from error
    return _on_grid(source, path)


def _midi_bytes(path: Path) -> bytes:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise MidiFileError(f"{path} cannot be opened: {error.strerror or error}") from error
    if not data.startswith(b"MThd"):
        raise MidiFileError(f"{path} is not a MIDI file: it does not begin with MThd")
    if len(data) >= 14 and int.from_bytes(data[12:14], "big", signed=True) <= 0:
        raise MidiFileError(f"{path} counts time in seconds, not in beats; export it with beats")
    return data


def read_midi_messages(path: Path) -> mido.MidiFile:
    """The messages of a MIDI file as they stand in it. Raises MidiFileError where it is damaged."""
    try:
        return mido.MidiFile(file=io.BytesIO(_midi_bytes(path)), clip=True)
    except (OSError, EOFError, ValueError, LookupError, TypeError, KeySignatureError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise MidiFileError(f"{path} is damaged and cannot be read as MIDI: {reason}") from error


def _without_programs(path: Path) -> bytes:
    """The file without its program changes, at which symusic would begin another track."""
    midi = read_midi_messages(path)
    for track in midi.tracks:
        passed = 0  # ticks before the messages left out
        kept = []
        for message in track:
            if message.type == "program_change":
                passed += message.time
            else:
                kept.append(message.copy(time=message.time + passed))
                passed = 0
        track[:] = kept
    without = io.BytesIO()
    midi.save(file=without)
    return without.getvalue()


def _on_grid(source: Any, path: Path) -> Content:
    per_quarter = int(source.ticks_per_quarter)

    def to_grid(times: NDArray[np.int64]) -> NDArray[np.int64]:
        """Source ticks, times 24, to the nearest tick."""
        return (2 * times + per_quarter) // (2 * per_quarter)

    staves: list[Staff] = []
    off_grid = left_out = 0
    for track in source.tracks:
        if track.is_drum or not len(track.notes):
            continue
        columns = track.notes.numpy()
        onset, pitch = columns["time"].astype(np.int64), columns["pitch"].astype(np.int64)
        notes = np.stack([onset, pitch, onset + columns["duration"], columns["velocity"]])
        keep = (notes[2] > onset) & (pitch >= LOWEST_PITCH) & (pitch <= HIGHEST_PITCH)
        keep &= (onset >= 0) & (notes[3] > 0)
        if not keep.all():
            notes = notes[:, keep]
        left_out += len(keep) - notes.shape[1]
        times = notes[[0, 2]] * TICKS_PER_QUARTER
        off_grid += int((times % per_quarter != 0).any(axis=0).sum())
        onset, offset = to_grid(times)
        notes[0], notes[2] = onset, np.maximum(1, offset - onset)
        if len(onset):
            staves.append(Staff(track.name, NoteSequence(without_restrikes(notes))))
    if not staves:
        raise MidiFileError(f"{path} holds no notes")
    columns_of_staves = [note_array(staff.notes) for staff in staves]
    end_tick = int(max((notes[0] + notes[2]).max() for notes in columns_of_staves))
    if end_tick > _MAX_TICKS:
        raise MidiFileError(f"{path} is damaged: its last note ends after {end_tick} ticks")

    meters: dict[int, Meter] = {0: COMMON_TIME}
    for event in sorted(source.time_signatures, key=lambda event: int(event.time)):
        try:
            meter = Meter(event.numerator, event.denominator)
        except ScoreError as error:
            raise MidiFileError(f"{path} cannot be put into bars: {error}") from error
        meters[int(to_grid(np.array(event.time * TICKS_PER_QUARTER)))] = meter
    changes = [item for item in sorted(meters.items()) if item[0] < end_tick]
    changes = [item for i, item in enumerate(changes) if i == 0 or item[1] != changes[i - 1][1]]
    anacrusis = 0
    if len(changes) > 1:
        (_, pickup), (second_tick, meter) = changes[:2]
        if second_tick == pickup.bar_ticks < meter.bar_ticks:
            anacrusis = pickup.bar_ticks
            shift = meter.bar_ticks - anacrusis
            staves = [staff.shift(shift) for staff in staves]
            changes = [(0, meter), *((tick + shift, later) for tick, later in changes[2:])]

    signature = min(source.key_signatures, key=lambda event: int(event.time), default=None)
    fifths: int | None = None
    key: Key | None = None
    if signature and -7 <= signature.key <= 7:
        fifths = int(signature.key)
        key = Key.from_signature(fifths, "minor") if signature.tonality == 1 else None
    tempi = sorted(
        (int(event.time), float(event.qpm)) for event in source.tempos if math.isfinite(event.qpm)
    )
    return Content(
        staves=tuple(staves),
        meters=tuple(changes),
        fifths=fifths,
        key=key,
        tempo_qpm=tempi[0][1] if tempi else 120.0,
        anacrusis_ticks=anacrusis,
        notes_off_grid=off_grid,
        notes_left_out=left_out,
        tempo_changes=max(0, len(tempi) - 1),
    )


def write_midi(score: Score, path: str | Path) -> None:
    """Write a type 1 file: a conductor track, then one track for each voice.

    An anacrusis is written as a first bar of its own length, as notation programs do. Every track
    ends on the last barline. The file appears whole or not at all. Raises MidiFileError for a tempo
    or an anacrusis that MIDI cannot say.
    """
    start = score.start_tick
    end = score.end_tick - start
    tempo = round(_MICROSECONDS_A_MINUTE / score.tempo_qpm)
    if tempo > _MOST_MICROSECONDS:
        slowest_qpm = _MICROSECONDS_A_MINUTE / _MOST_MICROSECONDS
        raise MidiFileError(
            f"{path} cannot hold {score.tempo_qpm:g} quarter notes a minute, as the slowest tempo "
            f"of MIDI is {slowest_qpm:.2f}: choose a faster one, or MusicXML"
        )
    events: list[tuple[int, mido.MetaMessage]] = [(0, mido.MetaMessage("set_tempo", tempo=tempo))]
    if score.title:
        events.insert(0, (0, mido.MetaMessage("track_name", name=_latin(score.title))))
    if score.anacrusis_ticks:
        events.append((0, _time_signature(_shortest_meter(score.anacrusis_ticks))))
    events.append((score.anacrusis_ticks, _time_signature(score.meter)))
    if score.key:
        name = str(score.key).split()[0] + ("m" if score.key.mode == "minor" else "")
        events.append((0, mido.MetaMessage("key_signature", key=name)))
    midi = mido.MidiFile(type=1, ticks_per_beat=TICKS_PER_QUARTER)
    midi.tracks.append(_track(events, end))
    for index, voice in enumerate(score.voices):
        name = _HAND_NAMES[index] if index < len(_HAND_NAMES) else f"voice {index + 1}"
        header = [
            (0, mido.MetaMessage("track_name", name=name)),
            (0, mido.Message("program_change", program=_PIANO_PROGRAM, channel=index)),
        ]
        # At one tick, what ends comes before what starts: False sorts before True.
        moments = [(n.offset_tick - start, False, n) for n in voice.notes]
        moments += [(n.onset_tick - start, True, n) for n in voice.notes]
        moments.sort(key=lambda moment: moment[:2])
        body = [
            (
                tick,
                mido.Message(
                    "note_on" if starts else "note_off",
                    note=note.pitch,
                    velocity=note.velocity if starts else 0,
                    channel=index,
                ),
            )
            for tick, starts, note in moments
        ]
        midi.tracks.append(_track(header + body, end))
    with atomic_write(Path(path)) as temporary:
        midi.save(temporary)


def _track(events: Sequence[tuple[int, mido.Message]], end_tick: int) -> mido.MidiTrack:
    """A track from (tick, message) pairs, ended at ``end_tick``."""
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
    """The metre of the largest unit of which ``ticks`` is a whole number: 24 is 1/4, 36 is 3/8."""
    for denominator in (4, 8, 16, 32):
        unit = TICKS_PER_QUARTER * 4 // denominator
        if ticks % unit == 0 and ticks // unit <= 32:
            return Meter(ticks // unit, denominator)
    raise MidiFileError(f"an anacrusis of {ticks} ticks cannot be written as a bar of 32nds")


def _latin(text: str) -> str:
    """Text as the MIDI standard stores it: Latin-1, what is not in it replaced."""
    return text.replace("♭", "b").replace("♯", "#").encode("latin-1", "replace").decode("latin-1")
