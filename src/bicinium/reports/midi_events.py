"""Check the note events of a MIDI file: every note must begin, last, and end.

Knows MIDI messages; knows no voices and no grammar.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from bicinium.formats.midi import midi_meters, read_midi_events
from bicinium.formats.midi_events import TrackEvents
from bicinium.grammar.validate import Violation
from bicinium.music.score import COMMON_TIME, TICKS_PER_QUARTER, Meter, pitch_name
from bicinium.render.piano_roll import RollNote


class _Fault(NamedTuple):
    tick: int  # of the file
    part: int
    rule: str
    message: str


@dataclass(frozen=True, slots=True)
class MidiVerdict:
    """The notes of a MIDI file on the grid, the violations of its note events, its first metre."""

    roll: tuple[RollNote, ...]
    violations: tuple[Violation, ...]
    meter: Meter


def check_midi_events(path: Path) -> MidiVerdict:
    """Find notes that never end, end without having begun, or have no length.

    Raises ScoreError if the file cannot be read.
    """
    events = read_midi_events(path)
    ticks_per_quarter = events.ticks_per_quarter
    tracks = [track for track in events.tracks if track.count]  # Others are no parts.
    faults = sorted(fault for part, track in enumerate(tracks) for fault in _faults(track, part))
    if not tracks:
        faults.append(_Fault(0, 0, "pairing", "the file holds no notes"))
    meters = [(0, COMMON_TIME), *midi_meters(events)]

    def to_grid(tick: int) -> int:
        return tick * TICKS_PER_QUARTER // ticks_per_quarter

    bars = _BarLines(meters, ticks_per_quarter)
    return MidiVerdict(
        roll=tuple(
            RollNote(part, pitch, to_grid(onset), to_grid(end), index not in track.never_ended)
            for part, track in enumerate(tracks)
            for index, (onset, pitch, end) in enumerate(
                zip(*track.notes[[0, 2, 1]].tolist(), strict=True)
            )
        ),
        violations=tuple(bars.violation(index, fault) for index, fault in enumerate(faults)),
        meter=[meter for tick, meter in meters if tick == 0][-1],
    )


def _faults(track: TrackEvents, part: int) -> Iterator[_Fault]:
    """Yield the faults of one track. A note that starts again while it sounds is none."""
    for tick, pitch, sounding in track.stray_ends:
        now = ", ".join(map(pitch_name, sounding)) or "nothing"
        message = f"{pitch_name(pitch)} ends without having begun; sounding: {now}"
        yield _Fault(tick, part, "pairing", message)
    onsets, ends, pitches, *_ = track.notes.tolist()
    for index in track.never_ended:
        name = pitch_name(pitches[index])
        yield _Fault(onsets[index], part, "pairing", f"{name} never ends")
    never_ended = set(track.never_ended)
    for index, (onset, end) in enumerate(zip(onsets, ends, strict=True)):
        if onset == end and index not in never_ended:
            yield _Fault(onset, part, "duration", f"{pitch_name(pitches[index])} has no length")


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
