"""Choose a chord for each beat of a given voice.

The chords are those of the key, and dominants of them where the voice has their chromatic note. A
dynamic programme finds the sequence with the least cost: what the voice has outside the chords,
changes on weak beats, and root progressions that are rare. It ends with dominant and tonic if the
voice allows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from bicinium.music.counterpoint import LOWER, strong_beat_ticks
from bicinium.music.key import Key
from bicinium.music.score import Score, note_array

Ints: TypeAlias = NDArray[np.integer[Any]]
Floats: TypeAlias = NDArray[np.float64]

_OCTAVE = 12
_FIFTH_DOWN, _STEP_UP, _FIFTH_UP, _STEP_DOWN = 5, 2, 7, 10  # semitones of a root progression
# Costs, in units of one beat of a note that is outside the chord.
_OUTSIDE, _OUTSIDE_ON_BEAT, _PASSING = 1.0, 0.8, 0.3
_CHANGE_ON_STRONG, _CHANGE_ON_WEAK = 0.25, 0.8
_NOT_TONIC_AT_END, _NOT_TONIC_AT_START = 1.2, 0.6
_CADENCE = 1.0  # gained by dominant and tonic in the last bars
_PHRASE_END = 0.6  # of a chord other than tonic or dominant at the end of a phrase
_CADENCE_BARS = 2
_SEVENTH_ON_BEAT = 0.5  # two voices leave out the root or double it at the seventh
_INVERSION = (0.0, 0.2, 1.0, 1.0)  # of the given bass: root, third, fifth, seventh


class Chord(NamedTuple):
    """A chord by its semitones above the tonic, root first, and what it costs to use it."""

    steps: tuple[int, ...]
    cost: float

    @property
    def root(self) -> int:
        """Return the root in semitones above the tonic."""
        return self.steps[0]


_MAJOR = (
    Chord((0, 4, 7), 0), Chord((7, 11, 2, 5), 0.05), Chord((5, 9, 0), 0.15), Chord((2, 5, 9), 0.3),
    Chord((9, 0, 4), 0.3), Chord((4, 7, 11), 0.8), Chord((2, 6, 9, 0), 0.8),
    Chord((0, 4, 7, 10), 0.8), Chord((4, 8, 11, 2), 0.8), Chord((9, 1, 4, 7), 0.8),
    Chord((10, 2, 5), 0.8), Chord((7, 10, 2), 0.8),
)  # fmt: skip
_MINOR = (
    Chord((0, 3, 7), 0), Chord((7, 11, 2, 5), 0.05), Chord((5, 8, 0), 0.15), Chord((8, 0, 3), 0.3),
    Chord((3, 7, 10), 0.35), Chord((10, 2, 5), 0.4), Chord((2, 5, 8), 0.5), Chord((7, 10, 2), 0.6),
    Chord((5, 9, 0), 0.6), Chord((0, 4, 7, 10), 0.8),
)  # fmt: skip
_TONIC, _DOMINANT = 0, 1  # their places in both lists


@dataclass(frozen=True, slots=True)
class GivenVoice:
    """One voice by tick, and the metre.

    held: (T,) the pitch that sounds from each tick on, 0 for none. begins: (T,) where a note does.
    tonic: pitch class. bar, strong and beat: ticks of a bar, between strong beats, and of a beat.
    """

    held: Ints
    begins: NDArray[np.bool_]
    tonic: int
    minor: bool
    bar: int
    strong: int
    beat: int
    is_bass: bool = False

    @classmethod
    def of(cls, score: Score, part: int, key: Key) -> GivenVoice:
        """Return a voice of a score."""
        held, begins = np.zeros(score.end_tick, np.int32), np.zeros(score.end_tick, np.bool_)
        for onset, pitch, duration, _ in note_array(score.voices[part].notes).T.tolist():
            held[onset : onset + duration] = pitch
            begins[onset] = True
        meter = score.meter
        strong = meter.bar_ticks // len(strong_beat_ticks(meter))
        minor, is_bass = key.mode == "minor", part == LOWER
        return cls(
            held, begins, key.tonic, minor, meter.bar_ticks, strong, meter.beat_ticks, is_bass
        )

    @property
    def beats(self) -> int:
        """Return the number of beats."""
        return -(-len(self.held) // self.beat)

    @property
    def first_onset(self) -> int:
        """Return the tick at which the first note begins."""
        return int(np.flatnonzero(self.begins)[0])

    @property
    def last_onset(self) -> int:
        """Return the tick at which the last note begins."""
        return int(np.flatnonzero(self.begins)[-1])

    def notes(self) -> list[tuple[int, int, int]]:
        """Return onset, offset and pitch of each note."""
        found = []
        onsets = [*np.flatnonzero(self.begins).tolist(), len(self.held)]
        for onset, following in pairwise(onsets):
            sounding = self.held[onset:following] == self.held[onset]
            silent = np.flatnonzero(~sounding)
            end = onset + int(silent[0]) if len(silent) else following
            found.append((onset, end, int(self.held[onset])))
        return found


def harmonize(given: GivenVoice) -> list[Chord]:
    """Return the chord of each beat."""
    chords = _MINOR if given.minor else _MAJOR
    fit = _fit(given, chords)
    progression = np.array([[_progression(a, b) for b in chords] for a in chords])
    final = given.last_onset // given.beat
    cadence_from = final - _CADENCE_BARS * given.bar // given.beat
    best = fit[0]
    came_from = []
    for beat in range(1, given.beats):
        tick = beat * given.beat
        weak = _CHANGE_ON_WEAK if tick % given.strong else _CHANGE_ON_STRONG
        change = progression + (0 if tick % given.bar == 0 else weak)
        if cadence_from <= beat <= final:
            change[_DOMINANT, _TONIC] -= _CADENCE
        np.fill_diagonal(change, 0)
        if beat > final:
            change[~np.eye(len(chords), dtype=np.bool_)] = np.inf
        total = best[:, None] + change
        came_from.append(total.argmin(axis=0))
        best = total.min(axis=0) + fit[beat]
    path = [int(best.argmin())]
    for before in reversed(came_from):
        path.append(int(before[path[-1]]))
    return [chords[index] for index in reversed(path)]


def phrase_ends(given: GivenVoice) -> list[int]:
    """Return the ticks of the notes that end a phrase: long ones at the end of two or four bars."""
    notes = given.notes()
    lengths = [following[0] - note[0] for note, following in pairwise(notes)]
    typical = float(np.median(lengths)) if lengths else 0.0
    first = (notes[0][0] + given.bar - 1) // given.bar  # the first full bar
    ends = [
        note[0]
        for note, length in zip(notes, lengths, strict=False)
        if length >= max(2 * typical, given.beat * 1.5) and (note[0] // given.bar - first) % 2 == 1
    ]
    return [*ends, notes[-1][0]]


def _fit(given: GivenVoice, chords: Sequence[Chord]) -> Floats:
    """Return (beats, chords) what each chord costs on each beat, without the changes."""
    cost = np.tile([chord.cost for chord in chords], (given.beats, 1))
    notes = given.notes()
    for index, (onset, end, pitch) in enumerate(notes):
        step = (pitch - given.tonic) % _OCTAVE
        outside = np.array([step not in chord.steps for chord in chords])
        sevenths = np.array([step in chord.steps[3:] for chord in chords])
        passing = _is_passing(notes, index)
        for beat in range(onset // given.beat, -(-end // given.beat)):
            begin = beat * given.beat
            share = (min(end, begin + given.beat) - max(onset, begin)) / given.beat
            if onset <= begin:
                cost[beat] += outside * (_OUTSIDE_ON_BEAT + _OUTSIDE * share)
                cost[beat] += _SEVENTH_ON_BEAT * sevenths
            else:
                cost[beat] += outside * share * (_PASSING if passing else _OUTSIDE)
            if given.is_bass and onset <= begin:
                cost[beat] += [
                    0 if out else _INVERSION[chord.steps.index(step)]
                    for chord, out in zip(chords, outside, strict=True)
                ]
    others = np.arange(len(chords)) != _TONIC
    cost[given.last_onset // given.beat] += _NOT_TONIC_AT_END * others
    first_bar = -(-notes[0][0] // given.bar) * given.bar // given.beat
    cost[min(first_bar, given.beats - 1)] += _NOT_TONIC_AT_START * others
    neither = others & (np.arange(len(chords)) != _DOMINANT)
    for tick in phrase_ends(given):
        cost[tick // given.beat] += _PHRASE_END * neither
    return np.asarray(cost)


def _is_passing(notes: Sequence[tuple[int, int, int]], index: int) -> bool:
    """Return whether a note is reached and left by step."""
    if not 0 < index < len(notes) - 1:
        return False
    before, here, after = (notes[index + offset][2] for offset in (-1, 0, 1))
    return abs(here - before) <= _STEP_UP and abs(after - here) <= _STEP_UP


def _progression(one: Chord, other: Chord) -> float:
    """Return what the step from one root to another costs."""
    up = (other.root - one.root) % _OCTAVE
    if up == _FIFTH_DOWN:
        return -0.25
    is_dominant = (one.steps[1] - one.root) % _OCTAVE == 4 and len(one.steps) == 4
    if is_dominant and up not in (1, _STEP_UP):
        return 0.7
    if up == _STEP_DOWN:
        return 0.5
    return 0.1
