"""The input of every constraint: the plan of the piece and the context of the next token.

A constraint is a subclass of ``Constraint`` in the file of its family. It says which pitches,
time shifts and changes of voice it rejects in one piece. It knows pitches and ticks but no token
ids: ``ConstraintProcessor`` turns its answers into tokens. Any single constraint always leaves a
legal continuation. Several together may not; then the piece is drawn again.

Compiled when the package is built; the C types are in ``base.pxd``.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence

import numpy as np

from bicinium.generation.conditions import Conditions
from bicinium.generation.constraints.config import Constraints
from bicinium.generation.constraints.terms import (
    ANY_CADENCE,
    NO_PITCH,
    PIANO,
    CadencePlan,
    WrittenByModel,
)
from bicinium.generation.fixed_notes_table import FixedNotesTable
from bicinium.grammar.state import State
from bicinium.grammar.terms import FAR, FIRST_OFF, LONG, PITCHES
from bicinium.music import counterpoint
from bicinium.music.counterpoint import LOWER, PitchRange
from bicinium.music.score import HIGHEST_PITCH, LOWEST_PITCH, VOICES, Meter, Score


class PiecePlan:
    """The conditions of a piece in ticks, and in pitches of the key of the tokens.

    ranges: of each voice, as it sounds.
    """

    def __init__(
        self,
        conditions: Conditions,
        ranges: Sequence[PitchRange] = PIANO,
        cadence: CadencePlan = ANY_CADENCE,
    ) -> None:
        meter = conditions.meter
        self.minor = conditions.key.mode == "minor"
        self.to_home = conditions.key.semitones_to_reference  # from the sounding key
        self.beat = meter.beat_ticks
        self.strong_period = _strong_period(meter)  # ticks between strong beats
        self.end = conditions.bars * meter.bar_ticks  # tick of the last barline
        self.last_bar = self.end - meter.bar_ticks  # tick at which it begins
        middle = counterpoint.latest_final_onset_tick(meter, conditions.bars)
        # The tick in the last bar from which both voices close.
        self.deadline = self.last_bar if cadence.on_downbeat else middle
        # The tick from which the lower voice stays on the dominant; FAR for none.
        leads = cadence.from_dominant and self.deadline > self.beat
        self.approach = self.deadline - self.beat if leads else FAR
        # The tick after which no note begins; the deadline or later.
        self.quiet = middle if cadence.dies_away else self.deadline
        self.tonic_above = cadence.tonic_above  # the upper voice closes on the tonic
        self.lowest = ints(max(LOWEST_PITCH, low + self.to_home) for low, _ in ranges)
        self.highest = ints(min(HIGHEST_PITCH, high + self.to_home) for _, high in ranges)


def given_part(plan: PiecePlan, fixed_notes: FixedNotesTable | None) -> int | None:
    """Return the voice that is given as a whole; None unless exactly one is."""
    if fixed_notes is None:
        return None
    whole = np.asarray(fixed_notes.fixed)[:, : plan.end].all(axis=1)
    return int(whole.argmax()) if whole.sum() == 1 else None


def ints(values: Iterable[int]) -> memoryview:
    """Return integers as compiled code reads them."""
    return memoryview(array("i", values))


def _strong_period(meter: Meter) -> int:
    return meter.bar_ticks // len(counterpoint.strong_beat_ticks(meter))


class ConstraintContext:
    """A piece before its next token, as constraints see it. Arrays have an entry for each voice."""

    def __init__(self, fixed_notes: FixedNotesTable | None = None) -> None:
        self.fixed_notes = fixed_notes
        self.beside_fixed = fixed_notes is not None
        self.tick = 0
        self.part = 0  # the voice whose turn it is
        self.moment = 0
        self.pitch = ints([NO_PITCH] * VOICES)  # the sounding pitch
        self.onset = ints([0] * VOICES)  # its onset tick
        self.until = ints([FAR] * VOICES)  # the tick by which it must end, FAR for silence
        self.last_pitch = ints([NO_PITCH] * VOICES)  # of the last note begun
        self.ended_tick = ints([-1] * VOICES)  # where the last note to end ended
        self.ended_pitch = ints([NO_PITCH] * VOICES)
        self.fixed = ints([0] * VOICES)  # 1 for a fixed voice
        # What the lower voice holds after this tick unless the model moves it.
        self.lower_after = NO_PITCH
        self.coming = NO_PITCH  # pitch that a fixed lower voice begins here

    def observe(self, state: State, token: int) -> None:
        """Take in a token, which has just led to ``state``."""
        if FIRST_OFF <= token < FIRST_OFF + PITCHES:
            self.ended_tick[state.part] = state.tick
            self.ended_pitch[state.part] = state.last_off

    def look(self, state: State) -> None:
        """Describe the state before the next token."""
        self.tick = state.tick
        self.part = state.part
        self.moment = state.moment
        for voice in range(VOICES):
            slot = voice * state.slots
            self.pitch[voice] = max(state.held_pitch[slot], NO_PITCH)
            self.onset[voice] = state.held_onset[slot]
            self.until[voice] = state.held_until[slot]
            self.last_pitch[voice] = state.last_pitch(voice)
        self.lower_after = self.pitch[LOWER]
        self.coming = NO_PITCH
        if self.fixed_notes is not None:
            for voice in range(VOICES):
                self.fixed[voice] = self.fixed_notes.is_fixed(voice, self.tick)
            if self.fixed[LOWER]:
                self.lower_after = self.fixed_notes.held_pitch(LOWER, self.tick)
                self.coming = self.fixed_notes.coming_pitch(LOWER, self.tick)

    def copy(self, other: ConstraintContext) -> None:
        """Describe the same as another context."""
        self.tick = other.tick
        self.part = other.part
        self.moment = other.moment
        self.lower_after = other.lower_after
        self.coming = other.coming
        for voice in range(VOICES):
            self.pitch[voice] = other.pitch[voice]
            self.onset[voice] = other.onset[voice]
            self.until[voice] = other.until[voice]
            self.last_pitch[voice] = other.last_pitch[voice]
            self.ended_tick[voice] = other.ended_tick[voice]
            self.ended_pitch[voice] = other.ended_pitch[voice]
            self.fixed[voice] = other.fixed[voice]

    def begin(self, voice: int, pitch: int) -> None:
        """Describe what follows if a voice begins a note now."""
        self.pitch[voice] = self.last_pitch[voice] = pitch
        self.onset[voice] = self.tick

    def end(self, voice: int) -> None:
        """Describe what follows if a voice ends its note now."""
        if self.pitch[voice] != NO_PITCH:
            self.ended_tick[voice] = self.tick
            self.ended_pitch[voice] = self.pitch[voice]
            self.pitch[voice] = NO_PITCH

    def arrived(self) -> bool:
        """Has nothing happened at this tick, so that either voice may move?"""
        return self.moment <= LONG

    def is_free(self, voice: int) -> bool:
        """Does the model write this voice here?"""
        return self.fixed[voice] == 0


class Constraint:
    """Base class of the constraints; by itself it disapproves of nothing."""

    def __init__(
        self, settings: Constraints, plan: PiecePlan, fixed_notes: FixedNotesTable | None = None
    ) -> None:
        self.plan, self.fixed_notes = plan, fixed_notes

    def observe_onset(self, voice: int, tick: int, pitch: int, own: bool) -> None:
        """Record a note that has begun; ``own`` is True for one of the model."""

    def forbids(self, context: ConstraintContext, voice: int, pitch: int) -> bool:
        """Should ``voice`` not begin a note of this pitch here?"""
        return False

    def time_limit(self, context: ConstraintContext) -> int:
        """The most ticks that may pass before the next event; FAR for no limit."""
        return FAR

    def upper_must_move(self, context: ConstraintContext) -> bool:
        """Must the upper voice move before its turn in this tick is over?

        Time must not pass there either: ``time_limit`` says so.
        """
        return False

    @staticmethod
    def count_violations(
        score: Score, conditions: Conditions, settings: Constraints, written: WrittenByModel
    ) -> int:
        """Return how often a finished piece breaks the constraint."""
        raise NotImplementedError
