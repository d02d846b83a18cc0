"""One piece of a corpus: where it comes from, what is known of it, and its tokens."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bicinium.music.key import REFERENCE_KEYS
from bicinium.music.score import Meter, Score
from bicinium.tokenizer.codec import decode


@dataclass(frozen=True, slots=True)
class PieceRecord:
    """A training piece. ``tokens`` spell it in C major or A minor."""

    name: str
    composer: str
    title: str
    licence: str
    credit: str
    cluster: str
    style: str
    split: str  # "train" or "validation"
    meter: str
    mode: str
    transposition: int  # semitones that lead back to the source's key
    bars: int
    notes: int
    tokens: NDArray[np.int16]
    anacrusis_ticks: int = 0
    grammar_score: float = 1.0
    quality_score: float = 0.0


def score_of(piece: PieceRecord) -> Score:
    """The piece as notes, in C major or A minor. Raises BiciniumError where its row is wrong."""
    key = REFERENCE_KEYS.get(piece.mode, REFERENCE_KEYS["major"])
    return decode(piece.tokens, Meter.parse(piece.meter), key, piece.anacrusis_ticks)
