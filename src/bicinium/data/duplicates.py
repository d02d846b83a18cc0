"""Find the same piece twice: in another key, at another tempo, in another edition.

The fingerprint of a voice is a set of hashes of figures, each the intervals of ten consecutive
notes. Key, tempo and note values do not change it, and a few other notes change little of it. Two
pieces are duplicates if both their upper and both their lower voices share most of their figures.
"""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Sequence

import numpy as np

from bicinium.data.temporary_database import temporary_database
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


class DuplicateIndex:
    """Fingerprints of the pieces seen so far, in a temporary database on disk.

    Pieces are added in order of preference: the first of several duplicates is the original. A
    duplicate shares at least half the figures of its upper voice with its original, so it shares at
    least one of its n // 2 + 1 rarest figures. Only the pieces that hold one of these are compared
    (prefix filtering, Chaudhuri et al. 2006), so a figure that is common everywhere costs nothing.
    """

    def __init__(self) -> None:
        self.connection = temporary_database(
            "CREATE TABLE holders (figure INTEGER, piece INTEGER, PRIMARY KEY (figure, piece))"
            " WITHOUT ROWID;"
            "CREATE TABLE frequencies (figure INTEGER PRIMARY KEY, pieces INTEGER);"
            "CREATE TABLE originals (piece INTEGER PRIMARY KEY, upper BLOB, lower BLOB);"
        )

    def close(self) -> None:
        """Delete the database."""
        self.connection.close()

    def add(self, piece: int, figures: Fingerprint) -> int | None:
        """Return the number of the original that a piece duplicates, or add it as an original."""
        for other, (upper, lower) in self._candidates(figures[0]):
            if min(_jaccard(figures[0], upper), _jaccard(figures[1], lower)) >= _MIN_SIMILARITY:
                return other
        upper, lower = figures
        self.connection.executemany(
            "INSERT INTO holders VALUES (?, ?)", [(figure, piece) for figure in upper]
        )
        self.connection.executemany(
            "INSERT INTO frequencies VALUES (?, 1) ON CONFLICT DO UPDATE SET pieces = pieces + 1",
            [(figure,) for figure in upper],
        )
        blobs = [array("q", voice).tobytes() for voice in figures]
        self.connection.execute("INSERT INTO originals VALUES (?, ?, ?)", (piece, *blobs))
        return None

    def _candidates(self, upper: Sequence[int]) -> list[tuple[int, Fingerprint]]:
        """Return the originals that may be similar, those with most common figures first."""
        frequency = dict.fromkeys(upper, 0)
        query = f"SELECT figure, pieces FROM frequencies WHERE figure IN ({_marks(upper)})"
        frequency.update(self.connection.execute(query, upper))
        rarest = sorted(upper, key=frequency.__getitem__)[: len(upper) // 2 + 1]
        rows = self.connection.execute(
            "SELECT piece, upper, lower FROM originals WHERE piece IN "
            f"(SELECT piece FROM holders WHERE figure IN ({_marks(rarest)}))",
            rarest,
        )
        found = [
            (piece, (tuple(array("q", first)), tuple(array("q", second))))
            for piece, first, second in rows
        ]
        own = set(upper)
        return sorted(found, key=lambda item: (-len(own.intersection(item[1][0])), item[0]))


def _marks(values: Sequence[int]) -> str:
    """Return the placeholders of so many values in a query."""
    return ", ".join("?" * len(values))


def _jaccard(one: Sequence[int], other: Sequence[int]) -> float:
    """Estimate the share of common figures from the lowest hashes of both (Broder 1997)."""
    lowest = sorted({*one, *other})[:_MAX_FIGURES]
    common = set(one) & set(other)
    return sum(figure in common for figure in lowest) / len(lowest)
