"""The notes of both voices of many pieces, to look up what sounded when.

``Lines`` holds pieces that are known to their end; ``GrowingLines`` pieces that are being written.
A tick of piece i is stored as i · SPAN + tick, so that one search looks in all pieces at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bicinium.grammar.rules import State
from bicinium.model.inputs.motif_predictor import NOTHING_EXPECTED, Expectations
from bicinium.music.score import LOWEST_PITCH, VOICES, NoteArray
from bicinium.tokenizer.vocabulary import KINDS, VALUES, Kind

Ints = NDArray[np.int64]
SPAN = 2**24  # ticks, more than any piece has
_NEVER = SPAN - 1  # the tick of what has not come yet
_FIRST_ROOM = 64  # notes
NOTHING_SOUNDS, FIRST_PITCH = 1, 2  # the classes of held pitches; 0 is left to say: not known


class Lines:
    """Of each voice, ``onset``, ``offset`` (stored ticks) and ``pitch`` of all pieces' notes, (N,)
    in the order of their onsets. Between the pieces there may be notes that never come.
    """

    def __init__(self, pieces: Sequence[Sequence[NoteArray]]) -> None:
        self.onset, self.offset, self.pitch = [], [], []
        for voice in range(VOICES):
            lines = [piece[voice] for piece in pieces]
            lines.append(np.array([[_NEVER], [0], [0], [0]]))  # there is always one to look up
            first = np.repeat(np.arange(len(lines)) * SPAN, [line.shape[1] for line in lines])
            columns = np.concatenate(lines, axis=1)
            self.onset.append(first + columns[0])
            self.offset.append(first + columns[0] + columns[2])
            self.pitch.append(columns[1])

    @cached_property
    def expected(self) -> list[Ints]:
        """Of each voice, (N, 4) what was expected after each note when it began (``Expected``)."""
        expected = [np.zeros((len(onset), len(NOTHING_EXPECTED)), np.int64) for onset in self.onset]
        voice = np.repeat(range(VOICES), [len(onset) for onset in self.onset])
        note = np.concatenate([np.arange(len(onset)) for onset in self.onset])
        stored, pitch = np.concatenate(self.onset), np.concatenate(self.pitch)
        order = np.lexsort((voice, stored))  # at one tick the upper voice is written first
        columns = (column[order].tolist() for column in (stored, voice, note, pitch))
        now, expectations = -1, Expectations()
        for at, of_voice, index, of_pitch in zip(*columns, strict=True):
            piece, tick = divmod(at, SPAN)
            if piece != now:
                now, expectations = piece, Expectations()
            expected[of_voice][index] = expectations.hear(of_voice, tick, of_pitch)
        return expected

    def last_begun(self, voice: int, at: Ints) -> tuple[Ints, NDArray[np.bool_]]:
        """(N,) the last note of a voice to begin at stored ticks or before, and whether in the same
        piece there is one.
        """
        last = np.searchsorted(self.onset[voice], at, "right") - 1
        found = np.maximum(last, 0)
        return found, (last >= 0) & (self.onset[voice][found] // SPAN == at // SPAN)

    def held(self, voice: int, note: Ints, begun: NDArray[np.bool_], at: Ints) -> Ints:
        """(N,) the class of what a voice holds at stored ticks: FIRST_PITCH is the piano's lowest.

        note, begun: what ``last_begun`` found there.
        """
        sounds = begun & (self.offset[voice][note] > at)
        pitch = self.pitch[voice][note] - LOWEST_PITCH + FIRST_PITCH
        return np.where(sounds, pitch, NOTHING_SOUNDS)

    def uncrossed(self, piece: int, voice: int, stretch: tuple[int, int]) -> tuple[int, int]:
        """The stretch of ticks, its ends moved on to where no note of the voice goes across."""

        def moved(tick: int) -> int:
            at = piece * SPAN + min(tick, _NEVER)
            last = int(np.searchsorted(self.onset[voice], at, "left")) - 1
            if last < 0 or self.offset[voice][last] <= at:
                return tick
            return int(self.offset[voice][last]) - piece * SPAN

        return moved(stretch[0]), moved(stretch[1])


def lines_of(tokens: NDArray[np.integer], lengths: NDArray[np.integer], states: State) -> Lines:
    """The notes of pieces of which tokens and ``states_along`` stand one below the other; each ends
    where in its voice one ends, or with its piece.
    """
    kinds = KINDS[tokens]
    piece = np.repeat(np.arange(len(lengths)), lengths)
    after = np.arange(len(tokens)) + piece + 1  # a piece of T tokens has T + 1 states
    tick, part = states.tick[after], states.part[after]
    begins, ends = kinds == Kind.NOTE_ON, kinds == Kind.NOTE_OFF
    last_row = np.cumsum(lengths) - 1
    of_voice: list[list[NoteArray]] = []
    for voice in range(VOICES):
        on = np.flatnonzero(begins & (part == voice))
        off = np.append(np.flatnonzero(ends & (part == voice)), len(tokens))
        off = np.minimum(off[np.searchsorted(off, on)], last_row[piece[on]])
        columns = np.stack(
            [tick[on], VALUES[tokens[on]], tick[off] - tick[on], np.zeros_like(on)]
        ).astype(np.int64)
        of_voice.append(np.split(columns, np.searchsorted(on, last_row[:-1] + 1), axis=1))
    return Lines(list(zip(*of_voice, strict=True)))


class GrowingLines(Lines):
    """The notes of pieces that are being written, as they come."""

    def __init__(self, pieces: int) -> None:
        self._pieces, self._room = pieces, 0
        self._count = np.zeros((VOICES, pieces), np.int64)
        self._expectations = [Expectations() for _ in range(pieces)]
        nothing = np.empty(0, np.int64)
        self.onset, self.offset, self.pitch = ([nothing] * VOICES for _ in range(3))
        self.expected = [np.empty((0, len(NOTHING_EXPECTED)), np.int64)] * VOICES
        self._make_room(_FIRST_ROOM)

    def hear(self, state: State, pieces: NDArray[np.integer], tokens: NDArray[np.integer]) -> None:
        """Row i of ``state``, as it is after token i, is of piece ``pieces[i]``."""
        kinds = KINDS[tokens]
        for row in np.flatnonzero((kinds == Kind.NOTE_ON) | (kinds == Kind.NOTE_OFF)).tolist():
            piece, voice, tick = int(pieces[row]), int(state.part[row]), int(state.tick[row])
            if kinds[row] == Kind.NOTE_ON:
                self._begin(piece, voice, tick, int(VALUES[tokens[row]]))
            else:
                self._end(piece, voice, tick)

    def _begin(self, piece: int, voice: int, tick: int, pitch: int) -> None:
        if self._count[voice, piece] == self._room:
            self._make_room(2 * self._room)
        note = piece * self._room + self._count[voice, piece]
        self.onset[voice][note] = piece * SPAN + tick
        self.pitch[voice][note] = pitch
        self.expected[voice][note] = self._expectations[piece].hear(voice, tick, pitch)
        self._count[voice, piece] += 1

    def _end(self, piece: int, voice: int, tick: int) -> None:
        first = piece * self._room
        its_own = self.offset[voice][first : first + self._count[voice, piece]]
        its_own[its_own % SPAN == _NEVER] = piece * SPAN + tick

    def _make_room(self, room: int) -> None:
        """For so many notes of each voice in each piece."""
        never = np.arange(self._pieces)[:, None] * SPAN + _NEVER
        for voice in range(VOICES):
            self.onset[voice] = self._widened(self.onset[voice], room, never)
            self.offset[voice] = self._widened(self.offset[voice], room, never)
            self.pitch[voice] = self._widened(self.pitch[voice], room, 0)
            self.expected[voice] = self._widened(self.expected[voice], room, 0)
        self._room = room

    def _widened(self, notes: Ints, room: int, filler: ArrayLike) -> Ints:
        """(P · room, …) from (P · narrower room, …)."""
        wide = np.empty((self._pieces, room, *notes.shape[1:]), np.int64)
        wide[:] = filler
        wide[:, : self._room] = notes.reshape(self._pieces, self._room, *notes.shape[1:])
        return wide.reshape(-1, *notes.shape[1:])
