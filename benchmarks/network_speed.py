"""A step of the network, beside the least time in which this machine could take it.

The floor is the longer of two times: reading all weights, keys and values of the step, at the
bandwidth of a buffer of the same size; and multiplying by the weights, at the rate of BLAS in
single precision. Integer products can be faster than BLAS.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from benchmarks.report import Table, one_core
from bicinium.model.checkpoint import load_checkpoint
from bicinium.model.compiled_network import CompiledNetwork, is_available
from bicinium.model.config import ModelConfig
from bicinium.model.inputs.layout import REFERENCES, input_sizes
from bicinium.tokenizer.vocabulary import PITCHES

_ROWS, _LENGTHS = (1, 2, 12, 64), (0, 300, 1000)
_SQUARE = 512  # of the matrices that BLAS multiplies


def measure(arguments: Sequence[str]) -> list[Table]:
    """Measure microseconds a row of a step in 8 bits."""
    from benchmarks.report import NotMeasuredError

    parser = argparse.ArgumentParser(prog="benchmarks network_speed", description=__doc__)
    parser.add_argument("--repetitions", type=int, default=30)
    options = parser.parse_args(arguments)
    if not is_available():
        raise NotMeasuredError("bicinium was installed without its compiled network.")
    checkpoint = load_checkpoint()
    config, weights = checkpoint.config, checkpoint.weights
    network = CompiledNetwork(config, weights, in_bytes=True)
    parameters = sum(w.size for name, w in weights.items() if w.ndim == 2 and "embed" not in name)
    table = Table(
        "The network",
        ("Rows", "Tokens before", "Step", "Reading", "Multiplying", "Times the floor"),
        [
            f"Microseconds of processor time for each row, one thread, 8 bits, the best of "
            f"{options.repetitions}. A step reads {parameters / 1e6:.2f} million weights. The "
            "floor is the longer time of reading them, with all keys and values, and multiplying "
            "by them with BLAS (single precision). The goal is twice the floor."
        ],
    )
    with one_core(), threadpool_limits(1, "blas"):
        for rows in _ROWS:
            for length in _LENGTHS:
                _add(table, network, parameters, rows, length, options.repetitions)
    return [table]


def _add(
    table: Table, network: CompiledNetwork, parameters: int, rows: int, length: int, times: int
) -> None:
    config = network.config
    cache, which, inputs = network.cache([1024] * rows), np.arange(rows), _noise(config, rows)

    def step() -> None:
        cache.lengths[:] = length
        network.step(cache, which, inputs)

    values = config.n_layers * config.d_model * 2 + config.n_layers * config.n_heads * 8
    buffer = np.ones((parameters + rows * (length + 1) * values) // 8, np.int64)
    square = np.ones((_SQUARE, _SQUARE), np.float32)
    took = _best({"step": step, "read": buffer.max, "blas": lambda: square @ square}, times)
    multiply = took["blas"] * parameters * rows / _SQUARE**3
    floor = max(took["read"], multiply)
    cells = [f"{1e6 * t / rows:.0f}" for t in (took["step"], took["read"], multiply)]
    table.add(str(rows), f"{length:,}", *cells, f"{took['step'] / floor:.1f}")


def _best(calls: dict[str, Callable[[], object]], times: int) -> dict[str, float]:
    """Return seconds of this thread. Calls take turns of ten: data stay in the cache."""
    took = dict.fromkeys(calls, float("inf"))
    for _ in range(max(1, times // 10)):
        for name, call in calls.items():
            for _ in range(10):
                began = time.thread_time()
                call()
                took[name] = min(took[name], time.thread_time() - began)
    return took


def _noise(config: ModelConfig, rows: int) -> NDArray[np.int32]:
    """Return (N, F + REFERENCES + 1) random inputs."""
    sizes = np.array(list(input_sizes(config).values()))
    rng = np.random.default_rng(0)
    features = rng.integers(0, sizes, (rows, len(sizes))) + np.cumsum(sizes) - sizes
    references = rng.integers(0, PITCHES, (rows, REFERENCES))
    ticks = rng.integers(0, 6000, (rows, 1))
    return np.concatenate([features, references, ticks], axis=1).astype(np.int32)
