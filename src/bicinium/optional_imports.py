"""Imports of optional dependencies, with an error that names the extra to install."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from bicinium.errors import MissingExtraError


@contextmanager
def require_extra(extra: str, purpose: str) -> Iterator[None]:
    """Raise MissingExtraError if an import inside the block fails for want of ``extra``.

    ``purpose`` is the start of the message: what the user was trying to do.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            f"{purpose} needs {error.name}: install it with pip install 'bicinium[{extra}]'"
        ) from error


def is_importable(module: str) -> bool:
    """Return whether a module can be imported, with the system libraries that it needs."""
    try:
        import_module(module)
    except (ImportError, OSError):
        return False
    return True


def import_optional(module: str, extra: str, purpose: str) -> Any:
    """Import and return a module of ``extra``. Raise MissingExtraError if it is not installed."""
    with require_extra(extra, purpose):
        return import_module(module)
