"""Outliers, on scores written by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bicinium.generation.acceptance import (
    OUTLIER_RULES,
    bars_played,
    flaws_of_written,
    longest_rest,
    notes_per_second,
    repeated_bars,
)
from bicinium.generation.composition import Composition
from bicinium.generation.conditions import Conditions
from bicinium.generation.fixed_notes import fix_opening, fix_voice
from bicinium.generation.rerank import Candidate
from bicinium.grammar import MusicalGrammarValidator
from bicinium.music.key import Key
from bicinium.music.score import Meter, Note, Score, Voice
from bicinium.tokenizer.codec import encode

_METER = Meter(2, 4)
_BAR = 48  # ticks
_SCALE = (0, 2, 4, 5, 7, 9, 11, 12)


def _walk(bars: range, lowest: int, every: int = 1) -> list[Note]:
    """Return two notes for each bar. Successive bars differ, or each bar occurs ``every`` times."""
    return [
        Note(bar * _BAR + 24 * half, lowest + _SCALE[(step * 3 + 2 * half + step // 8) % 8], 24)
        for bar in bars
        for step in [bar // every]
        for half in (0, 1)
    ]


def _outliers(
    upper: list[Note],
    lower: list[Note],
    bars: int = 16,
    tempo_qpm: float | None = None,
) -> set[str]:
    """Return the names of the broken rules, except those of the melody."""
    key = Key(0, "major")
    score = Score((Voice(tuple(upper)), Voice(tuple(lower))), bars, _METER, key, tempo_qpm or 100)
    tokens = np.array(encode(score), np.int16)
    result = MusicalGrammarValidator().validate_sequence(tokens, _METER, bars)
    conditions = Conditions(key, _METER, bars, tempo_qpm)
    candidate = Candidate(Composition(conditions, 0, tokens, result, score, 1))
    return {rule.name for rule in OUTLIER_RULES if rule.is_outlier(candidate)}


@pytest.mark.parametrize("begins", range(3))
def test_a_piece_begins_in_its_first_bar_in_one_voice_at_least(begins: int) -> None:
    whole, late = _walk(range(16), 60), _walk(range(begins, 16), 43)
    assert "first bar" not in _outliers(whole, late)
    assert ("first bar" in _outliers(_walk(range(begins, 16), 60), late)) == (begins > 0)
    last_of_the_bar = Note(_BAR - 12, 60, 12)
    assert "first bar" not in _outliers([last_of_the_bar, *_walk(range(1, 16), 60)], late)


@pytest.mark.parametrize("rest", range(8))
def test_a_voice_may_rest_for_five_bars_running(rest: int) -> None:
    whole, gap = _walk(range(16), 60), range(4, 4 + rest)
    broken = [note for note in _walk(range(16), 43) if note.onset_tick // _BAR not in gap]
    assert ("longest rest" in _outliers(whole, broken)) == (rest > 5)
    score = Score((Voice(tuple(whole)), Voice(tuple(broken))), 16, _METER)
    assert longest_rest(score, 1) == rest
    assert longest_rest(score, 0) == 0


def test_a_voice_plays_in_half_of_the_bars() -> None:
    whole = _walk(range(16), 60)
    sparse = [note for note in _walk(range(16), 43) if note.onset_tick // _BAR % 3 == 0]
    assert "share of bars played" in _outliers(whole, sparse)


@pytest.mark.parametrize("times", range(1, 7))
def test_a_bar_may_come_twice_running(times: int) -> None:
    upper, lower = _walk(range(16), 60, times), _walk(range(16), 43, times)
    assert ("repeated bars" in _outliers(upper, lower)) == (times > 2)
    assert "repeated bars" not in _outliers(upper, _walk(range(16), 43))  # an ostinato is none
    score = Score((Voice(tuple(upper)), Voice(tuple(lower))), 16, _METER)
    assert repeated_bars(score) == times


@pytest.mark.parametrize("times", [1, 2, 3, 5])
def test_a_figure_above_that_comes_again_and_again_is_no_melody(times: int) -> None:
    """Whatever the other voice does; below it is an ostinato."""
    same = [
        Note(bar * _BAR + 12 * i, pitch, 12)
        for bar in range(times)
        for i, pitch in enumerate((79, 77, 76, 74))
    ]
    upper = same + _walk(range(times, 16), 66)
    assert ("repeated bars" in _outliers(upper, _walk(range(16), 43))) == (times > 2)
    lower = [replace(note, pitch=note.pitch - 24) for note in upper]
    assert "repeated bars" not in _outliers(_walk(range(16), 66), lower)
    score = Score((Voice(tuple(upper)), Voice(tuple(_walk(range(16), 43)))), 16, _METER)
    assert repeated_bars(score, part=0, min_notes=4) == times
    assert repeated_bars(score) == 1


@pytest.mark.parametrize(
    ("upper", "lower", "in_place"),
    [(66, 43, True), (55, 43, True), (52, 40, False), (76, 43, True), (86, 43, False),
     (66, 30, True), (66, 24, False), (78, 58, True), (78, 62, False)],
)  # fmt: skip
def test_a_voice_lies_where_one_of_real_music_does(upper: int, lower: int, in_place: bool) -> None:
    """The mean of what ``_walk`` plays is some six semitones over its lowest."""
    lines = _walk(range(16), upper), _walk(range(16), lower)
    assert bool({"upper register", "lower register"} & _outliers(*lines)) != in_place


def _figure(bars: int, changes: int) -> list[Note]:
    """Two bars of eighths that come again and again, but for so many notes of each."""
    rng, notes = np.random.default_rng(4), []
    for bar in range(bars):
        shape = [0, 2, 4, 2] if bar % 2 else [4, 3, 1, 0]
        for place in rng.permutation(4)[:changes]:
            shape[place] = int(rng.integers(8))
        notes += [Note(bar * _BAR + 12 * i, 67 + _SCALE[d], 12) for i, d in enumerate(shape)]
    return notes


def _scattered(bars: int) -> list[Note]:
    """Three notes somewhere in each bar."""
    rng = np.random.default_rng(4)
    onsets = [bar * _BAR + 3 * at for bar in range(bars) for at in sorted(rng.permutation(16)[:3])]
    return [Note(int(onset), 67 + _SCALE[rng.integers(8)], 3) for onset in onsets]


@pytest.mark.parametrize(
    ("upper", "bars", "as_real"),
    [
        pytest.param(_figure(16, 2), 16, True, id="a figure and changes"),
        pytest.param(_figure(16, 0), 16, False, id="a figure and nothing else"),
        pytest.param(_scattered(16), 16, False, id="no figure"),
        pytest.param(_figure(8, 0), 8, False, id="eight bars"),
        pytest.param(_figure(6, 0), 6, True, id="too few bars to say"),
    ],
)
def test_melodies_come_again_as_often_as_in_real_music(
    upper: list[Note], bars: int, as_real: bool
) -> None:
    lower = [replace(note, pitch=note.pitch - 24) for note in upper]
    found = {name for name in _outliers(upper, lower, bars) if name.startswith("melody")}
    assert (not found) == as_real


def test_empty_bars_are_not_alike() -> None:
    assert repeated_bars(Score((Voice(()), Voice(())), 16, _METER)) == 0


def test_a_piece_in_another_key_is_an_outlier() -> None:
    upper, lower = _walk(range(16), 66), _walk(range(16), 54)  # F♯ major
    assert "key" in _outliers(upper, lower)
    assert "key" not in _outliers(_walk(range(16), 60), _walk(range(16), 48))


def test_speed_counts_unless_the_tempo_was_requested() -> None:
    fast = [Note(2 * i, 60 + i % 12, 2) for i in range(16 * 24)]
    lower = _walk(range(16), 43)
    assert "notes a second" in _outliers(fast, lower)
    assert "notes a second" not in _outliers(fast, lower, tempo_qpm=100)
    assert "notes a second" not in _outliers(_walk(range(16), 60), lower)


def test_a_score_is_as_fast_as_its_fullest_bar() -> None:
    run = Voice(tuple(Note(72 + 6 * i, 60 + i, 6) for i in range(12)))
    score = Score((run, Voice((Note(0, 48, 144),))), 2, Meter(3, 4), tempo_qpm=120)
    assert notes_per_second(score) == pytest.approx(12 / 1.5)  # the second bar lasts 1.5 seconds
    assert notes_per_second(Score((Voice(()), Voice(())), 2, Meter(3, 4))) == 0


def test_bars_played_are_those_in_which_a_note_sounds() -> None:
    """In 4/4 with 96 ticks a bar: one note in bar 1, one from the end of bar 2 to the end of bar
    4.
    """
    upper = Voice((Note(0, 60, 96), Note(180, 60, 108)))
    score = Score((upper, Voice()), bars=6)
    assert bars_played(score, 0) == {0, 1, 2}
    assert bars_played(score, 1) == set()


@pytest.mark.parametrize("times", [1, 4, 5, 15])
def test_a_left_hand_may_repeat_one_bar_four_times(times: int) -> None:
    """In 96 of 100 real excerpts it does not do so more often."""
    lower = _walk(range(16), 43, 1)
    same = [note for bar in range(times) for note in _walk(range(1), 43)]
    same = [
        replace(note, onset_tick=note.onset_tick + i // 2 * _BAR) for i, note in enumerate(same)
    ]
    rest = [note for note in lower if note.onset_tick >= times * _BAR]
    found = _outliers(_walk(range(16), 66), same + rest)
    assert ("repeated left hand" in found) == (times > 4)


@pytest.mark.parametrize(
    ("lower", "flaws"),
    [
        (_walk(range(8), 48), 0),
        (_walk(range(4, 8), 48), 0),
        (_walk(range(5, 8), 48), 1),  # silent in more than half of the bars
        (_walk(range(8), 48, every=4), 0),
        (_walk(range(8), 48, every=5), 1),
        ([], 1),
    ],
)
def test_a_second_voice_plays_and_does_not_stand_still(lower: list[Note], flaws: int) -> None:
    """Whatever the given voice does."""
    upper = Voice(tuple(_walk(range(8), 60, every=8)))
    score = Score((upper, Voice(tuple(lower))), 8, _METER)
    assert flaws_of_written(score, fix_voice(upper, 0, score)) == flaws


def test_only_bars_that_are_not_given_count() -> None:
    still = Voice(tuple(_walk(range(8), 60, every=8)))
    opening = Score((still, Voice(())), 8, _METER)
    given = fix_opening(opening, 16)
    more = (Voice((*still.notes, *_walk(range(8, 16), 60))), Voice(tuple(_walk(range(8, 16), 48))))
    assert flaws_of_written(Score(more, 16, _METER), given) == 0
    assert flaws_of_written(Score((still, more[1]), 16, _METER), given) == 1
