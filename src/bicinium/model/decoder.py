"""The model in numpy, to compose with: the same network as ``transformer``, one token at a time.

Keys and values of past tokens are cached; beyond ``context`` tokens the oldest are overwritten, so
that pieces of any length slide through (attention does not care in which order the cache lies).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bicinium.model.config import ModelConfig

Floats = NDArray[np.float32]
_FIRST_ROOM = 128  # tokens
_FEW_ROWS = 5


class _Layer(NamedTuple):
    """The matrices of a block, each (in, out)."""

    qkv: Floats
    out: Floats
    gate_up: Floats
    down: Floats


class Decoder:
    """Weights by the names ``transformer`` gives them, and the KV cache of B sequences."""

    def __init__(self, config: ModelConfig, weights: Mapping[str, NDArray[np.floating]]) -> None:
        self.config = config
        named = {name: np.asarray(w, np.float32) for name, w in weights.items()}

        def matrix(name: str, norm: str = "") -> Floats:
            """(in, out), the scale of the norm before it folded in."""
            scale = named[f"{norm}.weight"][:, None] if norm else np.float32(1)
            return np.ascontiguousarray(named[f"{name}.weight"].T * scale)

        self.embedding = named["embedding.weight"]
        self.head = matrix("head", "norm")
        self.layers = [
            _Layer(
                matrix(f"blocks.{index}.attention.qkv", f"blocks.{index}.attention_norm"),
                matrix(f"blocks.{index}.attention.out"),
                matrix(f"blocks.{index}.feed_forward.gate_up", f"blocks.{index}.feed_forward_norm"),
                matrix(f"blocks.{index}.feed_forward.down"),
            )
            for index in range(config.n_layers)
        ]
        half = config.d_model // config.n_heads // 2
        self.speed = config.rope_base ** (-np.arange(half, dtype=np.float32) / half)
        self.start(1)

    def start(self, batch: int) -> None:
        """Forget everything and begin ``batch`` new sequences."""
        heads, size = self.config.n_heads, self.config.d_model // self.config.n_heads
        # (2, L, B, H, T, D/H): keys and values; T grows as needed, up to the context
        self.cache = np.empty((2, self.config.n_layers, batch, heads, 0, size), np.float32)
        self.length = 0

    def keep(self, rows: NDArray[np.integer]) -> None:
        """Go on with these sequences only."""
        self.cache = self.cache[:, :, rows]

    def step(self, features: NDArray[np.integer]) -> Floats:
        """(B, F) feature rows of one more token → (B, V) logits of the next."""
        config = self.config
        batch, heads = len(features), config.n_heads
        slot = self.length % config.context
        filled = min(self.length + 1, config.context)
        if filled > self.cache.shape[4]:
            self._grow()
        angle = np.float32(self.length) * self.speed
        cos, sin = np.cos(angle), np.sin(angle)
        x = self.embedding[features].sum(axis=1)  # (B, D)
        for layer, (keys, values) in zip(self.layers, self.cache.swapaxes(0, 1), strict=True):
            qkv = _times(_normed(x), layer.qkv).reshape(batch, 3, heads, -1)
            turned = _rotate(qkv[:, :2], cos, sin)  # (B, 2, H, D/H) queries and keys
            keys[:, :, slot] = turned[:, 1]
            values[:, :, slot] = qkv[:, 2]
            query = turned[:, 0, :, :, None] * np.float32(turned.shape[-1] ** -0.5)
            weight = np.matmul(keys[:, :, :filled], query)[..., 0]  # (B, H, T)
            weight = np.exp(weight - weight.max(axis=-1, keepdims=True))
            weight /= weight.sum(axis=-1, keepdims=True)
            y = np.matmul(weight[:, :, None], values[:, :, :filled]).reshape(batch, -1)
            x = x + _times(y, layer.out)
            hidden = _times(_normed(x), layer.gate_up)
            gate, up = hidden[:, : config.d_ff], hidden[:, config.d_ff :]
            x = x + _times(gate / (1 + np.exp(-gate)) * up, layer.down)
        self.length += 1
        return _times(_normed(x), self.head)

    def _grow(self) -> None:
        """Make room for twice as many tokens."""
        shape = list(self.cache.shape)
        shape[4] = min(self.config.context, max(_FIRST_ROOM, 2 * shape[4]))
        grown = np.empty(shape, np.float32)
        grown[:, :, :, :, : self.cache.shape[4]] = self.cache
        self.cache = grown


def _times(x: Floats, matrix: Floats) -> Floats:
    """``x`` (B, in) times a matrix (in, out).

    Row by row where there are few: for more than one row, BLAS first copies the whole matrix, which
    takes longer than multiplying five.
    """
    if len(x) > _FEW_ROWS:
        return np.asarray(x @ matrix)
    return np.stack([row @ matrix for row in x])


def _normed(x: Floats) -> Floats:
    """RMSNorm without its scale, which is folded into the matrix that follows."""
    mean_square = np.einsum("bd,bd->b", x, x) / np.float32(x.shape[1])
    return np.asarray(x / np.sqrt(mean_square + np.float32(1e-6))[:, None])


def _rotate(x: Floats, cos: Floats, sin: Floats) -> Floats:
    """Turn each pair (channel i, channel i + half) of x (…, D/H) by its angle."""
    half = x.shape[-1] // 2
    a, b = x[..., :half], x[..., half:]
    turned = np.empty_like(x)
    np.subtract(a * cos, b * sin, out=turned[..., :half])
    np.add(a * sin, b * cos, out=turned[..., half:])
    return turned
