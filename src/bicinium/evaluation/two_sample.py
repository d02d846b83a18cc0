"""Two-sample test: can a classifier tell composed pieces from real ones by their descriptors?"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from bicinium.optional_imports import import_optional

Floats: TypeAlias = NDArray[np.float64]
Integers: TypeAlias = NDArray[np.int64]
Booleans: TypeAlias = NDArray[np.bool_]

DEFAULT_REPEATS = 4  # of the cross-validation
DEFAULT_SHUFFLES = 5  # of each feature, for its permutation importance
_FOLDS = 5
_CONTROLS_PER_REPEAT = 4
_MIN_SAMPLES_LEAF = 8  # fewer if there are few pieces
_MAX_FEATURES_LISTED = 12


@dataclass(frozen=True, slots=True)
class FeatureImportance:
    """How much one feature helps to tell composed from real music.

    ``importance`` is the loss of AUC when the feature is shuffled. ``single_auc`` is the AUC of the
    feature alone; it is over 0.5 if composed pieces have the larger values.
    """

    name: str
    importance: float
    single_auc: float
    real_mean: float
    composed_mean: float


@dataclass(frozen=True, slots=True)
class TwoSampleTest:
    """Result of the test.

    ``auc`` is the area under the ROC curve on works that the classifier has not seen: 0.5 is
    chance, 1 is certainty. ``standard_error`` follows Hanley & McNeil (1982). ``control_auc`` is
    the same measure for one half of the real works against the other.
    """

    auc: float
    standard_error: float
    control_auc: float
    features: tuple[FeatureImportance, ...]  # the most important first


def two_sample_test(
    real: Sequence[Mapping[str, float]],
    composed: Sequence[Mapping[str, float]],
    works: Integers,
    halves: Sequence[Booleans],
    seed: int = 0,
    repeats: int = DEFAULT_REPEATS,
    shuffles: int = DEFAULT_SHUFFLES,
) -> TwoSampleTest:
    """Train a classifier on the descriptors of some works and test it on the others.

    works: (real pieces,) number of each piece's work. A composed piece is always in the same fold
        as the real piece that it is paired with, so the classifier learns nothing from what a pair
        has in common.
    halves: splits of the real pieces into halves by works, for the control.
    """
    names = list(real[0])
    real_rows, composed_rows = (
        np.array([[piece[name] for name in names] for piece in pieces])
        for pieces in (real, composed)
    )
    x = np.concatenate([real_rows, composed_rows])
    is_composed = np.repeat([0, 1], [len(real), len(composed)])
    groups = np.concatenate([works, np.resize(works, len(composed))])
    auc, importance = cross_validated_auc(x, is_composed, groups, seed, repeats, shuffles)
    # Each half has one work of every two neighbours. In different folds they would mislead the
    # classifier, because similar works would have opposite labels.
    neighbours = works // 2
    controls = [
        cross_validated_auc(real_rows, half.astype(np.int64), neighbours, seed + index)[0]
        for index, half in enumerate(halves[: _CONTROLS_PER_REPEAT * repeats])
    ]
    features = [
        FeatureImportance(
            name=name,
            importance=float(importance[i]),
            single_auc=roc_auc(real_rows[:, i], composed_rows[:, i]),
            real_mean=nan_mean(real_rows[:, i]),
            composed_mean=nan_mean(composed_rows[:, i]),
        )
        for i, name in enumerate(names)
    ]
    features.sort(key=lambda one: (-round(one.importance, 3), -abs(one.single_auc - 0.5)))
    return TwoSampleTest(
        auc=auc,
        standard_error=auc_standard_error(auc, len(real), len(composed)),
        control_auc=nan_mean(np.array(controls)),
        features=tuple(features[:_MAX_FEATURES_LISTED]),
    )


def cross_validated_auc(
    x: Floats,
    labels: Integers,
    groups: Integers,
    seed: int,
    repeats: int = 1,
    shuffles: int = DEFAULT_SHUFFLES,
) -> tuple[float, Floats]:
    """Return the mean AUC over folds and the permutation importance of each column of ``x``.

    x: (N, F) features, NaN if unknown. labels: (N,) 0 or 1. groups: (N,) works; all rows of a work
        are in the same fold.
    repeats: how often the cross-validation is repeated. The importance is 0 with one repeat.

    The AUC is NaN if there are too few works.
    """
    no_importance = np.zeros(x.shape[1])
    works = np.unique(groups, return_inverse=True)[1]
    folds = min(_FOLDS, *(len(np.unique(works[labels == label])) for label in (0, 1)))
    if folds < 2:
        return math.nan, no_importance
    aucs, losses = [], [no_importance]
    for repeat in range(repeats):
        rng = np.random.default_rng([seed, repeat])
        fold_of_row = (rng.permutation(works.max() + 1) % folds)[works]
        for fold in range(folds):
            train, test = np.flatnonzero(fold_of_row != fold), np.flatnonzero(fold_of_row == fold)
            if min(np.ptp(labels[train]), np.ptp(labels[test])) == 0:
                continue
            all_nan = np.isnan(x[train]).all(axis=0)  # scikit-learn fails on such columns
            values = np.where(all_nan, 0.0, x)
            model = _classifier(len(train), seed + repeat).fit(values[train], labels[train])
            aucs.append(_labelled_auc(_scores(model, values[test]), labels[test]))
            if repeats > 1:
                shuffled = _shuffled_aucs(model, values[test], labels[test], rng, shuffles)
                losses.append(aucs[-1] - shuffled)
    if not aucs:
        return math.nan, no_importance
    return float(np.mean(aucs)), np.sum(losses, axis=0) / len(aucs)


def roc_auc(negatives: Floats, positives: Floats) -> float:
    """Return the probability that a positive value exceeds a negative one; ties count half.

    NaN values are ignored. Without values on either side the result is 0.5.
    """
    low, high = (np.sort(values[~np.isnan(values)]) for values in (negatives, positives))
    if not low.size or not high.size:
        return 0.5
    below, not_above = (low.searchsorted(high, side) for side in ("left", "right"))
    return float((below + not_above).mean() / 2 / low.size)


def auc_standard_error(auc: float, negatives: int, positives: int) -> float:
    """Return the standard error of an AUC from the two sample sizes (Hanley & McNeil 1982)."""
    if math.isnan(auc):
        return math.nan
    q1 = auc / (2 - auc)
    q2 = 2 * auc * auc / (1 + auc)
    variance = (
        auc * (1 - auc) + (positives - 1) * (q1 - auc * auc) + (negatives - 1) * (q2 - auc * auc)
    ) / (negatives * positives)
    return math.sqrt(max(0.0, variance))


def _classifier(rows: int, seed: int) -> Any:
    ensemble = import_optional("sklearn.ensemble", "evaluate", "the two-sample test")
    return ensemble.HistGradientBoostingClassifier(
        max_iter=80,
        learning_rate=0.12,
        max_leaf_nodes=8,
        min_samples_leaf=min(_MIN_SAMPLES_LEAF, max(2, rows // _MIN_SAMPLES_LEAF)),
        l2_regularization=1.0,
        max_features=0.3,
        max_bins=64,
        random_state=seed,
    )


def _scores(model: Any, x: Floats) -> Floats:
    return np.asarray(model.decision_function(x))


def _shuffled_aucs(
    model: Any, x: Floats, labels: Integers, rng: np.random.Generator, shuffles: int
) -> Floats:
    """Return the AUC after each column is shuffled (permutation importance, Breiman 2001)."""
    copies = np.tile(x, (shuffles, x.shape[1], 1, 1))
    for copies_of_shuffle in copies:
        for column, copy in enumerate(copies_of_shuffle):
            copy[:, column] = rng.permutation(copy[:, column])
    scores = _scores(model, copies.reshape(-1, x.shape[1])).reshape(shuffles, x.shape[1], -1)
    return np.asarray([[_labelled_auc(row, labels) for row in rows] for rows in scores]).mean(
        axis=0
    )


def _labelled_auc(scores: Floats, labels: Integers) -> float:
    return roc_auc(scores[labels == 0], scores[labels == 1])


def nan_mean(values: Floats) -> float:
    """Return the mean of the known values; NaN if there are none."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else math.nan
