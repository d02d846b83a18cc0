"""Diagnose a model: five checks that a broken training setup fails.

Does the model match the vocabulary, is it causal, does it predict the next token, does it pair
notes without the grammar mask, and does it avoid loops? Any model over the vocabulary can be
checked if it is given as a function of token ids.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bicinium.errors import CheckpointError
from bicinium.generation.composer import Composer
from bicinium.generation.conditions import Conditions
from bicinium.generation.config import GenerationConfig
from bicinium.generation.sampler import Sampler
from bicinium.generation.sampling import Sampling
from bicinium.grammar import MusicalGrammar, MusicalGrammarValidator, ValidationResult
from bicinium.grammar.loops import MAX_LOOPED_SHARE, looped_share
from bicinium.model.checkpoint import Checkpoint, load_checkpoint, resolve_model
from bicinium.model.decoder import Decoder
from bicinium.model.inputs.encode import PieceConditions
from bicinium.model.softmax import log_softmax
from bicinium.model.teacher_forcing import logits_along
from bicinium.music.key import Key
from bicinium.music.score import COMMON_TIME, Note, Score, Voice
from bicinium.tokenizer.codec import encode
from bicinium.tokenizer.vocabulary import END, START, VOCAB_SIZE, vocabulary_hash

LogitsFunction = Callable[[NDArray[np.int64]], ArrayLike]  # (T,) token ids → (T, V) logits

MAX_GENERATED_TOKENS = 300  # of a piece generated with a LogitsFunction
_LOGIT_TOLERANCE = 1e-3
_BARS = 8
_PIECES = 8
_MIN_PAIRED = 0.95  # share of the notes; chance is 1 in 88
_HOME = Key.parse("C major")


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """Result of one check."""

    check: str
    passed: bool
    evidence: str


def diagnose(
    model: Path | LogitsFunction, seed: int = 0, max_tokens: int = MAX_GENERATED_TOKENS
) -> list[Diagnosis]:
    """Run the checks on a checkpoint, or on a function (T,) token ids → (T, V) next-token logits.

    max_tokens: length limit of the pieces that are generated with a function.

    If the model does not match the vocabulary, only this check is reported. Raises CheckpointError
    if there is no such file.
    """
    if isinstance(model, Path):
        path = resolve_model(model)
        try:
            checkpoint = load_checkpoint(path)
        except CheckpointError as error:
            return [_vocabulary_check(False, str(error))]
        weights = sum(weight.size for weight in checkpoint.weights.values())
        matches = _vocabulary_check(True, f"vocabulary {vocabulary_hash()}, {weights} weights")
        logits, generated = _checkpoint_logits(checkpoint), _generate(checkpoint, seed)
    else:
        logits = model
        width = np.asarray(logits(np.array([START]))).shape[-1]
        matches = _vocabulary_check(
            width == VOCAB_SIZE, f"{width} logits for a vocabulary of {VOCAB_SIZE} tokens"
        )
        if not matches.passed:
            return [matches]
        rngs = [np.random.default_rng([seed, index]) for index in range(_PIECES)]
        generated = [_sample_tokens(logits, rng, max_tokens) for rng in rngs]
    example = np.asarray(encode(_example_score()), np.int64)
    results = list(MusicalGrammarValidator().validate_sequences(generated))
    return [
        matches,
        _causality_check(logits, example, np.random.default_rng(seed)),
        _target_check(logits, example),
        _pairing_check(results),
        _loop_check(generated),
    ]


def _vocabulary_check(passed: bool, evidence: str) -> Diagnosis:
    return Diagnosis("matches the vocabulary", passed, evidence)


def _causality_check(
    logits: LogitsFunction, example: NDArray[np.int64], rng: np.random.Generator
) -> Diagnosis:
    """Check that later tokens do not change earlier logits."""
    cut = len(example) // 2
    other = np.concatenate([example[:cut], rng.permutation(example[cut:])])
    one_half, other_half = (np.asarray(logits(tokens))[:cut] for tokens in (example, other))
    difference = float(np.abs(one_half - other_half).max())
    return Diagnosis(
        "is causal",
        difference < _LOGIT_TOLERANCE,
        f"with other later tokens, the logits of {cut} positions differ by at most "
        f"{difference:.2g}",
    )


def _target_check(logits: LogitsFunction, example: NDArray[np.int64]) -> Diagnosis:
    """Check that the cross-entropy is lowest for the next token, not for a neighbour of it."""
    log_p = log_softmax(logits(example))
    inner = np.arange(1, len(example) - 2)
    nats = {shift: float(-log_p[inner, example[inner + shift]].mean()) for shift in (-1, 0, 1, 2)}
    values = ", ".join(f"{nats[shift]:.2f} at {shift:+d}" for shift in nats)
    return Diagnosis(
        "predicts the next token",
        min(nats, key=lambda shift: nats[shift]) == 1,
        f"cross-entropy in nats by position of the target: {values}",
    )


def _pairing_check(results: list[ValidationResult]) -> Diagnosis:
    notes = sum(result.notes for result in results)
    paired = sum(result.paired_notes for result in results)
    score = np.mean([result.grammar_score for result in results])
    return Diagnosis(
        "pairs notes without the mask",
        notes > 0 and paired >= _MIN_PAIRED * notes,
        f"{paired} of {notes} notes in {len(results)} unconstrained pieces are paired; "
        f"grammar score {score:.3f}",
    )


def _loop_check(generated: list[NDArray[np.int64]]) -> Diagnosis:
    looped = float(np.mean([looped_share(tokens) for tokens in generated]))
    ended = sum(bool(tokens[-1] == END) for tokens in generated)
    return Diagnosis(
        "avoids loops and ends",
        looped <= MAX_LOOPED_SHARE and ended > 0,
        f"{looped:.1%} of the tokens are in loops; {ended} of {len(generated)} pieces reach END",
    )


def _checkpoint_logits(checkpoint: Checkpoint) -> LogitsFunction:
    """Return the logits of the checkpoint for a piece in C major and 4/4."""
    decoder, grammar = Decoder(checkpoint.config, checkpoint.weights), MusicalGrammar()
    conditions = PieceConditions.of(
        checkpoint.config, [str(COMMON_TIME)], [_HOME.mode], [None], [_BARS]
    )

    def logits(tokens: NDArray[np.int64]) -> ArrayLike:
        _, chunks = logits_along(
            decoder, grammar, tokens, conditions, bar_ticks=COMMON_TIME.bar_ticks, bars=_BARS
        )
        return np.concatenate([chunk for _, chunk in chunks])

    return logits


def _generate(checkpoint: Checkpoint, seed: int) -> list[NDArray[np.int64]]:
    """Generate pieces without mask and truncation."""
    conditions = Conditions(_HOME, COMMON_TIME, _BARS)
    rngs = [np.random.default_rng([seed, index]) for index in range(_PIECES)]
    config = GenerationConfig(Sampling(), use_grammar=False)
    pieces = Composer(checkpoint).draw([conditions] * _PIECES, rngs, config)
    return [tokens.astype(np.int64) for tokens in pieces]


def _sample_tokens(
    logits: LogitsFunction, rng: np.random.Generator, max_tokens: int
) -> NDArray[np.int64]:
    tokens, sampler = [START], Sampler(Sampling(), VOCAB_SIZE)
    allowed, weights = np.ones(VOCAB_SIZE, np.uint8), np.empty(VOCAB_SIZE)
    while tokens[-1] != END and len(tokens) < max_tokens:
        last = np.asarray(logits(np.array(tokens)), np.float64)[-1].copy()
        sampler.weigh(last.data, allowed.data, weights.data)
        tokens.append(sampler.choose(weights.data, rng.random()))
    return np.array(tokens)


def _example_score() -> Score:
    """Return eight bars of scales in contrary motion, in eighths above and quarters below."""
    scale = (0, 2, 4, 5, 7, 9, 11, 12, 11, 9, 7, 5, 4, 2)
    ticks = _BARS * COMMON_TIME.bar_ticks
    upper = [Note(t, 72 + scale[t // 12 % 14], 12, 79) for t in range(0, ticks, 12)]
    lower = [Note(t, 60 - scale[t // 24 % 14], 24, 79) for t in range(0, ticks, 24)]
    voices = (Voice(tuple(upper)), Voice(tuple(lower)))
    return Score(voices, _BARS, COMMON_TIME, _HOME, tempo_qpm=96.0)
