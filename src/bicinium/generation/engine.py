"""The token loop: draws wait in a queue for one of a fixed number of places.

All pieces that have a place grow by one token at each step. A place is free for the next draw as
soon as its piece is finished or stopped. Knows tokens and pieces. Knows no candidates, retries or
scores: those are in ``candidates``. Each piece draws from its own random numbers, so that its notes
do not depend on the other pieces.
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
from bicinium.generation.conditions import Conditions
from bicinium.generation.config import DEFAULT_CONFIG, GenerationConfig
from bicinium.generation.guidance import GuidedDecoder, guidance_scale
from bicinium.generation.piece import Piece
from bicinium.generation.start import PieceStarter
from bicinium.grammar import MusicalGrammar
from bicinium.model.config import ModelConfig
from bicinium.model.decoder import Decoder
from bicinium.model.inputs.layout import first_rows
from bicinium.model.inputs.row import Row
from bicinium.tokenizer.vocabulary import KINDS, START, VALUES, Kind

Tokens = NDArray[np.int16]
Cancelled = Callable[[], bool]

PLACES = 64  # pieces that grow at once; more gain little and cost memory


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
class _Growing:
    """A draw that has a place."""

    number: int
    place: int
    piece: Piece
    bar_ticks: int
    guidance: float
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
        self._starter = PieceStarter(engine.model, engine.grammar, config)
        self._queue: deque[_Draw] = deque()
        self._growing: dict[int, _Growing] = {}  # by their numbers
        self._stopped: set[int] = set()
        self._paused: set[int] = set()
        self._over: list[_Growing] = []
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
        return np.array(self._growing[number].tokens, np.int16)

    def __iter__(self) -> Iterator[BarsWritten | Written]:
        with self._engine.one_blas_thread():
            for moved in self.steps():
                yield from self._finished()
                for number, token in moved:
                    if KINDS[token] == Kind.TIME_SHIFT:
                        one = self._growing[number]
                        before, one.tick = one.tick, one.tick + int(VALUES[token])
                        if one.tick // one.bar_ticks > before // one.bar_ticks:
                            yield BarsWritten(number, one.tick // one.bar_ticks)

    def _finished(self) -> Iterator[Written]:
        over, self._over = self._over, []
        for one in over:
            if one.number not in self._stopped:
                yield Written(one.number, np.array(one.tokens, np.int16))
            self._stopped.discard(one.number)

    def steps(self) -> Iterator[list[tuple[int, int]]]:
        """Draw one token for each piece that has a place.

        Gives after each step the numbers of the draws that have grown, each with its token. A piece
        is over after END or at ``max_tokens``, and if no token may come next. The last step is
        empty; draws that are added then are drawn as well.
        """
        engine, guided = self._engine, self._config.sampling.guidance != 1
        decoder = GuidedDecoder(engine.decoder, self.places, guided)
        first = first_rows(engine.model)
        inputs = np.empty((self.places, len(first)), np.int32)
        row = Row(inputs.data, first)
        idle = False
        while True:
            if self._cancelled and self._cancelled():
                raise CancelledError("composing was stopped")
            self._begin(decoder)
            moving = self._advance()
            if moving:
                for index, one in enumerate(moving):
                    row.begin(index)
                    one.piece.write_inputs(row)
                logits = decoder.step(
                    inputs[: len(moving)],
                    np.array([one.place for one in moving]),
                    np.array([one.guidance for one in moving]),
                )
                moving = self._draw_tokens(moving, logits)
            elif idle and not self._growing:
                return
            idle = not (self._growing or self._queue)
            yield [(one.number, one.piece.token) for one in moving]

    def _begin(self, decoder: GuidedDecoder) -> None:
        """Start waiting draws in free places."""
        while self._queue and self._free:
            number, conditions, rng = self._queue.popleft()
            place = self._free.pop(0)
            decoder.restart(place)
            self._growing[number] = _Growing(
                number,
                place,
                self._starter.begin(conditions, rng),
                conditions.meter.bar_ticks,
                guidance_scale(self._config.sampling.guidance, conditions.is_keyboard),
            )

    def _advance(self) -> list[_Growing]:
        """Take in the last tokens. Return the pieces that go on."""
        moving = []
        for one in list(self._growing.values()):
            if one.number in self._stopped:
                self._end(one)
            elif one.number not in self._paused:
                if one.piece.advance():
                    moving.append(one)
                else:
                    self._end(one)
        return moving

    def _draw_tokens(
        self, moving: Sequence[_Growing], logits: NDArray[np.floating]
    ) -> list[_Growing]:
        """Draw the next token of each piece. Return the pieces that have one."""
        rows = np.ascontiguousarray(logits, np.float64)
        grown = []
        for one, row in zip(moving, rows, strict=True):
            if one.piece.draw(row.data):
                one.tokens.append(one.piece.token)
                grown.append(one)
            else:
                self._end(one)
        return grown

    def _end(self, one: _Growing) -> None:
        """Free the place of a piece."""
        del self._growing[one.number]
        self._over.append(one)
        self._free.append(one.place)
