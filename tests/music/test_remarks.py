"""Remarks on a score in words."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from bicinium.music.key import Key
from bicinium.music.remarks import remarks
from bicinium.music.score import Note, Score, Voice


def _line(pitches: list[int | None]) -> Voice:
    """One whole note in each bar of 4/4, or none."""
    return Voice(tuple(Note(96 * i, p, 96) for i, p in enumerate(pitches) if p is not None))


_UPPER = _line([72, 76, None, None, None, None, 74, 72])
_LOWER = _line([48, 50, 50, 50, 50, 50, 43, 48])


def test_what_to_look_at_is_named_with_its_bars() -> None:
    assert remarks(Score((_UPPER, _LOWER), 8, key=Key(0, "major"))) == [
        "right hand starts no note in bars 3 to 6",
        "left hand plays the same bar 5 times, bars 2 to 6",
        "no half cadence: no phrase of four bars ends over the dominant (bar 4)",
    ]
    upper, lower = _line([72, 74, 72, 71, 72, 76, 74, 74]), _line([48, 50, 52, 43, 45, 48, 50, 43])
    assert remarks(Score((upper, lower), 8, key=Key(0, "major"))) == [
        "parallel fifths or octaves in bar 2",
        "right hand does not end on the tonic chord",
        "left hand does not end on the tonic chord",
    ]


def test_bars_are_numbered_as_printed_an_upbeat_is_bar_0() -> None:
    upper = Voice((Note(72, 67, 24), Note(96, 72, 96), Note(192, 76, 96), Note(288, 72, 96)))
    lower = _line([None, 48, 48, 48, 48])
    found = remarks(Score((upper, lower), 5, key=Key(0, "major"), anacrusis_ticks=24))
    assert "left hand plays the same bar 4 times, bars 1 to 4" in found


@pytest.mark.parametrize("semitones", range(-6, 6))
def test_remarks_do_not_depend_on_the_key(
    made_up_score: Callable[..., Score], semitones: int
) -> None:
    scores = [Score((_UPPER, _LOWER), 8, key=Key(0, "major"))]
    scores += [made_up_score(seed, 12, "3/4", "G minor") for seed in range(20)]
    assert any("parallel" in remark for score in scores for remark in remarks(score))
    for score in scores:
        assert remarks(score.transpose(semitones)) == remarks(score)


def test_a_plain_piece_has_no_remarks() -> None:
    upper, lower = _line([72, 74, 76, 74, 72, 74, 71, 72]), _line([48, 43, 48, 43, 45, 41, 43, 48])
    assert remarks(Score((upper, lower), 8, key=Key(0, "major"))) == []
