"""The same piece twice: in another key, at another tempo, in another edition.

A voice's fingerprint is a set of figures, each of ten notes with their intervals only, so that key,
tempo, note values and a few other notes change little of it. Two pieces are the same where the
fingerprints of both their upper and both their lower voices agree in most figures.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np

from bicinium.music.score import Score

_FIGURE_NOTES = 10
_KEPT_FIGURES = 48  # of each voice, those of the lowest hashes: a fair sample (Broder 1997)
_ALIKE = 0.5  # share of common figures from which on two voices are the same

Fingerprint = tuple[tuple[int, ...], tuple[int, ...]]  # of the upper and the lower voice


def fingerprint(score: Score) -> Fingerprint:
    """What ``find_duplicates`` compares; the same in every key and at every tempo."""
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
    return tuple(hashes[:_KEPT_FIGURES])


def find_duplicates(fingerprints: Sequence[Fingerprint]) -> dict[int, int]:
    """Of each piece that an earlier one repeats: the index of that earlier one.

    ``fingerprints`` stand in the order in which pieces are preferred.
    """
    holders: dict[int, list[int]] = defaultdict(list)  # figure of an upper voice: pieces kept
    repeated: dict[int, int] = {}
    for index, (upper, lower) in enumerate(fingerprints):
        shared = Counter(other for figure in upper for other in holders.get(figure, ()))
        for other, count in sorted(shared.items(), key=lambda item: (-item[1], item[0])):
            if count < _ALIKE * len(upper) / 2:
                break
            theirs = fingerprints[other]
            if _likeness(upper, theirs[0]) >= _ALIKE and _likeness(lower, theirs[1]) >= _ALIKE:
                repeated[index] = other
                break
        if index not in repeated:
            for figure in upper:
                holders[figure].append(index)
    return repeated


def _likeness(one: Sequence[int], other: Sequence[int]) -> float:
    """Share of common figures among the lowest of both together (Broder's estimate)."""
    lowest = sorted({*one, *other})[:_KEPT_FIGURES]
    common = set(one) & set(other)
    return sum(figure in common for figure in lowest) / len(lowest)
