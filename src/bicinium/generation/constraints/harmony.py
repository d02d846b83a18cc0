"""Constraints on the scale and on the intervals between the voices.

Compiled when the package is built; the C types are in ``harmony.pxd``.
"""

from __future__ import annotations

import math

import numpy as np

from bicinium.generation.conditions import Conditions
from bicinium.generation.constraints.base import Constraint, ConstraintContext, PiecePlan
from bicinium.generation.constraints.config import Constraints
from bicinium.generation.constraints.terms import NO_PITCH, WrittenByModel
from bicinium.generation.fixed_notes_table import FixedNotesTable
from bicinium.grammar.terms import FAR
from bicinium.music import counterpoint
from bicinium.music.counterpoint import IS_CONSONANT, LOWER, UPPER, NoteLocation
from bicinium.music.key import REFERENCE_KEYS
from bicinium.music.score import Score, note_array

ROUNDING = 1e-9  # of a share times a number of notes

# (24,) by mode (major first) and pitch class: whether it is in the scale.
_in_scale = memoryview(
    bytes(
        pitch_class in counterpoint.scale_pitch_classes(key)
        for key in REFERENCE_KEYS.values()
        for pitch_class in range(12)
    )
)
_is_consonant = memoryview(IS_CONSONANT.astype(np.uint8).tobytes())  # (12,) by interval class


class InKey(Constraint):
    """Limit the share of the model's notes that are outside the scale to ``accidentals``."""

    def __init__(
        self, settings: Constraints, plan: PiecePlan, fixed_notes: FixedNotesTable | None = None
    ) -> None:
        super().__init__(settings, plan, fixed_notes)
        self.share = settings.accidentals
        self.notes = 0
        self.outside = 0

    def observe_onset(self, voice: int, tick: int, pitch: int, own: bool) -> None:
        if own:
            self.notes += 1
            if not self._is_in_key(pitch):
                self.outside += 1

    def forbids(self, context: ConstraintContext, voice: int, pitch: int) -> bool:
        allowed = self.share * (self.notes + 1) + ROUNDING
        return self.outside + 1 > allowed and not self._is_in_key(pitch)

    def _is_in_key(self, pitch: int) -> bool:
        return _in_scale[12 * self.plan.minor + pitch % 12] != 0

    @staticmethod
    def count_violations(
        score: Score, conditions: Conditions, settings: Constraints, written: WrittenByModel
    ) -> int:
        every = [
            NoteLocation(voice, tick)
            for voice in (UPPER, LOWER)
            for tick in note_array(score.voices[voice].notes)[0].tolist()
        ]
        allowed = math.floor(settings.accidentals * written.count_notes(every) + ROUNDING)
        outside = counterpoint.notes_outside_key(score, conditions.key)
        return max(0, written.count_notes(outside) - allowed)


class Consonance(Constraint):
    """Keep strong beats consonant: begin no dissonance there, and hold none into one.

    The upper voice may begin any note against one that the lower voice can still leave. A held
    dissonance stops time at the strong beat, so that a voice can end its note.
    """

    def forbids(self, context: ConstraintContext, voice: int, pitch: int) -> bool:
        if context.tick % self.plan.strong_period != 0:
            return False
        if voice == LOWER:
            return are_dissonant(context.pitch[UPPER], pitch)
        return not context.is_free(LOWER) and are_dissonant(context.lower_after, pitch)

    def time_limit(self, context: ConstraintContext) -> int:
        if not are_dissonant(context.pitch[UPPER], context.pitch[LOWER]):
            return FAR
        period = self.plan.strong_period
        left = (period - context.tick % period) % period  # ticks to a strong beat
        strong = context.tick + left
        if strong >= self.plan.end:
            return FAR
        if self.fixed_notes is not None and (
            self.fixed_notes.is_fixed(UPPER, strong) and self.fixed_notes.is_fixed(LOWER, strong)
        ):
            return FAR  # nothing can be mended
        return left

    def upper_must_move(self, context: ConstraintContext) -> bool:
        return (
            not context.is_free(LOWER)
            and context.tick % self.plan.strong_period == 0
            and are_dissonant(context.pitch[UPPER], context.lower_after)
        )

    @staticmethod
    def count_violations(
        score: Score, conditions: Conditions, settings: Constraints, written: WrittenByModel
    ) -> int:
        return written.count_ticks(counterpoint.strong_beat_dissonances(score))


def are_dissonant(one: int, other: int) -> bool:
    """Are two pitches dissonant? False if one of them is none."""
    if one == NO_PITCH or other == NO_PITCH:
        return False
    return _is_consonant[abs(one - other) % 12] == 0
