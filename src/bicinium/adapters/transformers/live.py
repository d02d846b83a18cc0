"""Live validation of a Transformers model: whole pieces by ``generate()``, without the grammar."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bicinium.generation.composition import Composition
from bicinium.generation.conditions import Conditions
from bicinium.grammar import MusicalGrammar, MusicalGrammarValidator
from bicinium.music.key import REFERENCE_KEYS
from bicinium.music.score import COMMON_TIME, Meter
from bicinium.tokenizer.codec import decode
from bicinium.tokenizer.vocabulary import END, PAD, START, VOCAB_SIZE
from bicinium.training.losses import illegal_mass
from bicinium.training.validation import LiveValidation, generated_metrics, why_degenerate


def validate_live(
    model: Any,
    count: int,
    *,
    max_tokens: int = 512,
    grammar: MusicalGrammar | None = None,
    meter: Meter | None = None,
    seed: int = 0,
    **options: Any,
) -> LiveValidation:
    """Let a model generate ``count`` pieces at temperature 1 without constraints, and measure them.

    The metrics are those of bicinium's own training (``training.validation``). A piece that reaches
    ``max_tokens`` without END is invalid. meter: of the pieces; None if it is unknown, so that END
    may fall anywhere. options: further arguments of ``generate()``.

    The same seed and weights give the same pieces. Other random draws are not disturbed.
    """
    grammar = grammar or MusicalGrammar()
    sequences, logits = _generate(model, count, max_tokens, seed, options)
    validator = MusicalGrammarValidator(grammar)
    results = validator.validate_sequences(sequences, [meter] * count)
    key, meter = REFERENCE_KEYS["major"], meter or COMMON_TIME
    pieces = [
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
    metrics = generated_metrics(pieces) | _next_token_metrics(grammar, sequences, logits)
    return LiveValidation(pieces, metrics, why_degenerate(metrics))


def _generate(
    model: Any, count: int, max_tokens: int, seed: int, options: dict[str, Any]
) -> tuple[list[NDArray[np.int64]], Tensor]:
    """Return the tokens of each piece, and the logits (count, T, V) of those after START."""
    settings = {
        "do_sample": True, "temperature": 1.0, "top_k": 0, "top_p": 1.0,
        "max_new_tokens": max_tokens - 1, "bos_token_id": START, "eos_token_id": END,
        "pad_token_id": PAD, "return_dict_in_generate": True, "output_logits": True,
    }  # fmt: skip
    prompt = torch.full((count, 1), START, device=model.device)
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
    sequences = [_until_end(row) for row in found.sequences.cpu().numpy()]
    return sequences, torch.stack(found.logits, dim=1).float().cpu()


def _until_end(tokens: NDArray[np.int64]) -> NDArray[np.int64]:
    ends = np.flatnonzero(tokens == END)
    return tokens[: ends[0] + 1] if len(ends) else tokens


def _next_token_metrics(
    grammar: MusicalGrammar, sequences: Sequence[NDArray[np.int64]], logits: Tensor
) -> dict[str, float]:
    """Return mean entropy (nats per token) and illegal mass along generated pieces."""
    entropy, illegal, tokens = 0.0, 0.0, 0
    for sequence, along in zip(sequences, logits, strict=True):
        states = grammar.states_along([sequence])
        before = states.take(np.arange(1, len(sequence)))  # each token but START
        own = along[: len(sequence) - 1]
        log_p = own.log_softmax(dim=-1)
        entropy -= float((log_p.exp() * log_p).sum())
        # Ids beyond the vocabulary, if the model has any, are illegal.
        forbidden = torch.ones(own.shape, dtype=torch.bool)
        forbidden[:, :VOCAB_SIZE] = torch.from_numpy(~grammar.legal(before))
        illegal += float(illegal_mass(own, forbidden).sum())
        tokens += len(own)
    return {"entropy": entropy / tokens, "illegal_mass": illegal / tokens}
