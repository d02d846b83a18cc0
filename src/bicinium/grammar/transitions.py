"""What a token does to the state, in many sequences at once.

Any token is taken, legal or not: the last event wins. A NOTE_OFF of what does not sound changes
nothing, a NOTE_ON of what sounds begins it anew, after END nothing happens. Knows no rules.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bicinium.grammar.rules import (
    FAR,
    SILENT,
    Ints,
    Moment,
    MusicalGrammarConfig,
    Stage,
    State,
    column,
)
from bicinium.tokenizer.vocabulary import BLOCKS, MAX_SHIFT_TICKS, PAD, VALUES, VOCAB_SIZE, Kind

UNCHANGED = -2  # in the tables below: this token leaves the field as it is


def _by_token(default: int, **of_kind: Any) -> Ints:
    """(V,) a table with an entry for each token, by its kind."""
    table = np.full(VOCAB_SIZE, default, np.int32)
    for name, entry in of_kind.items():
        table[BLOCKS[Kind[name]].ids] = entry
    return table


_SHIFTS, _PARTS = BLOCKS[Kind.TIME_SHIFT].values, BLOCKS[Kind.PART].values
_PITCHES = BLOCKS[Kind.NOTE_ON].values
_VALUES = VALUES.astype(np.int32)
NEXT_PEDAL = _by_token(UNCHANGED, SUSTAIN_ON=1, SUSTAIN_OFF=0)

# the columns of ``next_values``: fields that keep their value until a token sets it, and two others
CARRIED = ("part", "moment", "velocity", "last_on", "last_off")
PART, MOMENT, TICKS, STAGE = 0, 1, 5, 6


@cache
def next_values(voices: int) -> Ints:
    """(V, 7) what each token makes of the ``CARRIED`` fields, the ticks it takes, and the stage it
    leads to at least. A PART that is not in use sets nothing.
    """
    in_use = voices > _PARTS
    moments = _by_token(
        UNCHANGED,
        TIME_SHIFT=np.where(_SHIFTS == MAX_SHIFT_TICKS, Moment.LONG, Moment.ARRIVED),
        PART=np.where(in_use, Moment.ENTERED, UNCHANGED),
        SUSTAIN_ON=Moment.PEDAL,
        SUSTAIN_OFF=Moment.PEDAL,
        NOTE_OFF=Moment.OFF,
        NOTE_ON=Moment.ON,
        VELOCITY=Moment.READY,
    )
    forgotten = np.where(in_use, 0, UNCHANGED)
    columns = (
        _by_token(UNCHANGED, PART=np.where(in_use, _PARTS, UNCHANGED)),
        moments,
        _by_token(UNCHANGED, VELOCITY=BLOCKS[Kind.VELOCITY].values),
        _by_token(UNCHANGED, NOTE_ON=_PITCHES, TIME_SHIFT=0, PART=forgotten),
        _by_token(UNCHANGED, NOTE_OFF=_PITCHES, TIME_SHIFT=0, PART=forgotten),
        _by_token(0, TIME_SHIFT=_SHIFTS),
        _by_token(Stage.MUSIC, START=Stage.BEFORE_TEMPO, END=Stage.ENDED),
    )
    return np.stack(columns, axis=1)


def advance(config: MusicalGrammarConfig, state: State, tokens: NDArray[np.integer]) -> None:
    """Move each row of ``state`` by its token (B,), in place."""
    state.derived.clear()
    state.run += 1
    np.copyto(state.run, 1, where=tokens != state.last_token)
    state.last_token[:] = tokens
    state.tokens_left -= 1
    tokens = np.where(state.stage == Stage.ENDED, PAD, tokens)  # which does nothing
    new = next_values(config.voices).take(tokens, axis=0)  # (B, 7)
    changed = new != UNCHANGED
    for index, name in enumerate(CARRIED):
        np.copyto(getattr(state, name), new[:, index], where=changed[:, index])
    state.tick += new[:, TICKS]
    np.maximum(state.stage, new[:, STAGE], out=state.stage)
    if config.sustain:
        moved = np.flatnonzero(NEXT_PEDAL[tokens] != UNCHANGED)
        state.pedal[moved, state.part[moved]] = NEXT_PEDAL[tokens[moved]]
    for moment, move in ((Moment.ON, _begin_notes), (Moment.OFF, _end_notes)):
        rows = (new[:, MOMENT] == moment).nonzero()[0]
        if len(rows):
            move(config, state, rows, _VALUES.take(tokens[rows]))


def until(config: MusicalGrammarConfig, onset: Ints, end_tick: Ints) -> Ints:
    """The tick by which a note begun at ``onset`` must end."""
    tick = onset + np.int32(config.max_note_ticks)
    return np.minimum(tick, end_tick, out=tick, where=onset < end_tick)


def _begin_notes(
    config: MusicalGrammarConfig, state: State, rows: NDArray[np.integer], pitch: Ints
) -> None:
    """Begin a note of ``pitch`` in the current part of these rows."""
    voices, slots = state.held_pitch.shape[1:]
    part = state.part[rows]
    line = rows * voices + part  # the index in (B, P) …
    at = line * slots  # … and in (B, P, S)
    if slots > 1:  # the slot of the same pitch, else a free one, else that of the oldest note
        held = state.held_pitch.reshape(-1, slots)[line]
        since = np.where(held == SILENT, -1, state.held_onset.reshape(-1, slots)[line])
        at += np.where(held == column(pitch), -2, since).argmin(axis=1)
    tick = state.tick[rows]
    state.held_pitch.put(at, pitch)
    state.held_onset.put(at, tick)
    state.held_until.put(at, until(config, tick, state.end_tick[rows]))
    for recent, latest in ((state.recent_pitch, pitch), (state.recent_onset, tick)):
        recent[rows, part, 1:] = recent[rows, part, :-1]
        recent[rows, part, 0] = latest
    state.notes[rows] += 1


def _end_notes(
    _: MusicalGrammarConfig, state: State, rows: NDArray[np.integer], pitch: Ints
) -> None:
    """End the note of ``pitch`` in the current part of these rows, where it sounds."""
    voices, slots = state.held_pitch.shape[1:]
    line = rows * voices + state.part[rows]
    sounds, slot = (state.held_pitch.reshape(-1, slots)[line] == column(pitch)).nonzero()
    at = line[sounds] * slots + slot
    state.held_pitch.put(at, SILENT)
    state.held_until.put(at, FAR)
