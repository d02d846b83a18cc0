"""`bicinium compose`: compose pieces and write them as files."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bicinium.cli.options import AsJson, Perform
from bicinium.cli.output import check_writable, print_error, print_json, report_write_errors
from bicinium.cli.progress import progress_bar
from bicinium.errors import RequestError

if TYPE_CHECKING:
    from bicinium.generation.composition import Composition
    from bicinium.generation.engine import NoteEvent


def compose(
    n: Annotated[
        int | None, typer.Option("-n", help="How many pieces; 4, or 1 of a stream.")
    ] = None,
    bars: Annotated[
        int | None, typer.Option(help="Length of each piece, exact; 16 if left out.")
    ] = None,
    key: Annotated[str | None, typer.Option(help="Like 'D minor'; drawn if left out.")] = None,
    meter: Annotated[str | None, typer.Option(help="Like 3/4; drawn if left out.")] = None,
    tempo: Annotated[
        float | None, typer.Option(help="Quarter notes a minute; the model's choice if left out.")
    ] = None,
    style: Annotated[
        str | None, typer.Option(help="Like bach or classical; drawn if left out.")
    ] = None,
    seed: Annotated[int, typer.Option(help="The same seed gives the same piece.")] = 0,
    best_of: Annotated[
        int | None,
        typer.Option(help="Compose so many for each piece, and keep the best; 12 if left out."),
    ] = None,
    continue_from: Annotated[
        Path | None, typer.Option("--continue", help="A score to go on from, to --bars in all.")
    ] = None,
    upper: Annotated[
        Path | None, typer.Option(help="An upper voice; the lower is written to it.")
    ] = None,
    lower: Annotated[
        Path | None, typer.Option(help="A lower voice; the upper is written to it.")
    ] = None,
    rewrite: Annotated[
        Path | None, typer.Option(help="A score; --rewrite-bars of it are composed anew.")
    ] = None,
    rewrite_bars: Annotated[str | None, typer.Option(help="The bars to rewrite, like 3-4.")] = None,
    subject: Annotated[
        str | None,
        typer.Option(help="Opens the piece, like 'D4:1/8 E4:1/8 r:1/4'; the lower voice answers."),
    ] = None,
    answer: Annotated[str, typer.Option(help="Of the subject: at the octave or fifth.")] = "octave",
    temperature: Annotated[
        float | None, typer.Option(help="Under 1 is tamer, over 1 wilder; 1 if left out.")
    ] = None,
    top_p: Annotated[
        float | None, typer.Option(help="Draw from the likeliest tokens only; 0.99 if left out.")
    ] = None,
    top_k: Annotated[int, typer.Option(help="Draw from the k likeliest tokens; 0 is all.")] = 0,
    min_p: Annotated[
        float, typer.Option(help="Draw from tokens this much as likely as the likeliest.")
    ] = 0.0,
    repetition_penalty: Annotated[
        float, typer.Option(help="Nats off a note for each time it came of late.")
    ] = 0.0,
    guidance: Annotated[
        float | None,
        typer.Option(help="How much the style counts; left out: 1.5 in keyboard styles, else 1."),
    ] = None,
    motif_strength: Annotated[
        float | None,
        typer.Option(
            help="How much figures come again; 1 in keyboard styles, else 0, if left out."
        ),
    ] = None,
    constraint: Annotated[
        list[str] | None,
        typer.Option(help="Like leap=1 or max_leap=9; strengths are 0 (off) to 1. 'list' shows."),
    ] = None,
    no_constraints: Annotated[
        bool, typer.Option("--no-constraints", help="Nothing but the grammar.")
    ] = False,
    max_quote: Annotated[
        int | None, typer.Option(help="Refuse pieces that quote more bars of the training set.")
    ] = None,
    no_grammar: Annotated[
        bool, typer.Option("--no-grammar", help="Let the model err: no token is forbidden.")
    ] = False,
    model: Annotated[Path | None, typer.Option(help="A checkpoint; else the one built in.")] = None,
    out: Annotated[Path, typer.Option(help="The folder for the files.")] = Path("out"),
    formats: Annotated[
        str, typer.Option(help="Of mid, musicxml, mxl, svg, png, pdf, roll.svg, wav, ogg.")
    ] = "mid",
    perform: Perform = False,
    streamed: Annotated[
        bool,
        typer.Option("--stream", help="Print one piece's notes as they are made; no files."),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Compose two-voice pieces and write them as MIDI, scores, images and sound."""
    from bicinium.api import Asked, compose_many, stream
    from bicinium.generation.constraints.config import Constraints
    from bicinium.model.checkpoint import DEFAULT_MODEL

    if constraint and "list" in constraint:
        _print_constraints()
        return
    if constraint and no_constraints:
        raise RequestError("--constraint and --no-constraints contradict each other: leave one out")
    wanted = Constraints.none() if no_constraints else Constraints.parse(constraint or [])
    asked = Asked(
        key=key,
        meter=meter,
        bars=bars,
        tempo=tempo,
        style=style,
        continue_from=continue_from,
        upper=upper,
        lower=lower,
        rewrite=rewrite,
        rewrite_bars=_bar_numbers(rewrite_bars),
        subject=subject,
        answer=answer,
        top_k=top_k,
        min_p=min_p,
        repetition_penalty=repetition_penalty,
        constraints=wanted,
        max_quote=max_quote,
        use_grammar=not no_grammar,
        model=model or DEFAULT_MODEL,
    )
    if temperature is not None:
        asked["temperature"] = temperature
    if top_p is not None:
        asked["top_p"] = top_p
    if guidance is not None:
        asked["guidance"] = guidance
    if motif_strength is not None:
        asked["motif_strength"] = motif_strength
    if streamed:
        if n not in (None, 1) or best_of not in (None, 1) or formats != "mid" or as_json:
            raise RequestError(
                "--stream is one piece and writes no files: leave -n, --best-of, --formats and "
                "--json out"
            )
        for event in stream(seed=seed, **asked):
            _print_event(event)
        return
    suffixes = _suffixes(formats)
    check_writable(out)
    started = time.perf_counter()
    with progress_bar() as progress:
        pieces = compose_many(
            4 if n is None else n, seed=seed, best_of=best_of, progress=progress, **asked
        )
    seconds = time.perf_counter() - started
    with report_write_errors(out, "written to"):
        out.mkdir(parents=True, exist_ok=True)
        files = [
            list(
                dict.fromkeys(
                    piece.save(out / f"bicinium-{piece.seed:04d}.{suffix}", perform)
                    for suffix in suffixes
                )
            )
            for piece in pieces
        ]
    rows = [_piece_row(piece, paths) for piece, paths in zip(pieces, files, strict=True)]
    tokens_per_second = sum(len(piece.tokens) for piece in pieces) / seconds
    if as_json:
        print_json({"pieces": rows, "tokens_per_second": round(tokens_per_second)})
    else:
        _print_pieces(rows, seconds)
    if not all(row["valid"] for row in rows):
        raise typer.Exit(1)


def _suffixes(formats: str) -> list[str]:
    """The formats that a list like ``mid,musicxml`` names, in its order, all of them possible."""
    from bicinium.render.export import output_format, require_libraries

    names = [name.strip().lower() for name in formats.split(",") if name.strip()]
    if not names:
        raise RequestError("no format is asked for: leave --formats out, or name one")
    suffixes = list(dict.fromkeys(output_format(Path(f"*.{name}")) for name in names))
    for suffix in suffixes:
        require_libraries(suffix)
    return suffixes


def _piece_row(piece: Composition, paths: list[Path]) -> dict[str, Any]:
    tempo = piece.score.tempo_qpm if piece.score else piece.conditions.tempo_qpm
    sheet = piece.sheet
    return {
        "path": str(paths[0]),
        "files": [str(path) for path in paths],
        "valid": piece.result.valid,
        "grammar_score": round(piece.result.grammar_score, 4),
        "quality_score": round(sheet.quality_score, 4) if sheet and piece.score else None,
        "adherence": round(sheet.adherence, 4) if sheet else None,
        "checks": sheet.checks if sheet else {},
        "quoted_bars": sheet.quoted_bars if sheet else None,
        "quoted_from": sheet.quoted_from if sheet else "",
        "realism": round(sheet.realism, 4) if sheet and sheet.realism is not None else None,
        "total": round(sheet.total, 4) if sheet else None,
        "bars": piece.score.bars if piece.score else piece.conditions.bars,
        "notes": piece.result.notes,
        "key": str(piece.conditions.key),
        "meter": str(piece.conditions.meter),
        "style": piece.conditions.style,
        "tempo": round(tempo, 2) if tempo else None,
        "seed": piece.seed,
        "tokens": len(piece.tokens),
    }


def _print_pieces(rows: list[dict[str, Any]], seconds: float) -> None:
    typer.echo(
        "key       metre  bars  notes  tempo  style      grammar  quality  critic  obeys  quotes"
        "  file"
    )
    for row in rows:
        tempo = f"{row['tempo']:.0f}" if row["tempo"] else "-"
        word = "valid" if row["valid"] else f"{row['grammar_score']:.3f}"
        quality = "-" if row["quality_score"] is None else f"{row['quality_score']:.2f}"
        critic = "-" if row["realism"] is None else f"{row['realism']:.2f}"
        obeys = "-" if row["adherence"] is None else f"{row['adherence']:.0%}"
        quotes = "-" if row["quoted_bars"] is None else str(row["quoted_bars"])
        typer.echo(
            f"{row['key']:<9} {row['meter']:<6} {row['bars']:>4}  {row['notes']:>5}  {tempo:>5}  "
            f"{row['style'] or '-':<9}  {word:<7}  {quality:>7}  {critic:>6}  {obeys:>5}  "
            f"{quotes:>6}  {row['path']}"
        )
    for row in rows:
        for remark in _remarks(row):
            typer.echo(f"{Path(row['path']).name}: {remark}")
    print_error(f"composed in {seconds:.1f} s")


def _remarks(row: dict[str, Any]) -> Iterator[str]:
    """What the score sheet holds against a piece."""
    missed = [name for name, holds in row["checks"].items() if not holds]
    if missed:
        yield f"not as asked: {', '.join(missed)}"
    if row["quoted_bars"]:
        yield f"quotes {row['quoted_bars']} bars of {row['quoted_from']}"


def _print_constraints() -> None:
    """What ``--constraint`` knows, as it takes it, with the values when nothing is said."""
    from bicinium.generation.constraints.config import DESCRIPTIONS, Constraints

    usual = Constraints()
    for name, sentence in DESCRIPTIONS.items():
        value = getattr(usual, name)
        if name == "ranges":
            value = ",".join(f"{low}-{high}" for low, high in value)
        typer.echo(f"{name}={value}  {sentence}")


def _print_event(event: NoteEvent) -> None:
    """One line of JSON, at once."""
    from dataclasses import asdict

    typer.echo(json.dumps(asdict(event)))
    sys.stdout.flush()


def _bar_numbers(text: str | None) -> tuple[int, int] | None:
    """``3-4`` or ``3`` as first and last."""
    if text is None:
        return None
    first, _, last = text.partition("-")
    if not first.strip().isdecimal() or not (last or first).strip().isdecimal():
        raise RequestError(f"{text!r} names no bars: write them like 3-4")
    return int(first), int(last or first)
