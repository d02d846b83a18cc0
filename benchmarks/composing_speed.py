"""How long users wait: a piece of 16 bars, the first piece after a cold start, a stream."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.report import Table, one_core, quantile, seconds, spread
from bicinium.api import compose_many, load_composer
from bicinium.api import stream as stream_notes
from bicinium.generation.conditions import Conditions
from bicinium.generation.config import GenerationConfig
from bicinium.generation.constraints.config import Constraints
from bicinium.music.key import Key
from bicinium.music.score import Meter

_COMMAND = (sys.executable, "-c", "from bicinium.cli.main import main; main()", "compose")
_KEYS = ("D minor", "C major", "E minor", "G major", "A minor", "F major", "Bb major")
_METERS = ("4/4", "3/4", "2/4", "6/8")


def measure(arguments: Sequence[str]) -> list[Table]:
    """Measure all waits in seconds by the clock."""
    parser = argparse.ArgumentParser(prog="benchmarks composing_speed", description=__doc__)
    parser.add_argument("--repetitions", type=int, default=10)
    options = parser.parse_args(arguments)
    return [
        _waits(options.repetitions),
        _completion(max(1, options.repetitions // 3)),
        _stream(options.repetitions),
    ]


def _waits(repetitions: int) -> Table:
    table = Table(
        "Pieces of 16 bars",
        ("What", "Seconds", "Goal", "Seconds of all processors"),
        [
            "Default options and candidates, all cores. A cold start is a new process. On a shared "
            "machine the last column says more; it is measured on one core if the model is loaded."
        ],
    )
    compose_many(1, bars=4, seed=0)  # loads the model
    warm = [seconds(partial(compose_many, 1, **_piece(seed))) for seed in range(repetitions)]
    with one_core():
        began = time.process_time()
        for seed in range(repetitions):
            compose_many(1, **_piece(seed))
        processor = (time.process_time() - began) / repetitions
    table.add("one piece, model loaded", spread(warm), "1", f"{processor:.2f}")
    times = (repetitions + 1) // 2
    for name, pieces, goal in (("one piece, cold start", 1, "2"), ("`make compose`", 4, "5")):
        before = _processor_seconds_of_children()
        found = [_command(pieces, seed) for seed in range(times)]
        processor = (_processor_seconds_of_children() - before) / times
        table.add(name, spread(found), goal, f"{processor:.2f}")
    return table


def _completion(repetitions: int) -> Table:
    table = Table(
        "A lower voice to an upper one",
        ("What", "Seconds", "Goal"),
        ["Default options and candidates, all cores, model loaded."],
    )
    with tempfile.TemporaryDirectory() as folder:
        (piece,) = compose_many(1, **_piece(0) | {"bars": 64, "best_of": 1})
        upper = piece.save(Path(folder) / "piece.mid")
        times = [
            seconds(partial(compose_many, 1, upper=upper, seed=seed)) for seed in range(repetitions)
        ]
    table.add("64 bars", spread(times), "5")
    return table


def _piece(seed: int) -> dict[str, Any]:
    return {"bars": 16, "key": _KEYS[seed % 7], "meter": _METERS[seed % 4], "seed": seed}


def _command(pieces: int, seed: int) -> float:
    """Return the seconds that the command takes, from its start to its end."""
    with tempfile.TemporaryDirectory() as folder:
        command = [*_COMMAND, "-n", str(pieces), "--bars", "16", "--seed", str(seed)]
        out = ["--out", str(Path(folder) / "out")]
        return seconds(lambda: subprocess.run([*command, *out], check=True, capture_output=True))


def _processor_seconds_of_children() -> float:
    """Return the processor time of finished processes that this one has started."""
    times = os.times()
    return times.children_user + times.children_system


def _stream(repetitions: int) -> Table:
    table = Table(
        "Streaming",
        ("What", "Milliseconds", "Goal"),
        ["One piece of 16 bars, one core, default options, model loaded; processor time."],
    )
    composer, first, tokens = load_composer(), [], []
    with one_core():
        next(stream_notes(bars=16, seed=0))
        for seed in range(repetitions):
            notes = stream_notes(**_piece(seed))
            began = time.process_time()
            next(notes)
            first.append(1e3 * (time.process_time() - began))
        config = GenerationConfig(constraints=Constraints())
        for seed in range(repetitions):
            piece = Conditions(Key.parse(_KEYS[seed % 7]), Meter(4, 4), 16, style="bach")
            drawing = composer.engine.drawing(config, places=1)
            drawing.add(0, piece, np.random.default_rng(seed))
            began = time.process_time()
            for _ in drawing.steps():
                now = time.process_time()
                tokens.append(1e3 * (now - began))
                began = now
    table.add("first note", spread(first, ".1f"), "5")
    table.add("a token, median", f"{quantile(tokens, 0.5):.2f}", "")
    table.add("a token, 99th percentile", f"{quantile(tokens, 0.99):.2f}", "1")
    return table
