"""A piece that is no piece is drawn again: what is looked at, on scores written by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bicinium.composing.composition import Composition
from bicinium.composing.conditions import Conditions
from bicinium.composing.constraints import Constraints
from bicinium.composing.redrawing import (
    NOT_BEGUN,
    OTHER_KEY,
    OUT_OF_PLACE,
    STUCK,
    TOO_SILENT,
    bars_played,
    longest_rest,
    most_bars_alike,
    notes_a_second,
    why_drawn_again,
)
from bicinium.grammar import MusicalGrammarValidator
from bicinium.score.keys import Key
from bicinium.score.notes import Meter, Note, Score, Voice
from bicinium.tokens.codec import encode

_METER = Meter(2, 4)
_BAR = 48  # ticks
_LOOSELY = replace(Constraints.none(), consonance=0.1)
_SCALE = (0, 2, 4, 5, 7, 9, 11, 12)


def _walk(bars: range, lowest: int, every: int = 1) -> list[Note]:
    """Two notes a bar, no bar like the one before; or each bar ``every`` times."""
    return [
        Note(bar * _BAR + 24 * half, lowest + _SCALE[(bar // every * 3 + 2 * half) % 8], 24)
        for bar in bars
        for half in (0, 1)
    ]


def _why(upper: list[Note], lower: list[Note], constraints: Constraints | None = None) -> str:
    key = Key(0, "major")
    score = Score((Voice(tuple(upper)), Voice(tuple(lower))), 16, _METER, key)
    tokens = np.array(encode(score), np.int16)
    result = MusicalGrammarValidator().validate_sequence(tokens, _METER, 16)
    piece = Composition(Conditions(key, _METER, 16), 0, tokens, result, score, 1)
    return why_drawn_again(piece, constraints, None)


@pytest.mark.parametrize("begins", range(3))
def test_a_piece_begins_in_its_first_bar_in_one_voice_at_least(begins: int) -> None:
    whole, late = _walk(range(16), 60), _walk(range(begins, 16), 43)
    assert _why(whole, late) == ""
    assert _why(_walk(range(begins, 16), 60), late) == (NOT_BEGUN if begins else "")
    last_of_the_bar = Note(_BAR - 12, 60, 12)
    assert _why([last_of_the_bar, *_walk(range(1, 16), 60)], late) == ""


@pytest.mark.parametrize("rest", range(8))
def test_a_voice_may_rest_for_five_bars_running(rest: int) -> None:
    whole, gap = _walk(range(16), 60), range(4, 4 + rest)
    broken = [note for note in _walk(range(16), 43) if note.onset_tick // _BAR not in gap]
    expected = TOO_SILENT if rest > 5 else ""
    assert _why(whole, broken) == expected
    score = Score((Voice(tuple(whole)), Voice(tuple(broken))), 16, _METER)
    assert longest_rest(score, 1) == rest
    assert longest_rest(score, 0) == 0


def test_a_voice_plays_in_half_of_the_bars() -> None:
    whole = _walk(range(16), 60)
    sparse = [note for note in _walk(range(16), 43) if note.onset_tick // _BAR % 3 == 0]
    assert _why(whole, sparse) == TOO_SILENT


@pytest.mark.parametrize("times", range(1, 7))
def test_a_bar_may_come_twice_running(times: int) -> None:
    upper, lower = _walk(range(16), 60, times), _walk(range(16), 43, times)
    assert _why(upper, lower) == (STUCK if times > 2 else "")
    assert _why(upper, _walk(range(16), 43)) == ""  # an ostinato is none
    score = Score((Voice(tuple(upper)), Voice(tuple(lower))), 16, _METER)
    assert most_bars_alike(score) == times


@pytest.mark.parametrize("times", [1, 2, 3, 5])
def test_a_figure_above_that_comes_again_and_again_is_no_melody(times: int) -> None:
    """Whatever the other voice does; below it is an ostinato."""
    same = [
        Note(bar * _BAR + 12 * i, pitch, 12)
        for bar in range(times)
        for i, pitch in enumerate((79, 77, 76, 74))
    ]
    upper = same + _walk(range(times, 16), 66)
    assert _why(upper, _walk(range(16), 43)) == (STUCK if times > 2 else "")
    lower = [replace(note, pitch=note.pitch - 24) for note in upper]
    assert _why(_walk(range(16), 66), lower) == ""
    score = Score((Voice(tuple(upper)), Voice(tuple(_walk(range(16), 43)))), 16, _METER)
    assert most_bars_alike(score, part=0, fewest=4) == times
    assert most_bars_alike(score) == 1


@pytest.mark.parametrize(
    ("upper", "lower", "in_place"),
    [(66, 43, True), (55, 43, True), (52, 40, False), (76, 43, True), (86, 43, False),
     (66, 30, True), (66, 24, False), (78, 58, True), (78, 62, False)],
)  # fmt: skip
def test_a_voice_lies_where_one_of_real_music_does(upper: int, lower: int, in_place: bool) -> None:
    """The mean of what ``_walk`` plays is some six semitones over its lowest."""
    lines = _walk(range(16), upper), _walk(range(16), lower)
    assert _why(*lines) == ""
    assert (_why(*lines, _LOOSELY) == OUT_OF_PLACE) != in_place


def test_empty_bars_are_not_alike() -> None:
    assert most_bars_alike(Score((Voice(()), Voice(())), 16, _METER)) == 0


def test_only_under_constraints_must_the_key_be_heard() -> None:
    upper, lower = _walk(range(16), 66), _walk(range(16), 54)  # F♯ major
    assert _why(upper, lower) == ""
    assert _why(upper, lower, _LOOSELY) == OTHER_KEY


def test_a_score_is_as_fast_as_its_fullest_bar() -> None:
    run = Voice(tuple(Note(72 + 6 * i, 60 + i, 6) for i in range(12)))
    score = Score((run, Voice((Note(0, 48, 144),))), 2, Meter(3, 4), tempo_qpm=120)
    assert notes_a_second(score) == pytest.approx(12 / 1.5)  # the second bar lasts 1.5 seconds
    assert notes_a_second(Score((Voice(()), Voice(())), 2, Meter(3, 4))) == 0


def test_bars_played_are_those_in_which_a_note_sounds() -> None:
    """4/4, a bar is 96 ticks: a note in bar 1, one from the end of bar 2 to the barline of 4."""
    upper = Voice((Note(0, 60, 96), Note(180, 60, 108)))
    score = Score((upper, Voice()), bars=6)
    assert bars_played(score, 0) == {0, 1, 2}
    assert bars_played(score, 1) == set()
