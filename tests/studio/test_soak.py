"""Memory stays flat over many steps of training and many requests to the studio.

BICINIUM_SOAK is how many steps are made, ten for each request (default: 2,000). From 10,000 steps
on there are 200 validations.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bicinium.training.config import TrainConfig
from bicinium.training.loop import train
from bicinium.training.run_state import RunState

pytestmark = pytest.mark.slow

_COUNT = int(os.environ.get("BICINIUM_SOAK", "2000"))
_ROUNDS = -(-_COUNT // 30)  # of three requests
_MAX_GROWTH = 20 * 2**20  # bytes, between the first quarter and the last


def _memory(process: int | str = "self") -> int:
    """Return the bytes that a process has in memory."""
    pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def _growth(measured: list[int]) -> float:
    quarter = len(measured) // 4
    return float(np.median(measured[-quarter:]) - np.median(measured[quarter : 2 * quarter]))


def test_training_needs_no_more_memory_with_time(prepared: Path, tmp_path: Path) -> None:
    grammar = {
        "positions": 16, "validate_every_n_batches": max(50, _COUNT // 200), "live_pieces": 1,
        "live_bars": 1, "on_policy_pieces": 1, "on_policy_tokens": 32, "early_stop_patience": 10**6,
        "rollback": False,
    }  # fmt: skip
    config = TrainConfig.model_validate(
        {
            "model": {"d_model": 16, "n_layers": 1, "n_heads": 2, "d_ff": 32, "context": 64},
            "training": {
                "max_steps": _COUNT, "batch_size": 2, "threads": 1, "precision": "32-true",
                "checkpoint_every_steps": 50, "musical_grammar": grammar,
            },
            "data": {"prepared": str(prepared)},
        }
    )  # fmt: skip
    measured: list[int] = []

    def before_step(state: RunState) -> None:
        if state.step % 10 == 0:
            measured.append(_memory())

    train(config, tmp_path / "run", before_step=before_step)
    growth = _growth(measured)
    validations = len(list((tmp_path / "run" / "samples").iterdir()))
    print(f"\n{_COUNT} steps, {validations} validations: {measured[-1] / 2**20:.0f} MB at the end, "
          f"{growth / 2**20:+.1f} MB from the second quarter to the last")  # fmt: skip
    assert growth < _MAX_GROWTH


def test_the_studio_needs_no_more_memory_with_time(
    serve: Callable[[], Any], made_up_score: Callable[..., Any]
) -> None:
    from bicinium.studio.score_json import score_to_json

    score = score_to_json(made_up_score(1, 2))
    with serve() as served:
        measured: dict[int, list[int]] = {}
        for index in range(_ROUNDS):
            answers = (
                served.post("/api/compose", {"n": 1, "bars": 1, "seed": index, "meter": "2/4"}),
                served.post("/api/export", {"score": score, "format": "musicxml"}),
                served.post("/api/analyse", {"score": score}),
            )
            assert all(answer.status_code == 200 for answer in answers)
            for child in multiprocessing.active_children():
                measured.setdefault(child.pid or 0, []).append(_memory(child.pid or 0))
    grown = {pid: _growth(values) for pid, values in measured.items() if len(values) > 8}
    print(f"\n{3 * _ROUNDS} requests: workers grew by "
          f"{', '.join(f'{growth / 2**20:+.1f} MB' for growth in grown.values())}")  # fmt: skip
    assert grown
    assert max(grown.values()) < _MAX_GROWTH
