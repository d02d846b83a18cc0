"""Scores to tokens and back, exactly: ``decode(encode(score), …) == score``.

A score has one spelling (the canonical order): START, TEMPO, then for each tick at which something
happens TIME_SHIFTs that reach it, the parts in rising order, in a part NOTE_OFF before NOTE_ON;
PART and VELOCITY only when they change; a last TIME_SHIFT to the final barline; END.
Metre, key and anacrusis are not in the tokens; ``decode`` is told them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from bicinium.errors import ScoreError, TokenError
from bicinium.score.keys import Key
from bicinium.score.notes import Meter, Note, Score, Voice
from bicinium.tokens.vocabulary import (
    END,
    KINDS,
    MAX_PARTS,
    MAX_SHIFT_TICKS,
    START,
    VALUES,
    VOCAB_SIZE,
    Kind,
    bin_tempo_qpm,
    bin_velocity,
    describe,
    tempo_bin,
    token_id,
    velocity_bin,
)

LOWEST_AUDIBLE_BIN = 4  # velocities up to 16 do not sound on a piano


def snap(score: Score) -> Score:
    """The nearest score that tokens can spell: velocities and tempo moved to their bins."""

    def snapped(note: Note) -> Note:
        return replace(note, velocity=bin_velocity(_audible_bin(note.velocity)))

    voices = tuple(Voice(tuple(map(snapped, voice.notes))) for voice in score.voices)
    return replace(score, voices=voices, tempo_qpm=bin_tempo_qpm(tempo_bin(score.tempo_qpm)))


def _audible_bin(velocity: int) -> int:
    return max(LOWEST_AUDIBLE_BIN, velocity_bin(velocity))


def encode(score: Score) -> np.ndarray:
    """(T,) int16 token ids, START and END included.

    Raises TokenError for more than 16 voices. Velocities and tempo go to their bins; ``snap`` says
    beforehand where they will be.
    """
    if len(score.voices) > MAX_PARTS:
        raise TokenError(
            f"{len(score.voices)} voices are more than the {MAX_PARTS} parts there are"
        )
    moments: dict[int, list[tuple[int, bool, int, int]]] = defaultdict(list)
    for part, voice in enumerate(score.voices):
        for note in voice.notes:
            moments[note.offset_tick].append((part, False, note.pitch, 0))
            moments[note.onset_tick].append((part, True, note.pitch, _audible_bin(note.velocity)))
    tokens = [START, token_id(Kind.TEMPO, tempo_bin(score.tempo_qpm))]
    tick = part_now = 0
    velocity_now = -1
    for moment in sorted(moments):
        tokens += _shifts(moment - tick)
        tick = moment
        for part, starts, pitch, velocity in sorted(moments[moment]):
            if part != part_now:
                tokens.append(token_id(Kind.PART, part))
                part_now = part
            if starts and velocity != velocity_now:
                tokens.append(token_id(Kind.VELOCITY, velocity))
                velocity_now = velocity
            tokens.append(token_id(Kind.NOTE_ON if starts else Kind.NOTE_OFF, pitch))
    tokens += _shifts(score.end_tick - tick)
    tokens.append(END)
    return np.array(tokens, dtype=np.int16)


def _shifts(ticks: int) -> list[int]:
    """TIME_SHIFT tokens for ``ticks``: all but the last are the longest there is."""
    longest, rest = divmod(ticks, MAX_SHIFT_TICKS)
    shifts = [token_id(Kind.TIME_SHIFT, MAX_SHIFT_TICKS)] * longest
    return [*shifts, token_id(Kind.TIME_SHIFT, rest)] if rest else shifts


def decode(
    tokens: Iterable[int],
    meter: Meter,
    key: Key | None = None,
    anacrusis_ticks: int = 0,
    parts: int = 2,
) -> Score:
    """The score that tokens spell. They may stop anywhere after START.

    Raises TokenError where a note ends that does not sound, starts while it sounds, is still
    sounding at the end or has no length, and where notes of one part overlap: decoding never
    repairs. The validator says all that is wrong.
    """
    notes: list[list[Note]] = [[] for _ in range(parts)]
    sounding: dict[tuple[int, int], tuple[int, int]] = {}  # (part, pitch): (onset, velocity)
    tick = part = velocity = 0
    tempo_qpm = 120.0
    for index, token in enumerate(map(int, tokens)):
        if not 0 <= token < VOCAB_SIZE:
            raise TokenError(f"token {token} at index {index} is not one of the {VOCAB_SIZE}")
        value = int(VALUES[token])
        match Kind(KINDS[token]):
            case Kind.NOTE_ON:
                if (part, value) in sounding:
                    raise TokenError(f"{describe(token)} at index {index} starts a sounding note")
                sounding[part, value] = (tick, velocity)
            case Kind.NOTE_OFF:
                if (part, value) not in sounding:
                    raise TokenError(f"{describe(token)} at index {index} ends no sounding note")
                onset, loudness = sounding.pop((part, value))
                notes[part].append(Note(onset, value, tick - onset, bin_velocity(loudness)))
            case Kind.TIME_SHIFT:
                tick += value
            case Kind.VELOCITY:
                velocity = value
            case Kind.TEMPO:
                tempo_qpm = bin_tempo_qpm(value)
            case Kind.PART:
                if value >= parts:
                    raise TokenError(f"{describe(token)} at index {index}: there are {parts} parts")
                part = value
            case Kind.END:
                break
    if sounding:
        raise TokenError(f"{len(sounding)} notes are still sounding where the tokens end")
    try:
        voices = tuple(Voice(tuple(sorted(line))) for line in notes)
    except ScoreError as error:
        raise TokenError(f"the tokens spell no score: {error}") from error
    return Score(
        voices=voices,
        bars=-(-tick // meter.bar_ticks),
        meter=meter,
        key=key,
        tempo_qpm=tempo_qpm,
        anacrusis_ticks=anacrusis_ticks,
    )
