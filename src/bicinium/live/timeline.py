"""The metronome's time: ticks to seconds and back, at a tempo that may change."""

from __future__ import annotations

from bicinium.music.score import TICKS_PER_QUARTER


class Timeline:
    """Tick 0 is at ``start`` seconds of some clock."""

    def __init__(self, start: float, tempo_qpm: float) -> None:
        self.tempo_qpm = tempo_qpm
        self._second, self._tick = start, 0.0

    def tick_at(self, second: float) -> float:
        """Return the tick at a second, with its fraction."""
        return self._tick + (second - self._second) * TICKS_PER_QUARTER * self.tempo_qpm / 60

    def second_at(self, tick: float) -> float:
        """Return the second of a tick."""
        return self._second + (tick - self._tick) * 60 / (TICKS_PER_QUARTER * self.tempo_qpm)

    def change_tempo(self, second: float, tempo_qpm: float) -> None:
        """Go on at another tempo from a second on."""
        self._tick, self._second = self.tick_at(second), second
        self.tempo_qpm = tempo_qpm
