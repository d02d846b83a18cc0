"""The states along whole sequences: what ``transitions.advance`` reaches token by token, at once.
Knows no rules.

Where the notes of each part follow one another, as in all valid music of single lines, every field
of the state is either a running sum or a value carried on from the last token that set it, so that
no sequence need be stepped through.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bicinium.grammar.rules import (
    FAR,
    SILENT,
    STATE_FIELDS,
    Bools,
    Ints,
    MusicalGrammarConfig,
    Stage,
    State,
)
from bicinium.grammar.transitions import (
    CARRIED,
    NEXT_PEDAL,
    PART,
    STAGE,
    TICKS,
    UNCHANGED,
    advance,
    next_values,
    until,
)
from bicinium.tokenizer.vocabulary import KINDS, PAD, VALUES, Kind

_VALUES, _KINDS = VALUES.astype(np.int32), KINDS.astype(np.int8)


def states_along(config: MusicalGrammarConfig, initial: State, sequences: Sequence[Ints]) -> State:
    """The states along many sequences, one below the other.

    A sequence of T tokens, begun in its row of ``initial``, gives T + 1 rows: the state before each
    token and the one after the last. Sequences in which notes of a part overlap or end unbegun are
    stepped through. The spare slots of ``initial`` are kept only where there are such.
    """
    rows = _Rows(sequences)
    new = next_values(config.voices)
    stage = rows.greatest_so_far(new[:, STAGE].take(rows.tokens), initial.stage)
    rows.end_at(stage)
    next_part = new[:, PART].take(rows.tokens)
    part = rows.carrier(next_part != UNCHANGED)(next_part, initial.part)
    tangled = np.flatnonzero(_tangled(config, rows, part))
    slots = initial.held_pitch.shape[2] if len(tangled) else config.max_polyphony
    states = _scan(config, initial, rows, stage, part, slots)
    if len(tangled):
        stepped = _step(
            config, initial.take(tangled), [sequences[index] for index in tangled.tolist()]
        )
        there = rows.of(tangled)
        for name in STATE_FIELDS:
            getattr(states, name)[there] = getattr(stepped, name)
    return states


class _Rows:
    """Sequences one below the other, N rows in all. A row holds the token that leads to its state;
    the first of each sequence, the state before any, holds PAD.
    """

    def __init__(self, sequences: Sequence[Ints]) -> None:
        none = np.array([PAD])
        with_first = [array for tokens in sequences for array in (none, tokens)]
        self.said = np.concatenate([none[:0], *with_first], dtype=np.intp)
        self.tokens = self.said
        self.lengths = np.array([len(tokens) + 1 for tokens in sequences], np.intp)
        self.first = np.cumsum(self.lengths) - self.lengths

    def __len__(self) -> int:
        return len(self.said)

    def end_at(self, stage: Ints) -> None:
        """Take the ``tokens`` after an END for PAD, which does nothing."""
        ended = np.zeros(len(self), np.bool_)
        ended[1:] = stage[:-1] == Stage.ENDED
        ended[self.first] = False
        if ended.any():
            self.tokens = np.where(ended, PAD, self.said)

    def of(self, sequences: NDArray[np.integer]) -> NDArray[np.integer]:
        """The rows of some of the sequences."""
        return np.concatenate(
            [np.arange(self.first[i], self.first[i] + self.lengths[i]) for i in sequences]
        )

    def spread(self, values: Ints) -> Ints:
        """(N,) from one value for each sequence."""
        return np.repeat(values, self.lengths)

    def passed(self) -> Ints:
        """(N,) how many tokens of the sequence have come."""
        before = self.spread(self.first.astype(np.int32))
        return np.arange(len(self), dtype=np.int32) - before

    def sum_so_far(self, values: NDArray[np.integer], begun: Ints) -> Ints:
        """(N,) ``begun``, one for each sequence, and what its rows add to it."""
        total = np.cumsum(values, dtype=np.int32)
        return total + self.spread(begun - total[self.first])

    def greatest_so_far(self, values: Ints, begun: Ints) -> Ints:
        """(N,) likewise the greatest of ``begun`` and the rows. Overwrites ``values``, 0 to 3."""
        values[self.first] = begun
        above = self.spread(4 * np.arange(len(self.first), dtype=np.int32))
        values += above  # each sequence begins above the one before
        return np.maximum.accumulate(values, out=values) - above

    def carrier(self, changed: Bools) -> Callable[[Ints, Ints], Ints]:
        """A function that carries values (N,) on from each row that ``changed`` to the next one;
        sequences begin with their value of ``begun``. Overwrites ``changed``.
        """
        changed[self.first] = True
        at = np.flatnonzero(changed)
        until_next = np.diff(at, append=len(self))
        begins = np.searchsorted(at, self.first)

        def carry(values: Ints, begun: Ints) -> Ints:
            chosen = values.take(at)
            chosen[begins] = begun
            return np.repeat(chosen, until_next)

        return carry

    def run_lengths(self) -> Ints:
        """(N,) how often the token of each row stands in a row, 0 in the first."""
        begins = np.ones(len(self), np.bool_)
        begins[1:] = self.said[1:] != self.said[:-1]
        begins[self.first] = True
        begins[self.first[self.lengths > 1] + 1] = True  # nothing is no PAD
        at = np.flatnonzero(begins).astype(np.int32)
        run = np.arange(1, len(self) + 1, dtype=np.int32)
        run -= np.repeat(at, np.diff(at, append=len(self)))
        run[self.first] = 0
        return run


def _tangled(config: MusicalGrammarConfig, rows: _Rows, part: Ints) -> Bools:
    """For each sequence: do the note events of a part not go NOTE_ON, NOTE_OFF of the same pitch,
    NOTE_ON, …?
    """
    tangled = np.zeros(len(rows.first), np.bool_)
    kinds = _KINDS.take(rows.tokens)
    notes = (kinds == Kind.NOTE_ON) | (kinds == Kind.NOTE_OFF)
    for index in range(config.voices):
        mine = np.flatnonzero(notes & (part == index))
        on, pitch = kinds[mine] == Kind.NOTE_ON, _VALUES.take(rows.tokens[mine])
        sequence = np.searchsorted(rows.first, mine, side="right") - 1
        sounds = np.zeros(len(mine), np.bool_)  # did a note begin just before, in this sequence?
        sounds[1:] = on[:-1] & (sequence[1:] == sequence[:-1])
        same = np.zeros(len(mine), np.bool_)
        same[1:] = pitch[1:] == pitch[:-1]
        tangled[sequence[np.where(on, sounds, ~(sounds & same))]] = True
    return tangled


def _scan(
    config: MusicalGrammarConfig, initial: State, rows: _Rows, stage: Ints, part: Ints, slots: int
) -> State:
    """``states_along`` for sequences that are not tangled; of others it makes nonsense."""
    tokens = rows.tokens
    new, kinds, pitch = next_values(config.voices), _KINDS.take(tokens), _VALUES.take(tokens)
    on, off = kinds == Kind.NOTE_ON, kinds == Kind.NOTE_OFF
    carried: dict[str, Any] = {}
    for index, name in enumerate(CARRIED):
        values = new[:, index].take(tokens)
        carried[name] = rows.carrier(values != UNCHANGED)(values, getattr(initial, name))
    tick = rows.sum_so_far(new[:, TICKS].take(tokens), initial.tick)
    end_tick = rows.spread(initial.end_tick)
    last_token = rows.said.astype(np.int32)
    last_token[rows.first] = initial.last_token
    shape = (len(rows), config.voices)
    state = State(
        bar_ticks=rows.spread(initial.bar_ticks),
        end_tick=end_tick,
        tokens_left=rows.spread(initial.tokens_left) - rows.passed(),
        transposition=rows.spread(initial.transposition),
        stage=stage,
        tick=tick,
        notes=rows.sum_so_far(on, initial.notes),
        last_token=last_token,
        run=rows.run_lengths(),
        pedal=np.zeros(shape, np.int32),
        recent_pitch=np.empty((*shape, 3), np.int32),
        recent_onset=np.empty((*shape, 2), np.int32),
        held_pitch=np.full((*shape, slots), SILENT, np.int32),
        held_onset=np.zeros((*shape, slots), np.int32),
        held_until=np.full((*shape, slots), FAR, np.int32),
        **carried,
    )
    latest = until(config, tick, end_tick)
    for index in range(config.voices):
        here = part == index
        begins = on & here
        moved = rows.carrier(begins | (off & here))
        sounding = np.where(begins, pitch, SILENT)
        state.held_pitch[:, index, 0] = moved(sounding, initial.held_pitch[:, index, 0])
        due = np.where(begins, latest, FAR)
        state.held_until[:, index, 0] = moved(due, initial.held_until[:, index, 0])
        begun = rows.carrier(begins)
        state.held_onset[:, index, 0] = begun(tick, initial.held_onset[:, index, 0])
        for recent, begun_before, latest_value in (
            (state.recent_pitch[:, index], initial.recent_pitch[:, index], pitch),
            (state.recent_onset[:, index], initial.recent_onset[:, index], tick),
        ):
            value = latest_value
            for place in range(recent.shape[1]):
                recent[:, place] = begun(value, begun_before[:, place])
                value = np.roll(recent[:, place], 1)  # what it was before the note
        if config.sustain:
            pedal = np.where(here, NEXT_PEDAL.take(tokens), UNCHANGED)
            pressed = rows.carrier(pedal != UNCHANGED)
            state.pedal[:, index] = pressed(pedal, initial.pedal[:, index])
    return state


def _step(config: MusicalGrammarConfig, initial: State, sequences: Sequence[Ints]) -> State:
    """``states_along`` by ``advance``, the sequences in step with one another."""
    lengths = np.array([len(tokens) for tokens in sequences])
    first_row = np.cumsum(lengths + 1) - lengths - 1
    flat = np.concatenate([*sequences, np.empty(0, np.int32)]).astype(np.int32)
    first_token = np.cumsum(lengths) - lengths
    order = np.argsort(-lengths, kind="stable")  # so that those still going are the first rows
    state = initial.take(order)
    columns: dict[str, Any] = {
        name: np.empty((len(flat) + len(sequences), *getattr(state, name).shape[1:]), np.int32)
        for name in STATE_FIELDS
    }
    for index in range(int(lengths.max(initial=0)) + 1):
        alive = int((lengths >= index).sum())
        if alive < len(state):
            state = state.take(np.arange(alive))
        for name, values in columns.items():
            values[first_row[order[:alive]] + index] = getattr(state, name)
        going = int((lengths > index).sum())
        if going < len(state):
            state = state.take(np.arange(going))
        if going:
            advance(config, state, flat[first_token[order[:going]] + index])
    return State(**columns)
