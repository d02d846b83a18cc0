"""Constraints on the scale and on the intervals between the voices."""

from __future__ import annotations

import math

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
)
from bicinium.generation.constraints.config import Constraints
from bicinium.grammar.states import Bools, Ints
from bicinium.grammar.terms import FAR
from bicinium.music import counterpoint
from bicinium.music.counterpoint import LOWER, UPPER, NoteLocation, are_dissonant
from bicinium.music.key import REFERENCE_KEYS
from bicinium.music.score import LOWEST_PITCH, Score, note_array

_ROUNDING = 1e-9  # of a share times a number of notes
_OCTAVE = 12

# (3, 88) row 0: nothing; rows 1 and 2: the pitches outside the scale in major and minor.
_OUTSIDE_KEY = np.zeros((1 + len(REFERENCE_KEYS), len(PITCHES)), np.bool_)
_OUTSIDE_KEY[1:] = [
    ~np.isin(PITCHES % _OCTAVE, list(counterpoint.scale_pitch_classes(key)))
    for key in REFERENCE_KEYS.values()
]
# (109, 88) by the pitch that sounds: the pitches that are dissonant with it.
_DISSONANT = are_dissonant(ALL_PITCHES[:, None], PITCHES)
_DISSONANT[NO_PITCH] = False


class InKey(Constraint):
    """Limit the share of the model's notes that are outside the scale to ``accidentals``."""

    def __init__(
        self, settings: Constraints, batch: BatchConditions, fixed_notes: FixedVoices | None = None
    ) -> None:
        super().__init__(settings, batch, fixed_notes)
        self.notes, self.outside = np.zeros((2, len(batch.minor)), np.int64)

    def observe_onset(self, piece: Rows, voice: Rows, tick: Ints, pitch: Ints, own: Bools) -> None:
        is_outside = _OUTSIDE_KEY[1 + self.batch.minor[piece], pitch - LOWEST_PITCH]
        self.notes[piece] += own
        self.outside[piece] += own & is_outside

    def forbidden_pitches(self, context: ConstraintContext, voice: Rows) -> Bools | None:
        allowed = self.settings.accidentals * (self.notes[context.rows] + 1) + _ROUNDING
        full = self.outside[context.rows] + 1 > allowed
        return _OUTSIDE_KEY.take(np.where(full, 1 + self.batch.minor[context.rows], 0), axis=0)

    @staticmethod
    def count_violations(
        score: Score, conditions: Conditions, settings: Constraints, written: WrittenByModel
    ) -> int:
        every = [
            NoteLocation(voice, tick)
            for voice in (UPPER, LOWER)
            for tick in note_array(score.voices[voice].notes)[0].tolist()
        ]
        allowed = math.floor(settings.accidentals * written.count_notes(every) + _ROUNDING)
        outside = counterpoint.notes_outside_key(score, conditions.key)
        return max(0, written.count_notes(outside) - allowed)


class Consonance(Constraint):
    """Keep strong beats consonant: begin no dissonance there, and hold none into one.

    The upper voice may begin any note against one that the lower voice can still leave. A held
    dissonance stops time at the strong beat, so that a voice can end its note.
    """

    def _strong(self, context: ConstraintContext) -> Bools:
        return np.asarray(context.tick % self.batch.strong_period[context.rows] == 0)

    def forbidden_pitches(self, context: ConstraintContext, voice: Rows) -> Bools | None:
        strong = self._strong(context)
        if not strong.any():
            return None
        lower = (
            NO_PITCH
            if context.fixed is None
            else np.where(context.fixed[:, LOWER], context.lower_after, NO_PITCH)
        )
        other = np.where(voice == UPPER, lower, context.pitch[:, UPPER])
        return _DISSONANT.take(np.where(strong, other, NO_PITCH), axis=0)

    def time_limit(self, context: ConstraintContext) -> Ints | None:
        upper, lower = context.pitch.T
        dissonant = (upper != NO_PITCH) & (lower != NO_PITCH) & are_dissonant(upper, lower)
        left = -context.tick % self.batch.strong_period[context.rows]  # ticks to a strong beat
        dissonant &= context.tick + left < self.batch.end[context.rows]
        if not dissonant.any():
            return None
        if self.fixed_notes is not None:  # If both voices are fixed there, nothing can be mended.
            some = dissonant.nonzero()[0]
            at = (context.tick + left)[some]
            dissonant[some] = ~self.fixed_notes.is_fixed(context.rows[some], at).all(axis=1)
        return np.where(dissonant, left, FAR)

    def upper_must_move(self, context: ConstraintContext) -> Bools | None:
        if context.fixed is None:
            return None
        upper, lower = context.pitch[:, UPPER], context.lower_after
        both = (upper != NO_PITCH) & (lower != NO_PITCH) & context.fixed[:, LOWER]
        return both & self._strong(context) & are_dissonant(upper, lower)

    @staticmethod
    def count_violations(
        score: Score, conditions: Conditions, settings: Constraints, written: WrittenByModel
    ) -> int:
        return written.count_ticks(counterpoint.strong_beat_dissonances(score))
