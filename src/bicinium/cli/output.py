"""Output of every command: JSON, messages, files, and checks before long work."""

from __future__ import annotations

import json
import os
import re
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import typer

from bicinium.atomic_write import atomic_write
from bicinium.errors import RequestError

if TYPE_CHECKING:
    from bicinium.music.losses import Loss

T = TypeVar("T")
_OPTIONS = {"continue_from": "continue"}  # parameters that are named otherwise than their option
_RENAMED_OPTIONS = ("recurrence", "motif_strength", "repetition_penalty")


def print_json(document: dict[str, Any]) -> None:
    """Print a document as indented JSON on standard output."""
    typer.echo(json.dumps(document, indent=2))


def print_error(message: str) -> None:
    """Print a line on standard error, if somebody reads it."""
    with suppress(OSError):
        typer.echo(message, err=True)


def print_losses(losses: Iterable[Loss], prefix: str = "") -> None:
    """Print what reading a file left out, one line for each kind, on standard error."""
    for loss in losses:
        print_error(f"{prefix}{loss}")


def write_page(path: Path, page: str) -> None:
    """Write a text file atomically. Raise RequestError if that is impossible."""
    with report_write_errors(path), atomic_write(path) as temporary:
        temporary.write_text(page, encoding="utf-8")


@contextmanager
def report_write_errors(path: Path, how: str = "written") -> Iterator[None]:
    """Turn an OSError of the block into a RequestError: ``path`` cannot be ``how``."""
    try:
        yield
    except OSError as error:
        raise RequestError(f"{path} cannot be {how}: {error.strerror or error}") from error


def check_writable(folder: Path) -> None:
    """Raise RequestError if ``folder`` cannot be created or written to (before long work)."""
    from tempfile import TemporaryFile

    path = folder.absolute()
    there = next(above for above in (path, *path.parents) if os.path.lexists(above))
    with report_write_errors(folder, "written to"):
        TemporaryFile(dir=there).close()


def check_outputs(outputs: Iterable[Path], force: bool, inputs: Iterable[Path] = ()) -> None:
    """Raise RequestError if an output exists already, unless ``force``, or is one of the inputs.

    Every command that writes calls this before it begins its work.
    """
    sources = [path for path in inputs if path.exists()]
    for path in outputs:
        if path.exists() and any(path.samefile(source) for source in sources):
            raise RequestError(
                f"{path} is the file that is read, and would be overwritten. Name another file."
            )
        if os.path.lexists(path) and not force:
            raise RequestError(
                f"{path} exists already. Name another file or folder, or replace it with --force."
            )


@contextmanager
def print_deprecations() -> Iterator[None]:
    """Print each DeprecationWarning of the block as one line on standard error."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", DeprecationWarning)
        yield
    for warning in caught:
        print_error(f"bicinium: {_with_dashes(str(warning.message), _RENAMED_OPTIONS)}")


@contextmanager
def option_names(parameters: Iterable[str]) -> Iterator[None]:
    """Name options as on the command line in a RequestError of the block: ``--best-of``."""
    try:
        yield
    except RequestError as error:
        raise RequestError(_with_dashes(str(error), parameters)) from error


def _with_dashes(message: str, parameters: Iterable[str]) -> str:
    """Replace the names of parameters where they are the subject of a message."""
    names = "|".join(sorted(parameters, key=len, reverse=True))
    subject = (
        rf"(?<![-\w])(?:{names})(?= (?:must|needs|was|cannot|and (?:{names})\b))"
        rf"|(?<= and )(?:{names})(?= cannot)|(?<=renamed )(?:{names})"
    )

    def dashed(found: re.Match[str]) -> str:
        name = _OPTIONS.get(found[0], found[0])
        return f"-{name}" if len(name) == 1 else f"--{name.replace('_', '-')}"

    return re.sub(subject, dashed, message)


def resolve_renamed(new: T | None, old: T | None, new_name: str, old_name: str) -> T | None:
    """Return the value of a renamed option, with a warning if the old name was used."""
    if old is None:
        return new
    if new is not None:
        raise RequestError(f"{old_name} is the old name of {new_name}. Leave {old_name} out.")
    print_error(f"bicinium: {old_name} is now called {new_name}; the old name will be removed.")
    return old
