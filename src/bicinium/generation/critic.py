"""The critic: the probability that a person wrote a piece, and not the model.

A logistic regression and gradient-boosted trees on the descriptors of a piece, fitted on real music
against pieces of one model (``python -m benchmarks critic``). They lie beside the weights of that
model, whose faults they know. The idea is that of a discriminator, used after training instead of
in it (Azadi et al. 2018, Discriminator Rejection Sampling, arXiv:1810.06758).
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bicinium.atomic_write import atomic_write
from bicinium.errors import CheckpointError
from bicinium.generation.gbdt import GradientBoostedTrees
from bicinium.music.descriptors import Description, describe
from bicinium.music.excerpts import EXCERPT_BARS, extract_bars
from bicinium.music.logistic import LogisticRegression, sigmoid
from bicinium.music.score import Note, Score, Voice

_SOME_MUSIC = Score(
    tuple(Voice((Note(0, pitch, 48), Note(48, pitch - 1, 48))) for pitch in (72, 48)), 1
)  # to try a loaded critic on


@dataclass(frozen=True, slots=True)
class Critic:
    """Estimates the log-odds that a piece is real and not composed: the mean of two models."""

    weights: LogisticRegression
    trees: GradientBoostedTrees | None = None

    def log_odds(self, description: Description) -> float:
        """Return the log-odds of a piece; of a long one, the mean over excerpts of 16 bars."""
        if description.score.bars <= EXCERPT_BARS:
            return self._of_numbers(description)
        rated = [self._of_numbers(describe(part)) for part in _excerpts(description.score)]
        return math.fsum(rated) / len(rated)

    def _of_numbers(self, measured: Description) -> float:
        of_weights = self.weights.log_odds(measured)
        return (of_weights + self.trees.log_odds(measured)) / 2 if self.trees else of_weights

    def realism(self, description: Description) -> float:
        """Return the probability, in [0, 1], that a person wrote the piece."""
        return sigmoid(self.log_odds(description))

    def save(self, path: Path, about: dict[str, Any]) -> None:
        """Write the critic as JSON, after the entries of ``about``."""
        document = about | self.weights.to_json()
        if self.trees:
            document["trees"] = self.trees.as_json()
        with atomic_write(path) as temporary:
            temporary.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> Critic:
        """Read what ``save`` wrote. Raises CheckpointError for an invalid file."""
        try:
            document = json.loads(path.read_text(encoding="utf-8"))
            trees = (
                GradientBoostedTrees.from_json(document["trees"]) if "trees" in document else None
            )
            critic = cls(LogisticRegression.from_json(document), trees)
            if not 0 < critic.realism(describe(_SOME_MUSIC)) < 1:
                raise ValueError("its probability is not a number")
        except (OSError, ValueError, KeyError, TypeError, AttributeError, ArithmeticError) as error:
            raise CheckpointError(
                f"{path} is not a valid critic: {error}. Fit it again, or remove it."
            ) from error
        return critic

    @classmethod
    def for_model(cls, model: Path) -> Critic | None:
        """Return the critic beside a checkpoint; None if there is none."""
        path = critic_path(model)
        return cls.load(path) if path.is_file() else None


def critic_path(model: Path) -> Path:
    """Return the path of the critic beside a checkpoint."""
    return model.with_suffix(".critic.json")


def _excerpts(score: Score) -> list[Score]:
    """Return excerpts of sixteen bars, from the end of the piece backwards.

    The bars that remain at the beginning are an excerpt only if there are eight or more.
    """
    if score.bars <= EXCERPT_BARS:
        return [score]
    firsts = range(score.bars - EXCERPT_BARS, -1, -EXCERPT_BARS)
    found = [extract_bars(score, first, EXCERPT_BARS) for first in firsts]
    left = firsts[-1]
    return [*found, extract_bars(score, 0, left)] if 2 * left >= EXCERPT_BARS else found
