"""Scores to tokens and back, exactly: ``decode(encode(score), …) == score``.

A score has one spelling (the canonical order): START, TEMPO, then for each tick at which something
happens TIME_SHIFTs that reach it, the parts in rising order, in a part NOTE_OFF before NOTE_ON;
PART and VELOCITY only when they change; a last TIME_SHIFT to the final barline; END.
Metre, key and anacrusis are not in the tokens; ``decode`` is told them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from bicinium.errors import ScoreError, TokenError
from bicinium.music.key import Key
from bicinium.music.score import Meter, Note, NoteSequence, Score, Voice, note_array
from bicinium.tokenizer.vocabulary import (
    BLOCKS,
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

# An event packed into a number: tick, part (4 bits), starts (1), pitch (7), velocity bin (5).
_PITCH_BITS, _STARTS_BITS, _PART_BITS, _TICK_BITS = 5, 12, 13, 17

# What to add to a value to have its token.
_NOTE_ON, _NOTE_OFF, _TIME_SHIFT, _VELOCITY, _PART = (
    BLOCKS[kind].first_id - BLOCKS[kind].first_value
    for kind in (Kind.NOTE_ON, Kind.NOTE_OFF, Kind.TIME_SHIFT, Kind.VELOCITY, Kind.PART)
)
_LONGEST = token_id(Kind.TIME_SHIFT, MAX_SHIFT_TICKS)


def snap(score: Score) -> Score:
    """The nearest score that tokens can spell: velocities and tempo moved to their bins."""

    def snapped(voice: Voice) -> Voice:
        columns = note_array(voice.notes).copy()
        columns[3] = bin_velocity(_audible_bins(columns[3]))
        return Voice(NoteSequence(columns))

    voices = tuple(map(snapped, score.voices))
    return replace(score, voices=voices, tempo_qpm=bin_tempo_qpm(tempo_bin(score.tempo_qpm)))


def _audible_bins(velocities: np.ndarray) -> np.ndarray:
    return np.maximum(LOWEST_AUDIBLE_BIN, velocity_bin(velocities))


def encode(score: Score) -> np.ndarray:
    """(T,) int16 token ids, START and END included.

    Raises TokenError for more than 16 voices. Velocities and tempo go to their bins; ``snap`` says
    beforehand where they will be.
    """
    if len(score.voices) > MAX_PARTS:
        raise TokenError(
            f"{len(score.voices)} voices are more than the {MAX_PARTS} parts there are"
        )
    events = np.sort(np.concatenate([_events(v, part) for part, v in enumerate(score.voices)]))
    tick, part = events >> _TICK_BITS, (events >> _PART_BITS) & (MAX_PARTS - 1)
    starts = (events >> _STARTS_BITS) & 1 == 1
    pitch, velocity = (events >> _PITCH_BITS) & 127, events & 31
    waits = _changes(tick, 0)
    shifts = (waits + MAX_SHIFT_TICKS - 1) // MAX_SHIFT_TICKS  # TIME_SHIFTs before each event
    turns = _changes(part, 0) != 0  # PART before it
    louder = np.zeros(len(events), np.bool_)  # VELOCITY before it
    louder[starts] = _changes(velocity[starts], -1) != 0
    last = np.cumsum(shifts + turns + louder + 1) + 1  # where each event's own token stands
    final = _shifts(score.end_tick - int(tick[-1]) if len(events) else score.end_tick)
    tokens = np.full((last[-1] + 1 if len(events) else 2) + len(final) + 1, _LONGEST, np.int16)
    tokens[:2] = START, token_id(Kind.TEMPO, tempo_bin(score.tempo_qpm))
    tokens[last] = pitch + np.where(starts, _NOTE_ON, _NOTE_OFF)
    tokens[(last - 1)[louder]] = velocity[louder] + _VELOCITY
    tokens[(last - louder - 1)[turns]] = part[turns] + _PART
    waited = shifts > 0
    rest = waits - MAX_SHIFT_TICKS * (shifts - 1)  # what the last TIME_SHIFT of a run is for
    tokens[(last - louder - turns - 1)[waited]] = rest[waited] + _TIME_SHIFT
    tokens[len(tokens) - len(final) - 1 :] = [*final, END]
    return tokens


def _changes(values: np.ndarray, before: int) -> np.ndarray:
    """Of each value, how far it is from the one before it; of the first, from ``before``."""
    changes = values.copy()
    changes[1:] -= values[:-1]
    changes[:1] -= before
    return changes


def _events(voice: Voice, part: int) -> np.ndarray:
    """Each end and each start of a note as one number; their order is the canonical order."""
    onset, pitch, duration, velocity = note_array(voice.notes)
    own = (part << _PART_BITS) | (pitch << _PITCH_BITS)
    ends = ((onset + duration) << _TICK_BITS) | own
    starts = (onset << _TICK_BITS) | own | (1 << _STARTS_BITS) | _audible_bins(velocity)
    return np.concatenate([ends, starts])


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
