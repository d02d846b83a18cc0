"""How well a model predicts music that it has never seen: bits per note, by the numpy decoder.

Teacher-forced over whole pieces, from the first token after START to END, none skipped; the window
of the decoder slides as in composing. What a model is told beforehand is paid for: metre and mode
are free, and each piece is billed for its key (it is written in C major or A minor), its number of
bars and its style, so that no one can buy bits with side information.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import ThreadpoolController

from bicinium.data.piece_record import PieceRecord
from bicinium.grammar import MusicalGrammar
from bicinium.model.checkpoint import Checkpoint
from bicinium.model.decoder import Decoder
from bicinium.model.inputs.encode import PieceConditions
from bicinium.model.teacher_forcing import logits_along, told_bits
from bicinium.music.score import Meter


@dataclass(frozen=True, slots=True)
class Prediction:
    """What predicting some pieces cost. Sums, so that two predictions can be added."""

    bits: float  # of all tokens after START
    told_bits: float  # for what the model was told beforehand
    illegal: float  # the sum over tokens of the probability on what the grammar forbids
    tokens: int
    notes: int
    pieces: int

    @property
    def bits_per_note(self) -> float:
        """With what the model was told."""
        return (self.bits + self.told_bits) / max(1, self.notes)

    @property
    def bits_per_token(self) -> float:
        """Without it."""
        return self.bits / max(1, self.tokens)

    @property
    def illegal_mass(self) -> float:
        """Mean probability on tokens that the grammar forbids."""
        return self.illegal / max(1, self.tokens)

    def __add__(self, other: Prediction) -> Prediction:
        return Prediction(
            self.bits + other.bits,
            self.told_bits + other.told_bits,
            self.illegal + other.illegal,
            self.tokens + other.tokens,
            self.notes + other.notes,
            self.pieces + other.pieces,
        )

    def numbers(self) -> dict[str, Any]:
        """As the command line prints them."""
        return {
            "bits_per_note": self.bits_per_note,
            "bits_per_token": self.bits_per_token,
            "illegal_mass": self.illegal_mass,
            "notes": self.notes,
            "pieces": self.pieces,
            "tokens": self.tokens,
        }


NOTHING = Prediction(0.0, 0.0, 0.0, 0, 0, 0)


def predict(
    checkpoint: Checkpoint,
    pieces: Sequence[PieceRecord],
    progress: Callable[[int, int], None] | None = None,
    threads: int = 1,
) -> Prediction:
    """Predict every token of grammatical pieces. ``progress`` is told tokens done and in all."""
    decoder = Decoder(checkpoint.config, checkpoint.weights, np.float32)
    total, whole = NOTHING, sum(len(piece.tokens) - 1 for piece in pieces)
    with (
        ThreadpoolController().limit(limits=1, user_api="blas"),
        ThreadPoolExecutor(max(1, threads)) as pool,
    ):
        for done in pool.map(lambda piece: _predicted(decoder, piece), pieces):
            total += done
            if progress:
                progress(total.tokens, whole)
    return total


def _predicted(decoder: Decoder, piece: PieceRecord) -> Prediction:
    config, grammar = decoder.config, MusicalGrammar()
    tokens = piece.tokens.astype(np.int64)
    about = [piece.meter], [piece.mode], [piece.style], [piece.bars]
    after, read = logits_along(
        decoder,
        grammar,
        tokens[:-1],
        PieceConditions.of(config, *about),
        bar_ticks=Meter.parse(piece.meter).bar_ticks,
        bars=piece.bars,
        transposition=piece.transposition,
        spare_slots=0,
    )
    bits = illegal = 0.0
    for some, logits in read:
        log_p = _log_softmax(logits)
        bits -= float(log_p[np.arange(len(log_p)), tokens[1:][some]].sum()) / math.log(2)
        allowed = grammar.token_mask(after.take(np.arange(some.start, some.stop)))
        illegal += float(np.exp(log_p)[~allowed].sum())
    return Prediction(
        bits=bits,
        told_bits=told_bits(config),
        illegal=illegal,
        tokens=len(tokens) - 1,
        notes=piece.notes,
        pieces=1,
    )


def _log_softmax(logits: NDArray[np.floating]) -> NDArray[np.float64]:
    """(B, V), in double precision."""
    shifted = logits.astype(np.float64)
    shifted -= shifted.max(axis=1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True)))
