"""Notes, voices and scores as frozen values in score time.

Time is counted in integer ticks, 24 to the quarter note: a 32nd is 3, a triplet sixteenth 4.
Tick 0 is always a downbeat; a piece with an anacrusis starts late in its first bar.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import overload

import numpy as np
from numpy.typing import NDArray

from bicinium.errors import ScoreError
from bicinium.music.key import Key, estimate_key

VOICES = 2  # the upper, 0, and the lower, 1
TICKS_PER_QUARTER = 24
LOWEST_PITCH, HIGHEST_PITCH = 21, 108  # the piano: A0 to C8

NoteArray = NDArray[np.int64]  # (4, notes): onset_tick, pitch, duration_ticks, velocity
_PITCH = 1  # the row of the pitches

_PITCH_NAMES = ("C", "C#", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")


def pitch_name(pitch: int) -> str:
    """Scientific name of a MIDI pitch: 60 is C4."""
    return f"{_PITCH_NAMES[pitch % 12]}{pitch // 12 - 1}"


@dataclass(frozen=True, slots=True, order=True)
class Note:
    """One note. ``offset_tick`` is its end, exclusive."""

    onset_tick: int
    pitch: int
    duration_ticks: int
    velocity: int = 80

    @property
    def offset_tick(self) -> int:
        return self.onset_tick + self.duration_ticks


class NoteSequence(Sequence[Note]):
    """A tuple of notes kept as columns, so that reading a file need not make an object of each.

    Equal to the tuple of the same notes, and as unchangeable.
    """

    __slots__ = ("columns",)

    def __init__(self, columns: NoteArray) -> None:
        self.columns = columns

    def __len__(self) -> int:
        return int(self.columns.shape[1])

    @overload
    def __getitem__(self, index: int) -> Note: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Note, ...]: ...
    def __getitem__(self, index: int | slice) -> Note | tuple[Note, ...]:
        if isinstance(index, slice):
            return tuple(NoteSequence(self.columns[:, index]))
        return Note(*self.columns[:, index].tolist())

    def __iter__(self) -> Iterator[Note]:
        return map(Note, *self.columns.tolist())

    def __eq__(self, other: object) -> bool:
        if isinstance(other, NoteSequence):
            return np.array_equal(self.columns, other.columns)
        return isinstance(other, tuple) and tuple(self) == other

    def __hash__(self) -> int:
        return hash(tuple(self))

    def __repr__(self) -> str:
        return repr(tuple(self))


def note_array(notes: Sequence[Note]) -> NoteArray:
    """The notes as columns."""
    if isinstance(notes, NoteSequence):
        return notes.columns
    rows = [(n.onset_tick, n.pitch, n.duration_ticks, n.velocity) for n in notes]
    return np.array(rows, np.int64).reshape(-1, 4).T


def estimate_key_from_notes(
    lines: Sequence[NoteArray], fifths: int | None = None, use_final_bass: bool = True
) -> Key | None:
    """The key of lines of notes, the lowest last, and perhaps a signature; None without notes.

    use_final_bass: the last note of the lowest line is a hint. See ``estimate_key``.
    """
    heard = [line for line in lines if line.size]
    if not heard:
        return None
    notes = np.concatenate(heard, axis=1)
    ticks = np.bincount(notes[_PITCH] % 12, weights=notes[2], minlength=12)
    final_bass = int(heard[-1][_PITCH, -1]) if use_final_bass else None
    return estimate_key(ticks, final_bass, fifths)


@dataclass(frozen=True, slots=True)
class Meter:
    """A time signature. Bars and beats are measured in ticks."""

    numerator: int
    denominator: int

    def __post_init__(self) -> None:
        if not 1 <= self.numerator <= 32 or self.denominator not in (1, 2, 4, 8, 16, 32):
            raise ScoreError(
                f"{self} is not a metre: the upper number must be 1 to 32, "
                "the lower one of 1, 2, 4, 8, 16, 32"
            )

    @classmethod
    def parse(cls, text: str) -> Meter:
        """Read ``3/4``."""
        numerator, slash, denominator = text.strip().partition("/")
        if not (slash and numerator.isdecimal() and denominator.isdecimal()):
            raise ScoreError(f"{text!r} is not a metre: write it like 3/4 or 6/8")
        return cls(int(numerator), int(denominator))

    def __str__(self) -> str:
        return f"{self.numerator}/{self.denominator}"

    @property
    def bar_ticks(self) -> int:
        return self.numerator * TICKS_PER_QUARTER * 4 // self.denominator

    @property
    def beat_ticks(self) -> int:
        """Ticks of a beat as it is felt: a dotted value in 6/8, 9/8, 12/8 and their like."""
        unit = TICKS_PER_QUARTER * 4 // self.denominator
        compound = self.numerator % 3 == 0 and self.numerator > 3 and self.denominator >= 8
        return unit * 3 if compound else unit


COMMON_TIME = Meter(4, 4)


@dataclass(frozen=True, slots=True)
class Voice:
    """One monophonic line, its notes in the order of time.

    Raises ScoreError where notes overlap, have no length, or lie off the piano.
    """

    notes: tuple[Note, ...] | NoteSequence = ()

    def __post_init__(self) -> None:
        if isinstance(self.notes, NoteSequence) and _is_line(self.notes.columns):
            return
        for note in self.notes:
            if note.duration_ticks < 1 or note.onset_tick < 0:
                raise ScoreError(f"{note} must start at tick 0 or later and last a tick or more")
            if not LOWEST_PITCH <= note.pitch <= HIGHEST_PITCH:
                raise ScoreError(
                    f"pitch {note.pitch} at tick {note.onset_tick} is not on the piano "
                    f"({LOWEST_PITCH} to {HIGHEST_PITCH})"
                )
            if not 1 <= note.velocity <= 127:
                raise ScoreError(f"velocity {note.velocity} of {note} must be 1 to 127")
        for earlier, later in pairwise(self.notes):
            if later.onset_tick < earlier.offset_tick:
                raise ScoreError(
                    f"two notes of one voice overlap at tick {later.onset_tick}: "
                    f"{pitch_name(earlier.pitch)} and {pitch_name(later.pitch)}"
                )

    @property
    def end_tick(self) -> int:
        return self.notes[-1].offset_tick if self.notes else 0

    def transpose(self, semitones: int) -> Voice:
        columns = note_array(self.notes).copy()
        columns[_PITCH] += semitones
        return Voice(NoteSequence(columns))


def _is_line(columns: NoteArray) -> bool:
    """Whether columns are those of one monophonic line on the piano."""
    if not columns.shape[1]:
        return True
    onset, _, duration, _ = columns
    least, most = columns.min(axis=1), columns.max(axis=1)
    fits = least[0] >= 0 and least[1] >= LOWEST_PITCH and least[2] >= 1 and least[3] >= 1
    fits = fits and most[1] <= HIGHEST_PITCH and most[3] <= 127
    return bool(fits and (onset[1:] >= onset[:-1] + duration[:-1]).all())


@dataclass(frozen=True, slots=True)
class Score:
    """A piece: its voices from the highest (0, the right hand) to the lowest.

    ``anacrusis_ticks`` is the length of the incomplete first bar, 0 where the first bar is full;
    the music of an anacrusis stands at the end of bar 1. ``bars`` counts that bar too.
    """

    voices: tuple[Voice, ...]
    bars: int
    meter: Meter = COMMON_TIME
    key: Key | None = None
    tempo_qpm: float = 120.0
    anacrusis_ticks: int = 0
    title: str = field(default="", compare=False)
    composer: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        latest = max((voice.end_tick for voice in self.voices), default=0)
        if latest > self.end_tick:
            raise ScoreError(
                f"the music ends at tick {latest}, after the last barline at tick {self.end_tick}"
            )
        if not 0 <= self.anacrusis_ticks < self.meter.bar_ticks:
            raise ScoreError(
                f"an anacrusis of {self.anacrusis_ticks} ticks is not shorter than a bar of "
                f"{self.meter}"
            )
        first = min((v.notes[0].onset_tick for v in self.voices if v.notes), default=None)
        if self.anacrusis_ticks and first is not None and first < self.start_tick:
            raise ScoreError(
                f"a note at tick {first} comes before the anacrusis at tick {self.start_tick}"
            )

    @property
    def end_tick(self) -> int:
        """The last barline."""
        return self.bars * self.meter.bar_ticks

    @property
    def start_tick(self) -> int:
        """Where the first, perhaps incomplete, bar begins to sound."""
        return self.meter.bar_ticks - self.anacrusis_ticks if self.anacrusis_ticks else 0

    @property
    def note_count(self) -> int:
        return sum(len(voice.notes) for voice in self.voices)

    @property
    def estimated_key(self) -> Key | None:
        """The key that the notes are in, whatever the signature says; None where there are none."""
        return estimate_key_from_notes([note_array(voice.notes) for voice in self.voices])

    @property
    def profile_key(self) -> Key | None:
        """The key that stands out by how long each pitch class sounds, however the piece ends."""
        return estimate_key_from_notes(
            [note_array(voice.notes) for voice in self.voices], use_final_bass=False
        )

    def transpose(self, semitones: int) -> Score:
        """The same music, ``semitones`` higher, key included."""
        key = self.key.transpose(semitones) if self.key else None
        voices = tuple(voice.transpose(semitones) for voice in self.voices)
        return replace(self, voices=voices, key=key)
