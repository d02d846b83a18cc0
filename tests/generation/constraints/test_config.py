"""Invalid settings are errors, text is parsed, and violations of finished pieces are counted."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import fields, replace

import pytest

from bicinium.errors import RequestError
from bicinium.generation.conditions import Conditions
from bicinium.generation.constraints.config import (
    DESCRIPTIONS,
    STRENGTHS,
    Constraints,
)
from bicinium.generation.constraints.registry import count_violations
from bicinium.generation.fixed_notes import ALL_TICKS, NO_TICKS, FixedNotes, fix_voice
from bicinium.music.key import Key
from bicinium.music.score import Meter, Note, Score, Voice

Refuses = Callable[..., AbstractContextManager[None]]

_OFF = dict.fromkeys(STRENGTHS, 0.0)
_C_MAJOR = Key.parse("C major")


def _only(*names: str, strength: float = 1.0, **others: object) -> Constraints:
    return Constraints.from_names(_OFF | dict.fromkeys(names, strength) | others)


# ------------------------------------------------------------------ what can be asked


def test_every_field_is_explained_in_a_sentence() -> None:
    assert list(DESCRIPTIONS) == [field.name for field in fields(Constraints)]
    assert list(DESCRIPTIONS)[: len(STRENGTHS)] == list(STRENGTHS)
    assert all(text.endswith(".") and len(text) < 90 for text in DESCRIPTIONS.values())


def test_removed_settings_are_reported(refuses: Refuses) -> None:
    with pytest.warns(DeprecationWarning, match="max_equal was removed"):
        assert Constraints.from_names({"rhythm": 0.0, "max_equal": 5}) == Constraints()
    with refuses(RequestError, "rhythm was removed"):
        Constraints.parse(["rhythm=1"])


def test_none_is_off() -> None:
    assert Constraints.none().strengths == {}


def test_constraints_are_read_from_names_and_from_text() -> None:
    expected = replace(Constraints(), leap=0.5, max_leap=9, ranges=((60, 84), (36, 60)))
    ranges = [[60, 84], [36, 60]]
    assert Constraints.from_names({"leap": 0.5, "max_leap": 9, "ranges": ranges}) == expected
    assert Constraints.parse(["leap=0.5", "max_leap = 9", "ranges=60-84,36-60"]) == expected
    assert Constraints.parse([]) == Constraints()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"leep": 1.0}, "no constraint 'leep'. The nearest name is 'leap'"),
        ({"parallel": 1.0}, "nearest name is 'parallels'"),
        ({"leap": 1.5}, "leap=1.5 must be between 0 .* and 1"),
        ({"leap": -0.1}, "leap=-0.1"),
        ({"leap": math.nan}, "leap=nan"),
        ({"leap": "much"}, "leap='much'"),
        ({"accidentals": 2}, "accidentals=2 must be between 0 and 1"),
        ({"max_leap": 0}, "max_leap=0 must be a positive integer"),
        ({"span": 9.5}, "span=9.5"),
        ({"ranges": 5}, "ranges=5"),
        ({"ranges": [[60, 84]]}, "ranges="),
        ({"ranges": [[60, 84], [60, 65]]}, "an octave or more"),
        ({"ranges": [[10, 84], [40, 65]]}, "within 21 to 108"),
    ],
)
def test_nonsense_is_refused(refuses: Refuses, values: dict, message: str) -> None:
    with refuses(RequestError, message):
        Constraints.from_names(values)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("leap", "'leap' has no value"),
        ("leap=much", "Invalid value 'much' for the constraint setting leap"),
        ("ranges=high", "Invalid value 'high'"),
        ("max_leap=2.5", "Invalid value '2.5'"),
        ("ranges=60-84", "ranges="),
        ("lep=1", "nearest name is 'leap'"),
    ],
)
def test_what_cannot_be_read_is_refused(refuses: Refuses, text: str, message: str) -> None:
    with refuses(RequestError, message):
        Constraints.parse([text])


# ------------------------------------------------------------------ counting


def _made(*lines: Sequence[tuple[int, int]]) -> Score:
    voices = []
    for line in lines:
        notes, tick = [], 0
        for pitch, ticks in line:
            notes.append(Note(tick, pitch, ticks))
            tick += ticks
        voices.append(Voice(tuple(notes)))
    return Score(tuple(voices), 1, Meter(4, 4))


def test_violations_count_each_constraint_that_is_on() -> None:
    score = _made([(72, 24), (74, 24), (59, 24), (61, 24)], [(48, 24), (50, 24), (60, 48)])
    asked = Conditions(_C_MAJOR, Meter(4, 4), bars=1)
    every = _only(*STRENGTHS, strength=0.5, accidentals=0.0)
    assert count_violations(score, asked, every) == {
        "close": 1, "in_key": 1, "range": 0, "hand_span": 0, "parallels": 1, "crossing": 1,
        "consonance": 1, "leap": 1, "chords": 0,
    }  # fmt: skip
    assert count_violations(score, asked, _only("leap")) == {"leap": 1}
    assert count_violations(score, asked, Constraints.none()) == {}


def test_violations_count_what_is_the_models() -> None:
    score = _made([(72, 24), (74, 24), (59, 24), (61, 24)], [(48, 24), (50, 24), (60, 48)])
    asked = Conditions(_C_MAJOR, Meter(4, 4), bars=1)
    every = _only(*STRENGTHS, accidentals=0.0)
    given = replace(asked, fixed_notes=fix_voice(score.voices[0], 0, score))
    assert count_violations(score, given, every) == {
        "close": 0, "in_key": 0, "range": 0, "hand_span": 0, "parallels": 1, "crossing": 1,
        "consonance": 1, "leap": 0, "chords": 1,
    }  # fmt: skip
    all_given = replace(
        asked, fixed_notes=FixedNotes(score, ((ALL_TICKS,), (ALL_TICKS,)), (NO_TICKS, NO_TICKS))
    )
    assert not any(count_violations(score, all_given, every).values())
