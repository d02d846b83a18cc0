"""The constraint ``chords``: a second voice follows chords that fit the given voice."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from bicinium.generation.conditions import Conditions
from bicinium.generation.constraints.base import (
    Constraint,
    ConstraintContext,
    PiecePlan,
    given_part,
)
from bicinium.generation.constraints.chord_plan import ChordPlan, plan_chords
from bicinium.generation.constraints.config import Constraints
from bicinium.generation.constraints.terms import NO_PITCH, WrittenByModel
from bicinium.generation.constraints.voice_leading import Parallels
from bicinium.generation.fixed_notes_table import FixedNotesTable
from bicinium.grammar.states import Bools
from bicinium.grammar.terms import FAR
from bicinium.music.counterpoint import LOWER, UPPER
from bicinium.music.harmonize import GivenVoice
from bicinium.music.key import REFERENCE_KEYS
from bicinium.music.score import HIGHEST_PITCH, Score

_OCTAVE = 12
_MAX_STEP = 2  # semitones
_PITCHES = np.arange(HIGHEST_PITCH + 1)
_CLASSES = _PITCHES % _OCTAVE
_SILENCE = _OCTAVE  # beside the pitch classes


class Chords(Constraint):
    """Let a second voice follow chords that fit the given voice.

    On strong beats and where the chord changes, it begins root or third. On other beats it begins a
    note of the chord, or a consonance that it reaches by step. Between beats, a dissonance is
    reached and left by step. Notes are of the scale.
    """

    def __init__(
        self, settings: Constraints, plan: PiecePlan, fixed_notes: FixedNotesTable | None = None
    ) -> None:
        super().__init__(settings, plan, fixed_notes)
        self._parallels = Parallels(settings, plan, fixed_notes)
        self._voice = -1  # the voice that the model writes to a given one
        self._is_unresolved = False  # its last note was a dissonance
        self._known: tuple[object, ...] = ()  # the state of which the allowed pitches are known
        self._allowed = np.ones(len(_PITCHES), np.bool_)
        part = given_part(plan, fixed_notes)
        if part is None or fixed_notes is None:
            return
        held = np.asarray(fixed_notes.holds)[part, : plan.end]
        begins = np.asarray(fixed_notes.begins)[part, : plan.end] > 0
        if begins.any():
            self._voice = 1 - part
            measure = plan.end - plan.last_bar, plan.strong_period, plan.beat
            self._chords, self._due = _plan_of(
                held.tobytes(), begins.tobytes(), plan.minor, measure, part == LOWER
            )

    def observe_onset(self, voice: int, tick: int, pitch: int, own: bool) -> None:
        if voice == self._voice:
            self._is_unresolved = bool(self._chords.dissonant[tick, pitch % _OCTAVE])

    def forbids(self, context: ConstraintContext, voice: int, pitch: int) -> bool:
        if voice != self._voice:
            return False
        state = (
            context.tick, context.last_pitch[voice], context.ended_tick[voice],
            context.pitch[UPPER], context.pitch[LOWER], context.onset[UPPER],
            context.ended_tick[1 - voice], self._is_unresolved,
        )  # fmt: skip
        if state != self._known:
            self._known, self._allowed = state, self._find_allowed(context)
        return not self._allowed[pitch]

    def _find_allowed(self, context: ConstraintContext) -> Bools:
        """Return (109,) the pitches with which the voice may begin a note."""
        voice, tick, plan = self._voice, context.tick, self._chords
        if tick == self.plan.end:
            return np.ones(len(_PITCHES), np.bool_)
        if plan.between[tick] and context.ended_tick[voice] == tick:
            return np.zeros(len(_PITCHES), np.bool_)
        last, given = context.last_pitch[voice], int(plan.given[tick])
        step = np.abs(_PITCHES - last) <= _MAX_STEP
        allowed = plan.begins[tick][_CLASSES] | (plan.by_step[tick][_CLASSES] & step)
        own_side = (given >= _PITCHES) if voice == LOWER else (given <= _PITCHES)
        own_side |= given == NO_PITCH
        no_parallel = np.array(
            [not self._parallels.forbids(context, voice, pitch) for pitch in _PITCHES.tolist()]
        )
        if not (allowed & own_side & no_parallel).any():
            allowed = plan.otherwise[tick][_CLASSES]
        low, high = plan.range
        in_range = (low <= _PITCHES) & (high >= _PITCHES)
        in_reach = (np.abs(_PITCHES - last) <= _OCTAVE) | (last == NO_PITCH)
        for wish in (no_parallel, own_side, in_range, in_reach, step | (not self._is_unresolved)):
            if (allowed & wish).any():
                allowed = allowed & wish
        return np.asarray(allowed)

    def time_limit(self, context: ConstraintContext) -> int:
        if self._voice < 0:
            return FAR
        pitch, tick = context.pitch[self._voice], context.tick
        if pitch == NO_PITCH:
            due = self._due[tick, _SILENCE]
        else:
            is_fresh = context.onset[self._voice] == tick
            due = self._due[tick + is_fresh, pitch % _OCTAVE]
        return FAR if due == FAR else int(due) - tick

    def upper_must_move(self, context: ConstraintContext) -> bool:
        return self._voice == UPPER and self.time_limit(context) == 0

    @staticmethod
    def count_violations(
        score: Score, conditions: Conditions, settings: Constraints, written: WrittenByModel
    ) -> int:
        """Return how many notes are dissonant, or outside the scale, and not allowed by step."""
        voice = written.only_voice
        if voice is None or not score.voices[1 - voice].notes:
            return 0
        plan = plan_chords(GivenVoice.of(score, 1 - voice, conditions.key))
        broken, last = 0, FAR
        for note in score.voices[voice].notes:
            step = abs(note.pitch - last) <= _MAX_STEP
            at = note.onset_tick, note.pitch % _OCTAVE
            broken += not (plan.begins[at] or plan.otherwise[at] or (step and plan.by_step[at]))
            last = note.pitch
        return broken


@lru_cache(maxsize=16)
def _plan_of(
    held: bytes, begins: bytes, minor: bool, measure: tuple[int, int, int], is_bass: bool
) -> tuple[ChordPlan, np.ndarray]:
    """Return the plan beside a given voice, and (T, 13) when what is held must end.

    That is the first tick, from each tick on, at which a held pitch class, or silence, must end;
    FAR for none. held, begins: the arrays of ``GivenVoice``. measure: ticks of a bar, between
    strong beats, and of a beat.
    """
    given = GivenVoice(
        np.frombuffer(held, np.int32),
        np.frombuffer(begins, np.bool_),
        REFERENCE_KEYS["minor" if minor else "major"].tonic,
        minor,
        *measure,
        is_bass,
    )
    plan = plan_chords(given)
    ends = np.column_stack([~plan.stays, plan.sounds])
    at = np.where(ends, np.arange(len(ends))[:, None], FAR)
    due = np.minimum.accumulate(at[::-1])[::-1]
    return plan, np.vstack([due, np.full((1, _OCTAVE + 1), FAR)])
