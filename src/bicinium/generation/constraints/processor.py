"""Applies the constraints to the tokens that may come next.

The families answer in pitches and ticks. Here their answers become a mask of tokens: a constraint
at full strength forbids tokens, a weaker one makes them less likely.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from bicinium.generation.batch import Batch
from bicinium.generation.conditions import Conditions
from bicinium.generation.constraints.base import (
    NO_PITCH,
    PITCHES,
    SHIFTS,
    BatchConditions,
    CadencePlan,
    ConstraintContext,
    FixedVoices,
    Rows,
    of_voice,
)
from bicinium.generation.constraints.cadence import Cadence
from bicinium.generation.constraints.config import Constraints
from bicinium.generation.constraints.registry import CONSTRAINTS
from bicinium.generation.processors import LogitsProcessor
from bicinium.grammar.states import Bools, States
from bicinium.music.counterpoint import LOWER, UPPER, PitchRange
from bicinium.music.score import HIGHEST_PITCH, LOWEST_PITCH, VOICES
from bicinium.tokenizer.vocabulary import BLOCKS, KINDS, MAX_SHIFT_TICKS, VALUES, VOCAB_SIZE, Kind

Floats: TypeAlias = NDArray[np.floating[Any]]

_PIANO = (LOWEST_PITCH, HIGHEST_PITCH)
_NOTE_ON, _NOTE_OFF, _VELOCITY, _TIME_SHIFT = (
    BLOCKS[kind].ids for kind in (Kind.NOTE_ON, Kind.NOTE_OFF, Kind.VELOCITY, Kind.TIME_SHIFT)
)
_PART = tuple(
    slice(first, first + 1)
    for first in (BLOCKS[Kind.PART].first_id + voice for voice in (UPPER, LOWER))
)
_ALL = np.ones((1, 1), np.bool_)  # every token of a kind
_FORBIDDEN = "forbidden"  # the mask shared by the constraints at full strength
_KINDS, _VALUES = KINDS.astype(np.int8), VALUES.astype(np.int32)


class _TokenMasks:
    """Masks of the tokens of N rows: one for forbidden tokens, and one for each weaker constraint.

    Each constraint has one mask, so a token is penalised once even if two methods reject it.
    """

    def __init__(self, settings: Constraints, rows: int) -> None:
        self._settings, self._shape = settings, (rows, VOCAB_SIZE)
        self._masks: dict[str, Bools] = {}

    def forbid(self, ids: slice, where: Bools, rows: Rows | slice = slice(None)) -> None:
        """Forbid the tokens ``ids`` in some rows. ``where`` is (n, tokens) or (n, 1)."""
        self._mask(_FORBIDDEN)[rows, ids] |= where

    def against(
        self, name: str, ids: slice, where: Bools, rows: Rows | slice = slice(None)
    ) -> None:
        """Count a constraint against tokens, at its strength."""
        self._mask(_FORBIDDEN if self._settings.forbids(name) else name)[rows, ids] |= where

    def _mask(self, name: str) -> Bools:
        if name not in self._masks:
            self._masks[name] = np.zeros(self._shape, np.bool_)
        return self._masks[name]

    @property
    def forbidden(self) -> Bools | None:
        """(N, 774); None if nothing is forbidden."""
        return self._masks.get(_FORBIDDEN)

    @property
    def bias(self) -> Floats | None:
        """(N, 774) what weaker constraints add to the log probabilities; None for nothing."""
        bias: Floats | None = None
        for name, mask in self._masks.items():
            if name != _FORBIDDEN:
                added = math.log1p(-getattr(self._settings, name)) * mask
                bias = added if bias is None else bias + added
        return bias


class ConstraintProcessor(LogitsProcessor):
    """Logits processor that applies the constraints.

    The N rows of a state are the pieces ``rows`` (N,) of the batch, since finished pieces drop out.
    The tokens are in C major or A minor, and each voice holds one note at most. No token of a fixed
    voice is judged. ``playable`` is the sounding range that the grammar leaves each voice.
    """

    def __init__(
        self,
        settings: Constraints,
        conditions: Sequence[Conditions],
        fixed_notes: FixedVoices | None = None,
        playable: Sequence[PitchRange] = (_PIANO, _PIANO),
        cadences: Sequence[CadencePlan] | None = None,
    ) -> None:
        self.settings = settings
        self.fixed_notes = fixed_notes if fixed_notes is not None and fixed_notes.anything else None
        if settings.forbids("range"):
            playable = [
                (max(low, lowest), min(high, highest))
                for (low, high), (lowest, highest) in zip(playable, settings.ranges, strict=True)
            ]
        batch = BatchConditions.of(conditions, playable, cadences)
        self.ended_tick = np.full((len(conditions), VOICES), -1, np.int32)
        self.ended_pitch = np.zeros((len(conditions), VOICES), np.int32)
        self.active = {
            name: CONSTRAINTS[name](settings, batch, self.fixed_notes)
            for name in settings.strengths
        }
        cadence = self.active.get("close")
        self._cadence = (
            cadence if isinstance(cadence, Cadence) and settings.forbids("close") else None
        )

    def observe(self, batch: Batch) -> None:
        """Take note of the tokens just drawn."""
        self.update(batch.state, batch.rows, batch.tokens)

    def __call__(self, batch: Batch, logits: Floats, allowed: Bools) -> tuple[Floats, Bools]:
        """Return the log probabilities and the mask under the constraints."""
        forbidden, bias = self.evaluate(batch.state, batch.rows)
        return (
            logits if bias is None else logits + bias,
            allowed if forbidden is None else allowed & ~forbidden,
        )

    def update(self, state: States, rows: Rows, tokens: Rows) -> None:
        """Take note of ``tokens`` (N,), which have just led to ``state``."""
        kinds = _KINDS.take(tokens)
        ended = (kinds == Kind.NOTE_OFF).nonzero()[0]
        if len(ended):
            piece, voice = rows[ended], state.part[ended]
            self.ended_tick[piece, voice] = state.tick[ended]
            self.ended_pitch[piece, voice] = _VALUES.take(tokens[ended])
        begun = (kinds == Kind.NOTE_ON).nonzero()[0]
        if len(begun):
            piece, voice, tick = rows[begun], state.part[begun], state.tick[begun]
            own = np.ones(len(begun), np.bool_)
            if self.fixed_notes is not None:
                own = ~of_voice(self.fixed_notes.is_fixed(piece, tick), voice)
            pitch = _VALUES.take(tokens[begun])
            for constraint in self.active.values():
                constraint.observe_onset(piece, voice, tick, pitch, own)

    def evaluate(self, state: States, rows: Rows) -> tuple[Bools | None, Floats | None]:
        """Return (N, 774) the forbidden tokens and (N, 774) the bias of the log probabilities.

        None if there is nothing to forbid or to add.
        """
        if not self.active:
            return None, None
        context, masks = self._context(state, rows), _TokenMasks(self.settings, len(rows))
        self._mask_onsets(context, masks)
        self._mask_time(context, masks)
        self._mask_turns(context, masks)
        return masks.forbidden, masks.bias

    def _context(self, state: States, rows: Rows) -> ConstraintContext:
        held = state.held_pitch[:, :VOICES, 0]
        context = ConstraintContext(
            rows=rows,
            tick=state.tick,
            part=state.part,
            moment=state.moment,
            pitch=np.maximum(held, NO_PITCH),
            onset=state.held_onset[:, :VOICES, 0],
            until=state.held_until[:, :VOICES, 0],
            last_pitch=state.last_pitch[:, :VOICES],
            ended_tick=self.ended_tick.take(rows, axis=0),
            ended_pitch=self.ended_pitch.take(rows, axis=0),
            lower_after=np.maximum(held[:, LOWER], NO_PITCH),
        )
        if self.fixed_notes is not None:
            context.fixed = self.fixed_notes.is_fixed(rows, context.tick)
            lower = context.fixed[:, LOWER]
            holds = self.fixed_notes.held_pitch(rows, context.tick, LOWER)
            context.lower_after = np.where(lower, holds, context.lower_after)
            coming = self.fixed_notes.coming_pitch(rows, context.tick, LOWER)
            context.coming = np.where(lower, coming, NO_PITCH)
        if self._cadence:
            context.lower_after[self._cadence.lower_must_begin(context)] = NO_PITCH
        return context

    def _forbidden_pitches(self, context: ConstraintContext, voice: Rows) -> Bools | None:
        """Return (N, 88) the pitches at which ``voice`` (N,) must not begin a note here."""
        forbidden: Bools | None = None
        for name, constraint in self.active.items():
            if self.settings.forbids(name):
                answer = constraint.forbidden_pitches(context, voice)
                if answer is not None:
                    forbidden = answer if forbidden is None else forbidden | answer
        return forbidden

    def _mask_onsets(self, context: ConstraintContext, masks: _TokenMasks) -> None:
        """Mask NOTE_ON, and VELOCITY if no pitch would be left for the NOTE_ON after it."""
        free = None if context.fixed is None else (~of_voice(context.fixed, context.part))[:, None]
        for name, constraint in self.active.items():
            if not self.settings.forbids(name):
                answer = constraint.forbidden_pitches(context, context.part)
                if answer is not None:
                    masks.against(name, _NOTE_ON, answer if free is None else answer & free)
        forbidden = self._forbidden_pitches(context, context.part)
        if forbidden is None:
            return
        if self._cadence:
            self._leave_lower_a_close(self._cadence, context, forbidden)
        if free is not None:
            forbidden = forbidden & free
        masks.forbid(_NOTE_ON, forbidden)
        nothing_left = np.logical_and.reduce(forbidden, axis=1)
        if nothing_left.any():
            masks.forbid(_VELOCITY, nothing_left[:, None])

    def _leave_lower_a_close(
        self, cadence: Cadence, context: ConstraintContext, forbidden: Bools
    ) -> None:
        """Forbid (N, 88) the upper notes after which the lower voice would have no closing note."""
        now = cadence.lower_must_begin(context) & (context.part == UPPER)
        if not now.any():
            return
        now &= context.pitch[:, UPPER] == NO_PITCH
        for row in np.flatnonzero(now & context.free(UPPER)):
            possible = np.flatnonzero(~forbidden[row])
            if not len(possible):
                continue
            then = context.take(np.full(len(possible), row))  # one row for each possible pitch
            then.pitch[:, UPPER] = then.last_pitch[:, UPPER] = PITCHES[possible]
            then.onset[:, UPPER] = then.tick
            if context.pitch[row, LOWER] != NO_PITCH:
                then.ended_tick[:, LOWER] = then.tick
                then.ended_pitch[:, LOWER] = then.pitch[:, LOWER]
                then.pitch[:, LOWER] = NO_PITCH
            answers = self._forbidden_pitches(then, np.full(len(possible), LOWER))
            if answers is not None:
                forbidden[row, possible] |= answers.all(axis=1)

    def _mask_time(self, context: ConstraintContext, masks: _TokenMasks) -> None:
        """Mask TIME_SHIFTs that skip a due event or reach a tick where nothing is allowed."""
        for name, constraint in self.active.items():
            limit = constraint.time_limit(context)
            if limit is None:
                continue
            some = (limit < MAX_SHIFT_TICKS).nonzero()[0]
            if len(some):
                masks.against(name, _TIME_SHIFT, limit[some][:, None] < SHIFTS, some)
        if self._cadence:
            shifts = self._cadence.forbidden_shifts(context)
            if shifts is not None:
                masks.forbid(_TIME_SHIFT, shifts)

    def _mask_turns(self, context: ConstraintContext, masks: _TokenMasks) -> None:
        """Mask turns of the lower voice before the upper has moved, and turns without an event."""
        for name, constraint in self.active.items():
            must = constraint.upper_must_move(context)
            if must is None or not must.any():
                continue
            must = must & context.free(UPPER)
            passes = (must & (context.part == UPPER)).nonzero()[0]
            if len(passes):
                masks.against(name, _PART[LOWER], _ALL, passes)
            skips = (must & (context.part == LOWER) & context.arrived).nonzero()[0]
            if len(skips):
                for ids in (_NOTE_ON, _VELOCITY, _NOTE_OFF):
                    masks.against(name, ids, _ALL, skips)
        other = 1 - context.part
        silent = of_voice(context.pitch, other) == NO_PITCH
        may_turn = silent & (context.arrived | (other == LOWER)) & context.free(other)
        some = may_turn.nonzero()[0]
        if len(some):
            forbidden = self._forbidden_pitches(context.take(some), other[some])
            if forbidden is not None:
                idle = some[np.logical_and.reduce(forbidden, axis=1)]
                for voice in (UPPER, LOWER):
                    masks.forbid(_PART[voice], _ALL, idle[other[idle] == voice])
