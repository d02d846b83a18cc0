"""Remarks on a score in words, with bars to look at. They do not depend on the key."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from itertools import groupby

from bicinium.music.counterpoint import dominant, parallels, voices_off_tonic
from bicinium.music.key import Key
from bicinium.music.score import Score, Voice

MIN_REPEATED_BARS = 4  # equal consecutive bars of one hand
MIN_SILENT_BARS = 4
PHRASE_BARS = 4
_MAX_BARS_NAMED = 5
_HANDS = ("right hand", "left hand")


def remarks(score: Score) -> list[str]:
    """Return a sentence for each thing to look at.

    These are hands that repeat one bar or rest for four bars or more; parallel fifths and octaves;
    a piece of eight bars or more without a half cadence; and an end off the tonic.
    """
    return [*_repetitions(score), *_parallels(score), *_cadences(score)]


def _repetitions(score: Score) -> Iterator[str]:
    for hand, voice in zip(_HANDS, score.voices, strict=False):
        for first, last, bar in _equal_runs(_bars(voice, score), score.bar_number(0)):
            count = last - first + 1
            if bar and count >= MIN_REPEATED_BARS:
                yield f"{hand} plays the same bar {count} times, bars {first} to {last}"
            elif not bar and count >= MIN_SILENT_BARS:
                yield f"{hand} starts no note in bars {first} to {last}"


def _parallels(score: Score) -> Iterator[str]:
    if len(score.voices) != len(_HANDS):
        return
    first, ticks = score.bar_number(0), score.meter.bar_ticks
    bars = sorted({found.tick // ticks + first for found in parallels(score)})
    if bars:
        named = ", ".join(map(str, bars[:_MAX_BARS_NAMED]))
        more = " and others" if len(bars) > _MAX_BARS_NAMED else ""
        yield f"parallel fifths or octaves in bar{'s' * (len(bars) > 1)} {named}{more}"


def _cadences(score: Score) -> Iterator[str]:
    """Yield what is missing where phrases of four bars end, and where the piece ends."""
    key = score.key or score.estimated_key
    if key is None or len(score.voices) != len(_HANDS) or not score.voices[1].notes:
        return
    first = score.bar_number(0)
    ends = range(PHRASE_BARS, score.bars + first - 1, PHRASE_BARS)  # numbers of the last bars
    if ends and not any(_is_over_dominant(score, key, end - first + 1) for end in ends):
        bars = ", ".join(str(end) for end in ends[:_MAX_BARS_NAMED])
        yield f"no half cadence: no phrase of four bars ends over the dominant (bar {bars})"
    for voice in voices_off_tonic(score, key):
        yield f"{_HANDS[voice]} does not end on the tonic chord"


def _is_over_dominant(score: Score, key: Key, bars: int) -> bool:
    """Return whether the dominant is the last note of the left hand in the first ``bars``."""
    end = bars * score.meter.bar_ticks
    before = [n for n in score.voices[1].notes if n.onset_tick < end]
    return bool(before) and before[-1].pitch % 12 == dominant(key)


def _bars(voice: Voice, score: Score) -> list[tuple[Hashable, ...]]:
    """Return the notes that start in each bar, with onsets counted from the barline."""
    ticks = score.meter.bar_ticks
    bars: list[list[Hashable]] = [[] for _ in range(score.bars)]
    for note in voice.notes:
        bar, onset = divmod(note.onset_tick, ticks)
        bars[bar].append((onset, note.pitch, note.duration_ticks))
    return [tuple(bar) for bar in bars]


def _equal_runs(
    bars: Sequence[tuple[Hashable, ...]], first: int
) -> Iterator[tuple[int, int, tuple[Hashable, ...]]]:
    """Yield the numbers of the first and last bar, and the content, of each run of equal bars."""
    for bar, run in groupby(bars):
        last = first + sum(1 for _ in run) - 1
        yield first, last, bar
        first = last + 1
