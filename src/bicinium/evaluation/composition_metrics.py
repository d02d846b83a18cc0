"""Measures of composed pieces beside the real excerpts they are paired with."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np

from bicinium.evaluation.distributions import (
    MIN_PIECES,
    Comparison,
    EventRate,
    compare,
    counterpoint_rates,
)
from bicinium.evaluation.paired_pieces import PairedPieces
from bicinium.generation.memorization import QuotationIndex
from bicinium.generation.rerank import MAX_FREE_QUOTE_BARS
from bicinium.music.counterpoint import ends_on_tonic
from bicinium.music.quality import quality
from bicinium.music.score import Score

_BACH_STYLE = "bach"


@dataclass(frozen=True, slots=True)
class QuotationStatistics:
    """Longest passages that pieces share, note for note, with the training set."""

    mean_bars: float  # mean of the longest quotation of each piece
    max_bars: int
    max_source: str
    share_over_limit: float  # pieces that quote more bars than human composers do by chance


class ComposedAndReal(NamedTuple):
    """A number for composed pieces and, if it can be measured, for real ones."""

    composed: float
    real: float | None


@dataclass(frozen=True, slots=True)
class CompositionMetrics:
    """Measures of composed pieces and their real counterparts."""

    pieces: int
    failures: int
    attempts_per_piece: float
    quality_score: ComposedAndReal
    adherence: dict[str, ComposedAndReal]  # share of the pieces that meet each condition
    quotations: tuple[QuotationStatistics, QuotationStatistics] | None  # None: no index
    bach: tuple[EventRate, ...]  # counterpoint of the real pieces by Bach
    comparison: Comparison | None  # None if there are too few pieces

    def as_json(self) -> dict[str, Any]:
        """Return nested dictionaries of numbers."""
        document: dict[str, Any] = {
            "pieces": self.pieces,
            "failures": self.failures,
            "attempts_per_piece": self.attempts_per_piece,
            "quality_score": self.quality_score._asdict(),
            "adherence": {name: pair._asdict() for name, pair in self.adherence.items()},
            "quotations": self.quotations
            and {
                "composed": asdict(self.quotations[0]),
                "real": asdict(self.quotations[1]),
            },
        }
        if self.comparison is None:
            return document | {"comparison": None}
        return document | _comparison_json(self.comparison, self.bach)


def measure_compositions(
    pairs: PairedPieces, index: QuotationIndex | None, seed: int
) -> CompositionMetrics:
    """Measure composed pieces and the excerpts they are paired with."""
    real = [excerpt.score for excerpt in pairs.excerpts]
    works = [excerpt.work for excerpt in pairs.excerpts]
    bach = [e.score for e in pairs.excerpts if e.piece.style == _BACH_STYLE]
    return CompositionMetrics(
        pieces=len(real),
        failures=pairs.failures,
        attempts_per_piece=pairs.attempts_per_piece,
        quality_score=ComposedAndReal(mean_quality(pairs.scores), mean_quality(real)),
        adherence=_adherence(pairs),
        quotations=(quotation_statistics(pairs.scores, index), quotation_statistics(real, index))
        if index
        else None,
        bach=counterpoint_rates(bach, bach) if bach else (),
        comparison=compare(real, pairs.scores, works, seed) if len(real) >= MIN_PIECES else None,
    )


def mean_quality(scores: Sequence[Score]) -> float:
    """Return the mean quality score; NaN without scores."""
    results = [quality(score) for score in scores]
    return float(np.mean([one.score if one else 0.0 for one in results])) if results else math.nan


def quotation_statistics(scores: Sequence[Score], index: QuotationIndex) -> QuotationStatistics:
    """Find the longest quotation of the training set in each score."""
    quotations = [index.longest_quotation(score) for score in scores]
    longest = max(quotations, key=lambda quotation: quotation.bars)
    bars = np.array([quotation.bars for quotation in quotations])
    return QuotationStatistics(
        mean_bars=float(bars.mean()),
        max_bars=longest.bars,
        max_source=longest.source,
        share_over_limit=float((bars > MAX_FREE_QUOTE_BARS).mean()),
    )


def _adherence(pairs: PairedPieces) -> dict[str, ComposedAndReal]:
    """Return the share of pieces that meet each condition.

    Real excerpts can fail two of them: their notes may suggest another key, and they may not end
    with a cadence.
    """
    checks = [piece.sheet.checks for piece in pairs.compositions if piece.sheet]
    real = [excerpt.score for excerpt in pairs.excerpts]
    real_shares: dict[str, float] = {
        "key": float(np.mean([score.profile_key == score.key for score in real])),
        "close": float(
            np.mean([score.key is not None and ends_on_tonic(score, score.key) for score in real])
        ),
    }
    return {
        name: ComposedAndReal(
            float(np.mean([check[name] for check in checks])), real_shares.get(name)
        )
        for name in checks[0]
    }


def _comparison_json(comparison: Comparison, bach: Sequence[EventRate]) -> dict[str, Any]:
    bach_rates = {rate.name: rate.real for rate in bach}
    test = comparison.two_sample
    return {
        "works": comparison.works,
        "distances": {
            one.name: {
                "overlap": one.overlap,
                "real_overlap": one.real_overlap,
                "ratio": one.ratio,
            }
            for one in comparison.distances
        },
        "counterpoint": {
            rate.name: {
                "composed": rate.composed,
                "real": rate.real,
                "bach": bach_rates.get(rate.name),
            }
            for rate in comparison.counterpoint
        },
        "phrases": {one.name: asdict(one) for one in comparison.phrases},
        "motifs": {one.name: asdict(one) for one in comparison.motifs},
        "two_sample": test and asdict(test),
    }
