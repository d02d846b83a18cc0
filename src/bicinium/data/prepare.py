"""Prepare a training set from music files: import, select, and write shards.

The folder also gets ``manifest.csv``, with a row for every piece, kept or rejected with the reason,
its licence and whom to credit; ``manifest.json``, a summary; and ``readings.sqlite``, the cache of
imported files. The same input gives the same bytes.
"""

from __future__ import annotations

import csv
import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bicinium.atomic_write import atomic_write, remove_leftovers
from bicinium.data.import_sources import imported_records
from bicinium.data.piece_record import PieceRecord
from bicinium.data.select import select
from bicinium.data.shards import staged_shards
from bicinium.data.source_file import SourceFile
from bicinium.errors import CorpusError
from bicinium.music.losses import LossKind, count_losses

MANIFEST_NAME = "manifest.csv"
SUMMARY_NAME = "manifest.json"
CACHE_NAME = "readings.sqlite"
_MANIFEST_COLUMNS = (
    "name", "kept", "reason", "reject_reason", "composer", "title", "opus", "licence", "credit",
    "style", "cluster", "split", "method", "key", "meter", "bars", "notes", "notes_dropped",
    "notes_shortened", "notes_off_grid", "notes_left_out", "grammar_score", "quality_score",
    "losses",
)  # fmt: skip
_NAMED_REASONS = 3  # in the error if no piece is kept


@dataclass(slots=True)
class CorpusSummary:
    """Counts of the pieces of a training set, and of those that were rejected."""

    outcomes: Counter[str] = field(default_factory=Counter)  # "kept", or the label of a reason
    licences: Counter[str] = field(default_factory=Counter)  # of kept pieces, as the rest
    styles: Counter[str] = field(default_factory=Counter)
    losses: Counter[LossKind] = field(default_factory=Counter)
    pieces_with_loss: Counter[LossKind] = field(default_factory=Counter)
    notes: int = 0
    notes_dropped: int = 0  # by the reduction to two voices
    validation_pieces: int = 0

    @property
    def kept(self) -> int:
        """Number of pieces that are kept."""
        return self.outcomes["kept"]

    @property
    def dropped_share(self) -> float:
        """Share of the notes of kept pieces that belong to neither voice."""
        return self.notes_dropped / max(1, self.notes_dropped + self.notes)

    def add(self, record: PieceRecord) -> None:
        """Count a piece."""
        self.outcomes[record.outcome] += 1
        if record.kept:
            self.licences[record.licence] += 1
            self.styles[record.style or "unknown"] += 1
            self.notes += record.notes
            counts = count_losses(record.losses)
            self.losses.update(counts)
            self.pieces_with_loss.update(counts.keys())
            self.notes_dropped += record.notes_dropped
            self.validation_pieces += record.split == "validation"


def prepare(
    sources: Iterable[SourceFile],
    out: Path,
    min_grammar_score: float = 1.0,
    jobs: int = -1,
    *,
    min_quality_score: float = 0.0,
    cluster: str | None = None,
    on_record: Callable[[PieceRecord], None] = lambda record: None,
) -> CorpusSummary:
    """Write a training set to the folder ``out`` and return its counts.

    ``jobs`` processes import the files; -1 is one for each core. ``cluster`` is the address of a
    Dask scheduler whose workers do it instead; they need the files under the same paths.
    ``on_record`` is called with the record of every piece, kept or rejected, in order. The records
    lie on disk; those of one shard are in memory. Raises CorpusError if no piece is kept.
    """
    summary = CorpusSummary()
    settings = {"min_grammar_score": min_grammar_score, "min_quality_score": min_quality_score}
    try:
        with imported_records(sources, jobs, cluster=cluster, cache=out / CACHE_NAME) as imported:
            remove_leftovers(out)
            records = select(imported, min_grammar_score, min_quality_score)
            _write(out, records, summary, settings, on_record, imported.file_count)
    except OSError as error:
        raise CorpusError(
            f"{error.filename or out} cannot be written: {error.strerror or error}. What was in "
            f"{out} before is whole. Mend that, and run the same command again: imported files "
            "are cached."
        ) from error
    return summary


def _write(
    out: Path,
    records: Iterable[PieceRecord],
    summary: CorpusSummary,
    settings: dict[str, float],
    on_record: Callable[[PieceRecord], None],
    file_count: int,
) -> None:
    """Write shards, manifest and summary under other names, then give all of them their names."""

    def kept_pieces(writer: csv.DictWriter[str]) -> Iterator[PieceRecord]:
        reasons: set[str] = set()  # the first in the alphabet
        for record in records:
            writer.writerow(_manifest_row(record))
            summary.add(record)
            on_record(record)
            if record.kept:
                yield record
            else:
                reasons = set(sorted({*reasons, record.reason})[:_NAMED_REASONS])
        if not summary.kept:
            raise CorpusError(
                f"No piece of {file_count} files could be kept: {'; '.join(sorted(reasons))}."
            )

    with ExitStack() as at_the_end:
        manifest = at_the_end.enter_context(atomic_write(out / MANIFEST_NAME))
        counts = at_the_end.enter_context(atomic_write(out / SUMMARY_NAME))
        with manifest.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, _MANIFEST_COLUMNS)
            writer.writeheader()
            shards = at_the_end.enter_context(staged_shards(out, kept_pieces(writer)))
        counts.write_text(_summary_text(summary, shards, settings), encoding="utf-8")


def _manifest_row(record: PieceRecord) -> dict[str, Any]:
    """Return what became of a piece and why."""
    values = {
        "reject_reason": record.rejection.reason if record.rejection else "",
        "split": record.split if record.kept else "",
        "losses": " ".join(map(str, record.losses)),
    }
    return {name: getattr(record, name, None) for name in _MANIFEST_COLUMNS} | values


def _summary_text(
    summary: CorpusSummary, shards: Sequence[Path], settings: dict[str, float]
) -> str:
    """Return settings, counts and licences of the whole set, and the hash of each shard."""
    rejected = {name: count for name, count in summary.outcomes.items() if name != "kept"}
    document = {
        "settings": settings,
        "kept": summary.kept,
        "dropped": dict(sorted(rejected.items())),
        "notes": summary.notes,
        "validation_pieces": summary.validation_pieces,
        "losses": {
            kind.label: {"pieces": summary.pieces_with_loss[kind], "count": summary.losses[kind]}
            for kind in LossKind
            if kind in summary.losses
        },
        "licences": dict(sorted(summary.licences.items())),
        "shards": {shard.name: hashlib.sha256(shard.read_bytes()).hexdigest() for shard in shards},
    }
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"
