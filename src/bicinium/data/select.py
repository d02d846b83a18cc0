"""Select the pieces of a training set: high scores, no duplicates, related works in one split."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import replace

from bicinium.data.duplicates import DuplicateIndex
from bicinium.data.piece_record import PieceRecord, Rejection, RejectReason
from bicinium.data.split import hash_fraction
from bicinium.data.temporary_database import temporary_database

MIN_QUALITY_SCORE = 0.05  # default of the command line


def select(
    records: Iterable[PieceRecord], min_grammar_score: float, min_quality_score: float
) -> Iterator[PieceRecord]:
    """Yield the records in their order, with a rejection for each piece that is not selected.

    ``records`` is iterated twice and must be the same both times. What has to be remembered of each
    piece lies in temporary databases on disk.

    Clusters that share a piece, directly or through other clusters, are in one split: validation
    if any of them is. If two clusters or more are left, neither split is empty.
    """
    with closing(_Selection()) as selection:
        for index, record in enumerate(records):
            selection.add(index, _with_scores(record, min_grammar_score, min_quality_score))
        selection.merge_splits()
        selection.fill_empty_split()
        for index, record in enumerate(records):
            scored = _with_scores(record, min_grammar_score, min_quality_score)
            yield selection.apply(index, scored)


class _Selection:
    """Duplicates, and the split of each cluster, in temporary databases."""

    def __init__(self) -> None:
        self.duplicates = DuplicateIndex()
        self.connection = temporary_database(
            "CREATE TABLE kept"
            " (record INTEGER PRIMARY KEY, name TEXT, cluster TEXT, notes INTEGER);"
            "CREATE TABLE duplicates (record INTEGER PRIMARY KEY, original TEXT);"
            "CREATE TABLE clusters (name TEXT PRIMARY KEY, split TEXT) WITHOUT ROWID;"
            "CREATE TABLE shared (one TEXT, other TEXT, PRIMARY KEY (one, other)) WITHOUT ROWID;"
        )

    def close(self) -> None:
        self.duplicates.close()
        self.connection.close()

    def add(self, index: int, record: PieceRecord) -> None:
        """Note the split of a record and, if it is kept, what it duplicates."""
        execute = self.connection.execute
        execute("REPLACE INTO clusters VALUES (?, ?)", (record.cluster, record.split))
        if not record.kept:
            return
        original = self.duplicates.add(index, record.fingerprint)
        if original is None:
            row = (index, record.name, record.cluster, record.notes)
            execute("INSERT INTO kept VALUES (?, ?, ?, ?)", row)
            return
        query = "SELECT name, cluster FROM kept WHERE record = ?"
        name, cluster = execute(query, (original,)).fetchone()
        execute("INSERT INTO duplicates VALUES (?, ?)", (index, name))
        for pair in ((record.cluster, cluster), (cluster, record.cluster)):
            execute("INSERT OR IGNORE INTO shared VALUES (?, ?)", pair)

    def merge_splits(self) -> None:
        """Put every cluster that is connected with one of the validation split into that split."""
        self.connection.execute(
            "WITH RECURSIVE held_out (name) AS ("
            " SELECT name FROM clusters WHERE split = 'validation'"
            " UNION SELECT other FROM shared JOIN held_out ON one = name)"
            "UPDATE clusters SET split = 'validation' WHERE name IN held_out"
        )

    def fill_empty_split(self) -> None:
        """Hold out one cluster, or train on the others, if all kept pieces are in one split.

        Held out is the first by the hash of its name that has at most half of the notes.
        """
        execute = self.connection.execute
        query = "SELECT count(DISTINCT split) FROM kept JOIN clusters ON clusters.name = cluster"
        (splits,) = execute(query).fetchone()
        notes = dict(execute("SELECT cluster, sum(notes) FROM kept GROUP BY cluster LIMIT 2"))
        if splits != 1 or len(notes) < 2:
            return
        notes = dict(execute("SELECT cluster, sum(notes) FROM kept GROUP BY cluster"))
        total = sum(notes.values())
        small = [cluster for cluster in notes if 2 * notes[cluster] <= total]
        chosen = min(small, key=hash_fraction)
        execute("UPDATE clusters SET split = 'train' WHERE name IN (SELECT cluster FROM kept)")
        execute("UPDATE clusters SET split = 'validation' WHERE name = ?", (chosen,))

    def apply(self, index: int, record: PieceRecord) -> PieceRecord:
        """Return a record with its rejection as a duplicate, and with its split."""
        query = "SELECT original FROM duplicates WHERE record = ?"
        if found := self.connection.execute(query, (index,)).fetchone():
            record = replace(record, rejection=Rejection(RejectReason.DUPLICATE, found[0]))
        query = "SELECT split FROM clusters WHERE name = ?"
        (split,) = self.connection.execute(query, (record.cluster,)).fetchone()
        return replace(record, split=split)


def _with_scores(
    record: PieceRecord, min_grammar_score: float, min_quality_score: float
) -> PieceRecord:
    if record.rejection:
        return record
    if record.grammar_score < min_grammar_score:
        detail = f"{record.grammar_score:.3f}: {record.grammar_fault}"
        return replace(record, rejection=Rejection(RejectReason.GRAMMAR, detail))
    return replace(record, rejection=low_quality(record, min_quality_score))


def low_quality(record: PieceRecord, min_quality_score: float) -> Rejection | None:
    """Return a rejection if the quality score of a piece is under the minimum."""
    if record.quality_score >= min_quality_score:
        return None
    detail = f"{record.quality_score:.3f} is under {min_quality_score:g}"
    return Rejection(RejectReason.QUALITY, detail)
