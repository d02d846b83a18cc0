"""One piece as a stream of note events, while it is composed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from bicinium.errors import RequestError
from bicinium.generation.conditions import Conditions
from bicinium.generation.config import GenerationConfig
from bicinium.generation.engine import Drawing, Engine
from bicinium.music.score import TICKS_PER_QUARTER
from bicinium.tokenizer.vocabulary import (
    END,
    KINDS,
    START,
    VALUES,
    Kind,
    bin_tempo_qpm,
    bin_velocity,
)

_DEFAULT_TEMPO_QPM = 120.0  # before the TEMPO token


@dataclass(frozen=True, slots=True)
class NoteEvent:
    """The beginning or the end of a note. ``second`` counts from the beginning of the piece."""

    tick: int
    second: float
    voice: int
    pitch: int
    velocity: int  # 0 at the end of a note

    @property
    def begins(self) -> bool:
        """Whether the note begins here."""
        return self.velocity > 0


def note_events(
    engine: Engine, conditions: Conditions, seed: int, config: GenerationConfig
) -> Iterator[NoteEvent]:
    """Compose one piece, the first attempt of the seed, and give its notes as they are made.

    Raises RequestError if no token may come next before the piece is complete. BLAS has one thread
    until the iterator is exhausted or closed.
    """
    transposition = -conditions.key.semitones_to_reference
    qpm = conditions.tempo_qpm or _DEFAULT_TEMPO_QPM
    tick = part = velocity = 0
    lines = conditions.fixed_notes.score.voices if conditions.fixed_notes else ()
    fixed = {(i, n.onset_tick): n.velocity for i, line in enumerate(lines) for n in line.notes}
    last = START
    drawing = engine.drawing(config, places=1)
    drawing.add(0, conditions, np.random.default_rng([seed, 0]))
    with engine.one_blas_thread():
        for last in _tokens(drawing):
            value = int(VALUES[last])
            second = tick * 60 / (TICKS_PER_QUARTER * qpm)
            match Kind(KINDS[last]):
                case Kind.TEMPO:
                    qpm = conditions.tempo_qpm or bin_tempo_qpm(value)
                case Kind.TIME_SHIFT:
                    tick += value
                case Kind.PART:
                    part = value
                case Kind.VELOCITY:
                    velocity = int(bin_velocity(value))
                case Kind.NOTE_ON:
                    loudness = fixed.get((part, tick), velocity)
                    yield NoteEvent(tick, second, part, value + transposition, loudness)
                case Kind.NOTE_OFF:
                    yield NoteEvent(tick, second, part, value + transposition, 0)
    if last != END:
        bar = tick // conditions.meter.bar_ticks + 1
        raise RequestError(
            f"The piece reached a dead end in bar {bar}: the grammar, the constraints and the "
            "given notes leave no next token. Loosen a constraint, or choose another seed."
        )


def _tokens(drawing: Drawing) -> Iterator[int]:
    """Give the tokens of one piece as they are drawn, until it is over."""
    for moved in drawing.steps():
        if not moved:
            return
        yield from (token for _, token in moved)
