"""What a token does to the state: one token at a time (``advance``), or whole sequences at once
(``states_along``).

Any token is taken, legal or not: the last event wins. A NOTE_OFF of what does not sound changes
nothing, a NOTE_ON of what sounds begins it anew, after END nothing happens. Knows no rules.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
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
_VALUES, _KINDS = VALUES.astype(np.int32), KINDS.astype(np.int8)
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


def advance(config: MusicalGrammarConfig, state: State, tokens: NDArray[np.integer]) -> None:
    """Move each row of ``state`` by its token (B,), in place."""
    state.derived.clear()
    state.run *= tokens == state.last_token
    state.run += 1
    state.last_token[:] = tokens
    ended = state.stage == Stage.ENDED
    state.tokens_left -= ~ended
    if ended.any():
        tokens = np.where(ended, PAD, tokens)  # which does nothing
    state.tick += _TICKS.take(tokens)
    np.maximum(state.stage, _NEXT_STAGE.take(tokens), out=state.stage)
    new = _next_values(config.voices).take(tokens, axis=0)  # (B, 5)
    changed = new != _UNCHANGED
    for index, name in enumerate(_CARRIED):
        np.copyto(getattr(state, name), new[:, index], where=changed[:, index])
    if config.sustain:
        moved = np.flatnonzero(_NEXT_PEDAL[tokens] != _UNCHANGED)
        state.pedal[moved, state.part[moved]] = _NEXT_PEDAL[tokens[moved]]
    for moment, move in ((Moment.ON, _begin_notes), (Moment.OFF, _end_notes)):
        rows = (new[:, 1] == moment).nonzero()[0]
        if len(rows):
            move(config, state, rows, _VALUES.take(tokens[rows]))


def _until(config: MusicalGrammarConfig, onset: Ints, end_tick: Ints) -> Ints:
    """The tick by which a note begun at ``onset`` must end."""
    until = onset + np.int32(config.max_note_ticks)
    return np.minimum(until, end_tick, out=until, where=onset < end_tick)


def _begin_notes(
    config: MusicalGrammarConfig, state: State, rows: NDArray[np.integer], pitch: Ints
) -> None:
    """Begin a note of ``pitch`` in the current part of these rows."""
    part, tick = state.part[rows], state.tick[rows]
    slot: NDArray[np.integer] | int = 0
    if state.held_pitch.shape[2] > 1:  # the slot of the same pitch, else a free one, else the oldest
        held = state.held_pitch[rows, part]  # (R, S)
        since = np.where(held == SILENT, -1, state.held_onset[rows, part])
        slot = np.where(held == column(pitch), -2, since).argmin(axis=1)
    state.held_pitch[rows, part, slot] = pitch
    state.held_onset[rows, part, slot] = tick
    state.held_until[rows, part, slot] = _until(config, tick, state.end_tick[rows])
    state.last_pitch[rows, part] = pitch
    state.notes[rows] += 1


def _end_notes(
    _: MusicalGrammarConfig, state: State, rows: NDArray[np.integer], pitch: Ints
) -> None:
    """End the note of ``pitch`` in the current part of these rows, where it sounds."""
    part = state.part[rows]
    sounds, slot = (state.held_pitch[rows, part] == column(pitch)).nonzero()
    rows, part = rows[sounds], part[sounds]
    state.held_pitch[rows, part, slot] = SILENT
    state.held_until[rows, part, slot] = FAR


# ---------------------------------------------------------------------- whole sequences


def states_along(config: MusicalGrammarConfig, initial: State, sequences: Sequence[Ints]) -> State:
    """The states along many sequences, one below the other.

    A sequence of T tokens, begun in its row of ``initial``, gives T + 1 rows: the state before each
    token and the one after the last. Sequences in which notes of a part neither overlap nor end
    unbegun (all valid ones, where ``max_polyphony`` is 1) are done all at once, others in steps.
    The spare slots of ``initial`` are kept only where some sequence may need them.
    """
    along = _Along(sequences)
    stage = along.running_maximum(_NEXT_STAGE.take(along.tokens), initial.stage)
    along.forget_what_follows_end(stage)
    next_part = _next_values(config.voices)[:, 0].take(along.tokens)
    part = along.carrier(next_part != _UNCHANGED)(next_part, initial.part)
    rough = np.flatnonzero(_tangled(config, along, part))
    slots = initial.held_pitch.shape[2] if len(rough) else config.max_polyphony
    states = _scan(config, initial, along, stage, part, slots)
    if len(rough):
        stepped = _step(config, initial.take(rough), [sequences[index] for index in rough])
        rows = along.rows(rough)
        for name in STATE_FIELDS:
            getattr(states, name)[rows] = getattr(stepped, name)
    return states


class _Along:
    """Sequences one below the other: row i holds the token that leads to state i, the first row of
    each sequence none (PAD).
    """

    def __init__(self, sequences: Sequence[Ints]) -> None:
        none = np.array([PAD])
        both = [array for tokens in sequences for array in (none, tokens)]
        self.raw = np.concatenate([np.empty(0, np.intp), *both], dtype=np.intp)
        self.tokens = self.raw  # without those that follow END
        self.ended: Bools | None = None  # where a token follows END, if any does
        self.lengths = np.array([len(tokens) + 1 for tokens in sequences], dtype=np.intp)
        self.starts = np.cumsum(self.lengths) - self.lengths

    def rows(self, chosen: NDArray[np.integer]) -> NDArray[np.integer]:
        """The rows of the sequences ``chosen``."""
        return np.concatenate(
            [np.arange(self.starts[i], self.starts[i] + self.lengths[i]) for i in chosen]
        )

    def spread(self, values: Ints) -> Ints:
        """(N,) from one value for each sequence."""
        return np.repeat(values, self.lengths)

    def running_sum(self, values: NDArray[np.integer], begun: Ints) -> Ints:
        """(N,) ``begun`` and what the rows after the first add to it."""
        total = np.cumsum(values, dtype=np.int32)
        total += self.spread(begun - total[self.starts])
        return total

    def running_maximum(self, values: Ints, begun: Ints) -> Ints:
        """(N,) likewise the greatest so far. Values are 0 to 3."""
        values[self.starts] = begun
        sequence = self.spread(np.arange(0, 4 * len(self.starts), 4, dtype=np.int32))
        values += sequence  # so that each sequence begins above the last
        np.maximum.accumulate(values, out=values)
        values -= sequence
        return values

    def carrier(self, changed: Bools) -> Callable[[Ints, Ints], Ints]:
        """A function of (N,) values that carries each on from where it ``changed`` to where it does
        so again; each sequence begins with its value of ``begun``.
        """
        changed[self.starts] = True
        at = np.flatnonzero(changed)
        until_next = np.diff(at, append=len(changed))
        first = np.searchsorted(at, self.starts)

        def carry(values: Ints, begun: Ints) -> Ints:
            chosen = values.take(at)
            chosen[first] = begun
            return np.repeat(chosen, until_next)

        return carry

    def forget_what_follows_end(self, stage: Ints) -> None:
        over = np.flatnonzero(stage == Stage.ENDED)
        later = over[over > 0]
        later = later[(stage[later - 1] == Stage.ENDED)]
        later = later[~np.isin(later, self.starts)]
        if len(later):
            self.ended = np.zeros(len(stage), np.bool_)
            self.ended[later] = True
            self.tokens = np.where(self.ended, PAD, self.raw)


def _tangled(config: MusicalGrammarConfig, along: _Along, part: Ints) -> Bools:
    """(sequences,) False where the note events of each part go NOTE_ON, NOTE_OFF of the same
    pitch, NOTE_ON, …
    """
    kinds = _KINDS.take(along.tokens)
    tangled = np.zeros(len(along.lengths), np.bool_)
    note = (kinds == Kind.NOTE_ON) | (kinds == Kind.NOTE_OFF)
    for index in range(config.voices):
        mine = np.flatnonzero(note & (part == index))
        on, pitch = kinds[mine] == Kind.NOTE_ON, _VALUES.take(along.tokens[mine])
        # beginning to beginning, or end to end
        sequence = np.searchsorted(along.starts, mine, side="right")
        follows = np.zeros(len(mine), np.bool_)
        follows[1:] = sequence[1:] == sequence[:-1]
        after_on = np.zeros(len(mine), np.bool_)
        after_on[1:] = on[:-1] & follows[1:]
        same = np.zeros(len(mine), np.bool_)
        same[1:] = pitch[1:] == pitch[:-1]
        wrong = np.where(on, after_on, ~(after_on & same))
        tangled[sequence[wrong] - 1] = True
    return tangled


def _scan(
    config: MusicalGrammarConfig, initial: State, along: _Along, stage: Ints, part: Ints, slots: int
) -> State:
    """``states_along`` for sequences that are not tangled: every field is a running sum or a carry."""
    raw, tokens = along.raw, along.tokens
    rows = len(raw)
    new = _next_values(config.voices)
    carried: dict[str, Any] = {"part": part}
    for index, name in enumerate(_CARRIED[1:], start=1):
        values = new[:, index].take(tokens)
        carried[name] = along.carrier(values != _UNCHANGED)(values, getattr(initial, name))
    tick = along.running_sum(_TICKS.take(tokens), initial.tick)
    kinds = _KINDS.take(tokens)
    on, off = kinds == Kind.NOTE_ON, kinds == Kind.NOTE_OFF
    shape = (rows, config.voices)
    last_token = raw.astype(np.int32)
    last_token[along.starts] = initial.last_token
    left = np.full(rows, -1, np.int32) if along.ended is None else along.ended.astype(np.int32) - 1
    state = State(
        bar_ticks=along.spread(initial.bar_ticks),
        end_tick=along.spread(initial.end_tick),
        tokens_left=along.running_sum(left, initial.tokens_left),
        transposition=along.spread(initial.transposition),
        stage=stage,
        tick=tick,
        notes=along.running_sum(on, initial.notes),
        last_token=last_token,
        run=_runs(along),
        pedal=np.zeros(shape, np.int32),
        last_pitch=np.empty(shape, np.int32),
        held_pitch=np.full((*shape, slots), SILENT, np.int32),
        held_onset=np.zeros((*shape, slots), np.int32),
        held_until=np.full((*shape, slots), FAR, np.int32),
        **carried,
    )
    pitch = _VALUES.take(tokens)
    until = _until(config, tick, state.end_tick)
    for index in range(config.voices):
        here = part == index
        begins, ends = on & here, off & here
        since_begun, since_moved = along.carrier(begins.copy()), along.carrier(begins | ends)
        state.last_pitch[:, index] = since_begun(pitch, initial.last_pitch[:, index])
        onset = initial.held_onset[:, index, 0]
        state.held_onset[:, index, 0] = since_begun(tick, onset)
        now = np.where(begins, pitch, SILENT)
        state.held_pitch[:, index, 0] = since_moved(now, initial.held_pitch[:, index, 0])
        due = np.where(begins, until, FAR)
        state.held_until[:, index, 0] = since_moved(due, initial.held_until[:, index, 0])
        if config.sustain:
            pedal = np.where(here, _NEXT_PEDAL.take(tokens), _UNCHANGED)
            moved = along.carrier(pedal != _UNCHANGED)
            state.pedal[:, index] = moved(pedal, initial.pedal[:, index])
    return state


def _runs(along: _Along) -> Ints:
    """(N,) how often the token of each row stands in a row."""
    begins = np.ones(len(along.raw), np.bool_)
    begins[1:] = along.raw[1:] != along.raw[:-1]
    begins[along.starts] = True
    second = along.starts[along.lengths > 1] + 1
    begins[second] = True  # a first token never continues the PAD before it
    at = np.flatnonzero(begins)
    run = np.arange(1, len(begins) + 1, dtype=np.int32)
    run -= np.repeat(at.astype(np.int32), np.diff(at, append=len(begins)))
    run[along.starts] = 0
    return run


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
