"""The constraint ``close``: how a piece comes to its end.

Compiled when the package is built; the C types are in ``cadence.pxd``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np

from bicinium.generation.conditions import Conditions
from bicinium.generation.constraints.base import (
    Constraint,
    ConstraintContext,
    PiecePlan,
    given_part,
)
from bicinium.generation.constraints.config import Constraints
from bicinium.generation.constraints.terms import NO_PITCH, CadencePlan, WrittenByModel
from bicinium.generation.fixed_notes_table import FixedNotesTable
from bicinium.grammar.terms import FAR
from bicinium.music import counterpoint
from bicinium.music.counterpoint import LOWER, UPPER
from bicinium.music.key import REFERENCE_KEYS, Key
from bicinium.music.score import Score
from bicinium.tokenizer.vocabulary import MAX_SHIFT_TICKS

# Shares of the pieces, from real keyboard music (docs/log.md).
_ON_DOWNBEAT = 0.65  # close on the last downbeat, in metres that have a middle of the bar
_TONIC_ABOVE = 0.85  # close with the tonic in the upper voice
_DIES_AWAY = 0.65  # may add chord notes until the middle of the last bar
_MIN_FREE_BARS = 3  # bars that the model writes at the end; with fewer, any close will do


def _by_mode_and_voice(
    classes: Callable[[Key], tuple[Iterable[int], Iterable[int]]],
) -> memoryview:
    """Return (48,) by mode, voice and pitch class: 1 for those that ``classes`` names.

    classes: key → the pitch classes of the upper and of the lower voice.
    """
    return memoryview(
        bytes(
            pitch_class in pitch_classes
            for key in REFERENCE_KEYS.values()
            for pitch_classes in map(set, classes(key))
            for pitch_class in range(12)
        )
    )


# Pitch classes that close, and pitch classes that lead to a close.
_closing_classes = _by_mode_and_voice(lambda key: (counterpoint.tonic_triad(key), [key.tonic]))
_leading_classes = _by_mode_and_voice(
    lambda key: (counterpoint.dominant_seventh(key), [counterpoint.dominant(key)])
)


def draw_cadence_plan(
    conditions: Conditions, constraints: Constraints, rng: np.random.Generator
) -> CadencePlan:
    """Draw how a piece closes: most pieces on the last downbeat, from the dominant, on the tonic.

    The numbers come from a child of ``rng``, whose own stream does not change.
    """
    last_bars = (conditions.bars - _MIN_FREE_BARS) * conditions.meter.bar_ticks
    fixed = conditions.fixed_notes.fixed if conditions.fixed_notes else ()
    if last_bars < 0 or any(until > last_bars for voice in fixed for _, until in voice):
        return CadencePlan()
    downbeat, dominant, tonic, away = rng.spawn(1)[0].random(4)
    beats = conditions.meter.bar_ticks // conditions.meter.beat_ticks
    return CadencePlan(
        on_downbeat=beats % 2 == 1 or downbeat < _ON_DOWNBEAT,
        from_dominant=dominant < constraints.authentic,
        tonic_above=tonic < _TONIC_ABOVE,
        dies_away=away < _DIES_AWAY,
    )


class Cadence(Constraint):
    """Close on the tonic, by a deadline in the last bar.

    From the deadline on, the lower voice begins only the tonic and the upper only tones of the
    tonic triad. Time does not pass the deadline before the last note of each voice is such a note
    (and, of the lower voice, sounds in the last bar). After the deadline no note begins, or after
    the middle of the bar if the piece dies away. What sounds then ends on a beat or with the piece.

    If the plan is to close from the dominant, the lower voice begins nothing else in the beat
    before the deadline, and time does not pass the beginning of that beat before its last note is
    the dominant. Upper notes that begin there belong to the dominant seventh. If the plan is to
    close with the tonic above, the upper voice begins no other closing note, except from an octave,
    which would lead to another one.

    At the deadline a voice that has not closed ends its note and begins a closing one, the upper
    voice first. ``ConstraintProcessor`` makes sure that the lower voice keeps one that is allowed.
    A voice that is fixed at the deadline or at the end is exempt, and so is one that follows the
    chords of a given voice.
    """

    def __init__(
        self, settings: Constraints, plan: PiecePlan, fixed_notes: FixedNotesTable | None = None
    ) -> None:
        super().__init__(settings, plan, fixed_notes)
        # A voice that follows the chords of a given one closes with it.
        follows = settings.forbids("chords") and given_part(plan, fixed_notes) is not None
        self.upper_is_exempt = follows or self._is_exempt(UPPER)
        self.lower_is_exempt = follows or self._is_exempt(LOWER)
        self.lowest_tonic = 0  # that the lower voice can play
        for pitch in range(plan.highest[LOWER], plan.lowest[LOWER] - 1, -1):
            if self._has_class(_closing_classes, LOWER, pitch):
                self.lowest_tonic = pitch

    def _is_exempt(self, voice: int) -> bool:
        fixed = self.fixed_notes
        if fixed is None:
            return False
        return fixed.is_fixed(voice, self.plan.deadline) or fixed.is_fixed(voice, self.plan.end - 1)

    def _exempts(self, voice: int) -> bool:
        return self.upper_is_exempt if voice == UPPER else self.lower_is_exempt

    def _has_class(self, classes: memoryview, voice: int, pitch: int) -> bool:
        return pitch > 0 and classes[24 * self.plan.minor + 12 * voice + pitch % 12] != 0

    def _closes(self, voice: int, pitch: int) -> bool:
        """Does a voice close with this pitch?"""
        if pitch < self.plan.lowest[voice] or pitch > self.plan.highest[voice]:
            return False
        if voice == UPPER and pitch < self.lowest_tonic:
            return False  # so that the lower need not cross
        return self._has_class(_closing_classes, voice, pitch)

    def forbids(self, context: ConstraintContext, voice: int, pitch: int) -> bool:
        return self._is_not_leading(context, voice, pitch) or self._is_not_closing(
            context, voice, pitch
        )

    def _is_not_leading(self, context: ConstraintContext, voice: int, pitch: int) -> bool:
        """On the beat before the close: does the pitch not lead to it?"""
        if context.tick < self.plan.approach or context.tick >= self.plan.deadline:
            return False
        if voice == UPPER and context.tick != self.plan.approach:
            return False
        return not self._has_class(_leading_classes, voice, pitch)

    def _is_not_closing(self, context: ConstraintContext, voice: int, pitch: int) -> bool:
        """From the deadline on: does the pitch not close?"""
        if context.tick < self.plan.deadline or self._exempts(voice):
            return False
        if context.tick > self.quiet_after() or not self._closes(voice, pitch):
            return True
        return self._must_be_tonic(context, voice) and not self._has_class(
            _closing_classes, LOWER, pitch
        )

    def _must_be_tonic(self, context: ConstraintContext, voice: int) -> bool:
        """Is the voice the upper one, and closes on the tonic only?"""
        if voice != UPPER or not self.plan.tonic_above:
            return False
        return (context.last_pitch[UPPER] - context.last_pitch[LOWER]) % 12 != 0

    def quiet_after(self) -> int:
        """The tick after which no note begins; FAR if one may."""
        return FAR if self.upper_is_exempt or self.lower_is_exempt else self.plan.quiet

    def waits_for_end(self, context: ConstraintContext) -> bool:
        """Can the sounding notes last to the end, with the last onset a time shift away or past?"""
        return (
            self.quiet_after() - context.tick < MAX_SHIFT_TICKS
            and context.until[UPPER] >= self.plan.end
            and context.until[LOWER] >= self.plan.end
        )

    def forbids_shift(self, context: ConstraintContext, ticks: int) -> bool:
        """Does a time shift lead to a tick at which no event is possible?

        Asked only if the piece waits for its end. Sounding notes may end only on beats. A note that
        cannot last to the end of the piece may end anywhere.
        """
        then = context.tick + ticks
        if then <= self.quiet_after() or then >= self.plan.end:
            return False
        silent = context.pitch[UPPER] == NO_PITCH and context.pitch[LOWER] == NO_PITCH
        return silent or then % self.plan.beat != 0

    def _is_open(self, context: ConstraintContext, voice: int) -> bool:
        """Has the voice yet to close?"""
        if self._exempts(voice):
            return False
        if not self._closes(voice, context.last_pitch[voice]):
            return True
        return (
            voice == LOWER
            and context.ended_tick[LOWER] <= self.plan.last_bar
            and context.pitch[LOWER] == NO_PITCH
        )

    def _is_to_lead(self, context: ConstraintContext) -> bool:
        """Has the lower voice yet to reach the dominant?"""
        return self.plan.approach != FAR and not self._has_class(
            _leading_classes, LOWER, context.last_pitch[LOWER]
        )

    def lower_must_begin(self, context: ConstraintContext) -> bool:
        """Must the lower voice end its held note now, for the cadence?"""
        if context.tick == self.plan.deadline:
            return self._is_open(context, LOWER)
        return context.tick == self.plan.approach and self._is_to_lead(context)

    def time_limit(self, context: ConstraintContext) -> int:
        left = self.plan.approach - context.tick
        if 0 <= left < MAX_SHIFT_TICKS and self._is_to_lead(context):
            return left
        left = self.plan.deadline - context.tick
        if 0 <= left < MAX_SHIFT_TICKS and (
            self._is_open(context, UPPER) or self._is_open(context, LOWER)
        ):
            return left
        return FAR

    def upper_must_move(self, context: ConstraintContext) -> bool:
        return context.tick == self.plan.deadline and self._is_open(context, UPPER)

    @staticmethod
    def count_violations(
        score: Score, conditions: Conditions, settings: Constraints, written: WrittenByModel
    ) -> int:
        if settings.forbids("chords") and written.only_voice is not None:
            return 0
        deciding = counterpoint.latest_final_onset_tick(score.meter, score.bars), score.end_tick - 1
        own = [all((voice, tick) in written for tick in deciding) for voice in (UPPER, LOWER)]
        voices_off_tonic = (
            counterpoint.voices_not_at_rest if all(own) else counterpoint.voices_off_tonic
        )
        return sum(own[voice] for voice in voices_off_tonic(score, conditions.key))
