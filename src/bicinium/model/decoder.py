"""The decoder: the same network as ``transformer``, one token at a time, in single precision.

Keys and values of past tokens are cached. Beyond ``context`` tokens the oldest are overwritten, so
pieces may have any length. Sequences are independent: each has its own length and may restart at
any time. With the compiled network, the logits of a sequence have the same bits in any batch and on
any number of threads (``docs/decisions.md``).
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from bicinium.model import compiled_network
from bicinium.model.compiled_network import CompiledNetwork
from bicinium.model.config import ModelConfig
from bicinium.model.numpy_network import NumpyNetwork

_BLOCK = 256  # Tokens of a sequence that are read together.
_MIN_ROWS_PER_THREAD = 4  # Fewer are read sooner than a thread has begun.


def available_cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Network(Protocol):
    """Weights, which threads may share. A cache belongs to the network that made it."""

    def cache(self, contexts: Sequence[int]) -> Any:
        """Return the memory of new sequences; each looks back ``contexts`` tokens at most."""

    def step(
        self, cache: Any, rows: NDArray[np.integer], inputs: NDArray[np.integer]
    ) -> NDArray[np.float32]:
        """Return (N, V) logits after one more token of each of the sequences ``rows`` (N,)."""


class Decoder:
    """A network with the cache of its sequences.

    weights: by their names in ``transformer``.
    threads: number of threads that share the rows of a step.
    in_bytes: round matrices, keys and values to 8 bits. This is twice as fast, with the same bits
        per note (``docs/decisions.md``). The numpy network ignores it.
    compiled: False for numpy; None for the compiled network if it is installed.
    """

    def __init__(
        self,
        config: ModelConfig,
        weights: Mapping[str, NDArray[np.floating]],
        threads: int = 1,
        in_bytes: bool = False,
        compiled: bool | None = None,
    ) -> None:
        if compiled or (compiled is None and compiled_network.is_available()):
            self.network: Network = CompiledNetwork(config, weights, in_bytes)
        else:
            self.network = NumpyNetwork(config, weights)
        self.config, self.threads = config, threads
        self._pool = ThreadPoolExecutor(threads) if threads > 1 else None
        self.start(1)

    def start(self, batch: int, contexts: Sequence[int] | None = None) -> None:
        """Begin ``batch`` new sequences and forget all others.

        contexts: maximum number of tokens that each looks back; None is the model's context.
        """
        contexts = [self.config.context] * batch if contexts is None else contexts
        at_most = [min(context, self.config.context) for context in contexts]
        self._cache, self._batch = self.network.cache(at_most), batch

    def restart(self, row: int) -> None:
        """Replace a sequence by a new one."""
        self.rewind(row, 0)

    def rewind(self, row: int, length: int) -> None:
        """Forget all tokens of a sequence but the first ``length``; it has exceeded no context."""
        self._cache.lengths[row] = length

    def step(
        self, inputs: NDArray[np.integer], rows: NDArray[np.integer] | None = None
    ) -> NDArray[np.float32]:
        """Read one more token of each sequence.

        inputs: (N, F + REFERENCES + 1), see ``inputs.layout``. Returns (N, V) logits of the next
        token. rows: only these sequences, each once.
        """
        which = np.arange(self._batch) if rows is None else rows
        if self._pool is None or len(which) < _MIN_ROWS_PER_THREAD * self.threads:
            return self.network.step(self._cache, which, inputs)
        shares = [
            (self._cache, some, seen)
            for some, seen in zip(
                np.array_split(which, self.threads),
                np.array_split(inputs, self.threads),
                strict=True,
            )
        ]
        done = self._pool.map(lambda share: self.network.step(*share), shares)
        return np.concatenate(list(done))

    def along(
        self, inputs: NDArray[np.integer], block: int = _BLOCK
    ) -> Iterator[tuple[slice, NDArray[np.float32]]]:
        """Read a whole sequence of inputs (T, F + REFERENCES + 1) in blocks.

        Yields the slice of positions and their (n, V) logits, with the same bits as ``step`` gives
        token by token. Does not touch the sequences begun by ``start``, so threads may read at the
        same time.
        """
        cache = self.network.cache([min(self.config.context, max(1, len(inputs)))])
        for first in range(0, len(inputs), block):
            some = slice(first, min(first + block, len(inputs)))
            rows = np.zeros(some.stop - some.start, np.int64)
            yield some, self.network.step(cache, rows, inputs[some])
