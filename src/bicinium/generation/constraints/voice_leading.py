"""Constraints on how a voice moves, alone and against the other."""

from __future__ import annotations

import numpy as np

from bicinium.generation.conditions import Conditions
from bicinium.generation.constraints.base import (
    ALL_PITCHES,
    NO_PITCH,
    PITCHES,
    BatchConditions,
    Constraint,
    ConstraintContext,
    FixedVoices,
    Rows,
    WrittenByModel,
    of_voice,
)
from bicinium.generation.constraints.config import Constraints
from bicinium.grammar.states import Bools, Ints
from bicinium.grammar.terms import FAR
from bicinium.music import counterpoint
from bicinium.music.counterpoint import LOWER, UPPER, are_parallel
from bicinium.music.score import Score

# (2 · 109, 88) by the voice that begins and the pitch that the other holds: what would cross it.
_CROSSES = np.concatenate([ALL_PITCHES[:, None] > PITCHES, ALL_PITCHES[:, None] < PITCHES])
_CROSSES[len(ALL_PITCHES) + NO_PITCH] = False


class Parallels(Constraint):
    """Begin no note that makes parallel fifths or octaves.

    The lower voice moves second in a tick, so the constraint falls on it. If the lower voice is
    fixed, the constraint falls on the upper, which sees where the lower is about to move.
    """

    def forbidden_pitches(self, context: ConstraintContext, voice: Rows) -> Bools | None:
        follows = context.ended_tick == context.tick[:, None]  # (N, 2)
        moved = (context.onset[:, UPPER] == context.tick) & (context.pitch[:, UPPER] != NO_PITCH)
        second = (voice == LOWER) & moved & follows[:, UPPER] & follows[:, LOWER]
        found: Bools | None = None
        if second.any():
            upper_before, lower_before = context.ended_pitch[second].T
            found = np.zeros((len(context), len(PITCHES)), np.bool_)
            found[second] = are_parallel(
                upper_before[:, None],
                context.pitch[second, UPPER][:, None],
                lower_before[:, None],
                PITCHES,
            )
        if context.coming is None:
            return found
        sounds = context.pitch[:, LOWER] != NO_PITCH
        first = (voice == UPPER) & follows[:, UPPER] & sounds & (context.coming > 0)
        if first.any():
            found = np.zeros((len(context), len(PITCHES)), np.bool_) if found is None else found
            found[first] = are_parallel(
                context.ended_pitch[first, UPPER][:, None],
                PITCHES,
                context.pitch[first, LOWER][:, None],
                context.coming[first][:, None],
            )
        return found

    @staticmethod
    def count_violations(
        score: Score, conditions: Conditions, settings: Constraints, written: WrittenByModel
    ) -> int:
        return written.count_ticks([place.tick for place in counterpoint.parallels(score)])


class Crossing(Constraint):
    """Begin no upper note below what the lower voice holds, and no lower note above the upper.

    This forbids slightly more than crossings, since the lower voice could still move down in the
    same tick. In real keyboard music it does move down in a quarter of these places. If a fixed
    upper voice goes below the note that the lower voice holds, the lower note must end.
    """

    def forbidden_pitches(self, context: ConstraintContext, voice: Rows) -> Bools | None:
        other = np.where(voice == UPPER, context.lower_after, context.pitch[:, UPPER])
        return _CROSSES.take(voice * len(ALL_PITCHES) + other, axis=0)

    def time_limit(self, context: ConstraintContext) -> Ints | None:
        if context.fixed is None:
            return None
        upper, lower = context.pitch.T
        crossed = (upper != NO_PITCH) & (lower > upper) & ~context.fixed[:, LOWER]
        now, before = (
            context.onset[:, UPPER] == context.tick,
            context.onset[:, LOWER] < context.tick,
        )
        return np.where(crossed & now & before, 0, FAR)

    def upper_must_move(self, context: ConstraintContext) -> Bools | None:
        if context.coming is None:
            return None
        upper = context.pitch[:, UPPER]
        return np.asarray((upper != NO_PITCH) & (context.coming > upper))

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
        self, settings: Constraints, batch: BatchConditions, fixed_notes: FixedVoices | None = None
    ) -> None:
        super().__init__(settings, batch, fixed_notes)
        self.too_far = np.abs(ALL_PITCHES[:, None] - PITCHES) > settings.max_leap
        self.too_far[NO_PITCH] = False

    def forbidden_pitches(self, context: ConstraintContext, voice: Rows) -> Bools | None:
        return self.too_far.take(of_voice(context.last_pitch, voice), axis=0)

    @staticmethod
    def count_violations(
        score: Score, conditions: Conditions, settings: Constraints, written: WrittenByModel
    ) -> int:
        return written.count_notes(counterpoint.large_leaps(score, settings.max_leap))
