"""`bicinium train` and `bicinium runs`: train models, compare and average runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bicinium.cli.options import AsJson, Force
from bicinium.cli.output import (
    check_outputs,
    check_writable,
    print_deprecations,
    print_error,
    print_json,
    report_write_errors,
)
from bicinium.errors import RequestError
from bicinium.optional_imports import require_extra


def train(
    config: Annotated[
        Path | None,
        typer.Argument(help="YAML configuration; examples in configs/training_configs."),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set", help="Override of one key, like training.max_steps=2000; repeatable."
        ),
    ] = None,
    run: Annotated[Path, typer.Option(help="Folder for all files of the run.")] = Path(
        "runs/latest"
    ),
    resume: Annotated[
        Path | None, typer.Option(help="Folder of an interrupted run to continue.")
    ] = None,
) -> None:
    """Train a model on a prepared corpus. Ctrl-C saves the run; --resume RUN continues it.

    The run validates the model's own pieces at intervals, rolls back to the best state after a
    collapse, and stops early without improvement. Exit status 1 if it keeps collapsing.
    """
    with require_extra("train", "training"):
        from bicinium.training.config import load_config
        from bicinium.training.loop import train as run_training
        from bicinium.training.run_dir import CONFIG
    if resume:
        if not (resume / CONFIG).is_file():
            raise RequestError(
                f"There is no run at {resume}. Name the folder of an interrupted run."
            )
        config = config or resume / CONFIG
    if not config:
        raise RequestError(
            "No configuration given. Name a YAML file, or continue a run with --resume RUN."
        )
    with print_deprecations():
        chosen = load_config(config, settings or [])
    check_writable(resume or run)
    try:
        path = run_training(chosen, resume or run, resume=resume is not None)
    except KeyboardInterrupt:
        print_error(f"Stopped and saved. Continue with: bicinium train --resume {resume or run}")
        raise typer.Exit(130) from None
    typer.echo(f"model: {path}. Compose with: bicinium compose --model {path}")


def runs_compare(
    folders: Annotated[list[Path], typer.Argument(help="Folders of training runs.")],
    out: Annotated[Path, typer.Option(help="Image of the training curves.")] = Path("runs.png"),
    force: Force = False,
    as_json: AsJson = False,
) -> None:
    """Compare runs: a table of their final measures, and an image of their curves."""
    with require_extra("train", "comparing runs"):
        from bicinium.training.compare_runs import compare_runs, plot_curves

    check_outputs([out], force)
    rows = compare_runs(folders)
    with report_write_errors(out):
        plot_curves(folders, out)
    if as_json:
        print_json({"runs": rows, "curves": str(out)})
        return
    width = max(len(name) for row in rows for name in row)
    for name in rows[0]:
        cells = [row[name] for row in rows]
        shown = [f"{cell:.4g}" if isinstance(cell, float) else str(cell) for cell in cells]
        typer.echo(f"{name:<{width}}  " + "  ".join(f"{cell:>18}" for cell in shown))
    typer.echo(f"curves: {out}")


def runs_average(
    run: Annotated[Path, typer.Argument(help="Folder of a training run.")],
    other: Annotated[
        Path | None,
        typer.Option("--with", help="Model to average with (default: the last state of the run)."),
    ] = None,
    share: Annotated[
        float, typer.Option(help="Weight of the last state, or of the other model.")
    ] = 0.5,
    force: Force = False,
) -> None:
    """Average the weights of a run's best and last state, or of its model and another model.

    The average often predicts better than either.
    """
    with require_extra("train", "averaging"):
        from bicinium.training.run_dir import AVERAGE
        from bicinium.training.weight_averaging import average_run

    check_outputs([run / AVERAGE], force, [other] if other else [])
    path = average_run(run, other, share)
    typer.echo(f"model: {path}. Compose with: bicinium compose --model {path}")
