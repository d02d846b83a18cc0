"""The eight hard rules, each a set of questions to the state: may this token come next?

``State`` holds, for a batch of sequences, what has happened so far. A rule is a class with one
method for each kind of token it has an opinion on; the method takes the state and the token's value
(a pitch, ticks, a bin, a part) and answers with a boolean array: True where the rule forbids it.
State columns have shape (B, 1) there and values (1, n) or (B, 1), so that the same line of code
judges all pitches at once (the mask) and one token a row (the validator).

To write a rule of your own, subclass Rule, name it, and answer for the kinds you care about.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, fields
from enum import IntEnum
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from bicinium.errors import GrammarError
from bicinium.score.notes import HIGHEST_PITCH, LOWEST_PITCH, pitch_name
from bicinium.tokens.codec import LOWEST_AUDIBLE_BIN
from bicinium.tokens.vocabulary import MAX_PARTS, MAX_SHIFT_TICKS, Kind, describe

Ints: TypeAlias = NDArray[np.int32]
Bools: TypeAlias = NDArray[np.bool_]
Forbidden: TypeAlias = Bools | bool

FAR = 2**30  # a tick or a token count that is never reached
SILENT = -1  # in ``held_pitch``: nothing in this slot


class Stage(IntEnum):
    """Where in the sequence we are."""

    BEFORE_START = 0
    BEFORE_TEMPO = 1
    MUSIC = 2
    ENDED = 3


class Moment(IntEnum):
    """What has happened in this tick; the canonical order is a walk through these."""

    ARRIVED = 0  # by a TIME_SHIFT that ends a run: an event or END must follow
    LONG = 1  # by a longest TIME_SHIFT, or at the beginning: a further TIME_SHIFT may follow
    ENTERED = 2  # a PART was named: an event in it must follow
    OFF = 3  # a note of this part has ended
    ON = 4  # a note of this part has begun
    READY = 5  # a VELOCITY was named: a NOTE_ON must follow


@dataclass(frozen=True)
class MusicalGrammarConfig:
    """What the grammar asks for. Immutable; ``config_hash`` names it."""

    voices: int = 2  # parts 0 to voices - 1 are in use
    max_polyphony: int = 1  # notes that may sound at once in a part
    max_note_ticks: int = 960  # ten bars of 4/4
    lowest_velocity_bin: int = LOWEST_AUDIBLE_BIN
    max_identical_tokens: int = 3
    ranges: tuple[tuple[int, int], ...] = ((LOWEST_PITCH, HIGHEST_PITCH),) * 2  # of each part
    rules: tuple[str, ...] = (
        "pairing",
        "duration",
        "time",
        "voices",
        "order",
        "velocity",
        "repetition",
        "range",
    )

    def __post_init__(self) -> None:
        if not 1 <= self.voices <= MAX_PARTS:
            raise GrammarError(f"voices={self.voices} must be 1 to {MAX_PARTS}")
        if len(self.ranges) != self.voices:
            raise GrammarError(
                f"{len(self.ranges)} ranges for {self.voices} voices: give one (low, high) a voice"
            )
        for part, (low, high) in enumerate(self.ranges):
            if low > high:
                raise GrammarError(
                    f"rule 'range' leaves part {part} no pitch: {low} is over {high}"
                )
        for name in ("max_polyphony", "max_note_ticks", "max_identical_tokens"):
            if getattr(self, name) < 1:
                raise GrammarError(f"{name}={getattr(self, name)} must be 1 or more")
        unknown = set(self.rules) - set(RULES)
        if unknown:
            raise GrammarError(
                f"unknown rules {', '.join(sorted(unknown))}; there are {', '.join(RULES)}"
            )

    @property
    def config_hash(self) -> str:
        """Sixteen hex digits that change with any field."""
        return hashlib.sha256(json.dumps(asdict(self)).encode()).hexdigest()[:16]


@dataclass(slots=True)
class State:
    """What has happened in each of B sequences. All arrays are int32, the first axis is B.

    S slots a part hold the sounding notes; slots beyond ``max_polyphony`` keep track of notes that
    broke the rule ``voices``.
    """

    # what was asked for
    bar_ticks: Ints  # (B,) 0 where the metre is unknown
    end_tick: Ints  # (B,) the barline on which the piece must end; FAR where it may be any
    tokens_left: Ints  # (B,) that may still be written, END included; FAR where unlimited
    transposition: Ints  # (B,) semitones that will be added after decoding
    # what has happened
    stage: Ints  # (B,) Stage
    moment: Ints  # (B,) Moment
    tick: Ints  # (B,)
    part: Ints  # (B,)
    velocity: Ints  # (B,) bin, -1 before the first
    notes: Ints  # (B,) begun so far
    last_on: Ints  # (B,) pitch of the last NOTE_ON in this tick and part, 0 if there was none
    last_off: Ints  # (B,) likewise of the last NOTE_OFF
    last_token: Ints  # (B,)
    run: Ints  # (B,) how often last_token stands in a row
    last_pitch: Ints  # (B, P) of the last note begun in each part, 0 before the first
    held_pitch: Ints  # (B, P, S) sounding pitches, SILENT where none
    held_onset: Ints  # (B, P, S) their onset ticks

    def __len__(self) -> int:
        return len(self.tick)

    def take(self, rows: NDArray[np.integer]) -> State:
        """A copy of the rows asked for."""
        return State(*(getattr(self, field.name)[rows] for field in fields(self)))

    def copy(self) -> State:
        return self.take(np.arange(len(self)))

    @property
    def position(self) -> Ints:
        """(B,) ticks since the last barline; 0 where the metre is unknown."""
        return self.tick % np.maximum(self.bar_ticks, 1)

    @property
    def sounding(self) -> Bools:
        """(B, P, S) which slots hold a note."""
        return np.not_equal(self.held_pitch, SILENT)

    @property
    def silent(self) -> Bools:
        """(B,) True where no note sounds in any part."""
        return ~self.sounding.any(axis=(1, 2))

    def here(self, by_part: NDArray[Any]) -> NDArray[Any]:
        """(B, …) the entry of the current part in an array of shape (B, P, …)."""
        return by_part[np.arange(len(self)), self.part]


def _column(values: NDArray[Any]) -> NDArray[Any]:
    """(B,) → (B, 1), to stand against token values."""
    return values[:, None]


class Rule:
    """A rule that forbids nothing. Subclasses answer for the kinds they have an opinion on.

    ``weight`` is the exponent of the rule's own score in ``grammar_score``.
    """

    name = "rule"
    weight = 1.0

    def __init__(self, config: MusicalGrammarConfig) -> None:
        self.config = config

    def note_on(self, state: State, pitch: Ints) -> Forbidden:
        return False

    def note_off(self, state: State, pitch: Ints) -> Forbidden:
        return False

    def time_shift(self, state: State, ticks: Ints) -> Forbidden:
        return False

    def velocity(self, state: State, velocity_bin: Ints) -> Forbidden:
        return False

    def part(self, state: State, part: Ints) -> Forbidden:
        return False

    def end(self, state: State, _: Ints) -> Forbidden:
        return False

    def any_token(self, state: State, kind: Kind, token: Ints) -> Forbidden:
        """Asked about every token of every kind, with its id instead of its value."""
        return False

    def message(self, state: State, token: int) -> str:
        """Why ``token`` may not come next in ``state`` (a single row): the end of a sentence."""
        return f"breaks the rule {self.name}"

    def forbids(self, state: State, kind: Kind, value: Ints, token: Ints) -> Forbidden:
        """True where the token may not come next; the shape is that of state against value."""
        ask = _QUESTIONS.get(kind)
        answer = getattr(self, ask)(state, value) if ask else False
        return answer | self.any_token(state, kind, token)


_QUESTIONS = {
    Kind.NOTE_ON: "note_on",
    Kind.NOTE_OFF: "note_off",
    Kind.TIME_SHIFT: "time_shift",
    Kind.VELOCITY: "velocity",
    Kind.PART: "part",
    Kind.END: "end",
}


class Pairing(Rule):
    """NOTE_OFF only for a pitch that sounds in the part, NOTE_ON only for one that does not;
    at END something has sounded and nothing sounds."""

    name = "pairing"
    weight = 2.0

    def _sounds(self, state: State, pitch: Ints) -> Bools:
        return (state.here(state.held_pitch)[:, :, None] == pitch[:, None, :]).any(axis=1)

    def note_on(self, state: State, pitch: Ints) -> Forbidden:
        return self._sounds(state, pitch)

    def note_off(self, state: State, pitch: Ints) -> Forbidden:
        return ~self._sounds(state, pitch)

    def end(self, state: State, _: Ints) -> Forbidden:
        return _column(~state.silent | (state.notes == 0))

    def message(self, state: State, token: int) -> str:
        sounding = [pitch_name(p) for p in sorted(state.held_pitch[0].ravel()) if p != SILENT]
        now = f"sounding: {', '.join(sounding)}" if sounding else "nothing is sounding"
        what = describe(token)
        if what.startswith("NOTE_ON"):
            return f"starts a note that is already sounding in this voice; {now}"
        if what.startswith("NOTE_OFF"):
            return f"ends a note that is not sounding in this voice; {now}"
        return f"comes while notes are {now}" if sounding else "comes before any note"


class Duration(Rule):
    """A note lasts at least one tick and at most ``max_note_ticks``."""

    name = "duration"

    def _overdue(self, state: State) -> Bools:
        """(B, P, S) notes that have reached their longest length in this very tick."""
        age = state.tick[:, None, None] - state.held_onset
        return state.sounding & (age == self.config.max_note_ticks)

    def note_on(self, state: State, pitch: Ints) -> Forbidden:
        return skips_note(state, self._overdue(state), pitch * 0 + HIGHEST_PITCH + 1)

    def velocity(self, state: State, velocity_bin: Ints) -> Forbidden:
        return skips_note(state, self._overdue(state), velocity_bin * 0 + HIGHEST_PITCH + 1)

    def note_off(self, state: State, pitch: Ints) -> Forbidden:
        held = state.here(state.held_pitch)[:, :, None] == pitch[:, None, :]
        onset_now = _column(state.here(state.held_onset) == _column(state.tick))
        begun_now = (held & np.swapaxes(onset_now, 1, 2)).any(axis=1)
        return begun_now | skips_note(state, self._overdue(state), pitch)

    def part(self, state: State, part: Ints) -> Forbidden:
        return skips_part(state, self._overdue(state), part)

    def time_shift(self, state: State, ticks: Ints) -> Forbidden:
        age = np.where(state.sounding, state.tick[:, None, None] - state.held_onset, -FAR)
        age = np.where(age > self.config.max_note_ticks, -FAR, age)  # said once, not again
        return ticks > self.config.max_note_ticks - _column(age.max(axis=(1, 2)))

    def message(self, state: State, token: int) -> str:
        if describe(token).startswith("NOTE_OFF"):
            return "ends a note in the tick in which it began, or leaves out one that must end here"
        return f"lets a note sound for more than {self.config.max_note_ticks} ticks"


class Time(Rule):
    """TIME_SHIFTs are canonical; the piece ends on a barline and, where bars were asked for,
    exactly on the last. (The reserve of tokens is the automaton's: see ``closing``.)"""

    name = "time"

    def _must_end(self, state: State) -> Bools:
        """(B, P, S) notes that sound on the last barline."""
        return state.sounding & (state.tick == state.end_tick)[:, None, None]

    def note_on(self, state: State, pitch: Ints) -> Forbidden:
        return _column(state.tick == state.end_tick)

    def velocity(self, state: State, velocity_bin: Ints) -> Forbidden:
        return _column(state.tick == state.end_tick)

    def note_off(self, state: State, pitch: Ints) -> Forbidden:
        return skips_note(state, self._must_end(state), pitch)

    def part(self, state: State, part: Ints) -> Forbidden:
        nothing_to_end = ~_sounds_in(state, part)
        at_end = _column(state.tick == state.end_tick)
        return (at_end & nothing_to_end) | skips_part(state, self._must_end(state), part)

    def time_shift(self, state: State, ticks: Ints) -> Forbidden:
        arrived = _column(state.moment == Moment.ARRIVED)
        left = _column(state.end_tick - state.tick)
        beyond = (ticks > left) & (left >= 0)  # for the first time
        return arrived | beyond | ((ticks == left) & _column(state.notes == 0))

    def end(self, state: State, _: Ints) -> Forbidden:
        on_barline = state.position == 0
        too_early = (state.tick < state.end_tick) & (state.end_tick < FAR)
        return _column(~on_barline | too_early)

    def message(self, state: State, token: int) -> str:
        what = describe(token)
        if what.startswith("TIME_SHIFT") and state.moment[0] == Moment.ARRIVED:
            return f"follows a TIME_SHIFT that was not the longest ({MAX_SHIFT_TICKS} ticks)"
        if what.startswith("TIME_SHIFT"):
            return f"goes beyond the last barline, at tick {state.end_tick[0]}"
        if what.startswith("END"):
            return "does not fall on the last barline"
        return "comes on the last barline, where only notes may end"


class Voices(Rule):
    """At most ``max_polyphony`` notes sound in a part, and only the parts in use do."""

    name = "voices"

    def note_on(self, state: State, pitch: Ints) -> Forbidden:
        return _column(state.here(state.sounding).sum(axis=1) >= self.config.max_polyphony)

    def part(self, state: State, part: Ints) -> Forbidden:
        return part >= self.config.voices

    def message(self, state: State, token: int) -> str:
        if describe(token).startswith("PART"):
            return f"names a part that is not one of the {self.config.voices} voices"
        sounding = [pitch_name(p) for p in state.held_pitch[0, state.part[0]] if p != SILENT]
        return f"is one note too many in this voice; sounding: {', '.join(sounding)}"


class Order(Rule):
    """One spelling only: the header first, parts rising, NOTE_OFF before NOTE_ON, pitches rising,
    PART only for a change that an event follows, nothing but PAD after END."""

    name = "order"

    def note_on(self, state: State, pitch: Ints) -> Forbidden:
        return pitch <= _column(state.last_on)

    def note_off(self, state: State, pitch: Ints) -> Forbidden:
        too_late = (state.moment == Moment.ON) | (state.moment == Moment.READY)
        return _column(too_late) | (pitch <= _column(state.last_off))

    def time_shift(self, state: State, ticks: Ints) -> Forbidden:
        return _column((state.moment == Moment.ENTERED) | (state.moment == Moment.READY))

    def velocity(self, state: State, velocity_bin: Ints) -> Forbidden:
        return _column(state.moment == Moment.READY)

    def part(self, state: State, part: Ints) -> Forbidden:
        pending = (state.moment == Moment.ENTERED) | (state.moment == Moment.READY)
        begun = (state.moment == Moment.OFF) | (state.moment == Moment.ON)
        here = _column(state.part)
        return _column(pending) | (part == here) | (_column(begun) & (part < here))

    def end(self, state: State, _: Ints) -> Forbidden:
        return _column((state.moment == Moment.ENTERED) | (state.moment == Moment.READY))

    def any_token(self, state: State, kind: Kind, token: Ints) -> Forbidden:
        match kind:
            case Kind.START:
                return _column(state.stage != Stage.BEFORE_START)
            case Kind.TEMPO:
                return _column(state.stage != Stage.BEFORE_TEMPO)
            case Kind.PAD:
                return _column(state.stage != Stage.ENDED)
            case Kind.UNK | Kind.SUSTAIN_ON | Kind.SUSTAIN_OFF:
                return _column(np.ones(len(state), np.bool_))
            case _:
                return _column(state.stage != Stage.MUSIC)

    def message(self, state: State, token: int) -> str:
        stage = Stage(state.stage[0])
        if stage == Stage.BEFORE_START:
            return "stands where START must"
        if stage == Stage.BEFORE_TEMPO:
            return "stands where TEMPO must"
        if stage == Stage.ENDED:
            return "comes after END; only PAD may"
        if Moment(state.moment[0]) == Moment.ENTERED:
            return "follows a PART; a note of that part must"
        if Moment(state.moment[0]) == Moment.READY:
            return "follows a VELOCITY; a NOTE_ON must"
        return "is out of order: parts rise, ends come before beginnings, pitches rise"


class Velocity(Rule):
    """Audible bins only; a first VELOCITY before the first note, others only for a change that a
    NOTE_ON follows at once."""

    name = "velocity"

    def velocity(self, state: State, velocity_bin: Ints) -> Forbidden:
        inaudible = velocity_bin < self.config.lowest_velocity_bin
        return inaudible | (velocity_bin == _column(state.velocity))

    def note_on(self, state: State, pitch: Ints) -> Forbidden:
        return _column(state.velocity < 0)

    def message(self, state: State, token: int) -> str:
        if describe(token).startswith("NOTE_ON"):
            return "begins before any VELOCITY was given"
        return "is inaudible, or changes nothing, or no note can follow it"


class Repetition(Rule):
    """At most ``max_identical_tokens`` identical tokens in a row; PAD may fill what it likes."""

    name = "repetition"

    def any_token(self, state: State, kind: Kind, token: Ints) -> Forbidden:
        if kind == Kind.PAD:
            return False
        full = state.run >= self.config.max_identical_tokens
        return _column(full) & (token == _column(state.last_token)) if full.any() else False

    def message(self, state: State, token: int) -> str:
        return f"stands more than {self.config.max_identical_tokens} times in a row"


class Range(Rule):
    """Each part inside its range, in the key in which the piece will sound."""

    name = "range"

    def note_on(self, state: State, pitch: Ints) -> Forbidden:
        bounds = np.array(self.config.ranges)[np.minimum(state.part, self.config.voices - 1)]
        sounding = pitch + _column(state.transposition)
        return (sounding < bounds[:, :1]) | (sounding > bounds[:, 1:])

    def message(self, state: State, token: int) -> str:
        low, high = self.config.ranges[min(int(state.part[0]), self.config.voices - 1)]
        return f"is outside this voice's range, {pitch_name(low)} to {pitch_name(high)}"


RULES: dict[str, type[Rule]] = {
    rule.name: rule
    for rule in (Pairing, Duration, Time, Voices, Order, Velocity, Repetition, Range)
}


def _sounds_in(state: State, part: Ints) -> Bools:
    """(B, n) does a note sound in each of the parts asked about?"""
    by_part = state.sounding.any(axis=2)
    inside = part < by_part.shape[1]
    rows = np.arange(len(state))[:, None]
    return np.asarray(by_part[rows, np.where(inside, part, 0)] & inside)


def skips_note(state: State, due: Bools, pitch: Ints) -> Forbidden:
    """(B, n) would an event in the current part at ``pitch`` pass over a note that is due?

    ``due`` (B, P, S) marks the notes that must end in this tick. The canonical order goes up, so
    whatever is due in a lower part, or at a lower pitch of this one, could not end any more.
    """
    if not due.any():
        return False
    first_due = np.where(due, state.held_pitch, FAR).min(axis=2)  # (B, P)
    parts = np.arange(due.shape[1])
    before = ((first_due < FAR) & (parts < state.part[:, None])).any(axis=1)
    return _column(before) | (_column(state.here(first_due)) < pitch)


def skips_part(state: State, due: Bools, part: Ints) -> Forbidden:
    """(B, n) would going on to ``part`` pass over a note that is due in a lower one?"""
    if not due.any():
        return False
    first_due_part = np.where(due.any(axis=2), np.arange(due.shape[1]), FAR).min(axis=1)
    return part > _column(first_due_part)
