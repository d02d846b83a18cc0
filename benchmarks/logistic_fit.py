"""Fit the logistic regression of ``music.logistic`` with scikit-learn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression as SklearnRegression

from bicinium.music.logistic import Coefficient, LogisticRegression, standardise

Floats = NDArray[np.float64]
_MIN_SPREAD = 1e-4  # not 0 when rounded to four places
Scales = Mapping[str, tuple[float, float]]  # centre and spread of each measure


def scales_of(real: Floats, names: Sequence[str]) -> dict[str, tuple[float, float]]:
    """Return median and interquartile range of the columns of (N, names) ``real``."""
    low, middle, high = np.nanpercentile(real, [25, 50, 75], axis=0)
    spread = np.maximum(high - low, np.nanstd(real, axis=0) / 2 + _MIN_SPREAD)
    return {name: (float(middle[i]), float(spread[i])) for i, name in enumerate(names)}


def columns(values: Floats, names: Sequence[str], scales: Scales) -> Floats:
    """Return (N, 2 · names): z of each column of (N, names) ``values``, then |z|; 0 for NaN."""
    centre, spread = np.array([scales[name] for name in names]).T
    z = standardise(values, centre, spread)
    return np.concatenate([z, np.abs(z)], axis=1)


def weights_of(
    model: SklearnRegression, names: Sequence[str], scales: Scales
) -> LogisticRegression:
    """Return a fitted model, rounded to four places."""
    coefficients, count = model.coef_[0], len(names)
    terms = {
        name: Coefficient(
            *(round(number, 4) for number in scales[name]),
            round(float(coefficients[i]), 4),
            round(float(coefficients[i + count]), 4),
        )
        for i, name in enumerate(names)
    }
    return LogisticRegression(round(float(model.intercept_[0]), 4), terms)
