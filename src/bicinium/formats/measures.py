"""Measures of notation, as every reader of notation gives them: before ties and bars are joined.

Times are exact fractions of a quarter note, counted from the start of the measure. Pitches are
sounding pitches.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

from bicinium.errors import NotationFileError
from bicinium.formats.spelling import Spelling
from bicinium.music.losses import LossKind
from bicinium.music.score import Meter

# Limits of what is read. Music keeps far below them, and damaged files take hours beyond them.
MAX_MEASURES = 10_000  # of a voice
MAX_DOTS = 8  # of a note
MAX_DENOMINATOR = 1_000_000  # of a length in quarters


@dataclass(frozen=True, slots=True)
class MeasureNote:
    """A note as it is written in its measure, before ties are joined."""

    onset: Fraction  # quarters from the start of the measure
    duration: Fraction  # quarters
    staff: int  # of its part, from 1
    voice: str
    spelling: Spelling
    pitch: int
    velocity: int | None  # None if the note has none of its own
    tied_to_next: bool
    tied_from_last: bool


@dataclass(slots=True)
class Measure:
    """The contents of one measure of one part. Positions are in quarters from its start."""

    notes: list[MeasureNote] = field(default_factory=list)
    length: Fraction = Fraction(0)
    meter: Meter | None = None  # None if it does not change here
    fifths: int | None = None
    mode: str = ""
    tempi: list[tuple[Fraction, float]] = field(default_factory=list)  # (position, quarters/min)
    velocities: list[tuple[Fraction, int]] = field(default_factory=list)  # (position, velocity)
    number: str = ""  # as printed
    is_implicit: bool = False  # not counted as a bar, such as an anacrusis
    is_full_rest: bool = False  # nothing but a rest for the measure, whatever its length
    losses: Counter[LossKind] = field(default_factory=Counter)
    starts_repeat: bool = False
    plays: int = 0  # times that a repeat which ends here is played; 0 without one
    endings: frozenset[int] = frozenset()  # plays of the repeat in which it is played; all if empty
    jumps: frozenset[str] = frozenset()  # segno, coda, fine, tocoda, dacapo, dalsegno


# Notes that a reader counts in a measure and leaves out.
_LEFT_OUT = (LossKind.GRACE, LossKind.CUE, LossKind.NO_LENGTH, LossKind.PERCUSSION)


@dataclass(frozen=True, slots=True)
class Part:
    """One instrument: its name, its number of staves, and its measures in order."""

    name: str
    staves: int
    measures: list[Measure]

    @property
    def note_count(self) -> int:
        """The notes of all measures, with those that were counted and left out."""
        return sum(
            len(measure.notes) + sum(measure.losses[kind] for kind in _LEFT_OUT)
            for measure in self.measures
        )


def require_all_read(counted: int, parts: Sequence[Part], path: Path) -> None:
    """Raise NotationFileError unless the parts have the notes that were counted in the text."""
    read = sum(part.note_count for part in parts)
    if counted != read:
        raise NotationFileError(f"{path} has {counted} notes, of which {read} were read.")
