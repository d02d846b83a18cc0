"""Scores to tokens and back, exactly: ``decode(encode(score), …) == score``.

Every score has exactly one sequence of tokens, in the canonical order: START, TEMPO, then for each
tick with an event the TIME_SHIFTs that reach it and the parts in rising order. Within a part,
NOTE_OFF comes before NOTE_ON. PART and VELOCITY are written only when they change. A last
TIME_SHIFT leads to the final barline, then END. Metre, key and anacrusis are not tokens: they are
arguments of ``decode``.
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

LOWEST_AUDIBLE_BIN = 4  # Velocities up to 16 are inaudible on a piano.

# An event is packed into one number: tick, part (4 bits), starts (1), pitch (7), velocity bin (5).
_PITCH_BITS, _STARTS_BITS, _PART_BITS, _TICK_BITS = 5, 12, 13, 17

# Token id minus value, for each kind.
_NOTE_ON, _NOTE_OFF, _TIME_SHIFT, _VELOCITY, _PART = (
    BLOCKS[kind].first_id - BLOCKS[kind].first_value
    for kind in (Kind.NOTE_ON, Kind.NOTE_OFF, Kind.TIME_SHIFT, Kind.VELOCITY, Kind.PART)
)
_LONGEST_SHIFT = token_id(Kind.TIME_SHIFT, MAX_SHIFT_TICKS)


def snap(score: Score) -> Score:
    """Return the nearest score that tokens can represent: velocities and tempo moved to bins."""

    def snapped(voice: Voice) -> Voice:
        columns = note_array(voice.notes).copy()
        columns[3] = bin_velocity(_audible_bins(columns[3]))
        return Voice(NoteSequence(columns))

    voices = tuple(map(snapped, score.voices))
    return replace(score, voices=voices, tempo_qpm=bin_tempo_qpm(tempo_bin(score.tempo_qpm)))


def _audible_bins(velocities: np.ndarray) -> np.ndarray:
    return np.maximum(LOWEST_AUDIBLE_BIN, velocity_bin(velocities))


def encode(score: Score) -> np.ndarray:
    """Return (T,) int16 token ids, START and END included.

    Velocities and tempo are rounded to their bins, as ``snap`` does. Raises TokenError for more
    than 16 voices.
    """
    if len(score.voices) > MAX_PARTS:
        raise TokenError(f"A score may have at most {MAX_PARTS} voices (got {len(score.voices)}).")
    events = np.sort(np.concatenate([_events(v, part) for part, v in enumerate(score.voices)]))
    tick, part = events >> _TICK_BITS, (events >> _PART_BITS) & (MAX_PARTS - 1)
    starts = (events >> _STARTS_BITS) & 1 == 1
    pitch, velocity = (events >> _PITCH_BITS) & 127, events & 31
    waits = _changes(tick, 0)
    shifts = (waits + MAX_SHIFT_TICKS - 1) // MAX_SHIFT_TICKS  # TIME_SHIFTs before each event.
    part_changes = _changes(part, 0) != 0  # These events need a PART.
    velocity_changes = np.zeros(len(events), np.bool_)  # These need a VELOCITY.
    velocity_changes[starts] = _changes(velocity[starts], -1) != 0
    last = (
        np.cumsum(shifts + part_changes + velocity_changes + 1) + 1
    )  # Index of NOTE_ON, NOTE_OFF.
    final = _shifts(score.end_tick - int(tick[-1]) if len(events) else score.end_tick)
    tokens = np.full(
        (last[-1] + 1 if len(events) else 2) + len(final) + 1, _LONGEST_SHIFT, np.int16
    )
    tokens[:2] = START, token_id(Kind.TEMPO, tempo_bin(score.tempo_qpm))
    tokens[last] = pitch + np.where(starts, _NOTE_ON, _NOTE_OFF)
    tokens[(last - 1)[velocity_changes]] = velocity[velocity_changes] + _VELOCITY
    tokens[(last - velocity_changes - 1)[part_changes]] = part[part_changes] + _PART
    has_shift = shifts > 0
    rest = waits - MAX_SHIFT_TICKS * (shifts - 1)  # Ticks of the last TIME_SHIFT of a run.
    shift_index = last - velocity_changes - part_changes - 1
    tokens[shift_index[has_shift]] = rest[has_shift] + _TIME_SHIFT
    tokens[len(tokens) - len(final) - 1 :] = [*final, END]
    return tokens


def _changes(values: np.ndarray, before: int) -> np.ndarray:
    """Return the difference of each value from the one before; of the first, from ``before``."""
    changes = values.copy()
    changes[1:] -= values[:-1]
    changes[:1] -= before
    return changes


def _events(voice: Voice, part: int) -> np.ndarray:
    """Pack each start and end of a note into one number that sorts in canonical order."""
    onset, pitch, duration, velocity = note_array(voice.notes)
    own = (part << _PART_BITS) | (pitch << _PITCH_BITS)
    ends = ((onset + duration) << _TICK_BITS) | own
    starts = (onset << _TICK_BITS) | own | (1 << _STARTS_BITS) | _audible_bins(velocity)
    return np.concatenate([ends, starts])


def _shifts(ticks: int) -> list[int]:
    """Return TIME_SHIFT tokens for ``ticks``: all but the last are the longest there is."""
    longest, rest = divmod(ticks, MAX_SHIFT_TICKS)
    shifts = [token_id(Kind.TIME_SHIFT, MAX_SHIFT_TICKS)] * longest
    return [*shifts, token_id(Kind.TIME_SHIFT, rest)] if rest else shifts


def decode(
    tokens: Iterable[int],
    meter: Meter,
    key: Key | None = None,
    anacrusis_ticks: int = 0,
    parts: int = 2,
    unfinished: bool = False,
) -> Score:
    """Return the score that tokens represent. They may stop anywhere after START.

    unfinished: notes that still sound after the last token end there.

    Decoding never repairs. Raises TokenError if a note ends that does not sound, starts while it
    sounds, still sounds at the end or has no duration, and if notes of one part overlap. The
    validator lists everything that is wrong.
    """
    reader = _TokenReader(parts)
    for index, token in enumerate(map(int, tokens)):
        if not 0 <= token < VOCAB_SIZE:
            raise TokenError(
                f"Token {token} at index {index} is not in the vocabulary of {VOCAB_SIZE}."
            )
        if token == END:
            break
        if problem := reader.read(Kind(KINDS[token]), int(VALUES[token])):
            raise TokenError(f"{describe(token)} at index {index}{problem}.")
    if unfinished:
        reader.end_notes()
    if reader.sounding:
        raise TokenError(f"{len(reader.sounding)} notes still sound when the tokens end.")
    try:
        voices = tuple(Voice(tuple(sorted(line))) for line in reader.notes)
    except ScoreError as error:
        raise TokenError(f"The tokens do not form a score: {error}") from error
    return Score(
        voices=voices,
        bars=-(-reader.tick // meter.bar_ticks),
        meter=meter,
        key=key,
        tempo_qpm=reader.tempo_qpm,
        anacrusis_ticks=anacrusis_ticks,
    )


class _TokenReader:
    """The notes read so far, and what the next token depends on."""

    def __init__(self, parts: int) -> None:
        self.notes: list[list[Note]] = [[] for _ in range(parts)]
        self.sounding: dict[tuple[int, int], tuple[int, int]] = {}  # (part, pitch): (onset, bin)
        self.tick = self.part = self.velocity = 0
        self.tempo_qpm = 120.0

    def end_notes(self) -> None:
        """End all sounding notes now. A note that has just begun is left out."""
        for (part, pitch), (onset, velocity) in self.sounding.items():
            if onset < self.tick:
                note = Note(onset, pitch, self.tick - onset, bin_velocity(velocity))
                self.notes[part].append(note)
        self.sounding.clear()

    def read(self, kind: Kind, value: int) -> str:
        """Read a token. Return what is wrong with it, or an empty string."""
        match kind:
            case Kind.NOTE_ON | Kind.NOTE_OFF:
                return self._read_note(kind, value)
            case Kind.TIME_SHIFT:
                self.tick += value
            case Kind.VELOCITY:
                self.velocity = value
            case Kind.TEMPO:
                self.tempo_qpm = bin_tempo_qpm(value)
            case Kind.PART:
                if value >= len(self.notes):
                    return f": parts go to {len(self.notes) - 1}"
                self.part = value
        return ""

    def _read_note(self, kind: Kind, pitch: int) -> str:
        note = (self.part, pitch)
        if kind == Kind.NOTE_ON:
            if note in self.sounding:
                return " starts a sounding note"
            self.sounding[note] = (self.tick, self.velocity)
            return ""
        if note not in self.sounding:
            return " ends no sounding note"
        onset, velocity = self.sounding.pop(note)
        self.notes[self.part].append(Note(onset, pitch, self.tick - onset, bin_velocity(velocity)))
        return ""
