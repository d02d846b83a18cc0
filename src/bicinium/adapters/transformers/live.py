"""Live validation of a Transformers model: whole pieces by ``generate()``, without the grammar."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bicinium.adapters.transformers.sequences import start_and_end
from bicinium.atomic_write import atomic_write
from bicinium.errors import GrammarError, TokenError
from bicinium.generation.composition import Composition
from bicinium.generation.conditions import Conditions
from bicinium.grammar import MusicalGrammar, MusicalGrammarValidator, ValidationResult
from bicinium.grammar.events import EventGrammar, EventValidator
from bicinium.music.key import REFERENCE_KEYS
from bicinium.music.score import COMMON_TIME, Meter
from bicinium.tokenizer.codec import decode
from bicinium.training.losses import illegal_mass
from bicinium.training.validation import (
    LiveValidation,
    generated_metrics,
    save_samples,
    sequence_metrics,
    why_degenerate,
)


@dataclass(frozen=True, slots=True)
class GeneratedSequence:
    """A generated piece in another vocabulary, and what ``EventValidator`` says of it."""

    tokens: NDArray[np.int64]
    result: ValidationResult


def validate_live(
    model: Any,
    count: int,
    *,
    max_tokens: int = 512,
    grammar: MusicalGrammar | EventGrammar | None = None,
    meter: Meter | None = None,
    seed: int = 0,
    **options: Any,
) -> LiveValidation[Any]:
    """Let a model generate ``count`` pieces at temperature 1 without constraints, and measure them.

    The metrics are those of bicinium's own training (``training.validation``). A piece that reaches
    ``max_tokens`` without END is invalid. meter: of the pieces; None if it is unknown, so that END
    may fall anywhere. options: further arguments of ``generate()``.

    With an ``EventGrammar`` the pieces are ``GeneratedSequence``, the metrics that need to know
    quarters or scales are left out, and there is no ``meter``.

    The same seed and weights give the same pieces. Other random draws are not disturbed.

    Raises GrammarError for a grammar without START or END, or a metre for other vocabularies;
    TokenError for a model over another vocabulary.
    """
    grammar = grammar or MusicalGrammar()
    refuse_meter(grammar, meter)
    sequences, logits = _generate(model, grammar, count, max_tokens, seed, options)
    pieces: list[Any]
    if isinstance(grammar, MusicalGrammar):
        pieces = _compositions(grammar, sequences, meter, seed)
        metrics = generated_metrics(pieces)
    else:
        results = list(EventValidator(grammar).validate_sequences(sequences))
        pieces = [GeneratedSequence(*one) for one in zip(sequences, results, strict=True)]
        metrics = sequence_metrics(sequences, results)
    metrics |= _next_token_metrics(grammar, sequences, logits)
    return LiveValidation(pieces, metrics, why_degenerate(metrics))


def refuse_meter(grammar: MusicalGrammar | EventGrammar, meter: Meter | None) -> None:
    """Raise GrammarError if there is a metre and the grammar is over another vocabulary."""
    if meter is not None and not isinstance(grammar, MusicalGrammar):
        raise GrammarError(
            f"meter is for a MusicalGrammar (got {meter} with {type(grammar).__name__}). Leave it "
            "out; the vocabulary says how long bars are."
        )


def save_pieces(pieces: Sequence[Composition] | Sequence[GeneratedSequence], folder: Path) -> None:
    """Write pieces of ``validate_live``: compositions as ``save_samples`` does, others as JSON.

    A JSON file has the token ids, as MidiTok's files do, the grammar score, and the violations.
    """
    compositions = [piece for piece in pieces if isinstance(piece, Composition)]
    save_samples(compositions, folder)
    others = [piece for piece in pieces if isinstance(piece, GeneratedSequence)]
    for index, piece in enumerate(others):
        text = json.dumps(
            {
                "ids": piece.tokens.tolist(),
                "grammar_score": piece.result.grammar_score,
                "violations": [violation.message for violation in piece.result.violations],
            }
        )
        folder.mkdir(parents=True, exist_ok=True)
        with atomic_write(folder / f"{index}.json") as temporary:
            temporary.write_text(text, encoding="utf-8")


def _compositions(
    grammar: MusicalGrammar,
    sequences: Sequence[NDArray[np.int64]],
    meter: Meter | None,
    seed: int,
) -> list[Composition]:
    """Return judged pieces over bicinium's vocabulary."""
    validator = MusicalGrammarValidator(grammar)
    results = validator.validate_sequences(sequences, [meter] * len(sequences))
    key, meter = REFERENCE_KEYS["major"], meter or COMMON_TIME
    return [
        Composition(
            Conditions(key, meter),
            seed,
            tokens.astype(np.int16),
            result,
            decode(tokens, meter, key) if result.valid else None,
            draws=1,
        )
        for tokens, result in zip(sequences, results, strict=True)
    ]


def _generate(
    model: Any,
    grammar: MusicalGrammar | EventGrammar,
    count: int,
    max_tokens: int,
    seed: int,
    options: dict[str, Any],
) -> tuple[list[NDArray[np.int64]], Tensor]:
    """Return the tokens of each piece, and the logits (count, T, V) of those after START."""
    start, end = start_and_end(grammar)
    settings = {
        "do_sample": True, "temperature": 1.0, "top_k": 0, "top_p": 1.0,
        "max_new_tokens": max_tokens - 1, "bos_token_id": start, "eos_token_id": end,
        "pad_token_id": end if grammar.pad_id is None else grammar.pad_id,
        "return_dict_in_generate": True, "output_logits": True,
    }  # fmt: skip
    prompt = torch.full((count, 1), start, device=model.device)
    was_training = model.training
    devices = [model.device] if model.device.type == "cuda" else []
    model.eval()
    try:
        with torch.random.fork_rng(devices):
            torch.manual_seed(seed)
            found = model.generate(
                prompt, attention_mask=torch.ones_like(prompt), **settings | options
            )
    finally:
        model.train(was_training)
    logits = torch.stack(found.logits, dim=1).float().cpu()
    if logits.shape[-1] < grammar.vocab_size:
        raise TokenError(
            f"The model has {logits.shape[-1]} tokens; the vocabulary has {grammar.vocab_size}. "
            "Use a model over the vocabulary of the grammar."
        )
    return [_until_end(row, end) for row in found.sequences.cpu().numpy()], logits


def _until_end(tokens: NDArray[np.int64], end: int) -> NDArray[np.int64]:
    ends = np.flatnonzero(tokens == end)
    return tokens[: ends[0] + 1] if len(ends) else tokens


def _next_token_metrics(
    grammar: MusicalGrammar | EventGrammar,
    sequences: Sequence[NDArray[np.int64]],
    logits: Tensor,
) -> dict[str, float]:
    """Return mean entropy (nats per token) and illegal mass along generated pieces."""
    entropy, illegal, tokens = 0.0, 0.0, 0
    for sequence, along in zip(sequences, logits, strict=True):
        states: Any = grammar.states_along([sequence])
        before = states.take(np.arange(1, len(sequence)))  # each token but START
        own = along[: len(sequence) - 1]
        log_p = own.log_softmax(dim=-1)
        entropy -= float((log_p.exp() * log_p).sum())
        # Ids beyond the vocabulary, if the model has any, are illegal.
        forbidden = torch.ones(own.shape, dtype=torch.bool)
        forbidden[:, : grammar.vocab_size] = torch.from_numpy(~grammar.legal(before))
        illegal += float(illegal_mass(own, forbidden).sum())
        tokens += len(own)
    return {"entropy": entropy / tokens, "illegal_mass": illegal / tokens}
