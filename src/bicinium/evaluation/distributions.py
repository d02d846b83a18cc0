"""Composed music against real music: how far apart, beside how far apart real music is from itself.

``compare(real, composed)`` takes plain scores, so that this program's pieces and a baseline's are
put to the same questions: distances between distributions, counterpoint, phrases and motifs, and
whether a classifier can tell the two apart.

The yardstick is real music in two halves, by works: none stands on both sides. What is composed is
compared in the same numbers, half against half, since a distance between two samples grows as they
shrink. Where ``composed[i]`` answers ``real[i]`` (same metre, mode, style, length), the composed
half answers the half that it replaces, and all that differs is who wrote it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from bicinium.errors import RequestError
from bicinium.music.descriptors import (
    HISTOGRAMS,
    Counts,
    counterpoint_counts,
    describe,
    phrase_measures,
    self_similarity,
)
from bicinium.music.score import Score
from bicinium.optional_imports import import_optional

Floats: TypeAlias = NDArray[np.float64]
Integers: TypeAlias = NDArray[np.int64]

FEWEST = 8  # pieces on either side; of fewer nothing can be said
_SPLITS = 40  # into halves
_MIDDLE = (5, 95)  # per cent of the real pieces between which the measures of most lie
_FOLDS, _REPEATS = 5, 4
_LEAF = 8  # pieces that a leaf of a tree holds at least; of few pieces, fewer
_SHUFFLES = 5  # of each feature, for its importance
_MOST_TELLING = 12
_NO_DISTANCE = 1e-6


@dataclass(frozen=True, slots=True)
class Distance:
    """How far a histogram of composed music is from that of real music, as 1 - overlap area.

    Means over splits of the pieces into halves. The shares are those of all real and of all
    composed pieces, to be drawn.
    """

    name: str
    overlap: float  # of composed with real
    overlap_of_real: float  # of real with real, the yardstick
    real_shares: tuple[float, ...]
    composed_shares: tuple[float, ...]

    @property
    def ratio(self) -> float:
        """The distance composed–real over the distance real–real; 1 where there is neither."""
        return max(_NO_DISTANCE, 1 - self.overlap) / max(_NO_DISTANCE, 1 - self.overlap_of_real)


@dataclass(frozen=True, slots=True)
class Spread:
    """A measure of single pieces: its mean, and how many lie where 90 % of the real ones do."""

    name: str
    real_mean: float
    composed_mean: float
    low: float  # 5 and 95 per cent of the real pieces
    high: float
    inside: float  # share of the composed pieces from low to high
    real_inside: float  # of the real ones, from the low to the high of another half: the yardstick


@dataclass(frozen=True, slots=True)
class Rate:
    """How often something happens, for every hundred notes."""

    name: str
    real: float
    composed: float


@dataclass(frozen=True, slots=True)
class Telling:
    """A feature that helps to tell composed from real music.

    ``importance``: by how much the classifier's AUC falls where the feature is shuffled. ``alone``:
    the AUC of the feature by itself, over 0.5 where composed pieces have more of it.
    """

    name: str
    importance: float
    alone: float
    real_mean: float
    composed_mean: float


@dataclass(frozen=True, slots=True)
class TwoSampleTest:
    """Can gradient boosting tell composed from real pieces by their features?

    ``auc``: area under the ROC curve on pieces of works that the classifier has not seen; 0.5 is
    chance, 1 is certainty. ``error``: its standard error (Hanley & McNeil 1982). ``control``: the
    same for real music, one half of the works against the other.
    """

    auc: float
    error: float
    control: float
    telling: tuple[Telling, ...]


@dataclass(frozen=True, slots=True)
class Comparison:
    """Composed against real music."""

    real: int  # pieces
    composed: int
    works: int  # that the real pieces are of
    distances: tuple[Distance, ...]
    counterpoint: tuple[Rate, ...]
    phrases: tuple[Spread, ...]
    motifs: tuple[Spread, ...]
    two_sample: TwoSampleTest | None  # None where scikit-learn is not installed

    def numbers(self) -> dict[str, float]:
        """All by name, to stand in a column beside those of other composers."""
        return (
            {f"distance ratio/{one.name}": one.ratio for one in self.distances}
            | {f"overlap/{one.name}": one.overlap for one in self.distances}
            | {f"per 100 notes/{rate.name}": rate.composed for rate in self.counterpoint}
            | {f"in range/{one.name}": one.inside for one in (*self.phrases, *self.motifs)}
            | ({"two-sample AUC": self.two_sample.auc} if self.two_sample else {})
        )


def compare(
    real: Sequence[Score],
    composed: Sequence[Score],
    works: Sequence[str] | None = None,
    seed: int = 0,
) -> Comparison:
    """Measure composed against real pieces.

    works: the work each real piece belongs to; each is its own where left out, or where there is
    but one. Neighbouring works go to different halves, so let those that are alike stand side by
    side. Where there are as many composed as real pieces, each is taken to answer the real one in
    its place.

    The classifier is left out where scikit-learn is not installed. Raises RequestError where there
    are too few pieces.
    """
    if min(len(real), len(composed)) < FEWEST:
        raise RequestError(
            f"{len(composed)} composed and {len(real)} real pieces are too few to be compared: "
            f"have {FEWEST} or more of each"
        )
    every = [str(index) for index in range(len(real))]
    groups = _numbered(works if works and len(set(works)) > 1 else every)
    rng = np.random.default_rng(seed)
    halves = [_half(groups, rng) for _ in range(_SPLITS)]
    return Comparison(
        real=len(real),
        composed=len(composed),
        works=int(groups.max()) + 1,
        distances=_distances(real, composed, halves),
        counterpoint=counterpoint_rates(real, composed),
        phrases=_spreads([*map(phrase_measures, real)], [*map(phrase_measures, composed)], halves),
        motifs=_spreads([*map(self_similarity, real)], [*map(self_similarity, composed)], halves),
        two_sample=two_sample_test(
            [*map(describe, real)], [*map(describe, composed)], groups, halves, seed
        )
        if find_spec("sklearn")
        else None,
    )


def _numbered(works: Sequence[str]) -> Integers:
    """A number for each piece's work, rising as they come."""
    numbers: dict[str, int] = {}
    return np.array([numbers.setdefault(work, len(numbers)) for work in works], np.int64)


def _half(groups: Integers, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Of each piece, whether it is in the first half: one work of each two neighbours is."""
    works = int(groups.max()) + 1
    coins = np.repeat(rng.integers(0, 2, -(-works // 2)), 2)
    in_first = (np.arange(len(coins)) + coins) % 2 == 0
    return in_first[groups]


def _other(half: NDArray[np.bool_], count: int) -> NDArray[np.bool_]:
    """The same half of ``count`` composed pieces, whichever real ones they answer."""
    return np.resize(half, count)


# ------------------------------------------------------------------ distributions


def overlap_area(one: Counts, other: Counts) -> float:
    """The area that two histograms have in common, each of area 1: 0 to 1."""
    shares = (counts / max(1e-12, counts.sum()) for counts in (one, other))
    return float(np.minimum(*shares).sum())


def _distances(
    real: Sequence[Score], composed: Sequence[Score], halves: Sequence[NDArray[np.bool_]]
) -> tuple[Distance, ...]:
    return tuple(
        _distance(name, np.stack([*map(count, real)]), np.stack([*map(count, composed)]), halves)
        for name, count in HISTOGRAMS.items()
    )


def _distance(
    name: str, real: Counts, composed: Counts, halves: Sequence[NDArray[np.bool_]]
) -> Distance:
    """From the histograms (pieces, bins) of single pieces."""
    ours, own = [], []
    for first in halves:
        second = _other(first, len(composed))
        halves_of_real = real[first].sum(axis=0), real[~first].sum(axis=0)
        halves_of_composed = composed[second].sum(axis=0), composed[~second].sum(axis=0)
        own.append(overlap_area(*halves_of_real))
        ours.append(overlap_area(halves_of_real[0], halves_of_composed[1]))
        ours.append(overlap_area(halves_of_real[1], halves_of_composed[0]))
    shares = [counts.sum(axis=0) / max(1.0, counts.sum()) for counts in (real, composed)]
    return Distance(
        name, float(np.mean(ours)), float(np.mean(own)), *(tuple(s.tolist()) for s in shares)
    )


# ------------------------------------------------------------------ counterpoint


def counterpoint_rates(real: Sequence[Score], composed: Sequence[Score]) -> tuple[Rate, ...]:
    """What happens for every hundred notes, over all pieces together."""
    ours, theirs = _rates(composed), _rates(real)
    return tuple(Rate(name, theirs[name], ours[name]) for name in ours)


def _rates(scores: Sequence[Score]) -> dict[str, float]:
    notes = sum(score.note_count for score in scores)
    counts = [counterpoint_counts(score) for score in scores]
    return {name: 100 * sum(one[name] for one in counts) / max(1, notes) for name in counts[0]}


# ------------------------------------------------------------------ measures of single pieces


def _spreads(
    real: Sequence[Mapping[str, float]],
    composed: Sequence[Mapping[str, float]],
    halves: Sequence[NDArray[np.bool_]],
) -> tuple[Spread, ...]:
    return tuple(
        _spread(
            name,
            np.array([one[name] for one in real]),
            np.array([one[name] for one in composed]),
            halves,
        )
        for name in real[0]
    )


def _spread(
    name: str, real: Floats, composed: Floats, halves: Sequence[NDArray[np.bool_]]
) -> Spread:
    low, high = _middle(real)
    among_real = [
        _inside(real[~half], *_middle(real[half])) for first in halves for half in (first, ~first)
    ]
    return Spread(
        name=name,
        real_mean=_mean(real),
        composed_mean=_mean(composed),
        low=low,
        high=high,
        inside=_inside(composed, low, high),
        real_inside=_mean(np.array(among_real)),
    )


def _middle(values: Floats) -> tuple[float, float]:
    known = values[~np.isnan(values)]
    if not known.size:
        return math.nan, math.nan
    low, high = np.percentile(known, _MIDDLE)
    return float(low), float(high)


def _inside(values: Floats, low: float, high: float) -> float:
    known = values[~np.isnan(values)]
    if math.isnan(low):
        return math.nan
    return _mean(((known >= low) & (known <= high)).astype(np.float64))


def _mean(values: Floats) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else math.nan


# ------------------------------------------------------------------ telling them apart


def two_sample_test(
    real: Sequence[Mapping[str, float]],
    composed: Sequence[Mapping[str, float]],
    groups: Integers,
    halves: Sequence[NDArray[np.bool_]],
    seed: int = 0,
) -> TwoSampleTest:
    """Train on the features of some works, tell apart those of the others.

    groups: (real pieces,) the number of each one's work. A composed piece is on the side of the
    real one that it answers, so nothing is learned from what the two have in common.
    """
    names = list(real[0])
    rows_of_real, rows_of_composed = (
        np.array([[one[name] for name in names] for one in pieces]) for pieces in (real, composed)
    )
    x = np.concatenate([rows_of_real, rows_of_composed])
    is_composed = np.repeat([0, 1], [len(real), len(composed)])
    sides = np.concatenate([groups, np.resize(groups, len(composed))])
    auc, importance = told_apart(x, is_composed, sides, seed, _REPEATS)
    neighbours = groups // 2  # one in each half; apart, they would teach the classifier to err
    controls = [
        told_apart(rows_of_real, half.astype(np.int64), neighbours, seed + index)[0]
        for index, half in enumerate(halves[: 4 * _REPEATS])
    ]
    telling = [
        Telling(
            name,
            float(importance[i]),
            _auc_alone(rows_of_real[:, i], rows_of_composed[:, i]),
            _mean(rows_of_real[:, i]),
            _mean(rows_of_composed[:, i]),
        )
        for i, name in enumerate(names)
    ]
    telling.sort(key=lambda one: (-round(one.importance, 3), -abs(one.alone - 0.5)))
    return TwoSampleTest(
        auc=auc,
        error=_standard_error(auc, len(real), len(composed)),
        control=_mean(np.array(controls)),
        telling=tuple(telling[:_MOST_TELLING]),
    )


def told_apart(
    x: Floats, labels: Integers, groups: Integers, seed: int, repeats: int = 1
) -> tuple[float, Floats]:
    """The cross-validated AUC, and by how much it falls where each column of ``x`` is shuffled.

    NaN where the pieces are of too few works.
    """
    nothing = np.zeros(x.shape[1])
    works = np.unique(groups, return_inverse=True)[1]
    folds = min(_FOLDS, *(len(np.unique(works[labels == label])) for label in (0, 1)))
    if folds < 2:
        return math.nan, nothing
    aucs, falls = [], [nothing]
    for repeat in range(repeats):
        rng = np.random.default_rng([seed, repeat])
        fold_of = (rng.permutation(works.max() + 1) % folds)[works]  # whatever the labels
        for fold in range(folds):
            train, test = np.flatnonzero(fold_of != fold), np.flatnonzero(fold_of == fold)
            if min(np.ptp(labels[train]), np.ptp(labels[test])) == 0:
                continue
            unknown = np.isnan(x[train]).all(axis=0)  # scikit-learn fails on such columns
            seen = np.where(unknown, 0.0, x)
            model = _classifier(len(train), seed + repeat).fit(seen[train], labels[train])
            aucs.append(_auc(_said(model, seen[test]), labels[test]))
            if repeats > 1:
                falls.append(aucs[-1] - _aucs_shuffled(model, seen[test], labels[test], rng))
    if not aucs:
        return math.nan, nothing
    return float(np.mean(aucs)), np.sum(falls, axis=0) / len(aucs)


def _classifier(rows: int, seed: int) -> Any:
    ensemble = import_optional("sklearn.ensemble", "evaluate", "the two-sample test")
    return ensemble.HistGradientBoostingClassifier(
        max_iter=80,
        learning_rate=0.12,
        max_leaf_nodes=8,
        min_samples_leaf=min(_LEAF, max(2, rows // _LEAF)),
        l2_regularization=1.0,
        max_features=0.3,
        max_bins=64,
        random_state=seed,
    )


def _said(model: Any, x: Floats) -> Floats:
    return np.asarray(model.decision_function(x))


def _aucs_shuffled(model: Any, x: Floats, labels: Integers, rng: np.random.Generator) -> Floats:
    """The AUC where each column is shuffled (permutation importance: Breiman 2001)."""
    shuffled = np.tile(x, (_SHUFFLES, x.shape[1], 1, 1))
    for times in shuffled:
        for column, copy in enumerate(times):
            copy[:, column] = rng.permutation(copy[:, column])
    said = _said(model, shuffled.reshape(-1, x.shape[1])).reshape(_SHUFFLES, x.shape[1], -1)
    return np.asarray([[_auc(row, labels) for row in rows] for rows in said]).mean(axis=0)


def _auc(said: Floats, labels: Integers) -> float:
    return _auc_alone(said[labels == 0], said[labels == 1])


def _auc_alone(real: Floats, composed: Floats) -> float:
    """The chance that a composed piece has more of it than a real one; ties count half."""
    one, other = (np.sort(values[~np.isnan(values)]) for values in (real, composed))
    if not one.size or not other.size:
        return 0.5
    below, not_above = (one.searchsorted(other, side) for side in ("left", "right"))
    return float((below + not_above).mean() / 2 / one.size)


def _standard_error(auc: float, real: int, composed: int) -> float:
    if math.isnan(auc):
        return math.nan
    both_real = auc / (2 - auc)
    both_composed = 2 * auc * auc / (1 + auc)
    variance = (
        auc * (1 - auc)
        + (composed - 1) * (both_real - auc * auc)
        + (real - 1) * (both_composed - auc * auc)
    ) / (real * composed)
    return math.sqrt(max(0.0, variance))
