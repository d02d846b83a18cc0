"""The grammar as an automaton: the intersection of the rules, for many sequences at once.

``initial_state`` → ``token_mask`` (what may come next) → ``advance`` (what came), until ``ended``.
Knows the rules and the meaning of tokens; knows no model and no files.

No dead ends. From every state that the mask can reach, END can be reached: the rules look one event
ahead (a note is never begun or passed over that could not end in time), and where the number of
tokens is limited, the automaton keeps in reserve what closing needs and, when only that is left,
allows nothing but the shortest way out (``_closing_tokens``).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import fields
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from bicinium.errors import DeadEndError, GrammarError
from bicinium.grammar.rules import (
    FAR,
    RULES,
    SILENT,
    Bools,
    Forbidden,
    Ints,
    Moment,
    MusicalGrammarConfig,
    Rule,
    Stage,
    State,
)
from bicinium.tokens.vocabulary import (
    BLOCKS,
    END,
    KINDS,
    MAX_SHIFT_TICKS,
    VALUES,
    VOCAB_SIZE,
    Block,
    Kind,
    token_id,
)

_SPARE_SLOTS = 3  # sounding notes beyond max_polyphony of which the state keeps track
_TOKEN_IDS = np.arange(VOCAB_SIZE, dtype=np.int32)
_VALUES = VALUES.astype(np.int32)


class MusicalGrammar:
    """The rules that ``config`` names, in that order, and any further ones of the caller's own.

    A token that breaks several rules counts as a violation of the first.
    """

    def __init__(
        self, config: MusicalGrammarConfig | None = None, extra_rules: Sequence[type[Rule]] = ()
    ) -> None:
        self.config = config or MusicalGrammarConfig()
        self.rules: tuple[Rule, ...] = tuple(
            rule(self.config)
            for rule in (*(RULES[name] for name in self.config.rules), *extra_rules)
        )

    # ------------------------------------------------------------------ states

    def initial_state(
        self,
        batch: int = 1,
        *,
        bar_ticks: ArrayLike = 0,
        bars: ArrayLike | None = None,
        max_tokens: ArrayLike | None = None,
        transposition: ArrayLike = 0,
    ) -> State:
        """The state before START. Each argument is one number, or one for each of ``batch`` rows.

        bar_ticks: length of a bar; 0 where the metre is unknown, so that END may fall anywhere.
        bars: the piece ends exactly after so many; None lets it end on any barline.
        max_tokens: the piece is no longer than this, START and END included.
        transposition: semitones that will be added after decoding; ``range`` counts them in.

        Raises GrammarError where the budget is too small for any piece.
        """

        def column(value: ArrayLike) -> Ints:
            return np.broadcast_to(np.asarray(value, dtype=np.int32), (batch,)).copy()

        bar = column(bar_ticks)
        end_tick = column(FAR)
        if bars is not None:
            if (bar <= 0).any() or (column(bars) <= 0).any():
                raise GrammarError("a number of bars needs a metre and must be 1 or more")
            end_tick = bar * column(bars)
        parts, slots = self.config.voices, self.config.max_polyphony + _SPARE_SLOTS
        state = State(
            bar_ticks=bar,
            end_tick=end_tick,
            tokens_left=column(FAR if max_tokens is None else max_tokens),
            transposition=column(transposition),
            stage=column(Stage.BEFORE_START),
            moment=column(Moment.LONG),
            tick=column(0),
            part=column(0),
            velocity=column(-1),
            notes=column(0),
            last_on=column(0),
            last_off=column(0),
            last_token=column(-1),
            run=column(0),
            last_pitch=np.zeros((batch, parts), np.int32),
            held_pitch=np.full((batch, parts, slots), SILENT, np.int32),
            held_onset=np.zeros((batch, parts, slots), np.int32),
        )
        needed = _reserve(state)
        if (state.tokens_left < needed).any():
            row = int(np.argmax(needed - state.tokens_left))
            raise GrammarError(
                f"a budget of {state.tokens_left[row]} tokens is too small for such a piece: "
                f"give it {needed[row]} or more"
            )
        return state

    def advance(self, state: State, tokens: ArrayLike) -> None:
        """Move each row of ``state`` by its token (B,), in place.

        Any token is taken, legal or not: the last event wins. A NOTE_OFF of what does not sound
        changes nothing, a NOTE_ON of what sounds begins it anew, after END nothing happens.
        """
        tokens = np.asarray(tokens, dtype=np.int32)
        kind, value = KINDS[tokens], _VALUES[tokens]
        alive = state.stage != Stage.ENDED
        state.run = np.where(tokens == state.last_token, state.run + 1, 1).astype(np.int32)
        state.last_token = tokens.copy()
        state.tokens_left -= alive

        shift = alive & (kind == Kind.TIME_SHIFT)
        state.tick += np.where(shift, value, 0).astype(np.int32)
        entered = alive & (kind == Kind.PART) & (value < self.config.voices)
        state.part = np.where(entered, value, state.part).astype(np.int32)
        louder = alive & (kind == Kind.VELOCITY)
        state.velocity = np.where(louder, value, state.velocity).astype(np.int32)
        on = alive & (kind == Kind.NOTE_ON)
        off = alive & (kind == Kind.NOTE_OFF)
        if on.any() or off.any():
            self._move_notes(state, on, off, value)

        fresh = shift | entered
        state.last_on = np.where(on, value, np.where(fresh, 0, state.last_on)).astype(np.int32)
        state.last_off = np.where(off, value, np.where(fresh, 0, state.last_off)).astype(np.int32)
        arrived = np.where(value == MAX_SHIFT_TICKS, Moment.LONG, Moment.ARRIVED)
        state.moment = np.select(
            [shift, entered, louder, on, off],
            [arrived, Moment.ENTERED, Moment.READY, Moment.ON, Moment.OFF],
            state.moment,
        ).astype(np.int32)
        state.stage = np.select(
            [state.stage == Stage.ENDED, kind == Kind.END, kind == Kind.START],
            [state.stage, Stage.ENDED, np.maximum(state.stage, Stage.BEFORE_TEMPO)],
            Stage.MUSIC,
        ).astype(np.int32)

    @staticmethod
    def _move_notes(state: State, on: Bools, off: Bools, pitch: Ints) -> None:
        rows = np.flatnonzero(on | off)
        part = state.part[rows]
        held = state.held_pitch[rows, part]  # (R, S)
        same = held == pitch[rows, None]
        # a NOTE_ON takes the slot of the same pitch, else a free one, else the oldest note's
        age = np.where(held == SILENT, -1, state.held_onset[rows, part])
        slot = np.where(same.any(axis=1), same.argmax(axis=1), age.argmin(axis=1))
        starts = on[rows]
        stops = off[rows] & same.any(axis=1)
        a, p, s = rows[starts], part[starts], slot[starts]
        state.held_pitch[a, p, s] = pitch[a]
        state.held_onset[a, p, s] = state.tick[a]
        state.last_pitch[a, p] = pitch[a]
        state.notes[a] += 1
        state.held_pitch[rows[stops], part[stops], slot[stops]] = SILENT

    def states_along(self, sequences: Sequence[ArrayLike], **asked: Any) -> State:
        """The state after every token of every sequence, one below the other: a State of N rows.

        ``asked`` is what ``initial_state`` takes, one value for each sequence. For valid sequences:
        only as many sounding notes are kept as a part may have.
        """
        arrays = [np.asarray(sequence, dtype=np.int32) for sequence in sequences]
        lengths = np.array([len(array) for array in arrays])
        first_row = np.concatenate([[0], np.cumsum(lengths)])
        tokens = np.concatenate(arrays) if arrays else np.empty(0, np.int32)
        order = np.argsort(-lengths, kind="stable")  # so that those still going are the first rows
        state = self.initial_state(len(arrays), **asked).take(order)
        polyphony = self.config.max_polyphony
        state.held_pitch = state.held_pitch[:, :, :polyphony]
        state.held_onset = state.held_onset[:, :, :polyphony]
        columns = {
            field.name: np.empty((len(tokens), *getattr(state, field.name).shape[1:]), np.int32)
            for field in fields(State)
        }
        for index in range(int(lengths.max(initial=0))):
            alive = int((lengths > index).sum())
            if alive < len(state):
                state = state.take(np.arange(alive))
            rows = first_row[order[:alive]] + index
            self.advance(state, tokens[rows])
            for name, column in columns.items():
                column[rows] = getattr(state, name)
        return State(**columns)

    def ended(self, state: State) -> Bools:
        """(B,) True where END has come."""
        return state.stage == Stage.ENDED

    # ------------------------------------------------------------------ masks

    def token_mask(self, state: State) -> Bools:
        """(B, 774) True where a token may come next.

        Raises DeadEndError, naming the rules, where a row would allow nothing.
        """
        mask = np.empty((len(state), VOCAB_SIZE), np.bool_)
        for block in BLOCKS:
            forbidden = np.zeros((len(state), block.size), np.bool_)
            for _, answer in self._judge_block(state, block):
                forbidden |= answer
            mask[:, block.ids] = ~forbidden
        scarce = state.tokens_left <= _reserve(state) + _GROWTH
        for row in np.flatnonzero(scarce & (state.stage == Stage.MUSIC)):
            mask[row] &= _closing_tokens(state.take(np.array([row])), mask[row])
        empty = np.flatnonzero(~mask.any(axis=1))
        if len(empty):
            raise DeadEndError(self._dead_end_sentence(state.take(empty[:1])))
        return mask

    def rule_masks(self, state: State) -> Iterator[tuple[Rule, Bools]]:
        """For each rule, (B, 774) True where that rule forbids a token."""
        masks = np.zeros((len(self.rules), len(state), VOCAB_SIZE), np.bool_)
        for block in BLOCKS:
            for index, answer in self._judge_block(state, block):
                masks[index][:, block.ids] = answer
        yield from zip(self.rules, masks, strict=True)

    def broken_rule(self, state: State, tokens: ArrayLike) -> Ints:
        """(B,) index in ``rules`` of the first that forbids each row's token, -1 where none does.

        Token budgets are not looked at: they are a matter of composing, not of what is valid.
        """
        tokens = np.asarray(tokens, dtype=np.int32)
        broken = np.full(len(state), -1, np.int32)
        kinds = KINDS[tokens]
        for kind in np.unique(kinds):
            rows = np.flatnonzero(kinds == kind)
            value, token = _VALUES[tokens[rows], None], tokens[rows, None]
            for index, answer in self._judge(state.take(rows), Kind(kind), value, token):
                guilty = np.broadcast_to(answer, (len(rows), 1))[:, 0] & (broken[rows] < 0)
                broken[rows[guilty]] = index
        return broken

    def _judge_block(self, state: State, block: Block) -> Iterator[tuple[int, Forbidden]]:
        return self._judge(state, block.kind, _VALUES[None, block.ids], _TOKEN_IDS[None, block.ids])

    def _judge(
        self, state: State, kind: Kind, value: Ints, token: Ints
    ) -> Iterator[tuple[int, Forbidden]]:
        """Each rule's answer. Outside the music itself, only ``order`` has a say."""
        in_music = (state.stage == Stage.MUSIC)[:, None]
        for index, rule in enumerate(self.rules):
            answer = rule.forbids(state, kind, value, token)
            if rule.name == "velocity" and kind == Kind.VELOCITY:
                answer = answer | ~self._note_may_begin(state)
            yield index, answer if rule.name == "order" else answer & in_music

    def _note_may_begin(self, state: State) -> Bools:
        """(B, 1) True where some NOTE_ON may follow once a velocity is set."""
        block = BLOCKS[Kind.NOTE_ON]
        allowed = np.ones((len(state), block.size), np.bool_)
        value, token = _VALUES[None, block.ids], _TOKEN_IDS[None, block.ids]
        for rule in self.rules:
            if rule.name != "velocity":
                allowed &= ~np.asarray(rule.forbids(state, Kind.NOTE_ON, value, token))
        return np.asarray(allowed.any(axis=1, keepdims=True))

    def _dead_end_sentence(self, state: State) -> str:
        """Which rules together forbid everything in this single row."""
        guilty = [rule.name for rule, mask in self.rule_masks(state) if mask.any()]
        return (
            f"no token may follow at tick {state.tick[0]}: the rules {', '.join(guilty)} together "
            "forbid all of them; loosen one"
        )


# ---------------------------------------------------------------------- the way out

_GROWTH = 3  # a single token (a NOTE_ON) makes the reserve at most so much larger


def _reserve(state: State) -> Ints:
    """(B,) tokens, END included, that are enough to end the piece from here.

    An upper bound on the length of the way that ``_closing_tokens`` takes: end what can end, move
    one tick on, end the rest, fill up to the barline with rests.
    """
    header = np.maximum(Stage.MUSIC - state.stage, 0)
    sounding = state.sounding
    closing = sounding.sum(axis=(1, 2)) + 2 * sounding.any(axis=2).sum(axis=1) + 1
    one_more_note = 5  # VELOCITY, NOTE_ON, TIME_SHIFT, PART, NOTE_OFF
    gap = np.where(state.end_tick < FAR, state.end_tick - state.tick, state.bar_ticks)
    longest_rest = 4 * MAX_SHIFT_TICKS - 1  # three longest shifts and one that is not
    rests = -(-gap // MAX_SHIFT_TICKS) + 1 + 7 * (gap // longest_rest)
    total = header + closing + one_more_note + rests + 1
    return np.where(state.stage == Stage.ENDED, 0, total).astype(np.int32)


def _closing_tokens(state: State, allowed: Bools) -> Bools:
    """(774,) of the ``allowed`` tokens of a single row, those on the shortest way to END."""

    def only(kind: Kind, values: Sequence[int] | None = None) -> Bools:
        chosen = np.zeros(VOCAB_SIZE, np.bool_)
        if values is None:
            chosen[BLOCKS[kind].ids] = True
        else:
            chosen[[token_id(kind, value) for value in values]] = True
        return chosen & allowed

    beginning = only(Kind.VELOCITY if state.velocity[0] < 0 else Kind.NOTE_ON)
    if state.moment[0] == Moment.READY:
        return only(Kind.NOTE_ON)
    if only(Kind.NOTE_OFF).any():
        return only(Kind.NOTE_OFF)
    if state.moment[0] == Moment.ENTERED:
        return beginning
    sounding_parts = np.flatnonzero(state.sounding[0].any(axis=1)).tolist()
    for part in sounding_parts:
        if only(Kind.PART, [part]).any():
            return only(Kind.PART, [part])
    if sounding_parts:
        return only(Kind.TIME_SHIFT, [1])
    if allowed[END]:
        return only(Kind.END)
    if state.notes[0] == 0 or state.moment[0] == Moment.ARRIVED:
        return beginning
    if state.end_tick[0] < FAR:
        gap = int(state.end_tick[0] - state.tick[0])
    else:
        gap = int(state.bar_ticks[0] - state.position[0])
    longest = only(Kind.TIME_SHIFT, [min(gap, MAX_SHIFT_TICKS)])
    return longest if longest.any() else only(Kind.TIME_SHIFT, [min(gap, MAX_SHIFT_TICKS - 1)])
