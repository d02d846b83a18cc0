"""The piano that the page plays: one recording with a note every four semitones.

The page plays the nearest of them a little faster or slower, so that tempo, loops and what somebody
draws can be heard at once, without the server.
"""

from __future__ import annotations

import io
import wave

import numpy as np

from bicinium.music.score import TICKS_PER_QUARTER, Note, Score, Voice
from bicinium.render.audio import synthesize

PITCHES = tuple(range(22, 109, 4))
SECONDS = 4  # of each note
_SILENCE = 1  # second between two of them
_VELOCITY = 84


def piano() -> bytes:
    """A WAV file, mono: note i of ``PITCHES`` is at ``i * SECONDS`` seconds.

    Raises RequestError where the extra ``sound`` is not installed.
    """
    apart = (SECONDS + _SILENCE) * TICKS_PER_QUARTER  # at 60 quarters a minute
    notes = tuple(
        Note(index * apart, pitch, SECONDS * TICKS_PER_QUARTER, _VELOCITY)
        for index, pitch in enumerate(PITCHES)
    )
    bars = -(-len(notes) * apart // (4 * TICKS_PER_QUARTER))
    samples, rate = synthesize(Score((Voice(notes), Voice()), bars, tempo_qpm=60))
    mono = samples.mean(axis=1)
    mono = (mono[0::2][: len(mono) // 2] + mono[1::2]) / 2  # half the rate
    rate //= 2
    fade = np.ones(SECONDS * rate)
    fade[-rate // 4 :] = np.linspace(1, 0, rate // 4)
    kept = np.concatenate(
        [
            mono[start : start + SECONDS * rate] * fade
            for start in range(
                0, len(notes) * (SECONDS + _SILENCE) * rate, (SECONDS + _SILENCE) * rate
            )
        ]
    )
    file = io.BytesIO()
    with wave.open(file, "wb") as recording:
        recording.setnchannels(1)
        recording.setsampwidth(2)
        recording.setframerate(rate)
        recording.writeframes(np.round(kept).astype("<i2").tobytes())
    return file.getvalue()
