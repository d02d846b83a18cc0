"""Measure how late the answers of ``bicinium live`` are, and what a long session leaves behind.

Usage: python -m benchmarks live [--minutes 5] [--player 0] [--tempo 120] [--virtual]

A simulated player plays a melody a little out of time (a standard deviation of 15 ms), with rests.
By the real clock, each note of the answer is compared with its time on the metronome. With
--virtual, time passes only while the session waits: a half-hour takes a minute, and lateness is
not measured. Memory is that of the process.
"""

from __future__ import annotations

import argparse
import os
import random
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.report import quantile
from bicinium.generation.streaming import NoteEvent
from bicinium.live.options import LiveOptions
from bicinium.live.ports import Inbox
from bicinium.live.session import Key, Message, Stop

MILLISECONDS = 1000
SCALES = ((62, 64, 65, 67, 69, 70, 72, 74, 76, 77), (38, 40, 41, 43, 45, 46, 48, 50, 52, 53))


def main(arguments: Sequence[str]) -> None:
    """Play, and print what was measured."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--player", type=int, default=0)
    parser.add_argument("--tempo", type=float, default=120)
    parser.add_argument("--virtual", action="store_true")
    options = parser.parse_args(arguments)
    seconds = 60 * options.minutes
    melody = played(seconds, options.player, 60 / options.tempo)
    source = VirtualClock(melody) if options.virtual else RealPlayer(melody)
    listener = Listener(source)
    live = LiveOptions(player=options.player, key="D minor", tempo=options.tempo)
    session = live.session(source, [listener])
    source.begin()
    session.run()
    listener.report()


def played(seconds: float, player: int, quarter: float) -> list[Key]:
    """What the player does."""
    rng, keys, second, index = random.Random(0), [], 1.0, 4
    while second < seconds:
        length = quarter * rng.choice([0.5, 1, 1, 2])
        index = min(max(index + rng.choice([-2, -1, 1, 2]), 0), len(SCALES[0]) - 1)
        begin = second + rng.gauss(0, 0.015)
        keys.append(Key(begin, SCALES[player][index], 80))
        keys.append(Key(begin + 0.9 * length, SCALES[player][index], 0))
        second += length + (quarter * 16 if rng.random() < 0.01 else 0)
    return sorted(keys, key=lambda key: key.second)


class RealPlayer(Inbox):
    """A thread that puts the player's keys into the inbox at their time."""

    def __init__(self, keys: Sequence[Key]) -> None:
        super().__init__()
        self._keys = keys

    def begin(self) -> None:
        """Begin to play."""
        threading.Thread(target=self._play, args=(self.now(),), daemon=True).start()

    def _play(self, start: float) -> None:
        for key in self._keys:
            time.sleep(max(0.0, start + key.second - self.now()))
            self.put(Key(self.now(), key.pitch, key.velocity))
        self.put(Stop())


class VirtualClock:
    """The player's keys at their time, which passes only while the session waits."""

    def __init__(self, keys: Sequence[Key]) -> None:
        self._keys, self._next, self._second = keys, 0, 0.0

    def begin(self) -> None:
        """Do nothing."""

    def now(self) -> float:
        """Return the virtual time."""
        return self._second

    def receive(self, until: float) -> Message | None:
        """Return the next key, or let time pass."""
        if self._next == len(self._keys):
            return Stop()
        key = self._keys[self._next]
        if key.second > until:
            self._second = until
            return None
        self._next += 1
        self._second = max(self._second, key.second)
        return key


class Listener:
    """Counts, and measures lateness and memory. Keeps no note."""

    def __init__(self, source: RealPlayer | VirtualClock) -> None:
        self._source = source
        self._held: set[int] = set()
        self._late: list[float] = []
        self._memory: list[float] = []

    def note(self, event: NoteEvent, is_partner: bool) -> None:
        """Take a note."""
        if not is_partner:
            return
        if event.begins:
            self._late.append(MILLISECONDS * (self._source.now() - event.second))
            self._held.add(event.pitch)
        else:
            self._held.remove(event.pitch)

    def beat(self, bar: int, beat: int) -> None:
        """Look at the memory, every 75 bars."""
        if beat == 1 and bar % 75 == 1:
            self._memory.append(resident_megabytes())

    def silence(self) -> None:
        """Do nothing."""

    def report(self) -> None:
        """Print."""
        late = self._late
        print(f"  {len(late)} notes answered; {len(self._held)} held at the end")
        if isinstance(self._source, RealPlayer):
            shares = [f"{100 * s:g} % within {quantile(late, s):.2f} ms" for s in (0.5, 0.9, 0.99)]
            within = sum(value <= 10 for value in late) / len(late)
            print(f"  late: {', '.join(shares)}, all within {max(late):.2f} ms")
            print(f"  within 10 ms: {within:.2%}")
        print(f"  memory in MB, every 75 bars: {[round(m, 1) for m in self._memory]}")


def resident_megabytes() -> float:
    """Return the memory of this process."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6
