"""Exercises for the tests of counterpoint, written as note names with their lengths."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from bicinium.music.key import STEP_SEMITONES, Key
from bicinium.music.score import TICKS_PER_QUARTER, Meter, Note, Score, Voice

_FOLDER = Path(__file__).parent
FUX = yaml.safe_load((_FOLDER / "fux.yaml").read_text(encoding="utf-8"))
KNOWN_FAULTS = yaml.safe_load((_FOLDER / "known_faults.yaml").read_text(encoding="utf-8"))


def _voice(text: str) -> Voice:
    """Read ``C4*2 R*1 F#4*1``: names with octave and quarters (4 if left out); R is a rest."""
    notes, tick = [], 0
    for word in text.split():
        name, _, quarters = word.partition("*")
        ticks = round(float(quarters or 4) * TICKS_PER_QUARTER)
        if name != "R":
            step, alteration, octave = name[0], name[1:-1], int(name[-1])
            alter = alteration.count("#") - alteration.count("b")
            notes.append(Note(tick, 12 * (octave + 1) + STEP_SEMITONES[step] + alter, ticks))
        tick += ticks
    return Voice(tuple(notes))


def make_score(upper: str, lower: str, key: str = "C major", meter: str = "4/4") -> Score:
    """Build a score of two voices."""
    voices = _voice(upper), _voice(lower)
    time = Meter.parse(meter)
    end = max(each.end_tick for each in voices)
    return Score(voices, -(-end // time.bar_ticks), time, Key.parse(key))


@pytest.fixture
def exercise() -> Callable[..., Score]:
    """``exercise(upper, lower, key, meter)`` builds a score."""
    return make_score


def _solution(figure: str) -> dict[str, Any]:
    entry = FUX[figure]
    return {
        "figure": figure,
        "species": entry["species"],
        "cantus": ("upper", "lower").index(entry["cantus"]),
        "score": make_score(entry["upper"], entry["lower"]),
    }


@pytest.fixture(params=list(FUX))
def fux(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Each of Fux's solutions: figure, species, cantus (0 upper, 1 lower), score."""
    return _solution(request.param)


@pytest.fixture(params=[figure for figure, entry in FUX.items() if entry["species"] == 1])
def fux_first_species(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Each of Fux's solutions in the first species."""
    return _solution(request.param)


@pytest.fixture
def known_faults() -> list[dict[str, Any]]:
    """Exercises with a known fault: rule, set, cantus, score, bars, why."""
    return [
        {
            "rule": rule,
            "set": case["set"],
            "cantus": ("upper", "lower").index(case["cantus"]) if "cantus" in case else None,
            "score": make_score(case["upper"], case["lower"], case["key"]),
            "bars": case["bars"],
            "why": case["why"],
        }
        for rule, cases in KNOWN_FAULTS.items()
        for case in cases
    ]
