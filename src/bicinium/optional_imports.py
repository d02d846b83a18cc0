"""Libraries that only some things need: imported when they are, named where they are missing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from bicinium.errors import RequestError


@contextmanager
def needs(extra: str, purpose: str) -> Iterator[None]:
    """What this block imports comes with ``extra``: RequestError says so where it is not there."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise RequestError(
            f"{purpose} needs {error.name}: install it with pip install 'bicinium[{extra}]'"
        ) from error


def needed(module: str, extra: str, purpose: str) -> Any:
    """The module, which comes with ``extra``."""
    with needs(extra, purpose):
        return import_module(module)
