"""The model's inputs: one token of each of N sequences, and whole pieces.

The pieces are random walks through the grammar.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from benchmarks.report import Table, interleaved, one_core, spread
from bicinium.compiled import is_compiled
from bicinium.generation.sampling import draw
from bicinium.grammar import MusicalGrammar
from bicinium.model.checkpoint import load_checkpoint
from bicinium.model.config import ModelConfig
from bicinium.model.inputs.encode import BatchInputs, PieceConditions, encode_along
from bicinium.tokenizer.vocabulary import END, START

_BAR_TICKS, _PIECES, _TOKENS = 96, 64, 600
_ROWS = (1, 64)

Pieces = NDArray[np.int64]


def measure(arguments: Sequence[str]) -> list[Table]:
    """Measure microseconds a row."""
    parser = argparse.ArgumentParser(prog="benchmarks inputs_speed", description=__doc__)
    parser.add_argument("--repetitions", type=int, default=5)
    options = parser.parse_args(arguments)
    config, pieces = load_checkpoint().config, random_walks()
    calls = {
        f"one token of each of {rows} sequences"
        if rows > 1
        else "one token of one sequence": lambda rows=rows: step(config, pieces[:rows])
        for rows in _ROWS
    } | {"whole pieces": lambda: whole_pieces(config, pieces)}
    table = Table(
        "The model's inputs",
        ("What is encoded", "µs a row"),
        [
            f"Processor time for each row of inputs, one thread, "
            f"{'compiled' if is_compiled() else 'not compiled'}. The pieces are {_PIECES} random "
            f"walks of {_TOKENS} tokens through the grammar. For single tokens, the median of all "
            "steps counts. The goal is 5 µs or less."
        ],
    )
    with one_core():
        for name, times in interleaved(calls, options.repetitions).items():
            table.add(name, spread(times))
    return [table]


def random_walks() -> Pieces:
    """Return (N, T) tokens that the grammar allows, each as likely as any other."""
    grammar, rng = MusicalGrammar(), np.random.default_rng(0)
    states = grammar.initial_states(_PIECES, bar_ticks=_BAR_TICKS)
    tokens = [np.full(_PIECES, START)]
    while len(tokens) < _TOKENS:
        grammar.advance(states, tokens[-1])
        mask = grammar.mask(states)
        mask[:, END] = False
        tokens.append(draw(mask / mask.sum(axis=1, keepdims=True), rng.random(_PIECES)))
    return np.stack(tokens, axis=1)


def step(config: ModelConfig, pieces: Pieces) -> float:
    """Return the median microseconds a row of the steps of these pieces side by side."""
    grammar, tokens = MusicalGrammar(), np.ascontiguousarray(pieces.T)
    inputs = BatchInputs(config, conditions(config, len(pieces)))
    states = grammar.initial_states(len(pieces), bar_ticks=_BAR_TICKS, spare_slots=0)
    took = np.empty(len(tokens))
    for place, now in enumerate(tokens):
        grammar.advance(states, now)
        began = time.thread_time()
        inputs.step(states, now)
        took[place] = time.thread_time() - began
    return 1e6 * float(np.median(took)) / len(pieces)


def whole_pieces(config: ModelConfig, pieces: Pieces) -> float:
    """Return microseconds a row of reading piece by piece."""
    grammar, seconds = MusicalGrammar(), 0.0
    (told,) = conditions(config, 1).rows()
    for piece in pieces:
        states = grammar.states_along([piece], bar_ticks=[_BAR_TICKS], spare_slots=0)
        after = states.take(np.arange(1, len(states)))
        began = time.thread_time()
        encode_along(config, after, piece, told)
        seconds += time.thread_time() - began
    return 1e6 * seconds / pieces.size


def conditions(config: ModelConfig, count: int) -> PieceConditions:
    """Return what the model is told of the pieces."""
    return PieceConditions.of(
        config, ["4/4"] * count, ["major"] * count, [None] * count, [64] * count
    )
