"""Boosted trees give the sums of their leaves, before and after saving, as scikit-learn does."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bicinium.generation.gbdt import GradientBoostedTrees, Tree

_NAMES = ("a", "b", "c")
_NUMBERS = st.floats(-3, 3)


def _grown() -> st.SearchStrategy[Tree]:
    return st.recursive(
        _NUMBERS,
        lambda below: st.tuples(st.sampled_from(_NAMES), _NUMBERS, below, below),
        max_leaves=6,
    )


_TREES = st.builds(
    GradientBoostedTrees,
    st.lists(_grown(), max_size=4).map(tuple),
    st.fixed_dictionaries(dict.fromkeys(_NAMES, _NUMBERS)),
)
_MEASURED = st.fixed_dictionaries(dict.fromkeys(_NAMES, _NUMBERS | st.just(math.nan)))


def _leaf(tree: Tree, known: dict[str, float]) -> float:
    if isinstance(tree, float):
        return tree
    name, limit, at_most, more = tree
    return _leaf(at_most if known[name] <= limit else more, known)


@given(_TREES, _MEASURED)
def test_the_leaves_that_one_comes_to_add_up(
    trees: GradientBoostedTrees, measured: dict[str, float]
) -> None:
    known = {
        name: trees.instead[name] if math.isnan(value) else value
        for name, value in measured.items()
    }
    said = sum(_leaf(tree, known) for tree in trees.grown)
    assert trees.log_odds(measured) == pytest.approx(said)


@given(_TREES)
def test_what_is_kept_as_json_is_the_same(trees: GradientBoostedTrees) -> None:
    assert GradientBoostedTrees.from_json(json.loads(json.dumps(trees.as_json()))) == trees


@pytest.mark.parametrize(
    "grown",
    [["a"], [["a", 1, 2]], [["d", 1, 2, 3]], ["abcd"], [["a", "x", 2, 3]], [["a", 1, None, 3]]],
)
def test_what_is_no_tree_is_refused(grown: list[object]) -> None:
    document = {"instead": {"a": 0}, "grown": grown}
    with pytest.raises((ValueError, TypeError)):
        GradientBoostedTrees.from_json(document)


def test_a_number_that_trees_were_not_grown_on_does_not_matter_but_a_missing_one_does() -> None:
    trees = GradientBoostedTrees((("a", 0.0, -1.0, 1.0),), {"a": 0.0})
    assert trees.log_odds({"a": 1.0, "z": 9.0}) == 1.0
    with pytest.raises(KeyError):
        trees.log_odds({"z": 9.0})


def test_they_say_what_the_library_says_that_has_grown_them() -> None:
    critic = pytest.importorskip("benchmarks.critic")
    rng = np.random.default_rng(3)
    values = rng.normal(size=(300, len(_NAMES)))
    values[rng.random(values.shape) < 0.1] = np.nan
    is_real = rng.random(300) < 1 / (1 + np.exp(-3 * np.nan_to_num(values[:, 0])))
    ones = np.ones(300)
    seen = critic.Measured(list(_NAMES), values, is_real, ones, ones.astype(int), [])
    boosted, instead = critic._boosted(seen, 1)
    trees = critic._as_trees(seen, boosted, instead)
    theirs = critic._trees_judge(seen, 1)(values)
    ours = [trees.log_odds(dict(zip(_NAMES, row, strict=True))) for row in values.tolist()]
    assert np.allclose(ours, theirs, atol=0.05)
    assert np.ptp(theirs) > 2
