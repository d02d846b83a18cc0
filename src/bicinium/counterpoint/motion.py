"""Rules on how the two voices move against each other."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

from bicinium.counterpoint.interval import Interval
from bicinium.counterpoint.rule import Finding, Rule, Severity
from bicinium.counterpoint.sources import (
    FUX_FIRST,
    FUX_MOTION,
    FUX_SECOND,
    JEPPESEN_TWO_PARTS,
    KENNAN_TWO_VOICES,
)
from bicinium.counterpoint.texture import BEAT, DOWNBEAT, LineNote, Moment, Texture
from bicinium.music.counterpoint import LOWER, UPPER


def _perfect_class(interval: Interval) -> str:
    """Return ``fifth``, ``octave``, ``unison``, or an empty string for other intervals."""
    if interval.is_perfect_fifth:
        return "fifth"
    if interval.is_perfect_octave:
        return "unison" if interval.steps == 0 else "octave"
    return ""


def _same_class(before: str, after: str) -> bool:
    """A unison and an octave are of one class."""
    return bool(before) and (before == "fifth") == (after == "fifth") and bool(after)


def _motions(before: Moment, after: Moment) -> tuple[int, int]:
    """Return the semitones by which the upper and the lower voice move."""
    return after.upper.pitch - before.upper.pitch, after.lower.pitch - before.lower.pitch


def _both_move(before: Moment, after: Moment) -> bool:
    return all(_motions(before, after))


def _are_similar(before: Moment, after: Moment) -> bool:
    """Return whether both voices move in one direction."""
    up, down = _motions(before, after)
    return up * down > 0


def _pair_of_names(moment: Moment) -> str:
    return f"{moment.lower.name}-{moment.upper.name}"


def _notes(*moments: Moment) -> tuple[LineNote, ...]:
    return tuple(dict.fromkeys(note for moment in moments for note in moment.notes))


@dataclass(frozen=True)
class ConsecutivePerfects(Rule):
    """Parallel fifths, octaves and unisons, from one note of both voices to the next.

    contrary: also report two fifths or octaves that are reached by contrary motion.
    """

    name: ClassVar[str] = "consecutive_perfects"
    reason: ClassVar[str] = (
        "Voices that move in parallel fifths or octaves lose their independence."
    )
    source: ClassVar[str] = f"{FUX_FIRST}; {KENNAN_TWO_VOICES}"

    contrary: bool = False

    def find(self, texture: Texture) -> Iterator[Finding]:
        for before, after in texture.moment_pairs:
            kind = _perfect_class(after.interval)
            if not _same_class(_perfect_class(before.interval), kind):
                continue
            if not (after.both_begin and _both_move(before, after)):
                continue
            similar = _are_similar(before, after)
            if similar or self.contrary:
                how = "parallel" if similar else "consecutive (by contrary motion)"
                yield Finding(
                    after.tick,
                    _notes(before, after),
                    f"{how} {kind}s: {_pair_of_names(before)}, {_pair_of_names(after)}",
                )


@dataclass(frozen=True)
class PerfectsOnDownbeats(Rule):
    """Fifths or octaves on successive downbeats, with other notes between them.

    excused_by_leap: the letters that the leap between them must span to hide them (3: a fourth);
        0 if nothing does.
    """

    name: ClassVar[str] = "perfects_on_downbeats"
    reason: ClassVar[str] = "The notes between them are too few to hide the parallels."
    source: ClassVar[str] = f"{FUX_SECOND}; {JEPPESEN_TWO_PARTS}"

    excused_by_leap: int = 3

    def find(self, texture: Texture) -> Iterator[Finding]:
        downbeats = [one for one in texture.moments if texture.weight(one.tick) == DOWNBEAT]
        for before, after in pairwise(downbeats):
            if after.tick - before.tick != texture.meter.bar_ticks:
                continue
            kind = _perfect_class(after.interval)
            if not _same_class(_perfect_class(before.interval), kind):
                continue
            if not (after.both_begin and _are_similar(before, after)):
                continue
            between = self._between(texture, before, after)
            if between and not self._is_excused(before, between):
                yield Finding(
                    after.tick,
                    _notes(before, after),
                    f"{kind}s on successive downbeats: {_pair_of_names(before)}, "
                    f"{_pair_of_names(after)}",
                )

    def _between(self, texture: Texture, before: Moment, after: Moment) -> list[LineNote]:
        return [
            note
            for line in texture.lines
            for note in line
            if before.tick < note.onset_tick < after.tick
        ]

    def _is_excused(self, before: Moment, between: list[LineNote]) -> bool:
        first = between[0]
        leap = before.notes[first.voice].to(first)
        return self.excused_by_leap > 0 and abs(leap.steps) >= self.excused_by_leap


@dataclass(frozen=True)
class HiddenPerfects(Rule):
    """A fifth or an octave that both voices reach in the same direction.

    upper_may_step: not a fault if the upper voice moves by step.
    lower_may_step: not a fault if the lower voice moves by step.
    only_on_beats: report only those that fall on a beat.
    """

    name: ClassVar[str] = "hidden_perfects"
    reason: ClassVar[str] = (
        "The ear fills in the leap and hears parallel fifths or octaves. "
        "Reach a perfect interval by contrary or oblique motion."
    )
    source: ClassVar[str] = f"{FUX_MOTION}; {KENNAN_TWO_VOICES}"

    upper_may_step: bool = False
    lower_may_step: bool = False
    only_on_beats: bool = False

    def find(self, texture: Texture) -> Iterator[Finding]:
        for before, after in texture.moment_pairs:
            kind = _perfect_class(after.interval)
            if not kind or not after.both_begin or not _are_similar(before, after):
                continue
            if self.only_on_beats and texture.weight(after.tick) < BEAT:
                continue
            if _same_class(_perfect_class(before.interval), kind):
                continue  # parallel, not hidden
            steps = [
                one.to(other).is_step for one, other in zip(before.notes, after.notes, strict=True)
            ]
            if (self.upper_may_step and steps[UPPER]) or (self.lower_may_step and steps[LOWER]):
                continue
            yield Finding(
                after.tick,
                _notes(before, after),
                f"hidden {kind}: {_pair_of_names(before)}, {_pair_of_names(after)}",
            )


@dataclass(frozen=True)
class ParallelRun(Rule):
    """Too many thirds or sixths one after the other.

    most: how many may follow one another.
    """

    name: ClassVar[str] = "parallel_run"
    reason: ClassVar[str] = "A long row of parallel thirds or sixths makes one voice of two."
    source: ClassVar[str] = f"{JEPPESEN_TWO_PARTS}; {KENNAN_TWO_VOICES}"

    severity: Severity = Severity.WARNING
    most: int = 3

    def find(self, texture: Texture) -> Iterator[Finding]:
        run: list[Moment] = []
        for before, after in texture.moment_pairs:
            steps = after.interval.simple_steps
            continues = (
                after.interval.is_imperfect
                and before.interval.is_imperfect
                and steps == before.interval.simple_steps
                and after.both_begin
                and _are_similar(before, after)
            )
            run = [*(run or [before]), after] if continues else []
            if len(run) == self.most + 1:
                kind = "thirds" if steps == 2 else "sixths"
                yield Finding(run[0].tick, _notes(*run), f"more than {self.most} {kind} in a row")


@dataclass(frozen=True)
class Crossing(Rule):
    """The lower voice above the upper."""

    name: ClassVar[str] = "crossing"
    reason: ClassVar[str] = "The listener takes the higher note for the upper voice."
    source: ClassVar[str] = KENNAN_TWO_VOICES

    severity: Severity = Severity.WARNING

    def find(self, texture: Texture) -> Iterator[Finding]:
        crossed = False
        for moment in texture.moments:
            was, crossed = crossed, moment.lower.pitch > moment.upper.pitch
            if crossed and not was:
                fact = f"the voices cross: {moment.lower.name} lies above {moment.upper.name}"
                yield Finding(moment.tick, moment.notes, fact)


@dataclass(frozen=True)
class Overlap(Rule):
    """A voice moves past the note that the other voice has just left."""

    name: ClassVar[str] = "overlap"
    reason: ClassVar[str] = "The listener hears a leap from one voice into the other."
    source: ClassVar[str] = KENNAN_TWO_VOICES

    severity: Severity = Severity.HINT

    def find(self, texture: Texture) -> Iterator[Finding]:
        for before, after in texture.moment_pairs:
            if after.lower.pitch > after.upper.pitch or not after.both_begin:
                continue
            if after.lower.pitch > before.upper.pitch:
                yield self._finding(after, after.lower, before.upper, "above")
            if after.upper.pitch < before.lower.pitch:
                yield self._finding(after, after.upper, before.lower, "below")

    def _finding(self, after: Moment, here: LineNote, there: LineNote, where: str) -> Finding:
        fact = f"the voices overlap: {here.name} lies {where} {there.name}, just left"
        return Finding(after.tick, (there, here), fact)


@dataclass(frozen=True)
class Spacing(Rule):
    """The voices too far apart for a whole bar.

    most_semitones: the widest interval, 19 is a twelfth.
    """

    name: ClassVar[str] = "spacing"
    reason: ClassVar[str] = "Voices far apart do not blend."
    source: ClassVar[str] = f"{JEPPESEN_TWO_PARTS}; {KENNAN_TWO_VOICES}"

    severity: Severity = Severity.WARNING
    most_semitones: int = 19

    def find(self, texture: Texture) -> Iterator[Finding]:
        wide: list[Moment] = []
        for moment in texture.moments:
            if moment.interval.semitones <= self.most_semitones:
                wide = []
                continue
            wide.append(moment)
            lasts = min(note.offset_tick for note in moment.notes) - wide[0].tick
            if lasts >= texture.meter.bar_ticks:
                fact = f"the voices are {wide[0].interval.phrase} apart, or more, for a bar"
                yield Finding(wide[0].tick, wide[0].notes, fact)
                wide = []


@dataclass(frozen=True)
class Unison(Rule):
    """A unison between the first and the last bar.

    on_weak_beats: not a fault off the downbeat.
    """

    name: ClassVar[str] = "unison"
    reason: ClassVar[str] = (
        "At a unison one voice disappears. Keep it for the beginning and the end."
    )
    source: ClassVar[str] = FUX_FIRST

    on_weak_beats: bool = False

    def find(self, texture: Texture) -> Iterator[Finding]:
        last = texture.moments[-1].tick
        for moment in texture.moments[1:]:
            unison = moment.interval.steps == 0 and moment.interval.semitones == 0
            weak = texture.weight(moment.tick) < DOWNBEAT
            if unison and moment.tick != last and not (self.on_weak_beats and weak):
                fact = f"both voices are on {moment.upper.name}"
                yield Finding(moment.tick, moment.notes, fact)


@dataclass(frozen=True)
class FalseRelation(Rule):
    """A letter with one accidental in a voice, and at once with another in the other voice."""

    name: ClassVar[str] = "false_relation"
    reason: ClassVar[str] = "A chromatic change belongs in one voice."
    source: ClassVar[str] = JEPPESEN_TWO_PARTS

    severity: Severity = Severity.WARNING

    def find(self, texture: Texture) -> Iterator[Finding]:
        for before, after in texture.moment_pairs:
            for voice in (UPPER, LOWER):
                one, other = before.notes[voice], after.notes[1 - voice]
                if not after.begins(1 - voice) or not _are_related(one, other):
                    continue
                if _are_related(before.notes[1 - voice], other):
                    continue  # the voice itself makes the change
                yield Finding(after.tick, (one, other), f"{other.name} follows {one.name}")


def _are_related(one: LineNote, other: LineNote) -> bool:
    """Return whether two notes have one letter and different accidentals."""
    return one.spelling.step == other.spelling.step and one.spelling.alter != other.spelling.alter
