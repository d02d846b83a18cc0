"""Rules on the line of one voice. A given voice is not judged."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby, pairwise
from typing import ClassVar

from bicinium.counterpoint.interval import Interval
from bicinium.counterpoint.rule import Finding, Rule, Severity
from bicinium.counterpoint.sources import (
    FUX_FIRST,
    JEPPESEN_MELODY,
    JEPPESEN_TWO_PARTS,
    KENNAN_LINE,
)
from bicinium.counterpoint.texture import VOICE_NAMES, LineNote, Texture

_FOURTH, _OCTAVE = 5, 12  # semitones
Segment = tuple[LineNote, ...]


def _legato_pairs(texture: Texture) -> Iterator[tuple[LineNote, LineNote]]:
    """Yield neighbouring notes of each judged voice between which it does not rest."""
    for line in texture.judged_lines:
        for one, other in pairwise(line):
            if one.offset_tick == other.onset_tick:
                yield one, other


@dataclass(frozen=True)
class MelodicInterval(Rule):
    """A leap that is hard to sing, such as a seventh or an augmented interval.

    most_semitones: the largest leap.
    sixths: which sixths may be leapt: ``all``, ``minor_up`` (the minor sixth, upwards) or ``none``.
    sevenths, diminished, augmented: whether these may be leapt.
    """

    name: ClassVar[str] = "melodic_interval"
    reason: ClassVar[str] = "The interval is hard to sing and breaks the line."
    source: ClassVar[str] = f"{FUX_FIRST}; {JEPPESEN_MELODY}"

    most_semitones: int = _OCTAVE
    sixths: str = "minor_up"
    sevenths: bool = False
    diminished: bool = False
    augmented: bool = False

    def find(self, texture: Texture) -> Iterator[Finding]:
        for one, other in _legato_pairs(texture):
            interval = one.to(other)
            if not self._may_be_leapt(interval):
                way = "up" if interval.semitones > 0 else "down"
                fact = f"a leap of {interval.phrase} {way}: {one.name}, {other.name}"
                yield Finding(other.onset_tick, (one, other), fact)

    def _may_be_leapt(self, interval: Interval) -> bool:
        if abs(interval.semitones) > self.most_semitones:
            return False
        if interval.semitones and interval.quality == "augmented":  # a chromatic semitone too
            return self.augmented
        if interval.quality == "diminished" and interval.steps:
            return self.diminished
        if interval.simple_steps == 6:
            return self.sevenths
        if interval.simple_steps == 5 and self.sixths != "all":
            rises = interval.steps > 0 and interval.quality == "minor"
            return self.sixths == "minor_up" and rises
        return True


@dataclass(frozen=True)
class LeapRecovery(Rule):
    """A large leap that goes on in its direction.

    most_semitones: a leap beyond this must be followed by motion in the other direction.
    by_step: that motion must be a step.
    """

    name: ClassVar[str] = "leap_recovery"
    reason: ClassVar[str] = "After a large leap the line turns back and fills the gap."
    source: ClassVar[str] = JEPPESEN_MELODY

    severity: Severity = Severity.WARNING
    most_semitones: int = _FOURTH
    by_step: bool = False

    def find(self, texture: Texture) -> Iterator[Finding]:
        for one, other in _legato_pairs(texture):
            leap, following = one.to(other), texture.after(other)
            if following is None or abs(leap.semitones) <= self.most_semitones:
                continue
            after = other.to(following)
            turns = after.semitones * leap.semitones < 0
            if not turns or (self.by_step and not after.is_step):
                fact = (
                    f"after the leap {one.name}, {other.name} the line goes on to {following.name}"
                )
                yield Finding(other.onset_tick, (one, other, following), fact)


@dataclass(frozen=True)
class TwoLeaps(Rule):
    """Two leaps in one direction that together make a dissonance or more than an octave."""

    name: ClassVar[str] = "two_leaps"
    reason: ClassVar[str] = "Leaps in one direction must stay within one chord and an octave."
    source: ClassVar[str] = f"{JEPPESEN_MELODY}; {KENNAN_LINE}"

    severity: Severity = Severity.WARNING

    def find(self, texture: Texture) -> Iterator[Finding]:
        for one, other in _legato_pairs(texture):
            following = texture.after(other)
            if following is None:
                continue
            first, second, both = one.to(other), other.to(following), one.to(following)
            if not (first.is_leap and second.is_leap and first.semitones * second.semitones > 0):
                continue
            is_fourth = both.simple_steps == 3 and both.alteration == 0
            if abs(both.semitones) > _OCTAVE or not (both.is_consonant or is_fourth):
                fact = f"two leaps span {both.phrase}: {one.name}, {other.name}, {following.name}"
                yield Finding(other.onset_tick, (one, other, following), fact)


def segments(line: Segment) -> Iterator[Segment]:
    """Split a line into its stretches in one direction, which share their turning notes."""
    start = 0
    for index in range(1, len(line)):
        last = index == len(line) - 1
        here = line[index].pitch - line[index - 1].pitch
        rests = line[index - 1].offset_tick != line[index].onset_tick
        following = 0 if last else line[index + 1].pitch - line[index].pitch
        if rests:
            yield line[start:index]
            start = index
        if last or here * following <= 0:
            yield line[start : index + 1]
            start = index


@dataclass(frozen=True)
class TritoneOutline(Rule):
    """A stretch in one direction that begins and ends a tritone apart.

    A diminished fifth is not a fault if the line then turns back by step.
    """

    name: ClassVar[str] = "tritone_outline"
    reason: ClassVar[str] = "The ear connects the turning notes of a line and hears the tritone."
    source: ClassVar[str] = JEPPESEN_MELODY

    severity: Severity = Severity.WARNING

    def find(self, texture: Texture) -> Iterator[Finding]:
        for line in texture.judged_lines:
            for stretch in segments(line):
                first, last = stretch[0], stretch[-1]
                interval = first.to(last)
                if len(stretch) < 2 or not interval.is_tritone:
                    continue
                following = texture.after(last)
                turns = following is not None and last.to(following).is_step
                if interval.size.steps == 4 and turns:
                    continue
                fact = f"the line outlines {interval.phrase}: {first.name} to {last.name}"
                yield Finding(first.onset_tick, stretch, fact)


@dataclass(frozen=True)
class RepeatedNotes(Rule):
    """A note struck again and again.

    most: how often a note may follow itself.
    """

    name: ClassVar[str] = "repeated_notes"
    reason: ClassVar[str] = "A line that stands still has no direction."
    source: ClassVar[str] = JEPPESEN_TWO_PARTS

    severity: Severity = Severity.WARNING
    most: int = 1

    def find(self, texture: Texture) -> Iterator[Finding]:
        for line in texture.judged_lines:
            for _, group in groupby(line, key=lambda note: note.pitch):
                notes = tuple(group)
                if len(notes) > self.most + 1:
                    fact = f"{notes[0].name} comes {len(notes)} times in a row"
                    yield Finding(notes[0].onset_tick, notes, fact)


@dataclass(frozen=True)
class Climax(Rule):
    """The highest note of a voice comes more than once."""

    name: ClassVar[str] = "climax"
    reason: ClassVar[str] = "A line is clearer with a single highest note."
    source: ClassVar[str] = JEPPESEN_MELODY

    severity: Severity = Severity.HINT

    def find(self, texture: Texture) -> Iterator[Finding]:
        for line in texture.judged_lines:
            highest = max(note.pitch for note in line)
            notes = tuple(note for note in line if note.pitch == highest)
            if len(notes) > 1:
                fact = f"the highest note, {notes[0].name}, comes {len(notes)} times"
                yield Finding(notes[1].onset_tick, notes, fact)


@dataclass(frozen=True)
class Range(Rule):
    """A voice that is too wide.

    most_semitones: from the lowest to the highest note; 16 is a major tenth.
    """

    name: ClassVar[str] = "range"
    reason: ClassVar[str] = "The line is wider than a voice sings with ease."
    source: ClassVar[str] = JEPPESEN_MELODY

    severity: Severity = Severity.WARNING
    most_semitones: int = 16

    def find(self, texture: Texture) -> Iterator[Finding]:
        for line in texture.judged_lines:
            lowest, highest = (choose(line, key=lambda note: note.pitch) for choose in (min, max))
            if highest.pitch - lowest.pitch > self.most_semitones:
                voice = VOICE_NAMES[line[0].voice]
                width = lowest.to(highest).phrase
                fact = f"the {voice} spans {width}: {lowest.name} to {highest.name}"
                first = min(lowest, highest, key=lambda note: note.onset_tick)
                yield Finding(first.onset_tick, (lowest, highest), fact)
