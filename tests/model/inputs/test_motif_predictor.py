"""What a line leads one to expect, by hand and against a slow restatement."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bicinium.model.inputs.motif_predictor import CONFIDENCES, MotifPredictor
from bicinium.music.score import HIGHEST_PITCH, LOWEST_PITCH, VOICES

Heard = tuple[int, int, int]  # voice, tick, pitch

# What a context is: so many steps, with or without their ticks; the least trusted first.
_CONTEXTS = ((1, True), (2, False), (2, True), (3, True), (4, True), (6, True), (8, True))


class Expected(NamedTuple):
    """The fields of a ``MotifPrediction``."""

    confidence: int
    step: int
    ticks: int
    pitch: int


_NOTHING = Expected(0, 0, 0, 0)


def _expected(notes: Iterable[Heard]) -> list[Expected]:
    """What is expected after each note."""
    predictor = MotifPredictor()
    said = [predictor.observe(*note) for note in notes]
    return [Expected(one.confidence, one.step, one.ticks, one.pitch) for one in said]


def _line(*pitches: int, ticks: int = 12, start: int = 0, voice: int = 0) -> list[Heard]:
    """A voice in even notes."""
    return [(voice, start + ticks * index, pitch) for index, pitch in enumerate(pitches)]


def _steps(*steps: int) -> list[Heard]:
    """Even notes from C4, so many white keys up each time."""
    degrees = [sum(steps[:count]) for count in range(len(steps) + 1)]
    return _line(*[60 + 12 * (d // 7) + (0, 2, 4, 5, 7, 9, 11)[d % 7] for d in degrees])


def test_a_sequence_is_expected_to_go_on_on_the_next_degree() -> None:
    """C E D is followed by D F, again a third. So E is predicted, and one more figure after it."""
    after = _expected(_line(60, 64, 62, 62, 65, 64))
    assert after[:4] == [_NOTHING] * 4
    assert after[4] == Expected(1, -1, 12, 64)
    assert after[5] == Expected(3, 0, 12, 64)  # two steps are known


def test_raised_notes_count_as_the_white_key_below() -> None:
    """A G# A D: then D C# expects D, as if both had been naturals; and the white key it says."""
    after = _expected(_line(69, 68, 69, 62, 61))
    assert after[-1] == Expected(1, 1, 12, 62)
    assert _expected(_line(69, 67, 69, 62, 60)) == after
    # F# G F# to E F: what went down to F# now goes down to the white key
    assert _expected(_line(66, 67, 66, 64, 65))[-1] == Expected(1, -1, 12, 64)


def test_the_other_voice_is_expected_to_imitate() -> None:
    """C D F E A, and two bars later C D F E an octave lower, against A G F E of the first voice: a
    step down went on down there, but not after C D F.
    """
    subject = _line(72, 74, 77, 76, 81)
    answer = _line(60, 62, 65, 64, start=192, voice=1)
    against = _line(81, 79, 77, 76, start=186)
    notes = sorted(subject + answer + against, key=lambda note: note[1])
    after = dict(zip(notes, _expected(notes), strict=True))
    assert after[answer[0]] == _NOTHING
    assert after[answer[1]] == Expected(1, 2, 12, 65)
    assert after[answer[2]] == Expected(3, -1, 12, 64)
    assert after[answer[3]] == Expected(4, 3, 12, 69)


def test_nothing_is_expected_at_first_nor_of_a_voice_that_has_not_moved() -> None:
    notes = [*_line(60, 62, 60, 62), (1, 48, 40)]
    after = _expected(notes)
    assert [expected.confidence > 0 for expected in after] == [False, False, False, True, False]
    assert after[-1] == _NOTHING


def test_the_longest_context_wins() -> None:
    """Two steps up were last followed by four down. One step up was followed by one down."""
    assert _expected(_steps(1, 2, -1, -3, 2, -4, 1, 2))[-1][:3] == (3, -1, 12)
    assert _expected(_steps(1, 2, -1, -3, 2, -4, 3, 2))[-1][:3] == (1, -4, 12)


def test_of_its_occurrences_the_last_wins() -> None:
    assert _expected(_steps(2, -1, 2, -3, 3, 2))[-1][:3] == (1, -3, 12)
    assert _expected(_steps(1, 2, -1, -5, 1, 2, -4, -3, 1, 2))[-1][:3] == (3, -4, 12)


def test_two_steps_are_known_again_in_another_rhythm() -> None:
    """They are trusted less than in the same rhythm, and the ticks are expected as they were."""
    slow = _line(60, 62, 65, 60, ticks=24)
    again = _line(72, 74, 77, ticks=6, start=96)
    assert _expected(slow + again)[-1] == Expected(2, -3, 24, 72)
    again = _line(72, 74, 77, ticks=24, start=96)
    assert _expected(slow + again)[-1] == Expected(3, -3, 24, 72)


def test_a_theme_that_comes_again_is_trusted_more_with_every_note() -> None:
    theme = (60, 62, 65, 64, 69, 65, 72, 67, 60, 69)
    after = _expected(_line(*theme, *theme))[len(theme) :]
    assert [expected.confidence for expected in after] == [0, 1, 3, 4, 5, 5, 6, 6, 7, 7]
    assert after[-1].confidence == CONFIDENCES - 1
    assert [expected.pitch for expected in after[1:]] == [*theme[2:], 60]  # and a third time


@pytest.mark.parametrize(
    ("pitches", "expected"),
    [((60, 72, 84, 96, 108), HIGHEST_PITCH), ((72, 60, 48, 36, 24), LOWEST_PITCH)],
)
def test_what_is_expected_lies_on_the_piano(pitches: Sequence[int], expected: int) -> None:
    assert _expected(_line(*pitches))[-1].pitch == expected


_WHITE = [pitch for pitch in range(-120, 240) if pitch % 12 in (0, 2, 4, 5, 7, 9, 11)]


def _looked_up(heard: Sequence[Heard]) -> Expected:
    """Return the prediction after the last note, found by searching all notes before it."""
    lines: list[list[tuple[int, int, int]]] = [[] for _ in range(VOICES)]  # tick, key, when heard
    for when, (voice, tick, pitch) in enumerate(heard):
        lines[voice].append((tick, bisect_right(_WHITE, pitch) - 1, when))
    steps = [[Step(b[1] - a[1], b[0] - a[0], b[2]) for a, b in pairwise(line)] for line in lines]
    voice = heard[-1][0]
    now, key = steps[voice], lines[voice][-1][1]
    for confidence, (order, rhythm) in reversed(list(enumerate(_CONTEXTS, 1))):
        went_on = [
            line[at]
            for line in steps
            for at in range(order, len(line))
            if order <= len(now) and _alike(line[at - order : at], now[-order:], rhythm)
        ]
        if went_on:
            last = max(went_on, key=lambda step: step.heard)
            pitch = min(max(_WHITE[key + last.keys], LOWEST_PITCH), HIGHEST_PITCH)
            return Expected(confidence, last.keys, last.ticks, pitch)
    return _NOTHING


class Step(NamedTuple):
    keys: int
    ticks: int
    heard: int  # after how many notes


def _alike(one: Sequence[Step], other: Sequence[Step], rhythm: bool) -> bool:
    return all(
        a.keys == b.keys and (a.ticks == b.ticks or not rhythm)
        for a, b in zip(one, other, strict=True)
    )


@st.composite
def _notes(draw: st.DrawFn) -> list[Heard]:
    """Up to forty notes of few pitches and few rhythms, so that much is repeated."""
    pitches = draw(st.sampled_from([(60, 62), (60, 61, 64), (60, 62, 64, 65, 66), (21, 60, 108)]))
    waits = draw(st.sampled_from([(12,), (6, 12), (0, 6, 512)]))
    tick, notes = 0, []
    for _ in range(draw(st.integers(1, 40))):
        tick += draw(st.sampled_from(waits))
        notes.append((draw(st.integers(0, VOICES - 1)), tick, draw(st.sampled_from(pitches))))
    return notes


@given(notes=_notes())
def test_it_is_what_one_finds_by_looking_through_all_that_was_heard(notes: list[Heard]) -> None:
    assert _expected(notes) == [_looked_up(notes[: index + 1]) for index in range(len(notes))]


def test_a_long_piece_is_remembered_to_its_beginning() -> None:
    """Of more contexts than the table has room for at first; the first steps come again last."""
    rng = np.random.default_rng(0)
    theme = [108, 21, 100, 30, 99, 33]
    pitches = [*theme, *rng.integers(40, 80, 600).tolist(), *theme]
    after = _expected(_line(*pitches))
    assert after[-1] == _looked_up(_line(*pitches)) == Expected(5, *after[-1][1:])


@given(notes=_notes(), up=st.integers(-2, 2))
def test_octaves_and_beginnings_do_not_matter(notes: list[Heard], up: int) -> None:
    """A piece that is moved by octaves or begins later gives the same predictions, moved."""
    notes = [note for note in notes if 45 <= note[2] <= 84]
    moved = _expected((voice, tick + 100, pitch + 12 * up) for voice, tick, pitch in notes)
    for before, after in zip(_expected(notes), moved, strict=True):
        assert after[:3] == before[:3]
        assert after.pitch == (before.pitch + 12 * up if before.confidence else 0)
