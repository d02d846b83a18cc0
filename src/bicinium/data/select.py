"""Select the pieces of a training set: high scores, no duplicates, related works in one split."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from bicinium.data.duplicates import find_duplicates
from bicinium.data.piece_record import PieceRecord, Rejection, RejectReason
from bicinium.data.split import hash_fraction

MIN_QUALITY_SCORE = 0.05  # default of the command line


def select(
    records: Sequence[PieceRecord], min_grammar_score: float, min_quality_score: float
) -> list[PieceRecord]:
    """Return the records in their order, with a rejection for each piece that is not selected.

    Clusters that share a piece, directly or through other clusters, are in one split: validation
    if any of them is. If two clusters or more are left, neither split is empty.
    """
    selected = [_with_scores(record, min_grammar_score, min_quality_score) for record in records]
    kept = [index for index, record in enumerate(selected) if record.kept]
    duplicates = find_duplicates([selected[index].fingerprint for index in kept])
    shared: list[tuple[str, str]] = []  # clusters
    for later, earlier in duplicates.items():
        duplicate, original = selected[kept[later]], selected[kept[earlier]]
        shared.append((duplicate.cluster, original.cluster))
        rejection = Rejection(RejectReason.DUPLICATE, original.name)
        selected[kept[later]] = replace(duplicate, rejection=rejection)
    splits = _merge_splits({record.cluster: record.split for record in selected}, shared)
    splits |= _fill_empty_split(splits, [record for record in selected if record.kept])
    return [replace(record, split=splits[record.cluster]) for record in selected]


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


def _merge_splits(splits: dict[str, str], shared: Sequence[tuple[str, str]]) -> dict[str, str]:
    while apart := [pair for pair in shared if splits[pair[0]] != splits[pair[1]]]:
        splits = splits | {cluster: "validation" for pair in apart for cluster in pair}
    return splits


def _fill_empty_split(splits: dict[str, str], kept: Sequence[PieceRecord]) -> dict[str, str]:
    """Return other splits of some clusters, if all the pieces that are kept are in one split.

    One cluster is held out: the first by the hash of its name that has at most half of the notes.
    """
    notes: Counter[str] = Counter()
    for record in kept:
        notes[record.cluster] += record.notes
    if len(notes) < 2 or len({splits[cluster] for cluster in notes}) == 2:
        return {}
    small = [cluster for cluster in notes if 2 * notes[cluster] <= notes.total()]
    chosen = min(small, key=hash_fraction)
    return {cluster: "validation" if cluster == chosen else "train" for cluster in notes}


def dropped_share(records: Sequence[PieceRecord]) -> float:
    """Return the share of notes that the reduction dropped, over the pieces that are kept."""
    kept = [record for record in records if record.kept]
    dropped = sum(record.notes_dropped for record in kept)
    return dropped / max(1, dropped + sum(record.notes for record in kept))
