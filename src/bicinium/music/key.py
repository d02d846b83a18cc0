"""Keys: names, signatures, and key estimation from notes."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from bicinium.errors import ScoreError

Mode = Literal["major", "minor"]

# Semitones of each step above C, and of each accidental.
STEP_SEMITONES = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
ACCIDENTAL_SEMITONES = {"": 0, "#": 1, "♯": 1, "b": -1, "♭": -1}
_MAJOR_NAMES = ("C", "Db", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")
_MINOR_NAMES = ("C", "C#", "D", "Eb", "E", "F", "F#", "G", "G#", "A", "Bb", "B")

# Listeners' ratings of how well each pitch class above the tonic fits a major and a minor key:
# Krumhansl, Cognitive Foundations of Musical Pitch (1990), table 2.1 (Krumhansl & Kessler 1982).
_MAJOR_PROFILE = (6.35, 2.23, 3.48, 2.33, 4.38, 4.09, 2.52, 5.19, 2.39, 3.66, 2.29, 2.88)
_MINOR_PROFILE = (6.33, 2.68, 3.52, 5.38, 2.60, 3.53, 2.54, 4.75, 3.98, 2.69, 3.34, 3.17)
_SIGNATURE_BONUS = 0.3
_FINAL_BASS_BONUS = 0.2


@dataclass(frozen=True, slots=True)
class Key:
    """A tonic (pitch class, 0 = C) and a mode."""

    tonic: int
    mode: Mode

    @classmethod
    def parse(cls, text: str) -> Key:
        """Parse ``D minor``, ``Bb major``, ``F# minor``, or ``Dm`` and ``Bb`` for short.

        Raises ScoreError for anything else.
        """
        name, mode = parse_tonic(text)
        if mode not in ("major", "minor"):
            raise not_a_key(text)
        tonic = (STEP_SEMITONES[name[0]] + ACCIDENTAL_SEMITONES[name[1:]]) % 12
        return cls(tonic, "minor" if mode == "minor" else "major")

    @classmethod
    def from_signature(cls, fifths: int, mode: Mode) -> Key:
        """Return the key with ``fifths`` sharps (negative for flats)."""
        return cls((fifths * 7 + (9 if mode == "minor" else 0)) % 12, mode)

    def __str__(self) -> str:
        names = _MINOR_NAMES if self.mode == "minor" else _MAJOR_NAMES
        return f"{names[self.tonic]} {self.mode}"

    @property
    def display_name(self) -> str:
        """Return the name with musical accidentals: ``E♭ major``, ``F♯ minor``."""
        return display(str(self))

    @property
    def fifths(self) -> int:
        """Return the sharps in the signature (negative for flats).

        The range is -5 to 6 in major and -6 to 5 in minor.
        """
        relative_major, flats = (self.tonic + 3, 6) if self.mode == "minor" else (self.tonic, 5)
        return (relative_major * 7 + flats) % 12 - flats

    def transpose(self, semitones: int) -> Key:
        return Key((self.tonic + semitones) % 12, self.mode)

    @property
    def semitones_to_reference(self) -> int:
        """Return the shortest transposition to the reference key of the mode: -5 to 6 semitones."""
        reference = 9 if self.mode == "minor" else 0
        return (reference - self.tonic + 5) % 12 - 5


def display(name: str) -> str:
    """Return the name of a key with musical accidentals: ``Eb major`` is ``E♭ major``."""
    tonic, mode = name.split()
    return f"{tonic.replace('#', '♯').replace('b', '♭')} {mode}"


def parse_tonic(text: str) -> tuple[str, str]:
    """Return the tonic (like ``Bb``) and the mode of a key such as ``B♭ Major``, ``Bbm``, ``Bb``.

    ``B-`` is B flat too, as in kern and music21. Raises ScoreError if there is no such tonic. The
    mode may be any word, in lower case.
    """
    text = re.sub(r"^([A-Ga-g])-(?=\s|$)", r"\1b", text.strip())
    words = text.replace("-", " ").split()
    name, mode = (words[0], words[1].lower()) if len(words) == 2 else (text.strip(), "")
    if not mode:
        name, mode = (name[:-1], "minor") if name.endswith("m") else (name, "major")
    step, alteration = name[:1].upper(), name[1:]
    if step not in STEP_SEMITONES or alteration not in ACCIDENTAL_SEMITONES:
        raise not_a_key(text)
    return step + alteration.replace("♯", "#").replace("♭", "b"), mode


def not_a_key(text: str) -> ScoreError:
    """Return the error for a text that names no key."""
    return ScoreError(f"{text!r} is not a key. Write it like 'D minor' or 'Bb major'.")


# The keys to which music is transposed before it is encoded as tokens, by mode.
REFERENCE_KEYS: dict[str, Key] = {
    "major": Key(0, "major"),
    "minor": Key(9, "minor"),
}


ALL_KEYS = tuple(Key(tonic, mode) for mode in ("major", "minor") for tonic in range(12))


_FIFTHS = np.array([key.fifths for key in ALL_KEYS])
_TONICS = np.array([key.tonic for key in ALL_KEYS])


def _key_profiles() -> np.ndarray:
    """Return (24, 12) standardised profiles of ALL_KEYS, by pitch class."""
    rows = [
        np.roll(_MINOR_PROFILE if key.mode == "minor" else _MAJOR_PROFILE, key.tonic)
        for key in ALL_KEYS
    ]
    profiles = np.array(rows)
    centred = profiles - profiles.mean(axis=1, keepdims=True)
    return np.asarray(centred / np.linalg.norm(centred, axis=1, keepdims=True))


KEY_PROFILES = _key_profiles()


def estimate_key(
    pitch_class_ticks: Sequence[float] | np.ndarray,
    final_bass: int | None = None,
    fifths: int | None = None,
) -> Key:
    """Return the key whose profile correlates best with the total duration of each pitch class.

    This is Krumhansl-Schmuckler key finding (Krumhansl 1990, chapter 4) with two hints that scores
    give and audio does not. The signature (``fifths``) favours its two keys. The pitch class of the
    last bass note (``final_bass``) favours the keys of which it is the tonic.
    """
    weights = np.asarray(pitch_class_ticks, dtype=float)
    centred = weights - weights.mean()
    scores = KEY_PROFILES @ centred / max(math.sqrt(centred @ centred), 1e-9)
    if fifths is not None:
        scores[(_FIFTHS - fifths) % 12 == 0] += _SIGNATURE_BONUS
    if final_bass is not None:
        scores[final_bass % 12 == _TONICS] += _FINAL_BASS_BONUS
    return ALL_KEYS[int(scores.argmax())]
