"""Write MIDI files: a conductor track, then one track for each voice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import mido

from bicinium.atomic_write import atomic_write
from bicinium.errors import MidiFileError
from bicinium.formats.midi_texts import COMPOSER_LABEL, charset_of
from bicinium.formats.musicxml_values import SOFTWARE
from bicinium.music.score import TICKS_PER_QUARTER, Meter, Score
from bicinium.music.signature import Signature

_STAFF_NAMES = ("right", "left")
_PIANO_PROGRAM = 0
_MICROSECONDS_PER_MINUTE = 60_000_000
_MAX_MICROSECONDS_PER_QUARTER = 2**24 - 1  # A tempo has three bytes.


def write_midi(score: Score, path: str | Path, metadata: Mapping[str, str] | None = None) -> None:
    """Write a type 1 file; see ``to_midi``."""
    midi = to_midi(score, path, metadata)
    with atomic_write(Path(path)) as temporary:
        midi.save(temporary)


def to_midi(
    score: Score, path: str | Path, metadata: Mapping[str, str] | None = None
) -> mido.MidiFile:
    """Return a score as MIDI of type 1: a conductor track, then one track for each voice.

    ``metadata`` (such as the seed) is stored as one text, after the name of this program. The title
    is the name of the first track, the composer another text of it. An
    anacrusis becomes a first bar of its own length, as in notation programs. Every track ends on
    the last barline. ``path`` is for messages. Raises MidiFileError for a tempo or an anacrusis
    that MIDI cannot represent.
    """
    about = [f"{name}: {value}" for name, value in (metadata or {}).items()]
    text = "; ".join([SOFTWARE, *about])  # The reader believes the key of a file of bicinium.
    charset = charset_of((text, score.title, score.composer))
    midi = mido.MidiFile(type=1, ticks_per_beat=TICKS_PER_QUARTER, charset=charset)
    conductor = _conductor_track(score, path)
    conductor.insert(0, mido.MetaMessage("text", text=text))
    midi.tracks.append(conductor)
    midi.tracks += [_voice_track(score, index) for index in range(len(score.voices))]
    return midi


def _conductor_track(score: Score, path: str | Path) -> mido.MidiTrack:
    """Return the track of title, composer, tempo, time signatures and key signature."""
    microseconds = round(_MICROSECONDS_PER_MINUTE / score.tempo_qpm)
    if microseconds > _MAX_MICROSECONDS_PER_QUARTER:
        slowest_qpm = _MICROSECONDS_PER_MINUTE / _MAX_MICROSECONDS_PER_QUARTER
        raise MidiFileError(
            f"{path} cannot hold a tempo of {score.tempo_qpm:g} quarters a minute: MIDI allows "
            f"{slowest_qpm:.2f} or more. Choose a faster tempo, or MusicXML."
        )
    events: list[tuple[int, mido.MetaMessage]] = []
    if score.title:
        events.append((0, mido.MetaMessage("track_name", name=score.title)))
    if score.composer:
        events.append((0, mido.MetaMessage("text", text=f"{COMPOSER_LABEL}{score.composer}")))
    events.append((0, mido.MetaMessage("set_tempo", tempo=microseconds)))
    if score.anacrusis_ticks:
        events.append((0, _time_signature(_shortest_meter(score.anacrusis_ticks))))
    events.append((score.anacrusis_ticks, _time_signature(score.meter)))
    if score.key:
        signature = score.written_signature
        fifths = signature.fifths if signature.fits(score.key) else score.key.fifths
        tonic = str(Signature(fifths, score.key.mode)).split()[0]
        name = tonic + ("m" if score.key.mode == "minor" else "")
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
