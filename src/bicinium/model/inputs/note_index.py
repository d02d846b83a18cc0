"""Notes of both voices of many pieces, indexed by time.

``NoteIndex`` holds finished pieces; ``GrowingNoteIndex`` pieces that are being generated. Tick t
of piece i is stored as i * SPAN + t, so that one binary search serves all pieces at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bicinium.grammar.states import States
from bicinium.model.inputs.motif_predictor import NO_PREDICTION, MotifPredictor
from bicinium.music.score import LOWEST_PITCH, VOICES, NoteArray
from bicinium.tokenizer.vocabulary import KINDS, VALUES, Kind

Ints = NDArray[np.int64]
SPAN = 2**24  # Ticks: more than any piece has.
_PENDING = SPAN - 1  # The tick of an event that has not happened yet.
_INITIAL_CAPACITY = 64  # Notes.
SILENT_CLASS, FIRST_PITCH = 1, 2  # Classes of held pitches; 0 is left for "unknown".


class NoteIndex:
    """``onset`` and ``offset`` (stored ticks) and ``pitch`` of each voice's notes, (N,) each.

    Notes are in the order of their onsets. Between pieces there may be pending notes.
    """

    def __init__(self, pieces: Sequence[Sequence[NoteArray]]) -> None:
        self.onset, self.offset, self.pitch = [], [], []
        for voice in range(VOICES):
            notes = [piece[voice] for piece in pieces]
            notes.append(np.array([[_PENDING], [0], [0], [0]]))  # A look-up always finds a note.
            first = np.repeat(np.arange(len(notes)) * SPAN, [each.shape[1] for each in notes])
            columns = np.concatenate(notes, axis=1)
            self.onset.append(first + columns[0])
            self.offset.append(first + columns[0] + columns[2])
            self.pitch.append(columns[1])

    @cached_property
    def predictions(self) -> list[Ints]:
        """For each voice, (N, 4) the ``MotifPrediction`` made when each note began."""
        predictions = [np.zeros((len(onset), len(NO_PREDICTION)), np.int64) for onset in self.onset]
        voice = np.repeat(range(VOICES), [len(onset) for onset in self.onset])
        note = np.concatenate([np.arange(len(onset)) for onset in self.onset])
        stored, pitch = np.concatenate(self.onset), np.concatenate(self.pitch)
        order = np.lexsort((voice, stored))  # At one tick the upper voice is written first.
        columns = (column[order].tolist() for column in (stored, voice, note, pitch))
        current, predictor = -1, MotifPredictor()
        for at, of_voice, index, of_pitch in zip(*columns, strict=True):
            piece, tick = divmod(at, SPAN)
            if piece != current:
                current, predictor = piece, MotifPredictor()
            predictions[of_voice][index] = predictor.observe(of_voice, tick, of_pitch)
        return predictions

    def last_onset(self, voice: int, at: Ints) -> tuple[Ints, NDArray[np.bool_]]:
        """Find the last note of a voice that begins at stored ticks ``at`` (N,) or earlier.

        Returns its index (N,), and (N,) whether the same piece has one.
        """
        last = np.searchsorted(self.onset[voice], at, "right") - 1
        found = np.maximum(last, 0)
        return found, (last >= 0) & (self.onset[voice][found] // SPAN == at // SPAN)

    def held_class(self, voice: int, note: Ints, exists: NDArray[np.bool_], at: Ints) -> Ints:
        """Return (N,) the class of the pitch a voice holds at stored ticks.

        FIRST_PITCH is the lowest of the piano. ``note`` and ``exists`` are what ``last_onset``
        returns.
        """
        sounds = exists & (self.offset[voice][note] > at)
        pitch = self.pitch[voice][note] - LOWEST_PITCH + FIRST_PITCH
        return np.where(sounds, pitch, SILENT_CLASS)

    def note_bounds(self, piece: int, voice: int, stretch: tuple[int, int]) -> tuple[int, int]:
        """Move both ends of a stretch of ticks on to where no note of the voice crosses them."""

        def moved(tick: int) -> int:
            at = piece * SPAN + min(tick, _PENDING)
            last = int(np.searchsorted(self.onset[voice], at, "left")) - 1
            if last < 0 or self.offset[voice][last] <= at:
                return tick
            return int(self.offset[voice][last]) - piece * SPAN

        return moved(stretch[0]), moved(stretch[1])


def index_notes(
    tokens: NDArray[np.integer], lengths: NDArray[np.integer], states: States
) -> NoteIndex:
    """Index the notes of concatenated pieces of tokens.

    tokens: all pieces' tokens; lengths: tokens of each piece; states: their ``states_along``. A
    note ends at the next NOTE_OFF of its voice, or with its piece.
    """
    kinds = KINDS[tokens]
    piece = np.repeat(np.arange(len(lengths)), lengths)
    after = np.arange(len(tokens)) + piece + 1  # A piece of T tokens has T + 1 states.
    tick, part = states.tick[after], states.part[after]
    begins, ends = kinds == Kind.NOTE_ON, kinds == Kind.NOTE_OFF
    last_row = np.cumsum(lengths) - 1
    voices: list[list[NoteArray]] = []
    for voice in range(VOICES):
        on = np.flatnonzero(begins & (part == voice))
        off = np.append(np.flatnonzero(ends & (part == voice)), len(tokens))
        off = np.minimum(off[np.searchsorted(off, on)], last_row[piece[on]])
        columns = np.stack(
            [tick[on], VALUES[tokens[on]], tick[off] - tick[on], np.zeros_like(on)]
        ).astype(np.int64)
        voices.append(np.split(columns, np.searchsorted(on, last_row[:-1] + 1), axis=1))
    return NoteIndex(list(zip(*voices, strict=True)))


class GrowingNoteIndex(NoteIndex):
    """Notes of pieces that are being generated, added as they come."""

    def __init__(self, pieces: int) -> None:
        self._pieces, self._capacity = pieces, 0
        self._count = np.zeros((VOICES, pieces), np.int64)
        self._predictors = [MotifPredictor() for _ in range(pieces)]
        empty = np.empty(0, np.int64)
        self.onset, self.offset, self.pitch = ([empty] * VOICES for _ in range(3))
        self.predictions = [np.empty((0, len(NO_PREDICTION)), np.int64)] * VOICES
        self._grow(_INITIAL_CAPACITY)

    def update(
        self, state: States, pieces: NDArray[np.integer], tokens: NDArray[np.integer]
    ) -> None:
        """Add tokens (B,); row i of ``state``, after token i, belongs to piece ``pieces[i]``."""
        kinds = KINDS[tokens]
        for row in np.flatnonzero((kinds == Kind.NOTE_ON) | (kinds == Kind.NOTE_OFF)).tolist():
            piece, voice, tick = int(pieces[row]), int(state.part[row]), int(state.tick[row])
            if kinds[row] == Kind.NOTE_ON:
                self._begin(piece, voice, tick, int(VALUES[tokens[row]]))
            else:
                self._end(piece, voice, tick)

    def _begin(self, piece: int, voice: int, tick: int, pitch: int) -> None:
        if self._count[voice, piece] == self._capacity:
            self._grow(2 * self._capacity)
        note = piece * self._capacity + self._count[voice, piece]
        self.onset[voice][note] = piece * SPAN + tick
        self.pitch[voice][note] = pitch
        self.predictions[voice][note] = self._predictors[piece].observe(voice, tick, pitch)
        self._count[voice, piece] += 1

    def _end(self, piece: int, voice: int, tick: int) -> None:
        first = piece * self._capacity
        offsets = self.offset[voice][first : first + self._count[voice, piece]]
        offsets[offsets % SPAN == _PENDING] = piece * SPAN + tick

    def _grow(self, capacity: int) -> None:
        """Make room for ``capacity`` notes of each voice in each piece."""
        pending = np.arange(self._pieces)[:, None] * SPAN + _PENDING
        for voice in range(VOICES):
            self.onset[voice] = self._widened(self.onset[voice], capacity, pending)
            self.offset[voice] = self._widened(self.offset[voice], capacity, pending)
            self.pitch[voice] = self._widened(self.pitch[voice], capacity, 0)
            self.predictions[voice] = self._widened(self.predictions[voice], capacity, 0)
        self._capacity = capacity

    def _widened(self, notes: Ints, capacity: int, filler: ArrayLike) -> Ints:
        """Widen (P * old capacity, …) to (P * capacity, …)."""
        wide = np.empty((self._pieces, capacity, *notes.shape[1:]), np.int64)
        wide[:] = filler
        wide[:, : self._capacity] = notes.reshape(self._pieces, self._capacity, *notes.shape[1:])
        return wide.reshape(-1, *notes.shape[1:])
