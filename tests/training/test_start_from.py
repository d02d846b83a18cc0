"""A run that starts from another's weights: what it learned is there from the first step."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from lightning.fabric import Fabric

from bicinium.errors import ConfigError
from bicinium.model.checkpoint import load_checkpoint
from bicinium.training.config import TrainConfig
from bicinium.training.trainer import TrainingRun, train

_MODEL = {"d_model": 16, "n_layers": 1, "n_heads": 2, "d_ff": 32, "context": 64}
_QUICK = {"batch_size": 2, "max_steps": 2, "threads": 1, "precision": "32-true"}
_GRAMMAR = {"validate_every_n_batches": 2, "live_pieces": 1, "live_bars": 1, "positions": 8}


def _config(prepared: Path, model: dict[str, Any] | None = None, **training: Any) -> TrainConfig:
    return TrainConfig.model_validate(
        {
            "model": _MODEL | (model or {}),
            "training": _QUICK | {"musical_grammar": _GRAMMAR} | training,
            "data": {"prepared": str(prepared)},
        }
    )


def _run(config: TrainConfig, folder: Path) -> TrainingRun:
    fabric = Fabric(accelerator="cpu", devices=1, precision="32-true")
    fabric.launch()
    return TrainingRun(fabric, config, folder, resume=False)


def test_a_run_starts_with_the_weights_it_is_given(strolls: Path, tmp_path: Path) -> None:
    model = train(_config(strolls), tmp_path / "first")
    second = _run(_config(strolls, start_from=model, seed=5), tmp_path / "second")
    given = load_checkpoint(model).weights
    for name, weight in second.net.weights().items():
        assert np.array_equal(weight, given[name].astype(np.float32)), name
    fresh = _run(_config(strolls, seed=5), tmp_path / "third").net.weights()
    assert not np.array_equal(fresh["head.weight"], given["head.weight"].astype(np.float32))


def test_dropout_may_differ_from_the_first_run(strolls: Path, tmp_path: Path) -> None:
    model = train(_config(strolls), tmp_path / "first")
    _run(_config(strolls, {"dropout": 0.1}, start_from=model), tmp_path / "second")


def test_weights_of_another_shape_are_refused_with_what_differs(
    strolls: Path, tmp_path: Path
) -> None:
    model = train(_config(strolls), tmp_path / "first")
    with pytest.raises(ConfigError, match="another n_layers than this model"):
        _run(_config(strolls, {"n_layers": 2}, start_from=model), tmp_path / "second")
