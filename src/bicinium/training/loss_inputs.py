"""Checks of what a grammar loss is given: shapes, vocabulary, and the shift between the two.

Logits at position t must predict the target at position t. If they are off by one, the loss is
still a number, so nobody would notice.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bicinium.errors import TokenError
from bicinium.grammar import MusicalGrammar
from bicinium.grammar.token_grammar import TokenGrammar
from bicinium.grammar.validate import OTHER_VOCABULARY, looks_like_another_vocabulary

IGNORE_INDEX = -100  # target of positions that do not count
_OTHER_IDS = "More than half of the tokens break a rule. Are they ids of another tokenizer?"
_SHIFT = "Pass logits[:, :-1] with tokens[:, 1:]."
_MIN_POSITIONS = 8  # to judge a shift by
_MIN_ADVANTAGE = 2.0  # nats per token by which logits prefer a neighbouring target


def check_loss_inputs(logits: Tensor, targets: Tensor, grammar: TokenGrammar) -> None:
    """Raise TokenError unless (B, T, V) logits and (B, T) targets fit each other and a grammar."""
    vocab_size = grammar.vocab_size
    if targets.is_floating_point():
        raise TokenError(f"target_tokens must be integers (got {targets.dtype}).")
    if logits.ndim != targets.ndim + 1 or logits.shape[:-1] != targets.shape:
        raise TokenError(
            f"predicted_tokens must be (B, T, {vocab_size}) logits for (B, T) target_tokens "
            f"(got {tuple(logits.shape)} for {tuple(targets.shape)}). {_SHIFT}"
        )
    if logits.shape[-1] != vocab_size:
        raise TokenError(
            f"predicted_tokens are logits of {logits.shape[-1]} tokens; the vocabulary has "
            f"{vocab_size}. Use a model over the vocabulary of the grammar."
        )
    if not targets.numel():
        return
    counted = targets[targets != IGNORE_INDEX]
    if counted.numel() and not 0 <= int(counted.min()) <= int(counted.max()) < vocab_size:
        raise TokenError(
            f"target_tokens must be between 0 and {vocab_size - 1}, or {IGNORE_INDEX} where "
            f"nothing counts (got {int(counted.min())} to {int(counted.max())}). "
            f"Encode the music with {grammar.encoder}."
        )
    if grammar.looks_unshifted(targets.reshape(-1, targets.shape[-1]).cpu().numpy()):
        raise TokenError(f"target_tokens begin with START, so they are not shifted. {_SHIFT}")


def warn_of_misalignment(
    logits: Tensor,
    targets: Tensor,
    grammar: TokenGrammar,
    states: Any,
) -> None:
    """Warn if the logits predict the neighbours of the targets, or the targets are no music.

    ``states`` are those before all targets.
    """
    flat = targets.reshape(-1).cpu().numpy()
    counted = flat != IGNORE_INDEX
    broken = grammar.broken_rules(states, np.where(counted, flat, 0)) >= 0
    if looks_like_another_vocabulary(int(broken[counted].sum()), int(counted.sum())):
        hint = OTHER_VOCABULARY if isinstance(grammar, MusicalGrammar) else _OTHER_IDS
        warnings.warn(f"target_tokens: {hint}", UserWarning, stacklevel=4)
    for offset, name in ((1, "next"), (-1, "previous")):
        if _advantage(logits.detach(), targets, offset) > _MIN_ADVANTAGE:
            warnings.warn(
                f"The logits predict the {name} target better than their own. {_SHIFT}",
                UserWarning,
                stacklevel=4,
            )


def _advantage(logits: Tensor, targets: Tensor, offset: int) -> float:
    """Return how much better logits predict the target ``offset`` positions on, in nats per token.

    The normalisation of the softmax is the same for both, so that logits can be compared.
    """
    if targets.shape[-1] < _MIN_POSITIONS + 1:
        return 0.0
    own, other = (targets[..., :-1], targets[..., 1:])[::offset]
    rows = logits[..., :-1, :] if offset > 0 else logits[..., 1:, :]
    counted = (own != IGNORE_INDEX) & (other != IGNORE_INDEX) & (own != other)
    if int(counted.sum()) < _MIN_POSITIONS:
        return 0.0
    at_own, at_other = (
        rows.gather(-1, ids.clamp(min=0)[..., None].long())[..., 0] for ids in (own, other)
    )
    return float((at_other - at_own)[counted].float().mean().clamp(max=torch.finfo().max))
