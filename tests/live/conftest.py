"""A player, a clock and a listener without hardware: time passes only while a session waits."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

import pytest

from bicinium.generation.streaming import NoteEvent
from bicinium.live.session import Key, Message, Stop


class Script:
    """A source that gives messages at their seconds, and then stops at ``end``."""

    def __init__(self, messages: Sequence[Message], end: float) -> None:
        self.second = 0.0
        self.end = end
        self.waiting = sorted(messages, key=lambda message: message.second)  # type: ignore[union-attr]
        self.given = 0

    def now(self) -> float:
        return self.second

    def receive(self, until: float) -> Message | None:
        if self.given < len(self.waiting):
            message = self.waiting[self.given]
            if message.second <= until:  # type: ignore[union-attr]
                self.given += 1
                self.second = max(self.second, message.second)  # type: ignore[union-attr]
                return message
        if until >= self.end:
            return Stop()
        self.second = until
        return None


class Listener:
    """A sink that checks that notes begin and end in turn, and remembers everything."""

    def __init__(self, source: Script) -> None:
        self.source = source
        self.held: set[int] = set()
        self.partner: list[NoteEvent] = []
        self.player: list[NoteEvent] = []
        self.beats: list[tuple[int, int]] = []
        self.late: list[float] = []
        self.silenced = 0

    def note(self, event: NoteEvent, is_partner: bool) -> None:
        if not is_partner:
            self.player.append(event)
            return
        self.partner.append(event)
        self.late.append(self.source.now() - event.second)
        if event.begins:
            assert not self.held, "the partner's voice has one note at a time"
            self.held.add(event.pitch)
        else:
            self.held.remove(event.pitch)

    def beat(self, bar: int, beat: int) -> None:
        self.beats.append((bar, beat))

    def silence(self) -> None:
        self.silenced += 1


@pytest.fixture(scope="session")
def script() -> type[Script]:
    return Script


@pytest.fixture(scope="session")
def listener() -> type[Listener]:
    return Listener


@pytest.fixture(scope="session")
def walk() -> Callable[..., list[Key]]:
    """Return a function: (seconds, seed, lowest) → a player who walks up and down, not exactly in
    time, at 120 quarters a minute, with rests and now and then a key that is held over the next.
    """

    def keys(seconds: float, seed: int = 0, lowest: int = 62) -> list[Key]:
        rng = random.Random(seed)
        scale = [lowest + step for step in (0, 2, 3, 5, 7, 8, 10, 12, 14, 15)]
        found, second, index = [], 1.0, 4
        while second < seconds:
            length = rng.choice([0.125, 0.25, 0.5, 0.5, 1.0])
            index = min(max(index + rng.choice([-2, -1, 1, 2]), 0), len(scale) - 1)
            begin = second + rng.gauss(0, 0.015)
            found.append(Key(begin, scale[index], 80))
            found.append(Key(begin + length * rng.choice([0.5, 0.9, 1.2]), scale[index], 0))
            second += length + (8.0 if rng.random() < 0.02 else 0.0)
        return found

    return keys
