"""The mean of two states of a run, as a model to compose with."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
import pytest
import torch

from bicinium.composing.originality import quotations_path
from bicinium.errors import ConfigError
from bicinium.model.checkpoint import load_checkpoint, save_checkpoint
from bicinium.model.config import ModelConfig
from bicinium.training.averaging import average_run
from bicinium.training.run_folder import MODEL, best_checkpoint, last_checkpoint


@pytest.fixture
def run(
    tmp_path: Path, tiny_config: ModelConfig, random_weights: Callable[..., dict[str, np.ndarray]]
) -> Path:
    """What the average looks at: two states and the model file."""
    best_checkpoint(tmp_path).parent.mkdir()
    for seed, path in enumerate((best_checkpoint(tmp_path), last_checkpoint(tmp_path))):
        weights = {n: torch.from_numpy(w) for n, w in random_weights(tiny_config, seed).items()}
        torch.save({"model": weights, "step": 100 * (seed + 1)}, path)
    record = {"steps": 200, "validation": {"step": 100}}
    save_checkpoint(tmp_path / MODEL, tiny_config, random_weights(tiny_config, 0), record)
    quotations_path(tmp_path / MODEL).write_bytes(b"an index")
    return tmp_path


def test_the_average_lies_halfway_and_says_between_what(
    run: Path, tiny_config: ModelConfig, random_weights: Callable[..., dict[str, np.ndarray]]
) -> None:
    average = load_checkpoint(average_run(run))
    one, other = (random_weights(tiny_config, seed) for seed in (0, 1))
    assert average.config == tiny_config
    assert average.weights.keys() == one.keys()
    for name, weight in average.weights.items():
        np.testing.assert_allclose(weight, (one[name] + other[name]) / 2, rtol=1e-3, atol=1e-6)
    assert average.record == {"steps": 200, "averaged_steps": [100, 200]}


def test_quotations_are_found_beside_the_average_too(run: Path) -> None:
    assert quotations_path(average_run(run)).read_bytes() == b"an index"


def test_what_is_no_run_is_refused(
    tmp_path: Path, refuses: Callable[..., AbstractContextManager[None]]
) -> None:
    with refuses(ConfigError, "no run with a best and a last state"):
        average_run(tmp_path)
