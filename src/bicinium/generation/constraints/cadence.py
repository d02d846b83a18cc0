"""The constraint ``close``: how a piece comes to its end."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np

from bicinium.generation.conditions import Conditions
from bicinium.generation.constraints.base import (
    ALL_PITCHES,
    NO_PITCH,
    PITCHES,
    SHIFTS,
    BatchConditions,
    CadencePlan,
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
from bicinium.music.counterpoint import LOWER, UPPER
from bicinium.music.key import REFERENCE_KEYS, Key
from bicinium.music.score import LOWEST_PITCH, VOICES, Score
from bicinium.tokenizer.vocabulary import MAX_SHIFT_TICKS

_OCTAVE = 12
# Shares of the pieces, from real keyboard music (docs/log.md).
_ON_DOWNBEAT = 0.65  # close on the last downbeat, in metres that have a middle of the bar
_TONIC_ABOVE = 0.85  # close with the tonic in the upper voice
_DIES_AWAY = 0.65  # may add chord notes until the middle of the last bar
_MIN_FREE_BARS = 3  # bars that the model writes at the end; with fewer, any close will do


def _by_mode_and_voice(classes: Callable[[Key], tuple[Iterable[int], Iterable[int]]]) -> Bools:
    """Return (2, 2, 109) by mode and voice: True for pitches in the classes that ``classes`` names.

    classes: key → the pitch classes of the upper and of the lower voice.
    """
    return np.array(
        [
            [np.isin(ALL_PITCHES % _OCTAVE, list(pitch_classes)) for pitch_classes in classes(key)]
            for key in REFERENCE_KEYS.values()
        ]
    )


# (2, 2, 109) by mode and voice: pitches that close, pitches that lead to a close.
_CLOSES = _by_mode_and_voice(lambda key: (counterpoint.tonic_triad(key), [key.tonic]))
_LEADS = _by_mode_and_voice(
    lambda key: (counterpoint.dominant_seventh(key), [counterpoint.dominant(key)])
)
_LEADS[:, :, NO_PITCH] = False
_IS_TONIC = _CLOSES[:, LOWER]  # (2, 109)


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
    A voice that is fixed at the deadline or at the end is exempt.
    """

    def __init__(
        self, settings: Constraints, batch: BatchConditions, fixed_notes: FixedVoices | None = None
    ) -> None:
        super().__init__(settings, batch, fixed_notes)
        low, high = batch.playable[:, :, :1], batch.playable[:, :, 1:]
        closes = _CLOSES[batch.minor]  # (P, 2, 109)
        closes &= (low <= ALL_PITCHES) & (high >= ALL_PITCHES)
        lowest_tonic = closes[:, LOWER].argmax(axis=1)
        closes[:, UPPER] &= lowest_tonic[:, None] <= ALL_PITCHES  # so that the lower need not cross
        self.closes = closes.reshape(-1, len(ALL_PITCHES))  # (2 P, 109)
        self.exempt: Bools | None = None  # (P, 2)
        if fixed_notes is not None:
            every = np.arange(len(batch.minor))
            self.exempt = fixed_notes.is_fixed(every, batch.deadline)
            self.exempt = self.exempt | fixed_notes.is_fixed(every, batch.end - 1)

    def forbidden_pitches(self, context: ConstraintContext, voice: Rows) -> Bools | None:
        closing = self._not_closing(context, voice)
        leading = self._not_leading(context, voice)
        return leading if closing is None else closing if leading is None else closing | leading

    def _not_leading(self, context: ConstraintContext, voice: Rows) -> Bools | None:
        """Return (N, 88) the pitches that do not lead to the close, on the beat before it."""
        approach = self.batch.approach[context.rows]
        leading = (context.tick >= approach) & (context.tick < self.batch.deadline[context.rows])
        leading &= (voice == LOWER) | (context.tick == approach)
        if not leading.any():
            return None
        minor = self.batch.minor[context.rows]
        return leading[:, None] & ~_LEADS[minor, voice][:, LOWEST_PITCH:]

    def _not_closing(self, context: ConstraintContext, voice: Rows) -> Bools | None:
        """Return (N, 88) the pitches that do not close, from the deadline on."""
        closing = context.tick >= self.batch.deadline[context.rows]
        if not closing.any():
            return None
        if self.exempt is not None:
            closing = closing & ~of_voice(self.exempt[context.rows], voice)
        some = closing.nonzero()[0]
        rows = context.rows[some]
        closes = self.closes.take(VOICES * rows + voice[some], axis=0)
        any_tone = (~self._on_tonic(context, voice)[some])[:, None]
        closes &= any_tone | _IS_TONIC[self.batch.minor[rows]]
        over = context.tick[some] > self.quiet_after(rows)
        found = np.zeros((len(context), len(PITCHES)), np.bool_)
        found[some] = ~closes[:, LOWEST_PITCH:] | over[:, None]
        return found

    def _on_tonic(self, context: ConstraintContext, voice: Rows) -> Bools:
        """Return (N,) where the voice is the upper one and closes on the tonic only."""
        apart = (context.last_pitch[:, UPPER] - context.last_pitch[:, LOWER]) % _OCTAVE != 0
        return apart & self.batch.tonic_above[context.rows] & (voice == UPPER)

    def quiet_after(self, rows: Rows) -> Ints:
        """Return (N,) the ticks after which no note begins; FAR if one may."""
        quiet = self.batch.quiet[rows]
        if self.exempt is None:
            return quiet
        return np.where(self.exempt[rows].any(axis=1), FAR, quiet)

    def forbidden_shifts(self, context: ConstraintContext) -> Bools | None:
        """Return (N, 512) the shifts to ticks at which no event is possible.

        After the last onset, sounding notes may end only on beats. A note that cannot last to the
        end of the piece may end anywhere.
        """
        quiet, end = self.quiet_after(context.rows), self.batch.end[context.rows]
        silent = (context.pitch == NO_PITCH).all(axis=1)
        lasts = (context.until >= end[:, None]).all(axis=1)
        dead = lasts & (quiet - context.tick < MAX_SHIFT_TICKS)
        if not dead.any():
            return None
        then = context.tick[:, None] + SHIFTS
        on_beat = then % self.batch.beat[context.rows][:, None] == 0
        idle = silent[:, None] | ~on_beat
        return dead[:, None] & idle & (then > quiet[:, None]) & (then < end[:, None])

    def _still_open(self, context: ConstraintContext) -> Bools:
        """Return (N, 2) the voices that have yet to close."""
        line = (VOICES * context.rows)[:, None] + np.arange(VOICES)  # (N, 2)
        closed = self.closes[line, context.last_pitch]
        in_last_bar = context.ended_tick[:, LOWER] > self.batch.last_bar[context.rows]
        closed[:, LOWER] &= in_last_bar | (context.pitch[:, LOWER] != NO_PITCH)
        return ~closed if self.exempt is None else ~(closed | self.exempt[context.rows])

    def _still_to_lead(self, context: ConstraintContext) -> Bools:
        """Return (N,) where the lower voice has yet to reach the dominant."""
        led = _LEADS[self.batch.minor[context.rows], LOWER, context.last_pitch[:, LOWER]]
        return ~led & (self.batch.approach[context.rows] != FAR)

    def lower_must_begin(self, context: ConstraintContext) -> Bools:
        """Return (N,): True where the lower voice must end its held note now, for the cadence."""
        must = np.zeros(len(context), np.bool_)
        leads = context.tick == self.batch.approach[context.rows]
        closes = context.tick == self.batch.deadline[context.rows]
        now = (leads | closes).nonzero()[0]
        if len(now):  # Few ticks of a piece, but this is called at every token.
            there = context.take(now)
            open_below = self._still_open(there)[:, LOWER]
            must[now] = np.where(closes[now], open_below, self._still_to_lead(there))
        return must

    def time_limit(self, context: ConstraintContext) -> Ints | None:
        limit: Ints | None = None
        for tick, lacking in (
            (self.batch.approach, self._still_to_lead),
            (self.batch.deadline, lambda context: self._still_open(context).any(axis=1)),
        ):
            left = tick[context.rows] - context.tick
            near = (left >= 0) & (left < MAX_SHIFT_TICKS)
            if near.any():
                found = np.where(near & lacking(context), left, FAR)
                limit = found if limit is None else np.minimum(limit, found)
        return limit

    def upper_must_move(self, context: ConstraintContext) -> Bools | None:
        now = context.tick == self.batch.deadline[context.rows]
        return now & self._still_open(context)[:, UPPER] if now.any() else None

    @staticmethod
    def count_violations(
        score: Score, conditions: Conditions, settings: Constraints, written: WrittenByModel
    ) -> int:
        deciding = counterpoint.latest_final_onset_tick(score.meter, score.bars), score.end_tick - 1
        own = [all((voice, tick) in written for tick in deciding) for voice in (UPPER, LOWER)]
        voices_off_tonic = (
            counterpoint.voices_not_at_rest if all(own) else counterpoint.voices_off_tonic
        )
        return sum(own[voice] for voice in voices_off_tonic(score, conditions.key))
