"""Methods of values in lower layers whose code is in ``adapters``, imported when they are called.

Scores and reports are plain values of lower layers. Their conversions and their display in
notebooks need file formats, engraving and other libraries. Only this module calls upwards.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any


def _call(module: str, function: str, value: object) -> Any:
    return getattr(import_module(f"bicinium.adapters.{module}"), function)(value)


class NotebookDisplay:
    """Shows a value in notebooks; see ``bicinium.adapters.notebook``."""

    __slots__ = ()

    def _repr_html_(self) -> str:
        """Return the value as HTML."""
        html: str = _call("notebook", "to_html", self)
        return html

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        """Return the value as HTML and as one line of text, which is all that is saved of it."""
        return {"text/html": self._repr_html_(), "text/plain": _call("notebook", "to_text", self)}


class ScoreConversions:
    """Converts a score to objects of other libraries."""

    __slots__ = ()

    def to_music21(self) -> Any:
        """Return a ``music21.stream.Score``; see ``bicinium.adapters.music21``."""
        return _call("music21", "to_music21", self)

    def to_symusic(self) -> Any:
        """Return a ``symusic.Score``; see ``bicinium.adapters.midi_objects``."""
        return _call("midi_objects", "to_symusic", self)

    def to_pretty_midi(self) -> Any:
        """Return a ``pretty_midi.PrettyMIDI``; see ``bicinium.adapters.midi_objects``."""
        return _call("midi_objects", "to_pretty_midi", self)
