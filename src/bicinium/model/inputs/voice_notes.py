"""The notes of one voice of one piece, as they come, and the questions that inputs ask of them.

Times are in ticks. Knows notes; knows no tokens and no model.

Compiled when the package is built; the C types are in ``voice_notes.pxd``.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable

from bicinium.model.inputs.classes import held_class
from bicinium.model.inputs.layout import SILENT

SOUNDING = 2**30  # the offset of a note that has not ended yet
ROOM = 64  # notes, at first


class VoiceNotes:
    """``onset``, ``offset`` and ``pitch`` of ``count`` notes, in the order of their onsets."""

    def __init__(self) -> None:
        self.count = 0
        self.onset = memoryview(array("i", [0]) * ROOM)
        self.offset = memoryview(array("i", [0]) * ROOM)
        self.pitch = memoryview(array("i", [0]) * ROOM)

    def begin(self, tick: int, pitch: int) -> None:
        """Add a note that begins now, which is no earlier than the last one."""
        if self.count == len(self.onset):
            self.onset = _with_room(self.onset)
            self.offset = _with_room(self.offset)
            self.pitch = _with_room(self.pitch)
        self.onset[self.count] = tick
        self.offset[self.count] = SOUNDING
        self.pitch[self.count] = pitch
        self.count += 1

    def end(self, tick: int) -> None:
        """End what sounds. After an illegal token this may be several notes."""
        note = self.count - 1
        while note >= 0 and self.offset[note] == SOUNDING:
            self.offset[note] = tick
            note -= 1

    def first_after(self, tick: int) -> int:
        """The index of the first note that begins later than this tick; ``count`` if none does."""
        low = 0
        high = self.count
        while low < high:
            middle = (low + high) // 2
            if self.onset[middle] <= tick:
                low = middle + 1
            else:
                high = middle
        return low

    def held_class(self, tick: int) -> int:
        """The class of the pitch that is held at this tick."""
        note = self.first_after(tick) - 1
        if note < 0 or self.offset[note] <= tick:
            return SILENT
        return held_class(self.pitch[note])

    def pitch_begun(self, tick: int, earlier: int) -> int:
        """The pitch of the last note begun by this tick, or of so many notes before it; 0 if there
        is none.
        """
        note = self.first_after(tick) - 1 - earlier
        return self.pitch[note] if note >= 0 else 0

    def uncrossed(self, tick: int) -> int:
        """The first tick, from this one on, at which no note is held over from before."""
        note = self.first_after(tick - 1) - 1
        if note < 0 or self.offset[note] <= tick:
            return tick
        return self.offset[note]


def voice_of(notes: Iterable[tuple[int, int, int]]) -> VoiceNotes:
    """Make a voice of notes (onset, pitch, duration) that are in the order of their onsets."""
    voice = VoiceNotes()
    for onset, pitch, duration in notes:
        voice.begin(onset, pitch)
        voice.end(onset + duration)
    return voice


def _with_room(values: memoryview) -> memoryview:
    """A copy that is twice as long."""
    wide = memoryview(array("i", [0]) * (2 * len(values)))
    wide[: len(values)] = values
    return wide
