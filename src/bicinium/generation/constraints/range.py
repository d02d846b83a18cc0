"""Constraints on how high, how low and how far a hand plays.

Compiled when the package is built; the C types are in ``range.pxd``.
"""

from __future__ import annotations

from bicinium.generation.conditions import Conditions
from bicinium.generation.constraints.base import Constraint, ConstraintContext, PiecePlan, ints
from bicinium.generation.constraints.config import Constraints
from bicinium.generation.constraints.terms import WrittenByModel
from bicinium.generation.fixed_notes_table import FixedNotesTable
from bicinium.grammar.terms import FAR
from bicinium.music import counterpoint
from bicinium.music.counterpoint import SPAN_TICKS
from bicinium.music.score import VOICES, Score


class InRange(Constraint):
    """Keep each voice within its range of sounding pitches."""

    def __init__(
        self, settings: Constraints, plan: PiecePlan, fixed_notes: FixedNotesTable | None = None
    ) -> None:
        super().__init__(settings, plan, fixed_notes)
        self.lowest = ints(low + plan.to_home for low, _ in settings.ranges)
        self.highest = ints(high + plan.to_home for _, high in settings.ranges)

    def forbids(self, context: ConstraintContext, voice: int, pitch: int) -> bool:
        return pitch < self.lowest[voice] or pitch > self.highest[voice]

    @staticmethod
    def count_violations(
        score: Score, conditions: Conditions, settings: Constraints, written: WrittenByModel
    ) -> int:
        return written.count_notes(counterpoint.notes_outside_range(score, settings.ranges))


class HandSpan(Constraint):
    """Begin no note more than ``span`` from a note of its voice under a quarter note earlier."""

    def __init__(
        self, settings: Constraints, plan: PiecePlan, fixed_notes: FixedNotesTable | None = None
    ) -> None:
        super().__init__(settings, plan, fixed_notes)
        self.span = settings.span
        # The last notes of each voice. A note lasts at least one tick, so these are enough.
        self.onset = ints([-FAR] * (VOICES * SPAN_TICKS))
        self.pitch = ints([0] * (VOICES * SPAN_TICKS))
        self.count = ints([0] * VOICES)

    def observe_onset(self, voice: int, tick: int, pitch: int, own: bool) -> None:
        place = voice * SPAN_TICKS + self.count[voice] % SPAN_TICKS
        self.onset[place] = tick
        self.pitch[place] = pitch
        self.count[voice] += 1

    def forbids(self, context: ConstraintContext, voice: int, pitch: int) -> bool:
        for place in range(voice * SPAN_TICKS, (voice + 1) * SPAN_TICKS):
            if self.onset[place] > context.tick - SPAN_TICKS and (
                abs(self.pitch[place] - pitch) > self.span
            ):
                return True
        return False

    @staticmethod
    def count_violations(
        score: Score, conditions: Conditions, settings: Constraints, written: WrittenByModel
    ) -> int:
        return written.count_notes(counterpoint.wide_hand_spans(score, settings.span))
