"""Scores to JSON and back; what is no score is refused in one sentence."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from pydantic import ValidationError

from bicinium.errors import BiciniumError
from bicinium.music.score import Note, Score, Voice
from bicinium.studio.score_json import WireScore, explain, wire_score


def _back(wire: dict[str, Any]) -> Score:
    return WireScore.model_validate_json(json.dumps(wire)).score()


def test_a_score_comes_back(made_up_score: Callable[..., Score]) -> None:
    for meter, key in (("3/4", "D minor"), ("6/8", "Bb major")):
        score = made_up_score(1, 5, meter, key)
        assert _back(wire_score(score)) == score


def test_an_anacrusis_and_a_silent_voice_come_back() -> None:
    voices = (Voice((Note(72, 67, 24), Note(96, 72, 96))), Voice())
    score = Score(voices, 2, anacrusis_ticks=24, title="Auftakt")
    again = _back(wire_score(score))
    assert (again, again.title) == (score, "Auftakt")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"bars": 0}, "bars: should be greater"),
        ({"bars": "8"}, "bars: should be a valid integer"),
        ({"wrong": 1}, "wrong: extra inputs"),
        ({"meter": "3/5"}, "metre"),
        ({"key": "H minor"}, "not a key"),
        ({"tempo": 1e9}, "tempo: should be less"),
        ({"voices": [[[0, 60, 24, 80]]]}, "voices: list should have at least 2"),
        ({"voices": [[[0, 60, 24]], []]}, "a note is an onset"),
        ({"voices": [[[0, 600, 24, 80]], []]}, "not on the piano"),
        ({"voices": [[[0, 60, 24, 80], [12, 62, 24, 80]], []]}, "overlap"),
        ({"voices": [[[9000, 60, 24, 80]], []]}, "after the last barline"),
        ({"voices": [[[i, 60, 1, 80] for i in range(21_000)], []]}, "too long"),
        ({"anacrusis": 500}, "anacrusis"),
    ],
)
def test_what_is_no_score_is_refused(change: dict[str, Any], sentence: str) -> None:
    wire = {"meter": "4/4", "bars": 4, "voices": [[[0, 60, 24, 80]], []]} | change
    with pytest.raises((BiciniumError, ValidationError)) as caught:
        _back(wire)
    said = caught.value
    assert sentence in (explain(said) if isinstance(said, ValidationError) else str(said))
