"""Mean of the weights of two states, which often predicts better than either.

The mean of two states along a run lies nearer the middle of the minimum around which they lie
(stochastic weight averaging, Izmailov et al. 2018, arXiv:1803.05407). The same holds for a
fine-tuned model and the model it started from (Wortsman et al. 2022, arXiv:2109.01903).
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from bicinium.errors import ConfigError
from bicinium.generation.form_bank import forms_path
from bicinium.generation.memorization import quotations_path
from bicinium.model.checkpoint import load_checkpoint, save_checkpoint
from bicinium.training.run_dir import AVERAGE, MODEL, best_checkpoint, last_checkpoint

_Weights: TypeAlias = dict[str, NDArray[np.floating]]


def average_run(run: Path, other: Path | None = None, share: float = 0.5) -> Path:
    """Write ``average.safetensors`` to the folder of a run and return its path.

    It is the mean of the best and the last state of the run, or with ``other`` the mean of the
    run's model and that model. ``share`` is the weight of the last state, or of ``other``.

    Raises ConfigError if the run has no such states, the models differ in shape, or ``share`` is
    not between 0 and 1.
    """
    if not 0 < share < 1:
        raise ConfigError(f"share must be between 0 and 1 (got {share:g}).")
    states = () if other else (best_checkpoint(run), last_checkpoint(run))
    if not all(path.is_file() for path in (run / MODEL, *states)):
        missing = "a model" if other else "a best and a last state"
        raise ConfigError(f"{run} is not the folder of a run with {missing} to average.")
    model = load_checkpoint(run / MODEL)
    if other is None:
        weights, about = _average_best_and_last(run, share)
    else:
        second = load_checkpoint(other)
        if differ := model.config.differing_fields(second.config):
            raise ConfigError(f"{other} has another {', '.join(differ)} than the model of {run}.")
        weights = _mean(model.weights, second.weights, share)
        about = {"averaged_with": second.record}
    record = model.record | about | {"averaged_share": share}
    record.pop("validation", None)  # It was of the best state, not of the mean.
    average = run / AVERAGE
    save_checkpoint(average, model.config, weights, record, dtype=np.float16)
    for path_beside in (quotations_path, forms_path):
        if path_beside(run / MODEL).is_file():
            shutil.copyfile(path_beside(run / MODEL), path_beside(average))
    return average


def _average_best_and_last(run: Path, share: float) -> tuple[_Weights, dict[str, Any]]:
    """Return the mean weights, and the steps of the two states for the record."""
    best, last = (
        torch.load(path(run), map_location="cpu", weights_only=True)
        for path in (best_checkpoint, last_checkpoint)
    )
    first, second = (
        {name: weight.float().numpy() for name, weight in state["model"].items()}
        for state in (best, last)
    )
    return _mean(first, second, share), {"averaged_steps": [best["step"], last["step"]]}


def _mean(
    first: Mapping[str, NDArray[np.floating]],
    second: Mapping[str, NDArray[np.floating]],
    share: float,
) -> _Weights:
    return {
        name: (1 - share) * first[name].astype(np.float64) + share * second[name] for name in first
    }
