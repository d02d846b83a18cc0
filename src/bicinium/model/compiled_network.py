"""The compiled network (``_network.c``): packs the weights and calls the C code through ctypes.

A call costs 3 microseconds and releases the interpreter's lock. The C file needs neither Cython nor
cffi.
"""

from __future__ import annotations

import ctypes
from collections.abc import Mapping, Sequence
from ctypes import POINTER, Structure, addressof, c_int64, c_void_p
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bicinium.model.config import ModelConfig
from bicinium.model.inputs.layout import PITCH_DISTANCES, REFERENCES, input_sizes
from bicinium.model.rotary import rotary_frequencies
from bicinium.tokenizer.vocabulary import BLOCKS, PITCHES, Kind

_PANEL = 16  # as in _network.h
_SINGLE, _HALF, _BYTES = range(3)  # as in _network.h
_ALIGNMENT = 64  # bytes


class _Matrix(Structure):
    _fields_ = (
        ("panels", c_void_p), ("scales", c_void_p),
        ("inputs", c_int64), ("outputs", c_int64), ("kind", c_int64),
    )  # fmt: skip


class _Layer(Structure):
    _fields_ = (
        ("attention_norm", c_void_p), ("feed_forward_norm", c_void_p),
        ("qkv", _Matrix), ("out", _Matrix), ("gate_up", _Matrix), ("down", _Matrix),
    )  # fmt: skip


class _Network(Structure):
    _fields_ = (
        ("width", c_int64), ("heads", c_int64), ("layers", c_int64), ("hidden", c_int64),
        ("time_heads", c_int64), ("columns", c_int64), ("vocabulary", c_int64),
        ("references", c_int64), ("skipped", c_int64), ("distances", c_int64),
        ("first_note_on", c_int64), ("first_note_off", c_int64), ("pitches", c_int64),
        ("bytes", c_int64),
        ("embedding", c_void_p), ("norm", c_void_p), ("speeds", c_void_p),
        ("head", _Matrix), ("layer", POINTER(_Layer)),
    )  # fmt: skip


class Cache:
    """Keys and values of any number of sequences, each with its own length and context.

    Used by one thread at a time. ``sequences`` is an array of ``Sequence`` of ``_network.h``.
    """

    def __init__(self, sizes: Sequence[int], contexts: Sequence[int]) -> None:
        """sizes: the bytes that each sequence needs."""
        self._memory = _aligned(sum(sizes), np.uint8)  # pages are used as they fill
        self.sequences = np.zeros((len(contexts), 3), np.int64)
        self.sequences[:, 0] = self._memory.ctypes.data + np.cumsum([0, *sizes])[:-1]
        self.sequences[:, 1] = contexts
        self.address = self.sequences.ctypes.data

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Return (N,) the length of each sequence in tokens. Setting it to 0 restarts one."""
        return self.sequences[:, 2]


class CompiledNetwork:
    """Packed weights. Threads may share them."""

    def __init__(
        self, config: ModelConfig, weights: Mapping[str, NDArray[np.floating]],
        in_bytes: bool = False, instructions: int | None = None,
    ) -> None:  # fmt: skip
        """Pack the weights. in_bytes: in 8 bits. instructions: a set; None is the best."""
        self.config = config
        best = int(_library().bicinium_instructions())
        self.instructions = best if instructions is None else instructions
        self._packed = _Packed(weights, in_bytes)
        self.structure = self._structure(weights)
        self.address = addressof(self.structure)
        self._columns = self.structure.columns + self.structure.skipped + 1
        self._step = _library().bicinium_step

    def _structure(self, weights: Mapping[str, NDArray[np.floating]]) -> _Network:
        config, packed = self.config, self._packed
        layers = (_Layer * config.n_layers)()
        for index in range(config.n_layers):
            block = f"blocks.{index}"
            layers[index] = _Layer(
                packed.vector(weights[f"{block}.attention_norm.weight"]),
                packed.vector(weights[f"{block}.feed_forward_norm.weight"]),
                packed.matrix(f"{block}.attention.qkv"),
                packed.matrix(f"{block}.attention.out"),
                packed.matrix(f"{block}.feed_forward.gate_up"),
                packed.matrix(f"{block}.feed_forward.down"),
            )
        heads = ["head", "relative_head", "ending_head"] if config.relative_pitch else ["head"]
        return _Network(
            config.d_model, config.n_heads, config.n_layers, config.d_ff, config.time_heads,
            len(input_sizes(config)), config.vocab_size,
            REFERENCES if config.relative_pitch else 0, REFERENCES, PITCH_DISTANCES,
            BLOCKS[Kind.NOTE_ON].ids.start, BLOCKS[Kind.NOTE_OFF].ids.start, PITCHES,
            packed.kind == _BYTES,
            packed.vector(weights["embedding.weight"]), packed.vector(weights["norm.weight"]),
            packed.vector(rotary_frequencies(config)), packed.matrix(*heads), layers,
        )  # fmt: skip

    def cache(self, contexts: Sequence[int]) -> Cache:
        """Return the memory of new sequences; each looks back ``contexts`` tokens at most."""
        structure, library = addressof(self.structure), _library()
        sizes = [library.bicinium_memory(structure, context) for context in contexts]
        return Cache(sizes, contexts)

    def step(
        self, cache: Cache, rows: NDArray[np.integer], inputs: NDArray[np.integer]
    ) -> NDArray[np.float32]:
        """Read one more token of each sequence ``rows`` (N,).

        inputs: (N, F + REFERENCES + 1), see ``inputs.layout``. Returns (N, V) logits of the next
        token. A sequence that is named several times reads its tokens in that order.
        """
        rows = np.ascontiguousarray(rows, np.int64)
        inputs = np.ascontiguousarray(inputs, np.int32)
        if inputs.shape != (len(rows), self._columns):
            raise ValueError(f"inputs are {inputs.shape}, not {(len(rows), self._columns)}")
        logits = np.empty((len(rows), self.config.vocab_size), np.float32)
        failed = self._step(
            self.address, cache.address, len(rows), rows.ctypes.data, inputs.ctypes.data,
            logits.ctypes.data, self.instructions,
        )  # fmt: skip
        if failed:
            raise MemoryError if failed == -1 else ValueError(f"no {self.instructions=} here")
        return logits


class _Packed:
    """Weights in the layout of ``_network.h``, in memory that lives as long as this object.

    Weights that half precision represents exactly are kept in half precision: half the bytes to
    read for each token.
    """

    def __init__(self, weights: Mapping[str, NDArray[np.floating]], in_bytes: bool) -> None:
        self._weights = {name: np.asarray(w, np.float32) for name, w in weights.items()}
        matrices = [w for name, w in self._weights.items() if w.ndim == 2 and "embed" not in name]
        dtype: type[np.generic]
        if in_bytes:
            self.kind, dtype = _BYTES, np.int8
        elif all((w == w.astype(np.float16)).all() for w in matrices):
            self.kind, dtype = _HALF, np.float16
        else:
            self.kind, dtype = _SINGLE, np.float32
        depths = [_depth(w.shape[1], in_bytes) for w in matrices]
        size = sum(
            (len(w) + _PANEL) * d + _ALIGNMENT for w, d in zip(matrices, depths, strict=True)
        )
        self._room = _aligned(size, dtype)
        self._kept: list[NDArray[Any]] = []

    def vector(self, values: NDArray[np.floating]) -> int:
        """Return the address of a copy in single precision."""
        self._kept.append(np.array(values, np.float32, order="C"))
        return self._kept[-1].ctypes.data

    def matrix(self, *names: str) -> _Matrix:
        """Pack matrices (out, in) side by side, in panels of 16 outputs."""
        weight = np.concatenate([self._weights[f"{name}.weight"] for name in names])
        outputs, inputs = -(-len(weight) // _PANEL) * _PANEL, weight.shape[1]
        depth = _depth(inputs, self.kind == _BYTES)
        whole = np.zeros((outputs, depth), np.float32)
        whole[: len(weight), :inputs] = weight
        scales = 0
        if self.kind == _BYTES:
            scale = np.maximum(np.abs(whole).max(axis=1), np.float32(1e-30)) / np.float32(127)
            whole, scales = np.rint(whole / scale[:, None]), self.vector(scale)
        panels: NDArray[Any] = whole.reshape(-1, _PANEL, depth).swapaxes(1, 2)  # (out / 16, in, 16)
        if self.kind == _BYTES:
            fours = panels.reshape(-1, depth // 4, 4, _PANEL)
            panels = fours[:, :, [0, 2, 1, 3]].swapaxes(2, 3)  # (out / 16, in / 4, 16, 4)
        room = self._room[: panels.size].reshape(panels.shape)
        room[...] = panels
        self._room = self._room[-(-panels.size // _ALIGNMENT) * _ALIGNMENT :]
        self._kept.append(room)
        return _Matrix(room.ctypes.data, scales, inputs, outputs, self.kind)


def _depth(inputs: int, in_bytes: bool) -> int:
    """Return how many weights of an output are kept. Bytes are filled up to 64."""
    return -(-inputs // 64) * 64 if in_bytes else inputs


def _aligned(size: int, dtype: type[np.generic]) -> NDArray[Any]:
    """Return zeros that are aligned to a cache line."""
    itemsize = np.dtype(dtype).itemsize
    room = np.zeros(size + _ALIGNMENT // itemsize, dtype)
    skipped = -room.ctypes.data % _ALIGNMENT // itemsize
    return room[skipped : skipped + size]


def is_available() -> bool:
    """Return whether the compiled network is installed."""
    return _LIBRARY is not None


def _library() -> ctypes.CDLL:
    if _LIBRARY is None:
        raise ImportError("bicinium was installed without its compiled network")
    return _LIBRARY


def _load() -> ctypes.CDLL | None:
    spec = find_spec("bicinium.model._network")
    if spec is None or spec.origin is None:
        return None
    library = ctypes.CDLL(spec.origin)
    pointer = c_void_p
    library.bicinium_step.argtypes = (
        pointer, pointer, c_int64, pointer, pointer, pointer, c_int64,
    )  # fmt: skip
    library.bicinium_memory.argtypes = (pointer, c_int64)
    for function in (library.bicinium_step, library.bicinium_memory, library.bicinium_instructions):
        function.restype = c_int64
    return library


_LIBRARY = _load()
