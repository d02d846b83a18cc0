"""Notes, voices and scores: frozen values in score time.

Time is in integer ticks, 24 to the quarter note: a 32nd is 3 ticks, a triplet sixteenth 4. Tick 0
is always a downbeat. A piece with an anacrusis starts late in its first bar.
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
from bicinium.music.losses import Loss
from bicinium.music.signature import (
    Signature,
    Spellings,
    fifths_of_transposition,
    transpose_spellings,
)
from bicinium.upper_layers import NotebookDisplay, ScoreConversions

VOICES = 2  # 0 is the upper, 1 the lower
TICKS_PER_QUARTER = 24
LOWEST_PITCH, HIGHEST_PITCH = 21, 108  # the piano: A0 to C8

NoteArray = NDArray[np.int64]  # (4, notes): onset_tick, pitch, duration_ticks, velocity
_PITCH = 1  # row of the pitches

_PITCH_NAMES = ("C", "C#", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")


def pitch_name(pitch: int) -> str:
    """Return the scientific name of a MIDI pitch: 60 is C4."""
    return f"{_PITCH_NAMES[pitch % 12]}{pitch // 12 - 1}"


@dataclass(frozen=True, slots=True, order=True)
class Note:
    """One note. ``pitch`` is a MIDI pitch, and ``offset_tick`` the exclusive end."""

    onset_tick: int
    pitch: int
    duration_ticks: int
    velocity: int = 80

    @property
    def offset_tick(self) -> int:
        return self.onset_tick + self.duration_ticks


class NoteSequence(Sequence[Note]):
    """An immutable sequence of notes, stored as an array to avoid one object for each note.

    It equals the tuple of the same notes.
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
    """Return the notes as an array (4, N): onset_tick, pitch, duration_ticks, velocity."""
    if isinstance(notes, NoteSequence):
        return notes.columns
    rows = [(n.onset_tick, n.pitch, n.duration_ticks, n.velocity) for n in notes]
    return np.array(rows, np.int64).reshape(-1, 4).T


def estimate_key_from_notes(
    lines: Sequence[NoteArray], fifths: int | None = None, use_final_bass: bool = True
) -> Key | None:
    """Return the estimated key of some lines, or None if they hold no notes.

    ``lines`` are ordered from highest to lowest. ``fifths`` is the signature, if there is one. With
    ``use_final_bass``, the last note of the lowest line is a hint. See ``key.estimate_key``.
    """
    lines = [line for line in lines if line.size]
    if not lines:
        return None
    notes = np.concatenate(lines, axis=1)
    ticks = np.bincount(notes[_PITCH] % 12, weights=notes[2], minlength=12)
    final_bass = int(lines[-1][_PITCH, -1]) if use_final_bass else None
    return estimate_key(ticks, final_bass, fifths)


@dataclass(frozen=True, slots=True)
class Meter:
    """A time signature. Bars and beats are measured in ticks."""

    numerator: int
    denominator: int

    def __post_init__(self) -> None:
        if not 1 <= self.numerator <= 32 or self.denominator not in (1, 2, 4, 8, 16, 32):
            raise ScoreError(
                f"{self} is not a metre. The upper number must be between 1 and 32, "
                "the lower one of 1, 2, 4, 8, 16, 32."
            )

    @classmethod
    def parse(cls, text: str) -> Meter:
        """Parse a metre such as ``3/4``. Raises ScoreError if it is not one."""
        numerator, slash, denominator = text.strip().partition("/")
        if not (len(text) < 10 and slash and numerator.isdecimal() and denominator.isdecimal()):
            raise ScoreError(f"{text[:20]!r} is not a metre. Write it like 3/4 or 6/8.")
        return cls(int(numerator), int(denominator))

    def __str__(self) -> str:
        return f"{self.numerator}/{self.denominator}"

    @property
    def bar_ticks(self) -> int:
        return self.numerator * TICKS_PER_QUARTER * 4 // self.denominator

    @property
    def beat_ticks(self) -> int:
        """Return the ticks of a beat: a dotted value in compound metres (6/8, 9/8, 12/8, …)."""
        unit = TICKS_PER_QUARTER * 4 // self.denominator
        compound = self.numerator % 3 == 0 and self.numerator > 3 and self.denominator >= 8
        return unit * 3 if compound else unit

    @property
    def beat_name(self) -> str:
        """Return the note value of a beat, such as ``quarter`` or ``dotted quarter``."""
        dotted = self.beat_ticks % 9 == 0
        plain_ticks = self.beat_ticks * 2 // 3 if dotted else self.beat_ticks
        return "dotted " * dotted + _NOTE_VALUES[TICKS_PER_QUARTER * 4 // plain_ticks]

    def tempo_mark(self, tempo_qpm: float) -> str:
        """Return a tempo in beats, like ``dotted quarter = 70``."""
        return f"{self.beat_name} = {tempo_qpm * TICKS_PER_QUARTER / self.beat_ticks:.0f}"


# Names of note values, by their number in a whole note.
_NOTE_VALUES = {1: "whole", 2: "half", 4: "quarter", 8: "eighth", 16: "sixteenth", 32: "32nd"}
COMMON_TIME = Meter(4, 4)


@dataclass(frozen=True, slots=True)
class Voice:
    """One monophonic line, with its notes in order of time.

    Raises ScoreError if notes overlap, have no length, or lie off the piano.
    """

    notes: tuple[Note, ...] | NoteSequence = ()

    def __post_init__(self) -> None:
        if isinstance(self.notes, NoteSequence) and _is_monophonic(self.notes.columns):
            return
        for note in self.notes:
            if note.duration_ticks < 1 or note.onset_tick < 0:
                raise ScoreError(
                    f"{note} must start at tick 0 or later and last at least one tick."
                )
            if not LOWEST_PITCH <= note.pitch <= HIGHEST_PITCH:
                raise ScoreError(
                    f"pitch {note.pitch} at tick {note.onset_tick} is not on the piano "
                    f"({LOWEST_PITCH} to {HIGHEST_PITCH})."
                )
            if not 1 <= note.velocity <= 127:
                raise ScoreError(f"velocity {note.velocity} of {note} must be 1 to 127.")
        for earlier, later in pairwise(self.notes):
            if later.onset_tick < earlier.offset_tick:
                raise ScoreError(
                    f"two notes of one voice overlap at tick {later.onset_tick}: "
                    f"{pitch_name(earlier.pitch)} and {pitch_name(later.pitch)}."
                )

    @property
    def end_tick(self) -> int:
        return self.notes[-1].offset_tick if self.notes else 0

    def transpose(self, semitones: int) -> Voice:
        columns = note_array(self.notes).copy()
        columns[_PITCH] += semitones
        return Voice(NoteSequence(columns))


def _is_monophonic(columns: NoteArray) -> bool:
    """Return whether notes are valid, in order, on the piano, and do not overlap."""
    if not columns.shape[1]:
        return True
    onset, _, duration, _ = columns
    lowest, highest = columns.min(axis=1), columns.max(axis=1)
    fits = lowest[0] >= 0 and lowest[1] >= LOWEST_PITCH and lowest[2] >= 1 and lowest[3] >= 1
    fits = fits and highest[1] <= HIGHEST_PITCH and highest[3] <= 127
    return bool(fits and (onset[1:] >= onset[:-1] + duration[:-1]).all())


@dataclass(frozen=True, slots=True)
class Score(ScoreConversions, NotebookDisplay):
    """A piece. Its voices are ordered from the highest (0, the right hand) to the lowest.

    ``anacrusis_ticks`` is the length of an incomplete first bar, or 0 if the first bar is full. An
    anacrusis stands at the end of the first bar, and ``bars`` counts that bar.

    ``signature`` and ``spellings`` say how the score is written. Where they say nothing, the key
    and ``formats.spelling`` do. A note that is moved or changed loses its spelling by itself.
    """

    voices: tuple[Voice, ...]
    bars: int
    meter: Meter = COMMON_TIME
    key: Key | None = None
    tempo_qpm: float = 120.0
    anacrusis_ticks: int = 0
    title: str = field(default="", compare=False)
    composer: str = field(default="", compare=False)
    losses: tuple[Loss, ...] = field(default=(), compare=False)  # in reading it from a file
    signature: Signature | None = field(default=None, compare=False)
    spellings: Spellings = field(default_factory=dict, compare=False, repr=False)

    def __post_init__(self) -> None:
        latest = max((voice.end_tick for voice in self.voices), default=0)
        if latest > self.end_tick:
            raise ScoreError(
                f"the music ends at tick {latest}, after the last barline at tick {self.end_tick}."
            )
        if not 0 <= self.anacrusis_ticks < self.meter.bar_ticks:
            raise ScoreError(
                f"an anacrusis of {self.anacrusis_ticks} ticks is not shorter than a bar of "
                f"{self.meter}."
            )
        first = min((v.notes[0].onset_tick for v in self.voices if v.notes), default=None)
        if self.anacrusis_ticks and first is not None and first < self.start_tick:
            raise ScoreError(
                f"a note at tick {first} comes before the anacrusis at tick {self.start_tick}."
            )

    def bar_number(self, tick: int) -> int:
        """Return the number of a bar as it is printed: from 1, or 0 for an anacrusis."""
        return tick // self.meter.bar_ticks + (0 if self.anacrusis_ticks else 1)

    def with_anacrusis(self) -> Score:
        """Return the score with an upbeat if half of its first bar or more is silent.

        The upbeat is a number of sixteenths.
        """
        first = min((v.notes[0].onset_tick for v in self.voices if v.notes), default=0)
        bar = self.meter.bar_ticks
        upbeat = bar - first
        if self.anacrusis_ticks or not 0 < 2 * upbeat <= bar or upbeat % (TICKS_PER_QUARTER // 4):
            return self
        return replace(self, anacrusis_ticks=upbeat)

    @property
    def end_tick(self) -> int:
        """Return the tick of the last barline."""
        return self.bars * self.meter.bar_ticks

    @property
    def start_tick(self) -> int:
        """Return the tick at which the first bar, perhaps incomplete, begins to sound."""
        return self.meter.bar_ticks - self.anacrusis_ticks if self.anacrusis_ticks else 0

    @property
    def note_count(self) -> int:
        return sum(len(voice.notes) for voice in self.voices)

    @property
    def written_signature(self) -> Signature:
        """Return the signature of the score, or the usual one of its key; C major without one."""
        return self.signature or Signature.of(self.key or Key(0, "major"))

    @property
    def key_name(self) -> str:
        """Return the name of the key as it is written, like ``Gb major`` or ``D dorian``."""
        if self.signature and self.signature.key and self.signature.key == self.key:
            return str(self.signature)
        return str(self.key) if self.key else ""

    @property
    def estimated_key(self) -> Key | None:
        """Return the key estimated from the notes alone, or None if there are none."""
        return estimate_key_from_notes([note_array(voice.notes) for voice in self.voices])

    @property
    def profile_key(self) -> Key | None:
        """Return the key estimated from pitch class durations, without the final bass note."""
        return estimate_key_from_notes(
            [note_array(voice.notes) for voice in self.voices], use_final_bass=False
        )

    def transpose(self, semitones: int) -> Score:
        """Return the score ``semitones`` higher, with its key and its spelling."""
        fifths = fifths_of_transposition(self.written_signature.fifths, semitones)
        return replace(
            self,
            voices=tuple(voice.transpose(semitones) for voice in self.voices),
            key=self.key.transpose(semitones) if self.key else None,
            signature=self.signature.transpose(semitones) if self.signature else None,
            spellings=transpose_spellings(self.spellings, semitones, fifths),
        )
