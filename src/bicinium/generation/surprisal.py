"""How likely a model finds the tokens of a finished score (teacher forcing)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bicinium.generation.composer import Composer
from bicinium.grammar import States
from bicinium.model.inputs.encode import PieceConditions
from bicinium.model.softmax import softmax
from bicinium.model.teacher_forcing import logits_along
from bicinium.music.key import REFERENCE_KEYS, Key
from bicinium.music.score import Score
from bicinium.tokenizer.codec import encode, snap

_MIN_PROBABILITY = 1e-12


def tokens_for_model(score: Score, key: Key) -> NDArray[np.int16]:
    """Return the tokens of a score in ``key``, moved to the reference key of its mode."""
    return encode(snap(score.transpose(key.semitones_to_reference)))


def token_probabilities(
    composer: Composer, tokens: NDArray[np.int16], score: Score, key: Key, style: str | None = None
) -> tuple[States, NDArray[np.float64]]:
    """Return the state before each token after START, and (T - 1, V) probabilities of that token.

    tokens: those of ``tokens_for_model``.
    """
    conditions = PieceConditions.of(
        composer.config, [str(score.meter)], [key.mode], [style], [score.bars]
    )
    states, chunks = logits_along(
        composer.decoder,
        composer.grammar,
        tokens[:-1],
        conditions,
        bar_ticks=score.meter.bar_ticks,
        bars=score.bars,
        transposition=-key.semitones_to_reference,
    )
    return states, softmax(np.concatenate([logits for _, logits in chunks]))


def token_surprisals(
    tokens: NDArray[np.int16], probabilities: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return (T - 1,) the surprisal of each token after START in bits."""
    written = probabilities[np.arange(len(probabilities)), tokens[1:]]
    return np.asarray(-np.log2(np.maximum(written, _MIN_PROBABILITY)))


def surprisal_bits(composer: Composer, score: Score) -> float:
    """Return the sum of the surprisals of all tokens of a score, in the score's key."""
    key = score.key or score.estimated_key or REFERENCE_KEYS["major"]
    tokens = tokens_for_model(score, key)
    _, probabilities = token_probabilities(composer, tokens, score, key)
    return float(token_surprisals(tokens, probabilities).sum())
