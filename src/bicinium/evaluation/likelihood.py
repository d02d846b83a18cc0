"""Likelihood of held-out music under a model, in bits per note, computed by the numpy decoder.

Whole pieces are scored with teacher forcing, from the first token after START to END; no token is
skipped. The context window slides as in generation. Side information is paid for: metre and mode
are free, but each piece is charged for its key (it is transposed to C major or A minor), its number
of bars and its style. So a model cannot gain bits by conditioning.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from threadpoolctl import ThreadpoolController

from bicinium.data.piece_record import PieceRecord
from bicinium.grammar import MusicalGrammar
from bicinium.model.checkpoint import Checkpoint
from bicinium.model.decoder import Decoder
from bicinium.model.inputs.encode import PieceConditions
from bicinium.model.softmax import log_softmax
from bicinium.model.teacher_forcing import condition_bits, logits_along
from bicinium.music.score import Meter


@dataclass(frozen=True, slots=True)
class Likelihood:
    """Cost of predicting some pieces. All fields are sums, so that two results can be added."""

    bits: float = 0.0  # of all tokens after START
    side_information_bits: float = 0.0  # key, number of bars and style
    illegal: float = 0.0  # probability on forbidden tokens, summed over positions
    tokens: int = 0
    notes: int = 0
    pieces: int = 0

    @property
    def bits_per_note(self) -> float:
        """Bits per note, side information included."""
        return (self.bits + self.side_information_bits) / max(1, self.notes)

    @property
    def bits_per_token(self) -> float:
        """Bits per token, without side information."""
        return self.bits / max(1, self.tokens)

    @property
    def illegal_mass(self) -> float:
        """Mean probability on tokens that the grammar forbids."""
        return self.illegal / max(1, self.tokens)

    def __add__(self, other: Likelihood) -> Likelihood:
        return Likelihood(
            self.bits + other.bits,
            self.side_information_bits + other.side_information_bits,
            self.illegal + other.illegal,
            self.tokens + other.tokens,
            self.notes + other.notes,
            self.pieces + other.pieces,
        )

    def as_json(self) -> dict[str, Any]:
        """Return the numbers that ``bicinium evaluate --json`` prints."""
        return {
            "bits_per_note": self.bits_per_note,
            "bits_per_token": self.bits_per_token,
            "illegal_mass": self.illegal_mass,
            "notes": self.notes,
            "pieces": self.pieces,
            "tokens": self.tokens,
        }


def measure_likelihood(
    checkpoint: Checkpoint,
    pieces: Sequence[PieceRecord],
    progress: Callable[[int, int], None] | None = None,
    threads: int = 1,
) -> Likelihood:
    """Score every token of grammatical pieces.

    progress: called with the number of tokens done and of all tokens.
    """
    decoder = Decoder(checkpoint.config, checkpoint.weights)
    total = Likelihood()
    token_count = sum(len(piece.tokens) - 1 for piece in pieces)
    with (
        ThreadpoolController().limit(limits=1, user_api="blas"),
        ThreadPoolExecutor(max(1, threads)) as pool,
    ):
        for result in pool.map(lambda piece: _piece_likelihood(decoder, piece), pieces):
            total += result
            if progress:
                progress(total.tokens, token_count)
    return total


def _piece_likelihood(decoder: Decoder, piece: PieceRecord) -> Likelihood:
    config, grammar = decoder.config, MusicalGrammar()
    tokens = piece.tokens.astype(np.int64)
    conditions = PieceConditions.of(
        config, [piece.meter], [piece.mode], [piece.style], [piece.bars]
    )
    states, chunks = logits_along(
        decoder,
        grammar,
        tokens[:-1],
        conditions,
        bar_ticks=Meter.parse(piece.meter).bar_ticks,
        bars=piece.bars,
        transposition=piece.transposition,
        spare_slots=0,
    )
    bits = illegal = 0.0
    for positions, logits in chunks:
        log_p = log_softmax(logits)
        bits -= float(log_p[np.arange(len(log_p)), tokens[1:][positions]].sum()) / math.log(2)
        allowed = grammar.mask(states.take(np.arange(positions.start, positions.stop)))
        illegal += float(np.exp(log_p)[~allowed].sum())
    return Likelihood(
        bits=bits,
        side_information_bits=condition_bits(config),
        illegal=illegal,
        tokens=len(tokens) - 1,
        notes=piece.notes,
        pieces=1,
    )
