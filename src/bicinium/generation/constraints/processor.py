"""Applies the constraints to the tokens that may come next.

The families answer in pitches and ticks. Here their answers become tokens: a constraint at full
strength forbids them, a weaker one makes them less likely.

Compiled when the package is built; the C types are in ``processor.pxd``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bicinium.generation.conditions import Conditions
from bicinium.generation.constraints.base import Constraint, ConstraintContext, PiecePlan
from bicinium.generation.constraints.cadence import Cadence
from bicinium.generation.constraints.config import Constraints
from bicinium.generation.constraints.registry import CONSTRAINTS
from bicinium.generation.constraints.terms import ANY_CADENCE, NO_PITCH, PIANO, CadencePlan
from bicinium.generation.fixed_notes_table import FixedNotesTable
from bicinium.generation.processors import Processor
from bicinium.grammar.state import State
from bicinium.grammar.terms import (
    FIRST_OFF,
    FIRST_ON,
    FIRST_PART,
    FIRST_SHIFT,
    FIRST_VELOCITY,
    LOWEST,
    PITCHES,
    VELOCITIES,
)
from bicinium.music.counterpoint import LOWER, UPPER, PitchRange
from bicinium.tokenizer.vocabulary import MAX_SHIFT_TICKS, VOCAB_SIZE

TOKENS = VOCAB_SIZE


class ConstraintProcessor(Processor):
    """Applies the constraints to a piece.

    The tokens are in C major or A minor, and each voice holds one note at most. No token of a fixed
    voice is judged. ``playable`` is the sounding range that the grammar leaves each voice.
    """

    def __init__(
        self,
        settings: Constraints,
        conditions: Conditions,
        fixed_notes: FixedNotesTable | None = None,
        playable: Sequence[PitchRange] = PIANO,
        cadence: CadencePlan = ANY_CADENCE,
    ) -> None:
        if settings.forbids("range"):
            playable = [
                (max(low, lowest), min(high, highest))
                for (low, high), (lowest, highest) in zip(playable, settings.ranges, strict=True)
            ]
        plan = PiecePlan(conditions, playable, cadence)
        self.fixed_notes = fixed_notes
        self.context = ConstraintContext(fixed_notes)
        self.later = ConstraintContext(fixed_notes)  # to try notes out
        self.marks = memoryview(bytearray(TOKENS))  # to work in
        self.active: list[Constraint] = []
        self.strict: list[Constraint] = []  # those at full strength
        self.lenient: list[tuple[Constraint, float]] = []  # the others, each with its factor
        self.cadence: Any = None  # a Cadence at full strength
        for name, strength in settings.strengths.items():
            constraint = CONSTRAINTS[name](settings, plan, fixed_notes)
            self.active.append(constraint)
            if settings.forbids(name):
                self.strict.append(constraint)
                if isinstance(constraint, Cadence):
                    self.cadence = constraint
            else:
                self.lenient.append((constraint, 1 - strength))

    def observe(self, state: State, token: int) -> None:
        """Take in a token."""
        self.context.observe(state, token)
        if FIRST_ON <= token < FIRST_ON + PITCHES:
            own = self.fixed_notes is None or not self.fixed_notes.is_fixed(state.part, state.tick)
            pitch = state.last_on
            for constraint in self.active:
                constraint.observe_onset(state.part, state.tick, pitch, own)

    def forbid(self, state: State, allowed: memoryview) -> None:
        """Forbid what the constraints at full strength reject."""
        self._look(state)
        if not self.strict:
            return
        self._clear_marks()
        for constraint in self.strict:
            self._mark_onsets(constraint)
        if self.cadence is not None:
            self._mark_onsets_without_close()
        self._mark_velocities()
        for constraint in self.strict:
            self._mark_time(constraint)
            self._mark_turns(constraint)
        if self.cadence is not None and self.cadence.waits_for_end(self.context):
            for ticks in range(1, MAX_SHIFT_TICKS + 1):
                if self.cadence.forbids_shift(self.context, ticks):
                    self.marks[FIRST_SHIFT + ticks - 1] = 1
        self._mark_idle_turn()
        for token in range(TOKENS):
            if self.marks[token]:
                allowed[token] = 0

    def weigh(self, state: State, weights: memoryview[Any]) -> None:
        """Lower the weights of what the weaker constraints reject.

        A token counts once for each constraint, even if two of its methods reject it.
        """
        for constraint, factor in self.lenient:
            self._clear_marks()
            self._mark_onsets(constraint)
            self._mark_time(constraint)
            self._mark_turns(constraint)
            for token in range(TOKENS):
                if self.marks[token]:
                    weights[token] *= factor

    def _look(self, state: State) -> None:
        self.context.look(state)
        if self.cadence is not None and self.cadence.lower_must_begin(self.context):
            self.context.lower_after = NO_PITCH

    def _clear_marks(self) -> None:
        for token in range(TOKENS):
            self.marks[token] = 0

    def _mark_range(self, first: int, count: int) -> None:
        for token in range(first, first + count):
            self.marks[token] = 1

    def _mark_onsets(self, constraint: Constraint) -> None:
        """Mark the notes that the current voice should not begin."""
        voice = self.context.part
        if self.context.is_free(voice):
            for index in range(PITCHES):
                if not self.marks[FIRST_ON + index] and constraint.forbids(
                    self.context, voice, LOWEST + index
                ):
                    self.marks[FIRST_ON + index] = 1

    def _mark_onsets_without_close(self) -> None:
        """Mark the upper notes after which the lower voice would have no closing note."""
        context = self.context
        if (
            context.part != UPPER
            or context.pitch[UPPER] != NO_PITCH
            or not context.is_free(UPPER)
            or not self.cadence.lower_must_begin(context)
        ):
            return
        for index in range(PITCHES):
            if not self.marks[FIRST_ON + index]:
                self.later.copy(context)
                self.later.begin(UPPER, LOWEST + index)
                self.later.end(LOWER)
                if not self._some_pitch_fits(self.later, LOWER):
                    self.marks[FIRST_ON + index] = 1

    def _some_pitch_fits(self, context: ConstraintContext, voice: int) -> bool:
        """Is there a note that this voice may begin?"""
        for pitch in range(LOWEST, LOWEST + PITCHES):
            forbidden = False
            for constraint in self.strict:
                if constraint.forbids(context, voice, pitch):
                    forbidden = True
                    break
            if not forbidden:
                return True
        return False

    def _mark_velocities(self) -> None:
        """Mark VELOCITY if no note may follow it."""
        for index in range(PITCHES):
            if not self.marks[FIRST_ON + index]:
                return
        self._mark_range(FIRST_VELOCITY, VELOCITIES)

    def _mark_time(self, constraint: Constraint) -> None:
        """Mark the time shifts that skip a due event."""
        limit = constraint.time_limit(self.context)
        if limit < MAX_SHIFT_TICKS:
            self._mark_range(FIRST_SHIFT + limit, MAX_SHIFT_TICKS - limit)

    def _mark_turns(self, constraint: Constraint) -> None:
        """Mark a turn of the lower voice before the upper has moved, and its notes there."""
        context = self.context
        if not context.is_free(UPPER) or not constraint.upper_must_move(context):
            return
        if context.part == UPPER:
            self.marks[FIRST_PART + LOWER] = 1
        elif context.arrived():
            self._mark_range(FIRST_ON, PITCHES)
            self._mark_range(FIRST_VELOCITY, VELOCITIES)
            self._mark_range(FIRST_OFF, PITCHES)

    def _mark_idle_turn(self) -> None:
        """Mark the turn of the other voice if it could begin nothing."""
        context = self.context
        other = 1 - context.part
        if (
            context.pitch[other] == NO_PITCH
            and (context.arrived() or other == LOWER)
            and context.is_free(other)
            and not self._some_pitch_fits(context, other)
        ):
            self.marks[FIRST_PART + other] = 1
