"""Boosted trees: what an ensemble says of measured numbers.

Gradient boosting (Friedman 2001, Greedy Function Approximation, Annals of Statistics 29). They are
grown by scikit-learn (``python -m benchmarks critic fit``); here they are only asked, which needs
no library.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

# A leaf says a number; a question is a metric, a limit, and what is asked or said where the metric
# is at most the limit, and where it is more.
Tree: TypeAlias = "float | tuple[str, float, Tree, Tree]"


@dataclass(frozen=True, slots=True)
class GradientBoostedTrees:
    """What each tree says, added up: log-odds. ``instead`` stands for each number that could not be
    measured.
    """

    grown: tuple[Tree, ...]
    instead: dict[str, float]

    def log_odds(self, measured: Mapping[str, float]) -> float:
        """Of the numbers of a piece; KeyError where one is missing."""
        known = {
            name: middle if math.isnan(measured[name]) else measured[name]
            for name, middle in self.instead.items()
        }
        return math.fsum(_said(tree, known) for tree in self.grown)

    def as_json(self) -> dict[str, Any]:
        """What ``from_json`` takes."""
        return {"instead": self.instead, "grown": list(self.grown)}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> GradientBoostedTrees:
        """Raises ValueError, TypeError or KeyError where that holds no trees."""
        instead = {name: float(middle) for name, middle in document["instead"].items()}
        grown = tuple(_read(tree, instead) for tree in document["grown"])
        return cls(grown, instead)


def _said(tree: Tree, measured: Mapping[str, float]) -> float:
    while not isinstance(tree, float):
        name, limit, at_most, more = tree
        tree = at_most if measured[name] <= limit else more
    return tree


def _read(tree: Any, names: Mapping[str, float]) -> Tree:
    if isinstance(tree, int | float):
        return float(tree)
    if not isinstance(tree, Sequence) or isinstance(tree, str) or len(tree) != 4:
        raise ValueError(f"{str(tree)[:40]!r} is no tree")
    name, limit, at_most, more = tree
    if name not in names:
        raise ValueError(f"a tree asks for {name!r}, which is not measured")
    return name, float(limit), _read(at_most, names), _read(more, names)
