"""Write a voice to a cantus firmus in one of the five species.

So that the rules hold by construction, the search asks them after each note. Where no voice exists,
all possibilities are tried, and the bars that admit none are named.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from bicinium.counterpoint.checker import CounterpointReport, check_score
from bicinium.counterpoint.line_search import Effort, LineSearch
from bicinium.counterpoint.rule import Severity
from bicinium.counterpoint.rule_sets import RuleSet, load_rule_set
from bicinium.errors import RequestError
from bicinium.music.score import Score

_QUICK = (*[Effort()] * 10, *[Effort(keep_warnings=False)] * 6)
_ALL_FIGURES = Effort(patience=3, keep_warnings=False)
_SLOW = (
    *[replace(_ALL_FIGURES, tries=6_000)] * 6,
    replace(_ALL_FIGURES, any_range=True, tries=200_000),
)
_SOLUTIONS = 8  # of which the one with the fewest warnings and hints is kept
_CADENCE = replace(_ALL_FIGURES, any_range=True, tries=20_000)
_BARS_OF_CADENCE = (2, 3, 4)  # where most cantus firmi without a solution fail


class NoCounterpointError(RequestError):
    """There is no voice, or none was found.

    is_proved: all possibilities were tried. bars: the first and the last bar that admit no voice,
    or that the search could not pass.
    """

    def __init__(self, message: str, is_proved: bool, bars: tuple[int, int]) -> None:
        super().__init__(message)
        self.is_proved, self.bars = is_proved, bars


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
    NoCounterpointError if there is no such voice or none is found, with the bars.
    """
    if species not in range(1, 6):
        raise RequestError(f"species must be 1 to 5 (got {species}).")
    rule_set = load_rule_set(rules or f"species{species}")
    search = LineSearch(cantus, species, above, rule_set)
    found: list[CounterpointReport] = []
    for attempt, effort in enumerate(_QUICK):
        report = _first_passing(search, rule_set, effort, np.random.default_rng([seed, attempt]))
        if report is not None:
            found.append(report)
        enough = len(found) == _SOLUTIONS or not effort.keep_warnings
        if found and (enough or not found[-1].faults):
            return min(found, key=lambda one: (one.count(Severity.WARNING), len(one.faults)))
    voice = f"voice of species {species} {'above' if above else 'below'} this cantus firmus"
    advice = f"Try the other side, or the rules species{species}-school."
    first, last = _impossible_ending(cantus, species, above, rule_set), cantus.bars
    if first:
        message = f"There is no {voice}: bars {first} to {last} admit none. {advice}"
        raise NoCounterpointError(message, True, (first, last))
    for attempt, effort in enumerate(_SLOW, len(_QUICK)):
        report = _first_passing(search, rule_set, effort, np.random.default_rng([seed, attempt]))
        if report is not None:
            return report
    bar = search.farthest_bar + 1
    if search.gave_up:
        message = f"No {voice} was found: the search did not pass bar {bar}. {advice}"
        raise NoCounterpointError(message, False, (1, bar))
    message = f"There is no {voice}: none passes bar {bar}. {advice}"
    raise NoCounterpointError(message, True, (1, bar))


def _first_passing(
    search: LineSearch, rule_set: RuleSet, effort: Effort, rng: np.random.Generator
) -> CounterpointReport | None:
    for line in search.lines(effort, rng):
        report = check_score(search.score(line), rule_set, search.given_voice)
        if report.passed:
            return report
    return None


def _impossible_ending(cantus: Score, species: int, above: bool, rule_set: RuleSet) -> int | None:
    """Return the first bar of an ending that admits no voice, whatever came before it, or None."""
    for bars in _BARS_OF_CADENCE:
        first = cantus.bars - bars
        if first > 0:
            search = LineSearch(cantus, species, above, rule_set, first)
            if not any(search.lines(_CADENCE, np.random.default_rng(0))) and not search.gave_up:
                return first + 1
    return None
