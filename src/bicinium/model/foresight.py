"""What the model is told of notes that are known before they come.

Who writes a voice under a given one, or fills a gap, knows where the music goes next; a model that
is shown only the past does not. Of each voice a stretch of ticks may be known, and at every token
the model is told what the voice holds now, its next two onsets, and what it holds at beats to come.
Knows notes and ticks; knows no tokens.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bicinium.score.notes import LOWEST_PITCH, TICKS_PER_QUARTER, VOICES, Columns

NEXT_ONSETS = 2
NEXT_BEATS = (1, 2, 4)  # quarters ahead
_OF_VOICE = [False, *[False, True] * NEXT_ONSETS, *[False] * len(NEXT_BEATS)]
_WIDTH = len(_OF_VOICE)
IS_WAIT = np.array(_OF_VOICE * VOICES)  # (C,) which of the columns are ticks
NOT_KNOWN, NOTHING_SOUNDS, FIRST_PITCH = 0, 1, 2  # what the columns of pitches hold
_SPAN = 2**24  # ticks, more than any piece has: a tick of piece i is stored as i · _SPAN + tick

Ints = NDArray[np.int64]


class Lines:
    """The notes of both voices of many pieces, to look up what sounds when."""

    def __init__(self, pieces: Sequence[Sequence[Columns]]) -> None:
        self.onset, self.offset, self.pitch = [], [], []
        for voice in range(VOICES):
            lines = [piece[voice] for piece in pieces]
            lines.append(np.zeros((4, 1), np.int64))  # a piece after the last: never looked at,
            first = np.repeat(np.arange(len(lines)) * _SPAN, [line.shape[1] for line in lines])
            columns = np.concatenate(lines, axis=1)  # but there is always a note to look up
            self.onset.append(first + columns[0])
            self.offset.append(first + columns[0] + columns[2])
            self.pitch.append(columns[1] - LOWEST_PITCH + FIRST_PITCH)

    def held(self, voice: int, at: Ints) -> Ints:
        """The pitch (from FIRST_PITCH) that a voice holds at stored ticks, or NOTHING_SOUNDS."""
        last = np.maximum(np.searchsorted(self.onset[voice], at, "right") - 1, 0)
        sounds = (self.onset[voice][last] <= at) & (at < self.offset[voice][last])
        return np.where(sounds, self.pitch[voice][last], NOTHING_SOUNDS)

    def uncrossed(self, piece: int, voice: int, stretch: tuple[int, int]) -> tuple[int, int]:
        """The stretch of ticks, its ends moved on to where no note of the voice goes across."""

        def moved(tick: int) -> int:
            at = piece * _SPAN + min(tick, _SPAN - 1)
            last = int(np.searchsorted(self.onset[voice], at, "left")) - 1
            if last < 0 or self.offset[voice][last] <= at:
                return tick
            return int(self.offset[voice][last]) - piece * _SPAN

        return moved(stretch[0]), moved(stretch[1])


class Foresight:
    """Of N places in pieces, the stretch that is known of each voice.

    piece: (N,) which of the pieces of ``lines``. known_from, known_until: (N, 2) ticks; nothing is
    known where they are equal. No note may cross either of them.
    """

    def __init__(self, lines: Lines, piece: Ints, known_from: Ints, known_until: Ints) -> None:
        self.lines, self.piece = lines, piece
        self.known_from, self.known_until = known_from, np.minimum(known_until, _SPAN - 1)

    def take(self, rows: NDArray[np.integer]) -> Foresight:
        """The places asked for, in that order."""
        return Foresight(
            self.lines, self.piece[rows], self.known_from[rows], self.known_until[rows]
        )

    def columns(self, tick: NDArray[np.integer]) -> Ints:
        """(N,) ticks → (N, C), of each voice in turn: what it holds; pitch of and ticks until each
        of the next onsets, 0 where not known; what it holds at the beats to come.
        """
        told = np.zeros((len(tick), VOICES * _WIDTH), np.int64)
        for voice in range(VOICES):
            rows = np.flatnonzero(self.known_until[:, voice] > self.known_from[:, voice])
            if len(rows):
                told[rows, voice * _WIDTH : (voice + 1) * _WIDTH] = self._of_voice(
                    voice, rows, tick[rows].astype(np.int64)
                )
        return told

    def _of_voice(self, voice: int, rows: Ints, tick: Ints) -> Ints:
        lines, base = self.lines, self.piece[rows] * _SPAN
        begin, end = self.known_from[rows, voice], self.known_until[rows, voice]

        def held(at: Ints) -> Ints:
            known = (begin <= at) & (at < end)
            return np.where(known, lines.held(voice, base + at), NOT_KNOWN)

        onsets, pitches = lines.onset[voice], lines.pitch[voice]
        following = np.searchsorted(onsets, base + np.maximum(tick + 1, begin), "left")
        last = np.searchsorted(onsets, base + end, "left")
        columns = [held(tick)]
        for _ in range(NEXT_ONSETS):
            known = following < last
            at = np.where(known, following, 0)
            columns.append(np.where(known, pitches[at], 0))
            columns.append(np.where(known, onsets[at] - base - tick, 0))
            following = following + 1
        beat = tick // TICKS_PER_QUARTER
        columns += [held((beat + ahead) * TICKS_PER_QUARTER) for ahead in NEXT_BEATS]
        return np.stack(columns, axis=1)
