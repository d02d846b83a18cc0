"""Show what a prepared corpus holds as one HTML page.

The page has counts, distributions, licences, the worst and the best pieces as piano rolls, and
every piece that was rejected, with the reason.
"""

from __future__ import annotations

import csv
import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup

from bicinium.data.piece_record import (
    PieceRecord,
    RejectReason,
    pitches_and_durations,
    score_of,
)
from bicinium.data.prepare import MANIFEST_NAME, SUMMARY_NAME
from bicinium.data.shards import load_pieces
from bicinium.errors import BiciniumError, CorpusError
from bicinium.music.score import TICKS_PER_QUARTER, Meter, pitch_name
from bicinium.render.piano_roll import RollNote, draw_piano_roll
from bicinium.reports.templates import render_template

_PIECES_DRAWN = 5  # of the worst and of the best
_BARS_DRAWN = 24
_MAX_CHART_ROWS = 24  # The rest is added up in one more row.
_MAX_CREDITS = 200  # of a licence
_BAR_PIXELS = 320
_PITCHES_PER_ROW = 4
_BAR_EDGES = (4, 8, 16, 24, 32, 48, 64, 96, 128, 192, 256, np.inf)
_NOTE_EDGES = (24, 50, 100, 200, 400, 800, 1600, 3200, np.inf)
_QUALITY_EDGES = tuple(np.linspace(0, 1, 11).round(1).tolist())
_GRAMMAR_EDGES = (0, 0.5, 0.9, 0.99, 1)

Row = Mapping[str, str]  # of the manifest


def corpus_report(folder: Path) -> str:
    """Return the page for a prepared corpus. Raises CorpusError if there is none at ``folder``."""
    pieces = load_pieces(folder)
    rows = _read_manifest(folder / MANIFEST_NAME)
    kept = [row for row in rows if row["kept"] == "True"]
    by_quality = sorted(pieces, key=lambda piece: (piece.quality_score, piece.name))
    labels, outcomes = _outcomes(rows)
    return render_template(
        "bicinium.data",
        "corpus.html.j2",
        pieces=len(pieces),
        total=len(rows),
        notes=sum(piece.notes for piece in pieces),
        tokens=sum(len(piece.tokens) for piece in pieces),
        validation=sum(piece.split == "validation" for piece in pieces),
        labels=labels,
        outcomes=outcomes,
        charts=[*_charts_of_pieces(pieces, kept), *_charts_of_notes(pieces)],
        licences=_licences(kept),
        losses=_read_losses(folder / SUMMARY_NAME),
        max_credits=_MAX_CREDITS,
        manifest=MANIFEST_NAME,
        bars_drawn=_BARS_DRAWN,
        worst=[_drawn(piece) for piece in by_quality[:_PIECES_DRAWN]],
        best=[_drawn(piece) for piece in by_quality[: -_PIECES_DRAWN - 1 : -1]],
        rejected=[row for row in rows if row["kept"] != "True"],
    )


# ------------------------------------------------------------------ manifest


def _read_manifest(path: Path) -> list[Row]:
    try:
        with path.open(newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file))
    except (OSError, ValueError, csv.Error) as error:
        raise CorpusError(f"{path} cannot be read. Run 'bicinium corpus prepare' again.") from error


def _read_losses(path: Path) -> dict[str, dict[str, int]]:
    """Return what reading the kept pieces left out or changed: for each kind its two counts."""
    try:
        losses: dict[str, dict[str, int]] = json.loads(path.read_text("utf-8")).get("losses", {})
        return losses
    except (OSError, ValueError, AttributeError) as error:
        raise CorpusError(f"{path} cannot be read. Run 'bicinium corpus prepare' again.") from error


# The sentences of manifests written before they had a column for the reason.
_OLD_SENTENCES = (
    (RejectReason.SILENT_VOICE, r"the (upper|lower) voice begins a note"),
    (RejectReason.TOO_SHORT, r"too short: "),
    (RejectReason.OFF_GRID, r"\d+ of \d+ notes are off the grid"),
    (RejectReason.GRAMMAR, r"grammar_score "),
    (RejectReason.QUALITY, r"quality_score "),
    (RejectReason.DUPLICATE, r"duplicate of "),
    (RejectReason.ROUND_TRIP, r"the round trip through "),
)


def _outcome(row: Row) -> str:
    """Return the label that a row of the manifest is counted under."""
    if row["kept"] == "True":
        return "kept"
    if "reject_reason" in row:
        return row["reject_reason"]
    for reason, sentence in _OLD_SENTENCES:
        if re.match(sentence, row["reason"]):
            return reason.value
    return RejectReason.UNREADABLE.value


def _outcomes(rows: Sequence[Row]) -> tuple[list[str], dict[str, Counter[str]]]:
    """Return the labels, the commonest first, and their counts in each source."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for row in rows:
        source = row["name"].partition("/")[0] if "/" in row["name"] else "single files"
        counts[source][_outcome(row)] += 1
    total = sum(counts.values(), Counter[str]())
    return [label for label, _ in total.most_common()], counts


def _licences(kept: Sequence[Row]) -> list[tuple[str, Counter[str]]]:
    """Return each licence, the commonest first, with how often each name is to be credited."""
    credits: dict[str, Counter[str]] = defaultdict(Counter)
    for row in kept:
        credits[row["licence"] or "not stated"][row["credit"] or "not stated"] += 1
    return sorted(credits.items(), key=lambda item: -item[1].total())


# ------------------------------------------------------------------ charts


@dataclass(frozen=True, slots=True)
class _Chart:
    """Rows of a name, a count, and the length of its bar in pixels."""

    title: str
    rows: list[tuple[str, int, float]]


def _charts_of_pieces(pieces: Sequence[PieceRecord], kept: Sequence[Row]) -> Iterator[_Chart]:
    yield _ranked("Style", Counter(piece.style or "unknown" for piece in pieces))
    yield _ranked("Composer", Counter(piece.composer or "unknown" for piece in pieces))
    yield _ranked("Key (as found)", Counter(row["key"] or "unknown" for row in kept))
    yield _ranked("Metre", Counter(piece.meter for piece in pieces))
    yield _histogram("Length in bars", [piece.bars for piece in pieces], _BAR_EDGES)
    yield _histogram("Notes in a piece", [piece.notes for piece in pieces], _NOTE_EDGES)
    yield _histogram("Quality score", [p.quality_score for p in pieces], _QUALITY_EDGES)
    yield _histogram("Grammar score", [p.grammar_score for p in pieces], _GRAMMAR_EDGES)


def _charts_of_notes(pieces: Sequence[PieceRecord]) -> Iterator[_Chart]:
    pitches: Counter[int] = Counter()
    durations: Counter[int] = Counter()
    for piece in pieces:
        pitch, duration = pitches_and_durations(piece)
        for counts, values in ((pitches, pitch + piece.transposition), (durations, duration)):
            found, often = np.unique(values, return_counts=True)
            counts.update(dict(zip(found.tolist(), often.tolist(), strict=True)))
    ranges: Counter[str] = Counter()
    for height in sorted(pitches, reverse=True):
        lowest = height // _PITCHES_PER_ROW * _PITCHES_PER_ROW
        name = f"{pitch_name(lowest)} to {pitch_name(lowest + _PITCHES_PER_ROW - 1)}"
        ranges[name] += pitches[height]
    yield _chart("Pitch (as notated)", list(ranges.items()))
    quarters: Counter[str] = Counter()
    for ticks, count in durations.items():
        quarters[f"{ticks / TICKS_PER_QUARTER:.3g}"] += count
    yield _ranked("Duration in quarters", quarters)


def _histogram(title: str, values: Sequence[float], edges: Sequence[float]) -> _Chart:
    counts, _ = np.histogram(values, [*edges[:-1], edges[-1] + 1e-9])
    names = [
        f"{low:g} or more" if high == np.inf else f"{low:g} to {high:g}"
        for low, high in pairwise(edges)
    ]
    return _chart(title, list(zip(names, counts.tolist(), strict=True)))


def _ranked(title: str, counts: Counter[str]) -> _Chart:
    """Make a chart with the commonest first, and the rarest in one row."""
    items = counts.most_common()
    rest = items[_MAX_CHART_ROWS:]
    others = [(f"{len(rest)} others", sum(count for _, count in rest))] if rest else []
    return _chart(title, items[:_MAX_CHART_ROWS] + others)


def _chart(title: str, items: Sequence[tuple[str, int]]) -> _Chart:
    longest = max((count for _, count in items), default=1) or 1
    return _Chart(title, [(name, n, round(_BAR_PIXELS * n / longest)) for name, n in items])


# ------------------------------------------------------------------ pieces


def _drawn(piece: PieceRecord) -> dict[str, Any]:
    """Return a piece and its piano roll, or the error if it cannot be decoded."""
    try:
        return {"piece": piece, "roll": Markup(_piano_roll(piece)), "error": ""}
    except BiciniumError as error:
        return {"piece": piece, "roll": "", "error": str(error)}


def _piano_roll(piece: PieceRecord) -> str:
    meter = Meter.parse(piece.meter)
    limit = _BARS_DRAWN * meter.bar_ticks
    notes = [
        RollNote(part, note.pitch, note.onset_tick, min(note.offset_tick, limit), True)
        for part, voice in enumerate(score_of(piece).voices)
        for note in voice.notes
        if note.onset_tick < limit
    ]
    return draw_piano_roll(notes, (), meter)
