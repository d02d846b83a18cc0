"""What a prepared corpus holds, as one self-contained HTML page: counts, distributions, licences,
the worst and the best pieces as piano rolls, and every file that was left out with its reason.
"""

from __future__ import annotations

import csv
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from itertools import pairwise
from pathlib import Path
from string import Template

import numpy as np
from numpy.typing import NDArray

from bicinium.data.piece_record import PieceRecord, score_of
from bicinium.data.prepare import MANIFEST_NAME, kind_of
from bicinium.data.shards import load_pieces
from bicinium.errors import BiciniumError, CorpusError
from bicinium.music.score import TICKS_PER_QUARTER, Meter, pitch_name
from bicinium.render.piano_roll import RollNote, draw_piano_roll
from bicinium.reports.html_report import PAGE_STYLE
from bicinium.tokenizer.vocabulary import KINDS, VALUES, Kind

_SHOWN = 5  # of the worst and of the best
_BARS_DRAWN = 24
_MOST_BARS_IN_CHART = 24  # rows of a chart; what is rarer is summed up
_BAR_PIXELS = 320

_PAGE = Template("""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>bicinium corpus report</title>
<style>$style
table { border-collapse: collapse; margin: .4rem 0 1.2rem; }
th, td { padding: .15rem .7rem .15rem 0; text-align: left; vertical-align: top;
  border-bottom: 1px solid var(--line); }
td.n { text-align: right; font-variant-numeric: tabular-nums; }
.meter { display: inline-block; height: .75em; background: var(--upper); min-width: 1px; }
.columns { display: flex; flex-wrap: wrap; gap: 0 3rem; }
details { margin: .3rem 0; }
td { overflow-wrap: anywhere; max-width: 46rem; }
</style></head><body>
<h1>bicinium corpus report</h1>
<p>$summary</p>
<h2>Kept and dropped</h2>
$outcomes
<h2>What is in it</h2>
<div class="columns">$charts</div>
<h2>Licences and attribution</h2>
$licences
<h2>Worst pieces kept, by quality score</h2>
<p>The upper voice is blue, the lower one brown; the first $drawn bars, in C major or A minor.</p>
$worst
<h2>Best pieces</h2>
$best
<h2>Left out</h2>
$rejected
</body></html>
""")


def corpus_report(folder: Path) -> str:
    """The page for a prepared corpus. Raises CorpusError where there is none."""
    pieces = load_pieces(folder)
    rows = _manifest(folder / MANIFEST_NAME)
    by_quality = sorted(pieces, key=lambda piece: (piece.quality_score, piece.name))
    held_out = sum(piece.split == "validation" for piece in pieces)
    notes = sum(piece.notes for piece in pieces)
    summary = (
        f"{len(pieces):,} pieces of {len(rows):,}, {notes:,} notes; {held_out:,} pieces are held "
        f"out for validation. {sum(len(piece.tokens) for piece in pieces):,} tokens."
    )
    return _PAGE.substitute(
        style=PAGE_STYLE,
        summary=summary,
        outcomes=_outcomes(rows),
        charts="".join(_charts(pieces, rows)),
        licences=_licences(rows),
        worst="".join(map(_piece, by_quality[:_SHOWN])),
        best="".join(map(_piece, by_quality[: -_SHOWN - 1 : -1])),
        drawn=_BARS_DRAWN,
        rejected=_rejected(rows),
    )


def _manifest(path: Path) -> list[dict[str, str]]:
    try:
        with path.open(newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file))
    except (OSError, ValueError, csv.Error) as error:
        raise CorpusError(f"{path} cannot be read; run 'bicinium corpus prepare' again") from error


def _outcomes(rows: Sequence[Mapping[str, str]]) -> str:
    kinds: dict[str, Counter[str]] = defaultdict(Counter)
    for row in rows:
        source = row["name"].partition("/")[0] if "/" in row["name"] else "single files"
        kinds[source][kind_of(row["reason"])] += 1
    names = [name for name, _ in sum(kinds.values(), Counter[str]()).most_common()]
    head = "".join(f"<th>{escape(name)}</th>" for name in ("source", *names))
    body = "".join(
        f"<tr><td>{escape(source)}</td>"
        + "".join(f'<td class="n">{counts[name]}</td>' for name in names)
        + "</tr>"
        for source, counts in kinds.items()
    )
    return f"<table><tr>{head}</tr>{body}</table>"


def _charts(pieces: Sequence[PieceRecord], rows: Sequence[Mapping[str, str]]) -> Iterable[str]:
    kept = [row for row in rows if row["kept"] == "True"]
    yield _chart("Style", Counter(piece.style or "unknown" for piece in pieces))
    yield _chart("Composer", Counter(piece.composer or "unknown" for piece in pieces))
    yield _chart("Key (as found)", Counter(row["key"] or "unknown" for row in kept))
    yield _chart("Metre", Counter(piece.meter for piece in pieces))
    yield _histogram("Length in bars", [piece.bars for piece in pieces],
                     (4, 8, 16, 24, 32, 48, 64, 96, 128, 192, 256, np.inf))  # fmt: skip
    yield _histogram("Notes in a piece", [piece.notes for piece in pieces],
                     (24, 50, 100, 200, 400, 800, 1600, 3200, np.inf))  # fmt: skip
    pitches: Counter[int] = Counter()
    durations: Counter[int] = Counter()
    for piece in pieces:
        pitch, duration = _notes(piece)
        for counts, values in ((pitches, pitch + piece.transposition), (durations, duration)):
            found, often = np.unique(values, return_counts=True)
            counts.update(dict(zip(found.tolist(), often.tolist(), strict=True)))
    ranges: Counter[str] = Counter()
    for height in sorted(pitches, reverse=True):
        lowest = height // 4 * 4
        ranges[f"{pitch_name(lowest)} to {pitch_name(lowest + 3)}"] += pitches[height]
    yield _chart("Pitch (as notated)", ranges, sort=False)
    yield _chart(
        "Duration in quarters",
        Counter({f"{ticks / TICKS_PER_QUARTER:.3g}": n for ticks, n in durations.most_common()}),
    )
    yield _histogram("Quality score", [piece.quality_score for piece in pieces],
                     tuple(np.linspace(0, 1, 11).round(1).tolist()))  # fmt: skip
    yield _histogram("Grammar score", [piece.grammar_score for piece in pieces],
                     (0, 0.5, 0.9, 0.99, 1))  # fmt: skip


def _notes(piece: PieceRecord) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Pitch and ticks of each note, straight from the tokens: of two lines, ends follow onsets."""
    tokens = piece.tokens.astype(np.int64)
    kinds, values = KINDS[tokens], VALUES[tokens]
    ticks = np.cumsum(np.where(kinds == Kind.TIME_SHIFT, values, 0))
    changes = np.flatnonzero(kinds == Kind.PART)
    part = np.concatenate([[0], values[changes]])[
        np.searchsorted(changes, np.arange(len(tokens)), side="right")
    ]
    pitches, durations = [], []
    for voice in np.unique(part):
        begins = np.flatnonzero((kinds == Kind.NOTE_ON) & (part == voice))
        ends = np.flatnonzero((kinds == Kind.NOTE_OFF) & (part == voice))
        if len(begins) == len(ends):
            pitches.append(values[begins])
            durations.append(ticks[ends] - ticks[begins])
    return np.concatenate(pitches), np.concatenate(durations)


def _histogram(title: str, values: Sequence[float], edges: Sequence[float]) -> str:
    counts, _ = np.histogram(values, [*edges[:-1], edges[-1] + 1e-9])
    names = [
        f"{low:g} or more" if high == np.inf else f"{low:g} to {high:g}"
        for low, high in pairwise(edges)
    ]
    return _chart(title, Counter(dict(zip(names, counts.tolist(), strict=True))), sort=False)


def _chart(title: str, counts: Counter[str], sort: bool = True) -> str:
    """A bar for each count, the commonest first or in the order given."""
    items = counts.most_common() if sort else list(counts.items())
    if sort and len(items) > _MOST_BARS_IN_CHART:
        rest = items[_MOST_BARS_IN_CHART:]
        items = [
            *items[:_MOST_BARS_IN_CHART],
            (f"{len(rest)} others", sum(count for _, count in rest)),
        ]
    most = max((count for _, count in items), default=1) or 1
    body = "".join(
        f'<tr><td>{escape(name)}</td><td class="n">{count:,}</td><td><span class="meter" '
        f'style="width:{_BAR_PIXELS * count / most:.0f}px"></span></td></tr>'
        for name, count in items
    )
    return f"<div><h3>{escape(title)}</h3><table>{body}</table></div>"


def _licences(rows: Sequence[Mapping[str, str]]) -> str:
    """Each licence with the files under it and whom they ask to be credited."""
    kept = [row for row in rows if row["kept"] == "True"]
    credits_of: dict[str, Counter[str]] = defaultdict(Counter)
    for row in kept:
        credits_of[row["licence"] or "not stated"][row["credit"] or "not stated"] += 1
    parts = []
    for licence, credited in sorted(credits_of.items(), key=lambda item: -item[1].total()):
        names = "; ".join(f"{escape(name)} ({count})" for name, count in credited.most_common(200))
        hidden = len(credited) - 200
        more = f" and {hidden} more, see {MANIFEST_NAME}" if hidden > 0 else ""
        parts.append(
            f"<details><summary>{escape(licence)}: {credited.total():,} pieces</summary>"
            f"<p>{names}{more}</p></details>"
        )
    return "".join(parts)


def _piece(piece: PieceRecord) -> str:
    about = escape(", ".join(filter(None, (piece.composer, piece.title))) or piece.name)
    facts = (
        f"quality score {piece.quality_score:.3f}, {piece.notes} notes, {piece.bars} bars of "
        f"{piece.meter}"
    )
    try:
        meter = Meter.parse(piece.meter)
        limit = _BARS_DRAWN * meter.bar_ticks
        notes = [
            RollNote(part, note.pitch, note.onset_tick, min(note.offset_tick, limit), True)
            for part, voice in enumerate(score_of(piece).voices)
            for note in voice.notes
            if note.onset_tick < limit
        ]
        drawn = f'<div class="roll" tabindex="0">{draw_piano_roll(notes, (), meter)}</div>'
    except BiciniumError as error:
        drawn = f"<p>{escape(str(error))}</p>"
    return f"<h3>{about}</h3><p>{escape(piece.name)}: {facts}</p>{drawn}"


def _rejected(rows: Sequence[Mapping[str, str]]) -> str:
    left_out = [row for row in rows if row["kept"] != "True"]
    if not left_out:
        return "<p>Nothing.</p>"
    body = "".join(
        f"<tr><td>{escape(row['name'])}</td><td>{escape(row['reason'])}</td></tr>"
        for row in left_out
    )
    return f"<table><tr><th>file</th><th>reason</th></tr>{body}</table>"
