"""The description of each built-in rule, and its message when a token breaks it.

A message is the end of a sentence that begins with the token.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from bicinium.grammar import rules
from bicinium.grammar.config import MusicalGrammarConfig
from bicinium.grammar.rule import Rule
from bicinium.grammar.state import State
from bicinium.grammar.terms import (
    ARRIVED,
    BEFORE_START,
    BEFORE_TEMPO,
    ENDED,
    ENTERED,
    FAR,
    NOTE_OFF,
    PART,
    READY,
    SILENT,
)
from bicinium.music.score import pitch_name
from bicinium.tokenizer.vocabulary import KINDS, MAX_SHIFT_TICKS, VALUES, Kind

Message: TypeAlias = Callable[[MusicalGrammarConfig, State, int], str]


def _names(pitches: list[int]) -> str:
    return ", ".join(pitch_name(pitch) for pitch in sorted(pitches))


def _pitches_here(state: State) -> list[int]:
    """The sounding pitches of the current part."""
    first = state.part * state.slots
    held = list(state.held_pitch)[first : first + state.slots]
    return [pitch for pitch in held if pitch != SILENT]


def pairing(config: MusicalGrammarConfig, state: State, token: int) -> str:
    sounding = state.pitches()
    now = f"sounding: {_names(sounding)}" if sounding else "nothing is sounding"
    match Kind(KINDS[token]):
        case Kind.NOTE_ON:
            return f"starts a note that is already sounding in this voice; {now}"
        case Kind.NOTE_OFF:
            return f"ends a note that is not sounding in this voice; {now}"
        case Kind.SUSTAIN_ON:
            return "presses a pedal that is down" if config.sustain else "is not in use here"
        case Kind.SUSTAIN_OFF:
            return "lifts a pedal that is not down"
    if state.notes == 0:
        return "comes before any note"
    return f"comes too soon; {now}" if sounding else "comes while a pedal is down"


def duration(config: MusicalGrammarConfig, state: State, token: int) -> str:
    ends = int(VALUES[token]) if KINDS[token] == NOTE_OFF else None
    if ends is not None and rules.began_now(state, ends):
        return "ends a note in the tick in which it began"
    held = zip(state.held_pitch, state.held_until, strict=True)
    due = [pitch for pitch, until in held if until == state.first_due and pitch != ends]
    return (
        f"leaves {_names(due)} sounding for too long: a note lasts at most "
        f"{config.max_note_ticks} ticks and not beyond the last barline"
    )


def time(config: MusicalGrammarConfig, state: State, token: int) -> str:
    match Kind(KINDS[token]):
        case Kind.TIME_SHIFT if state.moment == ARRIVED:
            return f"follows a TIME_SHIFT that was not the longest ({MAX_SHIFT_TICKS} ticks)"
        case Kind.TIME_SHIFT:
            no_note = "" if state.notes else "reaches the end without a note, or "
            return f"{no_note}goes beyond the last barline, at tick {state.end_tick}"
        case Kind.END:
            return f"does not fall on {'a' if state.end_tick == FAR else 'the last'} barline"
    if KINDS[token] == NOTE_OFF:
        return "comes on the last barline before a pedal is lifted, which must come first"
    return "comes on the last barline, where notes may only end and pedals only be lifted"


def voices(config: MusicalGrammarConfig, state: State, token: int) -> str:
    if KINDS[token] == PART:
        return f"names a part that is not one of the {config.voices} voices"
    here = _names(_pitches_here(state))
    return f"is one note too many in this voice; sounding: {here}"


def order(config: MusicalGrammarConfig, state: State, token: int) -> str:
    if state.stage == BEFORE_START:
        return "stands where START must"
    if state.stage == BEFORE_TEMPO:
        return "stands where TEMPO must"
    if state.stage == ENDED:
        return "comes after END; only PAD may"
    if state.moment == ENTERED:
        return "follows a PART; a note or a pedal of that part must"
    if state.moment == READY:
        return "follows a VELOCITY; a NOTE_ON must"
    match Kind(KINDS[token]):
        case Kind.PART if VALUES[token] == state.part:
            return "names the part that is already the current one"
        case Kind.START | Kind.TEMPO:
            return "comes a second time"
        case Kind.SUSTAIN_ON | Kind.SUSTAIN_OFF:
            return "is out of order: the pedal comes first in a part, and once at a time"
    return "is out of order: parts rise, NOTE_OFF comes before NOTE_ON, pitches rise"


def velocity(config: MusicalGrammarConfig, state: State, token: int) -> str:
    if KINDS[token] == Kind.NOTE_ON:
        return "begins before any VELOCITY was given"
    return "is inaudible, or changes nothing, or no note can follow it"


def repetition(config: MusicalGrammarConfig, state: State, token: int) -> str:
    return f"stands more than {config.max_identical_tokens} times in a row"


def pitch_range(config: MusicalGrammarConfig, state: State, token: int) -> str:
    low, high = config.range_of(state.part)
    sounds = ""
    if state.transposition:
        sounds = f"sounds as {pitch_name(int(VALUES[token]) + state.transposition)} and "
    return f"{sounds}is outside this voice's range, {pitch_name(low)} to {pitch_name(high)}"


class BuiltInRule(Rule):
    """A rule that is a compiled function of ``rules``. Raises KeyError for an unknown name."""

    def __init__(self, config: MusicalGrammarConfig, name: str) -> None:
        super().__init__(config)
        self.name, self.weight = name, 2.0 if name == "pairing" else 1.0
        self._description, self._message = _TEXTS[name]

    @property
    def description(self) -> str:
        """What the rule demands, in a sentence for users."""
        return self._description

    def message(self, state: State, token: int) -> str:
        """Why ``token`` may not come next: the end of a sentence."""
        return self._message(self.config, state, token)


_TEXTS: dict[str, tuple[str, Message]] = {
    "pairing": (
        "Every note that begins also ends, and no note ends that is not sounding.",
        pairing,
    ),
    "duration": (
        "Every note has a length, is not too long, and ends by the last barline.",
        duration,
    ),
    "time": (
        "Time advances in the fewest steps. The piece ends on a barline, as long as requested.",
        time,
    ),
    "voices": (
        "A voice has one note at a time, or as many as the grammar allows.",
        voices,
    ),
    "order": (
        "Events at the same time are in a fixed order, so that a piece has one encoding.",
        order,
    ),
    "velocity": (
        "Every note has an audible velocity, which is written only when it changes.",
        velocity,
    ),
    "repetition": (
        "The same token does not occur too many times in a row.",
        repetition,
    ),
    "range": (
        "Every note lies within the range of its voice, in the key in which it sounds.",
        pitch_range,
    ),
}
