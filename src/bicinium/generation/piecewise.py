"""Compose a few bars at a time, and keep only those in which the rules "bach" find no fault.

For canons and invertible counterpoint. Each round draws several continuations of what is settled,
takes the most promising one without a fault, and settles a few bars of it. In a canon the follower
is settled too: it repeats the leader. If every continuation has a fault, another round is drawn,
and if that fails the last bars are taken back. Hints do not count as faults.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import count
from typing import Protocol

import numpy as np

from bicinium.counterpoint.checker import find_faults
from bicinium.counterpoint.imitation import INVERSIONS, Canon, invert
from bicinium.counterpoint.rule import Severity
from bicinium.counterpoint.rule_sets import BACH, RuleSet
from bicinium.errors import RequestError, ScoreError
from bicinium.generation.composer import Composer
from bicinium.generation.composition import Composition
from bicinium.generation.conditions import Conditions
from bicinium.generation.config import GenerationConfig
from bicinium.generation.deadline import Expired, never
from bicinium.generation.engine import PLACES, BarsWritten, Cancelled, Tokens
from bicinium.generation.fixed_notes import NO_TICKS, FixedNotes
from bicinium.generation.rerank import Selection
from bicinium.music.counterpoint import UPPER, PitchRange
from bicinium.music.score import Note, Score, Voice

_ROUNDS_BEFORE_BACK = 2
_MAX_FAILED_ROUNDS = 60
_BARS_AT_ONCE = 2
_ENDINGS = {"tonic_ending": "off", "leading_note": "off"}
_UNFINISHED = BACH.changed("bach", BACH.description, _ENDINGS)


@dataclass(frozen=True, slots=True)
class Settled:
    """Notes that stay, and for each voice the tick until which nothing is open."""

    lines: tuple[tuple[Note, ...], ...] = ((), ())
    until: tuple[int, int] = (0, 0)


class Plan(Protocol):
    """What is settled after each round, and what counts as a fault."""

    def begin(self) -> Settled:
        """Return what is settled before the first round."""

    def next_tick(self, settled: Settled) -> int | None:
        """Return the tick up to which the next round settles; None: to the end of the piece."""

    def settle(self, score: Score, until: int) -> Settled | None:
        """Settle a score up to a tick; None if that is not possible."""

    def scores(self, score: Score) -> list[tuple[Score, bool]]:
        """Return the scores that must be without faults, and whether their endings must too."""


@dataclass(frozen=True, slots=True)
class CanonPlan:
    """The follower repeats the leader up to the last bar, which is free for the cadence."""

    canon: Canon
    conditions: Conditions
    ranges: Sequence[PitchRange]

    @property
    def _close_tick(self) -> int:
        return (self.conditions.bars - 1) * self.conditions.meter.bar_ticks

    def begin(self) -> Settled:
        return self._settled((), 0)

    def next_tick(self, settled: Settled) -> int | None:
        leader, follower = self.canon.leader, 1 - self.canon.leader
        if settled.until[follower] >= self._close_tick:
            return None
        bar = self.conditions.meter.bar_ticks
        return settled.until[leader] + min(self.canon.delay_ticks, _BARS_AT_ONCE * bar)

    def settle(self, score: Score, until: int) -> Settled | None:
        notes = tuple(n for n in score.voices[self.canon.leader].notes if n.onset_tick < until)
        settled = self._settled(notes, until)
        low, high = self.ranges[1 - self.canon.leader]
        follower = settled.lines[1 - self.canon.leader]
        return settled if all(low <= note.pitch <= high for note in follower) else None

    def _settled(self, leader: tuple[Note, ...], until: int) -> Settled:
        """Return the notes of the leader with those of the follower that repeat them."""
        until = max(until, leader[-1].offset_tick if leader else 0)
        close = self._close_tick
        follower = tuple(
            replace(note, duration_ticks=min(note.duration_ticks, close - note.onset_tick))
            for note in (self.canon.follow(note, self.conditions.key) for note in leader)
            if note.onset_tick < close
        )
        known = min(until + self.canon.delay_ticks, close)
        if self.canon.leader == UPPER:
            return Settled((leader, follower), (until, known))
        return Settled((follower, leader), (known, until))

    def scores(self, score: Score) -> list[tuple[Score, bool]]:
        return [(score, True)]


@dataclass(frozen=True, slots=True)
class InvertiblePlan:
    """The piece is correct as it is, and also when its voices change places.

    At the tenth and the twelfth the inversion need not end on the tonic, since one voice moves by a
    third or a fifth.
    """

    interval: int
    conditions: Conditions

    def begin(self) -> Settled:
        return Settled()

    def next_tick(self, settled: Settled) -> int | None:
        bar = self.conditions.meter.bar_ticks
        tick = (min(settled.until) // bar + _BARS_AT_ONCE) * bar
        return tick if tick < (self.conditions.bars - 1) * bar else None

    def settle(self, score: Score, until: int) -> Settled | None:
        lines = tuple(
            tuple(note for note in voice.notes if note.onset_tick < until) for voice in score.voices
        )
        upper, lower = (max(until, line[-1].offset_tick if line else 0) for line in lines)
        return Settled(lines, (upper, lower))

    def scores(self, score: Score) -> list[tuple[Score, bool]]:
        return [(score, True), (invert(score, self.interval), self.interval == 8)]


def plan_of(
    canon: str | None, invertible: int | None, piece: Conditions, ranges: Sequence[PitchRange]
) -> Plan:
    """Return the plan of a canon or, without one, of invertible counterpoint.

    ranges: the lowest and the highest pitch of each voice. Raises RequestError for a canon that is
    too long for the piece.
    """
    if canon is None:
        return InvertiblePlan(invertible or INVERSIONS[0], piece)
    parsed = Canon.parse(canon, piece.meter)
    if parsed.delay_ticks >= (piece.bars - 1) * piece.meter.bar_ticks:
        raise RequestError(
            f"{piece.bars} bars are too short for a canon at {canon}. Choose more bars."
        )
    return CanonPlan(parsed, piece, ranges)


@dataclass(frozen=True, slots=True)
class _Continuation:
    composition: Composition
    settled: Settled | None  # None: the piece is finished


@dataclass(slots=True)
class PiecewiseSearch:
    """Composes one piece by a plan."""

    composer: Composer
    conditions: Conditions
    seed: int
    plan: Plan
    config: GenerationConfig
    selection: Selection
    cancelled: Cancelled | None = None
    progress: Callable[[int], None] | None = None  # bars settled
    expired: Expired = never

    def run(self) -> Composition:
        """Return the piece. Raises RequestError if none is found, or time is up."""
        settled, last = [self.plan.begin()], 0
        failed = here = 0  # rounds without a continuation: in all, and since the last progress
        for number in count():
            found = self._round(settled[-1], number)
            if found is None:
                failed, here = failed + 1, here + 1
                if failed == _MAX_FAILED_ROUNDS or self.expired():
                    break
                if here % _ROUNDS_BEFORE_BACK == 0:  # each time farther back
                    del settled[max(1, len(settled) - here // _ROUNDS_BEFORE_BACK) :]
                continue
            if found.settled is None:
                return self._finished(found.composition, number + 1)
            settled.append(found.settled)
            if min(found.settled.until) > last:
                last, here = min(found.settled.until), 0
            if self.progress:
                bar = self.conditions.meter.bar_ticks
                self.progress(min(last // bar, self.conditions.bars))
        bar = last // self.conditions.meter.bar_ticks + 1
        when, fix = f"after {failed} failed rounds", "fewer bars"
        if self.expired():
            when, fix = "within the time limit", "allow more time"
        raise RequestError(
            f"No piece without faults with seed {self.seed}: {when} none passes bar {bar} of "
            f"{self.conditions.bars}. Choose another seed, or {fix}."
        )

    def _finished(self, composition: Composition, rounds: int) -> Composition:
        candidate = self.selection.candidate(composition)
        sheet, drawn = self.selection.sheet(candidate), self.selection.best_of
        return replace(composition, draws=rounds, candidates=drawn, sheet=sheet)

    def _round(self, settled: Settled, number: int) -> _Continuation | None:
        """Return the most promising continuation without faults; None if all have some."""
        until = self.plan.next_tick(settled)
        conditions = replace(self.conditions, fixed_notes=self._fixed(settled))
        found = []
        for tokens in self._draw(conditions, until, number):
            one = self._judged(conditions, tokens, until)
            if one is not None:
                found.append(one)
        if not found:
            return None
        return max(found, key=lambda one: self._promise(one.composition))

    def _promise(self, composition: Composition) -> float:
        return self.selection.log_odds(self.selection.candidate(composition))

    def _fixed(self, settled: Settled) -> FixedNotes:
        """Fix what is settled. What a voice has settled before the other is known to the model."""
        asked, (upper, lower) = self.conditions, settled.until
        voices = tuple(Voice(line) for line in settled.lines)
        ahead = min(upper, lower)
        return FixedNotes(
            Score(voices, asked.bars, asked.meter, asked.key),
            (((0, upper),), ((0, lower),)),
            (self._known(ahead, upper, voices[0]), self._known(ahead, lower, voices[1])),
        )

    @staticmethod
    def _known(ahead: int, until: int, voice: Voice) -> tuple[int, int]:
        """Return the ticks of a voice that are known beforehand, from the beginning of a note."""
        begin = min((n.onset_tick for n in voice.notes if n.offset_tick > ahead), default=ahead)
        return (min(begin, ahead), until) if until > ahead else NO_TICKS

    def _draw(self, conditions: Conditions, until: int | None, number: int) -> list[Tokens]:
        """Draw continuations to a bar after ``until``, so that held notes end."""
        candidates = self.selection.best_of
        places = min(candidates, PLACES)
        drawing = self.composer.engine.drawing(self.config, places, self.cancelled)
        for index in range(candidates):
            drawing.add(index, conditions, np.random.default_rng([self.seed, number, index]))
        bars = self._bars_to_draw(until)
        drawn: dict[int, Tokens] = {}
        for event in drawing:
            if self.expired():
                break
            if event.number in drawn:
                continue
            if not isinstance(event, BarsWritten):
                drawn[event.number] = event.tokens
            elif event.bars >= bars and until is not None:
                drawn[event.number] = drawing.tokens(event.number)
                drawing.stop(event.number)
        return [drawn[index] for index in sorted(drawn)]

    def _bars_to_draw(self, until: int | None) -> int:
        if until is None:
            return self.conditions.bars
        bar = self.conditions.meter.bar_ticks
        return min(-(-until // bar) + 1, self.conditions.bars)

    def _judged(
        self, conditions: Conditions, tokens: Tokens, until: int | None
    ) -> _Continuation | None:
        """Return a continuation if it has no fault up to ``until``."""
        if until is None:
            composition = self.composer.finish(conditions, self.seed, tokens, 1)
            composition = replace(composition, conditions=self.conditions)
            candidate = self.selection.candidate(composition)
            if self.selection.violation(candidate, self.config) is not None:
                return None
            has_faults = self._has_faults(candidate.score, candidate.score.end_tick, BACH)
            return None if has_faults else _Continuation(composition, None)
        bars = self._bars_to_draw(until)
        opening = self.composer.opening(conditions, self.seed, tokens, bars)
        score = opening.score
        if score is None or self._has_faults(score, until, _UNFINISHED):
            return None
        settled = self.plan.settle(score, until)
        return None if settled is None else _Continuation(opening, settled)

    def _has_faults(self, score: Score, until: int, rules: RuleSet) -> bool:
        if not all(voice.notes for voice in score.voices):
            return until == score.end_tick  # in a canon the follower has not entered yet
        try:
            scores = self.plan.scores(score)
        except ScoreError:
            return True  # the inversion leaves the keyboard
        return any(
            fault.tick < until and fault.severity is not Severity.HINT
            for one, with_ending in scores
            for fault in find_faults(one, rules if with_ending else _UNFINISHED)
        )
