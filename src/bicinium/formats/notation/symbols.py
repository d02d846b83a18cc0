"""The symbols of a notated score, and the note values they can have."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from bicinium.music.score import Note

Clef = Literal["treble", "bass"]
Beam = Literal["begin", "continue", "end", "forward hook", "backward hook"]

# Note types by length in half ticks: a 64th lasts one and a half ticks.
NOTE_TYPES = {
    384: "breve", 192: "whole", 96: "half", 48: "quarter", 24: "eighth", 12: "16th", 6: "32nd",
    3: "64th",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Tuplet:
    """A triplet: three notes in the time of two, from ``onset_tick`` for ``duration_ticks``."""

    onset_tick: int
    duration_ticks: int

    @property
    def note_type(self) -> str:
        """The note type that fills the triplet three times."""
        # A third of the triplet is written as half of it: ticks / 2, counted in half ticks.
        return NOTE_TYPES[self.duration_ticks]

    @property
    def end_tick(self) -> int:
        return self.onset_tick + self.duration_ticks


@dataclass(frozen=True, slots=True)
class Symbol:
    """One symbol on a staff: a note, a tied part of a note, or a rest (``note`` is None)."""

    onset_tick: int
    duration_ticks: int
    note: Note | None
    note_type: str
    dots: int = 0
    tuplet: Tuplet | None = None
    tied_from_last: bool = False
    tied_to_next: bool = False
    fills_bar: bool = False  # a whole-bar rest, drawn alike in every metre
    beams: tuple[Beam, ...] = ()

    @property
    def end_tick(self) -> int:
        return self.onset_tick + self.duration_ticks


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar of all voices. Its ticks count from the first downbeat of the piece."""

    start_tick: int  # where it begins to sound: after the barline in an anacrusis
    end_tick: int
    voices: tuple[tuple[Symbol, ...], ...]
    clefs: tuple[Clef, ...]  # the clef of each voice in this bar


def note_value(ticks: int, in_tuplet: bool) -> tuple[str, int] | None:
    """Return the note type and the dots (0 to 2) that last ``ticks``, or None if there are none."""
    half_ticks = ticks * (3 if in_tuplet else 2)
    for dots, (numerator, denominator) in enumerate(((1, 1), (2, 3), (4, 7))):
        undotted, rest = divmod(half_ticks * numerator, denominator)
        if rest == 0 and undotted in NOTE_TYPES:
            return NOTE_TYPES[undotted], dots
    return None
