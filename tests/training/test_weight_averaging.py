"""Averages of two states of a run, or of two models."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
import pytest
import torch

from bicinium.errors import ConfigError
from bicinium.generation.memorization import quotations_path
from bicinium.model.checkpoint import load_checkpoint, save_checkpoint
from bicinium.model.config import ModelConfig
from bicinium.training.run_dir import MODEL, best_checkpoint, last_checkpoint
from bicinium.training.weight_averaging import average_run


@pytest.fixture
def run(
    tmp_path: Path, tiny_config: ModelConfig, random_weights: Callable[..., dict[str, np.ndarray]]
) -> Path:
    """Folder with two states and a model file."""
    best_checkpoint(tmp_path).parent.mkdir()
    for seed, path in enumerate((best_checkpoint(tmp_path), last_checkpoint(tmp_path))):
        weights = {n: torch.from_numpy(w) for n, w in random_weights(tiny_config, seed).items()}
        torch.save({"model": weights, "step": 100 * (seed + 1)}, path)
    record = {"steps": 200, "validation": {"step": 100}}
    save_checkpoint(tmp_path / MODEL, tiny_config, random_weights(tiny_config, 0), record)
    quotations_path(tmp_path / MODEL).write_bytes(b"an index")
    return tmp_path


def test_the_average_is_halfway_and_records_its_steps(
    run: Path, tiny_config: ModelConfig, random_weights: Callable[..., dict[str, np.ndarray]]
) -> None:
    average = load_checkpoint(average_run(run))
    one, other = (random_weights(tiny_config, seed) for seed in (0, 1))
    assert average.config == tiny_config
    assert average.weights.keys() == one.keys()
    for name, weight in average.weights.items():
        np.testing.assert_allclose(weight, (one[name] + other[name]) / 2, rtol=1e-3, atol=1e-6)
    assert average.record == {
        "steps": 200,
        "averaged_steps": [100, 200],
        "averaged_share": 0.5,
    }


def test_states_in_bfloat16_can_be_averaged(
    run: Path, tiny_config: ModelConfig, random_weights: Callable[..., dict[str, np.ndarray]]
) -> None:
    for path in (best_checkpoint(run), last_checkpoint(run)):
        state = torch.load(path, weights_only=True)
        state["model"] = {name: w.bfloat16() for name, w in state["model"].items()}
        torch.save(state, path)
    average = load_checkpoint(average_run(run))
    one, other = (random_weights(tiny_config, seed) for seed in (0, 1))
    for name, weight in average.weights.items():
        np.testing.assert_allclose(weight, (one[name] + other[name]) / 2, rtol=1e-2, atol=1e-2)


def test_the_quotation_index_is_copied_beside_the_average(run: Path) -> None:
    assert quotations_path(average_run(run)).read_bytes() == b"an index"


def test_the_average_may_be_with_another_model(
    run: Path, tiny_config: ModelConfig, random_weights: Callable[..., dict[str, np.ndarray]]
) -> None:
    start, weights = run / "start.safetensors", random_weights(tiny_config, 7)
    save_checkpoint(start, tiny_config, weights, {"steps": 5})
    average = load_checkpoint(average_run(run, start, share=0.25))
    for name, weight in random_weights(tiny_config, 0).items():
        expected = 0.75 * weight + 0.25 * weights[name]
        np.testing.assert_allclose(average.weights[name], expected, rtol=1e-3, atol=1e-6)
    assert average.record == {
        "steps": 200,
        "averaged_with": {"steps": 5},
        "averaged_share": 0.25,
    }


@pytest.mark.parametrize("share", [0.0, 1.0, -1.0, float("nan")])
def test_a_share_outside_zero_and_one_is_rejected(
    run: Path, share: float, refuses: Callable[..., AbstractContextManager[None]]
) -> None:
    with refuses(ConfigError, "share must be between 0 and 1"):
        average_run(run, share=share)


def test_a_model_of_another_shape_is_rejected(
    run: Path,
    tiny_config: ModelConfig,
    random_weights: Callable[..., dict[str, np.ndarray]],
    refuses: Callable[..., AbstractContextManager[None]],
) -> None:
    deeper = tiny_config.model_copy(update={"n_layers": tiny_config.n_layers + 1})
    save_checkpoint(run / "other.safetensors", deeper, random_weights(deeper, 0), {})
    with refuses(ConfigError, "another n_layers than the model of"):
        average_run(run, run / "other.safetensors")


def test_a_folder_that_is_no_run_is_rejected(
    tmp_path: Path, refuses: Callable[..., AbstractContextManager[None]]
) -> None:
    with refuses(ConfigError, "not the folder of a run with a best and a last state"):
        average_run(tmp_path)
