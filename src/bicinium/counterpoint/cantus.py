"""Cantus firmi by name or from a file: whole notes, one a bar.

Fux, Gradus ad Parnassum (1725), book II, has one for each mode. Those of the other authors, all in
the public domain, were taken from later collections and not compared with the prints.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np

from bicinium.counterpoint.cantus_composer import FINALS, compose_cantus, whole_notes
from bicinium.counterpoint.rule import Finding, Rule
from bicinium.counterpoint.rule_sets import RuleSet
from bicinium.counterpoint.sources import FUX_FIRST
from bicinium.counterpoint.texture import Texture
from bicinium.errors import RequestError
from bicinium.formats.registry import read_voice
from bicinium.music.counterpoint import LOWER, UPPER
from bicinium.music.key import STEP_SEMITONES
from bicinium.music.score import Score, Voice, note_array, pitch_name

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


@dataclass(frozen=True)
class CantusChanged(Rule):
    """A given cantus firmus that does not come back note for note.

    pitches: its notes, one a bar. The voice may be in another octave.
    """

    name: ClassVar[str] = "cantus_changed"
    reason: ClassVar[str] = "The cantus firmus is given, and stays as it is."
    source: ClassVar[str] = FUX_FIRST

    pitches: tuple[int, ...] = ()

    def find(self, texture: Texture) -> Iterator[Finding]:
        voice = find_given_voice(texture.score, self.pitches)
        bar, shift = texture.meter.bar_ticks, _octaves(texture.score.voices[voice], self.pitches)
        line = {note.onset_tick: note for note in texture.lines[voice]}
        for index, pitch in enumerate(self.pitches):
            expected = pitch_name(pitch + shift)
            note = line.pop(index * bar, None)
            last = index == len(self.pitches) - 1
            if note is None:
                near = min(texture.lines[voice], key=lambda one: abs(one.onset_tick - index * bar))
                fact = f"the cantus has {expected} here, and the exercise begins no note"
                yield Finding(index * bar, (near,), fact)
            elif note.pitch != pitch + shift:
                fact = f"the cantus has {expected} here, not {note.name}"
                yield Finding(note.onset_tick, (note,), fact)
            elif note.ticks != bar and not (last and note.ticks > bar):
                fact = f"{note.name} of the cantus lasts a bar"
                yield Finding(note.onset_tick, (note,), fact)
        for note in line.values():
            yield Finding(note.onset_tick, (note,), f"the cantus has no {note.name} here")


def find_given_voice(score: Score, pitches: Sequence[int]) -> int:
    """Return the voice that is most like a cantus firmus: the one with more of its notes."""

    def alike(voice: Voice) -> int:
        shift, bar = _octaves(voice, pitches), score.meter.bar_ticks
        found = {(note.onset_tick, note.pitch - shift) for note in voice.notes}
        return sum((index * bar, pitch) in found for index, pitch in enumerate(pitches))

    return max((UPPER, LOWER), key=lambda part: alike(score.voices[part]))


def _octaves(voice: Voice, pitches: Sequence[int]) -> int:
    """Return the whole octaves, in semitones, by which a voice lies above a cantus firmus."""
    mean = np.mean([note.pitch for note in voice.notes] or pitches)
    return 12 * round(float(mean - np.mean(pitches)) / 12)


def with_cantus(rule_set: RuleSet, cantus: Score) -> RuleSet:
    """Return a set of rules that also asks whether a cantus firmus comes back unchanged."""
    pitches = tuple(note.pitch for note in cantus.voices[0].notes)
    return replace(rule_set, rules=(*rule_set.rules, CantusChanged(pitches=pitches)))


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
