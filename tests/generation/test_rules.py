"""Pieces that are chosen by rules of counterpoint."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

import bicinium
from bicinium.api import compose_each
from bicinium.counterpoint import Severity, check_score, load_rule_set
from bicinium.errors import RequestError, ScoreError
from bicinium.generation.candidates import Finished
from bicinium.generation.composition import Composition
from bicinium.request import ComposeRequest

Refuses = Callable[..., AbstractContextManager[None]]


def _finished(model: Path, rules: str) -> Finished:
    found = compose_each(
        n=1, bars=4, key="C major", meter="4/4", seed=2, best_of=6, constraints=None,
        model=model, rules=rules,
    )  # fmt: skip
    (finished,) = (one for one in found if isinstance(one, Finished))
    return finished


def _faults(piece: Composition, rules: str) -> tuple[int, int]:
    """Return the errors and the warnings of a candidate; what cannot be checked comes last."""
    assert piece.score is not None
    try:
        report = check_score(piece.score, load_rule_set(rules))
    except ScoreError:
        return 1_000_000, 0
    return report.count(Severity.ERROR), report.count(Severity.WARNING)


@pytest.mark.parametrize("rules", ["bach", "species1"])
def test_the_candidate_with_the_fewest_faults_is_chosen(tiny_model: Path, rules: str) -> None:
    chosen = _finished(tiny_model, rules)
    counts = [_faults(one, rules) for one in chosen.valid]
    assert len(set(counts)) > 1, counts
    tokens = [one.tokens.tobytes() for one in chosen.valid]
    best = tokens.index(chosen.composition.tokens.tobytes())
    assert counts[best] == min(counts)


def test_rules_are_named_as_in_check(tiny_model: Path, tmp_path: Path, refuses: Refuses) -> None:
    own = tmp_path / "own.yaml"
    own.write_text("base: bach\nname: mine\nrules: {dissonance: off}\n")
    for name in ("bach", "species3-school", own):
        asked = {"upper": tmp_path / "cantus.mid"} if name == "species3-school" else {}
        assert ComposeRequest.from_options(rules=name, **asked).rules == load_rule_set(name)
    assert bicinium.compose(rules=own, bars=1, best_of=1, seed=1, model=tiny_model).score
    with refuses(RequestError, "There is no rule set 'fugue'. Choose one of species1, "):
        bicinium.compose(rules="fugue", model=tiny_model)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"rules": "species2"}, "rules species2 need a cantus firmus. Give one as the upper"),
        ({"rules": "bach", "invertible": 8}, "rules cannot be combined with canon"),
        ({"rules": "bach", "use_grammar": False}, "rules cannot be combined with canon"),
    ],
)
def test_rules_that_cannot_hold_are_refused(
    asked: dict[str, Any], message: str, refuses: Refuses
) -> None:
    with refuses(RequestError, message):
        ComposeRequest.from_options(**asked)


def test_a_stream_takes_no_rules(refuses: Refuses) -> None:
    with refuses(RequestError, "A stream .* Leave out max_quote, no_grammar, rules"):
        bicinium.stream(rules="bach")
