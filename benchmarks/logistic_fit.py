"""Logistic regression on z and |z| of measured numbers, as ``music.logistic`` holds it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression as SklearnRegression

from bicinium.music.logistic import FARTHEST, Coefficient, LogisticRegression

Floats = NDArray[np.float64]
_LEAST_SPREAD = 1e-4  # one that is rounded to four places is not 0
Scales = Mapping[str, tuple[float, float]]  # of each number, its centre and its spread


def scales_of(real: Floats, names: Sequence[str]) -> dict[str, tuple[float, float]]:
    """Median and quartiles' distance of the columns of (N, names) ``real``."""
    low, middle, high = np.nanpercentile(real, [25, 50, 75], axis=0)
    spread = np.maximum(high - low, np.nanstd(real, axis=0) / 2 + _LEAST_SPREAD)
    return {name: (float(middle[i]), float(spread[i])) for i, name in enumerate(names)}


def columns(values: Floats, names: Sequence[str], scales: Scales) -> Floats:
    """(N, 2 · names): z of each column of (N, names) ``values``, then |z|; 0 for NaN."""
    centre, spread = np.array([scales[name] for name in names]).T
    z = np.clip((values - centre) / spread, -FARTHEST, FARTHEST)
    z = np.where(np.isnan(z), 0.0, z)
    return np.concatenate([z, np.abs(z)], axis=1)


def weights_of(
    model: SklearnRegression, names: Sequence[str], scales: Scales
) -> LogisticRegression:
    """What a fitted model says, to four places."""
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
