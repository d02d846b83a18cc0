"""Which of several candidates is best, and a score sheet that says why."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from bicinium.generation.composition import Composition
from bicinium.generation.conditions import Conditions
from bicinium.generation.critic import Critic
from bicinium.generation.memorization import Quotation, QuotationIndex
from bicinium.music.counterpoint import ends_on_tonic
from bicinium.music.descriptors import describe
from bicinium.music.quality import quality_of
from bicinium.music.score import Score

DEFAULT_BEST_OF = 12  # candidates for each piece, where no other number is asked for (docs/log.md)
_APART = 2**64  # between candidates' seeds; with less, one would draw what another draws next
MAX_FREE_QUOTE_BARS = 3  # as many as human composers have in common by chance


@dataclass(frozen=True, slots=True)
class ScoreSheet:
    """How good a piece is, in [0, 1] each, and of what was asked for, what it is."""

    grammar_score: float
    quality_score: float  # 0 where there are no two voices to judge
    checks: dict[str, bool]  # bars, meter, key, close and, where one was asked for, tempo
    quoted_bars: int | None  # the longest quotation of the training set; None: not looked for
    quoted_from: str = ""  # composer and title
    realism: float | None = None  # the critic's; None: the model has no critic

    @property
    def adherence(self) -> float:
        """Share of the checks that hold."""
        return sum(self.checks.values()) / len(self.checks)

    @property
    def originality(self) -> float:
        """1 up to three quoted bars, half of it for each bar more."""
        return 0.5 ** max(0, (self.quoted_bars or 0) - MAX_FREE_QUOTE_BARS)

    @property
    def total(self) -> float:
        """``quality_score`` · ``adherence`` · ``originality`` · ``realism``; 0 for what is
        ungrammatical.
        """
        if self.grammar_score < 1:
            return 0.0
        realism = 1.0 if self.realism is None else self.realism
        return self.quality_score * self.adherence * self.originality * realism


def score_sheet(
    composition: Composition, index: QuotationIndex | None, critic: Critic | None = None
) -> ScoreSheet:
    """Judge a piece. Without an index, quotations are not looked for."""
    score = composition.score
    description = describe(score) if score else None
    judged = quality_of(description) if description else None
    quoted = Quotation(0)
    if index and score:
        quoted = quotation(score, composition.conditions, index)
    return ScoreSheet(
        grammar_score=composition.result.grammar_score,
        quality_score=judged.score if judged else 0.0,
        checks=_checks(composition.conditions, score),
        quoted_bars=quoted.bars if index else None,
        quoted_from=quoted.source,
        realism=critic.realism(description) if critic and judged and description else None,
    )


def candidate_seeds(seeds: Sequence[int], best_of: int) -> list[int]:
    """For each piece's seed those of its candidates, of which the first is the piece's own."""
    return [seed + candidate * _APART for seed in seeds for candidate in range(best_of)]


def each_candidate(
    conditions: Sequence[Conditions], seeds: Sequence[int], best_of: int
) -> tuple[list[Conditions], list[int]]:
    """What is asked of each candidate, and its seed: all of the first piece, of the second, …"""
    asked = [one for one in conditions for _ in range(best_of)]
    return asked, candidate_seeds(seeds, best_of)


def best_of_each(
    candidates: Mapping[int, Composition],
    best_of: int,
    index: QuotationIndex | None,
    critic: Critic | None,
) -> dict[int, Composition]:
    """Of the candidates i · best_of to (i + 1) · best_of - 1 the best, with its sheet, by i; none
    where there are none of these.
    """
    of_piece: dict[int, list[Composition]] = {}
    for place in sorted(candidates):
        of_piece.setdefault(place // best_of, []).append(candidates[place])
    best = {}
    for i, found in of_piece.items():
        sheets = [score_sheet(piece, index, critic) for piece in found]
        chosen = rank(sheets)[0]
        best[i] = replace(found[chosen], sheet=sheets[chosen])
    return best


def quotation(score: Score, asked: Conditions, index: QuotationIndex) -> Quotation:
    """The longest quotation in what was composed; what was given is its giver's."""
    composed = asked.fixed_notes.composed_onsets(score) if asked.fixed_notes else None
    return index.longest_quotation(score, composed)


def rank(sheets: Sequence[ScoreSheet]) -> list[int]:
    """The places of the sheets, the best first. What is ungrammatical is ranked by how much; of
    equals, the earlier is first.
    """
    return sorted(range(len(sheets)), key=lambda i: (-sheets[i].total, -sheets[i].grammar_score))


def _checks(asked: Conditions, score: Score | None) -> dict[str, bool]:
    """Is it what was asked for? Bars are those up to the last in which something sounds."""
    checks = {
        "bars": score is not None and score.bars == asked.bars == _last_bar(score),
        "meter": score is not None and score.meter == asked.meter,
        "key": score is not None and score.profile_key == asked.key,
        "close": score is not None and ends_on_tonic(score, asked.key),
    }
    if asked.tempo_qpm is not None:
        checks["tempo"] = score is not None and math.isclose(score.tempo_qpm, asked.tempo_qpm)
    return checks


def _last_bar(score: Score) -> int:
    """The number, from 1, of the last bar in which a note sounds; 0 where none does."""
    end_tick = max((voice.end_tick for voice in score.voices), default=0)
    return -(-end_tick // score.meter.bar_ticks)
