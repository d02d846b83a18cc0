"""Information fields of ABC: keys, metres, tempi, voices (ABC standard 2.1, sections 3 and 4)."""

from __future__ import annotations

import re
from fractions import Fraction

from bicinium.formats.spelling import signature_alterations
from bicinium.music.score import Meter
from bicinium.music.signature import MODES

_TONICS = {"F": -1, "C": 0, "G": 1, "D": 2, "A": 3, "E": 4, "B": 5}
_MODES = {"maj": 0, "ion": 0, "mix": -1, "dor": -2, "min": -3, "aeo": -3, "phr": -4, "loc": -5,
          "lyd": 1, "m": -3, "": 0}  # fmt: skip
_MODE_NAMES = {"m": "minor", "": "major", "ion": "major", "aeo": "minor"}
_MODE_NAMES |= {
    name[:3]: name for name in MODES if name[:3] in _MODES and name[:3] not in _MODE_NAMES
}
# Sharps of an accidental, None if there is none. A quarter tone is lowered to the semitone below.
SIGNS = {"^^": 2, "^": 1, "": None, "=": 0, "_": -1, "__": -2, "^/": 0, "_/": -1}
_OCTAVE_CLEFS = re.compile(r"(?:treble|bass|alto|tenor|perc|none|[GFC]\d?)([+-])8")


class AbcKey:
    """A key signature: fifths, mode, and the sharps of each letter."""

    def __init__(self, text: str) -> None:
        """Read the content of a K field. Raises ValueError if it names no key."""
        words = text.split()
        tonic, mode = _tonic_and_mode(words, text)
        self.fifths = tonic + _MODES[mode]
        self.mode = _MODE_NAMES[mode]
        if abs(self.fifths) > 7:
            raise ValueError(f"K:{text} has more than seven signs")
        if "exp" in words:  # The accidentals that follow are all there are.
            self.fifths, self.mode = 0, ""
        self.alterations = signature_alterations(self.fifths)
        for accidental in words[1:]:
            if extra := re.fullmatch(r"(\^\^|\^|=|__|_)([a-gA-G])", accidental):
                self.alterations[extra[2].upper()] = SIGNS[extra[1]] or 0


def _tonic_and_mode(words: list[str], text: str) -> tuple[int, str]:
    """Return the tonic, in fifths above C, and the name of the mode in ``_MODES``."""
    name = words[0] if words and "=" not in words[0] else "C"
    if name in ("HP", "Hp"):  # bagpipes
        name = "D"
    if name.lower() in ("none", "treble", "bass", "alto", "tenor"):
        name = "C"
    found = re.fullmatch(r"([A-G])([#b]?)([A-Za-z]*)", name)
    if found is None:
        raise ValueError(f"K:{text} is not a key")
    tonic, sign, mode = found.groups()
    if not mode and len(words) > 1 and words[1][:3].lower() in _MODES:
        mode = words[1]
    mode = mode if mode in ("m", "") else mode[:3].lower()
    if mode not in _MODES:
        raise ValueError(f"K:{text} has an unknown mode")
    return _TONICS[tonic] + 7 * ((sign == "#") - (sign == "b")), mode


def parse_meter(text: str) -> Meter | None:
    """Return the metre of an M field; None for free metre."""
    text = text.strip().replace("(", "").replace(")", "")
    if text in ("C", "C|"):
        return Meter(4, 4) if text == "C" else Meter(2, 2)
    if text.lower() in ("none", ""):
        return None
    parts = text.replace(" ", "")
    if not re.fullmatch(r"(\d+(\+\d+)*/[1-9]\d*)(\+\d+(\+\d+)*/[1-9]\d*)*", parts):
        raise ValueError(f"M:{text} is not a metre")
    ratios = re.findall(r"([\d+]+)/(\d+)", parts)
    finest = max(int(unit) for _, unit in ratios)
    if any(finest % int(unit) for _, unit in ratios):
        raise ValueError(f"M:{text} has no common beat")
    beats = (sum(map(int, c.strip("+").split("+"))) * finest // int(u) for c, u in ratios)
    return Meter(sum(beats), finest)


def parse_length(text: str) -> Fraction:
    """Return the length in quarters of an L field."""
    found = re.fullmatch(r"(\d+)(?:/(\d+))?", text.strip())
    if found is None or found[2] == "0" or found[1] == "0":
        raise ValueError(f"L:{text} is not a length")
    return 4 * Fraction(int(found[1]), int(found[2] or 1))


def parse_tempo(text: str, unit: Fraction) -> float | None:
    """Return the tempo of a Q field in quarters a minute; None if it has no number.

    ``unit`` is the length of a note without a number, in quarters.
    """
    text = re.sub(r'"[^"]*"', "", text).strip()
    if found := re.fullmatch(r"((?:\d+/\d+\s*)+)=\s*(\d+(?:\.\d+)?)", text):
        beats = sum((4 * Fraction(beat) for beat in found[1].split()), Fraction(0))
        return float(found[2]) * float(beats)
    if found := re.fullmatch(r"(?:C\d*\s*=\s*)?(\d+(?:\.\d+)?)", text):
        return float(found[1]) * float(unit)
    return None


def semitones_of_clef(text: str) -> int:
    """Return the transposition that a K or V field states: an octave clef, octave=, transpose=."""
    semitones = 0
    if found := _OCTAVE_CLEFS.search(text):
        semitones += 12 if found[1] == "+" else -12
    if found := re.search(r"\boctave=(-?\d)", text):
        semitones += 12 * int(found[1])
    if found := re.search(r"\b(?:transpose|t)=(-?\d+)", text):
        semitones += int(found[1])
    return semitones
