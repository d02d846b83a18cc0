"""Scan the events of a MIDI track: its notes, metas and pedal.

Knows bytes and ticks of the file; knows no grid and no staves. It reads what programs write beside
the standard: a running status that goes on after a meta event or system exclusive, and real-time
bytes. Compiled when the package is built; the C types are in ``midi_events.pxd``.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_END_OF_TRACK = 0x2F
_SUSTAIN = 64  # the controller of the pedal
_SOUND_OFF, _NOTES_OFF = 120, 123  # These controllers, and all above, end the notes of a channel.
_KEYS = 16 * 128  # channels and pitches
_NEXT = 5  # row of the table: the next open note of the same channel and pitch
_FIRST_NOTES = 256  # that there is room for at first
_PADDING = bytes(16)  # more than an event reads without a check


class TrackEvents:
    """The events of one track. Times are ticks of the file.

    ``notes`` has the rows onset, end, pitch, velocity and channel. A note without an end is held to
    the end of the track.
    """

    def __init__(self) -> None:
        self.notes: NDArray[np.int64] = np.zeros((5, 0), np.int64)
        self.metas: list[tuple[int, int, bytes]] = []  # tick, type, content
        self.stray_ends: list[tuple[int, int, tuple[int, ...]]] = []  # tick, pitch, sounding
        self.never_ended: list[int] = []  # indices of notes
        self.pedal_uses = 0
        self.has_ended = False  # by an event of its own
        self.position = 0  # in the file, after the last event
        self.tick = 0
        self.status = 0
        self.data = b""
        self.end = 0
        self.table: NDArray[np.int64] = np.zeros((6, _FIRST_NOTES), np.int64)
        self.count = 0  # notes in the table
        # The first open note of channel * 128 + pitch. The last row of the table has the next.
        self.first: NDArray[np.int64] = np.full(_KEYS, -1, np.int64)

    def scan(self, data: bytes, start: int, end: int) -> None:
        """Read the events between two positions of a file.

        Raises ValueError with a position if the bytes are no events.
        """
        self.data = data[:end] + _PADDING
        self.end = end
        self.position = start
        while self.position < self.end and not self.has_ended:
            self.tick += self.number()
            self.event()
        if self.position > self.end:
            raise ValueError(f"an event at byte {end} is cut off")
        for key in range(_KEYS):
            while self.first[key] >= 0:
                self.never_ended.append(self.first[key])
                self.end_first(key)
        self.notes = np.asarray(self.table)[:5, : self.count]

    def number(self) -> int:
        """Read a number of up to four bytes."""
        value = 0
        for _ in range(4):
            byte = self.data[self.position]
            self.position += 1
            value = value << 7 | byte & 127
            if byte < 128:
                return value
        raise ValueError(f"a number at byte {self.position} is longer than four bytes")

    def event(self) -> None:
        """Read one event, after its time."""
        byte = self.data[self.position]
        if byte >= 0xF0:
            self.position += 1
            self.system(byte)
            return
        if byte >= 0x80:
            self.status = byte
            self.position += 1
        if not self.status:
            raise ValueError(f"byte {self.position} begins no event")
        command = self.status >> 4
        first = self.data[self.position]
        second = self.data[self.position + 1]
        if command == 0xC or command == 0xD:  # These have one byte of data.
            second = 0
            self.position += 1
        else:
            self.position += 2
        if first > 127 or second > 127:
            raise ValueError(f"byte {self.position - 1} is no data of an event")
        if command == 9 and second:
            self.note_on(first, second)
        elif command == 8 or command == 9:
            self.note_off(first)
        elif command == 0xB:
            self.control(first, second)

    def control(self, controller: int, value: int) -> None:
        """Count a use of the pedal, or end the notes of a channel."""
        if controller == _SUSTAIN and value >= 64:
            self.pedal_uses += 1
        elif controller == _SOUND_OFF or controller >= _NOTES_OFF:
            for key in range((self.status & 15) << 7, ((self.status & 15) + 1) << 7):
                while self.first[key] >= 0:
                    self.end_first(key)

    def system(self, byte: int) -> None:
        """Read a meta event, system exclusive, or a message that belongs on a cable."""
        if byte == 0xF2:
            self.position += 2
        elif byte == 0xF1 or byte == 0xF3:
            self.position += 1
        elif byte == 0xF0 or byte == 0xF7 or byte == 0xFF:
            kind = self.data[self.position]
            if byte == 0xFF:
                self.position += 1
            length = self.number()
            if self.position + length > self.end:
                raise ValueError(f"an event at byte {self.position} is longer than its track")
            if byte == 0xFF:
                content = self.data[self.position : self.position + length]
                self.metas.append((self.tick, kind, content))
                self.has_ended = kind == _END_OF_TRACK
            self.position += length

    def note_on(self, pitch: int, velocity: int) -> None:
        """Begin a note. If its pitch sounds already, the note before ends with its own event."""
        channel = self.status & 15
        key = channel << 7 | pitch
        index = self.count
        if index == self.table.shape[1]:
            wider = np.zeros((6, 2 * index), np.int64)
            wider[:, :index] = self.table
            self.table = wider
        self.table[0, index] = self.tick
        self.table[2, index] = pitch
        self.table[3, index] = velocity
        self.table[4, index] = channel
        self.table[_NEXT, index] = -1
        self.count += 1
        last = self.first[key]
        if last < 0:
            self.first[key] = index
            return
        while self.table[_NEXT, last] >= 0:
            last = self.table[_NEXT, last]
        self.table[_NEXT, last] = index

    def note_off(self, pitch: int) -> None:
        """End the note of a pitch that began first."""
        key = (self.status & 15) << 7 | pitch
        if self.first[key] < 0:
            now = {other & 127 for other in range(_KEYS) if self.first[other] >= 0}
            self.stray_ends.append((self.tick, pitch, tuple(sorted(now))))
            return
        self.end_first(key)

    def end_first(self, key: int) -> None:
        """End the note of a channel and pitch that began first."""
        index = self.first[key]
        self.table[1, index] = self.tick
        self.first[key] = self.table[_NEXT, index]
