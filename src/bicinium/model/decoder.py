"""The model in numpy, to compose with: the same network as ``transformer``, one token at a time.

Keys and values of past tokens are cached; beyond ``context`` tokens the oldest are overwritten, so
that pieces of any length slide through (attention does not care in which order the cache lies).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from bicinium.model.config import ModelConfig

Floats = NDArray[np.float32]


class Decoder:
    """Weights by the names ``transformer`` gives them, and the KV cache of B sequences."""

    def __init__(self, config: ModelConfig, weights: Mapping[str, NDArray[np.floating]]) -> None:
        self.config = config
        as_floats = {name: np.asarray(w, np.float32) for name, w in weights.items()}
        self.embedding = as_floats["embedding.weight"]
        self.norm = as_floats["norm.weight"]
        self.head = np.ascontiguousarray(as_floats["head.weight"].T)
        self.layers = [
            {
                name: np.ascontiguousarray(as_floats[f"blocks.{index}.{name}.weight"].T)
                for name in (
                    "attention_norm",
                    "attention.qkv",
                    "attention.out",
                    "feed_forward_norm",
                    "feed_forward.gate_up",
                    "feed_forward.down",
                )
            }
            for index in range(config.n_layers)
        ]
        half = config.d_model // config.n_heads // 2
        self.speed = config.rope_base ** (-np.arange(half, dtype=np.float32) / half)
        self.start(1)

    def start(self, batch: int) -> None:
        """Forget everything and begin ``batch`` new sequences."""
        heads, size = self.config.n_heads, self.config.d_model // self.config.n_heads
        shape = (self.config.n_layers, batch, heads, self.config.context, size)
        self.keys = np.zeros(shape, np.float32)
        self.values = np.zeros(shape, np.float32)
        self.length = 0

    def keep(self, rows: NDArray[np.integer]) -> None:
        """Go on with these sequences only."""
        self.keys, self.values = self.keys[:, rows], self.values[:, rows]

    def step(self, features: NDArray[np.integer]) -> Floats:
        """(B, F) feature rows of one more token → (B, V) logits of the next."""
        config = self.config
        batch, heads = len(features), config.n_heads
        slot = self.length % config.context
        filled = min(self.length + 1, config.context)
        angle = np.float32(self.length) * self.speed
        cos, sin = np.cos(angle), np.sin(angle)
        x = self.embedding[features].sum(axis=1)  # (B, D)
        for index, layer in enumerate(self.layers):
            qkv = _rms_norm(x, layer["attention_norm"]) @ layer["attention.qkv"]
            q, k, v = qkv.reshape(batch, 3, heads, -1).transpose(1, 0, 2, 3)  # (B, H, D/H)
            self.keys[index, :, :, slot] = _rotate(k, cos, sin)
            self.values[index, :, :, slot] = v
            keys = self.keys[index, :, :, :filled]  # (B, H, T, D/H)
            values = self.values[index, :, :, :filled]
            query = _rotate(q, cos, sin)[..., None] * np.float32(q.shape[-1] ** -0.5)
            weight = np.matmul(keys, query)[..., 0]  # (B, H, T)
            weight = np.exp(weight - weight.max(axis=-1, keepdims=True))
            weight /= weight.sum(axis=-1, keepdims=True)
            y = np.matmul(weight[:, :, None], values).reshape(batch, -1)
            x = x + y @ layer["attention.out"]
            hidden = _rms_norm(x, layer["feed_forward_norm"]) @ layer["feed_forward.gate_up"]
            gate, up = np.split(hidden, 2, axis=-1)
            x = x + (gate / (1 + np.exp(-gate)) * up) @ layer["feed_forward.down"]
        self.length += 1
        return np.asarray(_rms_norm(x, self.norm) @ self.head)


def _rms_norm(x: Floats, weight: Floats) -> Floats:
    return x / np.sqrt((x * x).mean(axis=-1, keepdims=True) + np.float32(1e-6)) * weight


def _rotate(x: Floats, cos: Floats, sin: Floats) -> Floats:
    a, b = np.split(x, 2, axis=-1)
    return np.concatenate((a * cos - b * sin, a * sin + b * cos), axis=-1)
