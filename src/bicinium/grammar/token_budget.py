"""The way out: how a piece with a limited number of tokens is always brought to its end.

``reserve`` is how many tokens the way out needs at most. While there are more, everything legal is
allowed; when only the reserve is left, ``restrict`` allows nothing but the next step of the way:
end what can end, move one tick on, end the rest, fill up to the barline with rests, END.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bicinium.grammar.rules import FAR, Bools, Ints, Moment, Stage, State, is_any
from bicinium.tokenizer.vocabulary import BLOCKS, END, MAX_SHIFT_TICKS, VOCAB_SIZE, Kind, token_id

_GROWTH = 3  # a single token (a NOTE_ON) makes the reserve at most so much larger
_LONGEST_REST_TICKS = 4 * MAX_SHIFT_TICKS - 1  # three longest shifts and one that is not
_MOST_CLOSING = 32  # for each slot, far more tokens than closing could take
_LEAST_TICKS_A_REST = 64  # far fewer than a token of a rest takes
_ONE_MORE_NOTE = 5  # VELOCITY, NOTE_ON, TIME_SHIFT, PART, NOTE_OFF


def reserve(state: State) -> Ints:
    """(B,) tokens, END included, that are enough to end the piece from here."""
    header = np.maximum(Stage.MUSIC - state.stage, 0)
    sounding = state.sounding
    moving = sounding.any(axis=2) | (state.pedal > 0)  # (B, P) parts that need a PART and ends
    ends = sounding.sum(axis=(1, 2)) + state.pedal.sum(axis=1) + 2 * moving.sum(axis=1)
    gap = _gap(state)
    rests = -(-gap // MAX_SHIFT_TICKS) + 7 * (gap // _LONGEST_REST_TICKS)
    one_tick_on, last_shift, end = 1, 1, 1
    total = header + ends + one_tick_on + _ONE_MORE_NOTE + rests + last_shift + end
    return np.where(state.stage == Stage.ENDED, 0, total).astype(np.int32)


def _gap(state: State) -> Ints:
    """(B,) ticks to the last barline, or, where it may be any, a bar."""
    return np.where(state.end_tick < FAR, state.end_tick - state.tick, state.bar_ticks)


def restrict(state: State, forbidden: Bools) -> None:
    """Forbid (B, 774) in the rows that are short of tokens all but the way out."""
    if "plenty" not in state.lasting:  # the reserve is never larger, and seldom looked at
        slots = state.held_pitch[0].size
        state.lasting["plenty"] = _MOST_CLOSING * slots + _gap(state) // _LEAST_TICKS_A_REST
    if not is_any(state.tokens_left <= state.lasting["plenty"]):
        return
    scarce = (state.stage == Stage.MUSIC) & (state.tokens_left <= reserve(state) + _GROWTH)
    for row in np.flatnonzero(scarce):
        forbidden[row] = ~_next_step(state.take(np.array([row])), ~forbidden[row])


def _next_step(state: State, allowed: Bools) -> Bools:
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
    for ending in (only(Kind.SUSTAIN_OFF), only(Kind.NOTE_OFF)):
        if ending.any():
            return ending
    if state.moment[0] == Moment.ENTERED:
        return beginning
    open_parts = np.flatnonzero(state.sounding[0].any(axis=1) | (state.pedal[0] > 0)).tolist()
    for part in open_parts:
        if only(Kind.PART, [part]).any():
            return only(Kind.PART, [part])
    if open_parts:
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
