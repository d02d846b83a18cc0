"""bicinium composes two-voice keyboard music that is grammatical by construction.

>>> import bicinium
>>> piece = bicinium.compose(key="D minor", meter="3/4", bars=16, seed=7)
>>> path = piece.save("piece.mid")
>>> bicinium.validate(path).valid
True
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from bicinium import deprecated_paths

if TYPE_CHECKING:
    from bicinium.adapters.midi_objects import from_symusic
    from bicinium.adapters.music21 import from_music21
    from bicinium.api import (
        check,
        compose,
        compose_many,
        propose,
        read,
        repair,
        stream,
        validate,
        write,
    )
    from bicinium.model.transformer import load_model

__version__ = "0.1.0"
__all__ = [
    "__version__", "check", "compose", "compose_many", "from_music21", "from_symusic",
    "load_model", "propose", "read", "repair", "stream", "validate", "write",
]  # fmt: skip

_MODULES = {"from_music21": "adapters.music21", "from_symusic": "adapters.midi_objects"}

deprecated_paths.install()


def __getattr__(name: str) -> object:
    """Load the interface when it is first used: ``import bicinium`` alone costs nothing."""
    if name == "load_model":  # The only function of the interface that needs torch
        from bicinium.optional_imports import require_extra

        with require_extra("train", "load_model"):
            from bicinium.model.transformer import load_model

            return load_model
    if name in __all__:
        return getattr(import_module(f"bicinium.{_MODULES.get(name, 'api')}"), name)
    raise AttributeError(f"module 'bicinium' has no attribute {name!r}")
