"""Find the same piece twice: in another key, at another tempo, in another edition.

The fingerprint of a voice is a set of hashes of figures, each the intervals of ten consecutive
notes. Key, tempo and note values do not change it, and a few other notes change little of it. Two
pieces are duplicates if both their upper and both their lower voices share most of their figures.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np

from bicinium.music.score import Score

_FIGURE_NOTES = 10
_MAX_FIGURES = 48  # of each voice, those with the lowest hashes: a fair sample (Broder 1997)
_MIN_SIMILARITY = 0.5  # of the voices of duplicates

Fingerprint = tuple[tuple[int, ...], tuple[int, ...]]  # of the upper and the lower voice


def fingerprint(score: Score) -> Fingerprint:
    """Return the fingerprints of the outer voices, which are the same in every key and tempo."""
    upper, lower = score.voices[0], score.voices[-1]
    return (
        _figures([note.pitch for note in upper.notes]),
        _figures([note.pitch for note in lower.notes]),
    )


def _figures(pitches: Sequence[int]) -> tuple[int, ...]:
    steps = np.diff(np.array(pitches, np.int8)).tobytes()
    width = min(_FIGURE_NOTES - 1, max(1, len(steps)))
    figures = {steps[i : i + width] for i in range(max(1, len(steps) - width + 1))}
    hashes = sorted(
        int.from_bytes(hashlib.blake2b(figure, digest_size=6).digest(), "big") for figure in figures
    )
    return tuple(hashes[:_MAX_FIGURES])


def find_duplicates(fingerprints: Sequence[Fingerprint]) -> dict[int, int]:
    """Return, for each piece that duplicates an earlier one, the index of the earlier one.

    The fingerprints are in order of preference: the first of several duplicates is the original.
    """
    holders: dict[int, list[int]] = defaultdict(list)  # figure of an upper voice: originals
    originals: dict[int, int] = {}
    for index, (upper, lower) in enumerate(fingerprints):
        shared = Counter(other for figure in upper for other in holders.get(figure, ()))
        for other, count in sorted(shared.items(), key=lambda item: (-item[1], item[0])):
            if count < _MIN_SIMILARITY * len(upper) / 2:
                break
            other_upper, other_lower = fingerprints[other]
            if min(_jaccard(upper, other_upper), _jaccard(lower, other_lower)) >= _MIN_SIMILARITY:
                originals[index] = other
                break
        if index not in originals:
            for figure in upper:
                holders[figure].append(index)
    return originals


def _jaccard(one: Sequence[int], other: Sequence[int]) -> float:
    """Estimate the share of common figures from the lowest hashes of both (Broder 1997)."""
    lowest = sorted({*one, *other})[:_MAX_FIGURES]
    common = set(one) & set(other)
    return sum(figure in common for figure in lowest) / len(lowest)
