"""The eight hard rules, each a set of questions to the state: may this token come next?

``State`` holds, for a batch of sequences, what has happened so far. A rule is a class with one
method for each kind of token it has an opinion on, called like the kind: ``note_on``, ``note_off``,
``time_shift``, ``velocity``, ``part``, ``end``, …. The method takes the state and the token's value
(a pitch, ticks, a bin, a part) and answers True where the rule forbids the token. State columns
must stand as (B, 1) there; values come as (1, n), all values of the kind at once (the mask), or as
(B, 1), one token a row (the validator). The same line of code judges both.

To write a rule of your own, subclass ``Rule``, name it, answer for the kinds you care about, and
give the class to ``MusicalGrammar(extra_rules=[…])``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, fields
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from bicinium.errors import GrammarError
from bicinium.music.score import HIGHEST_PITCH, LOWEST_PITCH, pitch_name
from bicinium.tokenizer.codec import LOWEST_AUDIBLE_BIN
from bicinium.tokenizer.vocabulary import (
    KINDS,
    MAX_PARTS,
    MAX_SHIFT_TICKS,
    VOCAB_SIZE,
    Kind,
    describe,
)

Ints: TypeAlias = NDArray[np.int32]
Bools: TypeAlias = NDArray[np.bool_]
Forbidden: TypeAlias = Bools | bool  # True or False where it is so for all

FAR = 2**30  # a tick or a token count that is never reached
SILENT = -1  # in ``held_pitch``: nothing in this slot


class Stage:
    """Where in the sequence we are (plain ints: an enum's members are slow to look up)."""

    BEFORE_START = 0
    BEFORE_TEMPO = 1
    MUSIC = 2
    ENDED = 3


class Moment:
    """What has happened in this tick; the canonical order is a walk through these."""

    ARRIVED = 0  # by a TIME_SHIFT that ends a run: an event or END must follow
    LONG = 1  # by a longest TIME_SHIFT, or at the beginning: a further TIME_SHIFT may follow
    ENTERED = 2  # a PART was named: an event in it must follow
    PEDAL = 3  # the pedal of this part has moved
    OFF = 4  # a note of this part has ended
    ON = 5  # a note of this part has begun
    READY = 6  # a VELOCITY was named: a NOTE_ON must follow


@dataclass(frozen=True)
class MusicalGrammarConfig:
    """What the grammar asks for. Immutable; ``config_hash`` names it."""

    voices: int = 2  # parts 0 to voices - 1 are in use
    max_polyphony: int = 1  # notes that may sound at once in a part
    max_note_ticks: int = 960  # ten bars of 4/4
    lowest_velocity_bin: int = LOWEST_AUDIBLE_BIN
    max_identical_tokens: int = 3
    sustain: bool = False  # whether there is a pedal
    ranges: tuple[tuple[int, int], ...] = ()  # (low, high) of each part; () is the whole piano
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
        if self.ranges and len(self.ranges) != self.voices:
            raise GrammarError(
                f"{len(self.ranges)} ranges for {self.voices} voices: give one (low, high) a voice"
            )
        for part, (low, high) in enumerate(self.ranges):
            if not LOWEST_PITCH <= low <= high <= HIGHEST_PITCH:
                raise GrammarError(
                    f"rule 'range' leaves part {part} no pitch: {low} to {high} is not a range "
                    f"within {LOWEST_PITCH} to {HIGHEST_PITCH}"
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

    def range_of(self, part: int) -> tuple[int, int]:
        """The lowest and the highest pitch of a part."""
        if not self.ranges:
            return LOWEST_PITCH, HIGHEST_PITCH
        return self.ranges[min(part, self.voices - 1)]


@dataclass(slots=True)
class State:
    """What has happened in each of B sequences. All arrays are int32, the first axis is B.

    The sounding notes of a part lie in S slots; slots beyond ``max_polyphony`` keep track of notes
    that broke the rule ``voices``.
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
    pedal: Ints  # (B, P) 1 where the pedal is down
    recent_pitch: Ints  # (B, P, 3) of the notes begun last in each part, the last first; 0: none
    recent_onset: Ints  # (B, P, 2) their ticks, 0 where there is none
    held_pitch: Ints  # (B, P, S) sounding pitches, SILENT where none
    held_onset: Ints  # (B, P, S) their onset ticks
    held_until: Ints  # (B, P, S) the ticks by which they must end, FAR where none sounds
    # what follows from the above and is asked for more than once: kept until the next token, or as
    # long as the rows are the same
    derived: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)
    lasting: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)

    def __len__(self) -> int:
        return len(self.tick)

    def take(self, rows: NDArray[np.integer]) -> State:
        """A copy of the rows asked for."""
        return State(*(getattr(self, name).take(rows, axis=0) for name in STATE_FIELDS))

    def look_at(self, rows: NDArray[np.integer]) -> State:
        """Like ``take``, but a column is copied only when it is asked for. To read, not to move."""
        return _Glimpse(self, rows)

    @property
    def position(self) -> Ints:
        """(B,) ticks since the last barline; 0 where the metre is unknown."""
        return self.tick % np.maximum(self.bar_ticks, 1)

    @property
    def last_pitch(self) -> Ints:
        """(B, P) of the last note begun in each part, 0 before the first."""
        return self.recent_pitch[:, :, 0]

    @property
    def sounding(self) -> Bools:
        """(B, P, S) which slots hold a note."""
        return np.asarray(self.held_pitch != SILENT)

    @property
    def silent(self) -> Bools:
        """(B,) True where no note sounds in any part."""
        return np.asarray(self.first_due == FAR)

    @property
    def first_due(self) -> Ints:
        """(B,) the tick by which the first of the sounding notes must end, FAR where none is."""
        return self._once("first_due", self._find_first_due)

    def here(self, by_part: NDArray[Any]) -> NDArray[Any]:
        """(B, …) the entry of the current part in an array of shape (B, P, …)."""
        if "part 0" not in self.lasting:
            self.lasting["part 0"] = by_part.shape[1] * np.arange(len(self))
        at = self._once("at", lambda: self.lasting["part 0"] + self.part)
        return by_part.reshape(-1, *by_part.shape[2:]).take(at, axis=0)

    @property
    def held_here(self) -> Ints:
        """(B, S) the sounding pitches of the current part."""
        return self._once("held_here", lambda: self.here(self.held_pitch))

    @property
    def at_end(self) -> Forbidden:
        """(B, 1) True on the last barline; False where no row is there."""
        return self._once("at_end", lambda: _if_any(column(self.tick == self.end_tick)))

    @property
    def due(self) -> Bools | None:
        """(B, P, S) the notes that must end in this tick; None where there are none."""
        return self._once("due", self._find_due)

    def _find_first_due(self) -> Ints:
        first, *others = self.held_until.reshape(len(self), -1).T
        for other in others:  # there are few: quicker than a minimum along axes
            first = np.minimum(first, other)
        return first

    def _find_due(self) -> Bools | None:
        if not is_any(self.first_due <= self.tick):
            return None
        due = self.held_until == self.tick[:, None, None]
        return due if due.any() else None

    def _once(self, name: str, compute: Callable[[], Any]) -> Any:
        if name not in self.derived:
            self.derived[name] = compute()
        return self.derived[name]


class _Glimpse(State):
    """Some rows of a state, of which a column is copied when it is first asked for."""

    __slots__ = ("rows", "whole")

    def __init__(self, whole: State, rows: NDArray[np.integer]) -> None:
        self.whole, self.rows = whole, rows
        self.derived, self.lasting = {}, {}

    def __getattr__(self, name: str) -> Any:
        if name not in STATE_FIELDS:
            raise AttributeError(f"a state has no {name!r}")
        setattr(self, name, getattr(self.whole, name).take(self.rows, axis=0))
        return getattr(self, name)


Question: TypeAlias = Callable[[State, Ints], Forbidden]
STATE_FIELDS = tuple(f.name for f in fields(State) if f.name not in ("derived", "lasting"))


def _if_any(where: Bools) -> Forbidden:
    return where if is_any(where) else False


def is_any(where: Bools) -> bool:
    """``where.any()``, but quicker: most often there is none."""
    return len(where.nonzero()[0]) > 0


def column(values: NDArray[Any]) -> NDArray[Any]:
    """(B,) → (B, 1), to stand against token values."""
    return values[:, None]


def either(one: Forbidden, other: Forbidden) -> Forbidden:
    """``one | other``, without work where one of them is the same for all."""
    if one is False or other is True:
        return other
    if other is False or one is True:
        return one
    return one | other


class Rule:
    """A rule that forbids nothing. ``weight`` is the exponent of its score in ``grammar_score``."""

    name = "rule"
    weight = 1.0

    def __init__(self, config: MusicalGrammarConfig) -> None:
        self.config = config

    def any_token(self, state: State, token: Ints) -> Forbidden:
        """Asked about every token of every kind, with its id instead of its value.

        The array answered is the caller's to change.
        """
        return False

    def message(self, state: State, token: int) -> str:
        """Why ``token`` may not come next in ``state`` (a single row): the end of a sentence."""
        return f"breaks the rule {self.name}"

    def question(self, kind: Kind) -> Question | None:
        """The method that answers for a kind of token; None where the rule has no opinion."""
        return getattr(self, kind.name.lower(), None)


class Pairing(Rule):
    """NOTE_OFF only for a pitch that sounds in the part, NOTE_ON only for one that does not; the
    pedal likewise; at END something has sounded, nothing sounds and no pedal is down.
    """

    name = "pairing"
    weight = 2.0

    def note_on(self, state: State, pitch: Ints) -> Forbidden:
        return _is_among(state.held_here, pitch)

    def note_off(self, state: State, pitch: Ints) -> Forbidden:
        return ~_is_among(state.held_here, pitch)

    def sustain_on(self, state: State, _: Ints) -> Forbidden:
        return column(state.here(state.pedal) > 0) if self.config.sustain else True

    def sustain_off(self, state: State, _: Ints) -> Forbidden:
        return column(state.here(state.pedal) == 0) if self.config.sustain else True

    def end(self, state: State, _: Ints) -> Forbidden:
        too_soon = ~state.silent | (state.notes == 0)
        if self.config.sustain:
            too_soon |= (state.pedal > 0).any(axis=1)
        return column(too_soon)

    def message(self, state: State, token: int) -> str:
        sounding = [pitch_name(p) for p in sorted(state.held_pitch[0].ravel()) if p != SILENT]
        now = f"sounding: {', '.join(sounding)}" if sounding else "nothing is sounding"
        what = describe(token)
        if what.startswith("NOTE_ON"):
            return f"starts a note that is already sounding in this voice; {now}"
        if what.startswith("NOTE_OFF"):
            return f"ends a note that is not sounding in this voice; {now}"
        if what.startswith("SUSTAIN_ON"):
            return "presses a pedal that is down" if self.config.sustain else "is not in use here"
        if what.startswith("SUSTAIN_OFF"):
            return "lifts a pedal that is not down"
        if state.notes[0] == 0:
            return "comes before any note"
        return f"comes too soon; {now}" if sounding else "comes while a pedal is down"


class Duration(Rule):
    """A note lasts at least one tick and at most ``max_note_ticks``, and not beyond the last
    barline. The canonical order goes up, so no event may pass over a note that is due to end.
    """

    name = "duration"

    def note_on(self, state: State, pitch: Ints) -> Forbidden:
        return _passes_over_due(state, HIGHEST_PITCH + 1)

    def velocity(self, state: State, velocity_bin: Ints) -> Forbidden:
        return _passes_over_due(state, HIGHEST_PITCH + 1)

    def note_off(self, state: State, pitch: Ints) -> Forbidden:
        begun_now = state.here(state.held_onset) == column(state.tick)
        too_short = _is_among(np.where(begun_now, state.held_here, SILENT), pitch)
        return either(too_short, _passes_over_due(state, pitch))

    def sustain_on(self, state: State, _: Ints) -> Forbidden:
        return _passes_over_due(state, LOWEST_PITCH)

    def sustain_off(self, state: State, _: Ints) -> Forbidden:
        return _passes_over_due(state, LOWEST_PITCH)

    def part(self, state: State, part: Ints) -> Forbidden:
        due = state.due
        if due is None:
            return False
        first_part = np.where(due.any(axis=2), np.arange(due.shape[1]), FAR).min(axis=1)
        return part > column(first_part)

    def time_shift(self, state: State, ticks: Ints) -> Forbidden:
        left = state.first_due - state.tick
        return _longer(ticks, np.where(left >= 0, left, FAR))  # what is overdue was said before

    def message(self, state: State, token: int) -> str:
        held = np.isin(state.held_onset[0], state.tick[0]) & (state.held_pitch[0] != SILENT)
        if describe(token).startswith("NOTE_OFF") and held.any():
            return "ends a note in the tick in which it began"
        due = state.held_until[0] == state.held_until[0].min()
        names = ", ".join(pitch_name(pitch) for pitch in sorted(state.held_pitch[0][due]))
        return (
            f"leaves {names} sounding for too long: a note lasts at most "
            f"{self.config.max_note_ticks} ticks and not beyond the last barline"
        )


class Time(Rule):
    """TIME_SHIFTs are canonical; the piece ends on a barline and, where bars were asked for,
    exactly on the last. (The reserve of tokens is the automaton's, see ``closing``.)
    """

    name = "time"

    def _passes_over_pedal(self, state: State, part: Ints) -> Forbidden:
        """A pedal that is down on the last barline, in a part below ``part``."""
        if not (self.config.sustain and state.pedal.any()):
            return False
        parts = np.arange(state.pedal.shape[1])
        first_part = np.where(state.pedal > 0, parts, FAR).min(axis=1)
        return state.at_end & (part > column(first_part))

    def note_on(self, state: State, pitch: Ints) -> Forbidden:
        return state.at_end

    def velocity(self, state: State, velocity_bin: Ints) -> Forbidden:
        return state.at_end

    def sustain_on(self, state: State, _: Ints) -> Forbidden:
        return state.at_end

    def sustain_off(self, state: State, _: Ints) -> Forbidden:
        return self._passes_over_pedal(state, column(state.part))

    def note_off(self, state: State, pitch: Ints) -> Forbidden:
        return self._passes_over_pedal(state, column(state.part + 1))

    def part(self, state: State, part: Ints) -> Forbidden:
        at_end = state.at_end
        if at_end is False:
            return False
        idle = ~(state.sounding.any(axis=2) | (state.pedal > 0))  # (B, P)
        inside = part < idle.shape[1]
        rows = np.arange(len(state))[:, None]
        nothing_to_end = idle[rows, np.where(inside, part, 0)] | ~inside
        return (at_end & nothing_to_end) | self._passes_over_pedal(state, part)

    def time_shift(self, state: State, ticks: Ints) -> Forbidden:
        left = state.end_tick - state.tick
        most = np.where(state.notes == 0, left - 1, left)  # without notes not even to the end
        most = np.where(left >= 0, most, FAR)  # what is beyond the end was said before
        return _longer(ticks, np.where(state.moment == Moment.ARRIVED, 0, most))

    def end(self, state: State, _: Ints) -> Forbidden:
        too_early = (state.tick < state.end_tick) & (state.end_tick < FAR)
        return column(too_early if too_early.all() else too_early | (state.position != 0))

    def message(self, state: State, token: int) -> str:
        what = describe(token)
        if what.startswith("TIME_SHIFT") and state.moment[0] == Moment.ARRIVED:
            return f"follows a TIME_SHIFT that was not the longest ({MAX_SHIFT_TICKS} ticks)"
        if what.startswith("TIME_SHIFT"):
            what_for = "" if state.notes[0] else "reaches the end without a note, or "
            return f"{what_for}goes beyond the last barline, at tick {state.end_tick[0]}"
        if what.startswith("END"):
            return "does not fall on the last barline"
        return "comes on the last barline, where only what sounds may end"


class Voices(Rule):
    """At most ``max_polyphony`` notes sound in a part, and only the parts in use do."""

    name = "voices"

    def note_on(self, state: State, pitch: Ints) -> Forbidden:
        sounding = state.held_here != SILENT
        if sounding.shape[1] == 1:
            return np.asarray(sounding)  # one slot: one note
        return column(sounding.sum(axis=1) >= self.config.max_polyphony)

    def part(self, state: State, part: Ints) -> Forbidden:
        return part >= self.config.voices

    def message(self, state: State, token: int) -> str:
        if describe(token).startswith("PART"):
            return f"names a part that is not one of the {self.config.voices} voices"
        sounding = [pitch_name(p) for p in state.held_pitch[0, state.part[0]] if p != SILENT]
        return f"is one note too many in this voice; sounding: {', '.join(sounding)}"


_EVENTS = {Kind.SUSTAIN_ON, Kind.SUSTAIN_OFF, Kind.NOTE_OFF, Kind.VELOCITY, Kind.NOTE_ON}
_PEDAL = {Kind.SUSTAIN_ON, Kind.SUSTAIN_OFF}
_GOING_ON = {Kind.PART, Kind.TIME_SHIFT, Kind.END}

# The kinds of token that may come next, by what has happened: the automaton of the canonical order.
_IN_MUSIC: dict[int, set[Kind]] = {
    Moment.ARRIVED: _EVENTS | _GOING_ON,
    Moment.LONG: _EVENTS | _GOING_ON,
    Moment.ENTERED: _EVENTS,
    Moment.PEDAL: _EVENTS - _PEDAL | _GOING_ON,
    Moment.OFF: _EVENTS - _PEDAL | _GOING_ON,
    Moment.ON: {Kind.VELOCITY, Kind.NOTE_ON} | _GOING_ON,
    Moment.READY: {Kind.NOTE_ON},
}
_OUTSIDE = {
    Stage.BEFORE_START: {Kind.START},
    Stage.BEFORE_TEMPO: {Kind.TEMPO},
    Stage.ENDED: {Kind.PAD},
}


class Order(Rule):
    """One spelling only: the header first, parts rising, in a part the pedal, then NOTE_OFF, then
    NOTE_ON, pitches rising, PART only for a change that an event follows, after END only PAD.
    """

    name = "order"

    def __init__(self, config: MusicalGrammarConfig) -> None:
        super().__init__(config)
        self.misplaced = np.array(  # (stages × moments, V)
            [
                ~np.isin(KINDS, list(_OUTSIDE.get(stage, following)))
                for stage in range(Stage.ENDED + 1)
                for _, following in sorted(_IN_MUSIC.items())
            ]
        )

    def any_token(self, state: State, token: Ints) -> Forbidden:
        place = state.stage * len(_IN_MUSIC) + state.moment
        if token.shape[1] == VOCAB_SIZE:
            return self.misplaced.take(place, axis=0)
        return self.misplaced[column(place), token]

    def note_on(self, state: State, pitch: Ints) -> Forbidden:
        return pitch <= column(state.last_on)

    def note_off(self, state: State, pitch: Ints) -> Forbidden:
        return pitch <= column(state.last_off)

    def part(self, state: State, part: Ints) -> Forbidden:
        """An event has come in this part: the next part is higher. None has: it is another."""
        here = column(state.part)
        return np.where(column(state.moment >= Moment.PEDAL), part <= here, part == here)

    def message(self, state: State, token: int) -> str:
        match int(state.stage[0]):
            case Stage.BEFORE_START:
                return "stands where START must"
            case Stage.BEFORE_TEMPO:
                return "stands where TEMPO must"
            case Stage.ENDED:
                return "comes after END; only PAD may"
        match int(state.moment[0]):
            case Moment.ENTERED:
                return "follows a PART; a note of that part must"
            case Moment.READY:
                return "follows a VELOCITY; a NOTE_ON must"
        return "is out of order: parts rise, ends come before beginnings, pitches rise"


class Velocity(Rule):
    """Audible bins only; a first VELOCITY before the first note, others only for a change that a
    NOTE_ON follows at once.
    """

    name = "velocity"

    def velocity(self, state: State, velocity_bin: Ints) -> Forbidden:
        inaudible = velocity_bin < self.config.lowest_velocity_bin
        return inaudible | (velocity_bin == column(state.velocity))

    def note_on(self, state: State, pitch: Ints) -> Forbidden:
        return column(state.velocity < 0)

    def message(self, state: State, token: int) -> str:
        if describe(token).startswith("NOTE_ON"):
            return "begins before any VELOCITY was given"
        return "is inaudible, or changes nothing, or no note can follow it"


class Repetition(Rule):
    """At most ``max_identical_tokens`` identical tokens in a row; PAD may fill what it likes."""

    name = "repetition"

    def any_token(self, state: State, token: Ints) -> Forbidden:
        full = state.run >= self.config.max_identical_tokens
        if not is_any(full):
            return False
        return column(full & (state.stage != Stage.ENDED)) & (token == column(state.last_token))

    def message(self, state: State, token: int) -> str:
        return f"stands more than {self.config.max_identical_tokens} times in a row"


class Range(Rule):
    """Each part inside its range, in the key in which the piece will sound."""

    name = "range"

    def __init__(self, config: MusicalGrammarConfig) -> None:
        super().__init__(config)
        ranges = [config.range_of(part) for part in range(config.voices)]
        self.bounds = np.array(ranges, dtype=np.int32)  # (P, 2)

    def note_on(self, state: State, pitch: Ints) -> Forbidden:
        bounds = self.bounds.take(state.part, axis=0) - column(state.transposition)
        return (pitch < bounds[:, :1]) | (pitch > bounds[:, 1:])

    def message(self, state: State, token: int) -> str:
        low, high = self.config.range_of(int(state.part[0]))
        return f"is outside this voice's range, {pitch_name(low)} to {pitch_name(high)}"


RULES: dict[str, type[Rule]] = {
    rule.name: rule
    for rule in (Pairing, Duration, Time, Voices, Order, Velocity, Repetition, Range)
}


def _is_among(pitches: Ints, pitch: Ints) -> Bools:
    """(B, n) is ``pitch`` one of ``pitches`` (B, S)?"""
    found = pitches[:, :1] == pitch
    for slot in range(1, pitches.shape[1]):
        found |= pitches[:, slot : slot + 1] == pitch
    return np.asarray(found)


def _longer(ticks: Ints, limit: Ints) -> Bools:
    """(B, n) ``ticks > column(limit)``; of all ticks at once, as the mask asks, by looking up."""
    if ticks.shape[1] == MAX_SHIFT_TICKS:
        return _LONGER.take(limit, axis=0, mode="clip")
    return np.asarray(ticks > column(limit))


_LONGER = np.arange(1, MAX_SHIFT_TICKS + 1) > np.arange(MAX_SHIFT_TICKS + 1)[:, None]  # by limit


def _passes_over_due(state: State, pitch: Ints | int) -> Forbidden:
    """(B, n) would an event in the current part at ``pitch`` pass over a note that is due?"""
    due = state.due
    if due is None:
        return False
    first_due = np.where(due, state.held_pitch, FAR).min(axis=2)  # (B, P)
    lower_part = np.arange(due.shape[1]) < column(state.part)
    in_lower_part = (lower_part & (first_due < FAR)).any(axis=1)
    return column(in_lower_part) | (column(state.here(first_due)) < pitch)
