"""The token budget: how a piece with a limited number of tokens is always brought to its end.

``reserve`` is the largest number of tokens that closing takes. While more are left, everything
legal is allowed. When only the reserve is left, ``keep_way_out`` allows nothing but the next step
of closing: end what can end, move one tick on, end the rest, rest up to the barline, END.

Compiled when the package is built; the C types are in ``token_budget.pxd``.
"""

from __future__ import annotations

from array import array

from bicinium.grammar.state import State
from bicinium.grammar.terms import (
    ARRIVED,
    END,
    ENDED,
    ENTERED,
    FAR,
    FIRST_TOKEN,
    MUSIC,
    NOTE_OFF,
    NOTE_ON,
    PART,
    READY,
    SUSTAIN_OFF,
    TIME_SHIFT,
    TOKENS_OF_KIND,
    VELOCITY,
)
from bicinium.tokenizer.vocabulary import MAX_SHIFT_TICKS, VOCAB_SIZE

GROWTH = 3  # a single token, a NOTE_ON, makes the reserve larger by at most this
ONE_MORE_NOTE = 5  # VELOCITY, NOTE_ON, TIME_SHIFT, PART, NOTE_OFF
LONGEST_SHIFT = MAX_SHIFT_TICKS
LONGEST_REST = 4 * MAX_SHIFT_TICKS - 1  # ticks of three longest shifts and one that is shorter
TOKENS = VOCAB_SIZE
_first_token = memoryview(array("i", FIRST_TOKEN))
_tokens_of_kind = memoryview(array("i", TOKENS_OF_KIND))


def reserve(state: State) -> int:
    """An upper bound on the tokens needed to end the piece from here, END included."""
    if state.stage == ENDED:
        return 0
    header = max(MUSIC - state.stage, 0)
    events = state.sounding  # a NOTE_OFF for each note, a SUSTAIN_OFF for each pedal …
    for part in range(state.limits.voices):
        events += state.pedal[part]
        if state.is_open(part):
            events += 2  # … and for each part that has any a PART, now or a tick later
    gap = ticks_to_fill(state)
    rests = -(-gap // LONGEST_SHIFT) + 7 * (gap // LONGEST_REST)
    one_tick_on = last_shift = end = 1
    return header + events + one_tick_on + ONE_MORE_NOTE + rests + last_shift + end


def keep_way_out(state: State, allowed: memoryview) -> None:
    """If few tokens are left, allow only the next token of the ending, in ``allowed`` (V,)."""
    if state.stage != MUSIC or state.tokens_left == FAR:
        return
    if state.tokens_left > reserve(state) + GROWTH:
        return
    token = _next_step(state, allowed)
    if token >= 0:
        possible = allowed[token]
        for other in range(TOKENS):
            allowed[other] = 0
        allowed[token] = possible


def _next_step(state: State, allowed: memoryview) -> int:
    """The token that is the next step of the ending. If any token of a kind will do, keep that kind
    in ``allowed`` and answer -1.
    """
    beginning = VELOCITY if state.velocity < 0 else NOTE_ON
    if state.moment == READY:
        return _only(NOTE_ON, allowed)
    if _any_allowed(SUSTAIN_OFF, allowed):
        return _only(SUSTAIN_OFF, allowed)
    if _any_allowed(NOTE_OFF, allowed):
        return _only(NOTE_OFF, allowed)
    if state.moment == ENTERED:
        return _only(beginning, allowed)
    some_part_is_open = False
    for part in range(state.limits.voices):
        if state.is_open(part):
            some_part_is_open = True
            if allowed[_first_token[PART] + part]:
                return _first_token[PART] + part
    if some_part_is_open:
        return _shift(1)
    if allowed[_first_token[END]]:
        return _first_token[END]
    if state.notes == 0 or state.moment == ARRIVED:
        return _only(beginning, allowed)
    if state.end_tick < FAR:
        gap = state.end_tick - state.tick
    else:
        gap = state.bar_ticks - state.position_in_bar()
    ticks = max(1, min(gap, LONGEST_SHIFT))
    if not allowed[_shift(ticks)]:  # it would be the fourth of the longest in a row
        ticks = max(1, min(gap, LONGEST_SHIFT - 1))
    return _shift(ticks)


def ticks_to_fill(state: State) -> int:
    """Ticks to the last barline, or, if any barline will do, a bar."""
    return state.end_tick - state.tick if state.end_tick < FAR else state.bar_ticks


def _shift(ticks: int) -> int:
    """The token of a TIME_SHIFT."""
    return _first_token[TIME_SHIFT] + ticks - 1


def _any_allowed(kind: int, allowed: memoryview) -> bool:
    """Is any token of the kind allowed?"""
    first = _first_token[kind]
    for token in range(first, first + _tokens_of_kind[kind]):
        if allowed[token]:
            return True
    return False


def _only(kind: int, allowed: memoryview) -> int:
    """Forbid every token that is not of the kind."""
    first = _first_token[kind]
    after = first + _tokens_of_kind[kind]
    for token in range(TOKENS):
        if token < first or token >= after:
            allowed[token] = 0
    return -1
