"""`bicinium publish`: write a model as a folder for the Hugging Face hub."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer

from bicinium.cli.options import MODEL_HELP, Force
from bicinium.cli.output import check_outputs, report_write_errors
from bicinium.errors import RequestError


def publish(
    model: Annotated[str, typer.Argument(help=MODEL_HELP)],
    out: Annotated[Path, typer.Argument(help="Folder to write.")],
    licence: Annotated[
        str, typer.Option(help="Licence of the weights, as the hub names it: cc-by-sa-4.0.")
    ],
    data: Annotated[
        Path | None,
        typer.Option(help="Prepared corpus (default: the one that the training record names)."),
    ] = None,
    force: Force = False,
) -> None:
    """Write a folder for the Hugging Face hub: weights, configuration and model card.

    The card lists the licences of the training pieces. Nothing is uploaded.
    """
    from bicinium.model.checkpoint import resolve_model
    from bicinium.model.hub import CONFIG_FILE
    from bicinium.training.publish import CARD, published_files
    from bicinium.training.publish import publish as write_folder

    if not re.fullmatch(r"[a-z0-9][a-z0-9.-]*", licence):
        raise RequestError(
            f"--licence must be an identifier such as cc-by-sa-4.0 or apache-2.0 (got {licence})."
        )
    path = resolve_model(model)
    names = (*published_files(path), CONFIG_FILE, CARD)
    check_outputs([out / name for name in names], force, [path])
    with report_write_errors(out, "written to"):
        files = write_folder(path, out, licence, data)
    for file in files:
        typer.echo(file)
    typer.echo(f"Read {out / CARD}, then upload with: hf upload USER/NAME {out}")
