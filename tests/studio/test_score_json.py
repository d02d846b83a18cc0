"""Scores to JSON and back; invalid scores are errors."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from pydantic import ValidationError

from bicinium.errors import BiciniumError
from bicinium.music.score import Note, Score, Voice
from bicinium.studio.score_json import ScoreSchema, describe_validation_error, score_to_json


def _back(wire: dict[str, Any]) -> Score:
    return ScoreSchema.model_validate_json(json.dumps(wire)).to_score()


def test_round_trip(made_up_score: Callable[..., Score]) -> None:
    for meter, key in (("3/4", "D minor"), ("6/8", "Bb major")):
        score = made_up_score(1, 5, meter, key)
        assert _back(score_to_json(score)) == score


def test_round_trip_of_anacrusis_and_silent_voice() -> None:
    voices = (Voice((Note(72, 67, 24), Note(96, 72, 96))), Voice())
    score = Score(voices, 2, anacrusis_ticks=24, title="Auftakt")
    again = _back(score_to_json(score))
    assert (again, again.title) == (score, "Auftakt")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"bars": 0}, "bars: should be greater"),
        ({"bars": "8"}, "bars: should be a valid integer"),
        ({"wrong": 1}, "wrong: extra inputs"),
        ({"meter": "3/5"}, "metre"),
        ({"key": "H minor"}, "not a key"),
        ({"tempo": 1e9}, "tempo: should be less"),
        ({"voices": [[[0, 60, 24, 80]]]}, "voices: list should have at least 2"),
        ({"voices": [[[0, 60, 24]], []]}, "a note must have an onset"),
        ({"voices": [[[0, 600, 24, 80]], []]}, "not on the piano"),
        ({"voices": [[[0, 60, 24, 80], [12, 62, 24, 80]], []]}, "overlap"),
        ({"voices": [[[9000, 60, 24, 80]], []]}, "after the last barline"),
        ({"voices": [[[i, 60, 1, 80] for i in range(21_000)], []]}, "at most 20000 notes"),
        ({"anacrusis": 500}, "anacrusis"),
    ],
)
def test_invalid_score_is_an_error(change: dict[str, Any], message: str) -> None:
    wire = {"meter": "4/4", "bars": 4, "voices": [[[0, 60, 24, 80]], []]} | change
    with pytest.raises((BiciniumError, ValidationError)) as caught:
        _back(wire)
    error = caught.value
    assert message in (
        describe_validation_error(error) if isinstance(error, ValidationError) else str(error)
    )
