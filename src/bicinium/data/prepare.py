"""A folder of music becomes a training set: read (``reading``), chosen from, written as shards.

What was read is remembered in ``readings.sqlite`` beside the result: what has not changed is not
read again, and an interrupted run goes on where it was. Choosing what to keep is quick, and done
anew each time.

Every file stands in ``manifest.csv``, kept or with the reason why not, with its licence and whom to
credit. The same input gives the same bytes.
"""

from __future__ import annotations

import csv
import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from bicinium.atomic_write import atomic_write
from bicinium.data.duplicates import find_duplicates
from bicinium.data.import_piece import Reading, Stretch, read_sources
from bicinium.data.piece_record import PieceRecord
from bicinium.data.shards import write_shards
from bicinium.data.sources import SourceFile
from bicinium.errors import CorpusError

MANIFEST_NAME = "manifest.csv"
SUMMARY_NAME = "manifest.json"
MIN_QUALITY_SCORE = 0.05  # what the command line asks for


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of one file, or of one stretch of it."""

    source: SourceFile
    name: str
    kept: bool
    reason: str
    reading: Reading
    stretch: Stretch | None  # None where the file could not be read

    @property
    def notes(self) -> int:
        return self.stretch.notes if self.stretch else 0

    @property
    def licence(self) -> str:
        """What the source says of it and, where that is something else, what the file says."""
        of_source, of_file = self.source.licence, self.reading.licence
        return of_source if of_file in of_source else "; ".join(filter(None, (of_source, of_file)))

    def piece(self, stretch: Stretch, split: str) -> PieceRecord:
        """The training piece that its ``stretch`` is, on this side."""
        return PieceRecord(
            name=self.name,
            composer=self.source.composer or self.reading.composer,
            title=self.source.title or self.reading.title,
            licence=self.licence,
            credit=self.source.credit,
            cluster=self.source.cluster,
            style=self.source.style,
            split=split,
            meter=stretch.meter,
            mode=stretch.mode,
            transposition=stretch.transposition,
            bars=stretch.bars,
            notes=stretch.notes,
            tokens=np.array(stretch.tokens, np.int16),
            anacrusis_ticks=stretch.anacrusis_ticks,
            grammar_score=stretch.grammar_score,
            quality_score=stretch.quality_score,
        )


def prepare(
    sources: Iterable[SourceFile],
    out: Path,
    min_grammar_score: float = 1.0,
    jobs: int = -1,
    *,
    min_quality_score: float = 0.0,
    cluster: str | None = None,
) -> list[Verdict]:
    """Write the training set to the folder ``out`` and say what became of every file.

    ``jobs`` processes share the reading; -1 is one for each core. ``cluster`` is the address of a
    Dask scheduler whose workers do it instead; they must see the files under the same paths.
    """
    sources = list(sources)
    out.mkdir(parents=True, exist_ok=True)
    readings = read_sources(sources, jobs, cluster=cluster, store=out / "readings.sqlite")
    verdicts = choose(sources, readings, min_grammar_score, min_quality_score)
    pieces = _pieces(verdicts)
    if not pieces:
        reasons = sorted({verdict.reason for verdict in verdicts})
        raise CorpusError(
            f"nothing could be kept of {len(sources)} files: {'; '.join(reasons[:3])}"
        )
    shards = write_shards(out, pieces)
    splits = {piece.name: piece.split for piece in pieces}
    _write_manifest(out / MANIFEST_NAME, verdicts, splits)
    settings = {"min_grammar_score": min_grammar_score, "min_quality_score": min_quality_score}
    _write_summary(out / SUMMARY_NAME, verdicts, pieces, shards, settings)
    return verdicts


# ------------------------------------------------------------------ choosing


def choose(
    sources: Sequence[SourceFile],
    readings: Sequence[Reading],
    min_grammar_score: float,
    min_quality_score: float,
) -> list[Verdict]:
    """A verdict for each stretch, and for each file that has none; in order."""
    verdicts = []
    for source, reading in zip(sources, readings, strict=True):
        if not reading.stretches:
            flaw = reading.flaw or "it holds no music"
            verdicts.append(Verdict(source, source.name, False, flaw, reading, None))
        for stretch in reading.stretches:
            reason = stretch.flaw
            if not reason and stretch.grammar_score < min_grammar_score:
                reason = f"grammar_score {stretch.grammar_score:.3f}: {stretch.grammar_fault}"
            if not reason and stretch.quality_score < min_quality_score:
                reason = f"quality_score {stretch.quality_score:.3f} is under {min_quality_score:g}"
            name = source.name + stretch.label
            verdicts.append(Verdict(source, name, not reason, reason, reading, stretch))
    kept = [i for i, verdict in enumerate(verdicts) if verdict.kept]
    repeated = find_duplicates([v.stretch.figures for i in kept if (v := verdicts[i]).stretch])
    for later, earlier in repeated.items():
        reason = f"duplicate of {verdicts[kept[earlier]].name}"
        verdicts[kept[later]] = replace(verdicts[kept[later]], kept=False, reason=reason)
    return verdicts


def _pieces(verdicts: Sequence[Verdict]) -> list[PieceRecord]:
    """The pieces to keep. Works that share a piece, be it by way of other works, are on one side,
    that of validation if any is."""
    split = {verdict.source.cluster: verdict.source.split for verdict in verdicts}
    by_name = {verdict.name: verdict for verdict in verdicts}
    sharing = [
        (v.source.cluster, by_name[v.reason.removeprefix("duplicate of ")].source.cluster)
        for v in verdicts
        if v.reason.startswith("duplicate of ")
    ]
    while apart := [works for works in sharing if split[works[0]] != split[works[1]]]:
        split |= {work: "validation" for works in apart for work in works}
    kept = [verdict for verdict in verdicts if verdict.kept]
    return [verdict.piece(verdict.stretch, split[verdict.source.cluster])
            for verdict in kept if verdict.stretch]  # fmt: skip


def kind_of(reason: str) -> str:
    """A reason without its particulars, to count by."""
    for kind, sign in (
        ("not in two voices", "voice begins a note"),
        ("too short", "too short"),
        ("off the grid", "off the grid"),
        ("grammar", "grammar_score"),
        ("quality", "quality_score"),
        ("duplicate", "duplicate of"),
        ("round trip", "round trip"),
    ):
        if sign in reason:
            return kind
    return "cannot be read" if reason else "kept"


def dropped_share(verdicts: Sequence[Verdict]) -> float:
    """Share of the source's notes that no voice kept, over the pieces that were kept."""
    kept = [verdict.stretch for verdict in verdicts if verdict.kept and verdict.stretch]
    dropped = sum(stretch.notes_dropped for stretch in kept)
    return dropped / max(1, dropped + sum(stretch.notes for stretch in kept))


# ------------------------------------------------------------------ writing


def _write_manifest(path: Path, verdicts: Sequence[Verdict], splits: dict[str, str]) -> None:
    """One row for each verdict: what it is, whose it is, what became of it and why."""
    rows: list[dict[str, Any]] = []
    for verdict in verdicts:
        source, reading = verdict.source, verdict.reading
        stretch = verdict.stretch or Stretch("", "", "", 0, 0, 0, 0)
        rows.append(
            {
                "name": verdict.name,
                "kept": verdict.kept,
                "reason": verdict.reason,
                "composer": source.composer or reading.composer,
                "title": source.title or reading.title,
                "opus": source.opus,
                "licence": verdict.licence,
                "credit": source.credit,
                "style": source.style,
                "cluster": source.cluster,
                "split": splits.get(verdict.name, ""),
                "method": stretch.method,
                "key": stretch.key,
                "meter": stretch.meter,
                "bars": stretch.bars,
                "notes": stretch.notes,
                "notes_dropped": stretch.notes_dropped,
                "notes_shortened": stretch.notes_shortened,
                "notes_off_grid": reading.notes_off_grid,
                "notes_left_out": reading.notes_left_out,
                "grammar_score": stretch.grammar_score,
                "quality_score": stretch.quality_score,
            }
        )
    with atomic_write(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def _write_summary(
    path: Path,
    verdicts: Sequence[Verdict],
    pieces: Sequence[PieceRecord],
    shards: Sequence[Path],
    settings: dict[str, float],
) -> None:
    """What the set is as a whole: settings, counts, licences, and the hash of each shard."""
    document = {
        "settings": settings,
        "kept": len(pieces),
        "dropped": dict(sorted(Counter(kind_of(v.reason) for v in verdicts if not v.kept).items())),
        "notes": sum(piece.notes for piece in pieces),
        "validation_pieces": sum(piece.split == "validation" for piece in pieces),
        "licences": dict(sorted(Counter(piece.licence for piece in pieces).items())),
        "shards": {shard.name: hashlib.sha256(shard.read_bytes()).hexdigest() for shard in shards},
    }
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", "utf-8")
