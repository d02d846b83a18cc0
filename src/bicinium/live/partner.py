"""The model as a partner: what it plays next, given what both voices have played so far.

The model composes both voices on from now. Its own next notes are the plan. The notes that it
expects of the player are not played: they only let it plan its own. When the player does something
else, the plan is made again. What the model has read stays in its cache, up to the first token
that has changed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bicinium.errors import DeadEndError, RequestError
from bicinium.generation.conditions import Conditions
from bicinium.generation.config import GenerationConfig
from bicinium.generation.engine import Engine
from bicinium.generation.guidance import GuidedDecoder, guidance_scale
from bicinium.generation.piece import Piece
from bicinium.generation.processors import Processor
from bicinium.generation.start import PieceStarter
from bicinium.grammar.state import State
from bicinium.grammar.terms import FIRST_SHIFT
from bicinium.model.inputs.layout import first_rows
from bicinium.model.inputs.row import Row
from bicinium.tokenizer.vocabulary import (
    END,
    KINDS,
    MAX_SHIFT_TICKS,
    VALUES,
    Kind,
    bin_velocity,
)

_SHIFTS = slice(FIRST_SHIFT, FIRST_SHIFT + MAX_SHIFT_TICKS)
_MAX_PLANNED_TOKENS = 64  # a plan needs about ten
_MIN_CONTEXT = 256  # tokens, of which the last bars are a part


class PlannedNote(NamedTuple):
    """The beginning of a note, or with velocity 0 its end."""

    pitch: int
    velocity: int


@dataclass(frozen=True, slots=True)
class Plan:
    """What the partner plays at ``tick``; nothing is planned to come before.

    doubt_tick: when the plan expects the player to act before that; None if it does not.
    """

    tick: int
    notes: tuple[PlannedNote, ...]
    doubt_tick: int | None


class Partner:
    """Plays ``voice`` (0 upper, 1 lower) at multiples of ``grid_ticks``.

    The engine's decoder has one thread. Raises RequestError for a model that looks back too few
    tokens.
    """

    def __init__(
        self,
        engine: Engine,
        conditions: Conditions,
        config: GenerationConfig,
        voice: int,
        grid_ticks: int,
        seed: int,
    ) -> None:
        if engine.model.context < _MIN_CONTEXT:
            raise RequestError(
                f"Playing live needs a model that looks back {_MIN_CONTEXT} tokens (this one looks "
                f"back {engine.model.context}). Choose another model."
            )
        self._conditions, self._voice = conditions, voice
        self._transposition = -conditions.key.semitones_to_reference
        self._starter = PieceStarter(engine.model, engine.grammar, config)
        guided = config.sampling.guidance != 1
        self._decoder = GuidedDecoder(engine.decoder, 1, guided, engine.model.context)
        self._scale = guidance_scale(config.sampling.guidance, conditions.is_keyboard)
        self._rng = np.random.default_rng(seed)
        self._mask = _LiveMask(grid_ticks)
        first = first_rows(engine.model)
        self._inputs = np.empty((engine.model.context, len(first)), np.int32)
        self._row = Row(self._inputs.data, first)
        self._read: list[int] = []  # the tokens in the decoder's cache
        self.max_tokens = engine.model.context - _MAX_PLANNED_TOKENS

    def plan(self, known: Sequence[int], earliest: int, horizon: int) -> Plan | None:
        """Return the next notes; None if no token may come next.

        known: the tokens so far, ``max_tokens`` at most. earliest: the first tick that may be
        played. horizon: the tick after which nothing is planned. Ticks are those of the tokens.
        """
        self._mask.earliest = earliest
        piece = self._starter.begin(self._conditions, self._rng)
        piece.processors.append(self._mask)
        logits = self._read_known(piece, known)
        notes: list[PlannedNote] = []
        doubt_tick = None
        for _ in range(_MAX_PLANNED_TOKENS):
            if not self._draw(piece, logits):
                return None
            state, kind, value = piece.state, KINDS[piece.token], int(VALUES[piece.token])
            if notes and kind in (Kind.TIME_SHIFT, Kind.PART):
                return Plan(state.tick, tuple(notes), doubt_tick)
            if kind == Kind.TIME_SHIFT and state.tick + value > horizon:
                return Plan(max(horizon, earliest), (), doubt_tick)
            if kind in (Kind.NOTE_ON, Kind.NOTE_OFF):
                if state.part == self._voice:
                    notes.append(self._planned(state, kind, value))
                elif doubt_tick is None:
                    doubt_tick = state.tick
            self._read.append(piece.token)
            piece.advance()
            self._row.begin(0)
            piece.write_inputs(self._row)
            logits = self._step(1)
        return None

    def _draw(self, piece: Piece, logits: NDArray[np.float64]) -> bool:
        """Draw the next token, given its (V,) logits. Answers False if none may come next."""
        try:
            return piece.draw(logits.data)
        except DeadEndError:
            return False

    def _planned(self, state: State, kind: int, pitch: int) -> PlannedNote:
        velocity = int(bin_velocity(state.velocity)) if kind == Kind.NOTE_ON else 0
        return PlannedNote(pitch + self._transposition, velocity)

    def _read_known(self, piece: Piece, known: Sequence[int]) -> NDArray[np.float64]:
        """Let the piece begin with the known tokens; return the logits of the next."""
        same = sum(1 for _ in takewhile(_are_equal, zip(self._read, known, strict=False)))
        kept = min(same, len(known) - 1)  # the last is read again for its logits
        self._decoder.rewind(0, kept)
        for index, token in enumerate(known):
            piece.take(token)
            if index >= kept:
                self._row.begin(index - kept)
                piece.write_inputs(self._row)
        self._read = list(known)
        return self._step(len(known) - kept)

    def _step(self, tokens: int) -> NDArray[np.float64]:
        """Read the first rows of the inputs. Return the logits (V,) after the last."""
        places = np.zeros(tokens, np.int64)
        logits = self._decoder.step(self._inputs[:tokens], places, np.full(tokens, self._scale))
        return np.ascontiguousarray(logits[-1], np.float64)


class _LiveMask(Processor):
    """Forbids END, and what is too early or off the grid."""

    def __init__(self, grid_ticks: int) -> None:
        self.earliest = 0
        self._grid = grid_ticks
        shifts = np.arange(1, MAX_SHIFT_TICKS + 1)
        self._off_grid = [(tick + shifts) % grid_ticks != 0 for tick in range(grid_ticks)]

    def forbid(self, state: State, allowed: memoryview) -> None:
        """Forbid tokens. Before ``earliest`` only a wait is left."""
        mask = np.asarray(allowed)
        mask[END] = 0
        shifts = mask[_SHIFTS]
        missing = self.earliest - state.tick
        longest = shifts[-1] if missing > MAX_SHIFT_TICKS else 0  # another follows
        shifts[self._off_grid[state.tick % self._grid]] = 0
        if missing > 0:
            shifts[: missing - 1] = 0
            mask[: _SHIFTS.start] = 0
            mask[_SHIFTS.stop :] = 0
            shifts[-1] |= longest


def _are_equal(pair: tuple[int, int]) -> bool:
    return pair[0] == pair[1]
