"""The manner of a second voice: plain, like a chorale, or like an invention.

The manner follows the given voice unless one is requested. ``simple`` and ``chorale`` follow chords
that fit the given voice (``constraints.chords``), ``invention`` leaves the harmony to the model.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from bicinium.music.counterpoint import scale_pitch_classes
from bicinium.music.score import TICKS_PER_QUARTER, Score, note_array

_OCTAVE = 12
# A voice that exceeds two of these is the voice of an invention (docs/log.md).
_MAX_PLAIN_NOTES = 2.0  # in a quarter
_MAX_PLAIN_CHROMATIC = 0.03  # share of the notes outside the scale
_MAX_PLAIN_RANGE = 19  # semitones


class Manner(NamedTuple):
    """How a second voice is written, unless the request says otherwise."""

    style: str | None  # None: drawn from the keyboard styles
    follows_chords: bool


MANNERS = {
    "simple": Manner("classical", follows_chords=True),
    "chorale": Manner("chorale", follows_chords=True),
    "invention": Manner(None, follows_chords=False),
}


def manner_of(score: Score, part: int) -> str:
    """Return the name of the manner that fits a given voice: ``simple`` or ``invention``."""
    key = score.key or score.estimated_key
    if key is None:
        return "simple"  # there are no notes
    given = score.voices[part]
    onset, pitch, duration, _ = note_array(given.notes)
    quarters = (onset[-1] + duration[-1] - onset[0]) / TICKS_PER_QUARTER
    outside = ~np.isin(pitch % _OCTAVE, list(scale_pitch_classes(key)))
    beyond = (
        len(pitch) / quarters > _MAX_PLAIN_NOTES,
        outside.mean() > _MAX_PLAIN_CHROMATIC,
        np.ptp(pitch) > _MAX_PLAIN_RANGE,
    )
    return "invention" if sum(beyond) > 1 else "simple"
