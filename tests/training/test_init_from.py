"""Runs that start from the weights of another model."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from lightning_fabric import Fabric

from bicinium.data.shards import load_pieces, write_shards
from bicinium.errors import ConfigError
from bicinium.model.checkpoint import load_checkpoint
from bicinium.model.inputs.layout import input_sizes
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


def test_new_styles_and_metres_are_added_to_the_initial_model(
    strolls: Path, tmp_path: Path, smallest: Smallest
) -> None:
    """Without a section ``model`` the run has the shape of the model that it starts from."""
    model = train(smallest(strolls), tmp_path / "first")
    pieces = [replace(p, style="jazz", meter="7/8", bars=0) for p in load_pieces(strolls)[:6]]
    (tmp_path / "mine").mkdir()
    write_shards(tmp_path / "mine", pieces)
    data = {"prepared": str(tmp_path / "mine"), "validate_grammar": False}
    config = TrainConfig.model_validate({"training": {"init_from": str(model)}, "data": data})
    second = _setup(config, tmp_path / "second").state.net
    before = load_checkpoint(model)
    assert second.config.d_model == before.config.d_model
    assert second.config.styles == (*before.config.styles, "jazz")
    assert second.config.meters == (*before.config.meters, "7/8")
    old = before.weights["embedding.weight"].astype(np.float32)
    new = second.weights()["embedding.weight"]
    assert len(new) == len(old) + 2
    sizes = input_sizes(before.config)
    meter = list(itertools.accumulate(sizes.values()))[list(sizes).index("meter")]
    assert np.array_equal(new[:meter], old[:meter])
    assert np.array_equal(new[meter], old[meter - sizes["meter"]])  # as an unknown metre
    assert np.array_equal(new[-5:], old[-5:])


def test_weights_of_another_shape_are_rejected(
    strolls: Path, tmp_path: Path, smallest: Smallest
) -> None:
    model = train(smallest(strolls), tmp_path / "first")
    with pytest.raises(ConfigError, match="another n_layers than this model"):
        _setup(smallest(strolls, {"n_layers": 2}, init_from=model), tmp_path / "second")
