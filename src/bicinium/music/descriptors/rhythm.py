"""Descriptors of rhythm: durations, positions in the bar, and how the voices share the time."""

from __future__ import annotations

import math
from functools import lru_cache
from itertools import pairwise

import numpy as np

from bicinium.music.descriptors.arrays import (
    Floats,
    Integers,
    ScoreArrays,
    entropy,
    mean,
    mean_of,
    shares,
)
from bicinium.music.descriptors.histograms import SIXTEENTH_TICKS
from bicinium.music.score import TICKS_PER_QUARTER, Meter

# ------------------------------------------------------------------ for the critic


def rhythm_and_velocity(arrays: ScoreArrays) -> dict[str, float]:
    """Return how long notes are, where they begin, how many there are, and how velocity varies."""
    found: dict[str, float] = {}
    quarters = (arrays.score.end_tick - arrays.score.start_tick) / TICKS_PER_QUARTER
    bar_ticks, beat_ticks = arrays.bar_ticks, arrays.meter.beat_ticks
    for name, line in zip(("upper", "lower"), arrays.lines, strict=True):
        onset, duration = line.onset, line.duration
        gaps = onset[1:] - (onset + duration)[:-1]
        found |= {
            f"rhythm/{name}_notes_a_quarter": len(onset) / max(1.0, quarters),
            f"rhythm/{name}_length": mean(np.log2(np.maximum(duration, 1))),
            f"rhythm/{name}_same_length": mean(np.diff(duration) == 0),
            f"rhythm/{name}_lengths_entropy": _entropy_of_values(duration),
            f"rhythm/{name}_last_length": float(duration[-1]) if duration.size else math.nan,
            f"rhythm/{name}_rests": mean(gaps > 0),
            f"rhythm/{name}_on_beat": mean(onset % beat_ticks == 0),
            f"rhythm/{name}_off_sixteenths": mean(onset % SIXTEENTH_TICKS != 0),
            f"rhythm/{name}_over_barlines": mean(
                onset // bar_ticks != (onset + duration - 1) // bar_ticks
            ),
        }
    velocity = _velocities(arrays)
    return found | {
        "rhythm/together": onset_synchrony(arrays),
        "rhythm/begins_late": float(arrays.attacks.min(initial=0)) / bar_ticks,
        "rhythm/bars_alike": _same_neighbours(arrays),
        "velocity/changes": mean(np.diff(velocity) != 0),
        "velocity/spread": float(velocity.std()) if velocity.size else math.nan,
    }


def _entropy_of_values(values: Integers) -> float:
    return entropy(shares(np.unique(values, return_counts=True)[1].astype(np.float64)))


def _velocities(arrays: ScoreArrays) -> Integers:
    """Return the velocities of all notes, in the order of their onsets."""
    onset = np.concatenate([line.onset for line in arrays.lines])
    velocity = np.concatenate([line.velocity for line in arrays.lines])
    return velocity[np.argsort(onset, kind="stable")]


def _same_neighbours(arrays: ScoreArrays) -> float:
    """Return the share of neighbouring bars with the same rhythm in both voices."""
    bars = np.zeros((arrays.end_tick // arrays.bar_ticks, 2, arrays.bar_ticks))
    count = min(len(bars), arrays.bars)
    bars[:count] = arrays.onsets.transpose(1, 0, 2)[:count]
    return mean_of([bool((one == other).all()) for one, other in pairwise(bars)])


# ------------------------------------------------------------------ for quality


def both_sound(arrays: ScoreArrays) -> float:
    """Share of the time in which both voices sound, of that in which either does.

    Two voices that take turns are one (Huron 1989, Voice Denumerability in Polyphonic Music).
    """
    sounds = arrays.grid > 0
    both, either = sounds[0] & sounds[1], sounds[0] | sounds[1]
    return mean(both[either])


def onset_synchrony(arrays: ScoreArrays) -> float:
    """Share of attacks that both voices make together (Huron 1993, Onset Asynchrony)."""
    both = np.intersect1d(arrays.lines[0].onset, arrays.lines[1].onset)
    return len(both) / max(1, len(arrays.attacks))


def metrical_fit(arrays: ScoreArrays) -> float:
    """Mean metrical weight of the onsets: 0 at a downbeat, -1 for each level below.

    Weights of positions after Longuet-Higgins & Lee 1984; that onsets follow them, Palmer &
    Krumhansl 1990.
    """
    weights = metrical_weights(arrays.meter)
    return mean(np.concatenate([weights[line.onset % arrays.bar_ticks] for line in arrays.lines]))


@lru_cache(maxsize=64)
def metrical_weights(meter: Meter) -> Floats:
    """Return (ticks of a bar) 0 at the downbeat, -1 at beats, -2 at their halves, and so on."""
    weights = np.full(meter.bar_ticks, -5.0)
    for weight, every in ((-4, 3), (-3, 6), (-2, 12), (-1, meter.beat_ticks)):
        weights[::every] = weight
    weights[0] = 0
    return weights


def note_lengths(arrays: ScoreArrays) -> float:
    """Entropy in bits of note lengths; music has few (Temperley 2007, Music and Probability)."""
    return _entropy_of_values(np.concatenate([line.duration for line in arrays.lines]))
