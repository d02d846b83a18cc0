"""A piece that is there already, read by a model: what it expects after each token, and what being
told of the piece is worth.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bicinium.grammar import MusicalGrammar
from bicinium.grammar.rules import State
from bicinium.model.config import ModelConfig
from bicinium.model.decoder import Decoder
from bicinium.model.inputs.bar_lag import BarLag
from bicinium.model.inputs.encode import PieceConditions, encode_inputs
from bicinium.model.inputs.note_index import index_notes

_KEYS, _BARS = 12, 64  # among which a piece's key and its number of bars are told


def logits_along(
    decoder: Decoder,
    grammar: MusicalGrammar,
    tokens: NDArray[np.integer],
    told: PieceConditions,
    **asked: Any,
) -> tuple[State, Iterator[tuple[slice, NDArray[np.floating]]]]:
    """Of T tokens, START first, the state after each; and, some at a time, where they stand and the
    (n, V) logits of what comes next.

    told: of the one piece. asked: what ``MusicalGrammar.initial_state`` takes, for it.
    """
    states = grammar.states_along([tokens], **asked)
    after = states.take(np.arange(1, len(states)))
    piece = np.zeros(len(tokens), np.intp)  # there is one
    past = BarLag(index_notes(tokens, np.array([len(tokens)]), states), piece)
    seen = encode_inputs(decoder.config, after, tokens.astype(np.int32), told.take(piece), past)
    return after, decoder.along(seen)


def told_bits(config: ModelConfig) -> float:
    """What a piece's key, number of bars and style are worth."""
    return math.log2(_KEYS) + math.log2(_BARS) + math.log2(max(1, len(config.styles)))
