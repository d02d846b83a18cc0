"""The decoder's step, beside what the machine could do at most.

One token of each of N sequences, by the network in numpy, in single precision and in bytes; the
time in which the weights alone can be read (which binds one sequence), and in which BLAS, with
fused multiply-adds, could multiply them (which binds many). All in turn, so that what else the
machine does falls on all of them.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from bicinium.model.checkpoint import load_checkpoint
from bicinium.model.config import ModelConfig
from bicinium.model.decoder import Decoder
from bicinium.model.inputs.encode import REFERENCES, input_sizes
from bicinium.tokenizer.vocabulary import PITCHES

_FASTEST = 0.05  # of all times, so many are taken for what undisturbed ones would be


def main(options: Sequence[str]) -> None:
    """Prints microseconds a row."""
    parser = argparse.ArgumentParser(prog="benchmarks decoder_speed")
    parser.add_argument("--rows", type=int, nargs="+", default=[1, 2, 12, 64])
    parser.add_argument("--tokens", type=int, default=200, help="of each sequence")
    asked = parser.parse_args(options)
    checkpoint = load_checkpoint()
    config, weights = checkpoint.config, checkpoint.weights
    decoders = {
        "numpy": Decoder(config, weights, compiled=False),
        "single": Decoder(config, weights),
        "bytes": Decoder(config, weights, in_bytes=True),
    }
    matrices = [w for name, w in weights.items() if w.ndim == 2 and "embedding" not in name]
    parameters = sum(w.size for w in matrices)
    halves, whole = (np.ones(parameters // share, np.float32) for share in (2, 4))
    square = np.ones((512, 512), np.float32)
    print(f"{parameters:,} weights are read for each token; microseconds a row:")
    with threadpool_limits(1, "blas"):
        for rows in asked.rows:
            seen = _noise(config, rows, asked.tokens)
            calls: dict[str, Callable[[int], object]] = {
                name: _stepping(decoder, seen) for name, decoder in decoders.items()
            }
            calls["read halves"] = lambda _: halves.max()
            calls["read bytes"] = lambda _: whole.max()
            calls["BLAS"] = lambda _: square @ square
            took = _in_turn(calls, asked.tokens)
            took["BLAS"] *= parameters * rows / 512**3
            print(f"{rows:3} rows: " + ", ".join(f"{n} {t / rows:.0f}" for n, t in took.items()))


def _stepping(decoder: Decoder, seen: NDArray[np.int32]) -> Callable[[int], object]:
    decoder.start(len(seen))
    return lambda token: decoder.step(seen[:, token])


def _in_turn(calls: dict[str, Callable[[int], object]], times: int) -> dict[str, float]:
    """Microseconds of this thread for each of the calls, when it is hardly disturbed."""
    took = {name: np.zeros(times) for name in calls}
    for first in range(0, times, 10):  # some at a time, so that each finds its weights in the cache
        for name, call in calls.items():
            for token in range(first, min(first + 10, times)):
                began = time.thread_time()
                call(token)
                took[name][token] = time.thread_time() - began
    return {name: float(np.quantile(t, _FASTEST)) * 1e6 for name, t in took.items()}


def _noise(config: ModelConfig, batch: int, length: int) -> NDArray[np.int32]:
    """(B, T, F + REFERENCES + 1) random features."""
    sizes = np.array(list(input_sizes(config).values()))
    rng = np.random.default_rng(0)
    rows = rng.integers(0, sizes, (batch, length, len(sizes))) + np.cumsum(sizes) - sizes
    references = rng.integers(0, PITCHES, (batch, length, REFERENCES))
    ticks = rng.choice([0, 0, 6, 12], (batch, length, 1)).cumsum(axis=1)
    return np.concatenate([rows, references, ticks], axis=2).astype(np.int32)
