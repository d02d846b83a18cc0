"""Remarks on a score in words."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from bicinium.music.remarks import remarks
from bicinium.music.score import Note, Score, Voice


def _line(pitches: list[int | None]) -> Voice:
    """One whole note in each bar of 4/4, or none."""
    return Voice(tuple(Note(96 * i, p, 96) for i, p in enumerate(pitches) if p is not None))


@pytest.mark.parametrize("semitones", [0, 5, -7])
def test_a_repeated_bar_and_a_long_rest_are_named_in_any_key(semitones: int) -> None:
    upper = _line([72, 74, None, None, None, None, 76, 72])
    lower = _line([48, 50, 50, 50, 50, 50, 43, 48])
    score = Score((upper, lower), 8).transpose(semitones)
    assert remarks(score) == [
        "right hand starts no note in bars 3 to 6",
        "left hand plays the same bar 5 times, bars 2 to 6",
    ]


def test_three_equal_bars_are_not_remarked_on(made_up_score: Callable[..., Score]) -> None:
    assert remarks(Score((_line([72, 74, 76, 72]), _line([48, 48, 48, 43])), 4)) == []
    assert remarks(made_up_score(1)) == []
