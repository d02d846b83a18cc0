"""The critic distinguishes composed from real music, and ranks candidates."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

import pytest

from bicinium.api import compose
from bicinium.errors import CheckpointError
from bicinium.generation.config import GenerationConfig
from bicinium.generation.critic import Critic, critic_path
from bicinium.generation.gbdt import GradientBoostedTrees
from bicinium.generation.rerank import Selection
from bicinium.music.descriptors import describe
from bicinium.music.excerpts import extract_bars
from bicinium.music.logistic import Coefficient, LogisticRegression
from bicinium.music.score import Score

MakeScore = Callable[..., Score]
Refuses = Callable[..., AbstractContextManager[None]]


_TERM = '{"centre": 0, "spread": 1, "weight": %s, "weight_of_distance": 0}'
_NO_NUMBER = '{"bias": 0, "terms": {"degree/tonic": %s}}' % (_TERM % "NaN")
_NO_TREES = '{"bias": 0, "terms": {}, "trees": {"instead": {}, "grown": [[1, 2]]}}'
_A_TREE = GradientBoostedTrees((("motion/contrary", 2.0, 0.25, 9.0),), {"motion/contrary": 0.0})
_NO_METRIC = '{"bias": 0, "terms": {"degree/eighth": %s}}' % (_TERM % "1")


def _critic(**weights: float) -> Critic:
    """Of numbers by name, with __ for /: more of it is more real."""
    terms = {name.replace("__", "/"): Coefficient(0.0, 1.0, w, 0.0) for name, w in weights.items()}
    return Critic(LogisticRegression(0.0, terms))


def test_likeness_is_the_logistic_of_the_log_odds(made_up_score: MakeScore) -> None:
    score, critic = made_up_score(1, 8), _critic(motion__contrary=2.0)
    odds = 2.0 * describe(score)["motion/contrary"]
    assert critic.log_odds(describe(score)) == pytest.approx(odds)
    assert critic.realism(describe(score)) == pytest.approx(1 / (1 + math.exp(-odds)))
    assert _critic(motion__contrary=0.0).realism(describe(score)) == 0.5


@pytest.mark.parametrize(
    ("bars", "parts"),
    [(5, [(0, 5)]), (16, [(0, 16)]), (20, [(4, 16)]), (24, [(8, 16), (0, 8)]),
     (40, [(24, 16), (8, 16), (0, 8)])],
)  # fmt: skip
def test_a_long_piece_is_judged_by_its_excerpts(
    made_up_score: MakeScore, bars: int, parts: list[tuple[int, int]]
) -> None:
    score, critic = made_up_score(2, bars), _critic(degree__tonic=3.0, texture__both=1.0)
    alone = [critic.log_odds(describe(extract_bars(score, *part))) for part in parts]
    assert critic.log_odds(describe(score)) == pytest.approx(sum(alone) / len(alone))


def test_weights_and_trees_count_alike(made_up_score: MakeScore) -> None:
    score, weights = made_up_score(1, 8), _critic(motion__contrary=2.0).weights
    alone = Critic(weights).log_odds(describe(score))
    assert Critic(weights, _A_TREE).log_odds(describe(score)) == pytest.approx((alone + 0.25) / 2)


@pytest.mark.parametrize("trees", [None, _A_TREE])
def test_what_is_saved_is_loaded_from_beside_the_model(
    tmp_path: Path, trees: GradientBoostedTrees | None
) -> None:
    model = tmp_path / "model.safetensors"
    critic = replace(_critic(motion__contrary=1.5), trees=trees)
    assert Critic.for_model(model) is None
    critic.save(critic_path(model), {"made_by": "hand"})
    assert Critic.for_model(model) == critic
    assert json.loads(critic_path(model).read_text())["made_by"] == "hand"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        '{"bias": 0}',
        '{"bias": 0, "terms": {"a": {"x": 1}}}',
        _NO_NUMBER,
        _NO_METRIC,
        _NO_TREES,
    ],
)
def test_what_is_no_critic_is_refused(tmp_path: Path, refuses: Refuses, text: str) -> None:
    path = tmp_path / "model.critic.json"
    path.write_text(text)
    with refuses(CheckpointError, "is not a valid critic"):
        Critic.load(path)


def test_the_candidate_that_the_critic_finds_most_real_is_chosen(tiny_model: Path) -> None:
    pieces = [
        compose(bars=4, key="C major", meter="3/4", seed=i, best_of=1, model=tiny_model,
                constraints=None)
        for i in range(6)
    ]  # fmt: skip
    taken = []
    for weight in (4.0, -4.0):
        critic = Critic(
            LogisticRegression(0.0, {"pitch/upper_mean": Coefficient(70.0, 10.0, weight, 0.0)})
        )
        selection = Selection(6, critic=critic)
        candidates = [selection.candidate(piece) for piece in pieces]
        kinds = Counter(one.adherence for one in candidates)
        equals = [one for one in candidates if one.adherence == kinds.most_common(1)[0][0]]
        assert len(equals) > 1
        best = selection.best(equals, GenerationConfig())
        assert critic.log_odds(best.descriptors) == max(
            critic.log_odds(one.descriptors) for one in equals
        )
        taken.append(best.composition.seed)
    assert taken[0] != taken[1]


def test_without_a_critic_or_without_two_voices_there_is_no_likeness(
    tiny_model: Path,
) -> None:
    piece = compose(bars=2, seed=1, model=tiny_model)
    assert piece.sheet is not None
    assert piece.sheet.realism is None
    lost = replace(piece, score=None)
    selection = Selection(critic=_critic(degree__tonic=1.0))
    assert selection.sheet(selection.candidate(lost)).realism is None
    judged = selection.sheet(selection.candidate(piece))
    assert judged.realism is not None
    assert judged.total == pytest.approx(
        judged.quality_score * judged.adherence * judged.originality * judged.realism
    )
