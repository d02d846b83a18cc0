"""Gradient-boosted trees, evaluated without a library.

Friedman 2001, Greedy Function Approximation, Annals of Statistics 29. They are fitted with
scikit-learn (``python -m benchmarks critic fit``).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

# A leaf is a number. A node is a descriptor, a limit, and the subtrees for values up to the limit
# and above it.
Tree: TypeAlias = "float | tuple[str, float, Tree, Tree]"


@dataclass(frozen=True, slots=True)
class GradientBoostedTrees:
    """Trees whose sum is the log-odds.

    ``instead`` has the value to use for each descriptor that is NaN.
    """

    grown: tuple[Tree, ...]
    instead: dict[str, float]

    def log_odds(self, measured: Mapping[str, float]) -> float:
        """Return the log-odds of a piece. Raises KeyError for a missing descriptor."""
        known = {
            name: middle if math.isnan(measured[name]) else measured[name]
            for name, middle in self.instead.items()
        }
        return math.fsum(_value(tree, known) for tree in self.grown)

    def as_json(self) -> dict[str, Any]:
        """Return the document that ``from_json`` reads."""
        return {"instead": self.instead, "grown": list(self.grown)}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> GradientBoostedTrees:
        """Read trees. Raises ValueError, TypeError or KeyError for an invalid document."""
        instead = {name: float(middle) for name, middle in document["instead"].items()}
        grown = tuple(_read(tree, instead) for tree in document["grown"])
        return cls(grown, instead)


def _value(tree: Tree, measured: Mapping[str, float]) -> float:
    while not isinstance(tree, float):
        name, limit, at_most, more = tree
        tree = at_most if measured[name] <= limit else more
    return tree


def _read(tree: Any, names: Mapping[str, float]) -> Tree:
    if isinstance(tree, int | float):
        return float(tree)
    if not isinstance(tree, Sequence) or isinstance(tree, str) or len(tree) != 4:
        raise ValueError(f"{str(tree)[:40]!r} is not a tree")
    name, limit, at_most, more = tree
    if name not in names:
        raise ValueError(f"a tree uses {name!r}, which is not a descriptor")
    return name, float(limit), _read(at_most, names), _read(more, names)
