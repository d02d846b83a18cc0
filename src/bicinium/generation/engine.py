"""The token loop: draws wait in a queue for one of a fixed number of places.

All pieces that have a place grow by one token at each step. A place is free for the next draw as
soon as its piece is finished or stopped. Knows token ids, masks and processors. Knows no
candidates, retries or scores: those are in ``candidates``. Each piece draws from its own random
numbers, so that its notes do not depend on the other pieces.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import ThreadpoolController

from bicinium.errors import CancelledError
from bicinium.generation.batch import Batch
from bicinium.generation.conditions import Conditions
from bicinium.generation.config import DEFAULT_CONFIG, GenerationConfig
from bicinium.generation.constraints.cadence import draw_cadence_plan
from bicinium.generation.constraints.config import Constraints
from bicinium.generation.constraints.processor import ConstraintProcessor
from bicinium.generation.guidance import GuidedDecoder, guidance_scale
from bicinium.generation.motif_bias import MotifBias, motif_strength
from bicinium.generation.processors import (
    FixedNotesProcessor,
    IllegalTokens,
    LogitsProcessor,
    RequestedTempo,
    Temperature,
)
from bicinium.generation.sampling import draw, masked_softmax, truncate
from bicinium.grammar import MusicalGrammar
from bicinium.grammar.states import Bools
from bicinium.model.config import ModelConfig
from bicinium.model.decoder import Decoder
from bicinium.music.score import VOICES
from bicinium.tokenizer.vocabulary import KINDS, START, VALUES, VOCAB_SIZE, Kind

Tokens = NDArray[np.int16]
Cancelled = Callable[[], bool]


PLACES = 64  # pieces that grow at once; more gain little and cost memory
_MIN_SHARE_TO_BEGIN = 4  # waiting draws begin together, when a quarter of the places is free


@dataclass(frozen=True, slots=True)
class BarsWritten:
    """``bars`` bars of draw ``number`` are written."""

    number: int
    bars: int


@dataclass(frozen=True, slots=True)
class Written:
    """All tokens of draw ``number``, START included."""

    number: int
    tokens: Tokens


class Engine:
    """A model and a grammar, ready to draw tokens."""

    def __init__(self, model: ModelConfig, decoder: Decoder, grammar: MusicalGrammar) -> None:
        self.model, self.decoder, self.grammar = model, decoder, grammar
        self._libraries = ThreadpoolController()

    def drawing(
        self, config: GenerationConfig, places: int = PLACES, cancelled: Cancelled | None = None
    ) -> Drawing:
        """Return a queue of draws, still empty."""
        return Drawing(self, config, places, cancelled)

    def draw(
        self,
        conditions: Sequence[Conditions],
        rngs: Sequence[np.random.Generator],
        config: GenerationConfig = DEFAULT_CONFIG,
    ) -> list[Tokens]:
        """Return the tokens of each piece, START included.

        A piece can be incomplete: without the grammar it stops at ``max_tokens``, and with it
        where the constraints forbid every token.
        """
        drawing = self.drawing(config, max(1, min(PLACES, len(conditions))))
        for number, (piece, rng) in enumerate(zip(conditions, rngs, strict=True)):
            drawing.add(number, piece, rng)
        pieces = {one.number: one.tokens for one in drawing if isinstance(one, Written)}
        return [pieces[number] for number in range(len(conditions))]

    def one_blas_thread(self) -> AbstractContextManager[object]:
        """Limit BLAS to one thread.

        A second thread gains nothing in products this small, and makes composing ten times slower
        beside another busy program (docs/log.md).
        """
        return self._libraries.limit(limits=1, user_api="blas")


class _Draw(NamedTuple):
    number: int
    conditions: Conditions
    rng: np.random.Generator


@dataclass(slots=True)
class _Group:
    """Draws that have begun at the same step. ``batch`` has selected those that are not paused."""

    batch: Batch
    processors: list[LogitsProcessor]
    numbers: NDArray[np.int64]  # (B,) of the draws
    places: NDArray[np.int64]  # (B,)
    scale: NDArray[np.float64]  # (B,) of the guidance
    has_place: Bools  # (B,) the draws that are not over


@dataclass(slots=True)
class _Piece:
    """What has been written of a draw."""

    bar_ticks: int
    tokens: list[int] = field(default_factory=lambda: [START])
    tick: int = 0


class Drawing:
    """Draws pieces. ``add`` puts a draw into the queue, also while others are drawn.

    Iterating gives ``BarsWritten`` for each bar and ``Written`` for each finished piece.
    Raises CancelledError as soon as ``cancelled`` returns True.
    """

    def __init__(
        self, engine: Engine, config: GenerationConfig, places: int, cancelled: Cancelled | None
    ) -> None:
        self._engine, self._config, self._cancelled = engine, config, cancelled
        self._queue: deque[_Draw] = deque()
        self._groups: list[_Group] = []
        self._pieces: dict[int, _Piece] = {}  # by their numbers, of those that have a place
        self._stopped: set[int] = set()
        self._paused: set[int] = set()
        self._over: list[int] = []
        self.places = places
        self._free = list(range(places))

    def add(self, number: int, conditions: Conditions, rng: np.random.Generator) -> None:
        """Put a draw into the queue. Its number is not in use by another."""
        self._queue.append(_Draw(number, conditions, rng))

    def stop(self, number: int) -> None:
        """End a piece that has begun. It is not reported any more."""
        self._stopped.add(number)

    def pause(self, number: int) -> None:
        """Draw no token of a piece that has begun, until ``resume``. It keeps its place."""
        self._paused.add(number)

    def resume(self, number: int) -> None:
        """Go on with a paused piece."""
        self._paused.discard(number)

    def tokens(self, number: int) -> Tokens:
        """Return the tokens so far of a piece that has begun and is not finished."""
        return np.array(self._pieces[number].tokens, np.int16)

    def __iter__(self) -> Iterator[BarsWritten | Written]:
        with self._engine.one_blas_thread():
            for batches in self.steps():
                yield from self._finished()
                for numbers, batch in batches:
                    tokens = batch.tokens.tolist()
                    for number, token in zip(numbers[batch.rows].tolist(), tokens, strict=True):
                        piece = self._pieces[number]
                        piece.tokens.append(token)
                        if KINDS[token] == Kind.TIME_SHIFT:
                            before, piece.tick = piece.tick, piece.tick + int(VALUES[token])
                            if piece.tick // piece.bar_ticks > before // piece.bar_ticks:
                                yield BarsWritten(number, piece.tick // piece.bar_ticks)

    def _finished(self) -> Iterator[Written]:
        over, self._over = self._over, []
        for number in over:
            tokens = self.tokens(number)
            del self._pieces[number]
            if number not in self._stopped:
                yield Written(number, tokens)
            self._stopped.discard(number)

    def steps(self) -> Iterator[list[tuple[NDArray[np.int64], Batch]]]:
        """Draw one token for each piece that has a place.

        Gives after each step the batches in progress, and (B,) the numbers of the draws of each.
        A piece is over after END or at ``max_tokens``, and if no token may come next.
        """
        engine, guided = self._engine, self._config.sampling.guidance != 1
        decoder = GuidedDecoder(engine.decoder, self.places, guided)
        while True:
            if self._cancelled and self._cancelled():
                raise CancelledError("composing was stopped")
            self._begin(decoder)
            for group in self._groups:
                self._select(group)
                self._advance(group)
            self._groups = [group for group in self._groups if group.has_place.any()]
            moving = [group for group in self._groups if len(group.batch)]
            if moving:
                self._draw_tokens(moving, decoder.step(*_network_inputs(moving)))
            elif not (self._groups or self._queue or self._over):
                return
            yield [(group.numbers, group.batch) for group in moving]

    def _begin(self, decoder: GuidedDecoder) -> None:
        """Start waiting draws in free places, if there are enough of both for a group."""
        enough = min(len(self._queue), max(1, self.places // _MIN_SHARE_TO_BEGIN))
        if not self._queue or (self._groups and len(self._free) < enough):
            return
        begun = [self._queue.popleft() for _ in range(min(len(self._queue), len(self._free)))]
        places = [self._free.pop(0) for _ in begun]
        for place in places:
            decoder.restart(place)
        for number, piece, _ in begun:
            self._pieces[number] = _Piece(piece.meter.bar_ticks)
        numbers, conditions, rngs = zip(*begun, strict=True)
        engine, config = self._engine, self._config
        batch = Batch.start(conditions, rngs, config, engine.model, engine.grammar)
        self._groups.append(
            _Group(
                batch,
                processors_for(batch, config, engine.grammar),
                np.array(numbers),
                np.array(places),
                _guidance_scales(conditions, config),
                np.ones(len(begun), np.bool_),
            )
        )

    def _select(self, group: _Group) -> None:
        """Leave out the pieces of a group that are stopped or paused."""
        if self._stopped:
            stopped = np.isin(group.numbers, list(self._stopped))
            self._end(group, np.flatnonzero(group.has_place & stopped))
        moves = group.has_place
        if self._paused:
            moves = moves & ~np.isin(group.numbers, list(self._paused))
        rows = np.flatnonzero(moves)
        if not np.array_equal(rows, group.batch.rows):
            group.batch.select(rows)

    def _advance(self, group: _Group) -> None:
        """Process the last tokens of a group, and drop the finished pieces."""
        batch, grammar = group.batch, self._engine.grammar
        batch.advance(grammar)
        for processor in group.processors:
            processor.observe(batch)
        self._keep(group, ~(grammar.ended(batch.state) | (batch.state.tokens_left <= 0)))

    def _keep(self, group: _Group, going: Bools) -> None:
        """Drop the selected pieces of a group that do not go on (N,)."""
        if not going.all():
            self._end(group, group.batch.rows[~going])
            group.batch.select(group.batch.rows[going])

    def _end(self, group: _Group, rows: NDArray[np.int64]) -> None:
        """Free the places of these pieces."""
        group.has_place[rows] = False
        self._over += group.numbers[rows].tolist()
        self._free += group.places[rows].tolist()

    def _draw_tokens(self, groups: Sequence[_Group], logits: NDArray[np.floating]) -> None:
        """Draw the next token of each piece, given the logits of all groups."""
        ends = np.cumsum([len(group.batch) for group in groups])[:-1]
        for group, own in zip(groups, np.split(logits, ends), strict=True):
            self._draw_tokens_of(group, own)

    def _draw_tokens_of(self, group: _Group, logits: NDArray[np.floating]) -> None:
        batch, grammar = group.batch, self._engine.grammar
        if self._config.use_grammar:
            allowed = grammar.mask(batch.state)
        else:
            allowed = np.ones((len(batch), VOCAB_SIZE), np.bool_)
        for processor in group.processors:
            logits, allowed = processor(batch, logits, allowed)
        possible = np.asarray(allowed.any(axis=1))
        if not possible.all():
            self._keep(group, possible)
            logits, allowed = logits[possible], allowed[possible]
        if len(batch):
            p = truncate(masked_softmax(logits, allowed), self._config.sampling)
            batch.tokens = draw(p, batch.uniform())


def _network_inputs(
    groups: Sequence[_Group],
) -> tuple[NDArray[np.int32], NDArray[np.int64], NDArray[np.float64]]:
    """Return the inputs, places and guidance scales of all pieces, for ``GuidedDecoder.step``."""
    return (
        np.concatenate([group.batch.encode_inputs() for group in groups]),
        np.concatenate([group.places[group.batch.rows] for group in groups]),
        np.concatenate([group.scale[group.batch.rows] for group in groups]),
    )


def processors_for(
    batch: Batch, config: GenerationConfig, grammar: MusicalGrammar
) -> list[LogitsProcessor]:
    """Return the processors of a batch, in the order in which they are called."""
    conditions, sampling = batch.conditions, config.sampling
    strength = np.array(
        [motif_strength(sampling.motif_strength, one.is_keyboard) for one in conditions]
    )
    processors: list[LogitsProcessor] = [Temperature(sampling.temperature)]
    if batch.fixed_notes.anything:
        processors.append(FixedNotesProcessor())
    if config.constraints and config.use_grammar:
        processors.append(_constraint_processor(batch, config.constraints, grammar))
    if strength.any():
        processors.append(MotifBias(strength))
    if config.error_probability:
        processors.append(IllegalTokens(grammar, config.error_probability))
    processors.append(RequestedTempo([one.tempo_qpm for one in conditions]))
    return processors


def _guidance_scales(
    conditions: Sequence[Conditions], config: GenerationConfig
) -> NDArray[np.float64]:
    """Return (B,) the guidance scale of each piece."""
    scale = config.sampling.guidance
    return np.array([guidance_scale(scale, one.is_keyboard) for one in conditions], np.float64)


def _constraint_processor(
    batch: Batch, settings: Constraints, grammar: MusicalGrammar
) -> ConstraintProcessor:
    ranges = [grammar.config.range_of(part) for part in range(VOICES)]
    cadences = [
        draw_cadence_plan(conditions, settings, rng)
        for conditions, rng in zip(batch.conditions, batch.rngs, strict=True)
    ]
    return ConstraintProcessor(settings, batch.conditions, batch.fixed_notes, ranges, cadences)
