"""The vocabulary: 774 tokens, and the only place where ids are computed.

0–3      START, END, PAD, UNK
4–91     NOTE_ON      pitch 21–108
92–179   NOTE_OFF     pitch 21–108
180–691  TIME_SHIFT   1–512 ticks
692–723  VELOCITY     32 bins over 1–127
724–725  SUSTAIN_ON, SUSTAIN_OFF
726–757  TEMPO        32 bins, logarithmic, 30–240 quarter notes a minute
758–773  PART         0 is the upper voice, 1 the lower
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from enum import IntEnum
from typing import TypeVar

import numpy as np

from bicinium.music.score import HIGHEST_PITCH, LOWEST_PITCH, pitch_name

_Number = TypeVar("_Number", int, np.ndarray)


class Kind(IntEnum):
    """What a token does. Kind and value together are the meaning of a token."""

    START = 0
    END = 1
    PAD = 2
    UNK = 3
    NOTE_ON = 4
    NOTE_OFF = 5
    TIME_SHIFT = 6
    VELOCITY = 7
    SUSTAIN_ON = 8
    SUSTAIN_OFF = 9
    TEMPO = 10
    PART = 11


@dataclass(frozen=True, slots=True)
class Block:
    """The ``size`` ids of one kind. ``first_id`` stands for ``first_value``, and so on."""

    kind: Kind
    first_id: int
    first_value: int
    size: int

    @property
    def ids(self) -> slice:
        """Return the ids as a slice of the vocabulary."""
        return slice(self.first_id, self.first_id + self.size)

    @property
    def values(self) -> np.ndarray:
        """Return the value (size,) of each token of the block."""
        return np.arange(self.first_value, self.first_value + self.size)


PITCHES = HIGHEST_PITCH - LOWEST_PITCH + 1
MAX_SHIFT_TICKS = 512
VELOCITY_BINS = 32
TEMPO_BINS = 32
MAX_PARTS = 16
_MIN_QPM, _MAX_QPM = 30.0, 240.0


def _layout() -> tuple[Block, ...]:
    shape = (
        (Kind.START, 0, 1),
        (Kind.END, 0, 1),
        (Kind.PAD, 0, 1),
        (Kind.UNK, 0, 1),
        (Kind.NOTE_ON, LOWEST_PITCH, PITCHES),
        (Kind.NOTE_OFF, LOWEST_PITCH, PITCHES),
        (Kind.TIME_SHIFT, 1, MAX_SHIFT_TICKS),
        (Kind.VELOCITY, 0, VELOCITY_BINS),
        (Kind.SUSTAIN_ON, 0, 1),
        (Kind.SUSTAIN_OFF, 0, 1),
        (Kind.TEMPO, 0, TEMPO_BINS),
        (Kind.PART, 0, MAX_PARTS),
    )
    blocks, next_id = [], 0
    for kind, first_value, size in shape:
        blocks.append(Block(kind, next_id, first_value, size))
        next_id += size
    return tuple(blocks)


BLOCKS = _layout()  # Indexed by Kind.
VOCAB_SIZE = BLOCKS[-1].first_id + BLOCKS[-1].size
KINDS = np.concatenate([np.full(block.size, block.kind) for block in BLOCKS])  # (V,)
VALUES = np.concatenate([block.values for block in BLOCKS])  # (V,)

START, END, PAD, UNK = (
    BLOCKS[kind].first_id for kind in (Kind.START, Kind.END, Kind.PAD, Kind.UNK)
)


def token_id(kind: Kind, value: int = 0) -> int:
    """Return the id of a token. Raises ValueError if the kind has no such value."""
    block = BLOCKS[kind]
    index = value - block.first_value
    if not 0 <= index < block.size:
        last = block.first_value + block.size - 1
        raise ValueError(f"{kind.name} must be {block.first_value} to {last} (got {value}).")
    return block.first_id + index


def describe(token: int) -> str:
    """Describe a token, as ``NOTE_ON 43 (C4)`` or ``TIME_SHIFT 203 (24 ticks)``."""
    if not 0 <= token < VOCAB_SIZE:
        return f"token {token} (not in the vocabulary)"
    kind, value = Kind(KINDS[token]), int(VALUES[token])
    match kind:
        case Kind.NOTE_ON | Kind.NOTE_OFF:
            return f"{kind.name} {token} ({pitch_name(value)})"
        case Kind.TIME_SHIFT:
            return f"{kind.name} {token} ({value} tick{'s' if value > 1 else ''})"
        case Kind.VELOCITY:
            return f"{kind.name} {token} (velocity {bin_velocity(value)})"
        case Kind.TEMPO:
            return f"{kind.name} {token} ({bin_tempo_qpm(value):.0f} quarter notes a minute)"
        case Kind.PART:
            return f"{kind.name} {token} (part {value})"
        case _:
            return kind.name


def velocity_bin(velocity: _Number) -> _Number:
    """Return the bin of a MIDI velocity, 1 to 127."""
    return (velocity - 1) // 4


def bin_velocity(index: _Number) -> _Number:
    """Return the MIDI velocity of a bin: 3, 7, … 127."""
    return 4 * index + 3


def tempo_bin(tempo_qpm: float) -> int:
    """Return the nearest bin on the logarithmic scale, clipped to 30 to 240 quarters a minute."""
    position = math.log(tempo_qpm / _MIN_QPM) / math.log(_MAX_QPM / _MIN_QPM)
    return min(TEMPO_BINS - 1, max(0, round(position * (TEMPO_BINS - 1))))


def bin_tempo_qpm(index: int) -> float:
    """Return the tempo of a bin in quarter notes a minute."""
    return float(_MIN_QPM * (_MAX_QPM / _MIN_QPM) ** (index / (TEMPO_BINS - 1)))


def vocabulary_hash() -> str:
    """Return sixteen hex digits that change whenever a token changes its meaning."""
    table = ";".join(f"{b.kind.name},{b.first_id},{b.first_value},{b.size}" for b in BLOCKS)
    scales = [bin_velocity(0), bin_velocity(31), bin_tempo_qpm(0), bin_tempo_qpm(31)]
    return hashlib.sha256(f"{table}|{scales}".encode()).hexdigest()[:16]
