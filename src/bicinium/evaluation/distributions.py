"""Compare the distributions of composed and real music.

``compare(real, composed)`` takes plain scores, so that the pieces of this program and of a baseline
are measured in the same way. The reference is the distance between two halves of the real music,
split by works so that no work is in both halves. Composed pieces are compared in samples of the
same size, because the distance between two samples grows as they shrink. If ``composed[i]`` is
paired with ``real[i]`` (same metre, mode, style, length), the composed half replaces the real half
that it is paired with, and only the composer differs.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec

import numpy as np

from bicinium.errors import RequestError
from bicinium.evaluation.two_sample import (
    DEFAULT_REPEATS,
    DEFAULT_SHUFFLES,
    Booleans,
    Floats,
    Integers,
    TwoSampleTest,
    nan_mean,
    two_sample_test,
)
from bicinium.music.descriptors import (
    HISTOGRAMS,
    counterpoint_counts,
    describe,
    histogram,
    phrase_measures,
    self_similarity,
)
from bicinium.music.score import Score

MIN_PIECES = 8  # on either side
_SPLITS = 40  # into halves
_PERCENTILES = (5, 95)  # limits of the central range of the real pieces
_MIN_DISTANCE = 1e-6


@dataclass(frozen=True, slots=True)
class HistogramDistance:
    """Distance between histograms of composed and real music: 1 - overlap area.

    The overlaps are means over splits of the pieces into halves. The shares are of all real and of
    all composed pieces; they are plotted.
    """

    name: str
    overlap: float  # of composed with real
    real_overlap: float  # of real with real: the reference
    real_shares: tuple[float, ...]
    composed_shares: tuple[float, ...]

    @property
    def ratio(self) -> float:
        """Distance composed-real over the distance real-real; 1 if both are 0."""
        return max(_MIN_DISTANCE, 1 - self.overlap) / max(_MIN_DISTANCE, 1 - self.real_overlap)


@dataclass(frozen=True, slots=True)
class MeasureRange:
    """A measure of single pieces, and the share of pieces in the central range of real music."""

    name: str
    real_mean: float
    composed_mean: float
    low: float  # 5th and 95th percentile of the real pieces
    high: float
    inside: float  # share of the composed pieces from low to high
    real_inside: float  # share of one half of the real pieces in the range of the other half


@dataclass(frozen=True, slots=True)
class EventRate:
    """Occurrences per 100 notes."""

    name: str
    real: float
    composed: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """Composed against real music."""

    real: int  # pieces
    composed: int
    works: int  # of the real pieces
    distances: tuple[HistogramDistance, ...]
    counterpoint: tuple[EventRate, ...]
    phrases: tuple[MeasureRange, ...]
    motifs: tuple[MeasureRange, ...]
    two_sample: TwoSampleTest | None  # None if scikit-learn is not installed


def compare(
    real: Sequence[Score],
    composed: Sequence[Score],
    works: Sequence[str] | None = None,
    seed: int = 0,
    repeats: int = DEFAULT_REPEATS,
    shuffles: int = DEFAULT_SHUFFLES,
) -> Comparison:
    """Measure composed against real pieces.

    works: the work of each real piece. Every piece counts as a work of its own if this is missing
        or names a single work. Neighbouring works go to different halves, so similar works should
        stand side by side.
    repeats, shuffles: as in ``two_sample_test``, which is skipped without scikit-learn.

    If there are as many composed as real pieces, pieces at the same index are paired. Raises
    RequestError if there are too few pieces.
    """
    if min(len(real), len(composed)) < MIN_PIECES:
        raise RequestError(
            f"A comparison needs at least {MIN_PIECES} pieces on each side "
            f"(got {len(composed)} composed and {len(real)} real)."
        )
    own_works = [str(index) for index in range(len(real))]
    work_numbers = number_works(works if works and len(set(works)) > 1 else own_works)
    rng = np.random.default_rng(seed)
    halves = [split_works(work_numbers, rng) for _ in range(_SPLITS)]
    return Comparison(
        real=len(real),
        composed=len(composed),
        works=int(work_numbers.max()) + 1,
        distances=_histogram_distances(real, composed, halves),
        counterpoint=counterpoint_rates(real, composed),
        phrases=_ranges([*map(phrase_measures, real)], [*map(phrase_measures, composed)], halves),
        motifs=_ranges([*map(self_similarity, real)], [*map(self_similarity, composed)], halves),
        two_sample=two_sample_test(
            [*map(describe, real)],
            [*map(describe, composed)],
            work_numbers,
            halves,
            seed,
            repeats,
            shuffles,
        )
        if find_spec("sklearn")
        else None,
    )


def number_works(works: Sequence[str]) -> Integers:
    """Return (pieces,) numbers of the works, in the order of their first piece."""
    numbers: dict[str, int] = {}
    return np.array([numbers.setdefault(work, len(numbers)) for work in works], np.int64)


def split_works(work_numbers: Integers, rng: np.random.Generator) -> Booleans:
    """Return (pieces,) True for the first half: one work of every two neighbours, at random."""
    works = int(work_numbers.max()) + 1
    coins = np.repeat(rng.integers(0, 2, -(-works // 2)), 2)
    in_first = (np.arange(len(coins)) + coins) % 2 == 0
    return in_first[work_numbers]


def overlap_area(one: Floats, other: Floats) -> float:
    """Return the common area of two histograms, each of area 1: 0 to 1."""
    shares = (counts / max(1e-12, counts.sum()) for counts in (one, other))
    return float(np.minimum(*shares).sum())


def counterpoint_rates(real: Sequence[Score], composed: Sequence[Score]) -> tuple[EventRate, ...]:
    """Return counterpoint events per 100 notes, over all pieces together."""
    composed_rates, real_rates = _rates_per_100_notes(composed), _rates_per_100_notes(real)
    return tuple(EventRate(name, real_rates[name], composed_rates[name]) for name in composed_rates)


def _rates_per_100_notes(scores: Sequence[Score]) -> dict[str, float]:
    notes = sum(score.note_count for score in scores)
    counts = [counterpoint_counts(score) for score in scores]
    return {name: 100 * sum(one[name] for one in counts) / max(1, notes) for name in counts[0]}


# ------------------------------------------------------------------ distances of histograms


def _histogram_distances(
    real: Sequence[Score], composed: Sequence[Score], halves: Sequence[Booleans]
) -> tuple[HistogramDistance, ...]:
    return tuple(
        _histogram_distance(
            name,
            np.stack([histogram(score, name) for score in real]),
            np.stack([histogram(score, name) for score in composed]),
            halves,
        )
        for name in HISTOGRAMS
    )


def _histogram_distance(
    name: str, real: Floats, composed: Floats, halves: Sequence[Booleans]
) -> HistogramDistance:
    """Compare (pieces, bins) histograms of single pieces."""
    overlaps, real_overlaps = [], []
    for half in halves:
        composed_half = np.resize(half, len(composed))
        real_halves = real[half].sum(axis=0), real[~half].sum(axis=0)
        composed_halves = (
            composed[composed_half].sum(axis=0),
            composed[~composed_half].sum(axis=0),
        )
        real_overlaps.append(overlap_area(*real_halves))
        overlaps.append(overlap_area(real_halves[0], composed_halves[1]))
        overlaps.append(overlap_area(real_halves[1], composed_halves[0]))
    shares = [counts.sum(axis=0) / max(1.0, counts.sum()) for counts in (real, composed)]
    return HistogramDistance(
        name,
        float(np.mean(overlaps)),
        float(np.mean(real_overlaps)),
        *(tuple(share.tolist()) for share in shares),
    )


# ------------------------------------------------------------------ measures of single pieces


def _ranges(
    real: Sequence[Mapping[str, float]],
    composed: Sequence[Mapping[str, float]],
    halves: Sequence[Booleans],
) -> tuple[MeasureRange, ...]:
    return tuple(
        _range(
            name,
            np.array([piece[name] for piece in real]),
            np.array([piece[name] for piece in composed]),
            halves,
        )
        for name in real[0]
    )


def _range(name: str, real: Floats, composed: Floats, halves: Sequence[Booleans]) -> MeasureRange:
    low, high = _central_range(real)
    real_inside = [
        _share_inside(real[~half], *_central_range(real[half]))
        for first in halves
        for half in (first, ~first)
    ]
    return MeasureRange(
        name=name,
        real_mean=nan_mean(real),
        composed_mean=nan_mean(composed),
        low=low,
        high=high,
        inside=_share_inside(composed, low, high),
        real_inside=nan_mean(np.array(real_inside)),
    )


def _central_range(values: Floats) -> tuple[float, float]:
    known = values[~np.isnan(values)]
    if not known.size:
        return math.nan, math.nan
    low, high = np.percentile(known, _PERCENTILES)
    return float(low), float(high)


def _share_inside(values: Floats, low: float, high: float) -> float:
    known = values[~np.isnan(values)]
    if math.isnan(low):
        return math.nan
    return nan_mean(((known >= low) & (known <= high)).astype(np.float64))
