"""Check the note events of a MIDI file: every note must begin, last, and end.

Knows MIDI messages; knows no voices and no grammar.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import mido

from bicinium.formats.midi import read_midi_messages
from bicinium.grammar.validate import Violation
from bicinium.music.score import COMMON_TIME, TICKS_PER_QUARTER, Meter, pitch_name
from bicinium.render.piano_roll import RollNote


class _Fault(NamedTuple):
    tick: int  # of the file
    part: int
    rule: str
    message: str


@dataclass(slots=True)
class _Track:
    """The notes and faults of one track, at ticks of the file."""

    part: int
    notes: list[RollNote] = field(default_factory=list)
    faults: list[_Fault] = field(default_factory=list)
    meters: list[tuple[int, Meter]] = field(default_factory=list)
    sounding: dict[tuple[int, int], int] = field(default_factory=dict)  # channel, pitch: onset

    def note_on(self, tick: int, channel: int, pitch: int) -> None:
        if (channel, pitch) in self.sounding:
            self._fault(tick, "pairing", f"{pitch_name(pitch)} begins while it is sounding")
            self._note(pitch, self.sounding[channel, pitch], tick, closed=False)
        self.sounding[channel, pitch] = tick

    def note_off(self, tick: int, channel: int, pitch: int) -> None:
        name = pitch_name(pitch)
        if (channel, pitch) not in self.sounding:
            now = ", ".join(pitch_name(note) for _, note in sorted(self.sounding)) or "nothing"
            message = f"{name} ends without having begun; sounding: {now}"
            self._fault(tick, "pairing", message)
            return
        onset = self.sounding.pop((channel, pitch))
        self._note(pitch, onset, tick, closed=True)
        if onset == tick:
            self._fault(tick, "duration", f"{name} has no length")

    def end(self, tick: int) -> None:
        for (_, pitch), onset in self.sounding.items():
            self._fault(onset, "pairing", f"{pitch_name(pitch)} never ends")
            self._note(pitch, onset, tick, closed=False)

    def _note(self, pitch: int, onset: int, offset: int, closed: bool) -> None:
        self.notes.append(RollNote(self.part, pitch, onset, offset, closed))

    def _fault(self, tick: int, rule: str, message: str) -> None:
        self.faults.append(_Fault(tick, self.part, rule, message))


@dataclass(frozen=True, slots=True)
class MidiEvents:
    """The notes of a MIDI file on the grid, the violations of its note events, its first metre."""

    roll: tuple[RollNote, ...]
    violations: tuple[Violation, ...]
    meter: Meter


def check_midi_events(path: Path) -> MidiEvents:
    """Find notes that never end, end without having begun, begin while sounding, or have no length.

    Raises ScoreError if the file cannot be read.
    """
    midi = read_midi_messages(path)
    ticks_per_quarter = max(1, midi.ticks_per_beat)
    tracks: list[_Track] = []
    for messages in midi.tracks:  # Tracks without notes are no parts.
        tracks.append(_read_track(messages, sum(bool(track.notes) for track in tracks)))
    faults = sorted(fault for track in tracks for fault in track.faults)
    if not any(track.notes for track in tracks):
        faults.append(_Fault(0, 0, "pairing", "the file holds no notes"))
    meters = [(0, COMMON_TIME), *(meter for track in tracks for meter in track.meters)]
    meters.sort(key=lambda item: item[0])

    def on_grid(note: RollNote) -> RollNote:
        onset, offset = (
            tick * TICKS_PER_QUARTER // ticks_per_quarter
            for tick in (note.onset_tick, note.offset_tick)
        )
        return RollNote(note.part, note.pitch, onset, offset, note.closed)

    bars = _BarLines(meters, ticks_per_quarter)
    return MidiEvents(
        roll=tuple(on_grid(note) for track in tracks for note in track.notes),
        violations=tuple(bars.violation(index, fault) for index, fault in enumerate(faults)),
        meter=[meter for tick, meter in meters if tick == 0][-1],
    )


def _read_track(messages: Sequence[mido.Message], part: int) -> _Track:
    track, tick = _Track(part), 0
    for message in messages:
        tick += message.time
        if message.type == "time_signature":
            track.meters.append((tick, Meter(message.numerator, message.denominator)))
        elif message.type == "note_on" and message.velocity > 0:
            track.note_on(tick, message.channel, message.note)
        elif message.type in ("note_on", "note_off"):
            track.note_off(tick, message.channel, message.note)
    track.end(tick)
    return track


class _BarLines:
    """The bars of a file through all changes of metre."""

    def __init__(self, meters: Sequence[tuple[int, Meter]], ticks_per_quarter: int) -> None:
        self.meters = meters
        self.ticks_per_quarter = ticks_per_quarter
        self.first_bars = [1]  # the bar, counted from 1, with which each metre begins
        for (start, meter), (end, _) in pairwise(meters):
            passed = (end - start) * TICKS_PER_QUARTER // ticks_per_quarter
            self.first_bars.append(self.first_bars[-1] + -(-passed // meter.bar_ticks))

    def violation(self, index: int, fault: _Fault) -> Violation:
        """Return the violation with the bar and the beat at which the fault is."""
        latest = bisect_right(self.meters, fault.tick, key=lambda item: item[0]) - 1
        start, meter = self.meters[latest]
        inside = (fault.tick - start) * TICKS_PER_QUARTER / self.ticks_per_quarter
        bar = self.first_bars[latest] + int(inside // meter.bar_ticks)
        beat = inside % meter.bar_ticks / (TICKS_PER_QUARTER * 4 / meter.denominator) + 1
        message = f"bar {bar}, beat {beat:.4g}, track {fault.part + 1}: {fault.message}"
        tick = fault.tick * TICKS_PER_QUARTER // self.ticks_per_quarter
        return Violation(index, tick, bar, round(beat, 3), fault.part, fault.rule, message)
