"""Logistic regression on standardised measures: z, the distance from the centre, and |z|.

|z| is for measures of which music has a middling amount. Fitting is in ``benchmarks.logistic_fit``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import astuple, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

_Numbers = float | NDArray[np.float64]

MAX_Z = 4.0  # A measure farther from the centre counts as this far.


def sigmoid(log_odds: float) -> float:
    """Return the probability in [0, 1]; never overflows."""
    return (1 + math.tanh(log_odds / 2)) / 2


def standardise(values: _Numbers, centre: _Numbers, spread: _Numbers) -> NDArray[np.float64]:
    """Return z of the values, at most ``MAX_Z`` from 0; 0 for NaN."""
    z = np.clip((values - centre) / spread, -MAX_Z, MAX_Z)
    return np.where(np.isnan(z), 0.0, z)


@dataclass(frozen=True, slots=True)
class Coefficient:
    """What a measure adds to the log-odds: ``weight`` · z + ``abs_weight`` · |z|.

    z is the distance from ``centre``, the median of real music, in units of ``spread``, the
    distance of its quartiles.
    """

    centre: float
    spread: float
    weight: float
    abs_weight: float

    def log_odds(self, value: float) -> float:
        """Return the contribution of a measured value."""
        z = float(standardise(value, self.centre, self.spread))
        return self.weight * z + self.abs_weight * abs(z)


@dataclass(frozen=True, slots=True)
class LogisticRegression:
    """The log-odds of one of two classes that are equally frequent, from measures by name."""

    intercept: float
    coefficients: dict[str, Coefficient]

    def log_odds(self, measures: Mapping[str, float]) -> float:
        """Return the log-odds. Raises KeyError if a measure is missing."""
        return self.intercept + sum(
            coefficient.log_odds(measures[name]) for name, coefficient in self.coefficients.items()
        )

    def to_json(self) -> dict[str, Any]:
        """Return the model as JSON values, for ``from_json``."""
        terms = {
            name: {
                "centre": c.centre,
                "spread": c.spread,
                "weight": c.weight,
                "weight_of_distance": c.abs_weight,
            }
            for name, c in self.coefficients.items()
        }
        return {"bias": self.intercept, "terms": terms}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> LogisticRegression:
        """Read what ``to_json`` returned; other keys of the document are ignored.

        Raises KeyError, TypeError, ValueError or AttributeError if it is not a model.
        """
        coefficients = {
            name: Coefficient(
                term["centre"], term["spread"], term["weight"], term["weight_of_distance"]
            )
            for name, term in document["terms"].items()
        }
        numbers = [n for c in coefficients.values() for n in astuple(c)]
        if not all(map(math.isfinite, numbers)):
            raise ValueError("a coefficient is not finite")
        return cls(float(document["bias"]), coefficients)
