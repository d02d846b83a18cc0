"""What a piece may be asked beyond the grammar, how strictly, and how often it breaks that.

``Constraints`` says what is asked for. ``broken`` counts in a finished piece what should not be
there, by the definitions of ``music.counterpoint``. How composing keeps to it is in ``opinions``
and ``watch``.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bicinium.errors import RequestError
from bicinium.generation.conditions import Conditions
from bicinium.music import counterpoint
from bicinium.music.counterpoint import LOWER, UPPER, NoteLocation, PitchRange
from bicinium.music.score import HIGHEST_PITCH, LOWEST_PITCH, VOICES, Score, note_array

NEVER_BROKEN = 1.0  # the strength that forbids
ROUNDING = 1e-9  # of a share times a number of notes
_OCTAVE = 12

DESCRIPTIONS: dict[str, str] = {
    "close": "The lower voice ends on the tonic, the upper in its triad, and both in time.",
    "in_key": "Only a share of the notes, accidentals, is outside the key's scale.",
    "range": "Each voice stays in its range, one of ranges.",
    "hand_span": "Notes of a voice less than a quarter note apart span no more than span.",
    "parallels": "No parallel fifths or octaves.",
    "crossing": "The lower voice does not go above the upper.",
    "consonance": "On strong beats the voices are consonant.",
    "leap": "No voice leaps farther than max_leap.",
    "rhythm": "No voice has more than max_equal notes of one duration in a row.",
    "authentic": "The share of pieces, 0 to 1, that close makes come from the dominant.",
    "accidentals": "The share of notes outside the scale that in_key allows, 0 to 1.",
    "ranges": "The lowest and highest pitch of each voice for range, as they sound: 60 is C4.",
    "span": "Semitones within a hand's reach, for hand_span.",
    "max_leap": "Semitones that leap allows.",
    "max_equal": "Equal durations in a row that rhythm allows.",
}  # of every field: what it does, in one sentence


@dataclass(frozen=True, slots=True)
class Constraints:
    """How strictly each constraint holds, and what some of them allow.

    A strength s multiplies the probability of what the constraint disapproves of by 1 - s: 0 is
    off, 1 forbids it. Raises RequestError where a value makes no sense.
    """

    close: float = 1.0
    in_key: float = 0.0
    range: float = 0.0
    hand_span: float = 0.0
    parallels: float = 1.0
    crossing: float = 1.0
    consonance: float = 0.0
    leap: float = 0.0
    rhythm: float = 0.0
    authentic: float = 0.65  # share of the pieces
    accidentals: float = 0.1  # share of the notes
    ranges: tuple[PitchRange, PitchRange] = (
        (55, 88),
        (33, 67),
    )  # of upper and lower, as they sound
    span: int = 16  # semitones
    max_leap: int = 12  # semitones
    max_equal: int = 32  # notes

    def __post_init__(self) -> None:
        for name in STRENGTHS:
            if not _is_within(getattr(self, name), 0, 1):
                raise RequestError(
                    f"strength {name}={getattr(self, name)!r} must be 0 (off) to 1 (never broken)"
                )
        for name, whole in (("authentic", "pieces"), ("accidentals", "notes")):
            if not _is_within(value := getattr(self, name), 0, 1):
                raise RequestError(f"{name}={value!r} must be a share of the {whole}, 0 to 1")
        for name in ("span", "max_leap", "max_equal"):
            value = getattr(self, name)
            if not isinstance(value, int) or value < 1:
                raise RequestError(f"{name}={value!r} must be a whole number, 1 or more")
        if not _is_pair(self.ranges) or not all(map(_is_range, self.ranges)):
            raise RequestError(
                f"ranges={self.ranges!r} must be a lowest and a highest pitch for each of two "
                f"voices, an octave or more apart, within {LOWEST_PITCH} to {HIGHEST_PITCH}"
            )

    @classmethod
    def none(cls) -> Constraints:
        """Nothing but the grammar."""
        return cls(**dict.fromkeys(STRENGTHS, 0.0))  # type: ignore[arg-type]

    @classmethod
    def from_names(cls, values: Mapping[str, Any]) -> Constraints:
        """The defaults, but for these fields. Raises RequestError where there is no such field."""
        for name in values:
            if name not in DESCRIPTIONS:
                near = difflib.get_close_matches(name, DESCRIPTIONS, n=1, cutoff=0.0)
                raise RequestError(
                    f"there is no constraint {name!r}; the nearest is {near[0]!r}, and all are "
                    f"{', '.join(DESCRIPTIONS)}"
                )
        values = dict(values)
        if "ranges" in values:  # JSON has lists
            values["ranges"] = _as_tuples(values["ranges"])
        return cls(**values)

    @classmethod
    def parse(cls, texts: Sequence[str]) -> Constraints:
        """Read ``leap=0.5``, ``max_leap=9``, ``ranges=55-88,33-67``, the defaults for the rest."""
        values: dict[str, Any] = {}
        for text in texts:
            name, equals, value = (part.strip() for part in text.partition("="))
            if not equals:
                raise RequestError(f"constraint {text!r} has no value: write it like leap=1")
            try:
                values[name] = _read(name, value)
            except ValueError as error:
                raise RequestError(
                    f"{value!r} is no value for {name}: write it like leap=0.5, max_leap=9 or "
                    "ranges=55-88,33-67"
                ) from error
        return cls.from_names(values)

    @property
    def strengths(self) -> dict[str, float]:
        """The constraints that are not off, with their strengths."""
        return {name: getattr(self, name) for name in STRENGTHS if getattr(self, name) > 0}

    def forbids(self, name: str) -> bool:
        """Whether a constraint may never be broken."""
        return bool(getattr(self, name) == NEVER_BROKEN)


STRENGTHS = (
    "close", "in_key", "range", "hand_span", "parallels", "crossing", "consonance", "leap",
    "rhythm",
)  # fmt: skip


def _is_within(value: object, low: float, high: float) -> bool:
    return isinstance(value, int | float) and low <= value <= high


def _is_pair(value: object) -> bool:
    return isinstance(value, tuple) and len(value) == 2


def _is_range(value: Any) -> bool:
    if not _is_pair(value) or not all(isinstance(pitch, int) for pitch in value):
        return False
    low, high = value
    return bool(LOWEST_PITCH <= low <= high - _OCTAVE and high <= HIGHEST_PITCH)


def _as_tuples(value: Any) -> Any:
    return tuple(map(_as_tuples, value)) if isinstance(value, list | tuple) else value


def _read(name: str, text: str) -> Any:
    """A value as it is written on a command line. Raises ValueError where it cannot be read."""
    if name == "ranges":
        return tuple(tuple(int(pitch) for pitch in one.split("-")) for one in text.split(","))
    return int(text) if name in ("span", "max_leap", "max_equal") else float(text)


# ------------------------------------------------------------------ counting in a finished piece


def broken(score: Score, conditions: Conditions, constraints: Constraints) -> dict[str, int]:
    """How often a finished piece breaks each constraint that is not off.

    What stands in a stretch that was given is not counted, and what is between two voices only
    where one of them is the model's.
    """
    fixed_notes = conditions.fixed_notes.fixed if conditions.fixed_notes else ((),) * VOICES

    def is_own(voice: int, tick: int) -> bool:
        return not any(begin <= tick < until for begin, until in fixed_notes[voice])

    def notes_of(places: Sequence[NoteLocation]) -> int:
        return sum(is_own(*place) for place in places)

    def places_of(ticks: Sequence[int]) -> int:
        return sum(any(is_own(voice, tick) for voice in (UPPER, LOWER)) for tick in ticks)

    def count(name: str) -> int:
        match name:
            case "close":
                deciding = (
                    counterpoint.latest_final_onset_tick(score.meter, score.bars),
                    score.end_tick - 1,
                )
                own = [all(is_own(voice, tick) for tick in deciding) for voice in (UPPER, LOWER)]
                judge = (
                    counterpoint.voices_not_at_rest if all(own) else counterpoint.voices_off_tonic
                )
                return sum(own[voice] for voice in judge(score, conditions.key))
            case "in_key":
                every = [
                    NoteLocation(voice, tick)
                    for voice in (UPPER, LOWER)
                    for tick in note_array(score.voices[voice].notes)[0].tolist()
                ]
                allowed = math.floor(constraints.accidentals * notes_of(every) + ROUNDING)
                outside = counterpoint.notes_outside_key(score, conditions.key)
                return max(0, notes_of(outside) - allowed)
            case "range":
                return notes_of(counterpoint.notes_outside_range(score, constraints.ranges))
            case "hand_span":
                return notes_of(counterpoint.wide_hand_spans(score, constraints.span))
            case "parallels":
                return places_of([place.tick for place in counterpoint.parallels(score)])
            case "crossing":
                return places_of(
                    [place.start_tick for place in counterpoint.voice_crossings(score)]
                )
            case "consonance":
                return places_of(counterpoint.strong_beat_dissonances(score))
            case "leap":
                return notes_of(counterpoint.large_leaps(score, constraints.max_leap))
            case _:
                return notes_of(counterpoint.equal_runs(score, constraints.max_equal))

    return {name: count(name) for name in constraints.strengths}
