"""Snapping to the grid, and quantising recordings."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from bicinium.formats.grid import GridCount, quantize, to_grid
from bicinium.music.content import Content, Staff
from bicinium.music.losses import LossKind
from bicinium.music.score import Meter, Note


def content(notes: list[tuple[int, int, int]], off_grid: int) -> Content:
    line = tuple(Note(onset, pitch, ticks) for onset, pitch, ticks in notes)
    return Content((Staff("", line),), ((0, Meter(4, 4)),), None, 120, 0, off_grid, 0, 0)


@pytest.mark.parametrize(("division", "end"), [(480, 479), (120, 119), (960, 959), (96, 95)])
def test_a_note_that_ends_one_tick_early_is_snapped_and_counted(division: int, end: int) -> None:
    count = GridCount()
    ticks = to_grid(np.array([[0], [end]]), division, count)
    assert ticks.tolist() == [[0], [24]]
    assert (count.snapped, count.off_grid) == (1, 0)
    assert count.longest_move == Fraction(1, division)


@pytest.mark.parametrize("division", [100, 256])
def test_rounded_triplets_are_snapped(division: int) -> None:
    edges = [round(i * division / 3) for i in range(13)]
    count = GridCount()
    ticks = to_grid(np.array([edges[:-1], edges[1:]]), division, count)
    assert ticks[0].tolist() == list(range(0, 96, 8))
    assert count.off_grid == 0


def test_a_note_that_ends_a_tick_before_a_rounded_onset_is_snapped() -> None:
    """At 120 ticks a quarter note, triplet sixteenths begin at 0, 20, 39 and 60."""
    count = GridCount()
    ticks = to_grid(np.array([[0, 20, 39, 60], [19, 38, 59, 79]]), 120, count)
    assert ticks.tolist() == [[0, 4, 8, 12], [4, 8, 12, 16]]
    assert (count.snapped, count.off_grid) == (4, 0)


@pytest.mark.parametrize("division", [100, 480, 960])
def test_quintuplets_and_recordings_are_off_the_grid(division: int) -> None:
    count = GridCount()
    to_grid(np.array([[0, division // 5 * 2], [division // 5 * 2, division]]), division, count)
    assert count.off_grid == 2


def test_a_recording_becomes_quarters_and_this_is_said() -> None:
    played = [(0, 60, 21), (25, 62, 22), (47, 64, 23), (73, 65, 20)]
    quantized = quantize(content(played, off_grid=4))
    notes = [(n.onset_tick, n.pitch, n.duration_ticks) for n in quantized.staves[0].notes]
    assert notes == [(0, 60, 24), (24, 62, 24), (48, 64, 24), (72, 65, 24)]
    assert [(loss.kind, loss.count) for loss in quantized.losses] == [(LossKind.QUANTIZED, 4)]


def test_triplets_and_sixteenths_of_a_recording_stay_what_they_are() -> None:
    played = [
        (1, 60, 7),
        (9, 62, 7),
        (15, 64, 8),
        (24, 65, 6),
        (31, 67, 5),
        (36, 69, 6),
        (43, 71, 5),
    ]
    quantized = quantize(content(played, off_grid=7))
    onsets = [note.onset_tick for note in quantized.staves[0].notes]
    assert onsets == [0, 8, 16, 24, 30, 36, 42]


def test_exact_music_is_left_alone() -> None:
    exact = content([(0, 60, 3), (3, 62, 3), (6, 64, 2), (8, 65, 16)], off_grid=0)
    assert quantize(exact) is exact
