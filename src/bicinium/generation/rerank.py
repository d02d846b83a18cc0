"""Chooses among the candidates of a piece, and says how good the chosen one is."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

from bicinium.counterpoint.checker import find_faults
from bicinium.counterpoint.rule import Severity
from bicinium.counterpoint.rule_sets import RuleSet
from bicinium.errors import RequestError, ScoreError
from bicinium.generation.acceptance import (
    OUTLIER_RULES,
    Rejection,
    RejectReason,
    flaws_of_written,
    notes_per_second,
)
from bicinium.generation.composition import Composition
from bicinium.generation.config import GenerationConfig
from bicinium.generation.constraints.registry import count_violations
from bicinium.generation.critic import Critic
from bicinium.generation.memorization import Quotation, QuotationIndex
from bicinium.music.counterpoint import ends_on_tonic
from bicinium.music.descriptors import Description, describe
from bicinium.music.quality import quality_of
from bicinium.music.score import Score

DEFAULT_BEST_OF = 12  # candidates for each piece (docs/log.md)
_UNCHECKED = 10_000  # errors that count for a piece that cannot be checked
MAX_FREE_QUOTE_BARS = 3  # human composers share as many by chance


@dataclass(frozen=True, slots=True)
class ScoreSheet:
    """How good a piece is, each in [0, 1], and in which respects it is as requested."""

    grammar_score: float
    quality_score: float  # 0 without two voices to measure
    checks: dict[str, bool]  # bars, meter, key, close and, if one was requested, tempo
    quoted_bars: int | None  # the longest quotation of the training set; None: not searched for
    quoted_from: str = ""  # composer and title
    realism: float | None = None  # the critic's probability; None: the model has no critic

    @property
    def adherence(self) -> float:
        """Share of the checks that hold."""
        return sum(self.checks.values()) / len(self.checks)

    @property
    def originality(self) -> float:
        """1 up to three quoted bars, and half of it for each further bar."""
        return 0.5 ** max(0, (self.quoted_bars or 0) - MAX_FREE_QUOTE_BARS)

    @property
    def total(self) -> float:
        """The product of the above; 0 for an ungrammatical piece."""
        if self.grammar_score < 1:
            return 0.0
        realism = 1.0 if self.realism is None else self.realism
        return self.quality_score * self.adherence * self.originality * realism


class Candidate:
    """A finished piece, each measure of which is computed once, when it is first needed."""

    def __init__(
        self,
        composition: Composition,
        quotations: QuotationIndex | None = None,
        rules: RuleSet | None = None,
    ) -> None:
        self.composition, self._quotations, self._rules = composition, quotations, rules

    @property
    def score(self) -> Score:
        """The score. Only a piece without the grammar may have none."""
        assert self.composition.score is not None
        return self.composition.score

    @cached_property
    def descriptors(self) -> Description:
        """The descriptors of the piece; each is computed when it is first read."""
        return describe(self.score)

    @cached_property
    def quality_score(self) -> float:
        """The quality score; 0 without two voices to measure."""
        found = quality_of(self.descriptors)
        return found.score if found else 0.0

    @cached_property
    def outliers(self) -> int:
        """The number of measures beyond their limits."""
        return sum(rule.is_outlier(self) for rule in OUTLIER_RULES)

    @cached_property
    def faults(self) -> Counter[Severity]:
        """How many faults of each severity the rules find; none without rules.

        What cannot be checked, such as a silent voice, is worse than any number of errors.
        """
        if self._rules is None:
            return Counter()
        fixed_notes = self.composition.conditions.fixed_notes
        given = fixed_notes.given_voice if fixed_notes else None
        try:
            found = find_faults(self.score, self._rules, given)
        except (RequestError, ScoreError):
            return Counter({Severity.ERROR: _UNCHECKED})
        return Counter(fault.severity for fault in found)

    @cached_property
    def flaws_of_opening(self) -> float:
        """What the measures beyond their limits count, in nats, if these are the first bars."""
        rules = [rule for rule in OUTLIER_RULES if rule.in_opening]
        return sum(rule.in_opening for rule in rules if rule.is_outlier(self))

    @cached_property
    def quotation(self) -> Quotation:
        """The longest quotation of the training set among the notes that the model wrote."""
        if self._quotations is None:
            return Quotation(0)
        return quotation(self.composition, self._quotations)

    @property
    def notes_per_second(self) -> float:
        """Notes a second in the fullest bar; NaN if the tempo was requested."""
        if self.composition.conditions.tempo_qpm is not None:
            return math.nan
        return notes_per_second(self.score)

    @cached_property
    def checks(self) -> dict[str, bool]:
        """Whether the piece is as requested. Bars count up to the last in which a note sounds.

        An end that was given need not close.
        """
        conditions, score = self.composition.conditions, self.composition.score
        checks = {
            "bars": score is not None and score.bars == conditions.bars == _last_bar(score),
            "meter": score is not None and score.meter == conditions.meter,
            "key": score is not None and score.profile_key == conditions.key,
        }
        if not conditions.end_is_given:
            checks["close"] = score is not None and ends_on_tonic(score, conditions.key)
        if conditions.tempo_qpm is not None:
            tempo = conditions.tempo_qpm
            checks["tempo"] = score is not None and math.isclose(score.tempo_qpm, tempo)
        return checks

    @property
    def adherence(self) -> float:
        """Share of the checks that hold."""
        return sum(self.checks.values()) / len(self.checks)


@dataclass(frozen=True, slots=True)
class Selection:
    """How many candidates each piece has, and how one of them is chosen.

    ``eliminate`` stops the less promising candidates early, if there are many.

    ``quotations`` and ``critic`` lie beside the weights of a model. ``accept`` is a test of the
    caller's own.
    """

    best_of: int = 1
    quotations: QuotationIndex | None = None
    critic: Critic | None = None
    max_quote_bars: int | None = None  # of the training set; None: no limit
    rules: RuleSet | None = None  # of counterpoint; the fewest faults come first
    accept: Callable[[Composition], bool] | None = None
    eliminate: bool = True

    def candidate(self, composition: Composition) -> Candidate:
        """Return the composition with its measures."""
        return Candidate(composition, self.quotations, self.rules)

    def violation(self, candidate: Candidate, config: GenerationConfig) -> Rejection | None:
        """Return why a candidate is rejected. Without the grammar every one is taken."""
        composition = candidate.composition
        if not config.use_grammar:
            return None
        if composition.score is None:
            return Rejection(RejectReason.DEAD_END)
        if config.constraints:
            counts = count_violations(composition.score, composition.conditions, config.constraints)
            broken = [name for name, n in counts.items() if n and config.constraints.forbids(name)]
            if broken:
                return Rejection(RejectReason.BREAKS_CONSTRAINT, ", ".join(broken))
        if self.max_quote_bars is not None and candidate.quotation.bars > self.max_quote_bars:
            quoted = candidate.quotation
            return Rejection(RejectReason.QUOTES, f"{quoted.bars} bars of {quoted.source}")
        if self.accept and not self.accept(composition):
            return Rejection(RejectReason.NOT_ACCEPTED)
        return None

    def best(self, valid: Sequence[Candidate], config: GenerationConfig) -> Candidate:
        """Return the candidate with the fewest outliers, then most as requested, then most real.

        Errors under the rules count as outliers. Of equals, the one with the fewest warnings wins.
        """
        if len(valid) == 1:
            return valid[0]
        return min(
            valid,
            key=lambda c: (
                outliers(c, config),
                c.faults[Severity.WARNING],
                -c.adherence,
                -self.log_odds(c),
            ),
        )

    def promise(self, opening: Candidate, config: GenerationConfig) -> float:
        """Return how promising the first bars of a candidate are, in nats."""
        flaws = opening.flaws_of_opening if _counts_outliers(config) else 0.0
        return self.log_odds(opening) - flaws

    def log_odds(self, candidate: Candidate) -> float:
        """Return the log-odds of real music: the critic's or, without one, the quality model's."""
        if candidate.composition.score is None:
            return candidate.composition.result.grammar_score
        if self.critic:
            return self.critic.log_odds(candidate.descriptors)
        return candidate.quality_score

    def sheet(self, candidate: Candidate) -> ScoreSheet:
        """Return the score sheet of a candidate."""
        composition = candidate.composition
        measured = composition.score is not None
        quality_score = candidate.quality_score if measured else 0.0
        realism = None
        if self.critic and quality_score:
            realism = self.critic.realism(candidate.descriptors)
        quoted = candidate.quotation if measured else Quotation(0)
        return ScoreSheet(
            grammar_score=composition.result.grammar_score,
            quality_score=quality_score,
            checks=candidate.checks,
            quoted_bars=quoted.bars if self.quotations else None,
            quoted_from=quoted.source,
            realism=realism,
        )


DEFAULT_SELECTION = Selection()


def outliers(candidate: Candidate, config: GenerationConfig) -> int:
    """Return the number of outliers of a piece, and of its errors under the rules.

    Outliers are counted only in pieces under constraints: unconstrained pieces are the model's own.
    What surrounds fixed notes may be of any kind, so there only flaws of the written notes count.
    """
    errors = candidate.faults[Severity.ERROR]
    if not _counts_outliers(config):
        return errors
    fixed_notes = candidate.composition.conditions.fixed_notes
    if fixed_notes:
        return errors + flaws_of_written(candidate.score, fixed_notes)
    return errors + candidate.outliers


def names_of_outliers(candidate: Candidate, config: GenerationConfig) -> tuple[str, ...]:
    """Return what the outliers of a piece are called."""
    errors = candidate.faults[Severity.ERROR]
    names = ["errors under the rules"] if errors else []
    if outliers(candidate, config) > errors:
        if candidate.composition.conditions.fixed_notes:
            names.append("silence or repetition beside the given notes")
        else:
            names += [rule.name for rule in OUTLIER_RULES if rule.is_outlier(candidate)]
    return tuple(names)


def _counts_outliers(config: GenerationConfig) -> bool:
    constraints = config.constraints
    return bool(config.use_grammar and constraints and any(constraints.strengths.values()))


def quotation(composition: Composition, index: QuotationIndex) -> Quotation:
    """Return the longest quotation in what was composed; fixed notes do not count."""
    assert composition.score is not None
    fixed_notes = composition.conditions.fixed_notes
    composed = fixed_notes.composed_onsets(composition.score) if fixed_notes else None
    return index.longest_quotation(composition.score, composed)


def _last_bar(score: Score) -> int:
    """Return the number, from 1, of the last bar in which a note sounds; 0 if none does."""
    end_tick = max((voice.end_tick for voice in score.voices), default=0)
    return -(-end_tick // score.meter.bar_ticks)
