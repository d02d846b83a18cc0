"""A logistic regression on standardised measures and on their distance from the centre."""

from __future__ import annotations

import math
from dataclasses import dataclass

FARTHEST = 4.0  # a metric's distance from real music counts no further


@dataclass(frozen=True, slots=True)
class Coefficient:
    """What a metric adds to the log-odds: ``weight`` · z + ``weight_of_distance`` · |z|.

    z is the metric's distance from ``centre`` (the median of real music) in units of ``spread``
    (its quartiles' distance), at most 4. The second weight is for metrics of which music has a
    middling amount.
    """

    centre: float
    spread: float
    weight: float
    weight_of_distance: float

    def standardise(self, value: float) -> float:
        """z; 0 where the metric says nothing."""
        if math.isnan(value):
            return 0.0
        return min(FARTHEST, max(-FARTHEST, (value - self.centre) / self.spread))

    def log_odds(self, value: float) -> float:
        z = self.standardise(value)
        return self.weight * z + self.weight_of_distance * abs(z)


@dataclass(frozen=True, slots=True)
class LogisticRegression:
    """The fitted weights: the log-odds of music against nonsense, where each is as common."""

    bias: float
    terms: dict[str, Coefficient]

    def log_odds(self, measured: dict[str, float]) -> float:
        return self.bias + sum(term.log_odds(measured[name]) for name, term in self.terms.items())
