"""A piano of sine waves, for machines without the extra ``sound``. Needs numpy only.

A string sounds at its fundamental and at partials that are slightly sharp, since it is stiff. High
partials are weaker and fade sooner, high notes fade sooner than low ones, and loud notes have
stronger partials (Fletcher and Rossing, The Physics of Musical Instruments, 1998, chapter 12; the
amounts are ours). Dampers stop a note at its end.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from bicinium.render.performance import Performance, TimedNote

RATE = 22_050  # Hz
_INHARMONICITY = 0.0004  # of middle C; it doubles every octave
_MAX_PARTIALS = 16
_MAX_SECONDS = 8.0  # a string that is not damped
_FADE_SECONDS = 1.6  # of the fundamental of middle C, to 1/e; two thirds of it an octave higher
_ATTACK_SECONDS, _RELEASE_SECONDS = 0.003, 0.09
_VELOCITY_STEP = 16  # notes of similar velocity share a tone, and differ in level
_WIDTH = 0.3  # of the stereo image: low notes on the left


def render(performance: Performance, seconds: float) -> NDArray[np.float64]:
    """Return (T, 2) samples at ``RATE``, not normalised."""
    length = round(seconds * RATE)
    samples = np.zeros((length, 2))
    for note in performance.notes:
        start = round(note.onset_seconds * RATE)
        sound = _damped(note)[: max(0, length - start)]
        side = _WIDTH * (note.pitch - 64) / 44
        samples[start : start + len(sound)] += sound[:, None] * [1 - side, 1 + side]
    return samples


def _damped(note: TimedNote) -> NDArray[np.float64]:
    """Return the samples of a note, with its level and its end."""
    tone = _tone(note.pitch, note.velocity // _VELOCITY_STEP)
    held = round((note.offset_seconds - note.onset_seconds) * RATE)
    release = round(_RELEASE_SECONDS * RATE)
    sound = tone[: held + release] * (note.velocity / 127) ** 1.5
    tail = sound[held:]
    tail *= np.linspace(1, 0, release)[: len(tail)] ** 2
    return sound


@lru_cache(maxsize=256)
def _tone(pitch: int, loudness: int) -> NDArray[np.float64]:
    """Return the samples of a string that is not damped. ``loudness`` is from 0 to 7."""
    octaves = (pitch - 60) / 12
    fundamental = 440 * 2 ** ((pitch - 69) / 12)
    fade = _FADE_SECONDS * (2 / 3) ** octaves
    length = round(min(_MAX_SECONDS, 6 * fade) * RATE)
    time = np.arange(length) / RATE
    rolloff = 1.9 - 0.12 * loudness
    tone = np.zeros(length)
    for partial in range(1, _MAX_PARTIALS + 1):
        stiffness = np.sqrt(1 + _INHARMONICITY * 2**octaves * partial**2)
        frequency = partial * fundamental * stiffness
        if frequency > 0.45 * RATE:
            break
        heard = length if partial == 1 else round(length / (1 + 0.3 * (partial - 1)))
        wave = np.exp(-time[:heard] * (1 + 0.35 * (partial - 1)) / fade)
        wave *= np.sin(2 * np.pi * frequency * time[:heard])
        tone[:heard] += wave / partial**rolloff
    attack = round(_ATTACK_SECONDS * RATE)
    tone[:attack] *= np.linspace(0, 1, attack)
    return tone
