"""The network in numpy, for installations without a C compiler.

It computes the same function as ``compiled_network``, several times slower. BLAS chooses the order
of summation, so the last bits of the logits depend on the machine and on the batch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bicinium.model.config import ModelConfig
from bicinium.model.inputs.layout import MAX_DISTANCE, PITCH_DISTANCES, REFERENCES
from bicinium.model.rotary import rotary_frequencies
from bicinium.tokenizer.vocabulary import BLOCKS, PITCHES, Kind

Floats = NDArray[np.float32]
_DISTANCE = np.clip(np.arange(PITCHES) - np.arange(PITCHES)[:, None], -MAX_DISTANCE, MAX_DISTANCE)
_FIRST_DISTANCE = np.arange(REFERENCES)[:, None] * PITCH_DISTANCES + MAX_DISTANCE


class _Layer(NamedTuple):
    """The weights of a block, matrices (in, out)."""

    attention_norm: Floats
    qkv: Floats
    out: Floats
    feed_forward_norm: Floats
    gate_up: Floats
    down: Floats


class Cache:
    """Keys and values of any number of sequences, each with its own length and context."""

    def __init__(self, config: ModelConfig, contexts: Sequence[int]) -> None:
        heads, size = config.n_heads, config.d_model // config.n_heads
        self.lengths = np.zeros(len(contexts), np.int64)
        self.memory = [
            np.zeros((config.n_layers, 2, heads, context, size), np.float32) for context in contexts
        ]


class NumpyNetwork:
    """Weights in single precision. Threads may share it."""

    def __init__(self, config: ModelConfig, weights: Mapping[str, NDArray[np.floating]]) -> None:
        self.config = config
        names = (
            "attention_norm", "attention.qkv", "attention.out",
            "feed_forward_norm", "feed_forward.gate_up", "feed_forward.down",
        )  # fmt: skip
        named = {name: np.ascontiguousarray(w.T, np.float32) for name, w in weights.items()}
        self._embedding = np.asarray(weights["embedding.weight"], np.float32)
        self._layers = [
            _Layer(*(named[f"blocks.{index}.{name}.weight"] for name in names))
            for index in range(config.n_layers)
        ]
        self._norm, self._head = named["norm.weight"], named["head.weight"]
        if config.relative_pitch:
            self._relative = named["relative_head.weight"]
            self._ending = named["ending_head.weight"]
        self._speeds = rotary_frequencies(config).astype(np.float64)

    def cache(self, contexts: Sequence[int]) -> Cache:
        """The memory of new sequences, each of which looks back on at most so many tokens."""
        return Cache(self.config, contexts)

    def step(
        self, cache: Cache, rows: NDArray[np.integer], inputs: NDArray[np.integer]
    ) -> NDArray[np.float32]:
        """As ``CompiledNetwork.step``."""
        positions = np.empty(len(rows), np.int64)
        for index, row in enumerate(rows):
            positions[index] = cache.lengths[row]
            cache.lengths[row] += 1
        cos, sin = self._turn(positions, inputs[:, -1])
        x = self._embedding[inputs[:, : -REFERENCES - 1]].sum(axis=1)  # (N, D)
        for index, layer in enumerate(self._layers):
            qkv = _normed(x, layer.attention_norm) @ layer.qkv
            qkv = qkv.reshape(len(x), 3, self.config.n_heads, -1)
            qkv[:, :2] = _rotate(qkv[:, :2], cos, sin)
            qkv[:, 0] *= np.float32(qkv.shape[-1] ** -0.5)
            y = np.empty_like(x)
            for n, (row, position) in enumerate(zip(rows, positions, strict=True)):
                y[n] = _attended(cache.memory[row][index], qkv[n], int(position)).ravel()
            x = x + y @ layer.out
            hidden = _normed(x, layer.feed_forward_norm) @ layer.gate_up
            gate, up = hidden[:, : self.config.d_ff], hidden[:, self.config.d_ff :]
            x = x + (gate / (1 + np.exp(-np.maximum(gate, -87))) * up) @ layer.down
        return self._logits(_normed(x, self._norm), inputs[:, -REFERENCES - 1 : -1])

    def _turn(
        self, places: NDArray[np.integer], ticks: NDArray[np.integer]
    ) -> tuple[Floats, Floats]:
        """(N, 1, H, D/H/2) cosines and sines of what tokens at these places and ticks turn by."""
        of_head = np.empty((len(ticks), self.config.n_heads, 1))
        counted = self.config.n_heads - self.config.time_heads  # heads that count tokens
        of_head[:, :counted] = places[:, None, None]
        of_head[:, counted:] = ticks[:, None, None]
        angle = (of_head * self._speeds)[:, None]
        return np.cos(angle).astype(np.float32), np.sin(angle).astype(np.float32)

    def _logits(self, x: Floats, references: NDArray[np.integer]) -> Floats:
        """(N, V); to those of pitches is added what speaks for their distances from references."""
        logits = x @ self._head
        if self.config.relative_pitch:
            distance = _DISTANCE[references] + _FIRST_DISTANCE  # (N, REFERENCES, PITCHES)
            rows = np.arange(len(x))
            by_distance = (x @ self._relative)[rows[:, None, None], distance]
            logits[:, BLOCKS[Kind.NOTE_ON].ids] += by_distance.sum(axis=1)
            held = references[:, 0] + BLOCKS[Kind.NOTE_OFF].ids.start
            logits[rows, held] += (x @ self._ending)[:, 0]
        return logits


def _attended(memory: Floats, qkv: Floats, position: int) -> Floats:
    """(H, D/H) what a token attends to; its key and value are remembered in ``memory``."""
    context = memory.shape[2]
    memory[:, :, position % context] = qkv[1:]
    keys, values = memory[:, :, : min(position + 1, context)]  # (H, T, D/H)
    weight = (keys @ qkv[0][:, :, None])[..., 0]  # (H, T)
    weight = np.exp(weight - weight.max(axis=1, keepdims=True))
    weight /= weight.sum(axis=1, keepdims=True)
    return (weight[:, None] @ values)[:, 0]


def _normed(x: Floats, scale: Floats) -> Floats:
    """RMSNorm (arXiv:1910.07467)."""
    mean_square = np.einsum("nd,nd->n", x, x) / np.float32(x.shape[1])
    return x / np.sqrt(mean_square + np.float32(1e-6))[:, None] * scale


def _rotate(x: Floats, cos: Floats, sin: Floats) -> Floats:
    """Turn each pair (channel i, channel i + half) of x (…, D/H) by its angle."""
    half = x.shape[-1] // 2
    a, b = x[..., :half], x[..., half:]
    return np.concatenate([a * cos - b * sin, a * sin + b * cos], axis=-1)
