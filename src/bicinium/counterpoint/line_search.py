"""The search for a voice against a cantus firmus: bar after bar, note after note.

A note is kept if the rules find no fault in the last two bars. Where no note is left, the search
goes back. It remembers the endings that led nowhere: the rules that count as errors see no farther
back than the bar before, so an ending that leads nowhere once does so always.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import TypeAlias

import numpy as np

from bicinium.counterpoint.bar_rhythms import FLORID, BarRhythm, bar_rhythms
from bicinium.counterpoint.modal_speller import ModalSpeller
from bicinium.counterpoint.rule import Finding, Rule, Severity
from bicinium.counterpoint.rule_sets import RuleSet
from bicinium.counterpoint.texture import Texture
from bicinium.music.counterpoint import LOWER, UPPER
from bicinium.music.score import Note, Score, Voice

_QUARTERS_IN_BAR = 4
_WIDEST = 19  # semitones between the voices
_OCTAVE = 12
_RANGE = 16  # semitones of the new voice
_LOWEST, _HIGHEST = 36, 85
_LAST_OF_PIECE = ("ending", "cadence", "tonic_ending", "leading_note")
_OF_WHOLE_LINE = ("species_rhythm", "syncopation", "climax", "range", "spacing", "parallel_run")
_OF_STRETCHES = ("tritone_outline",)  # a stretch may go on, so a fault may yet disappear
# The notes after a dissonance, and before it, that its figure can depend on, by species.
_FIGURE_NOTES = {1: 0, 2: 1, 3: 2, 4: 1, 5: 3}
_NOTES_BEFORE = 2

Line: TypeAlias = tuple[Note, ...]


@dataclass(frozen=True, slots=True)
class Effort:
    """How a search proceeds.

    patience: the notes that may follow before a dissonance must be explained. One is quick, but
        then double neighbours, cambiatas and ornamented resolutions are never written.
    keep_warnings: break no rule that is a warning, as far as the last two bars show.
    any_range: the line may be wider than a singer's.
    tries: the notes to try; None for all that there are.
    """

    patience: int = 1
    keep_warnings: bool = True
    any_range: bool = False
    tries: int | None = field(default=1_500, compare=False)


class LineSearch:
    """All voices of one species on one side of a cantus firmus.

    first_bar: the search begins with the last note of this bar, whatever came before it.
    """

    def __init__(
        self, cantus: Score, species: int, above: bool, rule_set: RuleSet, first_bar: int = 0
    ) -> None:
        self._given = cantus.voices[0].notes
        self._cantus, self._species, self._first_bar = cantus, species, first_bar
        self._new, self.given_voice = (UPPER, LOWER) if above else (LOWER, UPPER)
        local = [rule for rule in rule_set.rules if rule.name not in _OF_WHOLE_LINE]
        self._closing = [rule for rule in local if rule.name in _LAST_OF_PIECE]
        self._anywhere = [rule for rule in local if rule.name not in _LAST_OF_PIECE]
        self._modal = ModalSpeller(cantus.written_signature.fifths, self._given[-1].pitch)
        self._bars = len(self._given)
        self._bar_ticks = cantus.meter.bar_ticks
        self._dead: dict[Effort, set[object]] = {}
        self._fitting: dict[object, bool] = {}
        self._tries = 0
        self.farthest_bar = first_bar

    def lines(self, effort: Effort, rng: np.random.Generator) -> Iterator[Line]:
        """Yield the lines that keep the rules bar by bar, in random order, within the effort."""
        self._effort, self._rng, self._tries = effort, rng, 0
        yield from self._grow((), self._first_bar)

    @property
    def gave_up(self) -> bool:
        """Whether the last search ended because its tries were used up."""
        return self._effort.tries is not None and self._tries > self._effort.tries

    def score(self, line: Line) -> Score:
        """Return the line with the cantus firmus."""
        return self._score(line, 0, self._bars)

    def _grow(self, line: Line, bar: int) -> Iterator[Line]:
        """Yield complete lines that begin with ``line``."""
        if bar == self._bars:
            yield line
            return
        self.farthest_bar = max(self.farthest_bar, bar)
        dead, key = self._dead.setdefault(self._effort, set()), self._ending(line, bar)
        if key in dead:
            return
        found = False
        for rhythm in self._rhythms(bar):
            first_note = 0 if line or bar == 0 else len(rhythm.quarters) - 1
            for grown in self._fill(line, bar, rhythm, first_note):
                for complete in self._grow(grown, bar + 1):
                    found = True
                    yield complete
                if self.gave_up:
                    return
        if not found and not self.gave_up:
            dead.add(key)

    def _ending(self, line: Line, bar: int) -> object:
        """Return all that the bars from ``bar`` on depend on."""
        pitches = [note.pitch for note in line]
        ambitus = None if self._effort.any_range or not line else (min(pitches), max(pitches))
        return bar, self._recent(line, bar), ambitus

    def _recent(self, line: Line, bar: int) -> Line:
        """Return the notes from the bar before ``bar`` on, or those that a figure depends on."""
        start = (bar - 1) * self._bar_ticks
        sounding = sum(note.offset_tick > start for note in line)
        return line[-max(sounding, self._patience + _NOTES_BEFORE + 1) :]

    @property
    def _patience(self) -> int:
        return min(self._effort.patience, _FIGURE_NOTES[self._species])

    def _rhythms(self, bar: int) -> list[BarRhythm]:
        rhythms = list(bar_rhythms(self._species, bar, self._bars))
        if tuple(rhythms) == FLORID:
            self._rng.shuffle(rhythms)
        return rhythms

    def _fill(self, line: Line, bar: int, rhythm: BarRhythm, index: int) -> Iterator[Line]:
        """Yield lines with the notes of a bar added, from the one of this index on."""
        if index == len(rhythm.quarters):
            yield line
            return
        unit = self._bar_ticks // _QUARTERS_IN_BAR
        tick = bar * self._bar_ticks + round(sum(rhythm.quarters[:index]) * unit)
        ticks = round(rhythm.quarters[index] * unit)
        if index == 0 and rhythm.rest:
            yield from self._fill(line, bar, rhythm, 1)
            return
        if index == 0 and rhythm.tied:
            if line and line[-1].offset_tick == tick:
                longer = replace(line[-1], duration_ticks=line[-1].duration_ticks + ticks)
                grown = (*line[:-1], longer)
                if self._fits(grown, bar):
                    yield from self._fill(grown, bar, rhythm, 1)
            return
        for pitch in self._candidates(line, bar):
            self._tries += 1
            if self.gave_up:
                return
            grown = (*line, Note(tick, pitch, ticks))
            if self._fits(grown, bar):
                yield from self._fill(grown, bar, rhythm, index + 1)

    def _candidates(self, line: Line, bar: int) -> list[int]:
        """Return the pitches that may come next, the more pleasing ones more likely first."""
        pool = [pitch for pitch in self._scale(bar) if self._is_in_reach(line, bar, pitch)]
        if not line:
            return list(self._rng.permutation(pool).tolist())
        given_move = self._given[bar].pitch - self._given[max(0, bar - 1)].pitch
        steps = np.array(pool) - line[-1].pitch
        weights = 1.0 / (1 + np.maximum(0, np.abs(steps) - 2))  # steps before leaps
        weights *= np.where(steps == 0, 0.3, np.where(steps * given_move < 0, 2.0, 1.0))
        order = np.argsort(-(np.log(weights) + self._rng.gumbel(size=len(pool))))
        return [pool[index] for index in order]

    def _is_in_reach(self, line: Line, bar: int, pitch: int) -> bool:
        """Return whether a pitch is on its side of the cantus, near to it and to its line."""
        distance = (pitch - self._given[bar].pitch) * (1 if self._new == UPPER else -1)
        if not line:
            return 0 <= distance <= (_WIDEST if self._effort.any_range else _OCTAVE)
        pitches = [note.pitch for note in line]
        step = abs(pitch - pitches[-1])
        in_range = max(*pitches, pitch) - min(*pitches, pitch) <= _RANGE
        return (
            0 <= distance <= _WIDEST
            and step <= _OCTAVE
            and not (step == 0 and self._species > 1)
            and (in_range or self._effort.any_range)
        )

    def _scale(self, bar: int) -> list[int]:
        """Return the pitches of the mode; near the end also the raised leading note."""
        near_end = bar >= self._bars - 2
        classes = self._modal.with_leading_note if near_end else self._modal.mode
        return [pitch for pitch in range(_LOWEST, _HIGHEST) if pitch % 12 in classes]

    def _fits(self, line: Line, bar: int) -> bool:
        """Return whether the line breaks no rule, as far as it is written."""
        recent = self._recent(line, bar)
        lacks_context = self._first_bar > 0 and len(recent) == len(line)
        key = recent, self._patience, self._effort.keep_warnings, lacks_context
        if key not in self._fitting:
            first = recent[0].onset_tick // self._bar_ticks
            known_from = recent[_NOTES_BEFORE:][:1] if lacks_context else recent[:1]
            since = known_from[0].onset_tick if known_from else recent[-1].offset_tick
            self._fitting[key] = not any(self._faults(recent, first, bar, since))
        return self._fitting[key]

    def _faults(self, recent: Line, first: int, bar: int, since: int) -> Iterator[Finding]:
        """Yield the faults in bars ``first`` to ``bar``; dissonances from tick ``since`` on."""
        start = first * self._bar_ticks
        shifted = tuple(replace(note, onset_tick=note.onset_tick - start) for note in recent)
        texture = Texture(self._score(shifted, first, bar + 1), self.given_voice, self._modal)
        ends = recent[-1].offset_tick == self._bars * self._bar_ticks
        for rule in (*self._anywhere, *(self._closing if ends else ())):
            if not self._is_asked(rule, first):
                continue
            for found in rule.find(texture):
                known = found.tick + start >= since and self._is_due(found, shifted)
                if rule.name != "dissonance" or known:
                    yield found

    def _is_asked(self, rule: Rule, first: int) -> bool:
        if rule.name in _OF_STRETCHES or rule.severity is Severity.WARNING:
            return self._effort.keep_warnings
        is_error = rule.severity is Severity.ERROR
        return is_error and (rule.name != "beginning" or first == 0)

    def _is_due(self, found: Finding, notes: Line) -> bool:
        """Return whether a dissonance has just got the last note that could explain it."""
        return sum(note.onset_tick > found.tick for note in notes) == self._patience

    def _score(self, line: Line, first: int, until: int) -> Score:
        """Return bars ``first`` to ``until`` of the cantus with notes whose ticks begin there."""
        start = first * self._bar_ticks
        given = tuple(
            replace(note, onset_tick=note.onset_tick - start) for note in self._given[first:until]
        )
        voices = [Voice(given), Voice(given)]
        voices[self._new] = Voice(line)
        return replace(self._cantus, voices=tuple(voices), bars=until - first)
