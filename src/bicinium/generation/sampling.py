"""Draws tokens from logits: pure functions over arrays. Knows ids and masks, but no music."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bicinium.errors import RequestError
from bicinium.model.softmax import softmax
from bicinium.option_types import check_types


@dataclass(frozen=True, slots=True)
class Sampling:
    """How tokens are drawn. Raises RequestError for a value outside its limits.

    The command line, the Python interface and the studio take these options by their names.
    ``Sampling()`` leaves the distribution of the model as it is.
    """

    temperature: float = 1.0  # under 1: more predictable; over 1: more varied
    top_p: float = 1.0  # draw from the smallest set of tokens with this probability (nucleus)
    top_k: int = 0  # draw from the k most likely tokens; 0 is all
    min_p: float = 0.0  # draw from tokens at least this share as likely as the most likely one
    guidance: float | None = 1.0  # classifier-free guidance on style; None: 1.5 in keyboard styles
    motif_strength: float | None = 0.0  # bias to the model's motifs; None: 1 in keyboard styles

    def __post_init__(self) -> None:
        check_types(self)
        for name, holds, limits in (
            ("temperature", 0 < self.temperature <= 10, "over 0 and at most 10"),
            ("top-p", 0 < self.top_p <= 1, "over 0 and at most 1"),
            ("top-k", self.top_k >= 0, "0 (all tokens) or more"),
            ("min-p", 0 <= self.min_p < 1, "at least 0 and under 1"),
            ("guidance", _in_0_to_10(self.guidance), "between 0 (no style) and 10"),
            ("motif-strength", _in_0_to_10(self.motif_strength), "between 0 (none) and 10"),
        ):
            if not holds:
                value = getattr(self, name.replace("-", "_"))
                raise RequestError(f"--{name} must be {limits} (got {value}).")


def _in_0_to_10(value: float | None) -> bool:
    return value is None or 0 <= value <= 10


# How pieces are composed unless something else is requested (docs/log.md).
DEFAULT_SAMPLING = Sampling(temperature=1.0, top_p=0.99, guidance=None, motif_strength=None)


def probabilities(
    logits: NDArray[np.floating], token_mask: NDArray[np.bool_] | None, sampling: Sampling
) -> NDArray[np.float64]:
    """Return the (B, V) distribution drawn from, given (B, V) logits. Masked tokens have 0."""
    p = masked_softmax(logits.astype(np.float64) / sampling.temperature, token_mask)
    return truncate(p, sampling)


def masked_softmax(
    logits: NDArray[np.floating], token_mask: NDArray[np.bool_] | None
) -> NDArray[np.float64]:
    """Return the (B, V) probabilities of the tokens that the mask allows."""
    return softmax(logits if token_mask is None else np.where(token_mask, logits, -np.inf))


def truncate(p: NDArray[np.float64], sampling: Sampling) -> NDArray[np.float64]:
    """Return (B, V) probabilities without the tokens that top-p, top-k and min-p leave out."""
    if sampling.top_p == 1 and not sampling.top_k and not sampling.min_p:
        return p
    order = np.argsort(-p, axis=1, kind="stable")
    ranked = np.take_along_axis(p, order, axis=1)
    keep = ranked >= sampling.min_p * ranked[:, :1]
    keep &= (np.cumsum(ranked, axis=1) - ranked) < sampling.top_p  # the token that reaches it stays
    if sampling.top_k:
        keep &= np.arange(p.shape[1]) < sampling.top_k
    truncated = np.empty_like(p)
    np.put_along_axis(truncated, order, np.where(keep, ranked, 0), axis=1)
    return np.asarray(truncated / truncated.sum(axis=1, keepdims=True))


def draw(p: NDArray[np.float64], uniform: NDArray[np.float64]) -> NDArray[np.int64]:
    """Draw (B,) one token a row, by the inverse cumulative distribution at ``uniform`` (B,)."""
    cumulative = np.cumsum(p, axis=1)
    tokens = (cumulative <= uniform[:, None] * cumulative[:, -1:]).sum(axis=1)
    last_possible = p.shape[1] - 1 - (p[:, ::-1] > 0).argmax(axis=1)
    return np.asarray(np.minimum(tokens, last_possible))
