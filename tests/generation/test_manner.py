"""The manner of a second voice follows the given voice."""

from __future__ import annotations

import pytest

from bicinium.generation.manner import manner_of
from bicinium.music.key import Key
from bicinium.music.score import Note, Score, Voice


def _line(*pitches: int, ticks: int = 24) -> Score:
    notes = (Note(index * ticks, pitch, ticks) for index, pitch in enumerate(pitches))
    return Score((Voice(tuple(notes)), Voice(())), 4, key=_C_MAJOR)


_C_MAJOR = Key.parse("C major")
_SCALES = (60, 62, 64, 65, 67, 69, 71, 72, 74, 76, 77, 79, 81, 83, 84)


def test_a_plain_tune_is_simple() -> None:
    assert manner_of(_line(72, 72, 79, 79, 81, 81, 79), 0) == "simple"


@pytest.mark.parametrize(
    ("pitches", "ticks", "manner"),
    [
        (_SCALES, 6, "invention"),  # fast, and over two octaves
        (_SCALES, 24, "simple"),  # only over two octaves
        ((60, 62, 64, 65, 67), 6, "simple"),  # only fast
        ((60, 61, 62, 63, 64), 6, "invention"),  # fast and chromatic
    ],
)
def test_an_invention_exceeds_two_limits(pitches: tuple[int, ...], ticks: int, manner: str) -> None:
    assert manner_of(_line(*pitches, ticks=ticks), 0) == manner
