"""Look-ahead inputs: notes that are known before they come.

Whoever writes a voice under a given one, or fills a gap, knows how the music continues; a model
that sees only the past does not. A stretch of ticks may be known of each voice. At every token the
model then sees what the voice holds now, its next two onsets, and what it holds at coming beats.
Knows notes and ticks; knows no tokens.

Compiled when the package is built; the C types are in ``lookahead.pxd``.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence

from bicinium.model.inputs.classes import held_class, tick_class
from bicinium.model.inputs.layout import NEXT_BEATS, NEXT_ONSETS
from bicinium.model.inputs.row import Row
from bicinium.model.inputs.voice_notes import VoiceNotes
from bicinium.music.score import TICKS_PER_QUARTER, VOICES

VOICE_COUNT, QUARTER = VOICES, TICKS_PER_QUARTER
UNKNOWN = 0
_beats_ahead = memoryview(array("i", NEXT_BEATS))


class Lookahead:
    """What is known of the notes to come in one piece.

    voices: the notes of each voice. known: for each voice, from and until which tick they are
    known; nothing is known if the two are equal. No note may cross either of them.
    """

    def __init__(self, voices: Sequence[VoiceNotes], known: Sequence[tuple[int, int]]) -> None:
        self.voices = list(voices)
        self.known_from = memoryview(array("i", [begin for begin, _ in known]))
        self.known_until = memoryview(array("i", [until for _, until in known]))

    def put_columns(self, tick: int, row: Row) -> None:
        """Write the columns of ``LOOKAHEAD_SIZES``.

        For each voice: the class of the held pitch; for each of the next onsets, its pitch class
        and the ticks until it (0 where unknown); the class of the pitch held at each coming beat.
        """
        for part in range(VOICE_COUNT):
            row.put(self._held(part, tick))
            self._put_next_onsets(part, tick, row)
            for ahead in _beats_ahead:
                row.put(self._held(part, (tick // QUARTER + ahead) * QUARTER))

    def _held(self, part: int, tick: int) -> int:
        """The class of the pitch that a voice holds at a tick."""
        if not self.known_from[part] <= tick < self.known_until[part]:
            return UNKNOWN
        voice = self.voices[part]
        return voice.held_class(tick)

    def _put_next_onsets(self, part: int, tick: int, row: Row) -> None:
        voice = self.voices[part]
        note = voice.first_after(max(tick, self.known_from[part] - 1))
        for following in range(note, note + NEXT_ONSETS):
            if following < voice.count and voice.onset[following] < self.known_until[part]:
                row.put(held_class(voice.pitch[following]))
                row.put(tick_class(voice.onset[following] - tick))
            else:
                row.put(UNKNOWN)
                row.put(UNKNOWN)
