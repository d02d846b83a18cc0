"""Cantus firmi by name or from a file: whole notes, one a bar.

Fux, Gradus ad Parnassum (1725), book II, has one for each mode. Those of the other authors, all in
the public domain, were taken from later collections and not compared with the prints.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from bicinium.counterpoint.cantus_composer import FINALS, compose_cantus, whole_notes
from bicinium.errors import RequestError
from bicinium.formats.registry import read_voice
from bicinium.music.key import STEP_SEMITONES
from bicinium.music.score import Score, note_array

_MELODIES = {
    "fux-d": "D4 F4 E4 D4 G4 F4 A4 G4 F4 E4 D4",
    "fux-e": "E4 C4 D4 C4 A3 A4 G4 E4 F4 E4",
    "fux-f": "F4 G4 A4 F4 D4 E4 F4 C5 A4 F4 G4 F4",
    "fux-g": "G3 C4 B3 G3 C4 E4 D4 G4 E4 C4 D4 B3 A3 G3",
    "fux-a": "A3 C4 B3 D4 C4 E4 F4 E4 D4 C4 B3 A3",
    "fux-c": "C4 E4 F4 G4 E4 A4 G4 E4 F4 E4 D4 C4",
    "albrechtsberger-d": "D4 A4 E4 F4 D4 Bb4 G4 A4 F4 E4 D4",
    "albrechtsberger-f": "F4 G4 C4 A4 F4 D4 Bb4 A4 G4 F4",
    "bellermann-a": "A4 G4 E4 B4 D5 C5 B4 C5 B4 A4",
    "fetis-c": "C4 D4 E4 C4 G4 F4 E4 A4 G4 C4 D4 F4 E4 D4 C4",
    "haydn-a": "A3 C4 B3 E4 C4 F4 D4 E4 C4 B3 A3",
    "haydn-d": "D4 E4 F4 D4 A4 F4 E4 G4 F4 E4 D4",
    "mozart-c": "C4 G4 E4 A4 G4 C4 F4 D4 E4 C4 D4 C4",
    "mozart-d": "D4 E4 F4 D4 G4 E4 F4 D4 E4 D4",
    "salieri-c": "C4 F4 E4 A4 G4 F4 E4 D4 C4",
    "schenker-c": "C4 D4 F4 E4 F4 G4 A4 G4 E4 D4 C4",
}
_NEW = re.compile(r"new-([a-g])(?:-(\d+))?")
CANTUS_FIRMI = tuple(_MELODIES)
MIN_NOTES = 4


def load_cantus(name: str | Path, seed: int = 0) -> Score:
    """Return a cantus firmus as the upper voice.

    name: one of ``CANTUS_FIRMI``, a file with one line, or ``new-d``: a new one with the final D,
        composed by the seed; ``new-d-12`` has 12 bars. Raises RequestError for an unknown name or a
        melody that is not one note a bar, and ScoreError for a file that cannot be read.
    """
    if str(name) in _MELODIES:
        return whole_notes([_pitch(word) for word in _MELODIES[str(name)].split()])
    if new := _NEW.fullmatch(str(name)):
        return compose_cantus(new[1], int(new[2]) if new[2] else None, seed)
    if not Path(name).suffix:
        raise RequestError(
            f"There is no cantus firmus {str(name)!r}. Choose one of {', '.join(_MELODIES)}, a new "
            f"one (new-{', new-'.join(FINALS)}), or a file."
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
    return 12 * (int(name[-1]) + 1) + STEP_SEMITONES[name[0]] - name.count("b")
