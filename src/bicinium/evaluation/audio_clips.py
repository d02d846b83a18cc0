"""A score as a data URI of sound: MP3 if soundfile is installed, else WAV."""

from __future__ import annotations

import base64
import io
import wave

import numpy as np
from numpy.typing import NDArray

from bicinium.music.score import Score
from bicinium.optional_imports import import_optional, is_importable
from bicinium.render.audio import synthesize

_COMPRESSION_LEVEL = 0.7  # from 0 (best) to 1 (smallest); about 50 kbit/s


def is_mp3_available() -> bool:
    """Return whether soundfile, of the extra ``sound``, can write MP3."""
    return is_importable("soundfile")


def audio_data_uri(score: Score, perform: bool = False) -> str:
    """Render a score as a mono data URI: MP3, or WAV of seven times the size. ``perform`` adds
    phrasing.
    """
    samples, rate = synthesize(score, perform)
    mono = samples.mean(axis=1).astype("<i2")
    kind, data = ("mpeg", _mp3(mono, rate)) if is_mp3_available() else ("wav", _wav(mono, rate))
    return f"data:audio/{kind};base64,{base64.b64encode(data).decode()}"


def _mp3(mono: NDArray[np.int16], rate: int) -> bytes:
    soundfile = import_optional("soundfile", "sound", "MP3")
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
    return mp3.getvalue()


def _wav(mono: NDArray[np.int16], rate: int) -> bytes:
    recording = io.BytesIO()
    with wave.open(recording, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(mono.tobytes())
    return recording.getvalue()
