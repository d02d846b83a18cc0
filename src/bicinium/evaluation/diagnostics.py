"""The doctor: is a model fit to compose, and was it trained as it should have been?

Five questions, each of which the model that bicinium was founded for would have failed: is it
causal, is its target the next token, does it fit the vocabulary, does it pair notes unaided, does
it loop? Any model over the vocabulary can be examined, given as a function of token ids.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bicinium.errors import CheckpointError
from bicinium.generation.conditions import Conditions
from bicinium.generation.engine import Composer, GenerationConfig
from bicinium.generation.sampling import Sampling, draw, probabilities
from bicinium.grammar import MusicalGrammar, MusicalGrammarValidator, ValidationResult
from bicinium.grammar.loops import MOST_LOOPED, looped_share
from bicinium.model.checkpoint import Checkpoint, load_checkpoint
from bicinium.model.decoder import Decoder
from bicinium.model.inputs.encode import PieceConditions
from bicinium.model.teacher_forcing import logits_along
from bicinium.music.key import Key
from bicinium.music.score import COMMON_TIME, Note, Score, Voice
from bicinium.tokenizer.codec import encode
from bicinium.tokenizer.vocabulary import END, START, VOCAB_SIZE, vocabulary_hash

Logits = Callable[[NDArray[np.int64]], ArrayLike]  # (T,) token ids → (T, V), of what comes next

_NOISE = 1e-3  # by which logits that should be the same may differ
_BARS = 8
_PIECES = 8
_MOST_TOKENS = 300  # of a piece by a model given as a function
_LEAST_PAIRED = 0.95  # of the notes; chance is 1 in 88
_HOME = Key.parse("C major")


@dataclass(frozen=True, slots=True)
class Finding:
    """An answer: the question, whether it turned out well, and on what evidence."""

    question: str
    good: bool
    evidence: str


def examine(model: Path | Logits, seed: int = 0) -> list[Finding]:
    """Examine a checkpoint, or any function (T,) token ids → (T, 774) logits of the next token."""
    if isinstance(model, Path):
        if not model.is_file():
            raise CheckpointError(f"there is no model at {model}; train one, or name another")
        try:
            checkpoint = load_checkpoint(model)
        except CheckpointError as error:
            return [Finding("does it fit this program?", False, str(error))]
        fits = Finding(
            "does it fit this program?",
            True,
            f"vocabulary {vocabulary_hash()}, {sum(w.size for w in checkpoint.weights.values())} "
            "weights of the shapes its configuration asks for",
        )
        logits, written = _decoder_logits(checkpoint), _composed(checkpoint, seed)
    else:
        logits = model
        width = np.asarray(logits(np.array([START]))).shape[-1]
        fits = Finding(
            "does it fit this program?",
            width == VOCAB_SIZE,
            f"it knows {width} tokens, and there are {VOCAB_SIZE}",
        )
        if not fits.good:
            return [fits]
        written = [_drawn(logits, np.random.default_rng([seed, i])) for i in range(_PIECES)]
    tune = np.asarray(encode(_tune()), np.int64)
    results = list(MusicalGrammarValidator().validate_sequences(written))
    return [
        fits,
        _is_causal(logits, tune, np.random.default_rng(seed)),
        _predicts_the_next(logits, tune),
        _pairs_notes(results),
        _does_not_loop(written),
    ]


def _is_causal(logits: Logits, tune: NDArray[np.int64], rng: np.random.Generator) -> Finding:
    """Another future must not change what was said before."""
    cut = len(tune) // 2
    other = np.concatenate([tune[:cut], rng.permutation(tune[cut:])])
    before, after = (np.asarray(logits(tokens))[:cut] for tokens in (tune, other))
    difference = float(np.abs(before - after).max())
    return Finding(
        "is it causal?",
        difference < _NOISE,
        f"with another future, the logits of {cut} positions differ by at most {difference:.2g}",
    )


def _predicts_the_next(logits: Logits, tune: NDArray[np.int64]) -> Finding:
    """Of the tokens around a position, it must expect the next most."""
    said = np.asarray(logits(tune), np.float64)
    log_p = said - np.logaddexp.reduce(said, axis=1, keepdims=True)
    inner = np.arange(1, len(tune) - 2)
    nats = {shift: float(-log_p[inner, tune[inner + shift]].mean()) for shift in (-1, 0, 1, 2)}
    told = ", ".join(f"{nats[shift]:.2f} at {shift:+d}" for shift in nats)
    return Finding(
        "is its target the next token?",
        min(nats, key=lambda shift: nats[shift]) == 1,
        f"cross-entropy against the tokens around, in nats: {told}",
    )


def _pairs_notes(results: list[ValidationResult]) -> Finding:
    notes = sum(result.notes for result in results)
    paired = sum(result.paired_notes for result in results)
    scores = [result.grammar_score for result in results]
    return Finding(
        "does it pair notes unaided?",
        notes > 0 and paired >= _LEAST_PAIRED * notes,
        f"{paired} of {notes} notes in {len(results)} unconstrained pieces end as they began; "
        f"grammar score {np.mean(scores):.3f}",
    )


def _does_not_loop(written: list[NDArray[np.int64]]) -> Finding:
    looped = float(np.mean([looped_share(tokens) for tokens in written]))
    ended = sum(bool(tokens[-1] == END) for tokens in written)
    return Finding(
        "does it keep from looping, and end?",
        looped <= MOST_LOOPED and ended > 0,
        f"{looped:.1%} of the tokens stand in loops; {ended} of {len(written)} pieces reach END",
    )


def _decoder_logits(checkpoint: Checkpoint) -> Logits:
    """The checkpoint as a function of a tune in C major and 4/4, which it is shown as a whole."""
    decoder, grammar = Decoder(checkpoint.config, checkpoint.weights), MusicalGrammar()
    told = PieceConditions.of(checkpoint.config, [str(COMMON_TIME)], [_HOME.mode], [None], [_BARS])
    asked = {"bar_ticks": COMMON_TIME.bar_ticks, "bars": _BARS}

    def logits(tokens: NDArray[np.int64]) -> ArrayLike:
        _, read = logits_along(decoder, grammar, tokens, told, **asked)
        return np.concatenate([some for _, some in read])

    return logits


def _composed(checkpoint: Checkpoint, seed: int) -> list[NDArray[np.int64]]:
    """Pieces as the checkpoint writes them when nothing is forbidden and nothing cut off."""
    asked = Conditions(_HOME, COMMON_TIME, _BARS)
    rngs = [np.random.default_rng([seed, index]) for index in range(_PIECES)]
    manner = GenerationConfig(Sampling(), use_grammar=False)
    drawn = Composer(checkpoint).draw([asked] * _PIECES, rngs, manner)
    return [tokens.astype(np.int64) for tokens in drawn]


def _drawn(logits: Logits, rng: np.random.Generator) -> NDArray[np.int64]:
    """A piece of a model that is a function, drawn token by token."""
    tokens = [START]
    while tokens[-1] != END and len(tokens) < _MOST_TOKENS:
        said = np.asarray(logits(np.array(tokens)))[-1:]
        token = draw(probabilities(said, None, Sampling()), rng.random(1))
        tokens.append(int(token[0]))
    return np.array(tokens)


def _tune() -> Score:
    """Eight bars of scales in contrary motion, in eighths above and quarters below."""
    scale = (0, 2, 4, 5, 7, 9, 11, 12, 11, 9, 7, 5, 4, 2)
    ticks = _BARS * COMMON_TIME.bar_ticks
    upper = [Note(t, 72 + scale[t // 12 % 14], 12, 79) for t in range(0, ticks, 12)]
    lower = [Note(t, 60 - scale[t // 24 % 14], 24, 79) for t in range(0, ticks, 24)]
    voices = (Voice(tuple(upper)), Voice(tuple(lower)))
    return Score(voices, _BARS, COMMON_TIME, _HOME, tempo_qpm=96.0)
