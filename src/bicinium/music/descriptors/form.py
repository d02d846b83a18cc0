"""Descriptors of form: phrases, endings, motifs, and bars that return."""

from __future__ import annotations

import math

import numpy as np

from bicinium.music import counterpoint
from bicinium.music.descriptors.arrays import (
    Bools,
    Integers,
    Line,
    ScoreArrays,
    key_of,
    lines,
    mean,
    mean_of,
)
from bicinium.music.descriptors.rhythm import metrical_weights
from bicinium.music.key import estimate_key
from bicinium.music.score import NoteArray, Score

PHRASE_BARS = 4
LAGS = (1, 2, 4, 8)  # bars between two bars that are compared
BINARY_MEASURES = {  # the phrase measures that are 1 or 0, not shares
    "ends_on_tonic": "pieces whose lower voice ends on the tonic",
    "from_dominant": "of these, pieces that come to it from the dominant",
}
_ONSET, _PITCH, _DURATION = range(3)  # rows of a NoteArray

# ------------------------------------------------------------------ for the critic


def phrase_measures(score: Score) -> dict[str, float]:
    """Return how the piece and its phrases of four bars close; NaN without four full bars.

    ``ends_on_tonic``: 1 if the last note of the lower voice is the tonic, else 0.
    ``from_dominant``: 1 if the lower voice comes to it from the dominant, NaN if it ends elsewhere.
    ``phrases_end_long``: share of phrases whose last note in the upper voice is longer than their
    notes are on average. ``phrases_thin_out``: share of phrases in whose last bar fewer notes begin
    than in the three bars before on average.
    """
    upper, lower = lines(score)
    key = key_of(score)
    ends = float(lower[_PITCH, -1] % 12 == key.tonic) if lower.shape[1] else 0.0
    bar_ticks = score.meter.bar_ticks
    first = 1 if score.anacrusis_ticks else 0
    starts = (first + np.arange(0, score.bars - first - PHRASE_BARS + 1, PHRASE_BARS)) * bar_ticks
    long, thin = [], []
    for start in starts.tolist():
        end = start + PHRASE_BARS * bar_ticks
        own = upper[:, _between(upper, start, end)]
        if own.shape[1] > 1:
            long.append(own[_DURATION, -1] > own[_DURATION].mean())
        begun, last = (
            sum(int(_between(line, *span).sum()) for line in (upper, lower))
            for span in ((start, end - bar_ticks), (end - bar_ticks, end))
        )
        thin.append(last * (PHRASE_BARS - 1) < begun)
    return {
        "ends_on_tonic": ends,
        "from_dominant": float(counterpoint.has_authentic_bass(score, key)) if ends else math.nan,
        "phrases_end_long": mean_of(long),
        "phrases_thin_out": mean_of(thin),
    }


def _between(line: NoteArray, start: int, end: int) -> Bools:
    return np.asarray((line[_ONSET] >= start) & (line[_ONSET] < end))


def self_similarity(score: Score) -> dict[str, float]:
    """Return how similar bars at distances of 1, 2, 4 and 8 are, in [0, 1]; NaN without pairs.

    ``rhythm_recurs_4``: of the onsets in a bar of one voice and in the bar four later, the share
    that both have. ``melody_recurs_4``: the share that both have at the same transposition, the one
    that most of them agree on. Means over the voices and all pairs of bars in which a note begins.
    """
    bars = [_pitches_by_bar(line, score) for line in lines(score)]
    found: dict[str, float] = {}
    for lag in LAGS:
        alike = [_similarities(voice[:-lag], voice[lag:]) for voice in bars if len(voice) > lag]
        rhythm = [value for pair in alike for value in pair[0]]
        melody = [value for pair in alike for value in pair[1]]
        found |= {f"rhythm_recurs_{lag}": mean_of(rhythm), f"melody_recurs_{lag}": mean_of(melody)}
    return found


def _pitches_by_bar(line: NoteArray, score: Score) -> Integers:
    """Return (bars, ticks of a bar) the pitch that begins at each tick, or 0."""
    begun = np.zeros(score.end_tick, np.int64)
    begun[line[_ONSET]] = line[_PITCH]
    return begun.reshape(score.bars, -1)


def _similarities(earlier: Integers, later: Integers) -> tuple[list[float], list[float]]:
    """Return the similarity in rhythm and in melody of each pair of rows with an onset."""
    rhythm, melody = [], []
    for one, other in zip(earlier, later, strict=True):
        either = int(((one > 0) | (other > 0)).sum())
        if not either:
            continue
        both = (one > 0) & (other > 0)
        moved = np.unique(other[both] - one[both], return_counts=True)[1]
        rhythm.append(float(both.sum()) / either)
        melody.append(float(moved.max(initial=0)) / either)
    return rhythm, melody


# ------------------------------------------------------------------ for quality: endings


def final_tonic(arrays: ScoreArrays) -> float:
    """1 if the bass ends on the estimated tonic, ½ on its fifth (Aldwell & Schachter)."""
    bass = int(arrays.lines[1].pitch[-1])
    tonic = estimate_key(arrays.pitch_classes.sum(axis=0).tolist()).tonic
    return {0: 1.0, 7: 0.5}.get((bass - tonic) % 12, 0.0)


def final_length(arrays: ScoreArrays) -> float:
    """Log₂ of the last notes' length over the mean (Lerdahl & Jackendoff 1983: closing length)."""
    ratios = [np.log2(line.duration[-1] / line.duration.mean()) for line in arrays.lines]
    return float(np.mean(ratios))


def final_weight(arrays: ScoreArrays) -> float:
    """Metrical weight of the last attack: phrases end on strong beats."""
    return float(metrical_weights(arrays.meter)[int(arrays.attacks[-1]) % arrays.bar_ticks])


# ------------------------------------------------------------------ for quality: repetition


def motif_recurrence(arrays: ScoreArrays) -> float:
    """Share of figures (intervals and lengths of four notes) that return, at any height.

    Music is made of motifs (Schoenberg 1967; Meredith et al. 2002 find them this way).
    """
    return float(np.mean([mean(_recurring(line)) for line in arrays.lines]))


def _recurring(line: Line) -> Bools:
    """Return, for each figure of four notes, whether the line has it more than once."""
    if len(line.pitch) < 6:
        return np.zeros(0, np.bool_)
    steps, gaps = line.intervals, np.minimum(np.diff(line.onset), 511)
    figure = np.zeros(len(steps) - 2, np.int64)
    for start in range(3):
        stop = len(steps) - 2 + start
        figure = (figure * 256 + steps[start:stop] + 128) * 512 + gaps[start:stop]
    _, index, counts = np.unique(figure, return_inverse=True, return_counts=True)
    return np.asarray(counts[index] > 1)


def sequence(arrays: ScoreArrays) -> float:
    """Share of bars with the contour and rhythm of the bar before, above chance (sequences)."""
    gains = []
    for line in arrays.lines:
        shapes = _bar_shapes(arrays, line)
        if len(shapes) < 3:
            continue
        _, index, counts = np.unique(shapes, return_inverse=True, return_counts=True)
        near = float((index[1:] == index[:-1]).mean())
        count = len(index)
        gains.append(near - float((counts * (counts - 1)).sum()) / (count * (count - 1)))
    return mean_of(gains)


def _bar_shapes(arrays: ScoreArrays, line: Line) -> Integers:
    """Return a hash for each bar with notes: the same for the same rhythm and contour."""
    bars = line.onset // arrays.bar_ticks
    first = np.flatnonzero(np.diff(bars, prepend=-1))
    from_first = line.pitch - np.repeat(line.pitch[first], np.diff(np.append(first, len(bars))))
    mixed = (from_first + 128) * 4096 + line.onset % arrays.bar_ticks
    hashed = mixed * np.int64(0x9E3779B97F4A7C15 - 2**64)
    hashed ^= hashed >> 29
    return np.add.reduceat(hashed, first)


def repeated_bars(arrays: ScoreArrays) -> float:
    """Share of bars equal to an earlier one in both voices (of a loop: nearly all)."""
    shape = (2, arrays.bars, arrays.bar_ticks)
    bars = arrays.grid.reshape(shape).transpose(1, 0, 2).reshape(arrays.bars, -1)
    begun = arrays.onsets.transpose(1, 0, 2).reshape(arrays.bars, -1)
    marked = bars * 2 + begun.astype(np.int64)
    factors = np.arange(1, marked.shape[1] + 1, dtype=np.int64) * np.int64(0x5851F42D4C957F2D)
    hashes = (marked * (factors ^ (factors >> 31))).sum(axis=1)
    return 1 - len(np.unique(hashes)) / arrays.bars
