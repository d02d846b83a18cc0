"""Candidates and retries: draws several candidates of each piece until one is acceptable.

In each attempt every pending piece draws all its candidates. A piece is finished as soon as an
attempt has brought a candidate without outliers. After the last attempt the best valid candidate is
taken; if there is none, the piece is rejected.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import NamedTuple, TypeAlias

import numpy as np

from bicinium.errors import RequestError
from bicinium.generation.acceptance import Rejection, RejectReason
from bicinium.generation.composition import Composition
from bicinium.generation.conditions import Conditions
from bicinium.generation.config import GenerationConfig
from bicinium.generation.engine import BarsWritten, Tokens, Written
from bicinium.generation.rerank import Candidate, Selection, outliers

MAX_ATTEMPTS = 8
_ATTEMPTS_AHEAD = 8  # draws at once when few pieces are pending: as fast as one
_SEED_STRIDE = 2**64  # between the seeds of candidates, so that none equals a later piece's

ProgressCallback = Callable[[int, int], None]  # candidates done, candidates in all
Rngs: TypeAlias = Sequence[np.random.Generator]
Drawing: TypeAlias = Generator[BarsWritten | Written]


@dataclass(frozen=True, slots=True)
class Progress:
    """Piece ``index`` is in attempt ``draw``, and ``bars`` of its ``all_bars`` are written."""

    index: int
    seed: int
    draw: int
    bars: int
    all_bars: int


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


Result: TypeAlias = "Progress | Finished | Rejected"

_EXPLANATIONS = {
    RejectReason.DEAD_END: "The grammar, the constraints and the given notes leave no next token.",
    RejectReason.BREAKS_CONSTRAINT: "The last attempt breaks {detail}.",
    RejectReason.QUOTES: "The last attempt quotes {detail}.",
    RejectReason.NOT_ACCEPTED: "The last attempt was not accepted.",
}


def rejection_message(rejected: Rejected) -> str:
    """Return the sentences that explain a rejected piece."""
    why = _EXPLANATIONS[rejected.reason].format(detail=rejected.detail)
    return (
        f"No acceptable piece with seed {rejected.seed} after {MAX_ATTEMPTS} attempts. {why} "
        "Loosen the request, or choose another seed."
    )


class _Draw(NamedTuple):
    piece: int
    candidate: int
    attempt: int


_DEAD_END = Rejection(RejectReason.DEAD_END)


@dataclass(slots=True)
class _Pending:
    """A piece that is not finished: what its attempts have brought so far."""

    arrived: dict[int, int] = field(default_factory=dict)  # attempt → candidates drawn
    valid: dict[int, list[Candidate]] = field(default_factory=dict)  # attempt → candidates
    clean: int = 0  # candidates without outliers
    draws: int = 0
    rejection: Rejection = _DEAD_END


class _AttemptOrder:
    """Puts what is drawn in order: the attempts of each candidate one after the other."""

    def __init__(self, draws: Sequence[_Draw]) -> None:
        self._draws = draws
        self._due = {draw[:2]: draw.attempt for draw in reversed(draws)}  # the first of each
        self._waiting: dict[_Draw, Written] = {}

    def add(self, drawn: BarsWritten | Written) -> list[tuple[_Draw, BarsWritten | Written]]:
        """Return what comes next in order, now that this has been drawn."""
        draw = self._draws[drawn.place]
        candidate = draw[:2]
        if isinstance(drawn, BarsWritten):
            return [(draw, drawn)] if draw.attempt == self._due[candidate] else []
        self._waiting[draw] = drawn
        ready: list[tuple[_Draw, BarsWritten | Written]] = []
        while (following := _Draw(*candidate, self._due[candidate])) in self._waiting:
            ready.append((following, self._waiting.pop(following)))
            self._due[candidate] += 1
        return ready


@dataclass(slots=True)
class Search:
    """The search for acceptable pieces, one for each of the ``conditions``.

    ``draw`` gives the tokens of a batch, ``finish`` turns tokens into a piece.
    """

    conditions: Sequence[Conditions]
    seeds: Sequence[int]
    config: GenerationConfig
    selection: Selection
    draw: Callable[[Sequence[Conditions], Rngs], Drawing]
    finish: Callable[[Conditions, int, Tokens, int], Composition]
    attempts_ahead: int = _ATTEMPTS_AHEAD
    progress: ProgressCallback | None = None
    _pending: dict[int, _Pending] = field(init=False, default_factory=dict)
    _done: int = field(init=False, default=0)  # candidates that need no other attempt

    def run(self) -> Iterator[Result]:
        """Give how far pieces are, and each as soon as it is finished or rejected."""
        self._pending = {index: _Pending() for index in range(len(self.conditions))}
        attempts, attempt = MAX_ATTEMPTS if self.config.use_grammar else 1, 0
        while self._pending and attempt < attempts:
            draws = self._next_draws(attempt, attempts)
            order = _AttemptOrder(draws)
            with closing(self._drawing(draws)) as drawing:
                for draw, drawn in chain.from_iterable(map(order.add, drawing)):
                    yield from self._results(draw, drawn)
                    if not self._pending:
                        break
            attempt = draws[-1].attempt + 1
        for index, piece in self._pending.items():
            self._report(self.selection.best_of - piece.clean)
            yield self._fallback(index, piece)

    def _next_draws(self, attempt: int, attempts: int) -> list[_Draw]:
        """Return one draw for each candidate, or several attempts if few pieces are pending."""
        single = self.selection.best_of == 1 and attempt > 0
        ahead = self.attempts_ahead // len(self._pending) if single else 1
        return [
            _Draw(piece, candidate, number)
            for number in range(attempt, attempt + min(max(1, ahead), attempts - attempt))
            for piece in sorted(self._pending)
            for candidate in range(self.selection.best_of)
        ]

    def _results(self, draw: _Draw, drawn: BarsWritten | Written) -> Iterator[Result]:
        """Add what has been drawn to its piece, and give what is new about the piece."""
        piece = self._pending.get(draw.piece)
        if piece is None:
            return
        if isinstance(drawn, BarsWritten):
            yield self._progress(draw, drawn.bars)
            return
        before = piece.clean
        self._add(piece, draw, drawn.tokens)
        if piece.clean and piece.arrived[draw.attempt] == self.selection.best_of:
            del self._pending[draw.piece]
            self._report(self.selection.best_of - before)
            yield self._choose(draw.piece, piece, piece.valid[draw.attempt])
        elif piece.clean > before:
            self._report(1)

    def _report(self, candidates: int) -> None:
        """Report that so many more candidates are done."""
        self._done += candidates
        if self.progress:
            self.progress(self._done, self.selection.best_of * len(self.conditions))

    def _drawing(self, draws: Sequence[_Draw]) -> Drawing:
        """Start drawing. Each draw has its own random numbers, from its seed and attempt."""
        conditions = [self.conditions[draw.piece] for draw in draws]
        rngs = [np.random.default_rng([self._seed(draw), draw.attempt]) for draw in draws]
        return self.draw(conditions, rngs)

    def _seed(self, draw: _Draw) -> int:
        return self.seeds[draw.piece] + draw.candidate * _SEED_STRIDE

    def _progress(self, draw: _Draw, bars: int) -> Progress:
        all_bars = self.conditions[draw.piece].bars
        return Progress(draw.piece, self._seed(draw), draw.attempt + 1, bars, all_bars)

    def _add(self, piece: _Pending, draw: _Draw, tokens: Tokens) -> None:
        """Add a candidate to its piece."""
        conditions = self.conditions[draw.piece]
        composition = self.finish(conditions, self._seed(draw), tokens, draw.attempt + 1)
        candidate = self.selection.candidate(composition)
        piece.draws += 1
        piece.arrived[draw.attempt] = piece.arrived.get(draw.attempt, 0) + 1
        rejection = self.selection.violation(candidate, self.config)
        if rejection:
            piece.rejection = rejection
            return
        piece.valid.setdefault(draw.attempt, []).append(candidate)
        piece.clean += not outliers(candidate, self.config)

    def _fallback(self, index: int, piece: _Pending) -> Finished | Rejected:
        """Return the best of all valid candidates, none of which is without outliers."""
        valid = [candidate for some in piece.valid.values() for candidate in some]
        if not valid:
            return Rejected(index, self.seeds[index], *piece.rejection)
        found = self._choose(index, piece, valid)
        return replace(found, composition=replace(found.composition, draws=MAX_ATTEMPTS))

    def _choose(self, index: int, piece: _Pending, valid: Sequence[Candidate]) -> Finished:
        chosen = self.selection.best(valid, self.config)
        composition = replace(
            chosen.composition,
            seed=self.seeds[index],
            candidates=self.selection.best_of,
            sheet=self.selection.sheet(chosen),
        )
        return Finished(index, composition, tuple(c.composition for c in valid), piece.draws)


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
