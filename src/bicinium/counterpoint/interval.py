"""Intervals between two written pitches: number, quality, name.

The number counts letters (C to E is a third), and the quality compares the semitones with those of
the major scale. So C to D sharp is an augmented second, although it sounds like a minor third.
"""

from __future__ import annotations

from dataclasses import dataclass

from bicinium.formats.spelling import Spelling

_LETTERS = "CDEFGAB"
_MAJOR_SEMITONES = (0, 2, 4, 5, 7, 9, 11)  # of unison, second, ... seventh, major or perfect
_PERFECT_STEPS = (0, 3, 4)  # unison, fourth, fifth
INTERVAL_NUMBERS = (
    "unison", "second", "third", "fourth", "fifth", "sixth", "seventh", "octave", "ninth", "tenth",
    "eleventh", "twelfth", "thirteenth", "fourteenth", "fifteenth",
)  # fmt: skip
_PERFECT_QUALITIES = {0: "perfect", 1: "augmented", -1: "diminished"}
_IMPERFECT_QUALITIES = {0: "major", -1: "minor", 1: "augmented", -2: "diminished"}


_POSITIONS = {letter: place for place, letter in enumerate(_LETTERS)}


def letter_position(spelling: Spelling) -> int:
    """Return the position of a written pitch on the staff: C0 is 0, D0 is 1, C1 is 7."""
    return 7 * spelling.octave + _POSITIONS[spelling.step]


@dataclass(frozen=True, slots=True)
class Interval:
    """An interval of ``steps`` letters and ``semitones``; both are negative if it falls."""

    steps: int
    semitones: int

    @classmethod
    def between(cls, one: Spelling, other: Spelling) -> Interval:
        """Return the interval from one written pitch to another."""
        return cls(letter_position(other) - letter_position(one), other.pitch - one.pitch)

    @property
    def size(self) -> Interval:
        """The same interval upwards."""
        falls = self.steps < 0 or (self.steps == 0 and self.semitones < 0)
        return Interval(-self.steps, -self.semitones) if falls else self

    @property
    def simple_steps(self) -> int:
        """Return the letters without whole octaves: 0 (unison, octave) to 6 (seventh)."""
        return self.size.steps % 7

    @property
    def alteration(self) -> int:
        """Return the semitones above the major or perfect interval of the same number."""
        size = self.size
        return size.semitones - 12 * (size.steps // 7) - _MAJOR_SEMITONES[size.steps % 7]

    @property
    def is_perfect_octave(self) -> bool:
        """Whether it is a perfect unison or octave, or a compound of it."""
        return self.simple_steps == 0 and self.alteration == 0

    @property
    def is_perfect_fifth(self) -> bool:
        """Whether it is a perfect fifth or a compound of it."""
        return self.simple_steps == 4 and self.alteration == 0

    @property
    def is_perfect(self) -> bool:
        """Whether it is a perfect consonance. The fourth is not one in two voices."""
        return self.is_perfect_octave or self.is_perfect_fifth

    @property
    def is_imperfect(self) -> bool:
        """Whether it is a major or minor third or sixth, or a compound of one."""
        return self.simple_steps in (2, 5) and self.alteration in (0, -1)

    @property
    def is_consonant(self) -> bool:
        """Whether two voices may hold it: unison, third, perfect fifth, sixth, octave."""
        return self.is_perfect or self.is_imperfect

    @property
    def is_step(self) -> bool:
        """Whether it is a second, or a semitone on one letter."""
        return (abs(self.steps) == 1 and abs(self.semitones) <= 2) or (
            self.steps == 0 and abs(self.semitones) == 1
        )

    @property
    def is_leap(self) -> bool:
        """Whether it is larger than a second."""
        return self.semitones != 0 and not self.is_step

    @property
    def is_tritone(self) -> bool:
        """Whether it is an augmented fourth or a diminished fifth."""
        return (self.size.steps, self.alteration) in ((3, 1), (4, -1))

    @property
    def quality(self) -> str:
        """Return ``perfect``, ``major``, ``minor``, ``augmented``, ``diminished``."""
        perfect = self.simple_steps in _PERFECT_STEPS
        names = _PERFECT_QUALITIES if perfect else _IMPERFECT_QUALITIES
        return names.get(self.alteration) or ("augmented" if self.alteration > 0 else "diminished")

    @property
    def name(self) -> str:
        """Return the name, such as ``minor sixth``; beyond two octaves that of the simple one."""
        steps = self.size.steps
        number = (
            INTERVAL_NUMBERS[steps]
            if steps < len(INTERVAL_NUMBERS)
            else INTERVAL_NUMBERS[steps % 7 or 7]
        )
        if self.is_perfect_octave:
            return number
        return f"{self.quality} {number}"

    @property
    def phrase(self) -> str:
        """Return the name with its article: ``a minor sixth``, ``an augmented second``."""
        article = "an" if self.name[0] in "aeiou" and self.name != "unison" else "a"
        return f"{article} {self.name}"
