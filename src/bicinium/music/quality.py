"""Rate a two-voice score: the probability, in [0, 1], that it is music and not corrupted music.

A logistic regression on some of ``descriptors.QUALITY_METRICS``, fitted on real pieces against
corruptions of them (``python -m benchmarks quality_calibration``). ``quality.json`` holds the
model, docs/quality.md the results.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path

from bicinium.music.descriptors import Description, describe
from bicinium.music.logistic import LogisticRegression, sigmoid
from bicinium.music.score import Score

MODEL_PATH = Path(str(files("bicinium.music") / "quality.json"))


@dataclass(frozen=True, slots=True)
class Quality:
    """``score`` in [0, 1]; ``log_odds``, which never saturates, for ranking; metrics by name."""

    score: float
    log_odds: float
    metrics: dict[str, float]


def quality(score: Score) -> Quality | None:
    """Rate the outer voices of a score; None unless both have at least two notes."""
    return quality_of(describe(score))


def quality_of(description: Description) -> Quality | None:
    """Rate a score that has been described already."""
    model = quality_model(MODEL_PATH)
    metrics = {name: description[f"quality/{name}"] for name in model.coefficients}
    if all(math.isnan(value) for value in metrics.values()):
        return None
    log_odds = model.log_odds(metrics)
    return Quality(sigmoid(log_odds), log_odds, metrics)


@cache
def quality_model(path: Path) -> LogisticRegression:
    """Load the fitted model."""
    return LogisticRegression.from_json(json.loads(path.read_text(encoding="utf-8")))
