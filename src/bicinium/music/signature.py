"""Key signatures and pitch spellings as a score states them.

``Key`` is what the music is in: one of 24 tonics and modes. A signature says how that is written:
with which sharps or flats, and in which mode (dorian music is in a minor ``Key``).

A spelled pitch class is a position on the line of fifths: … Bb -2, F -1, C 0, G 1, … F# 6 ….
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from bicinium.music.key import Key, Mode, not_a_key, parse_tonic

# Position of the tonic, in fifths above that of the major key with the same signature.
MODES: dict[str, tuple[int, Mode]] = {
    "major": (0, "major"),
    "minor": (3, "minor"),
    "ionian": (0, "major"),
    "dorian": (2, "minor"),
    "phrygian": (4, "minor"),
    "lydian": (-1, "major"),
    "mixolydian": (1, "major"),
    "aeolian": (3, "minor"),
    "locrian": (5, "minor"),
}
LETTERS = "FCGDAEB"  # in the order of fifths; F is at position -1
MAX_FIFTHS = 7  # of a signature
MAX_ALTER = 3  # sharps or flats of one note

# The position of a note on the line of fifths, by its onset tick and its pitch.
Spellings: TypeAlias = Mapping[tuple[int, int], int]


@dataclass(frozen=True, slots=True)
class Signature:
    """``fifths`` sharps (negative for flats), and the name of the mode, empty if none is stated."""

    fifths: int
    mode: str = ""

    @classmethod
    def of(cls, key: Key) -> Signature:
        """Return the usual signature of a key."""
        return cls(key.fifths, key.mode)

    @classmethod
    def parse(cls, text: str) -> Signature:
        """Parse a key such as ``Gb major``, ``Dm`` or ``D dorian``.

        A key of more than seven signs is written as its enharmonic equal. Raises ScoreError.
        """
        name, mode = parse_tonic(text)
        if mode not in MODES:
            raise not_a_key(text)
        above, _ = MODES[mode]
        alter = name[1:].count("#") - name[1:].count("b")
        fifths = LETTERS.index(name[0]) - 1 + 7 * alter - above
        return cls(fifths - 12 * round(fifths / 12) if abs(fifths) > MAX_FIFTHS else fifths, mode)

    @property
    def key(self) -> Key | None:
        """Return the key, or None if no mode is stated."""
        if self.mode not in MODES:
            return None
        above, mode = MODES[self.mode]
        return Key((self.fifths + above) * 7 % 12, mode)

    def fits(self, key: Key) -> bool:
        """Return whether the signature is that of a key, or its enharmonic equal."""
        return (key.fifths - self.fifths) % 12 == 0

    def transpose(self, semitones: int) -> Signature:
        """Return the signature ``semitones`` higher."""
        return Signature(self.fifths + fifths_of_transposition(self.fifths, semitones), self.mode)

    def __str__(self) -> str:
        """Return the name of the key, such as ``Gb major``; without a mode the sharps or flats."""
        if self.mode not in MODES:
            sign = "sharp" if self.fifths > 0 else "flat"
            return f"{abs(self.fifths)} {sign}{'s' * (abs(self.fifths) != 1)}"
        alter, letter = divmod(self.fifths + MODES[self.mode][0] + 1, 7)
        return f"{LETTERS[letter]}{'#' * alter}{'b' * -alter} {self.mode}"


def fifths_of_transposition(fifths: int, semitones: int) -> int:
    """Return how far a signature moves on the line of fifths; a usual one is between -5 and 6."""
    return (fifths + 7 * semitones + 5) % 12 - 5 - fifths if semitones % 12 else 0


def transpose_spellings(spellings: Spellings, semitones: int, fifths: int) -> Spellings:
    """Return spellings ``semitones`` higher, moved by ``fifths``; without those out of range."""
    return {
        (tick, pitch + semitones): position + fifths
        for (tick, pitch), position in spellings.items()
        if is_writable(position + fifths)
    }


def shift_spellings(spellings: Spellings, start: int, end: int) -> Spellings:
    """Return the spellings of [start, end), counted from ``start``."""
    return {
        (tick - start, pitch): position
        for (tick, pitch), position in spellings.items()
        if start <= tick < end
    }


def is_writable(position: int) -> bool:
    """Return whether a position has at most three sharps or flats."""
    return abs((position + 1) // 7) <= MAX_ALTER
