"""Check that the fields of a dataclass of options hold values of their types.

Python does not check annotations, so without this ``bars=2.5`` or ``bars=True`` would go far before
anything fails.
"""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from functools import cache
from pathlib import Path
from types import NoneType
from typing import Any, get_args, get_type_hints

import numpy as np
from pydantic import ConfigDict, TypeAdapter, ValidationError

from bicinium.errors import RequestError

_WORDS: dict[object, str] = {
    int: "a whole number",
    float: "a number",
    str: "a text",
    bool: "True or False",
    Path: "a path",
    tuple[int, int]: "two whole numbers, like (3, 4)",
}


def check_types(options: Any) -> None:
    """Raise RequestError if a field of a dataclass is not of its type.

    A whole number may stand for a float, and a number of numpy for one of Python. Limits are
    checked elsewhere.
    """
    for name, (hint, adapter) in _adapters(options.__class__).items():
        value = getattr(options, name)
        plain = value.item() if isinstance(value, np.generic) else value
        try:
            adapter.validate_python(plain, strict=True)
        except ValidationError:
            raise RequestError(f"{name} must be {_describe(hint)} (got {value!r}).") from None


@cache
def _adapters(options: Any) -> dict[str, tuple[Any, TypeAdapter[Any]]]:
    """Return the type of each field, and what validates it."""
    hints = get_type_hints(options)
    return {
        field.name: (hints[field.name], _adapter(hints[field.name])) for field in fields(options)
    }


def _adapter(hint: Any) -> TypeAdapter[Any]:
    if is_dataclass(hint):  # pydantic takes no configuration for these
        return TypeAdapter(hint)
    return TypeAdapter(hint, config=ConfigDict(arbitrary_types_allowed=True))


def _describe(hint: Any) -> str:
    """Return a type in words."""
    choices = [choice for choice in get_args(hint) or (hint,) if choice is not NoneType]
    if hint in _WORDS:
        choices = [hint]
    words = [_WORDS.get(choice) or f"a {getattr(choice, '__name__', choice)}" for choice in choices]
    none = " or None" if NoneType in get_args(hint) else ""
    return " or ".join(words) + none
