"""Teacher forcing: score an existing sequence with a model."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bicinium.grammar import MusicalGrammar
from bicinium.grammar.states import States
from bicinium.model.config import ModelConfig
from bicinium.model.decoder import Decoder
from bicinium.model.inputs.encode import PieceConditions
from bicinium.model.inputs.from_tokens import encode_sequences

_KEYS, _BARS = 12, 64  # The number of values of each condition.


def logits_along(
    decoder: Decoder,
    grammar: MusicalGrammar,
    tokens: NDArray[np.integer],
    conditions: PieceConditions,
    **limits: Any,
) -> tuple[States, Iterator[tuple[slice, NDArray[np.floating]]]]:
    """Return the grammar state after each of T tokens (START first), and the logits of the next.

    Logits come in blocks: the slice of positions, and their (n, V) logits. conditions: of the one
    piece. limits: keyword arguments of ``MusicalGrammar.initial_state``.
    """
    after, inputs = encode_sequences(decoder.config, grammar, [tokens], conditions, **limits)
    return after, decoder.along(inputs)


def condition_bits(config: ModelConfig) -> float:
    """Return the bits that a piece's key, number of bars and style as conditions are charged."""
    return math.log2(_KEYS) + math.log2(_BARS) + math.log2(max(1, len(config.styles)))
