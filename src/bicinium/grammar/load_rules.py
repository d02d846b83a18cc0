"""Load rules by name, such as ``my_module:NoRepeatedPitch``, for configuration files."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path

from bicinium.errors import GrammarError
from bicinium.grammar.rule import Rule


def load_rules(names: Sequence[str]) -> tuple[type[Rule], ...]:
    """Return the classes that the names stand for.

    A name is MODULE:CLASS. The module is installed, or a file in the current folder. Raises
    GrammarError if there is no such module, or no such subclass of ``Rule`` in it.
    """
    with _current_folder_on_path():
        return tuple(_load_rule(name) for name in names)


@contextmanager
def _current_folder_on_path() -> Iterator[None]:
    folder = str(Path.cwd())
    sys.path.append(folder)
    try:
        yield
    finally:
        sys.path.remove(folder)


def _load_rule(name: str) -> type[Rule]:
    module_name, colon, class_name = name.partition(":")
    if not (module_name and colon and class_name):
        raise GrammarError(f"rule {name!r}: write MODULE:CLASS, such as my_module:NoRepeatedPitch")
    try:
        module = import_module(module_name)
    except Exception as error:  # Whatever the user's module raises.
        raise GrammarError(
            f"rule {name!r}: module {module_name} cannot be imported "
            f"({type(error).__name__}: {error})"
        ) from error
    rule = getattr(module, class_name, None)
    if not (isinstance(rule, type) and issubclass(rule, Rule) and rule is not Rule):
        raise GrammarError(
            f"rule {name!r}: {module_name} has no subclass of bicinium.grammar.Rule called "
            f"{class_name}"
        )
    return rule
