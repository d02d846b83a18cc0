"""What the model is told of notes that are known before they come.

Who writes a voice under a given one, or fills a gap, knows where the music goes next; a model that
is shown only the past does not. Of each voice a stretch of ticks may be known, and at every token
the model is told what the voice holds now, its next two onsets, and what it holds at beats to come.
Knows notes and ticks; knows no tokens.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bicinium.model.inputs.note_index import FIRST_PITCH, SPAN, Lines
from bicinium.music.score import LOWEST_PITCH, TICKS_PER_QUARTER, VOICES

NEXT_ONSETS = 2
NEXT_BEATS = (1, 2, 4)  # quarters ahead
_OF_VOICE = [False, *[False, True] * NEXT_ONSETS, *[False] * len(NEXT_BEATS)]
_WIDTH = len(_OF_VOICE)
IS_WAIT = np.array(_OF_VOICE * VOICES)  # (C,) which of the columns are ticks
NOT_KNOWN = 0
_TO_CLASS = FIRST_PITCH - LOWEST_PITCH

Ints = NDArray[np.int64]


class Foresight:
    """Of N places in pieces, the stretch that is known of each voice.

    piece: (N,) which of the pieces of ``lines``. known_from, known_until: (N, 2) ticks; nothing is
    known where they are equal. No note may cross either of them.
    """

    def __init__(self, lines: Lines, piece: Ints, known_from: Ints, known_until: Ints) -> None:
        self.lines, self.piece = lines, piece
        self.known_from, self.known_until = known_from, np.minimum(known_until, SPAN - 1)

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
        lines, base = self.lines, self.piece[rows] * SPAN
        begin, end = self.known_from[rows, voice], self.known_until[rows, voice]

        def held(at: Ints) -> Ints:
            known = (begin <= at) & (at < end)
            note, begun = lines.last_begun(voice, base + at)
            return np.where(known, lines.held(voice, note, begun, base + at), NOT_KNOWN)

        onsets = lines.onset[voice]
        following = np.searchsorted(onsets, base + np.maximum(tick + 1, begin), "left")
        last = np.searchsorted(onsets, base + end, "left")
        columns = [held(tick)]
        for _ in range(NEXT_ONSETS):
            known = following < last
            at = np.where(known, following, 0)
            columns.append(np.where(known, lines.pitch[voice][at] + _TO_CLASS, 0))
            columns.append(np.where(known, onsets[at] - base - tick, 0))
            following = following + 1
        beat = tick // TICKS_PER_QUARTER
        columns += [held((beat + ahead) * TICKS_PER_QUARTER) for ahead in NEXT_BEATS]
        return np.stack(columns, axis=1)
