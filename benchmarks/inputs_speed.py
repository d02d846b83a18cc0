"""The model's inputs: one token of a sequence, and whole pieces.

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
from bicinium.grammar import MusicalGrammar
from bicinium.model.checkpoint import load_checkpoint
from bicinium.model.config import ModelConfig
from bicinium.model.inputs.encode import PieceConditions, encode_along
from bicinium.model.inputs.layout import first_rows
from bicinium.model.inputs.row import Row
from bicinium.model.inputs.sequence import SequenceInputs
from bicinium.tokenizer.vocabulary import END, START

_BAR_TICKS, _PIECES, _TOKENS = 96, 64, 600

Pieces = NDArray[np.int64]


def measure(arguments: Sequence[str]) -> list[Table]:
    """Measure microseconds a row."""
    parser = argparse.ArgumentParser(prog="benchmarks inputs_speed", description=__doc__)
    parser.add_argument("--repetitions", type=int, default=5)
    options = parser.parse_args(arguments)
    config, pieces = load_checkpoint().config, random_walks()
    calls = {
        "one token": lambda: step(config, pieces[0]),
        "whole pieces": lambda: whole_pieces(config, pieces),
    }
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
        tokens.append(np.where(mask, rng.random(mask.shape), 0).argmax(axis=1))
    return np.stack(tokens, axis=1)


def step(config: ModelConfig, piece: NDArray[np.int64]) -> float:
    """Return the median microseconds of taking in a token and writing its row."""
    state = MusicalGrammar().initial_state(bar_ticks=_BAR_TICKS, spare_slots=0)
    (told,), first = conditions(config).rows(), first_rows(config)
    inputs, row = SequenceInputs(config, told), Row(np.empty((1, len(first)), np.int32).data, first)
    took = []
    for token in piece.tolist():
        state.advance(token)
        began = time.perf_counter()
        row.begin(0)
        inputs.observe(state, token)
        inputs.write(state, token, row)
        took.append(time.perf_counter() - began)
    return 1e6 * float(np.median(took))


def whole_pieces(config: ModelConfig, pieces: Pieces) -> float:
    """Return microseconds a row of reading piece by piece."""
    grammar, seconds = MusicalGrammar(), 0.0
    (told,) = conditions(config).rows()
    for piece in pieces:
        states = grammar.states_along([piece], bar_ticks=[_BAR_TICKS], spare_slots=0)
        after = states.take(np.arange(1, len(states)))
        began = time.thread_time()
        encode_along(config, after, piece, told)
        seconds += time.thread_time() - began
    return 1e6 * seconds / pieces.size


def conditions(config: ModelConfig) -> PieceConditions:
    """Return what the model is told of a piece."""
    return PieceConditions.of(config, ["4/4"], ["major"], [None], [64])
