"""Write a voice to a cantus firmus in one of the five species.

The search adds one note after another and asks the rules of a set after each; where no note is
left it goes back. So a piece that comes out breaks no rule of the set that counts as an error, and
one that cannot be written is named with the bar that the search could not pass.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from bicinium.counterpoint.checker import CounterpointReport, check_score
from bicinium.counterpoint.rule import Rule, Severity
from bicinium.counterpoint.rule_sets import RuleSet, load_rule_set
from bicinium.counterpoint.texture import Texture
from bicinium.errors import RequestError
from bicinium.formats.spelling import Spelling, signature_alterations
from bicinium.music.counterpoint import LOWER, UPPER
from bicinium.music.key import STEP_SEMITONES
from bicinium.music.score import Note, Score, Voice

_QUARTERS_IN_BAR = 4
_WINDOW_BARS = 3  # the rules are asked about so many bars before a new note
_MAX_TRIES = 1_500  # notes that are tried before the search begins anew
_RESTARTS = 24
_SOLUTIONS = 3  # of which the one with the fewest warnings is kept
_WIDEST = 19  # semitones between the voices
_OCTAVE = 12
_RANGE = 16  # semitones of the new voice
_LOCAL_ENDINGS = ("ending", "cadence", "tonic_ending", "leading_note", "syncopation", "climax")


@dataclass(frozen=True, slots=True)
class _Pattern:
    """The rhythm of a bar: lengths in quarters; the first is a rest, or tied to the bar before."""

    quarters: tuple[float, ...]
    rest: bool = False
    tied: bool = False


_WHOLE, _HALVES = _Pattern((4,)), _Pattern((2, 2))
_LATE_HALF, _TIED_HALVES = _Pattern((2, 2), rest=True), _Pattern((2, 2), tied=True)
_QUARTERS = _Pattern((1, 1, 1, 1))
_FLORID = (
    _TIED_HALVES, _HALVES, _QUARTERS,
    _Pattern((2, 1, 1)), _Pattern((1, 1, 2)),
    _Pattern((2, 1, 1), tied=True), _Pattern((1, 1, 1, 1), tied=True),
    _Pattern((1, 0.5, 0.5, 1, 1), tied=True), _Pattern((1, 1, 2), tied=True),
)  # fmt: skip


def _patterns(species: int, bar: int, bars: int) -> tuple[_Pattern, ...]:
    """Return the rhythms that a bar may have, the preferred ones first."""
    if bar == bars - 1:
        return (_WHOLE,)
    if bar == 0:
        return {1: (_WHOLE,), 3: (_QUARTERS,)}.get(species, (_LATE_HALF,))
    middle = {1: (_WHOLE,), 2: (_HALVES,), 3: (_QUARTERS,), 4: (_TIED_HALVES, _HALVES)}
    if species == 2 and bar == bars - 2:
        return (_HALVES, _WHOLE)
    if species in middle:
        return middle[species]
    return (_TIED_HALVES, _HALVES) if bar == bars - 2 else _FLORID


def write_counterpoint(
    cantus: Score,
    species: int,
    *,
    above: bool = True,
    rules: RuleSet | str | None = None,
    seed: int = 0,
) -> CounterpointReport:
    """Return a score with a new voice against a cantus firmus, checked.

    cantus: its upper voice has one note a bar. rules: None is the strict set of the species. Raises
    RequestError if the search finds no solution, with the bar that it could not pass.
    """
    if species not in range(1, 6):
        raise RequestError(f"species must be 1 to 5 (got {species}).")
    rule_set = load_rule_set(rules or f"species{species}")
    search = _Search(cantus, species, above, rule_set)
    found: list[CounterpointReport] = []
    for restart in range(_RESTARTS):
        report = search.run(np.random.default_rng([seed, restart]))
        if report is not None:
            found.append(report)
        if len(found) == _SOLUTIONS or (report and not report.count(Severity.WARNING)):
            break
    if not found:
        raise RequestError(
            f"No voice of species {species} {'above' if above else 'below'} this cantus firmus was "
            f"found: the search did not pass bar {search.farthest_bar + 1}. Try the other side, "
            f"the rules species{species}-school, or another seed."
        )
    return min(found, key=lambda report: report.count(Severity.WARNING))


class _ModalSpeller:
    """Spells the notes of a mode by its signature, and its raised leading note."""

    def __init__(self, cantus: Score) -> None:
        signature = signature_alterations(cantus.key.fifths if cantus.key else 0)
        self._of_class = {
            (STEP_SEMITONES[step] + alter) % 12: (step, alter) for step, alter in signature.items()
        }
        self.mode = self.with_leading_note = frozenset(self._of_class)
        final = cantus.voices[0].notes[-1].pitch % 12
        leading = (final - 1) % 12
        phrygian = (final + 1) % 12 in self.mode
        if leading not in self.mode and not phrygian:
            step, alter = self._of_class[(final - 2) % 12]
            self._of_class[leading] = step, alter + 1
            self.with_leading_note = self.mode | {leading}

    def __call__(self, score: Score) -> list[list[Spelling]]:
        return [[self._spelled(note.pitch) for note in voice.notes] for voice in score.voices]

    def _spelled(self, pitch: int) -> Spelling:
        step, alter = self._of_class[pitch % 12]
        return Spelling(step, alter, (pitch - alter - STEP_SEMITONES[step]) // 12 - 1)


class _Search:
    """A depth-first search over the notes of the new voice."""

    def __init__(self, cantus: Score, species: int, above: bool, rule_set: RuleSet) -> None:
        self._given = cantus.voices[0].notes
        self._cantus, self._species, self._rule_set = cantus, species, rule_set
        self._new, self._old = (UPPER, LOWER) if above else (LOWER, UPPER)
        self._local = tuple(
            rule
            for rule in rule_set.rules
            if rule.name not in _LOCAL_ENDINGS and rule.name != "species_rhythm"
        )
        self._modal = _ModalSpeller(cantus)
        self._bars = len(self._given)
        self._bar_ticks = cantus.meter.bar_ticks
        self.farthest_bar = 0

    def run(self, rng: np.random.Generator) -> CounterpointReport | None:
        """Return a finished exercise without errors; None if none is found in time."""
        self._rng, self._tries = rng, 0
        for notes in self._grow([], 0):
            report = check_score(self._score(notes, self._bars), self._rule_set, self._old)
            if report.passed:
                return report
        return None

    def _grow(self, notes: list[Note], bar: int) -> Iterator[list[Note]]:
        """Yield complete lines that begin with ``notes``."""
        if bar == self._bars:
            yield notes
            return
        self.farthest_bar = max(self.farthest_bar, bar)
        patterns = list(_patterns(self._species, bar, self._bars))
        if self._species == 5 and len(patterns) > 2:
            self._rng.shuffle(patterns)
        for pattern in patterns:
            for grown in self._fill(notes, bar, pattern, 0):
                yield from self._grow(grown, bar + 1)
                if self._tries > _MAX_TRIES:
                    return

    def _fill(
        self, notes: list[Note], bar: int, pattern: _Pattern, index: int
    ) -> Iterator[list[Note]]:
        """Yield lines with the notes of a bar added, from the one of this index on."""
        if index == len(pattern.quarters):
            yield notes
            return
        unit = self._bar_ticks // _QUARTERS_IN_BAR
        tick = bar * self._bar_ticks + round(sum(pattern.quarters[:index]) * unit)
        ticks = round(pattern.quarters[index] * unit)
        if index == 0 and pattern.rest:
            yield from self._fill(notes, bar, pattern, 1)
            return
        if index == 0 and pattern.tied:
            if notes and notes[-1].offset_tick == tick:
                longer = replace(notes[-1], duration_ticks=notes[-1].duration_ticks + ticks)
                grown = [*notes[:-1], longer]
                if self._fits(grown):
                    yield from self._fill(grown, bar, pattern, 1)
            return
        for pitch in self._candidates(notes, bar):
            self._tries += 1
            if self._tries > _MAX_TRIES:
                return
            grown = [*notes, Note(tick, pitch, ticks)]
            if self._fits(grown):
                yield from self._fill(grown, bar, pattern, index + 1)

    def _candidates(self, notes: list[Note], bar: int) -> list[int]:
        """Return the pitches that may come next, the more pleasing ones more likely first."""
        pool = [pitch for pitch in self._scale(bar) if self._is_in_reach(notes, bar, pitch)]
        if not notes:
            return list(self._rng.permutation(pool).tolist())
        given_move = self._given[bar].pitch - self._given[max(0, bar - 1)].pitch
        steps = np.array(pool) - notes[-1].pitch
        weights = 1.0 / (1 + np.maximum(0, np.abs(steps) - 2))  # steps before leaps
        weights *= np.where(steps == 0, 0.3, np.where(steps * given_move < 0, 2.0, 1.0))
        order = np.argsort(-(np.log(weights) + self._rng.gumbel(size=len(pool))))
        return [pool[index] for index in order]

    def _is_in_reach(self, notes: list[Note], bar: int, pitch: int) -> bool:
        """Return whether a pitch is on its side of the cantus, near to it and to its line."""
        distance = (pitch - self._given[bar].pitch) * (1 if self._new == UPPER else -1)
        if not notes:
            return 0 <= distance <= _OCTAVE
        line = [note.pitch for note in notes]
        step = abs(pitch - line[-1])
        return (
            0 <= distance <= _WIDEST
            and step <= _OCTAVE
            and not (step == 0 and self._species > 1)
            and max(*line, pitch) - min(*line, pitch) <= _RANGE
        )

    def _scale(self, bar: int) -> list[int]:
        """Return the pitches of the mode; near the end also the raised leading note."""
        near_end = bar >= self._bars - 2
        classes = self._modal.with_leading_note if near_end else self._modal.mode
        return [pitch for pitch in range(36, 85) if pitch % 12 in classes]

    def _fits(self, notes: list[Note]) -> bool:
        """Return whether the last bars break no rule, as far as they are written."""
        last = notes[-1]
        first_bar = max(0, last.onset_tick // self._bar_ticks - _WINDOW_BARS)
        start = first_bar * self._bar_ticks
        bars = -(-last.offset_tick // self._bar_ticks)
        rules = self._local if first_bar == 0 else self._without_beginning
        texture = self._texture([note for note in notes if note.onset_tick >= start], start, bars)
        for rule in rules:
            if rule.severity is not Severity.ERROR:
                continue
            for found in rule.find(texture):
                if rule.name != "dissonance" or found.tick + start < last.onset_tick:
                    return False
        return True

    @property
    def _without_beginning(self) -> tuple[Rule, ...]:
        return tuple(rule for rule in self._local if rule.name != "beginning")

    def _texture(self, notes: list[Note], start: int, bars: int) -> Texture:
        shifted = [replace(note, onset_tick=note.onset_tick - start) for note in notes]
        score = self._score(shifted, bars - start // self._bar_ticks, start)
        return Texture(score, self._old, self._modal)

    def _score(self, notes: Sequence[Note], bars: int, start: int = 0) -> Score:
        end = start + bars * self._bar_ticks
        given = [
            replace(note, onset_tick=note.onset_tick - start)
            for note in self._given
            if start <= note.onset_tick < end
        ]
        voices = [Voice(tuple(given)), Voice(tuple(given))]
        voices[self._new] = Voice(tuple(notes))
        return replace(self._cantus, voices=tuple(voices), bars=bars)
