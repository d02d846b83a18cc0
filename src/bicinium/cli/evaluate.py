"""`bicinium evaluate` and `bicinium doctor`: measure a model and check it for defects."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from bicinium.cli.options import MODEL_HELP, AsJson, Force
from bicinium.cli.output import (
    check_outputs,
    print_json,
    report_write_errors,
    resolve_renamed,
    write_page,
)
from bicinium.errors import RequestError
from bicinium.progress import stage_progress


def evaluate(
    model: Annotated[str, typer.Argument(help=MODEL_HELP)],
    data: Annotated[Path, typer.Option(help="Prepared corpus, or folder of music files.")],
    pieces: Annotated[
        int, typer.Option(help="Pieces to compose; 0 measures the likelihood only.")
    ] = 200,
    unconstrained: Annotated[
        int | None,
        typer.Option(help="Pieces to generate without the grammar mask (default: --pieces)."),
    ] = None,
    unaided: Annotated[int | None, typer.Option(hidden=True)] = None,  # former --unconstrained
    seed: Annotated[int, typer.Option(help="Random seed.")] = 0,
    out: Annotated[Path, typer.Option(help="Folder for the report and the JSON.")] = Path(
        "evaluation"
    ),
    listen: Annotated[
        bool, typer.Option("--listen", help="Also write a page for a blind listening test.")
    ] = False,
    force: Force = False,
    as_json: AsJson = False,
) -> None:
    """Evaluate a model on held-out music: likelihood, unconstrained generation, compositions.

    Of a prepared corpus the validation split is used.
    """
    from bicinium.evaluation.evaluate import evaluate as run_evaluation
    from bicinium.evaluation.html_report import installed_audio, installed_engraver, render_report
    from bicinium.evaluation.listening_test import render_listening_test
    from bicinium.evaluation.summary import format_table, summary_rows
    from bicinium.model.checkpoint import resolve_model

    unconstrained = resolve_renamed(unconstrained, unaided, "--unconstrained", "--unaided")
    if listen and not pieces:
        raise RequestError("--listen needs --pieces of 1 or more (got 0).")
    names = ("report.json", "report.html", *(("listen.html",) if listen else ()))
    check_outputs([out / name for name in names], force)
    with report_write_errors(out, "written to"):
        out.mkdir(parents=True, exist_ok=True)
    with stage_progress() as progress:
        evaluation = run_evaluation(
            resolve_model(model), data, pieces, seed, progress, unconstrained
        )
        progress("writing the report", 0, 1)
        document = evaluation.as_json()
        write_page(out / "report.json", json.dumps(document, indent=2) + "\n")
        html = render_report(
            evaluation, engrave=installed_engraver(), encode_audio=installed_audio()
        )
        write_page(out / "report.html", html)
    if as_json:
        print_json(document)
    else:
        typer.echo(format_table(summary_rows(evaluation)))
        typer.echo(f"\nreport: {out / 'report.html'}")
    if listen:  # last, because it fails if no piece was composed
        write_page(out / "listen.html", render_listening_test(evaluation))
        if not as_json:
            typer.echo(f"listening test: {out / 'listen.html'}")


def doctor(
    model: Annotated[str, typer.Argument(help=MODEL_HELP)] = "default",
    as_json: AsJson = False,
) -> None:
    """Check a model for defects: causality, prediction, note pairing, loops.

    Exit status 1 if a check fails.
    """
    from dataclasses import asdict

    from bicinium.evaluation.diagnostics import diagnose
    from bicinium.model.checkpoint import resolve_model

    checks = diagnose(resolve_model(model))
    if as_json:
        print_json({"checks": [asdict(check) for check in checks]})
    else:
        for one in checks:
            typer.echo(f"{'ok    ' if one.passed else 'FAILED'}  {one.check}: {one.evidence}")
    if not all(one.passed for one in checks):
        raise typer.Exit(1)
