"""Histograms of pitch classes, intervals, durations, positions, textures and motions.

Pitch is measured from the tonic, so that a transposition with its key changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from bicinium.music.descriptors.arrays import Floats, ScoreArrays
from bicinium.music.score import TICKS_PER_QUARTER, Score

SIXTEENTH_TICKS = TICKS_PER_QUARTER // 4
_MAX_INTERVAL = 13  # semitones; wider intervals are in one bin
_SIXTEENTHS = 24  # of a bar; the last bin holds what is later in a longer bar
_DURATION_TICKS = (1, 3, 4, 6, 8, 9, 12, 16, 18, 24, 36, 48, 72, 96, 97)  # lower edges
_DURATION_NAMES = (
    "<1/32", "1/32", "1/24", "1/16", "1/12", "1/16.", "1/8", "1/6", "1/8.", "1/4", "1/4.",
    "1/2", "1/2.", "1/1", ">1/1",
)  # fmt: skip
_INTERVAL_NAMES = ("P1", "m2", "M2", "m3", "M3", "P4", "TT", "P5", "m6", "M6", "m7", "M7")
_DEGREE_NAMES = ("1", "♭2", "2", "♭3", "3", "4", "♯4", "5", "♭6", "6", "♭7", "7")


def _counts(values: NDArray[np.integer], bins: int) -> Floats:
    return np.bincount(values, minlength=bins).astype(np.float64)


def pitch_classes(arrays: ScoreArrays) -> Floats:
    """Return (12,) the notes of each pitch class above the tonic."""
    pitches = np.concatenate([line.pitch for line in arrays.lines])
    return _counts((pitches - arrays.key.tonic) % 12, 12)


def melodic_intervals(arrays: ScoreArrays) -> Floats:
    """Return (27,) the intervals from a note to the next of its voice, from an octave down to an
    octave up. The first and the last bin hold wider intervals. Rests are ignored.
    """
    steps = np.concatenate([line.intervals for line in arrays.lines])
    clipped = np.clip(steps, -_MAX_INTERVAL, _MAX_INTERVAL) + _MAX_INTERVAL
    return _counts(clipped, 2 * _MAX_INTERVAL + 1)


def durations(arrays: ScoreArrays) -> Floats:
    """Return (15,) the notes of each duration, rounded down to a note value."""
    ticks = np.concatenate([line.duration for line in arrays.lines])
    return _counts(np.searchsorted(_DURATION_TICKS, ticks, side="right") - 1, len(_DURATION_TICKS))


def onset_positions(arrays: ScoreArrays) -> Floats:
    """Return (24,) the notes that begin in each sixteenth of the bar."""
    onsets = np.concatenate([line.onset for line in arrays.lines])
    position = onsets % arrays.bar_ticks // SIXTEENTH_TICKS
    return _counts(np.minimum(position, _SIXTEENTHS - 1), _SIXTEENTHS)


def harmonic_intervals(arrays: ScoreArrays) -> Floats:
    """Return (12,) the attacks with each interval class between the voices."""
    upper, lower, _ = arrays.dyads
    return _counts(np.abs(upper - lower) % 12, 12)


def textures(arrays: ScoreArrays) -> Floats:
    """Return (3,) the ticks in which both voices sound, one, none, from the first note on."""
    first = int(arrays.attacks.min(initial=arrays.end_tick))
    voices = (arrays.grid[:, first : arrays.end_tick] > 0).sum(axis=0)
    counts = _counts(2 - voices, 3)
    counts[2] += arrays.end_tick - first - len(voices)  # silence after the last bar with notes
    return counts


def motions(arrays: ScoreArrays) -> Floats:
    """Return (4,) the moves from an attack to the next, by the motion of the voices.

    Contrary; similar; parallel (in one direction by the same interval, or by a semitone more or
    less, as from a major to a minor third); oblique (one voice stays).
    """
    upper, lower, _ = arrays.dyads
    up, down = np.diff(upper), np.diff(lower)
    same_direction = up * down > 0
    parallel = same_direction & (np.abs(up - down) <= 1)
    counts = (up * down < 0, same_direction & ~parallel, parallel, (up == 0) != (down == 0))
    return np.array([count.sum() for count in counts], np.float64)


HISTOGRAMS: dict[str, Callable[[ScoreArrays], Floats]] = {
    "pitch_class": pitch_classes,
    "melodic_interval": melodic_intervals,
    "duration": durations,
    "onset_position": onset_positions,
    "harmonic_interval": harmonic_intervals,
    "texture": textures,
    "motion": motions,
}


def histogram(score: Score, name: str) -> Floats:
    """Return one of ``HISTOGRAMS`` of a score; ``BINS`` names its bins."""
    return HISTOGRAMS[name](ScoreArrays(score))


BINS: dict[str, tuple[str, ...]] = {
    "pitch_class": _DEGREE_NAMES,
    "melodic_interval": (
        "<-12", *(f"{n:+d}" if n else "0" for n in range(1 - _MAX_INTERVAL, _MAX_INTERVAL)), ">+12",
    ),
    "duration": _DURATION_NAMES,
    "onset_position": tuple(str(sixteenth + 1) for sixteenth in range(_SIXTEENTHS)),
    "harmonic_interval": _INTERVAL_NAMES,
    "texture": ("both", "one", "none"),
    "motion": ("contrary", "similar", "parallel", "oblique"),
}  # fmt: skip
