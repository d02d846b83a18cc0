"""Output of every command: JSON, messages, files, and checks before long work."""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import typer

from bicinium.atomic_write import atomic_write
from bicinium.errors import RequestError


def print_json(document: dict[str, Any]) -> None:
    typer.echo(json.dumps(document, indent=2))


def print_error(message: str) -> None:
    typer.echo(message, err=True)


def write_page(path: Path, page: str) -> None:
    with report_write_errors(path), atomic_write(path) as temporary:
        temporary.write_text(page, encoding="utf-8")


@contextmanager
def report_write_errors(path: Path, how: str = "written") -> Iterator[None]:
    """What this block writes is ``path``: RequestError says so where it cannot be."""
    try:
        yield
    except OSError as error:
        raise RequestError(f"{path} cannot be {how}: {error.strerror or error}") from error


def check_writable(folder: Path) -> None:
    """Raise RequestError where a folder cannot be made or written to, before any work is done."""
    from tempfile import TemporaryFile

    path = folder.absolute()
    there = next(above for above in (path, *path.parents) if os.path.lexists(above))
    with report_write_errors(folder, "written to"):
        TemporaryFile(dir=there).close()


@contextmanager
def print_deprecations() -> Iterator[None]:
    """Print each DeprecationWarning of the block as one line on standard error."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", DeprecationWarning)
        yield
    for warning in caught:
        print_error(f"bicinium: {warning.message}")
