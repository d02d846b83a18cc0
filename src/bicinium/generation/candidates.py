"""Candidates and retries: draws several candidates of each piece until one is acceptable.

In each attempt a piece draws all its candidates at once. The less promising are stopped after a
quarter, a half and three quarters of the bars (after successive halving; Jamieson and Talwalkar
2016, arXiv:1502.07943). A piece is finished as soon as an attempt has brought a candidate without
outliers. After the last attempt, or when time is up, the best valid candidate is taken; if there is
none, the piece is rejected. Pieces do not wait for each other.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple, TypeAlias

import numpy as np

from bicinium.errors import RequestError
from bicinium.generation.acceptance import Rejection, RejectReason
from bicinium.generation.composition import Composition
from bicinium.generation.conditions import Conditions
from bicinium.generation.config import GenerationConfig
from bicinium.generation.deadline import Expired, never
from bicinium.generation.engine import BarsWritten, Drawing, Tokens
from bicinium.generation.rerank import Candidate, Selection, names_of_outliers, outliers

MAX_ATTEMPTS = 8
_SEED_STRIDE = 2**64  # between the seeds of candidates, so that none equals a later piece's
# After a share of the bars only a share of the candidates goes on (docs/log.md).
_ELIMINATIONS = ((1 / 4, 2 / 3), (1 / 2, 1 / 2), (3 / 4, 1 / 3))
_MIN_BARS_TO_JUDGE = 4
_MIN_CANDIDATES_TO_COMPARE = 4

ProgressCallback = Callable[[int, int], None]  # candidates done, candidates in all


@dataclass(frozen=True, slots=True)
class Progress:
    """Piece ``index`` is in attempt ``draw``, and ``bars`` of its ``all_bars`` are written."""

    index: int
    seed: int
    draw: int
    bars: int
    all_bars: int


@dataclass(frozen=True, slots=True)
class Found:
    """A valid candidate of piece ``index``, not measured in full; more may come.

    ``is_best``: no earlier one of the same attempt is better.
    """

    index: int
    composition: Composition
    is_best: bool


@dataclass(frozen=True, slots=True)
class Finished:
    """Piece ``index`` is composed. ``valid`` are all its valid candidates of the last attempt."""

    index: int
    composition: Composition
    valid: tuple[Composition, ...]
    draws: int  # of all candidates in all attempts


@dataclass(frozen=True, slots=True)
class Rejected:
    """No valid candidate of piece ``index`` was drawn.

    ``reason`` says why the last one was rejected.
    """

    index: int
    seed: int
    reason: RejectReason
    detail: str = ""
    timed_out_in: int = 0  # the attempt in which time was up; 0: every attempt was made


Result: TypeAlias = "Progress | Found | Finished | Rejected"

_EXPLANATIONS = {
    RejectReason.UNFINISHED: "No candidate was finished.",
    RejectReason.DEAD_END: "The grammar, the constraints and the given notes leave no next token.",
    RejectReason.BREAKS_CONSTRAINT: "The last attempt breaks {detail}.",
    RejectReason.QUOTES: "The last attempt quotes {detail}.",
    RejectReason.NOT_ACCEPTED: "The last attempt was not accepted.",
}


def rejection_message(rejected: Rejected) -> str:
    """Return the sentences that explain a rejected piece."""
    why = _EXPLANATIONS[rejected.reason].format(detail=rejected.detail)
    when, fix = f"after {MAX_ATTEMPTS} attempts", "choose another seed"
    if attempt := rejected.timed_out_in:
        when, fix = (
            f"within the time limit (attempt {attempt} of {MAX_ATTEMPTS})",
            "allow more time",
        )
    return (
        f"No acceptable piece with seed {rejected.seed} {when}. {why} Loosen the request, or {fix}."
    )


class _Draw(NamedTuple):
    piece: int
    candidate: int


class _Elimination(NamedTuple):
    """After ``bars`` bars only ``keep`` candidates go on."""

    bars: int
    keep: int


def _eliminations(conditions: Conditions, selection: Selection, places: int) -> list[_Elimination]:
    """Return when candidates are stopped early; never if whole bars of both voices are given.

    All candidates of a piece need places in the batch, since they wait for each other.
    """
    if not selection.eliminate:
        return []
    if conditions.fixed_notes and not conditions.fixed_notes.leaves_a_voice_free:
        return []
    if not _MIN_CANDIDATES_TO_COMPARE <= selection.best_of <= places:
        return []
    planned = [
        _Elimination(round(of_bars * conditions.bars), math.ceil(kept * selection.best_of))
        for of_bars, kept in _ELIMINATIONS
    ]
    return [one for one in planned if _MIN_BARS_TO_JUDGE <= one.bars < conditions.bars]


_UNFINISHED = Rejection(RejectReason.UNFINISHED)


@dataclass(slots=True)
class _Attempt:
    """The candidates of one attempt of a piece, by their numbers."""

    first_number: int  # of the draws
    going: list[int]  # candidates that were not stopped
    eliminations: list[_Elimination]
    bars: dict[int, int] = field(default_factory=dict)
    written: dict[int, Tokens] = field(default_factory=dict)
    valid: dict[int, Candidate] = field(default_factory=dict)  # of those that are written

    def has(self, bars: int, candidate: int) -> bool:
        """Return whether that many bars are written, or all that there will be."""
        return candidate in self.written or self.bars.get(candidate, 0) >= bars


@dataclass(slots=True)
class _Pending:
    """A piece that is not finished."""

    attempt: _Attempt
    attempts: int = 1
    valid: list[Candidate] = field(default_factory=list)  # of all attempts that are over
    done: int = 0  # candidates reported as done
    draws: int = 0
    rejection: Rejection = _UNFINISHED


@dataclass(slots=True)
class Search:
    """The search for acceptable pieces, one for each of the ``conditions``.

    finish: makes a piece from all its tokens. opening: makes its first bars from its tokens so far.
    """

    conditions: Sequence[Conditions]
    seeds: Sequence[int]
    config: GenerationConfig
    selection: Selection
    drawing: Drawing
    finish: Callable[[Conditions, int, Tokens, int], Composition]
    opening: Callable[[Conditions, int, Tokens, int], Composition]
    progress: ProgressCallback | None = None
    expired: Expired = never
    _draws: list[_Draw] = field(init=False, default_factory=list)  # by their numbers
    _pending: dict[int, _Pending] = field(init=False, default_factory=dict)
    _done: int = field(init=False, default=0)

    def run(self) -> Iterator[Result]:
        """Yield the progress of the pieces, candidates, and each piece when it is finished."""
        for index in range(len(self.conditions)):
            self._pending[index] = _Pending(self._begin(index, 0), draws=self.selection.best_of)
        for drawn in self.drawing:
            draw = self._draws[drawn.number]
            piece = self._pending.get(draw.piece)
            if piece is None or draw.candidate not in piece.attempt.going:
                continue
            if isinstance(drawn, BarsWritten):
                piece.attempt.bars[draw.candidate] = drawn.bars
                yield self._progress(draw, piece, drawn.bars)
            else:
                piece.attempt.written[draw.candidate] = drawn.tokens
                yield from self._judge(draw, piece)
            self._eliminate(draw.piece, piece, draw.candidate)
            if len(piece.attempt.written) == len(piece.attempt.going):
                result = self._end_attempt(draw.piece, piece)
                if result:
                    yield self._settle(draw.piece, result)
            if self.expired():
                for index in list(self._pending):
                    yield self._settle(index, self._time_is_up(index, self._pending[index]))
                return

    def _settle(self, index: int, result: Finished | Rejected) -> Finished | Rejected:
        """Take a piece off the list of those that are not finished."""
        piece = self._pending.pop(index)
        self._report(self.selection.best_of - piece.done)
        return result

    def _time_is_up(self, index: int, piece: _Pending) -> Finished | Rejected:
        """Return the best candidate so far."""
        valid = [*piece.valid, *(one for _, one in sorted(piece.attempt.valid.items()))]
        if not valid:
            return Rejected(index, self.seeds[index], *piece.rejection, piece.attempts)
        best = self._choose(index, piece, valid)
        composition = replace(best.composition, draws=piece.attempts, timed_out=True)
        return replace(best, composition=composition)

    def _begin(self, index: int, attempt: int) -> _Attempt:
        """Draw all candidates. Each has its own random numbers, from its seed and attempt."""
        first, candidates = len(self._draws), list(range(self.selection.best_of))
        for candidate in candidates:
            rng = np.random.default_rng([self._seed(index, candidate), attempt])
            self.drawing.add(len(self._draws), self.conditions[index], rng)
            self._draws.append(_Draw(index, candidate))
        conditions, places = self.conditions[index], self.drawing.places
        return _Attempt(first, candidates, _eliminations(conditions, self.selection, places))

    def _eliminate(self, index: int, piece: _Pending, candidate: int) -> None:
        """Pause a candidate that can be compared. When all can be, stop some of them."""
        attempt = piece.attempt
        while attempt.eliminations:
            bars, keep = attempt.eliminations[0]
            if not all(attempt.has(bars, other) for other in attempt.going):
                if attempt.has(bars, candidate):
                    self.drawing.pause(attempt.first_number + candidate)
                return
            del attempt.eliminations[0]
            ranked = sorted(attempt.going, key=lambda c: self._promise(index, piece, c, bars))
            attempt.going = sorted(ranked[:keep])
            for other in attempt.going:
                self.drawing.resume(attempt.first_number + other)
            for other in ranked[keep:]:
                attempt.valid.pop(other, None)
                if attempt.written.pop(other, None) is None:
                    self.drawing.stop(attempt.first_number + other)
                self._report_one(piece)

    def _promise(self, index: int, piece: _Pending, candidate: int, bars: int) -> float:
        """Return a key by which the most promising candidate comes first."""
        attempt, conditions = piece.attempt, self.conditions[index]
        if attempt.bars.get(candidate, 0) < bars:
            return math.inf  # a dead end
        tokens = attempt.written.get(candidate)
        if tokens is None:
            tokens = self.drawing.tokens(attempt.first_number + candidate)
        opening = self.opening(conditions, self._seed(index, candidate), tokens, bars)
        return -self.selection.promise(self.selection.candidate(opening), self.config)

    def _judge(self, draw: _Draw, piece: _Pending) -> Iterator[Found]:
        """Keep a written candidate and yield it, unless it is rejected."""
        tokens, seed = piece.attempt.written[draw.candidate], self._seed(*draw)
        composition = self.finish(self.conditions[draw.piece], seed, tokens, piece.attempts)
        candidate = self.selection.candidate(composition)
        rejection = self.selection.violation(candidate, self.config)
        if rejection:
            piece.rejection = rejection
            return
        piece.attempt.valid[draw.candidate] = candidate
        best = self.selection.best(list(piece.attempt.valid.values()), self.config)
        yield Found(draw.piece, composition, best is candidate)

    def _end_attempt(self, index: int, piece: _Pending) -> Finished | Rejected | None:
        """Return the best candidate; None if none is good enough and a new attempt begins."""
        valid = [candidate for _, candidate in sorted(piece.attempt.valid.items())]
        piece.valid += valid
        if any(not outliers(found, self.config) for found in valid):
            return self._choose(index, piece, valid)
        if self.config.use_grammar and piece.attempts < MAX_ATTEMPTS:
            piece.attempt = self._begin(index, piece.attempts)
            piece.attempts += 1
            piece.draws += self.selection.best_of
            return None
        if not piece.valid:
            return Rejected(index, self.seeds[index], *piece.rejection)
        best = self._choose(index, piece, piece.valid)
        return replace(best, composition=replace(best.composition, draws=MAX_ATTEMPTS))

    def _choose(self, index: int, piece: _Pending, valid: Sequence[Candidate]) -> Finished:
        chosen = self.selection.best(valid, self.config)
        score = chosen.composition.score
        if score and not self.conditions[index].fixed_notes:
            score = score.with_anacrusis()
        composition = replace(
            chosen.composition,
            score=score,
            seed=self.seeds[index],
            candidates=self.selection.best_of,
            sheet=self.selection.sheet(chosen),
            outliers=names_of_outliers(chosen, self.config),
        )
        return Finished(index, composition, tuple(c.composition for c in valid), piece.draws)

    def _report(self, candidates: int) -> None:
        """Report that so many more candidates are done."""
        self._done += candidates
        if self.progress:
            self.progress(self._done, self.selection.best_of * len(self.conditions))

    def _report_one(self, piece: _Pending) -> None:
        if piece.done < self.selection.best_of - 1:
            piece.done += 1
            self._report(1)

    def _seed(self, index: int, candidate: int) -> int:
        return self.seeds[index] + candidate * _SEED_STRIDE

    def _progress(self, draw: _Draw, piece: _Pending, bars: int) -> Progress:
        all_bars = self.conditions[draw.piece].bars
        return Progress(draw.piece, self._seed(*draw), piece.attempts, bars, all_bars)


def check_request(
    conditions: Sequence[Conditions],
    seeds: Sequence[int],
    config: GenerationConfig,
    meters: Sequence[str],
    styles: Sequence[str],
) -> None:
    """Raise RequestError if a model of these metres and styles cannot compose the pieces."""
    if len(seeds) != len(conditions):
        raise RequestError(
            f"There must be one seed for each piece (got {len(seeds)} for {len(conditions)})."
        )
    for piece in conditions:
        piece.check(meters, styles)
        if piece.fixed_notes and not config.use_grammar:
            raise RequestError("Given notes need the grammar. Leave it on.")
