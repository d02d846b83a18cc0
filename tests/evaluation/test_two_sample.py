"""Area under the ROC curve, its error, and the cross-validated classifier."""

from __future__ import annotations

import math

import numpy as np
import pytest

from bicinium.evaluation.two_sample import auc_standard_error, cross_validated_auc, roc_auc


def test_auc_counts_ties_half() -> None:
    assert roc_auc(np.array([1.0, 2, 3]), np.array([4.0, 5])) == 1
    assert roc_auc(np.array([1.0, 2]), np.array([1.0, 2])) == 0.5
    assert roc_auc(np.array([2.0]), np.array([1.0, 2, 3, math.nan])) == 0.5
    assert roc_auc(np.array([1.0, 1, 2, 3]), np.array([2.0])) == pytest.approx(2.5 / 4)


def test_auc_equals_that_of_scikit_learn() -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(0)
    labels, scores = rng.integers(0, 2, 60), rng.integers(0, 9, 60).astype(float)
    auc = roc_auc(scores[labels == 0], scores[labels == 1])
    assert auc == pytest.approx(metrics.roc_auc_score(labels, scores))


def test_standard_error_shrinks_with_the_samples() -> None:
    assert auc_standard_error(0.5, 10, 10) > auc_standard_error(0.5, 100, 100) > 0
    assert auc_standard_error(1.0, 10, 10) == 0
    assert math.isnan(auc_standard_error(math.nan, 10, 10))


def test_classifier_finds_the_column_that_differs() -> None:
    pytest.importorskip("sklearn")
    rng = np.random.default_rng(0)
    x = rng.normal(size=(80, 3))
    labels = np.repeat([0, 1], 40)
    x[labels == 1, 1] += 5
    auc, importance = cross_validated_auc(x, labels, np.arange(80), seed=0, repeats=2, shuffles=2)
    assert auc > 0.95
    assert importance.argmax() == 1


def test_auc_of_too_few_works_is_unknown() -> None:
    auc, importance = cross_validated_auc(
        np.zeros((8, 2)), np.repeat([0, 1], 4), np.repeat([0, 1], 4), seed=0
    )
    assert math.isnan(auc)
    assert importance.tolist() == [0, 0]
