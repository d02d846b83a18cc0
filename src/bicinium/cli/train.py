"""`bicinium train` and `bicinium runs`: train models, compare and average runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bicinium.cli.options import AsJson
from bicinium.cli.output import (
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
    with print_deprecations():
        chosen = load_config(config, settings or [])
    check_writable(resume or run)
    try:
        path = run_training(chosen, resume or run, resume=resume is not None)
    except KeyboardInterrupt:
        print_error(f"stopped and saved; go on with: bicinium train --resume {resume or run}")
        raise typer.Exit(130) from None
    typer.echo(f"the model is {path}; compose with: bicinium compose --model {path}")


def runs_compare(
    folders: Annotated[list[Path], typer.Argument(help="Folders of runs.")],
    out: Annotated[Path, typer.Option(help="The picture of the curves.")] = Path("runs.png"),
    as_json: AsJson = False,
) -> None:
    """Set runs side by side: their curves as a picture, their last numbers as a table."""
    with require_extra("train", "comparing runs"):
        from bicinium.training.compare_runs import compare_runs, plot_curves

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
