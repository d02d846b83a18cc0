"""The model in numpy, to compose with: the same network as ``transformer``, one token at a time.

Keys and values of past tokens are cached; beyond ``context`` tokens the oldest are overwritten, so
that pieces of any length slide through (attention does not care in which order the cache lies).

In double precision, the default, a piece does not depend on how many are composed beside it, nor on
the machine: what rounding does to the logits is too small for any draw to notice.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from copy import copy
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bicinium.model.config import ModelConfig
from bicinium.model.inputs.encode import (
    MAX_DISTANCE,
    PITCH_DISTANCES,
    REFERENCES,
    split_inputs,
)
from bicinium.model.rotary import rotary_frequencies
from bicinium.tokenizer.vocabulary import BLOCKS, PITCHES, Kind

Floats = NDArray[np.floating]
_FEW_ROWS = 5
_BLOCK = 256  # tokens of a sequence that is read as a whole
_DISTANCE = np.clip(np.arange(PITCHES) - np.arange(PITCHES)[:, None], -MAX_DISTANCE, MAX_DISTANCE)
_FIRST_DISTANCE = np.arange(REFERENCES)[:, None] * PITCH_DISTANCES + MAX_DISTANCE


class _Layer(NamedTuple):
    """The matrices of a block, each (in, out)."""

    qkv: Floats
    out: Floats
    gate_up: Floats
    down: Floats


class Decoder:
    """Weights by the names ``transformer`` gives them, and the KV cache of B sequences."""

    def __init__(
        self,
        config: ModelConfig,
        weights: Mapping[str, NDArray[np.floating]],
        dtype: type[np.floating] = np.float64,
    ) -> None:
        self.config, self.dtype = config, dtype
        named = {name: np.asarray(w, dtype) for name, w in weights.items()}

        def matrix(name: str, norm: str = "") -> Floats:
            """(in, out), the scale of the norm before it folded in."""
            scale = named[f"{norm}.weight"][:, None] if norm else dtype(1)
            return np.ascontiguousarray(named[f"{name}.weight"].T * scale)

        self.embedding = named["embedding.weight"]
        self.head = matrix("head", "norm")
        self.relative_head = self.ending_head = None
        if config.relative_pitch:
            self.relative_head = matrix("relative_head", "norm")
            self.ending_head = matrix("ending_head", "norm")
        self.layers = [
            _Layer(
                matrix(f"blocks.{index}.attention.qkv", f"blocks.{index}.attention_norm"),
                matrix(f"blocks.{index}.attention.out"),
                matrix(f"blocks.{index}.feed_forward.gate_up", f"blocks.{index}.feed_forward_norm"),
                matrix(f"blocks.{index}.feed_forward.down"),
            )
            for index in range(config.n_layers)
        ]
        self.speeds = rotary_frequencies(config).astype(dtype)  # (H, D/H/2)
        self.start(1)

    def looking_back(self, context: int) -> Decoder:
        """The same weights, with attention to so many tokens at most."""
        other = copy(self)
        other.config = self.config.model_copy(update={"context": min(context, self.config.context)})
        return other

    def start(self, batch: int) -> None:
        """Forget everything and begin ``batch`` new sequences."""
        heads, size = self.config.n_heads, self.config.d_model // self.config.n_heads
        shape = (2, self.config.n_layers, batch, heads, self.config.context, size)
        self.cache = np.empty(shape, self.dtype)  # keys and values; pages are used as they fill
        self.slots = np.arange(batch)  # where in the cache each sequence lies
        self.length = 0

    def keep(self, rows: NDArray[np.integer]) -> None:
        """Go on with these sequences only, each once, in this order."""
        self.slots = self.slots[rows]
        filled = min(self.length, self.config.context)
        free = np.setdiff1d(np.arange(len(rows)), self.slots)
        for slot, row in zip(free, np.flatnonzero(self.slots >= len(rows)), strict=True):
            self.cache[:, :, slot, :, :filled] = self.cache[:, :, self.slots[row], :, :filled]
            self.slots[row] = slot
        self.cache = self.cache[:, :, : len(rows)]

    def step(self, inputs: NDArray[np.integer]) -> Floats:
        """Encoded inputs (B, F + REFERENCES + 1) of one more token → (B, V) logits of the next."""
        slot = self.length % self.config.context
        filled = min(self.length + 1, self.config.context)
        cos, sin = self._turn(np.array([self.length]), split_inputs(inputs).tick)
        x = self._embedded(inputs)
        for layer, (keys, values) in zip(self.layers, self.cache.swapaxes(0, 1), strict=True):
            attended = self._attended(x, layer, cos, sin)  # (B, 3, H, D/H)
            keys[self.slots, :, slot] = attended[:, 1]
            values[self.slots, :, slot] = attended[:, 2]
            query = np.empty((*attended[:, 0].shape, 1), self.dtype)
            query[self.slots, ..., 0] = attended[:, 0]
            weight = _softmax(np.matmul(keys[:, :, :filled], query)[..., 0])  # (B, H, T)
            y = np.matmul(weight[:, :, None], values[:, :, :filled]).reshape(len(x), -1)
            x = self._after_attention(x, y[self.slots], layer)
        self.length += 1
        return self._logits(x, inputs)

    def along(self, inputs: NDArray[np.integer]) -> Iterator[tuple[slice, Floats]]:
        """Of a whole sequence (T, F + REFERENCES + 1), some tokens at a time: where they stand, and
        the (n, V) logits of what follows each: what ``step`` gives one by one.
        """
        blocks = [slice(f, min(f + _BLOCK, len(inputs))) for f in range(0, len(inputs), _BLOCK)]
        cos, sin = self._turn(np.arange(len(inputs)), split_inputs(inputs).tick)
        x = np.concatenate([self._embedded(inputs[some]) for some in blocks])
        for layer in self.layers:
            attended = self._attended(x, layer, cos, sin)
            query, key, value = attended.transpose(1, 2, 0, 3)  # (H, T, D/H) each
            for some in blocks:
                y = self._looked_back(query, key, value, some)
                x[some] = self._after_attention(x[some], y, layer)
        for some in blocks:
            yield some, self._logits(x[some], inputs[some])

    def _looked_back(self, query: Floats, key: Floats, value: Floats, some: slice) -> Floats:
        """(n, D) what some tokens of a sequence attend to, themselves and those before."""
        since = max(0, some.start + 1 - self.config.context)
        weight = query[:, some] @ key[:, since : some.stop].swapaxes(1, 2)  # (H, n, m)
        ago = np.arange(some.start, some.stop)[:, None] - np.arange(since, some.stop)
        weight[:, (ago < 0) | (ago >= self.config.context)] = -np.inf
        y = _softmax(weight) @ value[:, since : some.stop]
        return y.swapaxes(0, 1).reshape(len(ago), -1)

    def _embedded(self, inputs: NDArray[np.integer]) -> Floats:
        return np.asarray(self.embedding[split_inputs(inputs).rows].sum(axis=1))  # (N, D)

    def _turn(self, place: NDArray[np.integer], tick: NDArray[np.integer]) -> tuple[Floats, Floats]:
        """(N, 1, H, D/H/2) cosines and sines of what tokens at these places and ticks turn by."""
        heads = self.config.n_heads
        counted = heads - self.config.time_heads  # heads that count tokens
        of_head = np.empty((len(tick), heads, 1), self.dtype)
        of_head[:, :counted], of_head[:, counted:] = place[:, None, None], tick[:, None, None]
        angle = (of_head * self.speeds)[:, None]
        return np.cos(angle), np.sin(angle)

    def _attended(self, x: Floats, layer: _Layer, cos: Floats, sin: Floats) -> Floats:
        """(N, 3, H, D/H) queries, scaled, and keys, both turned, and values."""
        qkv = _times(_normed(x), layer.qkv).reshape(len(x), 3, self.config.n_heads, -1)
        qkv[:, :2] = _rotate(qkv[:, :2], cos, sin)
        qkv[:, 0] *= self.dtype(qkv.shape[-1] ** -0.5)
        return qkv

    def _after_attention(self, x: Floats, y: Floats, layer: _Layer) -> Floats:
        """(N, D) what the rest of a block makes of its input and of what was attended to."""
        x = x + _times(y, layer.out)
        hidden = _times(_normed(x), layer.gate_up)
        gate, up = hidden[:, : self.config.d_ff], hidden[:, self.config.d_ff :]
        return x + _times(gate / (1 + np.exp(-gate)) * up, layer.down)

    def _logits(self, x: Floats, inputs: NDArray[np.integer]) -> Floats:
        """(N, V); to those of pitches is added what speaks for their distances from references."""
        x, references = _normed(x), split_inputs(inputs).reference_pitches
        logits = _times(x, self.head)
        if self.relative_head is not None and self.ending_head is not None:
            by_distance = _times(x, self.relative_head)
            distance = _DISTANCE[references] + _FIRST_DISTANCE  # (B, REFERENCES, PITCHES)
            rows = np.arange(len(x))[:, None, None]
            logits[:, BLOCKS[Kind.NOTE_ON].ids] += by_distance[rows, distance].sum(axis=1)
            held = references[:, 0] + BLOCKS[Kind.NOTE_OFF].ids.start
            logits[rows[:, 0, 0], held] += _times(x, self.ending_head)[:, 0]
        return logits


def _times(x: Floats, matrix: Floats) -> Floats:
    """``x`` (B, in) times a matrix (in, out).

    Row by row where there are few: for more than one row, BLAS first copies the whole matrix, which
    takes longer than multiplying five.
    """
    if len(x) > _FEW_ROWS:
        return np.asarray(x @ matrix)
    return np.stack([row @ matrix for row in x])


def _softmax(weight: Floats) -> Floats:
    """Along the last axis."""
    weight = np.exp(weight - weight.max(axis=-1, keepdims=True))
    weight /= weight.sum(axis=-1, keepdims=True)
    return weight


def _normed(x: Floats) -> Floats:
    """RMSNorm without its scale, which is folded into the matrix that follows."""
    mean_square = np.einsum("bd,bd->b", x, x) / x.dtype.type(x.shape[1])
    return np.asarray(x / np.sqrt(mean_square + x.dtype.type(1e-6))[:, None])


def _rotate(x: Floats, cos: Floats, sin: Floats) -> Floats:
    """Turn each pair (channel i, channel i + half) of x (…, D/H) by its angle."""
    half = x.shape[-1] // 2
    a, b = x[..., :half], x[..., half:]
    turned = np.empty_like(x)
    np.subtract(a * cos, b * sin, out=turned[..., :half])
    np.add(a * sin, b * cos, out=turned[..., half:])
    return turned
