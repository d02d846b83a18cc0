"""Libraries that only some things need: imported when they are, named where they are missing."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from bicinium.errors import RequestError


def needed(module: str, extra: str, purpose: str) -> Any:
    """The module. RequestError says with which extra to install it, where it is not."""
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        raise RequestError(
            f"{purpose} needs {error.name}: install it with pip install 'bicinium[{extra}]'"
        ) from error
