"""Constraints on how a voice moves, alone and against the other.

Compiled when the package is built; the C types are in ``voice_leading.pxd``.
"""

from __future__ import annotations

from bicinium.generation.conditions import Conditions
from bicinium.generation.constraints.base import Constraint, ConstraintContext, PiecePlan
from bicinium.generation.constraints.config import Constraints
from bicinium.generation.constraints.terms import NO_PITCH, WrittenByModel
from bicinium.generation.fixed_notes_table import FixedNotesTable
from bicinium.grammar.terms import FAR
from bicinium.music import counterpoint
from bicinium.music.counterpoint import FIFTH, LOWER, OCTAVE, UPPER
from bicinium.music.score import Score


class Parallels(Constraint):
    """Begin no note that makes parallel fifths or octaves.

    The lower voice moves second in a tick, so the constraint falls on it. If the lower voice is
    fixed, the constraint falls on the upper, which sees where the lower is about to move.
    """

    def forbids(self, context: ConstraintContext, voice: int, pitch: int) -> bool:
        upper = context.pitch[UPPER]
        lower = context.pitch[LOWER]
        upper_before = context.ended_pitch[UPPER]
        if context.ended_tick[UPPER] != context.tick:
            return False
        if voice == UPPER:
            return (
                lower != NO_PITCH
                and context.coming > 0
                and is_parallel(upper_before, pitch, lower, context.coming)
            )
        return (
            upper != NO_PITCH
            and context.onset[UPPER] == context.tick
            and context.ended_tick[LOWER] == context.tick
            and is_parallel(upper_before, upper, context.ended_pitch[LOWER], pitch)
        )

    @staticmethod
    def count_violations(
        score: Score, conditions: Conditions, settings: Constraints, written: WrittenByModel
    ) -> int:
        return written.count_ticks([place.tick for place in counterpoint.parallels(score)])


def is_parallel(upper_before: int, upper: int, lower_before: int, lower: int) -> bool:
    """Do two voices make parallel octaves or fifths? As ``counterpoint.are_parallel``."""
    interval = abs(upper - lower) % 12
    if interval not in (OCTAVE, FIFTH):
        return False
    if abs(upper_before - lower_before) % 12 != interval:
        return False
    return (upper > upper_before and lower > lower_before) or (
        upper < upper_before and lower < lower_before
    )


class Crossing(Constraint):
    """Begin no upper note below what the lower voice holds, and no lower note above the upper.

    This forbids slightly more than crossings, since the lower voice could still move down in the
    same tick. In real keyboard music it does move down in a quarter of these places. If a fixed
    upper voice goes below the note that the lower voice holds, the lower note must end.
    """

    def forbids(self, context: ConstraintContext, voice: int, pitch: int) -> bool:
        if voice == UPPER:
            return pitch < context.lower_after
        upper = context.pitch[UPPER]
        return upper != NO_PITCH and pitch > upper

    def time_limit(self, context: ConstraintContext) -> int:
        if not context.beside_fixed or not context.is_free(LOWER):
            return FAR
        upper = context.pitch[UPPER]
        crossed = upper != NO_PITCH and context.pitch[LOWER] > upper
        now = context.onset[UPPER] == context.tick
        before = context.onset[LOWER] < context.tick
        return 0 if crossed and now and before else FAR

    def upper_must_move(self, context: ConstraintContext) -> bool:
        upper = context.pitch[UPPER]
        return upper != NO_PITCH and context.coming > upper

    @staticmethod
    def count_violations(
        score: Score, conditions: Conditions, settings: Constraints, written: WrittenByModel
    ) -> int:
        return written.count_ticks(
            [place.start_tick for place in counterpoint.voice_crossings(score)]
        )


class Leap(Constraint):
    """Begin no note farther than ``max_leap`` from the last one of its voice."""

    def __init__(
        self, settings: Constraints, plan: PiecePlan, fixed_notes: FixedNotesTable | None = None
    ) -> None:
        super().__init__(settings, plan, fixed_notes)
        self.max_leap = settings.max_leap

    def forbids(self, context: ConstraintContext, voice: int, pitch: int) -> bool:
        last = context.last_pitch[voice]
        return last != NO_PITCH and abs(pitch - last) > self.max_leap

    @staticmethod
    def count_violations(
        score: Score, conditions: Conditions, settings: Constraints, written: WrittenByModel
    ) -> int:
        return written.count_notes(counterpoint.large_leaps(score, settings.max_leap))
