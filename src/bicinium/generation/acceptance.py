"""Which finished pieces are rejected, and which are outliers beside real keyboard music.

A violation rejects a candidate. An outlier is a measure beyond its limits in ``OUTLIER_RULES``: the
piece is drawn again, and kept only if no attempt has fewer outliers.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from enum import Enum
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from bicinium.generation.fixed_notes import FixedNotes
from bicinium.music.score import TICKS_PER_QUARTER, VOICES, Score, Voice, note_array

if TYPE_CHECKING:
    from bicinium.generation.rerank import Candidate

_UPPER, _LOWER = 0, 1
_MIN_MOTIF_NOTES = 4  # of the upper voice in a bar that counts as repeated
_MIN_BARS_TO_RECUR = 8
_MIN_BARS_FOR_QUALITY = 8
_MAX_EQUAL_BARS = 4  # in a row in one voice, beside given notes
# Outliers among the first bars: whether they last, as what they count (docs/log.md).
_LASTS, _OFTEN_LASTS, _MAY_PASS = 9, 3, 1


class RejectReason(Enum):
    """Why a finished piece is rejected."""

    UNFINISHED = "unfinished"  # time was up before the first candidate was finished
    DEAD_END = "dead end"  # no token may come next
    BREAKS_CONSTRAINT = "breaks a constraint"  # one at full strength
    QUOTES = "quotes"  # more bars of the training set than max_quote
    NOT_ACCEPTED = "not accepted"  # by the caller's own test


class Rejection(NamedTuple):
    """A reason and what it is about: names of constraints, or what is quoted."""

    reason: RejectReason
    detail: str = ""


class OutlierRule(NamedTuple):
    """A measure of a piece and the limits within which most real pieces lie.

    A measure of NaN does not apply to the piece. ``in_opening`` is what an outlier among the first
    bars counts against a candidate, in nats of the critic.
    """

    name: str
    measure: Callable[[Candidate], float]
    low: float
    high: float
    in_opening: float = 0

    def is_outlier(self, candidate: Candidate) -> bool:
        """Return whether the measure lies beyond its limits."""
        value = self.measure(candidate)
        return not math.isnan(value) and not self.low <= value <= self.high


def _of_score(measure: Callable[[Score], float]) -> Callable[[Candidate], float]:
    """Turn a measure of scores into one of candidates."""
    return lambda candidate: measure(candidate.score)


def _melody_recurs(lag_bars: int) -> Callable[[Candidate], float]:
    """Measure how alike melodies are that many bars apart, in pieces long enough to tell."""

    def measure(candidate: Candidate) -> float:
        if candidate.score.bars < max(_MIN_BARS_TO_RECUR, 2 * lag_bars):
            return math.nan
        return candidate.descriptors[f"motif/melody_recurs_{lag_bars}"]

    return measure


def _quality(candidate: Candidate) -> float:
    """Return the quality score of a piece that is long enough to tell."""
    if candidate.score.bars < _MIN_BARS_FOR_QUALITY:
        return math.nan
    return candidate.quality_score


# Limits hold for 98 to 99 % of keyboard excerpts (docs/decisions.md, docs/log.md).
OUTLIER_RULES = (
    OutlierRule("share of bars played", _of_score(lambda s: min_share_of_bars_played(s)), 0.5, 1),
    OutlierRule("longest rest", _of_score(lambda s: longest_rest(s)), 0, 5, _LASTS),  # bars
    OutlierRule("first bar", _of_score(lambda s: first_bar_played(s)), 0, 0, _LASTS),  # from 0
    OutlierRule("repeated bars", _of_score(lambda s: longest_repetition(s)), 0, 2, _LASTS),  # bars
    OutlierRule("repeated left hand", _of_score(lambda s: repeated_bars(s, _LOWER)), 0, 4, _LASTS),
    OutlierRule("upper register", _of_score(lambda s: mean_pitch(s, _UPPER)), 59, 86, _OFTEN_LASTS),
    OutlierRule("lower register", _of_score(lambda s: mean_pitch(s, _LOWER)), 33, 65, _OFTEN_LASTS),
    OutlierRule("melody after 1 bar", _melody_recurs(1), 0.16, 0.77),
    OutlierRule("melody after 2 bars", _melody_recurs(2), 0.12, 0.77),
    OutlierRule("melody after 4 bars", _melody_recurs(4), 0.10, 0.78),
    OutlierRule("melody after 8 bars", _melody_recurs(8), 0.05, 0.95),
    OutlierRule("notes a second", lambda c: c.notes_per_second, 0, 12, _OFTEN_LASTS),
    OutlierRule("key", lambda c: c.checks["key"], 1, 1, _MAY_PASS),
    OutlierRule("quality score", _quality, 0.5, 1),
    OutlierRule("quoted bars", lambda c: c.quotation.bars, 0, 3),
)


def flaws_of_written(score: Score, given: FixedNotes) -> int:
    """Return how many flaws the notes have that were written around given ones.

    Counted for each voice: silence in more than half of the bars that are not given, and a bar that
    comes more often in a row than ``_MAX_EQUAL_BARS``.
    """
    bar, flaws = score.meter.bar_ticks, 0
    for part, (voice, fixed, spans) in enumerate(
        zip(score.voices, given.score.voices, given.fixed, strict=True)
    ):
        free = {
            number
            for number in range(score.bars)
            if not any(a <= number * bar and (number + 1) * bar <= b for a, b in spans)
        }
        known = set(fixed.notes)
        written = tuple(note for note in voice.notes if note not in known)
        voices = tuple(Voice(written if index == part else ()) for index in range(VOICES))
        flaws += len(bars_played(score, part) & free) < len(free) / 2
        flaws += repeated_bars(replace(score, voices=voices), part) > _MAX_EQUAL_BARS
    return flaws


def bars_played(score: Score, part: int) -> set[int]:
    """Return the bars, from 0, in which a note of the part sounds."""
    bar = score.meter.bar_ticks
    return {
        index
        for note in score.voices[part].notes
        for index in range(note.onset_tick // bar, -(-note.offset_tick // bar))
    }


def min_share_of_bars_played(score: Score) -> float:
    """Return the share of bars in which the voice that plays less has a note."""
    return min(len(bars_played(score, part)) for part in range(len(score.voices))) / score.bars


def longest_rest(score: Score, part: int | None = None) -> int:
    """Return the length in bars of the longest silence of a part, or of any one voice."""
    if part is None:
        return max(longest_rest(score, voice) for voice in range(len(score.voices)))
    played = sorted(bars_played(score, part) | {-1, score.bars})
    return max(later - earlier - 1 for earlier, later in pairwise(played))


def first_bar_played(score: Score) -> int:
    """Return the first bar, from 0, in which a note sounds; the number of bars if none does."""
    played = set[int]().union(*(bars_played(score, part) for part in range(len(score.voices))))
    return min(played, default=score.bars)


def longest_repetition(score: Score) -> int:
    """Return the longest run of equal bars, in both voices or in the melody alone.

    The melody is the upper voice in bars in which it begins at least four notes.
    """
    return max(repeated_bars(score), repeated_bars(score, _UPPER, _MIN_MOTIF_NOTES))


def repeated_bars(score: Score, part: int | None = None, min_notes: int = 1) -> int:
    """Return the length of the longest run of equal bars: in all voices, or in ``part`` only.

    Bars in which fewer than ``min_notes`` notes begin do not count.
    """
    bar = score.meter.bar_ticks
    held: list[list[tuple[int, int, int, int]]] = [[] for _ in range(score.bars)]
    for index, voice in enumerate(score.voices):
        for note in voice.notes if part in (None, index) else ():
            number, position = divmod(note.onset_tick, bar)
            held[number].append((index, position, note.pitch, note.duration_ticks))
    most = consecutive = 0
    for number, notes in enumerate(held):
        same = number > 0 and notes == held[number - 1]
        consecutive = consecutive + 1 if same else 1
        most = max(most, consecutive if len(notes) >= min_notes else 0)
    return most


def mean_pitch(score: Score, part: int) -> float:
    """Return the mean sounding pitch of a voice; NaN without notes."""
    pitches = note_array(score.voices[part].notes)[1]
    return float(pitches.mean()) if len(pitches) else math.nan


def notes_per_second(score: Score) -> float:
    """Return the notes per second in the densest bar of a voice, at the tempo of the score."""
    bar = score.meter.bar_ticks
    fullest = max(
        np.bincount(note_array(voice.notes)[0] // bar, minlength=1).max() for voice in score.voices
    )
    return float(fullest) * score.tempo_qpm * TICKS_PER_QUARTER / (60 * bar)
