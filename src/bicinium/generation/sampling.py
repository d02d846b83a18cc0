"""Drawing tokens from logits: pure functions over arrays. Knows ids and masks; knows no music."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bicinium.errors import RequestError


@dataclass(frozen=True, slots=True)
class Sampling:
    """How freely to draw. ``top_p`` 1 and ``top_k`` 0 and ``min_p`` 0 leave the model as it is."""

    temperature: float = 1.0
    top_p: float = 1.0  # the smallest set of tokens that holds so much probability (nucleus)
    top_k: int = 0  # only the k likeliest; 0 is all
    min_p: float = 0.0  # only tokens at least so likely as this share of the likeliest
    repetition_penalty: float = 0.0  # nats off the logit of a token for each time it came of late
    guidance: float | None = 1.0  # how much the style counts; 1 is the model; None: as it needs
    motif_strength: float | None = 0.0  # how strongly motifs recur; None: as the style needs

    def __post_init__(self) -> None:
        if not 0 < self.temperature <= 10:
            raise RequestError(f"temperature {self.temperature} must be over 0 and at most 10")
        if not 0 < self.top_p <= 1:
            raise RequestError(f"top-p {self.top_p} must be over 0 and at most 1")
        if self.top_k < 0:
            raise RequestError(f"top-k {self.top_k} must be 0 (all) or more")
        if not 0 <= self.min_p < 1:
            raise RequestError(f"min-p {self.min_p} must be 0 or more and under 1")
        if not 0 <= self.repetition_penalty <= 100:
            raise RequestError(
                f"repetition penalty {self.repetition_penalty} must be 0 (none) to 100"
            )
        if self.guidance is not None and not 0 <= self.guidance <= 10:
            raise RequestError(f"guidance {self.guidance} must be 0 (no style) to 10")
        if self.motif_strength is not None and not 0 <= self.motif_strength <= 10:
            raise RequestError(f"motif strength {self.motif_strength} must be 0 (none) to 10")


def probabilities(
    logits: NDArray[np.floating], token_mask: NDArray[np.bool_] | None, how: Sampling
) -> NDArray[np.float64]:
    """(B, V) logits → the (B, V) distribution that is drawn from. Masked tokens have exactly 0."""
    scaled = logits.astype(np.float64) / how.temperature
    if token_mask is not None:
        scaled = np.where(token_mask, scaled, -np.inf)
    p = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    if how.top_p == 1 and not how.top_k and not how.min_p:
        return p
    order = np.argsort(-p, axis=1, kind="stable")
    ranked = np.take_along_axis(p, order, axis=1)
    keep = ranked >= how.min_p * ranked[:, :1]
    keep &= (np.cumsum(ranked, axis=1) - ranked) < how.top_p  # the token that reaches top_p stays
    if how.top_k:
        keep &= np.arange(p.shape[1]) < how.top_k
    np.put_along_axis(p, order, np.where(keep, ranked, 0), axis=1)
    return np.asarray(p / p.sum(axis=1, keepdims=True))


def penalise(
    logits: NDArray[np.floating], recent: NDArray[np.integer], penalty: float
) -> NDArray[np.float64]:
    """(B, V) logits less ``penalty`` for each time a token stands in ``recent`` (B, K), where -1 is
    none.

    Subtracted, whatever the sign of the logit: what came of late is always less likely than before.
    """
    rows, places = np.nonzero(recent >= 0)
    times = np.zeros(logits.shape)
    np.add.at(times, (rows, recent[rows, places]), 1.0)
    return np.asarray(logits - penalty * times)


def draw(p: NDArray[np.float64], uniform: NDArray[np.float64]) -> NDArray[np.int64]:
    """(B,) one token a row, by the inverse of the cumulative distribution at ``uniform`` (B,)."""
    cumulative = np.cumsum(p, axis=1)
    tokens = (cumulative <= uniform[:, None] * cumulative[:, -1:]).sum(axis=1)
    last_possible = p.shape[1] - 1 - (p[:, ::-1] > 0).argmax(axis=1)
    return np.asarray(np.minimum(tokens, last_possible))
