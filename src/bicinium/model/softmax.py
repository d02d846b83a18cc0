"""Softmax over the last axis, in double precision."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def log_softmax(logits: ArrayLike) -> NDArray[np.float64]:
    """Return (…, V) log-probabilities of (…, V) logits."""
    shifted = np.array(logits, np.float64)
    shifted -= shifted.max(axis=-1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True)))


def softmax(logits: ArrayLike) -> NDArray[np.float64]:
    """Return (…, V) probabilities of (…, V) logits; a logit of -inf has probability 0."""
    p = np.array(logits, np.float64)
    p = np.exp(p - p.max(axis=-1, keepdims=True))
    return np.asarray(p / p.sum(axis=-1, keepdims=True))
