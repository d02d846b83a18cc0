"""Descriptors of key, intervals between the voices, counterpoint, and the fit of the voices."""

from __future__ import annotations

import math

import numpy as np

from bicinium.music import counterpoint
from bicinium.music.counterpoint import IS_CONSONANT
from bicinium.music.descriptors.arrays import Floats, ScoreArrays, entropy, key_of, mean, shares
from bicinium.music.descriptors.histograms import (
    BINS,
    HISTOGRAMS,
    harmonic_intervals,
    pitch_classes,
)
from bicinium.music.key import KEY_PROFILES
from bicinium.music.score import Score

_HAND_SPAN, _OCTAVE = 16, 12  # semitones that a hand reaches; beyond which a leap is wide
# How consonant listeners find each interval class: Huron 1994, Interval-Class Content, table 2.
_CONSONANCE_RATINGS = np.array([0.0, -1.428, -0.582, 0.594, 0.386, 1.240, -0.453])
_CONSONANCE = _CONSONANCE_RATINGS[np.minimum(np.arange(12), 12 - np.arange(12))]

# ------------------------------------------------------------------ for the critic


def degrees_and_intervals(arrays: ScoreArrays) -> dict[str, float]:
    """Return shares of degrees of the scale, intervals between the voices, motions, textures."""
    degrees, intervals = shares(pitch_classes(arrays)), shares(harmonic_intervals(arrays))
    minor = arrays.key.mode == "minor"
    found = {
        "degree/tonic": degrees[0],
        "degree/third": degrees[3 if minor else 4],
        "degree/fifth": degrees[7],
        "degree/leading_note": degrees[11],
        "degree/entropy": entropy(degrees),
        "interval/octave": intervals[0],
        "interval/fourth_or_fifth": intervals[5] + intervals[7],
        "interval/third_or_sixth": intervals[[3, 4, 8, 9]].sum(),
        "interval/second_or_seventh": intervals[[1, 2, 10, 11]].sum(),
        "interval/tritone": intervals[6],
    }
    for name in ("motion", "texture"):
        kinds = shares(HISTOGRAMS[name](arrays))
        found |= {f"{name}/{kind}": share for kind, share in zip(BINS[name], kinds, strict=True)}
    return {name: float(value) for name, value in found.items()}


def counterpoint_counts(score: Score) -> dict[str, int]:
    """Return how often each event of counterpoint happens (``music.counterpoint`` defines them)."""
    key = key_of(score)
    parallels = counterpoint.parallels(score)
    return {
        "parallel_octaves": sum(one.interval == "octave" for one in parallels),
        "parallel_fifths": sum(one.interval == "fifth" for one in parallels),
        "crossings": len(counterpoint.voice_crossings(score)),
        "strong_dissonances": len(counterpoint.strong_beat_dissonances(score)),
        "leaps_over_an_octave": len(counterpoint.large_leaps(score, _OCTAVE)),
        "spans_over_a_tenth": len(counterpoint.wide_hand_spans(score, _HAND_SPAN)),
        "outside_the_scale": len(counterpoint.notes_outside_key(score, key)),
    }


# ------------------------------------------------------------------ for quality: key


def key_clarity(arrays: ScoreArrays) -> float:
    """Correlation of the pitch classes with the key's profile (Krumhansl 1990, chapter 4)."""
    return _best_correlation(arrays.pitch_classes.sum(axis=0)[None])


def local_key_clarity(arrays: ScoreArrays) -> float:
    """The same over every two bars: music is in some key at every moment."""
    counts = arrays.pitch_classes
    pairs = counts[:-1] + counts[1:] if len(counts) > 1 else counts
    return _best_correlation(pairs[pairs.sum(axis=1) > 0])


def _best_correlation(counts: Floats) -> float:
    """Mean over the rows of (N, 12) counts of the best correlation with a key's profile."""
    centred = counts - counts.mean(axis=1, keepdims=True)
    norms = np.maximum(np.linalg.norm(centred, axis=1), 1e-9)
    return float(((KEY_PROFILES @ centred.T).max(axis=0) / norms).mean())


# ------------------------------------------------------------------ for quality: two voices
#
# Intervals are measured from the lower voice up, so that a fifth with the voices crossed counts as
# a fourth. The weights of quality and critic were fitted so.


def consonance(arrays: ScoreArrays) -> float:
    """Share of consonances between the voices on beats (Fux 1725; Jeppesen 1939)."""
    upper, lower, tick = arrays.dyads
    strong = tick % arrays.meter.beat_ticks == 0
    return mean(IS_CONSONANT[(upper - lower)[strong] % 12])


def dyads(arrays: ScoreArrays) -> float:
    """Mean consonance of the intervals between the voices as listeners rate it (Huron 1994)."""
    upper, lower, _ = arrays.dyads
    return mean(_CONSONANCE[(upper - lower) % 12])


def fit_of_voices(arrays: ScoreArrays) -> float:
    """How much more consonant the voices are than if the lower came some bars later.

    A piece is compared with itself shifted: what is left is that the voices belong together.
    """
    return _diagonal_gain(*_by_bars(arrays, IS_CONSONANT.astype(float)))


def fit_of_dyads(arrays: ScoreArrays) -> float:
    """The same with consonance as listeners rate it."""
    return _diagonal_gain(*_by_bars(arrays, _CONSONANCE))


def _by_bars(arrays: ScoreArrays, values: Floats) -> tuple[Floats, Floats]:
    """Return (bars, bars) the sums of the values of the intervals of upper bar i with lower bar j,
    and how many intervals there are.
    """
    upper, lower = arrays.slots
    intervals = values[(np.arange(12)[:, None] - np.arange(12)[None, :]) % 12]
    shape = (arrays.bars, upper.shape[1] * 12)
    sounds_upper, sounds_lower = (upper > 0).astype(float), (lower > 0).astype(float)
    one_hot_upper = np.eye(12)[upper % 12] * sounds_upper[..., None]
    one_hot_lower = np.eye(12)[lower % 12] * sounds_lower[..., None]
    consonant = (one_hot_upper @ intervals).reshape(shape) @ one_hot_lower.reshape(shape).T
    return consonant, sounds_upper @ sounds_lower.T


def _diagonal_gain(hits: Floats, chances: Floats) -> float:
    """Share of hits on the diagonal less the share off it."""
    on = float(np.trace(chances))
    off = float(chances.sum()) - on
    if on < 1 or off < 1:
        return math.nan
    return float(np.trace(hits)) / on - (float(hits.sum()) - float(np.trace(hits))) / off


def pitch_class_fit(arrays: ScoreArrays) -> float:
    """Do the voices share pitch classes in a bar, more than with the other's bars elsewhere?"""
    counts = np.zeros((2, arrays.bars, 12))
    for voice in (0, 1):
        row = arrays.grid[voice]
        sounds = np.flatnonzero(row > 0)
        np.add.at(counts[voice], (sounds // arrays.bar_ticks, row[sounds] % 12), 1.0)
    norms = np.linalg.norm(counts, axis=2, keepdims=True)
    upper, lower = counts / np.maximum(norms, 1e-9)
    chances = (norms[0] > 0).astype(float) @ (norms[1] > 0).astype(float).T
    return _diagonal_gain(upper @ lower.T, chances)


def rhythm_fit(arrays: ScoreArrays) -> float:
    """Do the voices begin notes together (or in turn) more than shifted against each other?"""
    upper, lower = arrays.onsets
    counts = upper.sum(axis=1)[:, None] * lower.sum(axis=1)[None, :]
    return _diagonal_gain(upper @ lower.T, np.sqrt(counts))


def activity_fit(arrays: ScoreArrays) -> float:
    """Correlation of the numbers of notes of the two voices in each bar."""
    upper, lower = arrays.onsets.sum(axis=2)
    if arrays.bars < 3 or upper.std() < 1e-9 or lower.std() < 1e-9:
        return math.nan
    return float(np.corrcoef(upper, lower)[0, 1])


def parallel_share(arrays: ScoreArrays) -> float:
    """Share of moves of both voices, from attack to attack, that are parallel fifths or octaves.

    The oldest prohibition of counterpoint (Fux 1725; Huron 2001 for why it holds).
    """
    upper, lower, _ = arrays.dyads
    interval, up, down = (upper - lower) % 12, np.diff(upper), np.diff(lower)
    parallel = counterpoint.are_parallel_moves(interval[:-1], interval[1:], up, down)
    return mean(parallel[(up != 0) & (down != 0)])


def contrary_motion(arrays: ScoreArrays) -> float:
    """Share of moves of both voices that go in opposite directions (Fux 1725)."""
    upper, lower, _ = arrays.dyads
    up, down = np.sign(np.diff(upper)), np.sign(np.diff(lower))
    moves = (up != 0) & (down != 0)
    return mean((up != down)[moves])


def crossing(arrays: ScoreArrays) -> float:
    """Share of attacks at which the upper voice lies below the lower (Huron 1991, Bach)."""
    upper, lower, _ = arrays.dyads
    return mean(upper < lower)


def dissonance_by_step(arrays: ScoreArrays) -> float:
    """Share of dissonances that one of the voices leaves by step or by staying (Jeppesen 1939)."""
    upper, lower, _ = arrays.dyads
    dissonant = ~IS_CONSONANT[(upper - lower) % 12][:-1]
    gentle = (np.abs(np.diff(upper)) <= 2) & (np.abs(np.diff(lower)) <= 2)
    return mean(gentle[dissonant])
