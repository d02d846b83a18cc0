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
from collections.abc import Iterable, Sequence
from pathlib import Path

from bicinium.atomic_write import atomic_write
from bicinium.data.import_sources import import_sources
from bicinium.data.piece_record import PieceRecord
from bicinium.data.select import select
from bicinium.data.shards import write_shards
from bicinium.data.source_file import SourceFile
from bicinium.errors import CorpusError

MANIFEST_NAME = "manifest.csv"
SUMMARY_NAME = "manifest.json"
CACHE_NAME = "readings.sqlite"
_MANIFEST_COLUMNS = (
    "name", "kept", "reason", "reject_reason", "composer", "title", "opus", "licence", "credit",
    "style", "cluster", "split", "method", "key", "meter", "bars", "notes", "notes_dropped",
    "notes_shortened", "notes_off_grid", "notes_left_out", "grammar_score", "quality_score",
)  # fmt: skip


def prepare(
    sources: Iterable[SourceFile],
    out: Path,
    min_grammar_score: float = 1.0,
    jobs: int = -1,
    *,
    min_quality_score: float = 0.0,
    cluster: str | None = None,
) -> list[PieceRecord]:
    """Write a training set to the folder ``out`` and return the record of every piece.

    ``jobs`` processes import the files; -1 is one for each core. ``cluster`` is the address of a
    Dask scheduler whose workers do it instead; they need the files under the same paths. Raises
    CorpusError if no piece is kept.
    """
    sources = list(sources)
    out.mkdir(parents=True, exist_ok=True)
    imported = import_sources(sources, jobs, cluster=cluster, cache=out / CACHE_NAME)
    records = select(imported, min_grammar_score, min_quality_score)
    kept = [record for record in records if record.kept]
    if not kept:
        reasons = sorted({record.reason for record in records})
        raise CorpusError(
            f"No piece of {len(sources)} files could be kept: {'; '.join(reasons[:3])}."
        )
    shards = write_shards(out, kept)
    _write_manifest(out / MANIFEST_NAME, records)
    settings = {"min_grammar_score": min_grammar_score, "min_quality_score": min_quality_score}
    _write_summary(out / SUMMARY_NAME, records, shards, settings)
    return records


def _write_manifest(path: Path, records: Sequence[PieceRecord]) -> None:
    """Write a row for each record, with what became of it and why."""
    with atomic_write(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, _MANIFEST_COLUMNS)
        writer.writeheader()
        for record in records:
            values = {
                "reject_reason": record.rejection.reason if record.rejection else "",
                "split": record.split if record.kept else "",
            }
            row = {name: getattr(record, name, None) for name in _MANIFEST_COLUMNS}
            writer.writerow(row | values)


def _write_summary(
    path: Path,
    records: Sequence[PieceRecord],
    shards: Sequence[Path],
    settings: dict[str, float],
) -> None:
    """Write settings, counts and licences of the whole set, and the hash of each shard."""
    kept = [record for record in records if record.kept]
    rejected = Counter(record.outcome for record in records if not record.kept)
    document = {
        "settings": settings,
        "kept": len(kept),
        "dropped": dict(sorted(rejected.items())),
        "notes": sum(record.notes for record in kept),
        "validation_pieces": sum(record.split == "validation" for record in kept),
        "licences": dict(sorted(Counter(record.licence for record in kept).items())),
        "shards": {shard.name: hashlib.sha256(shard.read_bytes()).hexdigest() for shard in shards},
    }
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", "utf-8")
