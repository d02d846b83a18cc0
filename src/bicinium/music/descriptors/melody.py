"""Descriptors of each voice by itself: range, intervals, turns."""

from __future__ import annotations

import math

import numpy as np

from bicinium.music.descriptors.arrays import Bools, Integers, ScoreArrays, mean

# ------------------------------------------------------------------ for the critic


def pitch_and_melody(arrays: ScoreArrays) -> dict[str, float]:
    """Return how high and how wide each voice lies, how it moves, and how far the voices are."""
    found: dict[str, float] = {}
    for name, line in zip(("upper", "lower"), arrays.lines, strict=True):
        pitch = line.pitch
        sizes = np.abs(line.intervals)
        found |= {
            f"pitch/{name}_mean": mean(pitch),
            f"pitch/{name}_spread": float(pitch.std()) if pitch.size else math.nan,
            f"pitch/{name}_range": float(np.ptp(pitch)) if pitch.size else math.nan,
            f"pitch/{name}_distinct": len(np.unique(pitch)) / max(1, pitch.size),
            f"melody/{name}_repeats": mean(sizes == 0),
            f"melody/{name}_steps": mean(is_step(sizes)),
            f"melody/{name}_thirds": mean((sizes == 3) | (sizes == 4)),
            f"melody/{name}_leaps": mean(sizes > 7),
            f"melody/{name}_turns": mean(_turns(pitch)),
        }
    upper, lower, _ = arrays.dyads
    return found | {
        "pitch/distance": mean(upper - lower),
        "pitch/distance_spread": float((upper - lower).std()) if upper.size else math.nan,
    }


def is_step(sizes: Integers) -> Bools:
    """Return which intervals are steps: one or two semitones."""
    return np.asarray((sizes == 1) | (sizes == 2))


def _turns(pitch: Integers) -> Bools:
    """Return, for each two consecutive moves, whether the second goes the other way."""
    steps = np.diff(pitch)
    steps = steps[steps != 0]
    return np.asarray(np.sign(steps[1:]) != np.sign(steps[:-1]))


# ------------------------------------------------------------------ for quality


def leap_size(arrays: ScoreArrays) -> float:
    """Mean size in semitones of the upper voice's intervals (Huron 2001: pitch proximity)."""
    return mean(np.abs(arrays.lines[0].intervals))


def lower_leap_size(arrays: ScoreArrays) -> float:
    """The same of the lower voice, which leaps more."""
    return mean(np.abs(arrays.lines[1].intervals))


def stepwise(arrays: ScoreArrays) -> float:
    """Share of intervals of one or two semitones (Vos & Troost 1989: steps prevail)."""
    return mean(is_step(np.abs(np.concatenate([line.intervals for line in arrays.lines]))))


def repeated_notes(arrays: ScoreArrays) -> float:
    """Share of notes that repeat the one before."""
    return mean(np.concatenate([line.intervals for line in arrays.lines]) == 0)


def turn_after_leap(arrays: ScoreArrays) -> float:
    """Share of leaps over five semitones after which the line turns (Meyer 1956: gap and fill)."""
    turns = []
    for line in arrays.lines:
        first, second = line.intervals[:-1], line.intervals[1:]
        leap = np.abs(first) > 5
        turns.append((np.sign(second) == -np.sign(first))[leap])
    return mean(np.concatenate(turns))


def melodic_order(arrays: ScoreArrays) -> float:
    """How much closer successive notes are than any two notes of the line.

    1 - mean interval / mean distance of all pairs (von Hippel 2000: proximity beyond range).
    """
    ratios = []
    for line in arrays.lines:
        pitches = np.sort(line.pitch)
        count = len(pitches)
        any_two = float((2 * np.arange(count) - count + 1) @ pitches) / (count * (count - 1) / 2)
        if any_two > 0:
            ratios.append(1 - float(np.abs(line.intervals).mean()) / any_two)
    return float(np.mean(ratios)) if ratios else 0.0
