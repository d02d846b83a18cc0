"""`bicinium evaluate` and `bicinium doctor`: measure a model and check it for defects."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from bicinium.cli.options import AsJson
from bicinium.cli.output import print_json, report_write_errors, write_page
from bicinium.cli.progress import stage_progress
from bicinium.errors import RequestError


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
    with report_write_errors(out, "written to"):
        out.mkdir(parents=True, exist_ok=True)
    with stage_progress() as stages:
        found = measure(
            DEFAULT_MODEL if model == "default" else Path(model),
            data,
            pieces,
            seed,
            stages,
            unaided,
        )
        document = found.as_json()
        write_page(out / "report.json", json.dumps(document, indent=2) + "\n")
        write_page(out / "report.html", page(found))
    if as_json:
        print_json(document)
    else:
        typer.echo(as_text(table(found)))
        typer.echo(f"\nthe page is {out / 'report.html'}")
    if listen:  # last: it is refused where no piece could be had
        write_page(out / "listen.html", listening_page(found))
        if not as_json:
            typer.echo(f"the listening test is {out / 'listen.html'}")


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
        print_json({"findings": [asdict(finding) for finding in findings]})
    else:
        for finding in findings:
            word = "ok   " if finding.good else "WRONG"
            typer.echo(f"{word}  {finding.question}  {finding.evidence}")
    if not all(finding.good for finding in findings):
        raise typer.Exit(1)
