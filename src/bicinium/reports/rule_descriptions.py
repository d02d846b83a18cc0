"""Describe the rules of the grammar for users, in reports and in the studio."""

from __future__ import annotations

_DESCRIPTIONS = {
    "pairing": "Every note that begins also ends, and no note ends that is not sounding.",
    "duration": "Every note has a length, is not too long, and ends by the last barline.",
    "time": "Time advances in the fewest steps, and the piece ends on the last barline.",
    "voices": "A voice has one note at a time, or as many as the grammar allows.",
    "order": "Events at the same time are in a fixed order, so that a piece has one encoding.",
    "velocity": "Every note has an audible velocity, which is written only when it changes.",
    "repetition": "The same token does not occur too many times in a row.",
    "range": "Every note lies within the range of its voice, in the key in which it sounds.",
}


def describe_rule(name: str) -> str:
    """Return a sentence that says what a rule demands; empty for a user's own rule."""
    return _DESCRIPTIONS.get(name, "")
