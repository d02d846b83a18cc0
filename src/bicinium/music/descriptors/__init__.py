"""Descriptors of a two-voice score: numbers that say what the music is like.

Every measure is defined once, and computed once for each score. All are functions of the score
alone, so that real music, this program's and a baseline's are measured alike. Pitch is measured
from the tonic where transposition should not matter.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping

from bicinium.music.descriptors import continuity, form, harmony, melody, rhythm
from bicinium.music.descriptors.arrays import ScoreArrays, lines
from bicinium.music.descriptors.form import (
    BINARY_MEASURES,
    LAGS,
    PHRASE_BARS,
    phrase_measures,
    self_similarity,
)
from bicinium.music.descriptors.harmony import counterpoint_counts
from bicinium.music.descriptors.histograms import BINS, HISTOGRAMS, histogram
from bicinium.music.score import Score

__all__ = [
    "BINARY_MEASURES", "BINS", "HISTOGRAMS", "LAGS", "PHRASE_BARS", "QUALITY_METRICS",
    "Description", "ScoreArrays", "counterpoint_counts", "describe", "histogram", "lines",
    "phrase_measures", "self_similarity",
]  # fmt: skip

# The metrics that ``music.quality`` was fitted on; each is a function with a source.
QUALITY_METRICS: dict[str, Callable[[ScoreArrays], float]] = {
    "both_sound": rhythm.both_sound,
    "onset_synchrony": rhythm.onset_synchrony,
    "metrical_fit": rhythm.metrical_fit,
    "note_lengths": rhythm.note_lengths,
    "rhythm_continuity": continuity.rhythm_continuity,
    "key_clarity": harmony.key_clarity,
    "local_key_clarity": harmony.local_key_clarity,
    "harmonic_continuity": continuity.harmonic_continuity,
    "leap_size": melody.leap_size,
    "lower_leap_size": melody.lower_leap_size,
    "stepwise": melody.stepwise,
    "repeated_notes": melody.repeated_notes,
    "turn_after_leap": melody.turn_after_leap,
    "melodic_order": melody.melodic_order,
    "across_barlines": continuity.across_barlines,
    "steps_across_barlines": continuity.steps_across_barlines,
    "bass_across_barlines": continuity.bass_across_barlines,
    "density_continuity": continuity.density_continuity,
    "register_continuity": continuity.register_continuity,
    "consonance": harmony.consonance,
    "dyads": harmony.dyads,
    "fit_of_voices": harmony.fit_of_voices,
    "fit_of_dyads": harmony.fit_of_dyads,
    "pitch_class_fit": harmony.pitch_class_fit,
    "rhythm_fit": harmony.rhythm_fit,
    "activity_fit": harmony.activity_fit,
    "parallels": harmony.parallel_share,
    "contrary_motion": harmony.contrary_motion,
    "crossing": harmony.crossing,
    "dissonance_by_step": harmony.dissonance_by_step,
    "final_tonic": form.final_tonic,
    "final_length": form.final_length,
    "final_weight": form.final_weight,
    "motif_recurrence": form.motif_recurrence,
    "sequence": form.sequence,
    "repeated_bars": form.repeated_bars,
}


def _phrases(arrays: ScoreArrays) -> dict[str, float]:
    return {f"phrase/{name}": value for name, value in phrase_measures(arrays.score).items()}


def _motifs(arrays: ScoreArrays) -> dict[str, float]:
    return {f"motif/{name}": value for name, value in self_similarity(arrays.score).items()}


def _counterpoint_rates(arrays: ScoreArrays) -> dict[str, float]:
    notes = max(1, arrays.score.note_count)
    counts = counterpoint_counts(arrays.score)
    return {f"counterpoint/{name}": count / notes for name, count in counts.items()}


def _quality(arrays: ScoreArrays) -> dict[str, float]:
    """Return the quality metrics: NaN unless there are two voices with two notes each."""
    if len(arrays.score.voices) < 2 or min(len(line.pitch) for line in arrays.lines) < 2:
        return {f"quality/{name}": math.nan for name in QUALITY_METRICS}
    return {f"quality/{name}": float(metric(arrays)) for name, metric in QUALITY_METRICS.items()}


_Group = Callable[[ScoreArrays], dict[str, float]]
_GROUPS: dict[tuple[str, ...], _Group] = {  # by the prefixes of the names
    ("pitch", "melody"): melody.pitch_and_melody,
    ("degree", "interval", "motion", "texture"): harmony.degrees_and_intervals,
    ("rhythm", "velocity"): rhythm.rhythm_and_velocity,
    ("phrase",): _phrases,
    ("motif",): _motifs,
    ("counterpoint",): _counterpoint_rates,
    ("quality",): _quality,
}
_GROUP_OF = {prefix: group for prefixes, group in _GROUPS.items() for prefix in prefixes}


class Description(Mapping[str, float]):
    """The descriptors of a score by name, such as ``pitch/upper_mean``; NaN if one is undefined.

    A group of descriptors is computed when one of them is first read.
    """

    def __init__(self, score: Score) -> None:
        self.score = score
        self._arrays = ScoreArrays(score)
        self._values: dict[_Group, dict[str, float]] = {}

    def __getitem__(self, name: str) -> float:
        return self._computed(_GROUP_OF[name.partition("/")[0]])[name]

    def __iter__(self) -> Iterator[str]:
        for group in _GROUPS.values():
            yield from self._computed(group)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def _computed(self, group: _Group) -> dict[str, float]:
        if group not in self._values:
            self._values[group] = group(self._arrays)
        return self._values[group]


def describe(score: Score) -> Description:
    """Return the descriptors of a score."""
    return Description(score)
