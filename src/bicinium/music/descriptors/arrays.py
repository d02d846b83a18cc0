"""The outer voices of a score as arrays: what the descriptors are computed from."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from bicinium.music.key import Key
from bicinium.music.score import Meter, NoteArray, Score, note_array

Floats: TypeAlias = NDArray[np.float64]
Integers: TypeAlias = NDArray[np.int64]
Bools: TypeAlias = NDArray[np.bool_]

MAX_BARS = 400  # A longer piece is described by its first bars.
_SLOTS = 8  # moments of a bar at which the voices are compared


@dataclass(frozen=True, slots=True)
class Line:
    """The notes of one voice, in the order of time."""

    onset: Integers
    pitch: Integers
    duration: Integers
    velocity: Integers

    @property
    def intervals(self) -> Integers:
        """Semitones from each note to the next."""
        return np.diff(self.pitch)


class ScoreArrays:
    """The upper and the lower voice of a score, and arrays that several descriptors need."""

    def __init__(self, score: Score) -> None:
        self.score = score
        self.meter: Meter = score.meter
        self.bar_ticks: int = score.meter.bar_ticks
        self.lines = tuple(_line(notes, MAX_BARS * self.bar_ticks) for notes in lines(score))
        end_tick = max(int((line.onset + line.duration).max(initial=0)) for line in self.lines)
        self.bars: int = max(1, -(-end_tick // self.bar_ticks))  # up to the last note

    @property
    def end_tick(self) -> int:
        """The last barline of the score, or of what is described of it."""
        return min(self.score.end_tick, max(self.bars, MAX_BARS) * self.bar_ticks)

    @cached_property
    def key(self) -> Key:
        return key_of(self.score)

    @cached_property
    def grid(self) -> Integers:
        """(2, ticks) sounding pitch of each voice, 0 for a rest."""
        grid = np.zeros((2, self.bars * self.bar_ticks), np.int64)
        for voice, line in enumerate(self.lines):
            length = np.minimum(line.duration, grid.shape[1] - line.onset)
            ticks = np.repeat(line.onset - np.cumsum(length) + length, length)
            grid[voice, ticks + np.arange(length.sum())] = np.repeat(line.pitch, length)
        return grid

    @cached_property
    def slots(self) -> Integers:
        """(2, bars, slots) pitches at evenly spaced moments of each bar."""
        moments = np.arange(_SLOTS) * self.bar_ticks // _SLOTS
        return self.grid.reshape(2, self.bars, self.bar_ticks)[:, :, moments]

    @cached_property
    def attacks(self) -> Integers:
        """Ticks at which either voice begins a note, each once."""
        return np.union1d(self.lines[0].onset, self.lines[1].onset)

    @cached_property
    def dyads(self) -> tuple[Integers, Integers, Integers]:
        """Upper pitch, lower pitch and tick of each attack at which both voices sound."""
        upper, lower = self.grid[:, self.attacks]
        both = (upper > 0) & (lower > 0)
        return upper[both], lower[both], self.attacks[both]

    @cached_property
    def pitch_classes(self) -> Floats:
        """(bars, 12) ticks for which each pitch class sounds in each bar."""
        counts = np.zeros((self.bars, 12))
        bar_of = np.arange(self.grid.shape[1]) // self.bar_ticks
        for row in self.grid:
            sounds = row > 0
            np.add.at(counts, (bar_of[sounds], row[sounds] % 12), 1.0)
        return counts

    @cached_property
    def onsets(self) -> Floats:
        """(2, bars, ticks of a bar) 1 where a note begins."""
        onsets = np.zeros((2, self.bars * self.bar_ticks))
        for voice, line in enumerate(self.lines):
            onsets[voice, line.onset] = 1.0
        return onsets.reshape(2, self.bars, self.bar_ticks)


def key_of(score: Score) -> Key:
    """Return the key of a score, or an estimate; C major if there are no notes."""
    return score.key or score.estimated_key or Key(0, "major")


def lines(score: Score) -> tuple[NoteArray, NoteArray]:
    """Return the upper and the lower voice as arrays."""
    return note_array(score.voices[0].notes), note_array(score.voices[-1].notes)


def _line(notes: NoteArray, end_tick: int) -> Line:
    """Return the notes that begin before ``end_tick``, but two notes at least."""
    return Line(*notes[:, : max(2, int(np.searchsorted(notes[0], end_tick)))])


def mean(values: Floats | Integers | Bools) -> float:
    """Return the mean, or the share of what is true; NaN if there are no values."""
    return float(np.mean(values)) if values.size else math.nan


def mean_of(values: list[float] | list[bool]) -> float:
    """Return the mean of a list; NaN if it is empty."""
    return float(np.mean(values)) if values else math.nan


def shares(counts: Floats) -> Floats:
    """Return the counts as shares of their sum; zeros if the sum is 0."""
    return counts / max(1.0, counts.sum())


def entropy(shares_of_all: Floats) -> float:
    """Return the entropy in bits."""
    positive = shares_of_all[shares_of_all > 0]
    return float(-(positive * np.log2(positive)).sum())
