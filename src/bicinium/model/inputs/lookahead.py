"""Look-ahead inputs: notes that are known before they come.

Whoever writes a voice under a given one, or fills a gap, knows how the music continues; a model
that sees only the past does not. A stretch of ticks may be known of each voice. At every token the
model then sees what the voice holds now, its next two onsets, and what it holds at coming beats.
Knows notes and ticks; knows no tokens.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bicinium.model.inputs.note_index import FIRST_PITCH, SPAN, NoteIndex
from bicinium.music.score import LOWEST_PITCH, TICKS_PER_QUARTER, VOICES

NEXT_ONSETS = 2
NEXT_BEATS = (1, 2, 4)  # Quarters ahead.
_VOICE_IS_TICKS = [False, *[False, True] * NEXT_ONSETS, *[False] * len(NEXT_BEATS)]
_VOICE_COLUMNS = len(_VOICE_IS_TICKS)
IS_TICKS = np.array(_VOICE_IS_TICKS * VOICES)  # (C,) Which columns hold ticks, not classes.
UNKNOWN_PITCH = 0
_TO_CLASS = FIRST_PITCH - LOWEST_PITCH

Ints = NDArray[np.int64]


class Lookahead:
    """The known stretch of each voice, for N positions in pieces.

    piece: (N,) which piece of ``notes``. known_from, known_until: (N, 2) ticks; nothing is known
    where they are equal. No note may cross either of them.
    """

    def __init__(self, notes: NoteIndex, piece: Ints, known_from: Ints, known_until: Ints) -> None:
        self.notes, self.piece = notes, piece
        self.known_from, self.known_until = known_from, np.minimum(known_until, SPAN - 1)

    def take(self, rows: NDArray[np.integer]) -> Lookahead:
        """Select positions by index, in that order."""
        return Lookahead(
            self.notes, self.piece[rows], self.known_from[rows], self.known_until[rows]
        )

    def columns(self, tick: NDArray[np.integer]) -> Ints:
        """Encode ticks (N,) as (N, C).

        For each voice: the class of the held pitch; for each of the next onsets, its pitch class
        and the ticks until it (0 where unknown); the class of the pitch held at each coming beat.
        """
        columns = np.zeros((len(tick), VOICES * _VOICE_COLUMNS), np.int64)
        for voice in range(VOICES):
            rows = np.flatnonzero(self.known_until[:, voice] > self.known_from[:, voice])
            if len(rows):
                columns[rows, voice * _VOICE_COLUMNS : (voice + 1) * _VOICE_COLUMNS] = (
                    self._voice_columns(voice, rows, tick[rows].astype(np.int64))
                )
        return columns

    def _voice_columns(self, voice: int, rows: Ints, tick: Ints) -> Ints:
        notes, base = self.notes, self.piece[rows] * SPAN
        begin, end = self.known_from[rows, voice], self.known_until[rows, voice]

        def held(at: Ints) -> Ints:
            known = (begin <= at) & (at < end)
            note, exists = notes.last_onset(voice, base + at)
            return np.where(known, notes.held_class(voice, note, exists, base + at), UNKNOWN_PITCH)

        onsets = notes.onset[voice]
        following = np.searchsorted(onsets, base + np.maximum(tick + 1, begin), "left")
        last = np.searchsorted(onsets, base + end, "left")
        columns = [held(tick)]
        for _ in range(NEXT_ONSETS):
            known = following < last
            at = np.where(known, following, 0)
            columns.append(np.where(known, notes.pitch[voice][at] + _TO_CLASS, 0))
            columns.append(np.where(known, onsets[at] - base - tick, 0))
            following = following + 1
        beat = tick // TICKS_PER_QUARTER
        columns += [held((beat + ahead) * TICKS_PER_QUARTER) for ahead in NEXT_BEATS]
        return np.stack(columns, axis=1)
