"""Descriptors that compare neighbouring bars with any two bars of the piece.

Music has an order, and these see it whatever the style.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from bicinium.music.descriptors.arrays import Floats, Integers, ScoreArrays, mean_of

_MIN_PAIRS = 3  # A mean over fewer neighbours says nothing.


def rhythm_continuity(arrays: ScoreArrays) -> float:
    """Are neighbouring bars alike in rhythm, more than any two bars of the piece?

    Rhythmic patterns group by parallelism (Lerdahl & Jackendoff 1983, GPR 6).
    """
    return float(np.mean([_neighbour_similarity(voice) for voice in arrays.onsets]))


def harmonic_continuity(arrays: ScoreArrays) -> float:
    """Are neighbouring bars nearer in their pitch classes than any two bars?

    Harmony moves step by step through related chords and keys (Lerdahl 2001, Tonal Pitch Space).
    """
    return _neighbour_similarity(arrays.pitch_classes)


def _neighbour_similarity(bars: Floats) -> float:
    """How much more alike rows i and i + 1 of (bars, F) are than any two rows, by their cosine."""
    norms = np.linalg.norm(bars, axis=1)
    rows = bars[norms > 0] / norms[norms > 0, None]
    if len(rows) < _MIN_PAIRS:
        return float("nan")
    neighbours = (rows[:-1] * rows[1:]).sum(axis=1)
    total = rows.sum(axis=0)
    count = len(rows)
    any_two = (float(total @ total) - count) / (count * (count - 1))
    return (float(neighbours.mean()) - any_two) / max(0.05, 1 - any_two)


def across_barlines(arrays: ScoreArrays) -> float:
    """Do the lines continue over the barlines, nearer than from any bar's end to any bar's start?

    Proximity (Huron 2001), which shuffled bars lack.
    """
    ratios = []
    for distances in _barline_distances(arrays, (0, 1)):
        any_two = float(distances.mean())
        if any_two > 0:
            ratios.append(1 - float(np.diag(distances).mean()) / any_two)
    return mean_of(ratios)


def steps_across_barlines(arrays: ScoreArrays) -> float:
    """Share of steps over barlines, above that between any bar's end and any bar's start."""
    gains = []
    for distances in _barline_distances(arrays, (0, 1)):
        near = distances <= 2
        gains.append(float(np.diag(near).mean()) - float(near.mean()))
    return mean_of(gains)


def bass_across_barlines(arrays: ScoreArrays) -> float:
    """Share of bass steps, fourths and fifths over barlines, minus the share expected by chance.

    By chance: between the end of any bar and the start of any bar. Such steps lead from harmony to
    harmony (Rameau 1722; Tymoczko 2011).
    """
    gains = []
    for distances in _barline_distances(arrays, (1,)):
        leads = np.isin(distances, (1, 2, 5, 7))
        gains.append(float(np.diag(leads).mean()) - float(leads.mean()))
    return mean_of(gains)


def _barline_distances(arrays: ScoreArrays, voices: tuple[int, ...]) -> Iterator[Integers]:
    """Yield for each voice a matrix (barlines, barlines) of distances in semitones.

    Rows: the last note before a barline. Columns: the first note after a barline.
    """
    for voice in voices:
        line = arrays.lines[voice]
        new = np.flatnonzero(np.diff(line.onset // arrays.bar_ticks) == 1)
        if len(new) >= _MIN_PAIRS:
            yield np.abs(line.pitch[new][:, None] - line.pitch[new + 1][None, :])


def density_continuity(arrays: ScoreArrays) -> float:
    """Do neighbouring bars have as many notes, more than any two bars?"""
    return _mean_continuity(list(arrays.onsets.sum(axis=2)))


def register_continuity(arrays: ScoreArrays) -> float:
    """Do neighbouring bars lie at the same height, more than any two bars?"""
    heights = []
    for line in arrays.lines:
        bar = line.onset // arrays.bar_ticks
        counts = np.bincount(bar, minlength=arrays.bars)
        sums = np.bincount(bar, line.pitch, minlength=arrays.bars)
        heights.append((sums / np.maximum(counts, 1))[counts > 0])
    return _mean_continuity(heights)


def _mean_continuity(voices: list[Floats]) -> float:
    """1 - mean change from a bar to the next / mean difference of any two bars, over the voices."""
    gains = []
    for values in voices:
        spread = float(np.abs(values[:, None] - values[None, :]).mean())
        if len(values) >= _MIN_PAIRS and spread > 0:
            gains.append(1 - float(np.abs(np.diff(values)).mean()) / spread)
    return mean_of(gains)
