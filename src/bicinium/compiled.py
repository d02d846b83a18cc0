"""Is the engine compiled? Without a C compiler the same source files run as they are, slower."""

from __future__ import annotations

from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

NOT_COMPILED = (
    "bicinium is not compiled, so everything is much slower. "
    "Install a C compiler (gcc or clang), then reinstall: "
    "pip install --force-reinstall --no-deps bicinium"
)


def is_compiled() -> bool:
    """True if the grammar was compiled when the package was built."""
    grammar = Path(__file__).parent / "grammar"
    return any((grammar / f"state{suffix}").exists() for suffix in EXTENSION_SUFFIXES)
