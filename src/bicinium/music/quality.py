"""Is it music? One number in [0, 1] for a two-voice score, from metrics that tell it from nonsense.

Each metric is a number with a source. Several compare the piece with itself in another order: how
much nearer are neighbouring bars than any two bars, how much better does the lower voice fit the
upper than the same voice some bars later? Music has an order, and these see it whatever the style.
``METRICS`` are all that were tried. Which of them count, and how much, is fitted on real pieces
against nonsense made of them (``python -m benchmarks quality_calibration``); ``quality.json`` holds
the result, docs/quality.md the tables.

Knows scores and numpy, so that composing can rank by it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray

from bicinium.music.key import KEY_PROFILES, estimate_key
from bicinium.music.logistic import Coefficient, LogisticRegression
from bicinium.music.score import Meter, Score

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

_SLOTS = 8  # moments of a bar that are looked at
_MOST_BARS = 400  # of a longer piece, the first so many are judged
# How consonant listeners find each interval class: Huron 1994, Interval-Class Content, table 2.
_DYADS = np.array([0.0, -1.428, -0.582, 0.594, 0.386, 1.240, -0.453])
_DYAD_OF_INTERVAL = _DYADS[np.minimum(np.arange(12), 12 - np.arange(12))]
_CONSONANT = np.isin(np.arange(12), (0, 3, 4, 7, 8, 9))  # unison, thirds, fifth, sixths, octave


@dataclass(frozen=True, slots=True)
class Quality:
    """``score`` in [0, 1]; ``log_odds`` for ranking, which never saturates; the metrics by name."""

    score: float
    log_odds: float
    metrics: dict[str, float]


def quality(score: Score) -> Quality | None:
    """Judge a score by its outer voices. None where there are no two voices with notes."""
    measured = measure(score, tuple(_weights_of_metrics().terms))
    if measured is None:
        return None
    log_odds = _weights_of_metrics().log_odds(measured)
    return Quality(1 / (1 + math.exp(-log_odds)), log_odds, measured)


def measure(score: Score, names: Iterable[str] | None = None) -> dict[str, float] | None:
    """The named metrics of a score, or all; NaN where one says nothing about this piece."""
    if len(score.voices) < 2 or min(len(v.notes) for v in (score.voices[0], score.voices[-1])) < 2:
        return None
    seen = _Seen(score)
    return {name: float(METRICS[name](seen)) for name in names or METRICS}


@lru_cache(maxsize=1)
def _weights_of_metrics() -> LogisticRegression:
    text = (files("bicinium.music") / "quality.json").read_text(encoding="utf-8")
    fitted = json.loads(text)
    terms = {name: Coefficient(**term) for name, term in fitted["terms"].items()}
    return LogisticRegression(fitted["bias"], terms)


# ------------------------------------------------------------------ what the metrics look at


@dataclass(frozen=True, slots=True)
class _Line:
    """One voice as arrays, in the order of time."""

    onset: Integers
    pitch: Integers
    duration: Integers

    @property
    def steps(self) -> Integers:
        """Semitones from each note to the next."""
        return np.diff(self.pitch)


class _Seen:
    """A score as arrays, and what several metrics need of it, computed when it is first asked."""

    def __init__(self, score: Score) -> None:
        self.meter: Meter = score.meter
        self.bar: int = score.meter.bar_ticks
        limit = _MOST_BARS * self.bar
        self.lines = tuple(
            _line(score, voice, limit) for voice in (0, len(score.voices) - 1)
        )  # upper, lower
        ends = [int((line.onset + line.duration).max()) for line in self.lines]
        self.bars: int = max(1, -(-max(ends) // self.bar))

    @cached_property
    def grid(self) -> Integers:
        """(2, ticks) the sounding pitch of each voice, 0 where it rests."""
        grid = np.zeros((2, self.bars * self.bar), np.int64)
        for voice, line in enumerate(self.lines):
            length = np.minimum(line.duration, grid.shape[1] - line.onset)
            ticks = np.repeat(line.onset - np.cumsum(length) + length, length)
            grid[voice, ticks + np.arange(length.sum())] = np.repeat(line.pitch, length)
        return grid

    @cached_property
    def slots(self) -> Integers:
        """(2, bars, slots) the pitches at evenly spaced moments of each bar."""
        moments = np.arange(_SLOTS) * self.bar // _SLOTS
        return self.grid.reshape(2, self.bars, self.bar)[:, :, moments]

    @cached_property
    def attacks(self) -> Integers:
        """Ticks at which either voice begins a note, each once."""
        return np.union1d(self.lines[0].onset, self.lines[1].onset)

    @cached_property
    def together(self) -> tuple[Integers, Integers, Integers]:
        """At each attack: upper pitch, lower pitch, tick; where both sound."""
        upper, lower = self.grid[:, self.attacks]
        both = (upper > 0) & (lower > 0)
        return upper[both], lower[both], self.attacks[both]

    @cached_property
    def pitch_classes(self) -> Floats:
        """(bars, 12) ticks for which each pitch class sounds in each bar."""
        counts = np.zeros((self.bars, 12))
        bar_of = np.arange(self.grid.shape[1]) // self.bar
        for row in self.grid:
            sounds = row > 0
            np.add.at(counts, (bar_of[sounds], row[sounds] % 12), 1.0)
        return counts

    @cached_property
    def rhythms(self) -> Floats:
        """(2, bars, ticks of a bar) 1 where a note begins."""
        rhythms = np.zeros((2, self.bars * self.bar))
        for voice, line in enumerate(self.lines):
            rhythms[voice, line.onset] = 1.0
        return rhythms.reshape(2, self.bars, self.bar)


def _line(score: Score, voice: int, limit: int) -> _Line:
    notes = score.voices[voice].notes
    columns = np.array([(n.onset_tick, n.pitch, n.duration_ticks) for n in notes], np.int64)
    columns = columns[: max(2, int(np.searchsorted(columns[:, 0], limit)))]
    return _Line(columns[:, 0], columns[:, 1], columns[:, 2])


def _share(hits: NDArray[np.bool_]) -> float:
    return float(hits.mean()) if hits.size else math.nan


def _mean(values: Floats | Integers) -> float:
    return float(values.mean()) if values.size else math.nan


# ------------------------------------------------------------------ texture and rhythm


def _both_sound(seen: _Seen) -> float:
    """Share of the time in which both voices sound, of that in which either does.

    Two voices that take turns are one (Huron 1989, Voice Denumerability in Polyphonic Music).
    """
    sounds = seen.grid > 0
    both, either = sounds[0] & sounds[1], sounds[0] | sounds[1]
    return _share(both[either])


def _onset_synchrony(seen: _Seen) -> float:
    """Share of attacks that both voices make together (Huron 1993, Onset Asynchrony)."""
    both = np.intersect1d(seen.lines[0].onset, seen.lines[1].onset)
    return len(both) / len(seen.attacks)


def _metrical_fit(seen: _Seen) -> float:
    """How much oftener notes begin on strong positions than on weak ones.

    Weights of positions after Longuet-Higgins & Lee 1984; that onsets follow them, Palmer &
    Krumhansl 1990. The mean weight of the notes' onsets, 0 for a downbeat, -1 for each level below.
    """
    weights = [_weights(seen.meter)[line.onset % seen.bar] for line in seen.lines]
    return _mean(np.concatenate(weights))


@lru_cache(maxsize=64)
def _weights(meter: Meter) -> Floats:
    """(ticks of a bar) metrical weight: 0 at the downbeat, -1 at beats, -2 at their halves, …"""
    weights = np.full(meter.bar_ticks, -5.0)
    for weight, every in ((-4, 3), (-3, 6), (-2, 12), (-1, meter.beat_ticks)):
        weights[::every] = weight
    weights[0] = 0
    return weights


def _note_lengths(seen: _Seen) -> float:
    """Entropy in bits of note lengths; music has few (Temperley 2007, Music and Probability)."""
    lengths = np.concatenate([line.duration for line in seen.lines])
    return _entropy(np.unique(lengths, return_counts=True)[1])


def _entropy(counts: NDArray[np.int64]) -> float:
    shares = counts / counts.sum()
    return float(-(shares * np.log2(shares)).sum())


def _rhythm_continuity(seen: _Seen) -> float:
    """Are neighbouring bars alike in rhythm, more than any two bars of the piece?

    Rhythmic patterns group by parallelism (Lerdahl & Jackendoff 1983, GPR 6).
    """
    return float(np.mean([_order(voice) for voice in seen.rhythms]))


def _order(features: Floats) -> float:
    """How much more alike bar i and i + 1 are than any two bars, by the cosine of (bars, F)."""
    norms = np.linalg.norm(features, axis=1)
    rows = features[norms > 0] / norms[norms > 0, None]
    if len(rows) < 3:
        return math.nan
    neighbours = (rows[:-1] * rows[1:]).sum(axis=1)
    total = rows.sum(axis=0)
    count = len(rows)
    any_two = (float(total @ total) - count) / (count * (count - 1))
    return (float(neighbours.mean()) - any_two) / max(0.05, 1 - any_two)


# ------------------------------------------------------------------ key


def _key_clarity(seen: _Seen) -> float:
    """Correlation of the pitch classes with the key's profile (Krumhansl 1990, chapter 4)."""
    return _clarity(seen.pitch_classes.sum(axis=0)[None])


def _local_key_clarity(seen: _Seen) -> float:
    """The same over stretches of two bars: music is in some key wherever one listens."""
    counts = seen.pitch_classes
    pairs = counts[:-1] + counts[1:] if len(counts) > 1 else counts
    return _clarity(pairs[pairs.sum(axis=1) > 0])


def _clarity(counts: Floats) -> float:
    """Mean over the rows (N, 12) of the best correlation with a key's profile."""
    centred = counts - counts.mean(axis=1, keepdims=True)
    norms = np.maximum(np.linalg.norm(centred, axis=1), 1e-9)
    return float(((KEY_PROFILES @ centred.T).max(axis=0) / norms).mean())


def _harmonic_continuity(seen: _Seen) -> float:
    """Are neighbouring bars nearer in their pitch classes than any two bars?

    Harmony moves step by step through related chords and keys (Lerdahl 2001, Tonal Pitch Space).
    """
    return _order(seen.pitch_classes)


# ------------------------------------------------------------------ melody


def _leap_size(seen: _Seen) -> float:
    """Mean size in semitones of the upper voice's intervals (Huron 2001: pitch proximity)."""
    return _mean(np.abs(seen.lines[0].steps))


def _lower_leap_size(seen: _Seen) -> float:
    """The same of the lower voice, which leaps more."""
    return _mean(np.abs(seen.lines[1].steps))


def _stepwise(seen: _Seen) -> float:
    """Share of intervals of one or two semitones (Vos & Troost 1989: steps prevail)."""
    sizes = np.abs(np.concatenate([line.steps for line in seen.lines]))
    return _share((sizes == 1) | (sizes == 2))


def _repeated_notes(seen: _Seen) -> float:
    """Share of notes that repeat the one before."""
    return _share(np.concatenate([line.steps for line in seen.lines]) == 0)


def _turn_after_leap(seen: _Seen) -> float:
    """Share of leaps over five semitones after which the line turns (Meyer 1956: gap and fill)."""
    turns = []
    for line in seen.lines:
        first, second = line.steps[:-1], line.steps[1:]
        leap = np.abs(first) > 5
        turns.append((np.sign(second) == -np.sign(first))[leap])
    return _share(np.concatenate(turns))


def _melodic_order(seen: _Seen) -> float:
    """How much smaller intervals are than between any two notes of the line.

    1 - mean interval / mean distance of any two notes (von Hippel 2000: proximity beyond range).
    """
    ratios = []
    for line in seen.lines:
        pitches = np.sort(line.pitch)
        count = len(pitches)
        any_two = float((2 * np.arange(count) - count + 1) @ pitches) / (count * (count - 1) / 2)
        if any_two > 0:
            ratios.append(1 - float(np.abs(line.steps).mean()) / any_two)
    return float(np.mean(ratios)) if ratios else 0.0


def _across_barlines(seen: _Seen) -> float:
    """Do the lines go on over the barlines, nearer than from any bar's end to any bar's start?

    Proximity again (Huron 2001), where shuffled bars lack it.
    """
    ratios = []
    for line in seen.lines:
        bar = line.onset // seen.bar
        new = np.flatnonzero(np.diff(bar) == 1)
        if len(new) < 3:
            continue
        last, first = line.pitch[new], line.pitch[new + 1]
        any_two = float(np.abs(last[:, None] - first[None, :]).mean())
        if any_two > 0:
            ratios.append(1 - float(np.abs(first - last).mean()) / any_two)
    return float(np.mean(ratios)) if ratios else math.nan


def _steps_across_barlines(seen: _Seen) -> float:
    """Share of steps over barlines, above that between any bar's end and any bar's start."""
    gains = []
    for line in seen.lines:
        new = np.flatnonzero(np.diff(line.onset // seen.bar) == 1)
        if len(new) < 3:
            continue
        last, first = line.pitch[new], line.pitch[new + 1]
        near = np.abs(last[:, None] - first[None, :]) <= 2
        gains.append(float(np.diag(near).mean()) - float(near.mean()))
    return float(np.mean(gains)) if gains else math.nan


def _bass_across_barlines(seen: _Seen) -> float:
    """Share of steps, fourths and fifths of the bass over barlines, above any end to any start.

    The bass leads from harmony to harmony so (Rameau 1722; Tymoczko 2011).
    """
    line = seen.lines[1]
    new = np.flatnonzero(np.diff(line.onset // seen.bar) == 1)
    if len(new) < 3:
        return math.nan
    last, first = line.pitch[new], line.pitch[new + 1]
    leads = np.isin(np.abs(last[:, None] - first[None, :]), (1, 2, 5, 7))
    return float(np.diag(leads).mean()) - float(leads.mean())


def _density_continuity(seen: _Seen) -> float:
    """Do neighbouring bars have as many notes, more than any two bars?"""
    gains = []
    for counts in seen.rhythms.sum(axis=2):
        spread = float(np.abs(counts[:, None] - counts[None, :]).mean())
        if len(counts) > 2 and spread > 0:
            gains.append(1 - float(np.abs(np.diff(counts)).mean()) / spread)
    return float(np.mean(gains)) if gains else math.nan


def _register_continuity(seen: _Seen) -> float:
    """Do neighbouring bars lie at the same height, more than any two bars?"""
    gains = []
    for line in seen.lines:
        bar = line.onset // seen.bar
        counts = np.bincount(bar, minlength=seen.bars)
        heights = (np.bincount(bar, line.pitch, minlength=seen.bars) / np.maximum(counts, 1))[
            counts > 0
        ]
        spread = float(np.abs(heights[:, None] - heights[None, :]).mean())
        if len(heights) > 2 and spread > 0:
            gains.append(1 - float(np.abs(np.diff(heights)).mean()) / spread)
    return float(np.mean(gains)) if gains else math.nan


# ------------------------------------------------------------------ two voices at once


def _consonance(seen: _Seen) -> float:
    """Share of consonances between the voices on beats (Fux 1725; Jeppesen 1939)."""
    upper, lower, tick = seen.together
    strong = tick % seen.meter.beat_ticks == 0
    return _share(_CONSONANT[(upper - lower)[strong] % 12])


def _dyads(seen: _Seen) -> float:
    """Mean consonance of the intervals between the voices as listeners rate it (Huron 1994)."""
    upper, lower, _ = seen.together
    return _mean(_DYAD_OF_INTERVAL[(upper - lower) % 12])


def _fit_of_voices(seen: _Seen) -> float:
    """How much more consonant the voices are than if the lower came some bars later.

    A piece against itself shifted: what is left is that the voices were written for each other.
    """
    return _diagonal_gain(*_by_bars(seen, _CONSONANT.astype(float)))


def _fit_of_dyads(seen: _Seen) -> float:
    """The same with consonance as listeners rate it."""
    return _diagonal_gain(*_by_bars(seen, _DYAD_OF_INTERVAL))


def _by_bars(seen: _Seen, worth: Floats) -> tuple[Floats, Floats]:
    """(bars, bars) the worth of the intervals of upper bar i with lower bar j, and how many."""
    upper, lower = seen.slots
    intervals = worth[(np.arange(12)[:, None] - np.arange(12)[None, :]) % 12]
    shape = (seen.bars, _SLOTS * 12)
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


def _pitch_class_fit(seen: _Seen) -> float:
    """Do the voices share pitch classes in a bar, more than with the other's bars elsewhere?"""
    counts = np.zeros((2, seen.bars, 12))
    for voice in (0, 1):
        row = seen.grid[voice]
        sounds = np.flatnonzero(row > 0)
        np.add.at(counts[voice], (sounds // seen.bar, row[sounds] % 12), 1.0)
    norms = np.linalg.norm(counts, axis=2, keepdims=True)
    upper, lower = counts / np.maximum(norms, 1e-9)
    chances = (norms[0] > 0).astype(float) @ (norms[1] > 0).astype(float).T
    return _diagonal_gain(upper @ lower.T, chances)


def _rhythm_fit(seen: _Seen) -> float:
    """Do the voices begin notes together (or in turn) more than shifted against each other?"""
    upper, lower = seen.rhythms
    counts = upper.sum(axis=1)[:, None] * lower.sum(axis=1)[None, :]
    return _diagonal_gain(upper @ lower.T, np.sqrt(counts))


def _activity_fit(seen: _Seen) -> float:
    """Correlation of how many notes the two voices have in each bar."""
    upper, lower = seen.rhythms.sum(axis=2)
    if seen.bars < 3 or upper.std() < 1e-9 or lower.std() < 1e-9:
        return math.nan
    return float(np.corrcoef(upper, lower)[0, 1])


def _parallels(seen: _Seen) -> float:
    """Share of moves in which a fifth or octave goes to the same one in the same direction.

    The oldest prohibition of counterpoint (Fux 1725; Huron 2001 for why it holds).
    """
    upper, lower, _ = seen.together
    interval, up, down = (upper - lower) % 12, np.diff(upper), np.diff(lower)
    perfect = ((interval == 0) | (interval == 7))[:-1]
    same = interval[1:] == interval[:-1]
    moves = (up != 0) & (down != 0)
    return _share((perfect & same & (np.sign(up) == np.sign(down)))[moves])


def _contrary_motion(seen: _Seen) -> float:
    """Share of moves of both voices that go in opposite directions (Fux 1725)."""
    upper, lower, _ = seen.together
    up, down = np.sign(np.diff(upper)), np.sign(np.diff(lower))
    moves = (up != 0) & (down != 0)
    return _share((up != down)[moves])


def _crossing(seen: _Seen) -> float:
    """Share of moments in which the upper voice lies below the lower (Huron 1991, Bach)."""
    upper, lower, _ = seen.together
    return _share(upper < lower)


def _dissonance_by_step(seen: _Seen) -> float:
    """Share of dissonances that one of the voices leaves by step or by staying (Jeppesen 1939)."""
    upper, lower, _ = seen.together
    dissonant = ~_CONSONANT[(upper - lower) % 12][:-1]
    gentle = (np.abs(np.diff(upper)) <= 2) & (np.abs(np.diff(lower)) <= 2)
    return _share(gentle[dissonant])


# ------------------------------------------------------------------ form


def _final_tonic(seen: _Seen) -> float:
    """1 where the bass ends on the tonic of the found key, ½ on its fifth (Aldwell & Schachter)."""
    bass = int(seen.lines[1].pitch[-1])
    tonic = estimate_key(seen.pitch_classes.sum(axis=0).tolist()).tonic
    return {0: 1.0, 7: 0.5}.get((bass - tonic) % 12, 0.0)


def _final_length(seen: _Seen) -> float:
    """Log₂ of the last notes' length over the mean (Lerdahl & Jackendoff 1983: closing length)."""
    ratios = [np.log2(line.duration[-1] / line.duration.mean()) for line in seen.lines]
    return float(np.mean(ratios))


def _final_weight(seen: _Seen) -> float:
    """Metrical weight of the last attack: phrases end on strong beats."""
    return float(_weights(seen.meter)[int(seen.attacks[-1]) % seen.bar])


def _motif_recurrence(seen: _Seen) -> float:
    """Share of figures (four notes: their intervals and lengths) that come again, at any height.

    Music is made of motifs (Schoenberg 1967; Meredith et al. 2002 find them this way).
    """
    return float(np.mean([_share(_recurring(line)) for line in seen.lines]))


def _recurring(line: _Line) -> NDArray[np.bool_]:
    """Of each figure of four notes: does it stand elsewhere in the line?"""
    if len(line.pitch) < 6:
        return np.zeros(0, np.bool_)
    steps, gaps = line.steps, np.minimum(np.diff(line.onset), 511)
    figure = np.zeros(len(steps) - 2, np.int64)
    for start in range(3):
        stop = len(steps) - 2 + start
        figure = (figure * 256 + steps[start:stop] + 128) * 512 + gaps[start:stop]
    _, index, counts = np.unique(figure, return_inverse=True, return_counts=True)
    return counts[index] > 1


def _sequence(seen: _Seen) -> float:
    """Share of bars with the contour and rhythm of the bar before, above chance (sequences)."""
    gains = []
    for line in seen.lines:
        shapes = _bar_shapes(seen, line)
        if len(shapes) < 3:
            continue
        _, index, counts = np.unique(shapes, return_inverse=True, return_counts=True)
        near = float((index[1:] == index[:-1]).mean())
        count = len(index)
        gains.append(near - float((counts * (counts - 1)).sum()) / (count * (count - 1)))
    return float(np.mean(gains)) if gains else math.nan


def _bar_shapes(seen: _Seen, line: _Line) -> Integers:
    """A number for each bar with notes: the same for bars with the same rhythm and contour."""
    bars = line.onset // seen.bar
    first = np.flatnonzero(np.diff(bars, prepend=-1))
    from_first = line.pitch - np.repeat(line.pitch[first], np.diff(np.append(first, len(bars))))
    mixed = (from_first + 128) * 4096 + line.onset % seen.bar
    hashed = mixed * np.int64(0x9E3779B97F4A7C15 - 2**64)
    hashed ^= hashed >> 29
    return np.add.reduceat(hashed, first)


def _repeated_bars(seen: _Seen) -> float:
    """Share of bars equal to an earlier one in both voices (a loop: nearly all)."""
    bars = seen.grid.reshape(2, seen.bars, seen.bar).transpose(1, 0, 2).reshape(seen.bars, -1)
    marked = bars * 2 + seen.rhythms.transpose(1, 0, 2).reshape(seen.bars, -1).astype(np.int64)
    factors = np.arange(1, marked.shape[1] + 1, dtype=np.int64) * np.int64(0x5851F42D4C957F2D)
    hashes = (marked * (factors ^ (factors >> 31))).sum(axis=1)
    return 1 - len(np.unique(hashes)) / seen.bars


METRICS: dict[str, Callable[[_Seen], float]] = {
    "both_sound": _both_sound,
    "onset_synchrony": _onset_synchrony,
    "metrical_fit": _metrical_fit,
    "note_lengths": _note_lengths,
    "rhythm_continuity": _rhythm_continuity,
    "key_clarity": _key_clarity,
    "local_key_clarity": _local_key_clarity,
    "harmonic_continuity": _harmonic_continuity,
    "leap_size": _leap_size,
    "lower_leap_size": _lower_leap_size,
    "stepwise": _stepwise,
    "repeated_notes": _repeated_notes,
    "turn_after_leap": _turn_after_leap,
    "melodic_order": _melodic_order,
    "across_barlines": _across_barlines,
    "steps_across_barlines": _steps_across_barlines,
    "bass_across_barlines": _bass_across_barlines,
    "density_continuity": _density_continuity,
    "register_continuity": _register_continuity,
    "consonance": _consonance,
    "dyads": _dyads,
    "fit_of_voices": _fit_of_voices,
    "fit_of_dyads": _fit_of_dyads,
    "pitch_class_fit": _pitch_class_fit,
    "rhythm_fit": _rhythm_fit,
    "activity_fit": _activity_fit,
    "parallels": _parallels,
    "contrary_motion": _contrary_motion,
    "crossing": _crossing,
    "dissonance_by_step": _dissonance_by_step,
    "final_tonic": _final_tonic,
    "final_length": _final_length,
    "final_weight": _final_weight,
    "motif_recurrence": _motif_recurrence,
    "sequence": _sequence,
    "repeated_bars": _repeated_bars,
}
