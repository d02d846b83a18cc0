"""The command line: one table, command → function. Everything heavy is imported when it is needed.

Exit status: 0 done; 1 the thing checked is not valid; 2 the call or a file is wrong.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bicinium.errors import BiciniumError, RequestError
from bicinium.writing import whole_file

if TYPE_CHECKING:
    from bicinium.composing.composer import Composition
    from bicinium.grammar.files import FileVerdict

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Compose two-voice keyboard music that is grammatical by construction.",
)
corpus = typer.Typer(no_args_is_help=True, help="Make a training set of music.")
app.add_typer(corpus, name="corpus")

_MOST_VIOLATIONS_SHOWN = 5

Perform = Annotated[
    bool, typer.Option("--perform", help="Play sound files with phrasing, not strictly.")
]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON document on standard output.")]


@app.command()
def compose(
    n: Annotated[int, typer.Option("-n", help="How many pieces.")] = 4,
    bars: Annotated[int, typer.Option(help="Length of each piece, exact.")] = 16,
    key: Annotated[str | None, typer.Option(help="Like 'D minor'; drawn if left out.")] = None,
    meter: Annotated[str | None, typer.Option(help="Like 3/4; drawn if left out.")] = None,
    tempo: Annotated[
        float | None, typer.Option(help="Quarter notes a minute; the model's choice if left out.")
    ] = None,
    style: Annotated[
        str | None, typer.Option(help="Like bach or classical; drawn if left out.")
    ] = None,
    seed: Annotated[int, typer.Option(help="The same seed gives the same piece.")] = 0,
    temperature: Annotated[float, typer.Option(help="Under 1 is tamer, over 1 wilder.")] = 0.9,
    top_p: Annotated[float, typer.Option(help="Draw from the likeliest tokens only.")] = 0.9,
    no_grammar: Annotated[
        bool, typer.Option("--no-grammar", help="Let the model err: no token is forbidden.")
    ] = False,
    model: Annotated[Path | None, typer.Option(help="A checkpoint; else the one built in.")] = None,
    out: Annotated[Path, typer.Option(help="The folder for the files.")] = Path("out"),
    formats: Annotated[
        str, typer.Option(help="Of mid, musicxml, mxl, svg, png, pdf, roll.svg, wav, ogg.")
    ] = "mid",
    perform: Perform = False,
    as_json: AsJson = False,
) -> None:
    """Compose two-voice pieces and write them as MIDI, scores, images and sound."""
    from bicinium.api import compose_many
    from bicinium.model.checkpoint import DEFAULT_MODEL

    suffixes = _suffixes(formats)
    started = time.perf_counter()
    pieces = compose_many(
        n,
        key=key,
        meter=meter,
        bars=bars,
        tempo=tempo,
        style=style,
        seed=seed,
        temperature=temperature,
        top_p=top_p,
        use_grammar=not no_grammar,
        model=model or DEFAULT_MODEL,
    )
    seconds = time.perf_counter() - started
    try:
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
    except OSError as error:
        raise RequestError(f"{out} cannot be written to: {error.strerror or error}") from error
    rows = [_piece_row(piece, paths) for piece, paths in zip(pieces, files, strict=True)]
    tokens_per_second = sum(len(piece.tokens) for piece in pieces) / seconds
    if as_json:
        _print_json({"pieces": rows, "tokens_per_second": round(tokens_per_second)})
    else:
        _print_pieces(rows, seconds)
    if not all(row["valid"] for row in rows):
        raise typer.Exit(1)


@app.command()
def convert(
    source: Annotated[Path, typer.Argument(help="MIDI, MusicXML, mxl, kern or ABC.")],
    target: Annotated[
        Path,
        typer.Argument(help="Its ending says the format: .musicxml, .pdf, .wav and so on."),
    ],
    reduce: Annotated[
        bool, typer.Option("--reduce", help="Take the outer voices of what has more than two.")
    ] = False,
    perform: Perform = False,
) -> None:
    """Turn a score of two voices into another format: MIDI, MusicXML, an image, sound."""
    from bicinium.score.reading import read_score
    from bicinium.score.saving import format_of, write_score

    format_of(target)
    score = read_score(source, reduce)
    try:
        write_score(score, target, {"source": source.name}, perform)
    except OSError as error:
        raise RequestError(f"{target} cannot be written: {error.strerror or error}") from error
    typer.echo(
        f"{target}: bars {score.bars}, metre {score.meter}, {score.key}, notes {score.note_count}"
    )


@app.command()
def validate(
    paths: Annotated[
        list[Path], typer.Argument(help="MIDI, notation, token files; folders, patterns.")
    ],
    report: Annotated[
        Path | None,
        typer.Option(
            help="Write an HTML page with piano rolls here; .svg for an image of one file."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Say what is wrong with MIDI, notation or token files, and where. Exit 1 if any is invalid."""
    from bicinium.grammar.files import find_files, validate_file
    from bicinium.grammar.report import html_report, svg_report

    verdicts = [validate_file(path) for path in find_files(paths)]
    if report:
        text = svg_report(verdicts) if report.suffix.lower() == ".svg" else html_report(verdicts)
        try:
            with whole_file(report) as temporary:
                temporary.write_text(text, encoding="utf-8")
        except OSError as error:
            raise RequestError(f"{report} cannot be written: {error.strerror or error}") from error
    invalid = sum(not verdict.valid for verdict in verdicts)
    if as_json:
        rows = [_verdict_row(verdict) for verdict in verdicts]
        _print_json({"files": rows, "valid": len(rows) - invalid, "invalid": invalid})
    else:
        _print_verdicts(verdicts)
    if invalid:
        raise typer.Exit(1)


@app.command()
def train(
    config: Annotated[Path, typer.Argument(help="A YAML file; see configs/training_configs.")],
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="Like training.max_steps=2000.")
    ] = None,
    run: Annotated[Path, typer.Option(help="The folder for all that the run writes.")] = Path(
        "runs/latest"
    ),
    resume: Annotated[bool, typer.Option("--resume", help="Go on where the run stopped.")] = False,
) -> None:
    """Train a model on a prepared corpus. Ctrl-C saves; --resume goes on."""
    try:
        from bicinium.training.config import load_config
        from bicinium.training.trainer import train as run_training
    except ModuleNotFoundError as error:
        raise RequestError(
            f"training needs {error.name}: install it with pip install 'bicinium[train]'"
        ) from error
    try:
        path = run_training(load_config(config, settings or []), run, resume)
    except KeyboardInterrupt:
        _say(f"stopped and saved; go on with: bicinium train {config} --run {run} --resume")
        raise typer.Exit(130) from None
    typer.echo(f"the model is {path}; compose with: bicinium compose --model {path}")


@corpus.command("prepare")
def corpus_prepare(
    sources: Annotated[
        list[Path] | None, typer.Argument(help="Folders of MIDI files; else $BICINIUM_CORPUS.")
    ] = None,
    out: Annotated[Path, typer.Option(help="The folder for the training set.")] = Path(
        "data/prepared"
    ),
    min_grammar_score: Annotated[float, typer.Option(help="Below it a piece is left out.")] = 1.0,
    jobs: Annotated[int, typer.Option(help="Processes; -1 is one for each core.")] = -1,
) -> None:
    """Read, check and encode music for training; say what was kept and what was not, and why."""
    from bicinium.corpus.prepare import dropped_share, prepare
    from bicinium.corpus.sources import find_sources

    try:
        verdicts = prepare(find_sources(sources or []), out, min_grammar_score, jobs)
    except ModuleNotFoundError as error:
        raise RequestError(
            f"a training set needs {error.name}: install it with pip install 'bicinium[train]'"
        ) from error
    kept = [verdict for verdict in verdicts if verdict.kept]
    for verdict in verdicts:
        if not verdict.kept:
            typer.echo(f"left out {verdict.name}: {verdict.reason}")
    typer.echo(
        f"kept {len(kept)} of {len(verdicts)} pieces, {sum(v.notes for v in kept)} notes; "
        f"{dropped_share(verdicts):.1%} of their notes belong to neither voice; "
        f"all is in {out}, reasons in {out / 'report.csv'}"
    )


def _suffixes(formats: str) -> list[str]:
    """The formats that a list like ``mid,musicxml`` names, in its order, all of them possible."""
    from bicinium.score.saving import check_installed, format_of

    names = [name.strip().lower() for name in formats.split(",") if name.strip()]
    if not names:
        raise RequestError("no format is asked for: leave --formats out, or name one")
    suffixes = list(dict.fromkeys(format_of(Path(f"*.{name}")) for name in names))
    for suffix in suffixes:
        check_installed(suffix)
    return suffixes


def _piece_row(piece: Composition, paths: list[Path]) -> dict[str, Any]:
    tempo = piece.score.tempo_qpm if piece.score else piece.conditions.tempo_qpm
    return {
        "path": str(paths[0]),
        "files": [str(path) for path in paths],
        "valid": piece.result.valid,
        "grammar_score": round(piece.result.grammar_score, 4),
        "bars": piece.score.bars if piece.score else piece.conditions.bars,
        "notes": piece.result.notes,
        "key": str(piece.conditions.key),
        "meter": str(piece.conditions.meter),
        "style": piece.conditions.style,
        "tempo": round(tempo, 2) if tempo else None,
        "seed": piece.seed,
        "tokens": len(piece.tokens),
    }


def _verdict_row(verdict: FileVerdict) -> dict[str, Any]:
    from dataclasses import asdict

    return {
        "path": str(verdict.path),
        "valid": verdict.valid,
        "grammar_score": round(verdict.grammar_score, 4),
        "notes": verdict.notes,
        "violations": [asdict(violation) for violation in verdict.violations],
    }


def _print_pieces(rows: list[dict[str, Any]], seconds: float) -> None:
    typer.echo("key       metre  bars  notes  tempo  style      grammar  file")
    for row in rows:
        tempo = f"{row['tempo']:.0f}" if row["tempo"] else "-"
        word = "valid" if row["valid"] else f"{row['grammar_score']:.3f}"
        typer.echo(
            f"{row['key']:<9} {row['meter']:<6} {row['bars']:>4}  {row['notes']:>5}  {tempo:>5}  "
            f"{row['style'] or '-':<9}  {word:<7}  {row['path']}"
        )
    _say(f"composed in {seconds:.1f} s")


def _print_verdicts(verdicts: list[FileVerdict]) -> None:
    for verdict in verdicts:
        word = "valid  " if verdict.valid else "INVALID"
        typer.echo(
            f"{word}  {verdict.grammar_score:.3f}  {verdict.notes:6d} notes  {verdict.path}"
            f"  (judged as {verdict.judged_as})"
        )
        for violation in verdict.violations[:_MOST_VIOLATIONS_SHOWN]:
            typer.echo(f"         {violation.rule}: {violation.message}")
        hidden = len(verdict.violations) - _MOST_VIOLATIONS_SHOWN
        if hidden > 0:
            typer.echo(f"         and {hidden} more; --json shows all")
    invalid = sum(not verdict.valid for verdict in verdicts)
    typer.echo(f"{len(verdicts) - invalid} valid, {invalid} invalid")


def _print_json(document: dict[str, Any]) -> None:
    typer.echo(json.dumps(document, indent=2))


def _say(message: str) -> None:
    typer.echo(message, err=True)


def main() -> None:
    """Run the command line; an error raised on purpose becomes one sentence and exit status 2."""
    try:
        app()
    except BiciniumError as error:
        _say(f"bicinium: {error}")
        sys.exit(2)
    except KeyboardInterrupt:
        _say("bicinium: stopped")
        sys.exit(130)
