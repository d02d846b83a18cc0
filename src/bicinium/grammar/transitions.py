"""What a token does to the state: one token at a time (``advance``), or whole sequences at once
(``states_along``).

Any token is taken, legal or not: the last event wins. A NOTE_OFF of what does not sound changes
nothing, a NOTE_ON of what sounds begins it anew, after END nothing happens. Knows no rules.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bicinium.grammar.rules import (
    FAR,
    SILENT,
    STATE_FIELDS,
    Bools,
    Ints,
    Moment,
    MusicalGrammarConfig,
    Stage,
    State,
    column,
)
from bicinium.tokens.vocabulary import BLOCKS, KINDS, MAX_SHIFT_TICKS, PAD, VALUES, VOCAB_SIZE, Kind

_UNCHANGED = -2  # in the tables and runs below: this token leaves the field as it is


def _by_token(default: int, **of_kind: Any) -> Ints:
    """(V,) a table with an entry for each token, by its kind."""
    table = np.full(VOCAB_SIZE, default, np.int32)
    for name, entry in of_kind.items():
        table[BLOCKS[Kind[name]].ids] = entry
    return table


_SHIFTS, _PARTS = BLOCKS[Kind.TIME_SHIFT].values, BLOCKS[Kind.PART].values
_PITCHES = BLOCKS[Kind.NOTE_ON].values
_VALUES = VALUES.astype(np.int32)
_TICKS = _by_token(0, TIME_SHIFT=_SHIFTS)
_NEXT_STAGE = _by_token(Stage.MUSIC, START=Stage.BEFORE_TEMPO, END=Stage.ENDED)
_NEXT_PEDAL = _by_token(_UNCHANGED, SUSTAIN_ON=1, SUSTAIN_OFF=0)
_CARRIED = ("part", "moment", "velocity", "last_on", "last_off")  # the columns of _next_values


@cache
def _next_values(voices: int) -> Ints:
    """(V, 5) what each token makes of the fields that keep their value until one sets it.

    A PART that is not in use sets nothing.
    """
    in_use = voices > _PARTS
    moments = _by_token(
        _UNCHANGED,
        TIME_SHIFT=np.where(_SHIFTS == MAX_SHIFT_TICKS, Moment.LONG, Moment.ARRIVED),
        PART=np.where(in_use, Moment.ENTERED, _UNCHANGED),
        SUSTAIN_ON=Moment.PEDAL,
        SUSTAIN_OFF=Moment.PEDAL,
        NOTE_OFF=Moment.OFF,
        NOTE_ON=Moment.ON,
        VELOCITY=Moment.READY,
    )
    forgotten = np.where(in_use, 0, _UNCHANGED)
    columns = (
        _by_token(_UNCHANGED, PART=np.where(in_use, _PARTS, _UNCHANGED)),
        moments,
        _by_token(_UNCHANGED, VELOCITY=BLOCKS[Kind.VELOCITY].values),
        _by_token(_UNCHANGED, NOTE_ON=_PITCHES, TIME_SHIFT=0, PART=forgotten),
        _by_token(_UNCHANGED, NOTE_OFF=_PITCHES, TIME_SHIFT=0, PART=forgotten),
    )
    return np.stack(columns, axis=1)


def advance(config: MusicalGrammarConfig, state: State, tokens: Ints) -> None:
    """Move each row of ``state`` by its token (B,), in place."""
    state.derived.clear()
    state.run = np.where(tokens == state.last_token, state.run + 1, 1).astype(np.int32)
    state.last_token = tokens.copy()
    ended = state.stage == Stage.ENDED
    state.tokens_left -= ~ended
    if ended.any():
        tokens = np.where(ended, PAD, tokens)  # which does nothing
    state.tick += _TICKS[tokens]
    new = _next_values(config.voices)[tokens]  # (B, 5)
    changed = new != _UNCHANGED
    for index, name in enumerate(_CARRIED):
        np.copyto(getattr(state, name), new[:, index], where=changed[:, index])
    np.maximum(state.stage, _NEXT_STAGE[tokens], out=state.stage)
    if config.sustain:
        moved = np.flatnonzero(_NEXT_PEDAL[tokens] != _UNCHANGED)
        state.pedal[moved, state.part[moved]] = _NEXT_PEDAL[tokens[moved]]
    on, off = new[:, 1] == Moment.ON, new[:, 1] == Moment.OFF
    rows = np.flatnonzero(on | off)
    if len(rows):
        _move_notes(config, state, rows, on[rows], _VALUES[tokens[rows]])


def _until(config: MusicalGrammarConfig, onset: Ints, end_tick: Ints) -> Ints:
    """The tick by which a note begun at ``onset`` must end."""
    longest = onset + config.max_note_ticks
    return np.where(onset < end_tick, np.minimum(longest, end_tick), longest).astype(np.int32)


def _move_notes(
    config: MusicalGrammarConfig, state: State, rows: NDArray[np.integer], on: Bools, pitch: Ints
) -> None:
    """Begin (``on``) or end a note of ``pitch`` in the current part of these rows."""
    part = state.part[rows]
    held = state.held_pitch[rows, part]  # (R, S)
    same = held == column(pitch)
    sounds = same.any(axis=1)
    # a NOTE_ON takes the slot of the same pitch, else a free one, else the oldest note's
    age_order = np.where(held == SILENT, -1, state.held_onset[rows, part])
    slot = np.where(sounds, same.argmax(axis=1), age_order.argmin(axis=1))
    a, p, s = rows[on], part[on], slot[on]
    state.held_pitch[a, p, s] = state.last_pitch[a, p] = pitch[on]
    state.held_onset[a, p, s] = state.tick[a]
    state.held_until[a, p, s] = _until(config, state.tick[a], state.end_tick[a])
    state.notes[a] += 1
    over = ~on & sounds
    a, p, s = rows[over], part[over], slot[over]
    state.held_pitch[a, p, s] = SILENT
    state.held_until[a, p, s] = FAR


# ---------------------------------------------------------------------- whole sequences


def states_along(config: MusicalGrammarConfig, initial: State, sequences: Sequence[Ints]) -> State:
    """The states along many sequences, one below the other.

    A sequence of T tokens, begun in its row of ``initial``, gives T + 1 rows: the state before each
    token and the one after the last. Sequences in which notes of a part neither overlap nor end
    unbegun (all valid ones, where ``max_polyphony`` is 1) are done all at once, others in steps.
    The spare slots of ``initial`` are kept only where some sequence may need them.
    """
    smooth = [index for index, tokens in enumerate(sequences) if _alternates(config, tokens)]
    rough = sorted(set(range(len(sequences))) - set(smooth))
    if not rough:
        return _scan(config, _without_spare_slots(config, initial), sequences)
    lengths = np.array([len(tokens) + 1 for tokens in sequences], dtype=np.int64)
    first_row = np.concatenate([[0], np.cumsum(lengths)])
    parts = []
    for chosen, run in ((smooth, _scan), (rough, _step)):
        if chosen:
            begun = initial.take(np.array(chosen))
            rows = [np.arange(first_row[i], first_row[i + 1]) for i in chosen]
            states = run(config, begun, [sequences[i] for i in chosen])
            parts.append((np.concatenate(rows), states))
    columns: dict[str, Any] = {
        name: np.empty((first_row[-1], *getattr(initial, name).shape[1:]), dtype=np.int32)
        for name in STATE_FIELDS
    }
    for rows_of_part, states in parts:
        for name, column_of_all in columns.items():
            column_of_all[rows_of_part] = getattr(states, name)
    return State(**columns)


def _without_spare_slots(config: MusicalGrammarConfig, state: State) -> State:
    few = slice(config.max_polyphony)
    return replace(
        state,
        held_pitch=state.held_pitch[:, :, few],
        held_onset=state.held_onset[:, :, few],
        held_until=state.held_until[:, :, few],
        derived={},
    )


def _alternates(config: MusicalGrammarConfig, tokens: Ints) -> bool:
    """Do the note events of each part go NOTE_ON, NOTE_OFF of the same pitch, NOTE_ON, …?"""
    kinds = KINDS[tokens]
    ends = np.flatnonzero(kinds == Kind.END)
    if len(ends):
        tokens, kinds = tokens[: ends[0]], kinds[: ends[0]]
    part = _fill(_next_values(config.voices)[tokens, 0], np.zeros(len(tokens), np.int64), 0)
    events = np.flatnonzero((kinds == Kind.NOTE_ON) | (kinds == Kind.NOTE_OFF))
    for index in range(config.voices):
        mine = events[part[events] == index]
        on, pitch = kinds[mine] == Kind.NOTE_ON, _VALUES[tokens[mine]]
        pairs = len(mine) // 2
        if not on[::2].all() or on[1::2].any():
            return False
        if (pitch[: 2 * pairs : 2] != pitch[1 : 2 * pairs : 2]).any():
            return False
    return True


def _fill(values: Ints, first: NDArray[np.integer], default: int | Ints) -> Ints:
    """Carry each value that is set forward to the next one; ``default`` before the first.

    ``first`` (N,) is the index at which the sequence of each position begins.
    """
    here = np.where(values != _UNCHANGED, np.arange(len(values), dtype=np.int32), -1)
    last = np.maximum.accumulate(here)
    return np.where(last >= first, values[last], default).astype(np.int32, copy=False)


def _scan(config: MusicalGrammarConfig, initial: State, sequences: Sequence[Ints]) -> State:
    """``states_along`` for sequences that alternate: every field is a running sum or a carry."""
    lengths = np.array([len(tokens) + 1 for tokens in sequences])
    starts = (np.cumsum(lengths) - lengths).astype(np.int32)
    row = np.repeat(np.arange(len(sequences)), lengths)  # (N,) the sequence of each position
    first = starts[row]
    inner = np.arange(len(row)) != first
    # position i holds the token before state i: at the beginning of a sequence, none (PAD)
    raw = np.full(len(row), PAD, np.int32)
    raw[inner] = np.concatenate([*sequences, np.empty(0, np.int32)])

    def carry(values: Ints, begun: Ints) -> Ints:
        return _fill(np.where(inner, values, _UNCHANGED), first, begun[row])

    def running(values: NDArray[np.integer], begun: Ints) -> Ints:
        total = np.cumsum(np.where(inner, values, 0), dtype=np.int32)
        return total + (begun - total[starts])[row]

    over = running(KINDS[raw] == Kind.END, (initial.stage == Stage.ENDED).astype(np.int32))
    ended = np.concatenate([[False], over[:-1] > 0]) & inner  # before the token of each position
    tokens = np.where(ended, PAD, raw)
    values, new = _VALUES[tokens], _next_values(config.voices)[tokens]
    on, off = new[:, 1] == Moment.ON, new[:, 1] == Moment.OFF
    carried: dict[str, Any] = {
        name: carry(new[:, index], getattr(initial, name)) for index, name in enumerate(_CARRIED)
    }
    part, tick = carried["part"], running(_TICKS[tokens], initial.tick)
    stage = np.where(inner, np.maximum(_NEXT_STAGE[tokens], 0), initial.stage[row]) + 4 * row
    begins_run = ~inner | (raw != np.concatenate([[-1], raw[:-1]]))
    begins_run |= np.concatenate([[False], ~inner[:-1]])  # a first token never continues PAD
    run_start = np.maximum.accumulate(np.where(begins_run, np.arange(len(row)), 0))
    shape = (len(row), config.voices)
    slots = (*shape, initial.held_pitch.shape[2])
    state = State(
        bar_ticks=initial.bar_ticks[row],
        end_tick=initial.end_tick[row],
        tokens_left=running(np.where(ended, 0, -1), initial.tokens_left),
        transposition=initial.transposition[row],
        stage=(np.maximum.accumulate(stage) - 4 * row).astype(np.int32),
        tick=tick,
        notes=running(on, initial.notes),
        last_token=np.where(inner, raw, initial.last_token[row]).astype(np.int32),
        run=np.where(inner, np.arange(len(row)) - run_start + 1, 0).astype(np.int32),
        pedal=np.zeros(shape, np.int32),
        last_pitch=np.zeros(shape, np.int32),
        held_pitch=np.full(slots, SILENT, np.int32),
        held_onset=np.zeros(slots, np.int32),
        held_until=np.full(slots, FAR, np.int32),
        **carried,
    )
    until = _until(config, tick, state.end_tick)
    for index in range(config.voices):
        here = part == index
        begins, ends = on & here, off & here
        unchanged = np.where(ends, SILENT, _UNCHANGED)
        begun_pitch = np.where(begins, values, unchanged)
        state.held_pitch[:, index, 0] = carry(begun_pitch, initial.held_pitch[:, index, 0])
        until_here = np.where(begins, until, np.where(ends, FAR, _UNCHANGED))
        state.held_until[:, index, 0] = carry(until_here, initial.held_until[:, index, 0])
        onset = np.where(begins, tick, _UNCHANGED)
        state.held_onset[:, index, 0] = carry(onset, initial.held_onset[:, index, 0])
        last_pitch = np.where(begins, values, _UNCHANGED)
        state.last_pitch[:, index] = carry(last_pitch, initial.last_pitch[:, index])
        if config.sustain:
            pedal = np.where(here, _NEXT_PEDAL[tokens], _UNCHANGED)
            state.pedal[:, index] = carry(pedal, initial.pedal[:, index])
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
