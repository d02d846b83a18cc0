"""What a piece of two voices is like: histograms of what happens in it, and numbers about it.

Everything here is a function of one ``Score``, whoever wrote it, so that real music, this program's
and a baseline's are measured alike. Pitch is measured from the tonic: but for the heights in
``features``, nothing changes when a piece is transposed with its key.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from bicinium.music import counterpoint, quality
from bicinium.music.counterpoint import pitches_at
from bicinium.music.key import Key
from bicinium.music.score import TICKS_PER_QUARTER, NoteArray, Score, note_array

Counts: TypeAlias = NDArray[np.float64]
Integers: TypeAlias = NDArray[np.int64]

LAGS = (1, 2, 4, 8)  # bars from one to another in which a motif may recur
PHRASE_BARS = 4
BINARY_MEASURES = {  # the phrase measures that are no shares: 1 or 0
    "ends_on_tonic": "pieces whose lower voice ends on the tonic",
    "from_dominant": "of these, pieces that come to it from the dominant",
}
_ONSET, _PITCH, _DURATION, _VELOCITY = range(4)  # rows of ``Columns``
_SILENT = 0  # the pitch of a voice that rests

_WIDEST = 13  # semitones: an octave is told from what is wider
_SIXTEENTH = TICKS_PER_QUARTER // 4
_SIXTEENTHS = 24  # of a bar; what comes later, in a longer bar, counts with the last
_DURATIONS = (1, 3, 4, 6, 8, 9, 12, 16, 18, 24, 36, 48, 72, 96, 97)  # each up to the next, in ticks
_DURATION_NAMES = (
    "<1/32", "1/32", "1/24", "1/16", "1/12", "1/16.", "1/8", "1/6", "1/8.", "1/4", "1/4.",
    "1/2", "1/2.", "1/1", ">1/1",
)  # fmt: skip
_INTERVALS = ("P1", "m2", "M2", "m3", "M3", "P4", "TT", "P5", "m6", "M6", "m7", "M7")
_DEGREES = ("1", "♭2", "2", "♭3", "3", "4", "♯4", "5", "♭6", "6", "♭7", "7")
_SPAN, _OCTAVE = 16, 12  # semitones that a hand reaches; beyond which a leap is wide


# ------------------------------------------------------------------ what the measures look at


def lines(score: Score) -> tuple[NoteArray, NoteArray]:
    """The upper and the lower voice as columns."""
    return note_array(score.voices[0].notes), note_array(score.voices[-1].notes)


def _key(score: Score) -> Key:
    """Its key, or the one that is found; C major where there are no notes either."""
    return score.key or score.estimated_key or Key(0, "major")


def _attacks(score: Score) -> Integers:
    """The ticks at which either voice begins a note, each once."""
    upper, lower = lines(score)
    return np.union1d(upper[_ONSET], lower[_ONSET])


def _together(score: Score) -> tuple[Integers, Integers]:
    """The upper and the lower pitch at each attack at which both voices sound."""
    upper, lower = (pitches_at(line, _attacks(score)) for line in lines(score))
    both = (upper != _SILENT) & (lower != _SILENT)
    return upper[both], lower[both]


def _counts(values: NDArray[np.integer], bins: int) -> Counts:
    return np.bincount(values, minlength=bins).astype(np.float64)


# ------------------------------------------------------------------ histograms


def pitch_classes(score: Score) -> Counts:
    """(12,) notes of each pitch class above the tonic."""
    pitches = np.concatenate([line[_PITCH] for line in lines(score)])
    return _counts((pitches - _key(score).tonic) % 12, 12)


def melodic_intervals(score: Score) -> Counts:
    """(27,) steps of each size from a note to the next of its voice, down an octave to up one; the
    first and the last bin hold what is wider. Rests between count for nothing.
    """
    steps = np.concatenate([np.diff(line[_PITCH]) for line in lines(score)])
    return _counts(np.clip(steps, -_WIDEST, _WIDEST) + _WIDEST, 2 * _WIDEST + 1)


def durations(score: Score) -> Counts:
    """(15,) notes by their length, each counted with the notation value it reaches."""
    ticks = np.concatenate([line[_DURATION] for line in lines(score)])
    return _counts(np.searchsorted(_DURATIONS, ticks, side="right") - 1, len(_DURATIONS))


def onset_positions(score: Score) -> Counts:
    """(24,) notes by the sixteenth of the bar in which they begin."""
    onsets = np.concatenate([line[_ONSET] for line in lines(score)])
    position = onsets % score.meter.bar_ticks // _SIXTEENTH
    return _counts(np.minimum(position, _SIXTEENTHS - 1), _SIXTEENTHS)


def harmonic_intervals(score: Score) -> Counts:
    """(12,) attacks by the interval between the voices, octaves left out, where both sound."""
    upper, lower = _together(score)
    return _counts(np.abs(upper - lower) % 12, 12)


def textures(score: Score) -> Counts:
    """(3,) ticks in which both voices sound, one, none; from the first note to the last barline."""
    ticks = np.arange(int(_attacks(score).min(initial=score.end_tick)), score.end_tick)
    voices = sum((pitches_at(line, ticks) != _SILENT).astype(np.int64) for line in lines(score))
    return _counts(2 - np.asarray(voices), 3)


def motions(score: Score) -> Counts:
    """(4,) moves from an attack to the next, where both voices sound, by what the voices do.

    Contrary; similar; parallel (in the same direction by the same interval, or a semitone more or
    less, as from a major to a minor third); oblique (one stays).
    """
    upper, lower = _together(score)
    up, down = np.diff(upper), np.diff(lower)
    same_way = up * down > 0
    parallel = same_way & (np.abs(up - down) <= 1)
    counts = (up * down < 0, same_way & ~parallel, parallel, (up == 0) != (down == 0))
    return np.array([count.sum() for count in counts], np.float64)


HISTOGRAMS: dict[str, Callable[[Score], Counts]] = {
    "pitch_class": pitch_classes,
    "melodic_interval": melodic_intervals,
    "duration": durations,
    "onset_position": onset_positions,
    "harmonic_interval": harmonic_intervals,
    "texture": textures,
    "motion": motions,
}
BINS: dict[str, tuple[str, ...]] = {
    "pitch_class": _DEGREES,
    "melodic_interval": (
        "<-12", *(f"{step:+d}" if step else "0" for step in range(1 - _WIDEST, _WIDEST)), ">+12",
    ),
    "duration": _DURATION_NAMES,
    "onset_position": tuple(str(sixteenth + 1) for sixteenth in range(_SIXTEENTHS)),
    "harmonic_interval": _INTERVALS,
    "texture": ("both", "one", "none"),
    "motion": ("contrary", "similar", "parallel", "oblique"),
}  # fmt: skip


# ------------------------------------------------------------------ counterpoint


def counterpoint_counts(score: Score) -> dict[str, int]:
    """How often what counterpoint has a name for happens (``music.counterpoint`` defines it)."""
    parallels = counterpoint.parallels(score)
    return {
        "parallel_octaves": sum(one.interval == "octave" for one in parallels),
        "parallel_fifths": sum(one.interval == "fifth" for one in parallels),
        "crossings": len(counterpoint.voice_crossings(score)),
        "strong_dissonances": len(counterpoint.strong_beat_dissonances(score)),
        "leaps_over_an_octave": len(counterpoint.large_leaps(score, _OCTAVE)),
        "spans_over_a_tenth": len(counterpoint.wide_hand_spans(score, _SPAN)),
        "outside_the_scale": len(counterpoint.notes_outside_key(score, _key(score))),
    }


# ------------------------------------------------------------------ phrases


def phrase_measures(score: Score) -> dict[str, float]:
    """Does the piece close, and do its phrases? NaN where there are no four full bars.

    ``ends_on_tonic``: 1 where the last note of the lower voice is the tonic, else 0;
    ``from_dominant``: 1 where it comes to it from the dominant, NaN where it ends on another note
    (``counterpoint.has_authentic_bass``). The others are shares of the groups of four bars,
    counted from the first full bar: those whose last note in the upper voice lasts longer than the
    group's notes do on average (``phrases_end_long``), and those in whose last bar fewer notes
    begin than in the three before on average (``phrases_thin_out``).
    """
    upper, lower = lines(score)
    key = _key(score)
    ends = float(lower[_PITCH, -1] % 12 == key.tonic) if lower.shape[1] else 0.0
    bar = score.meter.bar_ticks
    first = 1 if score.anacrusis_ticks else 0
    starts = (first + np.arange(0, score.bars - first - PHRASE_BARS + 1, PHRASE_BARS)) * bar
    long, thin = [], []
    for start in starts.tolist():
        end = start + PHRASE_BARS * bar
        own = upper[:, (upper[_ONSET] >= start) & (upper[_ONSET] < end)]
        if own.shape[1] > 1:
            long.append(own[_DURATION, -1] > own[_DURATION].mean())
        begun = [
            int(((line[_ONSET] >= start) & (line[_ONSET] < end - bar)).sum())
            for line in (upper, lower)
        ]
        last = [
            int(((line[_ONSET] >= end - bar) & (line[_ONSET] < end)).sum())
            for line in (upper, lower)
        ]
        thin.append(sum(last) * (PHRASE_BARS - 1) < sum(begun))
    return {
        "ends_on_tonic": ends,
        "from_dominant": float(counterpoint.has_authentic_bass(score, key)) if ends else math.nan,
        "phrases_end_long": _mean(long),
        "phrases_thin_out": _mean(thin),
    }


def _mean(values: list[bool] | list[float]) -> float:
    return float(np.mean(values)) if values else math.nan


# ------------------------------------------------------------------ motifs


def self_similarity(score: Score) -> dict[str, float]:
    """How alike are bars that are 1, 2, 4 and 8 apart, 0 to 1? NaN where the piece is too short.

    ``rhythm_recurs_4``: of the onsets in a bar of one voice and in the bar four later, the share
    that both have. ``melody_recurs_4``: the share that both have at the same transposition, the one
    that most of them agree on. Means over the voices and all pairs of bars in which a note begins.
    """
    bars = [_bars(line, score) for line in lines(score)]
    found: dict[str, float] = {}
    for lag in LAGS:
        alike = [_alike(voice[:-lag], voice[lag:]) for voice in bars if len(voice) > lag]
        rhythm = [value for pair in alike for value in pair[0]]
        melody = [value for pair in alike for value in pair[1]]
        found |= {f"rhythm_recurs_{lag}": _mean(rhythm), f"melody_recurs_{lag}": _mean(melody)}
    return found


def _bars(line: NoteArray, score: Score) -> Integers:
    """(bars, ticks of a bar) the pitch that begins at each tick, 0 where none does."""
    begun = np.zeros(score.end_tick, np.int64)
    begun[line[_ONSET]] = line[_PITCH]
    return begun.reshape(score.bars, -1)


def _alike(earlier: Integers, later: Integers) -> tuple[list[float], list[float]]:
    """Likeness in rhythm and in melody of each pair of rows in which anything begins."""
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


# ------------------------------------------------------------------ the whole piece


def describe(score: Score) -> dict[str, float]:
    """Numbers about the whole piece, for whoever tells one kind of music from another.

    Heights, textures, lengths, intervals, phrases, motifs, counterpoint and all metrics of
    ``music.quality``. NaN where one says nothing about this piece.
    """
    notes = max(1, score.note_count)
    counterpoint_rates = {
        f"counterpoint/{name}": count / notes for name, count in counterpoint_counts(score).items()
    }
    judged = quality.measure(score) or dict.fromkeys(quality.METRICS, math.nan)
    return (
        _heights(score)
        | _harmony(score)
        | _rhythm(score)
        | {f"phrase/{name}": value for name, value in phrase_measures(score).items()}
        | {f"motif/{name}": value for name, value in self_similarity(score).items()}
        | counterpoint_rates
        | {f"quality/{name}": value for name, value in judged.items()}
    )


def _heights(score: Score) -> dict[str, float]:
    """How high, how wide and how far the voices move."""
    found: dict[str, float] = {}
    for name, line in zip(("upper", "lower"), lines(score), strict=True):
        pitch = line[_PITCH]
        steps = np.abs(np.diff(pitch))
        found |= {
            f"pitch/{name}_mean": _average(pitch),
            f"pitch/{name}_spread": float(pitch.std()) if pitch.size else math.nan,
            f"pitch/{name}_range": float(np.ptp(pitch)) if pitch.size else math.nan,
            f"pitch/{name}_distinct": len(np.unique(pitch)) / max(1, pitch.size),
            f"melody/{name}_repeats": _average(steps == 0),
            f"melody/{name}_steps": _average((steps == 1) | (steps == 2)),
            f"melody/{name}_thirds": _average((steps == 3) | (steps == 4)),
            f"melody/{name}_leaps": _average(steps > 7),
            f"melody/{name}_turns": _average(_turns(pitch)),
        }
    upper, lower = _together(score)
    return found | {
        "pitch/distance": _average(upper - lower),
        "pitch/distance_spread": float((upper - lower).std()) if upper.size else math.nan,
    }


def _turns(pitch: Integers) -> NDArray[np.bool_]:
    """Of each two moves, whether the second goes the other way."""
    steps = np.diff(pitch)
    steps = steps[steps != 0]
    return np.sign(steps[1:]) != np.sign(steps[:-1])


def _harmony(score: Score) -> dict[str, float]:
    """Degrees of the scale, intervals between the voices, motion."""
    degrees, intervals = _shares(pitch_classes(score)), _shares(harmonic_intervals(score))
    minor = _key(score).mode == "minor"
    found = {
        "degree/tonic": degrees[0],
        "degree/third": degrees[3 if minor else 4],
        "degree/fifth": degrees[7],
        "degree/leading_note": degrees[11],
        "degree/entropy": _entropy(degrees),
        "interval/octave": intervals[0],
        "interval/fourth_or_fifth": intervals[5] + intervals[7],
        "interval/third_or_sixth": intervals[[3, 4, 8, 9]].sum(),
        "interval/second_or_seventh": intervals[[1, 2, 10, 11]].sum(),
        "interval/tritone": intervals[6],
    }
    for name in ("motion", "texture"):
        shares = _shares(HISTOGRAMS[name](score))
        found |= {f"{name}/{kind}": share for kind, share in zip(BINS[name], shares, strict=True)}
    return {name: float(value) for name, value in found.items()}


def _rhythm(score: Score) -> dict[str, float]:
    """Lengths of notes, where they begin, how many there are, how loud."""
    found: dict[str, float] = {}
    quarters = (score.end_tick - score.start_tick) / TICKS_PER_QUARTER
    for name, line in zip(("upper", "lower"), lines(score), strict=True):
        onset, duration = line[_ONSET], line[_DURATION]
        gaps = onset[1:] - (onset + duration)[:-1]
        found |= {
            f"rhythm/{name}_notes_a_quarter": line.shape[1] / max(1.0, quarters),
            f"rhythm/{name}_length": _average(np.log2(np.maximum(duration, 1))),
            f"rhythm/{name}_same_length": _average(np.diff(duration) == 0),
            f"rhythm/{name}_lengths_entropy": _entropy(_shares(_counts_of(duration))),
            f"rhythm/{name}_last_length": float(duration[-1]) if duration.size else math.nan,
            f"rhythm/{name}_rests": _average(gaps > 0),
            f"rhythm/{name}_on_beat": _average(onset % score.meter.beat_ticks == 0),
            f"rhythm/{name}_off_sixteenths": _average(onset % _SIXTEENTH != 0),
            f"rhythm/{name}_over_barlines": _average(
                onset // score.meter.bar_ticks != (onset + duration - 1) // score.meter.bar_ticks
            ),
        }
    upper, lower = lines(score)
    together = len(np.intersect1d(upper[_ONSET], lower[_ONSET]))
    velocity = _in_time(upper, lower)
    return found | {
        "rhythm/together": together / max(1, len(_attacks(score))),
        "rhythm/begins_late": float(_attacks(score).min(initial=0)) / score.meter.bar_ticks,
        "rhythm/bars_alike": _same_neighbours(score),
        "velocity/changes": _average(np.diff(velocity) != 0),
        "velocity/spread": float(velocity.std()) if velocity.size else math.nan,
    }


def _in_time(upper: NoteArray, lower: NoteArray) -> Integers:
    """The velocities of all notes, in the order in which they begin."""
    notes = np.concatenate([upper, lower], axis=1)
    return notes[_VELOCITY, np.argsort(notes[_ONSET], kind="stable")]


def _same_neighbours(score: Score) -> float:
    """Share of neighbouring bars with the same rhythm in both voices."""
    rhythms = np.concatenate([_bars(line, score) > 0 for line in lines(score)], axis=1)
    return _mean([bool((one == other).all()) for one, other in pairwise(rhythms)])


def _average(values: NDArray[np.bool_] | NDArray[np.integer] | Counts) -> float:
    return float(np.mean(values)) if values.size else math.nan


def _counts_of(values: Integers) -> Counts:
    return np.unique(values, return_counts=True)[1].astype(np.float64)


def _shares(counts: Counts) -> Counts:
    """The counts as shares of their sum; nought where all are."""
    return counts / max(1.0, counts.sum())


def _entropy(shares: Counts) -> float:
    """In bits."""
    some = shares[shares > 0]
    return float(-(some * np.log2(some)).sum())
