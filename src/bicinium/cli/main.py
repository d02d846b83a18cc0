"""The command line: one table, command → function. Everything heavy is imported when it is needed.

Exit status: 0 done; 1 the thing checked is not valid; 2 the call or a file is wrong.
"""

from __future__ import annotations

import json
import os
import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bicinium.atomic_write import atomic_write
from bicinium.errors import BiciniumError, CollapseError, RequestError
from bicinium.optional_imports import require_extra

if TYPE_CHECKING:
    from bicinium.generation.composition import Composition
    from bicinium.generation.engine import NoteEvent
    from bicinium.reports.verdicts import FileVerdict

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Compose two-voice keyboard music that is grammatical by construction.",
)
corpus = typer.Typer(no_args_is_help=True, help="Make a training set of music.")
app.add_typer(corpus, name="corpus")
runs = typer.Typer(no_args_is_help=True, help="Look at training runs.")
app.add_typer(runs, name="runs")

_MOST_VIOLATIONS_SHOWN = 5
_LONGEST_NAME = 32  # for a table of 80 columns
_MIN_QUALITY_SCORE = 0.05  # that of corpus.prepare, which takes long to import

Perform = Annotated[
    bool, typer.Option("--perform", help="Play sound files with phrasing, not strictly.")
]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON document on standard output.")]


@app.command()
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
            _print_line(event)
        return
    suffixes = _suffixes(formats)
    _check_folder(out)
    started = time.perf_counter()
    with _progress() as progress:
        pieces = compose_many(
            4 if n is None else n, seed=seed, best_of=best_of, progress=progress, **asked
        )
    seconds = time.perf_counter() - started
    with _writing(out, "written to"):
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
    from bicinium.formats.registry import read_score
    from bicinium.render.export import format_of, write_score

    format_of(target)
    score = read_score(source, reduce)
    with _writing(target):
        write_score(score, target, {"source": source.name}, perform)
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
    from bicinium.reports.html_report import html_report, svg_report
    from bicinium.reports.verdicts import find_files, validate_file

    verdicts = [validate_file(path) for path in find_files(paths)]
    if report:
        svg = report.suffix.lower() == ".svg"
        _write_page(report, svg_report(verdicts) if svg else html_report(verdicts))
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
    config: Annotated[
        Path | None, typer.Argument(help="A YAML file; see configs/training_configs.")
    ] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="Like training.max_steps=2000.")
    ] = None,
    run: Annotated[Path, typer.Option(help="The folder for all that the run writes.")] = Path(
        "runs/latest"
    ),
    resume: Annotated[
        Path | None, typer.Option(help="The folder of a run that is to go on.")
    ] = None,
) -> None:
    """Train a model on a prepared corpus. Ctrl-C saves; --resume RUN goes on.

    The run watches itself: it validates what the model writes, goes back to the best state where
    it collapses, and stops where nothing is gained. Exit status 1 where it could not be saved.
    """
    with require_extra("train", "training"):
        from bicinium.training.config import load_config
        from bicinium.training.loop import train as run_training
        from bicinium.training.run_dir import CONFIG
    if resume:
        if not (resume / CONFIG).is_file():
            raise RequestError(f"there is no run at {resume}: name the folder of one to go on with")
        config = config or resume / CONFIG
    if not config:
        raise RequestError("there is nothing to train: name a configuration, or --resume RUN")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", DeprecationWarning)
        chosen = load_config(config, settings or [])
    for warning in caught:
        _say(str(warning.message))
    _check_folder(resume or run)
    try:
        path = run_training(chosen, resume or run, resume=resume is not None)
    except KeyboardInterrupt:
        _say(f"stopped and saved; go on with: bicinium train --resume {resume or run}")
        raise typer.Exit(130) from None
    typer.echo(f"the model is {path}; compose with: bicinium compose --model {path}")


@runs.command("compare")
def runs_compare(
    folders: Annotated[list[Path], typer.Argument(help="Folders of runs.")],
    out: Annotated[Path, typer.Option(help="The picture of the curves.")] = Path("runs.png"),
    as_json: AsJson = False,
) -> None:
    """Set runs side by side: their curves as a picture, their last numbers as a table."""
    with require_extra("train", "comparing runs"):
        from bicinium.training.compare_runs import compare_runs, draw_curves

    rows = compare_runs(folders)
    with _writing(out):
        draw_curves(folders, out)
    if as_json:
        _print_json({"runs": rows, "curves": str(out)})
        return
    width = max(len(name) for row in rows for name in row)
    for name in rows[0]:
        cells = [row[name] for row in rows]
        shown = [f"{cell:.4g}" if isinstance(cell, float) else str(cell) for cell in cells]
        typer.echo(f"{name:<{width}}  " + "  ".join(f"{cell:>18}" for cell in shown))
    typer.echo(f"curves: {out}")


@runs.command("average")
def runs_average(
    run: Annotated[Path, typer.Argument(help="The folder of a run.")],
    other: Annotated[
        Path | None, typer.Option("--with", help="The model it started from, or another.")
    ] = None,
    share: Annotated[float, typer.Option(help="How much the last, or the other, counts.")] = 0.5,
) -> None:
    """Write the mean of a run's best and last state, or of its model and another, as a model: it
    often predicts better.
    """
    with require_extra("train", "averaging"):
        from bicinium.training.weight_averaging import average_run

    path = average_run(run, other, share)
    typer.echo(f"the model is {path}; compose with: bicinium compose --model {path}")


@app.command()
def doctor(
    model: Annotated[str, typer.Argument(help="A model file, or 'default'.")] = "default",
    as_json: AsJson = False,
) -> None:
    """Examine a model: is it causal, does it predict the next token, does it pair notes, does it
    loop? Exit status 1 if anything is wrong.
    """
    from dataclasses import asdict

    from bicinium.evaluation.diagnostics import examine
    from bicinium.model.checkpoint import DEFAULT_MODEL

    findings = examine(DEFAULT_MODEL if model == "default" else Path(model))
    if as_json:
        _print_json({"findings": [asdict(finding) for finding in findings]})
    else:
        for finding in findings:
            word = "ok   " if finding.good else "WRONG"
            typer.echo(f"{word}  {finding.question}  {finding.evidence}")
    if not all(finding.good for finding in findings):
        raise typer.Exit(1)


@app.command()
def evaluate(
    model: Annotated[str, typer.Argument(help="A model file, or 'default'.")],
    data: Annotated[Path, typer.Option(help="A prepared corpus, or a folder of music files.")],
    pieces: Annotated[
        int, typer.Option(help="Composed to be set beside real ones; 0 only predicts.")
    ] = 200,
    unaided: Annotated[
        int | None, typer.Option(help="Written without the mask and with it; as --pieces.")
    ] = None,
    seed: Annotated[int, typer.Option(help="The same seed gives the same numbers.")] = 0,
    out: Annotated[Path, typer.Option(help="The folder for the page and the JSON.")] = Path(
        "evaluation"
    ),
    listen: Annotated[
        bool, typer.Option("--listen", help="Also make a page for a blind listening test.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Measure a model on music that it has not seen: how well it predicts it, how well it writes
    unaided, and what it composes beside the real. Of a prepared corpus the held-out pieces count.
    """
    from bicinium.evaluation.audio_clips import check_installed
    from bicinium.evaluation.evaluate import evaluate as measure
    from bicinium.evaluation.html_report import page
    from bicinium.evaluation.listening_test import listening_page
    from bicinium.evaluation.summary import as_text, table
    from bicinium.model.checkpoint import DEFAULT_MODEL

    if listen:
        if not pieces:
            raise RequestError(
                "0 pieces are nothing to listen to: ask for more, or leave --listen out"
            )
        check_installed("a listening test")
    with _writing(out, "written to"):
        out.mkdir(parents=True, exist_ok=True)
    with _stages() as stages:
        found = measure(
            DEFAULT_MODEL if model == "default" else Path(model),
            data,
            pieces,
            seed,
            stages,
            unaided,
        )
        document = found.as_json()
        _write_page(out / "report.json", json.dumps(document, indent=2) + "\n")
        _write_page(out / "report.html", page(found))
    if as_json:
        _print_json(document)
    else:
        typer.echo(as_text(table(found)))
        typer.echo(f"\nthe page is {out / 'report.html'}")
    if listen:  # last: it is refused where no piece could be had
        _write_page(out / "listen.html", listening_page(found))
        if not as_json:
            typer.echo(f"the listening test is {out / 'listen.html'}")


@app.command()
def studio(
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 is any that is free.")] = 8765,
    host: Annotated[
        str, typer.Option(help="Where to listen; beyond this machine a token is asked for.")
    ] = "127.0.0.1",
    watched: Annotated[
        Path | None, typer.Option("--runs", help="A folder whose training runs can be watched.")
    ] = None,
    model: Annotated[Path | None, typer.Option(help="A checkpoint; else the one built in.")] = None,
    browser: Annotated[bool, typer.Option(help="Open the page in the browser.")] = True,
) -> None:
    """Serve a page on which to compose, hear, see and understand. Ctrl-C ends it."""
    from bicinium.model.checkpoint import DEFAULT_MODEL

    with require_extra("studio", "the studio"):
        from bicinium.studio.guard import Policy, is_loopback, new_token
        from bicinium.studio.open_browser import show
        from bicinium.studio.server import Settings, serve
    if watched and not watched.is_dir():
        raise RequestError(f"there is no folder {watched} whose runs could be watched")

    def started(address: str) -> None:
        typer.echo(f"the studio is at {address} (Ctrl-C closes it)")
        sys.stdout.flush()
        if browser:
            show(address)

    policy = Policy.of(host, "" if is_loopback(host) else new_token())
    serve(Settings(model or DEFAULT_MODEL, watched, policy), host, port, started)


@corpus.command("prepare")
def corpus_prepare(
    sources: Annotated[
        list[str] | None,
        typer.Argument(
            help="Folders or files of MIDI, MusicXML, kern, ABC; music21; else $BICINIUM_CORPUS."
        ),
    ] = None,
    out: Annotated[Path, typer.Option(help="The folder for the training set.")] = Path(
        "data/prepared"
    ),
    min_grammar_score: Annotated[float, typer.Option(help="Below it a piece is left out.")] = 1.0,
    min_quality_score: Annotated[
        float, typer.Option(help="Below it a piece is left out.")
    ] = _MIN_QUALITY_SCORE,
    jobs: Annotated[int, typer.Option(help="Processes; -1 is one for each core.")] = -1,
    cluster: Annotated[
        str | None, typer.Option(help="A Dask scheduler whose workers read, like tcp://host:8786.")
    ] = None,
) -> None:
    """Read, check and encode music for training; say what was kept and what was not, and why.

    Ctrl-C loses nothing: the same call goes on. What has not changed is not read again.
    """
    from bicinium.data.prepare import MANIFEST_NAME, dropped_share, kind_of, prepare
    from bicinium.data.sources import find_sources

    _check_folder(out)
    try:
        with require_extra("train", "a training set"):
            verdicts = prepare(
                find_sources(sources or []),
                out,
                min_grammar_score,
                jobs,
                min_quality_score=min_quality_score,
                cluster=cluster,
            )
    except KeyboardInterrupt:
        _say("stopped; what was read is kept, and the same call goes on")
        raise typer.Exit(130) from None
    kept = [verdict for verdict in verdicts if verdict.kept]
    for verdict in verdicts:
        if not verdict.kept:
            typer.echo(f"left out {verdict.name}: {verdict.reason}")
    kinds = Counter(kind_of(verdict.reason) for verdict in verdicts)
    for kind, count in kinds.most_common():
        typer.echo(f"{count:6d}  {kind}")
    typer.echo(
        f"kept {len(kept)} of {len(verdicts)} pieces, {sum(v.notes for v in kept)} notes; "
        f"{dropped_share(verdicts):.1%} of their notes belong to neither voice; "
        f"all is in {out}, reasons and licences in {out / MANIFEST_NAME}"
    )


@corpus.command("fetch")
def corpus_fetch(
    groups: Annotated[
        list[str] | None,
        typer.Argument(
            help="inventions, mozart-sonatas, chopin-etudes, arabesque, keyboard; all if left out."
        ),
    ] = None,
    out: Annotated[Path, typer.Option(help="The folder for the files.")] = Path("data/mutopia"),
    server: Annotated[
        str, typer.Option(help="Where the Mutopia Project's files are.")
    ] = "https://www.mutopiaproject.org/",
    only_list: Annotated[
        bool, typer.Option("--list", help="Print the catalogue and fetch nothing.")
    ] = False,
) -> None:
    """Download keyboard works of the catalogue. Exit 1 if one could not be had.

    Prints the licence of each, and whom to credit. Ctrl-C loses nothing: the same call goes on.
    """
    from bicinium.data.download import Fetched, Work, catalogue, fetch

    def line(work: Work) -> str:
        return f"{work.composer}, {work.title} ({work.licence}; typeset by {work.maintainer})"

    def say(done: Fetched) -> None:
        reason = f": {done.reason}" if done.reason else ""
        typer.echo(f"{done.outcome:<11}  {line(done.work)}{reason}")

    works = catalogue(groups or [])
    if only_list:
        for work in works:
            typer.echo(f"{work.group:<14}  {line(work)}")
        return
    outcomes = fetch(works, out, server, progress=say)
    failed = sum(done.outcome == "failed" for done in outcomes)
    typer.echo(
        f"{len(outcomes) - failed} of {len(outcomes)} works are in {out}; "
        f"prepare them with: bicinium corpus prepare {out}"
    )
    if failed:
        raise typer.Exit(1)


@corpus.command("validate")
def corpus_validate(
    folder: Annotated[Path, typer.Argument(help="Raw music, or what 'corpus prepare' wrote.")],
    min_grammar_score: Annotated[float, typer.Option(help="Below it a piece is not fit.")] = 1.0,
    min_quality_score: Annotated[
        float, typer.Option(help="Below it a piece is not fit.")
    ] = _MIN_QUALITY_SCORE,
    jobs: Annotated[int, typer.Option(help="Processes; -1 is one for each core.")] = -1,
    as_json: AsJson = False,
) -> None:
    """Judge a folder as training data and write nothing. Exit 1 if a piece is not fit."""
    from dataclasses import asdict

    from bicinium.data.select import check_folder

    checked = check_folder(folder, min_grammar_score, min_quality_score, jobs)
    unfit = sum(not piece.fit for piece in checked)
    if as_json:
        rows = [asdict(piece) for piece in checked]
        _print_json({"pieces": rows, "fit": len(rows) - unfit, "unfit": unfit})
    else:
        typer.echo("fit  grammar  quality   notes  piece")
        for piece in checked:
            typer.echo(
                f"{'yes' if piece.fit else 'NO ':<3}  {piece.grammar_score:7.3f}  "
                f"{piece.quality_score:7.3f}  {piece.notes:6d}  {piece.name}"
                + (f": {piece.reason}" if piece.reason else "")
            )
        typer.echo(f"{len(checked) - unfit} fit, {unfit} not")
    if unfit:
        raise typer.Exit(1)


@corpus.command("report")
def corpus_report_page(
    folder: Annotated[Path, typer.Argument(help="What 'corpus prepare' wrote.")] = Path(
        "data/prepared"
    ),
    out: Annotated[
        Path | None, typer.Option(help="The HTML file; else report.html in the folder.")
    ] = None,
) -> None:
    """Write what a prepared corpus holds, and what was left out and why, as one HTML page."""
    from bicinium.data.report import corpus_report

    page = corpus_report(folder)
    path = out or folder / "report.html"
    _write_page(path, page)
    typer.echo(f"the report is {path}")


def _write_page(path: Path, page: str) -> None:
    with _writing(path), atomic_write(path) as temporary:
        temporary.write_text(page, encoding="utf-8")


@contextmanager
def _writing(path: Path, how: str = "written") -> Iterator[None]:
    """What this block writes is ``path``: RequestError says so where it cannot be."""
    try:
        yield
    except OSError as error:
        raise RequestError(f"{path} cannot be {how}: {error.strerror or error}") from error


def _check_folder(folder: Path) -> None:
    """Raise RequestError where a folder cannot be made or written to, before any work is done."""
    from tempfile import TemporaryFile

    path = folder.absolute()
    there = next(above for above in (path, *path.parents) if os.path.lexists(above))
    with _writing(folder, "written to"):
        TemporaryFile(dir=there).close()


def _suffixes(formats: str) -> list[str]:
    """The formats that a list like ``mid,musicxml`` names, in its order, all of them possible."""
    from bicinium.render.export import check_installed, format_of

    names = [name.strip().lower() for name in formats.split(",") if name.strip()]
    if not names:
        raise RequestError("no format is asked for: leave --formats out, or name one")
    suffixes = list(dict.fromkeys(format_of(Path(f"*.{name}")) for name in names))
    for suffix in suffixes:
        check_installed(suffix)
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


def _verdict_row(verdict: FileVerdict) -> dict[str, Any]:
    from dataclasses import asdict

    from bicinium.data.select import quality_of_file

    judged = quality_of_file(verdict.path) if verdict.notes else None
    return {
        "path": str(verdict.path),
        "valid": verdict.valid,
        "grammar_score": round(verdict.grammar_score, 4),
        "quality_score": None if judged is None else round(judged, 4),
        "notes": verdict.notes,
        "violations": [asdict(violation) for violation in verdict.violations],
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
        critic = "-" if row["realism"] is None else f"{row['likeness']:.2f}"
        obeys = "-" if row["adherence"] is None else f"{row['obedience']:.0%}"
        quotes = "-" if row["quoted_bars"] is None else str(row["quoted_bars"])
        typer.echo(
            f"{row['key']:<9} {row['meter']:<6} {row['bars']:>4}  {row['notes']:>5}  {tempo:>5}  "
            f"{row['style'] or '-':<9}  {word:<7}  {quality:>7}  {critic:>6}  {obeys:>5}  "
            f"{quotes:>6}  {row['path']}"
        )
    for row in rows:
        for remark in _remarks(row):
            typer.echo(f"{Path(row['path']).name}: {remark}")
    _say(f"composed in {seconds:.1f} s")


def _remarks(row: dict[str, Any]) -> Iterator[str]:
    """What the score sheet holds against a piece."""
    missed = [name for name, holds in row["checks"].items() if not holds]
    if missed:
        yield f"not as asked: {', '.join(missed)}"
    if row["quoted_bars"]:
        yield f"quotes {row['quoted_bars']} bars of {row['quoted_from']}"


def _print_verdicts(verdicts: list[FileVerdict]) -> None:
    """A table of the files; then what is wrong with each, and where."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    names = _short_names([verdict.path for verdict in verdicts])
    table = Table(box=None, pad_edge=False, header_style="")
    for header in ("verdict", "score", "notes", "violations"):
        table.add_column(header, justify="left" if header == "verdict" else "right")
    for header in ("judged as", "file"):
        table.add_column(header, no_wrap=True)
    for verdict, name in zip(verdicts, names, strict=True):
        table.add_row(
            Text("valid") if verdict.valid else Text("INVALID", "bold red"),
            f"{verdict.grammar_score:.3f}",
            str(verdict.notes),
            str(len(verdict.violations) or ""),
            verdict.judged_as,
            Text(name),
        )
    console = Console(highlight=False)
    wide = Console(highlight=False, width=max(console.width, 60 + max(map(len, names), default=0)))
    with wide.capture() as lines:
        wide.print(table)
    for line in lines.get().splitlines():
        typer.echo(line.rstrip())  # a name that is too long for the terminal is not folded, nor cut
    for verdict, name in zip(verdicts, names, strict=True):
        if verdict.valid:
            continue
        rules = Counter(violation.rule for violation in verdict.violations).most_common()
        counts = ", ".join(f"{rule} {count}" for rule, count in rules)
        console.print(Text.assemble("\n", (name, "bold"), f" ({counts})"), soft_wrap=True)
        for violation in verdict.violations[:_MOST_VIOLATIONS_SHOWN]:
            console.print(Text(f"  {violation.rule}: {violation.message}"), soft_wrap=True)
        hidden = len(verdict.violations) - _MOST_VIOLATIONS_SHOWN
        if hidden > 0:
            console.print(f"  and {hidden} more; --json and --report show all")
    invalid = sum(not verdict.valid for verdict in verdicts)
    console.print(f"\n{len(verdicts) - invalid} valid, {invalid} invalid")


def _short_names(paths: list[Path]) -> list[str]:
    """The paths as given; where they are long, without what comes before their common folder."""
    names = [str(path) for path in paths]
    if len(paths) < 2 or max(map(len, names)) <= _LONGEST_NAME:
        return names
    common = Path(os.path.commonpath([path.absolute().parent for path in paths])).parent
    return [str(path.absolute().relative_to(common)) for path in paths]


def _print_constraints() -> None:
    """What ``--constraint`` knows, as it takes it, with the values when nothing is said."""
    from bicinium.generation.constraints.config import DESCRIPTIONS, Constraints

    usual = Constraints()
    for name, sentence in DESCRIPTIONS.items():
        value = getattr(usual, name)
        if name == "ranges":
            value = ",".join(f"{low}-{high}" for low, high in value)
        typer.echo(f"{name}={value}  {sentence}")


def _print_line(event: NoteEvent) -> None:
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


@contextmanager
def _progress() -> Iterator[Callable[[int, int], None]]:
    """A bar on standard error while pieces are composed; what moves it."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("composing", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


@contextmanager
def _stages() -> Iterator[Callable[[str, int, int], None]]:
    """A bar on standard error for work of several stages; what names the stage and moves it."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("loading", total=None)
        yield lambda stage, done, total: bar.update(
            task, description=stage, completed=done, total=total
        )


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
        sys.exit(1 if isinstance(error, CollapseError) else 2)
    except KeyboardInterrupt:
        _say("bicinium: stopped")
        sys.exit(130)
