"""Logits processors: each changes the logits or the mask of the next token.

The order in which the token loop calls them is in ``processors_for`` of ``engine``.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bicinium.generation.batch import Batch
from bicinium.grammar import MusicalGrammar
from bicinium.grammar.terms import Stage
from bicinium.tokenizer.vocabulary import KINDS, PAD, Kind, tempo_bin, token_id


class LogitsProcessor:
    """Base class; by itself it changes nothing."""

    def observe(self, batch: Batch) -> None:
        """Take note of ``batch.tokens``, which have just led to ``batch.state``."""

    def __call__(
        self, batch: Batch, logits: NDArray[np.floating], allowed: NDArray[np.bool_]
    ) -> tuple[NDArray[np.floating], NDArray[np.bool_]]:
        """Return (N, V) logits and (N, V) which tokens may come next."""
        return logits, allowed


class Temperature(LogitsProcessor):
    """Divides the logits by the temperature."""

    def __init__(self, temperature: float) -> None:
        self._temperature = temperature

    def __call__(
        self, batch: Batch, logits: NDArray[np.floating], allowed: NDArray[np.bool_]
    ) -> tuple[NDArray[np.floating], NDArray[np.bool_]]:
        """Return (N, V) the scaled logits, and the mask as it is."""
        return logits.astype(np.float64) / self._temperature, allowed


class FixedNotesProcessor(LogitsProcessor):
    """Forbids every token that would depart from the fixed notes of the batch."""

    def __call__(
        self, batch: Batch, logits: NDArray[np.floating], allowed: NDArray[np.bool_]
    ) -> tuple[NDArray[np.floating], NDArray[np.bool_]]:
        """Return the logits as they are, and the narrowed mask."""
        return logits, allowed & ~batch.fixed_notes.forbidden(batch.state, batch.rows)


class IllegalTokens(LogitsProcessor):
    """Forces illegal tokens, for training. Replaces the mask.

    With a probability, the model's logits choose among the tokens that the grammar forbids. With
    the same probability, a note that may begin gets any pitch.
    """

    def __init__(self, grammar: MusicalGrammar, probability: float) -> None:
        self._grammar, self._probability = grammar, probability

    def __call__(
        self, batch: Batch, logits: NDArray[np.floating], allowed: NDArray[np.bool_]
    ) -> tuple[NDArray[np.floating], NDArray[np.bool_]]:
        """Return (N, V) logits and mask. Where nothing is forced, every token is allowed."""
        chance = np.array([batch.rngs[row].random(2) for row in batch.rows.tolist()])
        illegal, off_pitch = (chance < self._probability).T[:, :, None]
        forbidden = ~self._grammar.legal(batch.state)
        begins = ~forbidden & (KINDS == Kind.NOTE_ON)
        illegal = illegal & forbidden.any(axis=1, keepdims=True)
        off_pitch = off_pitch & ~illegal & begins.any(axis=1, keepdims=True)
        allowed = np.where(illegal, forbidden, np.where(off_pitch, begins, True))
        return np.where(off_pitch, 0, logits), allowed


class RequestedTempo(LogitsProcessor):
    """Allows only the TEMPO token nearest to the requested tempo, if one was requested."""

    def __init__(self, tempi_qpm: list[float | None]) -> None:
        self._tokens = np.array(
            [token_id(Kind.TEMPO, tempo_bin(qpm)) if qpm else PAD for qpm in tempi_qpm]
        )

    def __call__(
        self, batch: Batch, logits: NDArray[np.floating], allowed: NDArray[np.bool_]
    ) -> tuple[NDArray[np.floating], NDArray[np.bool_]]:
        """Return the logits as they are, and the mask narrowed before the tempo."""
        if batch.state.stage[0] != Stage.BEFORE_TEMPO:  # all pieces are there at the same step
            return logits, allowed
        tokens = self._tokens[batch.rows]
        some = np.flatnonzero(tokens != PAD)
        allowed = allowed.copy()
        allowed[some] = False
        allowed[some, tokens[some]] = True
        return logits, allowed
