"""Runs that start from the weights of another model."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from lightning.fabric import Fabric

from bicinium.errors import ConfigError
from bicinium.model.checkpoint import load_checkpoint
from bicinium.training.config import TrainConfig
from bicinium.training.loop import train
from bicinium.training.setup import TrainingSetup, build_training

Smallest = Callable[..., TrainConfig]


def _setup(config: TrainConfig, folder: Path) -> TrainingSetup:
    fabric = Fabric(accelerator="cpu", devices=1, precision="32-true")
    fabric.launch()
    return build_training(fabric, config, folder, resume=False)


def test_a_run_starts_with_the_weights_of_init_from(
    strolls: Path, tmp_path: Path, smallest: Smallest
) -> None:
    model = train(smallest(strolls), tmp_path / "first")
    second = _setup(smallest(strolls, init_from=model, seed=5), tmp_path / "second")
    given = load_checkpoint(model).weights
    for name, weight in second.state.net.weights().items():
        assert np.array_equal(weight, given[name].astype(np.float32)), name
    fresh = _setup(smallest(strolls, seed=5), tmp_path / "third").state.net.weights()
    assert not np.array_equal(fresh["head.weight"], given["head.weight"].astype(np.float32))


def test_dropout_may_differ_from_the_initial_model(
    strolls: Path, tmp_path: Path, smallest: Smallest
) -> None:
    model = train(smallest(strolls), tmp_path / "first")
    _setup(smallest(strolls, {"dropout": 0.1}, init_from=model), tmp_path / "second")


def test_weights_of_another_shape_are_rejected(
    strolls: Path, tmp_path: Path, smallest: Smallest
) -> None:
    model = train(smallest(strolls), tmp_path / "first")
    with pytest.raises(ConfigError, match="another n_layers than this model"):
        _setup(smallest(strolls, {"n_layers": 2}, init_from=model), tmp_path / "second")
