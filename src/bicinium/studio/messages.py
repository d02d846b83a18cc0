"""Messages in the words of the page.

Messages of the package name options of the command line and fields in Python. A reader of the page
knows the labels of its controls instead.
"""

from __future__ import annotations

import re

CONSTRAINT_LABELS = {
    "close": "End with a cadence on the tonic",
    "in_key": "Stay in the key, with few accidentals",
    "range": "Stay within these ranges",
    "hand_span": "Keep close notes within the span of a hand",
    "parallels": "No parallel fifths or octaves",
    "crossing": "No crossing of the voices",
    "consonance": "Consonances on strong beats",
    "leap": "No leaps larger than the limit below",
    "chords": "Chords that fit the given voice",
    "authentic": "Share of cadences from the dominant (0 to 1)",
    "accidentals": "Share of accidentals (0 to 1)",
    "span": "Span of a hand, in semitones",
    "max_leap": "Largest leap, in semitones",
}  # shorter than the descriptions
_LABELS = CONSTRAINT_LABELS | {
    "best_of": "Candidates",
    "max_quote": "Longest quotation, in bars",
    "motif_strength": "Motif repetition",
    "ranges": "Stay within these ranges",
    "rewrite_bars": "Bars",
    "temperature": "Variety",
}
_OPTION = re.compile(r"--([a-z][a-z-]*)")
_SETTING = re.compile(r"Constraint (?:strength|setting) (\w+)=(.*?) must")
_BROKEN = re.compile(r"(?<=The last attempt breaks )[a-z_, ]+")
_FIELD = re.compile(r"\b[a-z]+(?:_[a-z]+)+\b")


def page_message(message: str) -> str:
    """Return a message with the labels of the page for options, constraints and fields."""
    message = _BROKEN.sub(lambda found: " and ".join(map(_label, found[0].split(", "))), message)
    message = _SETTING.sub(lambda found: f"{_label(found[1])} ({found[2]}) must", message)
    message = _OPTION.sub(lambda found: _label(found[1].replace("-", "_")), message)
    return _FIELD.sub(lambda found: _label(found[0]), message)


def _label(name: str) -> str:
    return f"“{_LABELS[name]}”" if name in _LABELS else name.replace("_", " ")
