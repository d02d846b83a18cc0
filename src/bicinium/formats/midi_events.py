"""Scan the events of a MIDI track: its notes, metas and pedal.

Knows bytes and ticks of the file; knows no grid and no staves. It reads what programs write beside
the standard: a running status that goes on after a meta event or system exclusive, and real-time
bytes. Compiled when the package is built; the C types are in ``midi_events.pxd``.
"""

from __future__ import annotations

_END_OF_TRACK = 0x2F
_SUSTAIN = 64  # the controller of the pedal
_PADDING = bytes(16)  # more than an event reads without a check


class TrackEvents:
    """The events of one track. Times are ticks of the file.

    The lists of notes are parallel. A note without an end is held to the end of the track.
    """

    def __init__(self) -> None:
        self.onsets: list[int] = []
        self.pitches: list[int] = []
        self.ends: list[int] = []
        self.velocities: list[int] = []
        self.channels: list[int] = []
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
        self.sounding: dict[int, list[int]] = {}  # channel * 128 + pitch: indices of open notes

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
        for waiting in self.sounding.values():
            for index in waiting:
                self.ends[index] = self.tick
                self.never_ended.append(index)

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
        elif command == 0xB and first == _SUSTAIN and second >= 64:
            self.pedal_uses += 1

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
        key = (self.status & 15) << 7 | pitch
        if key in self.sounding:
            self.sounding[key].append(len(self.onsets))
        else:
            self.sounding[key] = [len(self.onsets)]
        self.onsets.append(self.tick)
        self.pitches.append(pitch)
        self.ends.append(-1)
        self.velocities.append(velocity)
        self.channels.append(self.status & 15)

    def note_off(self, pitch: int) -> None:
        """End the note of a pitch that began first."""
        key = (self.status & 15) << 7 | pitch
        if key not in self.sounding:
            now = tuple(sorted({other & 127 for other in self.sounding}))
            self.stray_ends.append((self.tick, pitch, now))
            return
        waiting = self.sounding[key]
        self.ends[waiting.pop(0)] = self.tick
        if not waiting:
            del self.sounding[key]
