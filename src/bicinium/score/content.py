"""What a music file says, on the grid of 24 ticks to the quarter note, whatever its format.

The staves are kept apart, chords and all; ``texture`` makes two voices of them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from bicinium.score.keys import Key
from bicinium.score.notes import Meter, Note


@dataclass(frozen=True, slots=True)
class Staff:
    """The notes of one staff (in MIDI, of one track and channel), in the order of onset, pitch."""

    name: str
    notes: tuple[Note, ...]

    def shift(self, ticks: int) -> Staff:
        """The same music, ``ticks`` later."""
        notes = (replace(note, onset_tick=note.onset_tick + ticks) for note in self.notes)
        return Staff(self.name, tuple(notes))


@dataclass(frozen=True, slots=True)
class Content:
    """What a music file says. Tick 0 is a downbeat, whatever the file begins with."""

    staves: tuple[Staff, ...]
    meters: tuple[tuple[int, Meter], ...]  # (tick from which it counts, metre), the first at 0
    fifths: int | None  # of the first key signature
    key: Key | None  # where the file is to be believed; a major one often is a default
    tempo_qpm: float
    anacrusis_ticks: int
    notes_off_grid: int
    notes_left_out: int
    tempo_changes: int
    end_tick: int | None = None  # the last barline, where the file says it
    title: str = ""
    composer: str = ""


def without_restrikes(notes: Iterable[Note]) -> tuple[Note, ...]:
    """End each note where the same pitch starts again; of two that start together, one stays."""
    next_onset: dict[int, int] = {}
    kept: list[Note] = []
    for note in sorted(notes, reverse=True):
        limit = next_onset.get(note.pitch)
        if limit == note.onset_tick:
            continue
        next_onset[note.pitch] = note.onset_tick
        if limit is not None and note.offset_tick > limit:
            note = replace(note, duration_ticks=limit - note.onset_tick)
        kept.append(note)
    return tuple(reversed(kept))
