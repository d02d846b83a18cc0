"""`bicinium train` and `bicinium runs`: train models, compare and average runs."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from bicinium.cli.options import MODEL_HELP, AsJson, Force, Quantize, Unfold
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
    from bicinium.data.shards import require_prepared
    from bicinium.training.config import load_config

    if resume:
        if not (resume / "config.yaml").is_file():
            raise RequestError(
                f"There is no run at {resume}. Name the folder of an interrupted run."
            )
        config = config or resume / "config.yaml"
    if not config:
        raise RequestError(
            "No configuration given. Name a YAML file, or continue a run with --resume RUN."
        )
    with print_deprecations():
        chosen = load_config(config, settings or [])
    check_writable(resume or run)
    require_prepared(chosen.data.prepared)
    with require_extra("train", "training"):
        from bicinium.training.loop import train as run_training  # torch takes seconds to load
    try:
        path = run_training(chosen, resume or run, resume=resume is not None)
    except KeyboardInterrupt:
        print_error(f"Stopped and saved. Continue with: bicinium train --resume {resume or run}")
        raise typer.Exit(130) from None
    typer.echo(f"model: {path}. Compose with: bicinium compose --model {path}")


def finetune(
    sources: Annotated[
        list[str], typer.Argument(help="Folders or files of music; five pieces are enough.")
    ],
    model: Annotated[str, typer.Option(help=MODEL_HELP)] = "default",
    style: Annotated[
        str | None,
        typer.Option(
            help="Style of the pieces, for compose --style (default: name of the folder)."
        ),
    ] = None,
    run: Annotated[Path, typer.Option(help="Folder for all files of the run.")] = Path(
        "runs/finetuned"
    ),
    max_steps: Annotated[
        int, typer.Option(min=1, help="Most optimiser steps; early stopping ends sooner.")
    ] = 200,
    quantize: Quantize = False,
    unfold: Unfold = False,
) -> None:
    """Fine-tune a model on a few pieces, in minutes.

    Some pieces are held out; training stops when they are no longer predicted better. Ctrl-C saves
    the run; bicinium train --resume RUN continues it.
    """
    from bicinium.model.checkpoint import resolve_model

    initial = resolve_model(model)
    check_writable(run)
    with require_extra("train", "fine-tuning"):
        from bicinium.training.finetune import finetune as run_finetuning
        from bicinium.training.finetune import finetuning_config, prepare_pieces

        records = prepare_pieces(sources, run, style, quantize=quantize, unfold=unfold)
    for record in records:
        if not record.kept:
            typer.echo(f"left out {record.name}: {record.reason}")
    kept = [record for record in records if record.kept]
    held_out = sum(record.split == "validation" for record in kept)
    name = kept[0].style
    typer.echo(
        f"{len(kept)} pieces, {held_out} of them held out, style {name or 'unknown'}, from {model}"
    )
    try:
        found = run_finetuning(finetuning_config(initial, run, max_steps), run)
    except KeyboardInterrupt:
        print_error(f"Stopped and saved. Continue with: bicinium train --resume {run}")
        raise typer.Exit(130) from None
    typer.echo(
        f"held-out bits per note: {found.bits_before:.2f} before, {found.bits_after:.2f} after "
        f"(step {found.best_step})"
    )
    if not found.best_step:
        typer.echo("Fine-tuning did not help: the model is as it was. More pieces may.")
    option = f" --style {shlex.quote(name)}" if name else ""
    typer.echo(f"model: {found.model}. Compose with: bicinium compose --model {run}{option}")


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
