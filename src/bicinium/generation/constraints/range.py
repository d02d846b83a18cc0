"""Constraints on how high, how low and how far a hand plays."""

from __future__ import annotations

import numpy as np

from bicinium.generation.conditions import Conditions
from bicinium.generation.constraints.base import (
    PITCHES,
    BatchConditions,
    Constraint,
    ConstraintContext,
    FixedVoices,
    Rows,
    WrittenByModel,
)
from bicinium.generation.constraints.config import Constraints
from bicinium.grammar.states import Bools, Ints
from bicinium.grammar.terms import FAR
from bicinium.music import counterpoint
from bicinium.music.counterpoint import SPAN_TICKS
from bicinium.music.score import VOICES, Score


class InRange(Constraint):
    """Keep each voice within its range of sounding pitches."""

    def __init__(
        self, settings: Constraints, batch: BatchConditions, fixed_notes: FixedVoices | None = None
    ) -> None:
        super().__init__(settings, batch, fixed_notes)
        bounds = np.array(settings.ranges) + batch.to_home[:, None, None]  # (P, 2, 2)
        low, high = bounds[:, :, :1], bounds[:, :, 1:]
        self.outside = ((low > PITCHES) | (high < PITCHES)).reshape(-1, len(PITCHES))

    def forbidden_pitches(self, context: ConstraintContext, voice: Rows) -> Bools | None:
        return self.outside.take(VOICES * context.rows + voice, axis=0)

    @staticmethod
    def count_violations(
        score: Score, conditions: Conditions, settings: Constraints, written: WrittenByModel
    ) -> int:
        return written.count_notes(counterpoint.notes_outside_range(score, settings.ranges))


class HandSpan(Constraint):
    """Begin no note more than ``span`` from a note of its voice under a quarter note earlier."""

    def __init__(
        self, settings: Constraints, batch: BatchConditions, fixed_notes: FixedVoices | None = None
    ) -> None:
        super().__init__(settings, batch, fixed_notes)
        shape = (len(batch.minor), VOICES, SPAN_TICKS)  # a note lasts at least one tick
        self.onset, self.pitch = np.full(shape, -FAR, np.int32), np.zeros(shape, np.int32)
        self.count = np.zeros(shape[:2], np.int64)

    def observe_onset(self, piece: Rows, voice: Rows, tick: Ints, pitch: Ints, own: Bools) -> None:
        place = self.count[piece, voice] % SPAN_TICKS
        self.onset[piece, voice, place], self.pitch[piece, voice, place] = tick, pitch
        self.count[piece, voice] += 1

    def forbidden_pitches(self, context: ConstraintContext, voice: Rows) -> Bools | None:
        near = self.onset[context.rows, voice] > (context.tick - SPAN_TICKS)[:, None]
        if not near.any():
            return None
        pitch = self.pitch[context.rows, voice]
        low = np.where(near, pitch, 0).max(axis=1) - self.settings.span
        high = np.where(near, pitch, FAR).min(axis=1) + self.settings.span
        return (low[:, None] > PITCHES) | (high[:, None] < PITCHES)

    @staticmethod
    def count_violations(
        score: Score, conditions: Conditions, settings: Constraints, written: WrittenByModel
    ) -> int:
        return written.count_notes(counterpoint.wide_hand_spans(score, settings.span))
