"""The cantus firmi of Fux, by name: whole notes, one a bar.

Source: Fux, Gradus ad Parnassum (1725), book II; one for each mode.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bicinium.errors import RequestError
from bicinium.formats.registry import read_voice
from bicinium.music.key import STEP_SEMITONES, Key
from bicinium.music.score import COMMON_TIME, Note, Score, Voice, note_array

_MELODIES = {
    "fux-d": "D4 F4 E4 D4 G4 F4 A4 G4 F4 E4 D4",
    "fux-e": "E4 C4 D4 C4 A3 A4 G4 E4 F4 E4",
    "fux-f": "F4 G4 A4 F4 D4 E4 F4 C5 A4 F4 G4 F4",
    "fux-g": "G3 C4 B3 G3 C4 E4 D4 G4 E4 C4 D4 B3 A3 G3",
    "fux-a": "A3 C4 B3 D4 C4 E4 F4 E4 D4 C4 B3 A3",
    "fux-c": "C4 E4 F4 G4 E4 A4 G4 E4 F4 E4 D4 C4",
}
CANTUS_FIRMI = tuple(_MELODIES)
MIN_NOTES = 4


def load_cantus(name: str | Path) -> Score:
    """Return a cantus firmus by its name, or from a file with one line, as the upper voice.

    Raises RequestError for an unknown name or a melody that is not one note a bar, and ScoreError
    for a file that cannot be read.
    """
    if str(name) in _MELODIES:
        bar = COMMON_TIME.bar_ticks
        pitches = [_pitch(word) for word in _MELODIES[str(name)].split()]
        notes = tuple(Note(index * bar, pitch, bar) for index, pitch in enumerate(pitches))
        return Score((Voice(notes), Voice(())), len(notes), COMMON_TIME, Key.parse("C major"))
    if not Path(name).suffix:
        raise RequestError(
            f"There is no cantus firmus {str(name)!r}. Choose one of {', '.join(_MELODIES)}, or a "
            "file."
        )
    score = read_voice(name, 0)
    columns, bar = note_array(score.voices[0].notes), score.meter.bar_ticks
    onsets = bar * np.arange(columns.shape[1])
    regular = (columns[0] == onsets).all() and (columns[2] == bar).all()
    if columns.shape[1] < MIN_NOTES or not regular:
        raise RequestError(
            f"{name} is not a cantus firmus: it needs {MIN_NOTES} notes or more, one in each bar "
            "and as long as the bar."
        )
    return score


def _pitch(name: str) -> int:
    return 12 * (int(name[1]) + 1) + STEP_SEMITONES[name[0]]
