"""Settings of the constraints: how strictly each one holds, and what it allows."""

from __future__ import annotations

import difflib
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from bicinium.errors import RequestError
from bicinium.music.counterpoint import PitchRange
from bicinium.music.score import HIGHEST_PITCH, LOWEST_PITCH

FORBIDS = 1.0  # the strength at which a constraint is never broken
_OCTAVE = 12
_REMOVED = ("rhythm", "max_equal")


def _strength(default: float, description: str) -> Any:
    """Declare how strictly a constraint holds: 0 is off, 1 forbids."""
    return field(default=default, metadata={"kind": "strength", "description": description})


def _share(default: float, description: str) -> Any:
    """Declare a share, 0 to 1."""
    return field(default=default, metadata={"kind": "share", "description": description})


def _setting(default: Any, description: str) -> Any:
    """Declare any other setting of a constraint."""
    return field(default=default, metadata={"kind": "setting", "description": description})


@dataclass(frozen=True, slots=True)
class Constraints:
    """How strictly each constraint holds, and what some of them allow.

    A strength s multiplies the probability of what the constraint disapproves of by 1 - s: 0 turns
    the constraint off, 1 forbids. Raises RequestError for a value outside its limits.
    """

    close: float = _strength(
        1.0, "The lower voice ends on the tonic, the upper in its triad, and both in time."
    )
    in_key: float = _strength(0.0, "Only a limited share of the notes is outside the scale.")
    range: float = _strength(0.0, "Each voice stays within its range, one of ranges.")
    hand_span: float = _strength(
        0.0, "Notes of a voice less than a quarter note apart span no more than span."
    )
    parallels: float = _strength(1.0, "No parallel fifths or octaves.")
    crossing: float = _strength(1.0, "The lower voice does not go above the upper.")
    consonance: float = _strength(0.0, "On strong beats the voices are consonant.")
    leap: float = _strength(0.0, "No voice leaps farther than max_leap.")
    chords: float = _strength(
        1.0, "A voice written to a given one follows chords that fit it, and closes with it."
    )
    authentic: float = _share(
        0.65, "Share of the pieces, 0 to 1, that close makes come from the dominant."
    )
    accidentals: float = _share(
        0.1, "Share of the notes outside the scale that in_key allows, 0 to 1."
    )
    ranges: tuple[PitchRange, PitchRange] = _setting(
        ((55, 88), (33, 67)), "Lowest and highest sounding pitch of each voice: 60 is C4."
    )
    span: int = _setting(16, "Semitones within a hand's reach, for hand_span.")
    max_leap: int = _setting(12, "Semitones that leap allows.")

    def __post_init__(self) -> None:
        for setting in fields(self):
            name, value = setting.name, getattr(self, setting.name)
            kind = setting.metadata["kind"]
            if kind == "strength" and not _is_within(value, 0, 1):
                raise RequestError(
                    f"Constraint strength {name}={value!r} must be between 0 (off) and 1 (forbids)."
                )
            if kind == "share" and not _is_within(value, 0, 1):
                raise RequestError(f"Constraint setting {name}={value!r} must be between 0 and 1.")
            if isinstance(setting.default, int) and (not isinstance(value, int) or value < 1):
                raise RequestError(
                    f"Constraint setting {name}={value!r} must be a positive integer."
                )
        if not _is_pair(self.ranges) or not all(map(_is_range, self.ranges)):
            raise RequestError(
                f"Constraint setting ranges={self.ranges!r} must have a lowest and a highest pitch "
                f"for each of two voices, an octave or more apart, within {LOWEST_PITCH} to "
                f"{HIGHEST_PITCH}."
            )

    @classmethod
    def none(cls) -> Constraints:
        """Return settings in which every constraint is off."""
        off: dict[str, Any] = dict.fromkeys(STRENGTHS, 0.0)
        return cls(**off)

    @classmethod
    def from_names(cls, values: Mapping[str, Any]) -> Constraints:
        """Return the defaults with these settings changed. Raises RequestError for unknown ones."""
        known = {}
        for name, value in values.items():
            if name in _REMOVED:
                _warn_of_removed(name, value)
            elif name in DESCRIPTIONS:
                known[name] = _as_tuples(value) if name == "ranges" else value
            else:
                near = difflib.get_close_matches(name, DESCRIPTIONS, n=1, cutoff=0.0)
                raise RequestError(
                    f"There is no constraint {name!r}. The nearest name is {near[0]!r}; all names "
                    f"are {', '.join(DESCRIPTIONS)}."
                )
        return cls(**known)

    @classmethod
    def parse(cls, texts: Sequence[str]) -> Constraints:
        """Read settings like ``leap=0.5``, ``max_leap=9`` and ``ranges=55-88,33-67``."""
        values: dict[str, Any] = {}
        for text in texts:
            name, equals, value = (part.strip() for part in text.partition("="))
            if not equals:
                raise RequestError(f"Constraint {text!r} has no value. Write it like leap=1.")
            try:
                values[name] = _parse_value(name, value)
            except ValueError as error:
                raise RequestError(
                    f"Invalid value {value!r} for the constraint setting {name}. Write it like "
                    "leap=0.5, max_leap=9 or ranges=55-88,33-67."
                ) from error
        return cls.from_names(values)

    @property
    def strengths(self) -> dict[str, float]:
        """The strengths of the constraints that are on, by name."""
        return {name: getattr(self, name) for name in STRENGTHS if getattr(self, name) > 0}

    def forbids(self, name: str) -> bool:
        """Return whether a constraint is at full strength."""
        return bool(getattr(self, name) == FORBIDS)


STRENGTHS = tuple(f.name for f in fields(Constraints) if f.metadata["kind"] == "strength")
DESCRIPTIONS: dict[str, str] = {f.name: f.metadata["description"] for f in fields(Constraints)}
_INTEGERS = tuple(f.name for f in fields(Constraints) if isinstance(f.default, int))


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
    """Turn the lists of JSON into tuples."""
    return tuple(map(_as_tuples, value)) if isinstance(value, list | tuple) else value


def _parse_value(name: str, text: str) -> Any:
    """Read a value from the command line. Raises ValueError."""
    if name == "ranges":
        return tuple(tuple(int(pitch) for pitch in one.split("-")) for one in text.split(","))
    return int(text) if name in _INTEGERS else float(text)


def _warn_of_removed(name: str, value: object) -> None:
    """Warn of a setting that no longer exists. Raises RequestError if it would change the music."""
    if name == "rhythm" and value:
        raise RequestError("The constraint rhythm was removed. Leave it out.")
    warnings.warn(
        f"The constraint setting {name} was removed and has no effect.",
        DeprecationWarning,
        stacklevel=3,
    )


DEFAULT_CONSTRAINTS = Constraints()
