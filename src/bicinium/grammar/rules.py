"""The built-in rules. Each function answers one question: does this token break the rule?

A token is given as its ``kind`` and its ``value``: a pitch, a number of ticks, a velocity bin or a
part. The state is that of one sequence, before the token. Validator, mask, loss, data filter and
model all ask these functions; nothing else in the package says what is grammatical.

Compiled when the package is built; the C types are in ``rules.pxd``.
"""

from __future__ import annotations

from array import array
from collections.abc import Collection

from bicinium.grammar.state import State
from bicinium.grammar.terms import (
    ARRIVED,
    BEFORE_START,
    BEFORE_TEMPO,
    END,
    ENDED,
    ENTERED,
    FAR,
    FIRST_TOKEN,
    FIRST_VALUE,
    KIND_OF,
    LONG,
    NOTE_OFF,
    NOTE_ON,
    OFF,
    ON,
    PAD,
    PART,
    PEDAL,
    READY,
    START,
    SUSTAIN_OFF,
    SUSTAIN_ON,
    TEMPO,
    TIME_SHIFT,
    TOKENS_OF_KIND,
    VALUE_OF,
    VELOCITY,
)
from bicinium.music.score import HIGHEST_PITCH, LOWEST_PITCH
from bicinium.tokenizer.vocabulary import VOCAB_SIZE

HIGHEST = HIGHEST_PITCH
LOWEST = LOWEST_PITCH
TOKENS = VOCAB_SIZE
_kind_of = memoryview(array("i", KIND_OF))
_value_of = memoryview(array("i", VALUE_OF))
_first_token = memoryview(array("i", FIRST_TOKEN))
_first_value = memoryview(array("i", FIRST_VALUE))
_tokens_of_kind = memoryview(array("i", TOKENS_OF_KIND))


def pairing(state: State, kind: int, value: int) -> bool:
    """NOTE_OFF only for a pitch that sounds in the part, NOTE_ON only for one that does not. The
    pedal likewise. At END some note has sounded, no note sounds and no pedal is down.
    """
    if kind == NOTE_ON:
        return sounds_here(state, value)
    if kind == NOTE_OFF:
        return not sounds_here(state, value)
    if kind == SUSTAIN_ON:
        return not state.limits.sustain or state.pedal[state.part] == 1
    if kind == SUSTAIN_OFF:
        return not state.limits.sustain or state.pedal[state.part] == 0
    if kind == END:
        return state.notes == 0 or state.sounding > 0 or lowest_pedal(state) < FAR
    return False


def duration(state: State, kind: int, value: int) -> bool:
    """A note lasts at least one tick and at most ``max_note_ticks``, and not beyond the last
    barline. If a note must end now, its NOTE_OFF comes before every event that is later in the
    order of the tick.
    """
    if kind in (NOTE_ON, VELOCITY):  # after all NOTE_OFFs of the part
        return passes_over_due_note(state, HIGHEST + 1)
    if kind == NOTE_OFF:
        return began_now(state, value) or passes_over_due_note(state, value)
    if kind in (SUSTAIN_ON, SUSTAIN_OFF):  # before all NOTE_OFFs of the part
        return passes_over_due_note(state, LOWEST)
    if kind == PART:
        return value > first_part_due(state)
    if kind == TIME_SHIFT:
        return value > ticks_until_due(state)
    return False


def time(state: State, kind: int, value: int) -> bool:
    """TIME_SHIFTs are canonical: only the longest may be followed by another. The piece ends on a
    barline. If a number of bars was requested, that is the last one, and on it notes may only end
    and pedals only be lifted.
    """
    if kind == TIME_SHIFT:
        return value > ticks_until_end(state)
    if kind == END:  # too early for the requested end, or not on a barline
        return state.tick < state.end_tick < FAR or state.position_in_bar() != 0
    if state.tick != state.end_tick:
        return False
    # On the last barline, and no event may skip a pedal that is still down.
    if kind in (NOTE_ON, VELOCITY, SUSTAIN_ON):
        return True
    if kind == NOTE_OFF:
        return lowest_pedal(state) <= state.part
    if kind == SUSTAIN_OFF:
        return lowest_pedal(state) < state.part
    if kind == PART:
        return not state.is_open(value) or lowest_pedal(state) < value
    return False


def voices(state: State, kind: int, value: int) -> bool:
    """At most ``max_polyphony`` notes sound in a part, and only the parts in use have notes."""
    if kind == NOTE_ON:
        return state.sounding_in(state.part) >= state.limits.max_polyphony
    if kind == PART:
        return value >= state.limits.voices
    return False


def order(state: State, kind: int, value: int) -> bool:
    """Every piece has one encoding: START, TEMPO, music, END, PAD. In a tick the numbers of the
    parts rise. In a part one pedal token comes first, then NOTE_OFF, then NOTE_ON, pitches rising.
    A pedal token or a note of that part follows every PART.
    """
    return out_of_place(state, kind) or out_of_order(state, kind, value)


def out_of_place(state: State, kind: int) -> bool:
    """Half of ``order``: may this kind of token not come at this moment, whatever its value?"""
    if state.stage == BEFORE_START:
        return kind != START
    if state.stage == BEFORE_TEMPO:
        return kind != TEMPO
    if state.stage == ENDED:
        return kind != PAD
    if state.moment == READY:
        return kind != NOTE_ON
    if kind in (NOTE_ON, VELOCITY):
        return False
    if kind == NOTE_OFF:
        return state.moment == ON
    if kind in (SUSTAIN_ON, SUSTAIN_OFF):
        return state.moment == PEDAL or state.moment == OFF or state.moment == ON
    if kind in (PART, TIME_SHIFT, END):
        return state.moment == ENTERED
    return True  # a second START or TEMPO, PAD, UNK


def out_of_order(state: State, kind: int, value: int) -> bool:
    """The other half of ``order``: pitches rise, parts rise, PART names another part."""
    if kind == NOTE_ON:
        return value <= state.last_on
    if kind == NOTE_OFF:
        return value <= state.last_off
    if kind == PART:
        if state.moment == ARRIVED or state.moment == LONG or state.moment == ENTERED:
            return value == state.part
        return value <= state.part
    return False


def velocity(state: State, kind: int, value: int) -> bool:
    """Audible bins only. A VELOCITY comes before the first note, and later only for a change. It
    needs a NOTE_ON that can follow it (``Judge.some_note_fits`` checks this).
    """
    if kind == VELOCITY:
        return value < state.limits.lowest_velocity_bin or value == state.velocity
    if kind == NOTE_ON:
        return state.velocity < 0
    return False


def repetition(state: State, kind: int, value: int) -> bool:
    """At most ``max_identical_tokens`` identical tokens in a row. PAD is free."""
    if state.run < state.limits.max_identical_tokens or state.stage == ENDED:
        return False
    return kind == _kind_of[state.last_token] and value == _value_of[state.last_token]


def pitch_range(state: State, kind: int, value: int) -> bool:
    """Each part stays inside its range, in the key in which the piece will sound."""
    if kind == NOTE_ON:
        sounding_pitch = value + state.transposition
        lowest = state.limits.lowest_pitch[state.part]
        return not lowest <= sounding_pitch <= state.limits.highest_pitch[state.part]
    return False


def sounds_here(state: State, pitch: int) -> bool:
    """Does this pitch sound in the current part?"""
    for slot in range(state.part * state.slots, (state.part + 1) * state.slots):
        if state.held_pitch[slot] == pitch:
            return True
    return False


def began_now(state: State, pitch: int) -> bool:
    """Did a note of this pitch begin in the current part in this very tick?"""
    for slot in range(state.part * state.slots, (state.part + 1) * state.slots):
        if state.held_pitch[slot] == pitch and state.held_onset[slot] == state.tick:
            return True
    return False


def first_part_due(state: State) -> int:
    """The lowest part with a note that must end in this tick; FAR if there is none."""
    if state.first_due > state.tick:
        return FAR
    for part in range(state.limits.voices):
        if first_pitch_due(state, part) < FAR:
            return part
    return FAR


def first_pitch_due(state: State, part: int) -> int:
    """The lowest pitch of the part that must end in this tick; FAR if there is none."""
    lowest = FAR
    for slot in range(part * state.slots, (part + 1) * state.slots):
        if state.held_until[slot] == state.tick:
            lowest = min(lowest, state.held_pitch[slot])
    return lowest


def passes_over_due_note(state: State, pitch: int) -> bool:
    """Would an event at this pitch of the current part skip a NOTE_OFF that is due in this tick?
    In the order of a tick that NOTE_OFF could not follow it.
    """
    if state.first_due > state.tick:
        return False
    return first_part_due(state) < state.part or first_pitch_due(state, state.part) < pitch


def ticks_until_due(state: State) -> int:
    """Ticks until the first sounding note must end. FAR if it is overdue: that has been
    reported.
    """
    return state.first_due - state.tick if state.first_due >= state.tick else FAR


def ticks_until_end(state: State) -> int:
    """The most ticks that a TIME_SHIFT may last: to the last barline, or, before the first note, to
    the tick before it. 0 after a TIME_SHIFT that was not the longest.
    """
    if state.moment == ARRIVED:
        return 0
    if state.tick > state.end_tick:
        return FAR  # has been reported
    ticks = state.end_tick - state.tick
    return ticks - 1 if state.notes == 0 else ticks


def lowest_pedal(state: State) -> int:
    """The lowest part whose pedal is down; FAR if there is none."""
    if not state.limits.sustain:
        return FAR
    for part in range(state.limits.voices):
        if state.pedal[part] == 1:
            return part
    return FAR


def breaks(rule: int, state: State, kind: int, value: int) -> bool:
    """Does the token break the rule of this number, counted as in ``config.RULE_NAMES``?"""
    if rule == 0:
        return pairing(state, kind, value)
    if rule == 1:
        return duration(state, kind, value)
    if rule == 2:
        return time(state, kind, value)
    if rule == 3:
        return voices(state, kind, value)
    if rule == 4:
        return order(state, kind, value)
    if rule == 5:
        return velocity(state, kind, value)
    if rule == 6:
        return repetition(state, kind, value)
    return pitch_range(state, kind, value)


def mark_broken(rule: int, state: State, broken: memoryview) -> None:
    """Write 1 for each token that breaks the rule, and 0 for each other, into ``broken`` (V,)."""
    for token in range(TOKENS):
        broken[token] = breaks(rule, state, _kind_of[token], _value_of[token])


class RuleSet:
    """The rules that a grammar obeys, asked all at once."""

    def __init__(self, names: Collection[str]) -> None:
        self.pairing = "pairing" in names
        self.duration = "duration" in names
        self.time = "time" in names
        self.voices = "voices" in names
        self.order = "order" in names
        self.velocity = "velocity" in names
        self.repetition = "repetition" in names
        self.pitch_range = "range" in names

    def forbids(self, state: State, kind: int, value: int) -> bool:
        """Do the rules forbid a token? A VELOCITY that no NOTE_ON can follow counts as legal."""
        return (
            (self.order and out_of_place(state, kind))
            or self.forbids_value(state, kind, value)
            or (self.velocity and velocity(state, kind, value))
            or (self.repetition and repetition(state, kind, value))
        )

    def forbids_value(self, state: State, kind: int, value: int) -> bool:
        """Do the rules forbid a token? ``velocity``, ``repetition`` and ``out_of_place`` are not
        asked.
        """
        return (
            (self.voices and voices(state, kind, value))
            or (self.pairing and pairing(state, kind, value))
            or (self.order and out_of_order(state, kind, value))
            or (self.time and time(state, kind, value))
            or (self.pitch_range and pitch_range(state, kind, value))
            or (self.duration and duration(state, kind, value))
        )

    def mark_legal(self, state: State, kind: int, legal: memoryview) -> None:
        """Write 1 for each legal token of a kind, and 0 for each other, into ``legal`` (V,).

        A VELOCITY that no NOTE_ON can follow counts as legal here.
        """
        first = _first_token[kind]
        count = _tokens_of_kind[kind]
        if self.order and out_of_place(state, kind):
            for token in range(first, first + count):
                legal[token] = 0
        elif kind == TIME_SHIFT:
            after_longest = first + max(0, min(self.longest_shift(state), count))
            for token in range(first, after_longest):
                legal[token] = 1
            for token in range(after_longest, first + count):
                legal[token] = 0
        else:
            for index in range(count):
                value = _first_value[kind] + index
                forbidden = self.forbids_value(state, kind, value)
                if self.velocity and not forbidden:
                    forbidden = velocity(state, kind, value)
                legal[first + index] = not forbidden
        token = max(0, state.last_token)
        if self.repetition and repetition(state, kind, _value_of[token]):
            legal[token] = 0

    def longest_shift(self, state: State) -> int:
        """Ticks of the longest TIME_SHIFT that ``duration`` and ``time`` allow."""
        longest = FAR
        if self.duration:
            longest = min(longest, ticks_until_due(state))
        if self.time:
            longest = min(longest, ticks_until_end(state))
        return longest
