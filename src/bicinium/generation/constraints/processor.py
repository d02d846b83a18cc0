"""Following a batch of pieces, and judging the tokens that may come next by the constraints.

``opinions`` says what each constraint thinks, in pitches and ticks. Here that becomes a mask of
tokens: at full strength a constraint forbids them, at less it makes them unlikely.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from bicinium.generation.conditions import Conditions
from bicinium.generation.constraints.config import Constraints
from bicinium.generation.constraints.families import (
    CONSTRAINTS,
    NOTHING,
    PITCHES,
    SHIFTS,
    BatchConditions,
    CadencePlan,
    Close,
    Consonance,
    Constraint,
    ConstraintContext,
    FixedVoices,
    Rhythm,
    Rows,
    of_voice,
)
from bicinium.grammar.rules import Bools, State, column, is_any
from bicinium.music.counterpoint import LOWER, UPPER, PitchRange
from bicinium.music.score import HIGHEST_PITCH, LOWEST_PITCH, VOICES
from bicinium.tokenizer.vocabulary import BLOCKS, KINDS, MAX_SHIFT_TICKS, VALUES, VOCAB_SIZE, Kind

Floats: TypeAlias = NDArray[np.floating[Any]]

_PIANO = (LOWEST_PITCH, HIGHEST_PITCH)
_Kind = TypeVar("_Kind", bound=Constraint)

_NOTE_ON, _NOTE_OFF, _VELOCITY, _TIME_SHIFT = (
    BLOCKS[kind].ids for kind in (Kind.NOTE_ON, Kind.NOTE_OFF, Kind.VELOCITY, Kind.TIME_SHIFT)
)
_PART = tuple(
    slice(first, first + 1)
    for first in (BLOCKS[Kind.PART].first_id + voice for voice in (UPPER, LOWER))
)  # of each voice
_ALL = np.ones((1, 1), np.bool_)  # all the tokens of a kind
_FORBIDDEN = "forbidden"  # the mask of all constraints at full strength
_KINDS, _VALUES = KINDS.astype(np.int8), VALUES.astype(np.int32)


class _Verdict:
    """What constraints say of the tokens of N rows: a mask of what is forbidden, and one for each
    constraint that only makes tokens unlikely, so that none counts twice against a token.
    """

    def __init__(self, constraints: Constraints, rows: int) -> None:
        self.constraints, self.shape = constraints, (rows, VOCAB_SIZE)
        self.masks: dict[str, Bools] = {}

    def forbid(self, ids: slice, where: Bools, rows: Rows | slice = slice(None)) -> None:
        """``where`` (n, tokens or 1) of the tokens ``ids`` in some rows."""
        self._mask(_FORBIDDEN)[rows, ids] |= where

    def against(
        self, name: str, ids: slice, where: Bools, rows: Rows | slice = slice(None)
    ) -> None:
        """A constraint disapproves, likewise."""
        self._mask(_FORBIDDEN if self.constraints.forbids(name) else name)[rows, ids] |= where

    def _mask(self, name: str) -> Bools:
        if name not in self.masks:
            self.masks[name] = np.zeros(self.shape, np.bool_)
        return self.masks[name]

    @property
    def forbidden(self) -> Bools | None:
        """(N, 774); None where nothing is."""
        return self.masks.get(_FORBIDDEN)

    @property
    def weights(self) -> Floats | None:
        """(N, 774) what the others add to the log probabilities; None where there are none."""
        weights: Floats | None = None
        for name, mask in self.masks.items():
            if name != _FORBIDDEN:
                added = math.log1p(-getattr(self.constraints, name)) * mask
                weights = added if weights is None else weights + added
        return weights


class ConstraintProcessor:
    """Follows a batch of pieces and judges the tokens that may come next.

    The N rows of a state are the pieces ``rows`` (N,) of the batch, since finished ones drop out.
    They are in C major or A minor, and each voice holds one note at most. ``fixed_notes`` are the
    notes that are not the model's: no token of a given voice is judged. ``playable`` is the range
    that the grammar leaves each voice, as it sounds. ``closings`` says how each piece is to close.
    """

    def __init__(
        self,
        constraints: Constraints,
        conditions: Sequence[Conditions],
        fixed_notes: FixedVoices | None = None,
        playable: Sequence[PitchRange] = (_PIANO, _PIANO),
        closings: Sequence[CadencePlan] | None = None,
    ) -> None:
        self.constraints = constraints
        self.fixed_notes = fixed_notes if fixed_notes is not None and fixed_notes.anything else None
        if constraints.forbids("range"):
            playable = [
                (max(low, lowest), min(high, highest))
                for (low, high), (lowest, highest) in zip(playable, constraints.ranges, strict=True)
            ]
        self.pieces = BatchConditions.of(conditions, playable, closings)
        self.ended_tick = np.full((len(conditions), VOICES), -1, np.int32)
        self.ended_pitch = np.zeros((len(conditions), VOICES), np.int32)
        self.active = {
            name: CONSTRAINTS[name](constraints, self.pieces) for name in constraints.strengths
        }
        self._rhythm = self._forbidding(Rhythm, "rhythm")
        self._close = self._forbidding(Close, "close")
        for opinion in self.active.values():
            if isinstance(opinion, Close):
                opinion.rhythm = self._rhythm
                if self.fixed_notes is not None:
                    every, end = np.arange(len(conditions)), self.pieces.end - 1
                    exempt = self.fixed_notes.is_fixed(every, self.pieces.deadline)
                    opinion.exempt = exempt | self.fixed_notes.is_fixed(every, end)
            if isinstance(opinion, Consonance):
                opinion.fixed_notes = self.fixed_notes

    def _forbidding(self, kind: type[_Kind], name: str) -> _Kind | None:
        """The opinion of the constraint of that name, where that forbids."""
        opinion = self.active.get(name)
        if isinstance(opinion, kind) and self.constraints.forbids(name):
            return opinion
        return None

    def hear(self, state: State, rows: Rows, tokens: Rows) -> None:
        """``tokens`` (N,) have just moved ``state``."""
        kinds = _KINDS.take(tokens)
        ended = (kinds == Kind.NOTE_OFF).nonzero()[0]
        if len(ended):
            piece, voice, tick = rows[ended], state.part[ended], state.tick[ended]
            self.ended_tick[piece, voice] = tick
            self.ended_pitch[piece, voice] = _VALUES.take(tokens[ended])
            for opinion in self.active.values():
                opinion.hear_end(piece, voice, tick)
        begun = (kinds == Kind.NOTE_ON).nonzero()[0]
        if len(begun):
            piece, voice, tick = rows[begun], state.part[begun], state.tick[begun]
            own = np.ones(len(begun), np.bool_)
            if self.fixed_notes is not None:
                own = ~of_voice(self.fixed_notes.is_fixed(piece, tick), voice)
            pitch = _VALUES.take(tokens[begun])
            for opinion in self.active.values():
                opinion.hear_beginning(piece, voice, tick, pitch, own)

    def judge(self, state: State, rows: Rows) -> tuple[Bools | None, Floats | None]:
        """(N, 774) True where a token is forbidden, and (N, 774) what is to be added to its log
        probability before normalising; None where there is nothing to say.
        """
        if not self.active:
            return None, None
        scene, verdict = self._look(state, rows), _Verdict(self.constraints, len(rows))
        self._judge_beginnings(scene, verdict)
        self._judge_time(scene, verdict)
        self._judge_turns(scene, verdict)
        self._judge_ends(scene, verdict)
        return verdict.forbidden, verdict.weights

    def _look(self, state: State, rows: Rows) -> ConstraintContext:
        """The state, what came before it, and what is given there."""
        held = state.held_pitch[:, :VOICES, 0]
        scene = ConstraintContext(
            rows=rows,
            tick=state.tick,
            part=state.part,
            moment=state.moment,
            pitch=np.maximum(held, NOTHING),
            onset=state.held_onset[:, :VOICES, 0],
            until=state.held_until[:, :VOICES, 0],
            last_pitch=state.last_pitch[:, :VOICES],
            ended_tick=self.ended_tick.take(rows, axis=0),
            ended_pitch=self.ended_pitch.take(rows, axis=0),
            lower_after=np.maximum(held[:, LOWER], NOTHING),
        )
        if self.fixed_notes is not None:
            scene.fixed = self.fixed_notes.is_fixed(rows, scene.tick)
            lower = scene.fixed[:, LOWER]
            holds = self.fixed_notes.held_pitch(rows, scene.tick, LOWER)
            scene.lower_after = np.where(lower, holds, scene.lower_after)
            coming = self.fixed_notes.coming_pitch(rows, scene.tick, LOWER)
            scene.coming = np.where(lower, coming, NOTHING)
        if self._close:
            scene.lower_after[self._close.lower_must_begin(scene)] = NOTHING
        if self._rhythm:
            scene.stuck = self._rhythm.stuck(scene)
        return scene

    def _forbidden_pitches(self, scene: ConstraintContext, voice: Rows) -> Bools | None:
        """(N, 88) what is forbidden if ``voice`` (N,) begins a note here; None where nothing is."""
        forbidden: Bools | None = None
        for name, opinion in self.active.items():
            if self.constraints.forbids(name):
                answer = opinion.pitches(scene, voice)
                if answer is not None:
                    forbidden = answer if forbidden is None else forbidden | answer
        return forbidden

    def _judge_beginnings(self, scene: ConstraintContext, verdict: _Verdict) -> None:
        """NOTE_ON, and VELOCITY where no pitch would be left for the NOTE_ON after it."""
        free = None if scene.fixed is None else column(~of_voice(scene.fixed, scene.part))
        for name, opinion in self.active.items():
            if not self.constraints.forbids(name):
                answer = opinion.pitches(scene, scene.part)
                if answer is not None:
                    verdict.against(name, _NOTE_ON, answer if free is None else answer & free)
        forbidden = self._forbidden_pitches(scene, scene.part)
        if forbidden is None:
            return
        if self._close:
            self._leave_lower_a_close(scene, forbidden)
        if free is not None:
            forbidden = forbidden & free
        verdict.forbid(_NOTE_ON, forbidden)
        nothing_left = np.logical_and.reduce(forbidden, axis=1)
        if is_any(nothing_left):
            verdict.forbid(_VELOCITY, column(nothing_left))

    def _leave_lower_a_close(self, scene: ConstraintContext, forbidden: Bools) -> None:
        """Forbid (N, 88) what the upper voice could begin but would leave the lower, which must
        begin a tonic after it, or the dominant before that, none that is allowed.
        """
        assert self._close is not None
        now = self._close.lower_must_begin(scene) & (scene.part == UPPER)
        if not is_any(now):
            return
        now &= scene.pitch[:, UPPER] == NOTHING
        for row in np.flatnonzero(now & scene.free(UPPER)):
            possible = np.flatnonzero(~forbidden[row])
            if not len(possible):
                continue
            then = scene.take(np.full(len(possible), row))  # a row for each
            then.pitch[:, UPPER] = then.last_pitch[:, UPPER] = PITCHES[possible]
            then.onset[:, UPPER] = then.tick
            if scene.pitch[row, LOWER] != NOTHING:
                then.ended_tick[:, LOWER] = then.tick
                then.ended_pitch[:, LOWER] = then.pitch[:, LOWER]
                then.pitch[:, LOWER] = NOTHING
            answers = self._forbidden_pitches(then, np.full(len(possible), LOWER))
            if answers is not None:
                forbidden[row, possible] |= answers.all(axis=1)

    def _judge_time(self, scene: ConstraintContext, verdict: _Verdict) -> None:
        """TIME_SHIFT: no farther than where something must happen, nor to where nothing can."""
        for name, opinion in self.active.items():
            limit = opinion.time_limit(scene)
            if limit is None:
                continue
            some = (limit < MAX_SHIFT_TICKS).nonzero()[0]
            if len(some):
                verdict.against(name, _TIME_SHIFT, column(limit[some]) < SHIFTS, some)
        if self._close:
            dead = self._close.dead_time(scene)
            if dead is not None:
                verdict.forbid(_TIME_SHIFT, dead)
        if self._rhythm:
            quiet = self._close.quiet_after(scene.rows) if self._close else None
            nowhere = self._rhythm.leads_nowhere(scene, self.fixed_notes, quiet)
            if nowhere is not None:
                verdict.forbid(_TIME_SHIFT, column(nowhere) == SHIFTS)

    def _judge_turns(self, scene: ConstraintContext, verdict: _Verdict) -> None:
        """The lower voice's turn, where the upper must move first or the lower could do nothing."""
        for name, opinion in self.active.items():
            must = opinion.upper_must_move(scene)
            if must is None or not is_any(must):
                continue
            must = must & scene.free(UPPER)
            passes = (must & (scene.part == UPPER)).nonzero()[0]
            if len(passes):
                verdict.against(name, _PART[LOWER], _ALL, passes)
            skips = (must & (scene.part == LOWER) & scene.arrived).nonzero()[0]
            if len(skips):
                for ids in (_NOTE_ON, _VELOCITY, _NOTE_OFF):
                    verdict.against(name, ids, _ALL, skips)
        other = 1 - scene.part
        silent = of_voice(scene.pitch, other) == NOTHING
        some = (silent & (scene.arrived | (other == LOWER)) & scene.free(other)).nonzero()[0]
        if len(some):
            forbidden = self._forbidden_pitches(scene.take(some), other[some])
            if forbidden is not None:
                idle = some[np.logical_and.reduce(forbidden, axis=1)]
                for voice in (UPPER, LOWER):
                    verdict.forbid(_PART[voice], _ALL, idle[other[idle] == voice])

    def _judge_ends(self, scene: ConstraintContext, verdict: _Verdict) -> None:
        """NOTE_OFF, and the PART that would lead to one that is forbidden."""
        rhythm = self.active.get("rhythm")
        stuck = rhythm.stuck(scene) if isinstance(rhythm, Rhythm) else None
        if stuck is None:
            return
        here = of_voice(stuck, scene.part).nonzero()[0]
        verdict.against("rhythm", _NOTE_OFF, _ALL, here)
        if self._rhythm:
            for voice in (UPPER, LOWER):
                verdict.forbid(_PART[voice], column(stuck[:, voice] & (scene.part != voice)))
