"""Old import paths that the README or the plan once named: each still works, with a warning.

The package ``__init__`` installs a finder for the modules in ``MOVED``. It is removed one release
after the names are gone from the documentation.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

MOVED = {
    "bicinium.composing": "bicinium.generation",
    "bicinium.composing.constraints": "bicinium.generation.constraints.config",
    "bicinium.corpus": "bicinium.data",
    "bicinium.corpus.quality": "bicinium.music.quality",
    "bicinium.score": "bicinium.music",
    "bicinium.score.notes": "bicinium.music.score",
    "bicinium.tokens": "bicinium.tokenizer",
    "bicinium.tokens.vocabulary": "bicinium.tokenizer.vocabulary",
}


class _MovedModuleFinder(MetaPathFinder, Loader):
    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname not in MOVED:
            return None
        return ModuleSpec(fullname, self, is_package=True)

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        new = MOVED[spec.name]
        warnings.warn(
            f"{spec.name} has moved to {new}. Import it from there.",
            DeprecationWarning,
            stacklevel=2,
        )
        return ModuleType(spec.name, f"Moved to {new}.")

    def exec_module(self, module: ModuleType) -> None:
        """Take every attribute from the new module."""
        new = MOVED[module.__name__]
        module.__getattr__ = lambda name: getattr(import_module(new), name)  # type: ignore[method-assign]


def install() -> None:
    """Let the old paths be imported."""
    if not any(isinstance(finder, _MovedModuleFinder) for finder in sys.meta_path):
        sys.meta_path.append(_MovedModuleFinder())
