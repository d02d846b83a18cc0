"""Piano samples for the page: one recording with a note every four semitones.

The page plays the nearest sample a little faster or slower. So it can change tempo, loop, and play
drawn notes at once, without the server.
"""

from __future__ import annotations

import io
import wave

import numpy as np

from bicinium.music.score import TICKS_PER_QUARTER, Note, Score, Voice
from bicinium.render.audio import synthesize

SAMPLE_PITCHES = tuple(range(22, 109, 4))
SAMPLE_SECONDS = 4
_SILENCE_SECONDS = 1  # between two samples
_VELOCITY = 84


def render_piano_samples() -> bytes:
    """Return a mono WAV file; sample i of ``SAMPLE_PITCHES`` starts at ``i * SAMPLE_SECONDS``.

    Raises RequestError if the extra ``sound`` is not installed.
    """
    step_seconds = SAMPLE_SECONDS + _SILENCE_SECONDS
    step_ticks = step_seconds * TICKS_PER_QUARTER  # at 60 quarter notes per minute
    notes = tuple(
        Note(index * step_ticks, pitch, SAMPLE_SECONDS * TICKS_PER_QUARTER, _VELOCITY)
        for index, pitch in enumerate(SAMPLE_PITCHES)
    )
    bars = -(-len(notes) * step_ticks // (4 * TICKS_PER_QUARTER))
    stereo, rate = synthesize(Score((Voice(notes), Voice()), bars, tempo_qpm=60))
    mono = stereo.mean(axis=1)
    mono = (mono[0::2][: len(mono) // 2] + mono[1::2]) / 2  # half the sample rate
    rate //= 2
    fade = np.ones(SAMPLE_SECONDS * rate)
    fade[-rate // 4 :] = np.linspace(1, 0, rate // 4)
    starts = range(0, len(notes) * step_seconds * rate, step_seconds * rate)
    samples = [mono[start : start + SAMPLE_SECONDS * rate] * fade for start in starts]
    file = io.BytesIO()
    with wave.open(file, "wb") as recording:
        recording.setnchannels(1)
        recording.setsampwidth(2)
        recording.setframerate(rate)
        recording.writeframes(np.round(np.concatenate(samples)).astype("<i2").tobytes())
    return file.getvalue()
