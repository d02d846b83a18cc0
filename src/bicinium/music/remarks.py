"""Remarks on a score in words, with bars to look at. They do not depend on the key."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from itertools import groupby

from bicinium.music.score import Score, Voice

MIN_REPEATED_BARS = 4  # equal consecutive bars of one hand
MIN_SILENT_BARS = 4
_HANDS = ("right hand", "left hand")


def remarks(score: Score) -> list[str]:
    """Return a sentence for each hand that repeats one bar, or rests, for four bars or more."""
    found = []
    for hand, voice in zip(_HANDS, score.voices, strict=False):
        for first, last, bar in _equal_runs(_bars(voice, score)):
            count = last - first + 1
            if bar and count >= MIN_REPEATED_BARS:
                found.append(f"{hand} plays the same bar {count} times, bars {first} to {last}")
            elif not bar and count >= MIN_SILENT_BARS:
                found.append(f"{hand} starts no note in bars {first} to {last}")
    return found


def _bars(voice: Voice, score: Score) -> list[tuple[Hashable, ...]]:
    """Return the notes that start in each bar, with onsets counted from the barline."""
    ticks = score.meter.bar_ticks
    bars: list[list[Hashable]] = [[] for _ in range(score.bars)]
    for note in voice.notes:
        bar, onset = divmod(note.onset_tick, ticks)
        bars[bar].append((onset, note.pitch, note.duration_ticks))
    return [tuple(bar) for bar in bars]


def _equal_runs(
    bars: Sequence[tuple[Hashable, ...]],
) -> Iterator[tuple[int, int, tuple[Hashable, ...]]]:
    """Yield first and last bar number, from 1, and the content of each run of equal bars."""
    first = 1
    for bar, run in groupby(bars):
        last = first + sum(1 for _ in run) - 1
        yield first, last, bar
        first = last + 1
