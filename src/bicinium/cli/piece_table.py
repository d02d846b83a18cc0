"""The table that `bicinium compose` prints, and the same as plain values for --json."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from bicinium.cli.output import print_error
from bicinium.errors import ScoreError

if TYPE_CHECKING:
    from bicinium.generation.composition import Composition
    from bicinium.request import ComposeRequest


_SEVERITIES = ("error", "warning", "hint")
_MAX_FAULTS_SHOWN = 5


def piece_row(piece: Composition, paths: list[Path], request: ComposeRequest) -> dict[str, Any]:
    """Return what `compose` says of a piece, as plain values."""
    from bicinium.generation.unmet import explain_unmet
    from bicinium.music.remarks import remarks

    sheet = piece.sheet
    return {
        "path": str(paths[0]),
        "files": [str(path) for path in paths],
        "valid": piece.result.valid,
        "grammar_score": round(piece.result.grammar_score, 4),
        "quality_score": round(sheet.quality_score, 4) if sheet and piece.score else None,
        "adherence": round(sheet.adherence, 4) if sheet else None,
        "checks": sheet.checks if sheet else {},
        "unmet": explain_unmet(piece, bool(request.canon or request.invertible)),
        "remarks": [*piece.search_remarks, *(remarks(piece.score) if piece.score else [])],
        "counterpoint": _counterpoint(piece, request),
        "quoted_bars": sheet.quoted_bars if sheet else None,
        "quoted_from": sheet.quoted_from if sheet else "",
        "realism": round(sheet.realism, 4) if sheet and sheet.realism is not None else None,
        "total": round(sheet.total, 4) if sheet else None,
        "bars": piece.score.bars if piece.score else piece.conditions.bars,
        "notes": piece.result.notes,
        "key": piece.conditions.key_name,
        "meter": str(piece.conditions.meter),
        "style": piece.conditions.style,
        **_tempo(piece),
        "seed": piece.seed,
        "tokens": len(piece.tokens),
    }


def _counterpoint(piece: Composition, request: ComposeRequest) -> dict[str, Any] | None:
    """Return the report under the rules of the request; None without rules."""
    from bicinium.counterpoint import check_score

    if request.rules is None or piece.score is None:
        return None
    try:
        return check_score(piece.score, request.rules, request.given_part).as_json()
    except ScoreError:  # a voice is silent; the remarks say so
        return None


def _tempo(piece: Composition) -> dict[str, Any]:
    """Return the tempo in quarter notes a minute, and in words in beats of the metre."""
    tempo = piece.score.tempo_qpm if piece.score else piece.conditions.tempo_qpm
    if not tempo:
        return {"tempo": None, "tempo_mark": None}
    return {"tempo": round(tempo, 2), "tempo_mark": piece.conditions.meter.tempo_mark(tempo)}


def print_pieces(rows: list[dict[str, Any]], seconds: float) -> None:
    """Print the table, and remarks on what the pieces lack."""
    typer.echo("key       metre  bars  notes  tempo                 style      grammar  file")
    for row in rows:
        word = "valid" if row["valid"] else f"{row['grammar_score']:.3f}"
        typer.echo(
            f"{row['key']:<9} {row['meter']:<6} {row['bars']:>4}  {row['notes']:>5}  "
            f"{row['tempo_mark'] or '-':<20}  "
            f"{row['style'] or '-':<9}  {word:<7}  {row['path']}"
        )
    for row in rows:
        for remark in _remarks(row):
            typer.echo(f"{Path(row['path']).name}: {remark}")
    print_error(f"composed in {seconds:.1f} s with --seed {rows[0]['seed']}")


def _remarks(row: dict[str, Any]) -> Iterator[str]:
    """Return remarks on what a piece lacks, in words; --json has the numbers."""
    yield from row["remarks"]
    if row["counterpoint"] is not None:
        yield from _faults(row["counterpoint"])
    for reason in row["unmet"].values():
        yield f"not as requested: {reason}"
    if row["quoted_bars"]:
        yield f"quotes {row['quoted_bars']} bars of {row['quoted_from']}"


def _faults(report: dict[str, Any]) -> Iterator[str]:
    """Return a line about all faults, and one for each of the first that are not hints."""
    faults = sorted(report["faults"], key=lambda fault: _SEVERITIES.index(fault["severity"]))
    counts = Counter(fault["severity"] for fault in faults)
    words = [f"{n} {name}{'' if n == 1 else 's'}" for name, n in counts.items()]
    yield f"{', '.join(words) or 'no fault'} under {report['rules']}"
    serious = [fault for fault in faults if fault["severity"] != "hint"]
    for fault in serious[:_MAX_FAULTS_SHOWN]:
        place = f"bar {fault['bar']}, beat {fault['beat']:g}"
        yield f"{fault['severity']}, {place}: {fault['fact']}"
    if len(serious) > _MAX_FAULTS_SHOWN:
        yield f"and {len(serious) - _MAX_FAULTS_SHOWN} more; bicinium check shows all"
