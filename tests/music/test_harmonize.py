"""Chords of given voices: the ones that a student would choose, with a cadence at the end."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from bicinium.music.counterpoint import LOWER, UPPER
from bicinium.music.harmonize import GivenVoice, harmonize, phrase_ends
from bicinium.music.key import Key
from bicinium.music.score import Meter, Note, Score, Voice

_NAMES = {0: "I", 2: "ii", 4: "iii", 5: "IV", 7: "V", 9: "vi"}


def _given(
    line: Sequence[tuple[int, int]], key: str = "C major", meter: str = "4/4", part: int = UPPER
) -> GivenVoice:
    notes, tick = [], 0
    for pitch, ticks in line:
        if pitch:
            notes.append(Note(tick, pitch, ticks))
        tick += ticks
    metre = Meter.parse(meter)
    voices = [Voice(tuple(notes)) if part == index else Voice(()) for index in (UPPER, LOWER)]
    return GivenVoice.of(
        Score(tuple(voices), -(-tick // metre.bar_ticks), metre), part, Key.parse(key)
    )


def _quarters(*pitches: int) -> list[tuple[int, int]]:
    return [(pitch, 24) for pitch in pitches]


_TWINKLE = [
    *_quarters(72, 72, 79, 79, 81, 81), (79, 48), *_quarters(77, 77, 76, 76, 74, 74), (72, 48),
]  # fmt: skip


def test_a_nursery_tune_gets_tonic_subdominant_and_dominant() -> None:
    names = [_NAMES[chord.root] for chord in harmonize(_given(_TWINKLE))]
    assert names[:4] == ["I"] * 4
    assert names[4:6] == ["IV"] * 2
    assert names[10:12] == ["I"] * 2
    assert names[12:] == ["V", "V", "I", "I"]
    assert set(names) == {"I", "IV", "V"}


@pytest.mark.parametrize("semitones", [-5, 2, 6])
def test_chords_do_not_depend_on_the_key(semitones: int) -> None:
    moved = [(pitch + semitones, ticks) for pitch, ticks in _TWINKLE]
    key = str(Key.parse("C major").transpose(semitones))
    assert harmonize(_given(moved, key)) == harmonize(_given(_TWINKLE))


def test_a_chromatic_note_gets_the_chord_that_has_it() -> None:
    line = [*_quarters(72, 76, 74, 78), (79, 96), *_quarters(77, 76, 74, 71), (72, 96)]
    chords = harmonize(_given(line))
    assert chords[3].steps == (2, 6, 9, 0)  # the dominant of the dominant, with F sharp
    assert _NAMES[chords[4].root] == "V"


def test_a_bass_note_is_the_root_or_the_third() -> None:
    line = [*_quarters(48, 53, 55), (55, 24), (48, 96)]
    names = [_NAMES[chord.root] for chord in harmonize(_given(line, part=LOWER))]
    assert names == ["I", "IV", "V", "V", "I", "I", "I", "I"]


def test_minor_has_its_dominant_in_major() -> None:
    line = [(69, 48), (72, 48), (71, 48), (68, 48), (69, 96)]
    chords = harmonize(_given(line, "A minor"))
    assert 11 in chords[6].steps
    assert chords[8].steps == (0, 3, 7)


def test_phrases_end_with_long_notes_at_the_end_of_two_bars() -> None:
    assert [tick // 24 for tick in phrase_ends(_given(_TWINKLE))] == [6, 14]
