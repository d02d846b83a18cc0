"""The content of a music file of any format, on the grid of 24 ticks to the quarter note.

The staves are kept apart, chords and all; ``voice_reduction`` makes two voices of them.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from bicinium.music.key import Key
from bicinium.music.losses import Loss
from bicinium.music.score import Meter, Note, NoteArray, NoteSequence, note_array
from bicinium.music.signature import Signature, Spellings


@dataclass(frozen=True, slots=True)
class Staff:
    """The notes of one staff (in MIDI, of one track and channel), in the order of onset, pitch."""

    name: str
    notes: tuple[Note, ...] | NoteSequence

    def shift(self, ticks: int) -> Staff:
        """The same music, ``ticks`` later."""
        columns = note_array(self.notes).copy()
        columns[0] += ticks
        return Staff(self.name, NoteSequence(columns))


@dataclass(frozen=True, slots=True)
class Content:
    """What a music file says. Tick 0 is a downbeat, whatever the file begins with."""

    staves: tuple[Staff, ...]
    meters: tuple[tuple[int, Meter], ...]  # (tick from which it counts, metre), the first at 0
    signature: Signature | None  # the first one; without a mode if that is not to be believed
    tempo_qpm: float
    anacrusis_ticks: int
    notes_off_grid: int  # further from the grid than the reader may move a note
    notes_left_out: int
    tempo_changes: int
    end_tick: int | None = None  # the last barline, where the file says it
    title: str = ""
    composer: str = ""
    rights: str = ""  # what the file says of its licence
    losses: tuple[Loss, ...] = ()  # what reading left out or changed
    spellings: Spellings = field(default_factory=dict)  # of a format that spells its notes

    @property
    def fifths(self) -> int | None:
        """Return the sharps of the first signature (negative for flats)."""
        return self.signature.fifths if self.signature else None

    @property
    def key(self) -> Key | None:
        """Return the key that the file states."""
        return self.signature.key if self.signature else None

    def written_signature(self, key: Key | None) -> Signature | None:
        """Return the signature to write music in ``key`` with.

        MIDI files often state C major by default, so a signature of MIDI must fit the key.
        """
        if self.signature is None or self.spellings:
            return self.signature
        return self.signature if key and self.signature.fits(key) else None


def without_restrikes(notes: NoteArray) -> NoteArray:
    """The notes in the order of onset, then pitch.

    Each ends where the same pitch starts again; of two that start together, the longest stays.
    """
    if (notes[0, 1:] >= (notes[0] + notes[2])[:-1]).all():  # a line: nothing to do
        return notes
    notes = notes[:, np.lexsort((notes[3], notes[2], notes[0], notes[1]))]  # by pitch, then onset
    onset, pitch, duration, _ = notes
    same_pitch = pitch[1:] == pitch[:-1]
    stays = np.append(~(same_pitch & (onset[1:] == onset[:-1])), True)
    if not stays.all():
        return without_restrikes(notes[:, stays])
    cut = same_pitch & (onset[:-1] + duration[:-1] > onset[1:])
    if cut.any():
        duration[:-1][cut] = (onset[1:] - onset[:-1])[cut]
    return notes[:, np.lexsort((pitch, onset))]
