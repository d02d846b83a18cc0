"""Model inputs of whole token sequences, for callers that have tokens and no grammar states."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bicinium.errors import RequestError, TokenError
from bicinium.grammar import MusicalGrammar
from bicinium.grammar.states import States
from bicinium.model.config import ModelConfig
from bicinium.model.inputs.encode import PieceConditions, encode_along
from bicinium.model.inputs.layout import ENDINGS, MODES
from bicinium.music.score import Meter
from bicinium.tokenizer.vocabulary import START, VOCAB_SIZE

_SPARE_SLOTS = 3  # for notes that break the rule ``voices``


@dataclass(frozen=True, slots=True)
class SequenceConditions:
    """What is known of a token sequence. None is unknown."""

    meter: str | None = None  # like "3/4"
    mode: str | None = None  # "major" (tokens in C major) or "minor" (A minor)
    style: str | None = None  # one of ``ModelConfig.styles``
    bars: int | None = None  # length of the whole piece; needs a metre
    ending: str | None = None  # "open" or "at rest"
    transposition: int = 0  # semitones from the tokens to the key in which they sound


def encode_token_sequences(
    config: ModelConfig,
    tokens: NDArray[np.integer],
    conditions: SequenceConditions | Sequence[SequenceConditions] | None = None,
) -> NDArray[np.int32]:
    """Encode (B, T) token ids as (B, T, F + REFERENCES + 1) model inputs.

    Each row begins with START; a shorter one is filled up with PAD after its end. ``conditions``
    are one for each row, or one for all. Raises TokenError for other ids and other starts, and
    RequestError for conditions that the model does not know.
    """
    _check_tokens(tokens)
    rows, length = tokens.shape
    if conditions is None or isinstance(conditions, SequenceConditions):
        conditions = [conditions or SequenceConditions()] * rows
    if len(conditions) != rows:
        raise TokenError(f"There are {len(conditions)} conditions for {rows} sequences.")
    for one in set(conditions):
        _check_conditions(config, one)
    _, inputs = encode_sequences(
        config,
        MusicalGrammar(),
        list(tokens),
        _piece_conditions(config, conditions),
        meter=[Meter.parse(one.meter) if one.meter else None for one in conditions],
        bars=[one.bars or 0 for one in conditions],
        transposition=[one.transposition for one in conditions],
        spare_slots=_SPARE_SLOTS,
    )
    return inputs.reshape(rows, length, -1)


def _check_tokens(tokens: NDArray[np.integer]) -> None:
    if tokens.size and not 0 <= tokens.min() <= tokens.max() < VOCAB_SIZE:
        raise TokenError(
            f"Token ids must be between 0 and {VOCAB_SIZE - 1} (got {tokens.min()} to "
            f"{tokens.max()}). Encode the music with bicinium.tokenizer.codec.encode."
        )
    if (tokens[:, :1] != START).any():
        raise TokenError(
            f"Each sequence must begin with START ({START}) (got {tokens[0, 0]}). "
            "Put START before the first token."
        )


def _check_conditions(config: ModelConfig, told: SequenceConditions) -> None:
    """Raise RequestError for a name that the model does not know, or bars without a metre."""
    known = {"meter": config.meters, "mode": MODES, "style": config.styles, "ending": ENDINGS}
    for name, choices in known.items():
        value = getattr(told, name)
        if value is not None and value not in choices:
            names = ", ".join(choices) or "none, for the model has learned no styles"
            raise RequestError(f"{name} must be None or one of {names} (got {value!r}).")
    if told.bars is not None and told.bars < 1:
        raise RequestError(f"bars must be 1 or more, or None (got {told.bars}).")
    if told.bars is not None and told.meter is None:
        raise RequestError(f"bars needs a meter (got {told.bars} bars and None). Name the meter.")


def _piece_conditions(
    config: ModelConfig, conditions: Sequence[SequenceConditions]
) -> PieceConditions:
    return PieceConditions.of(
        config,
        [one.meter for one in conditions],
        [one.mode for one in conditions],
        [one.style for one in conditions],
        [one.bars for one in conditions],
        [one.ending for one in conditions],
    )


def encode_sequences(
    config: ModelConfig,
    grammar: MusicalGrammar,
    sequences: Sequence[NDArray[np.integer]],
    conditions: PieceConditions,
    **limits: Any,
) -> tuple[States, NDArray[np.int32]]:
    """Return the grammar state after each of N tokens, and (N, F + REFERENCES + 1) model inputs.

    N is the number of tokens of all sequences. limits: keyword arguments of
    ``MusicalGrammar.initial_states``.
    """
    lengths = np.array([len(one) for one in sequences])
    states = grammar.states_along(sequences, **limits)
    before = np.cumsum(lengths + 1) - lengths - 1  # A sequence of T tokens has T + 1 states.
    after = states.take(np.delete(np.arange(len(states)), before))
    ends = np.cumsum(lengths)
    inputs = [
        encode_along(config, after.take(np.arange(end - len(tokens), end)), tokens, told)
        for tokens, end, told in zip(sequences, ends, conditions.rows(), strict=True)
    ]
    return after, np.concatenate(inputs)
