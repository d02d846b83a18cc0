"""The last bars of both voices, as the tokens that the model reads.

Ticks count from the beginning of the session. The model reads a window that begins at a barline:
a session may be of any length, and the window has the length of a piece.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bicinium.grammar.terms import FAR
from bicinium.music.key import Key
from bicinium.music.score import (
    HIGHEST_PITCH,
    LOWEST_PITCH,
    VOICES,
    Meter,
    Note,
    Score,
    Voice,
)
from bicinium.tokenizer.codec import encode
from bicinium.tokenizer.vocabulary import END, KINDS, VALUES, Kind

_OCTAVE = 12


@dataclass(slots=True)
class _Played:
    onset_tick: int
    pitch: int
    velocity: int
    offset_tick: int = FAR  # FAR while it is held


class VoiceHistory:
    """The notes of one voice, one at a time: a note that begins ends the one before."""

    def __init__(self, shortest_ticks: int) -> None:
        self._shortest = shortest_ticks
        self._notes: list[_Played] = []

    @property
    def held_pitch(self) -> int | None:
        """The pitch that is held; None if none is."""
        last = self._notes[-1] if self._notes else None
        return last.pitch if last and last.offset_tick == FAR else None

    def begin(self, tick: int, pitch: int, velocity: int) -> None:
        """Begin a note. One that has begun at the same tick is replaced."""
        self._cut(tick)
        self._notes.append(_Played(tick, pitch, velocity))

    def end(self, tick: int, pitch: int) -> None:
        """End the held note if it has this pitch. It lasts at least the shortest duration."""
        if self.held_pitch == pitch:
            last = self._notes[-1]
            last.offset_tick = max(tick, last.onset_tick + self._shortest)

    def _cut(self, tick: int) -> None:
        while self._notes and self._notes[-1].onset_tick >= tick:
            self._notes.pop()
        if self._notes:
            last = self._notes[-1]
            last.offset_tick = min(last.offset_tick, tick)

    def forget_before(self, tick: int) -> None:
        """Forget the notes that ended by a tick."""
        self._notes = [note for note in self._notes if note.offset_tick > tick]

    def notes(self, start: int, until: int, semitones: int) -> list[Note]:
        """Return the notes that sound from ``start`` to ``until``, transposed, with ticks from 0.

        A note that goes on ends one tick later.
        """
        return [
            Note(
                max(note.onset_tick - start, 0),
                _on_keyboard(note.pitch + semitones),
                min(note.offset_tick, until + 1) - max(note.onset_tick, start),
                note.velocity,
            )
            for note in self._notes
            if note.offset_tick > start and note.onset_tick <= until
        ]


class History:
    """Both voices. ``shortest_ticks`` is the shortest duration that is written."""

    def __init__(self, key: Key, meter: Meter, tempo_qpm: float, shortest_ticks: int) -> None:
        self._semitones, self._meter = key.semitones_to_reference, meter
        self.tempo_qpm = tempo_qpm  # as the model is told
        self.voices = tuple(VoiceHistory(shortest_ticks) for _ in range(VOICES))
        self.start = 0  # tick of the window's first barline

    def begin_window(self, tick: int) -> None:
        """Let the window begin at the barline before a tick."""
        self.start = tick // self._meter.bar_ticks * self._meter.bar_ticks
        for voice in self.voices:
            voice.forget_before(self.start)

    def bars_at(self, tick: int) -> int:
        """Return how many bars of the window are full at a tick."""
        return (tick - self.start) // self._meter.bar_ticks

    def tokens(self, tick: int) -> list[int]:
        """Return the tokens of all events in the window up to a tick, this one included."""
        voices = tuple(
            Voice(tuple(voice.notes(self.start, tick, self._semitones))) for voice in self.voices
        )
        bars = self.bars_at(tick + 1) + 1
        tokens = encode(Score(voices, bars, self._meter, tempo_qpm=self.tempo_qpm))
        ticks = np.cumsum(np.where(KINDS[tokens] == Kind.TIME_SHIFT, VALUES[tokens], 0))
        known = tokens[: np.searchsorted(ticks, tick - self.start, side="right")].tolist()
        while known[-1] == END or KINDS[known[-1]] == Kind.TIME_SHIFT:
            known.pop()  # it leads to no event yet
        return known


def _on_keyboard(pitch: int) -> int:
    while pitch > HIGHEST_PITCH:
        pitch -= _OCTAVE
    while pitch < LOWEST_PITCH:
        pitch += _OCTAVE
    return pitch
