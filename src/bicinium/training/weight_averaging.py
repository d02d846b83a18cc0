"""The mean of two states of a model, which often predicts better than either.

States along a run lie around a minimum; their mean lies nearer its middle (stochastic weight
averaging, Izmailov et al. 2018, arXiv:1803.05407). So do what a run has started from and what it
has become (Wortsman et al. 2022, arXiv:2109.01903).
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from bicinium.errors import ConfigError
from bicinium.generation.memorization import quotations_path
from bicinium.model.checkpoint import load_checkpoint, save_checkpoint
from bicinium.training.run_dir import AVERAGE, MODEL, best_checkpoint, last_checkpoint


def average_run(run: Path, other: Path | None = None, share: float = 0.5) -> Path:
    """Write the mean of a run's best and last state to its folder, and return where; with
    ``other``, the mean of its model and that one, as what it has started from. ``share`` is how
    much the last, or the other, counts.

    Raises ConfigError where the folder holds no such states, the other model is of another shape,
    or the share is not between 0 and 1.
    """
    if not 0 < share < 1:
        raise ConfigError(f"a share of {share:g} makes no mean; it must be between 0 and 1")
    states = () if other else (best_checkpoint(run), last_checkpoint(run))
    if not all(path.is_file() for path in (run / MODEL, *states)):
        what = "model" if other else "best and a last state"
        raise ConfigError(f"{run} holds no run with a {what} to be averaged")
    model = load_checkpoint(run / MODEL)
    if other is None:
        weights, about = _best_and_last(run, share)
    else:
        given = load_checkpoint(other)
        if differ := model.config.differing_fields(given.config):
            raise ConfigError(f"{other} has another {', '.join(differ)} than the model of {run}")
        weights, about = _mean(model.weights, given.weights, share), {"averaged_with": given.record}
    record = model.record | about | {"averaged_share": share}
    record.pop("validation", None)  # which was that of the run's best state
    to = run / AVERAGE
    save_checkpoint(to, model.config, weights, record, dtype=np.float16)
    index = quotations_path(run / MODEL)
    if index.is_file():
        shutil.copyfile(index, quotations_path(to))
    return to


def _best_and_last(
    run: Path, share: float
) -> tuple[dict[str, NDArray[np.floating]], dict[str, Any]]:
    """Their mean, and between what it lies."""
    best, last = (
        torch.load(path(run), map_location="cpu", weights_only=True)
        for path in (best_checkpoint, last_checkpoint)
    )
    one, two = ({n: w.float().numpy() for n, w in state["model"].items()} for state in (best, last))
    return _mean(one, two, share), {"averaged_steps": [best["step"], last["step"]]}


def _mean(
    one: Mapping[str, NDArray[np.floating]], two: Mapping[str, NDArray[np.floating]], share: float
) -> dict[str, NDArray[np.floating]]:
    return {name: (1 - share) * one[name].astype(np.float64) + share * two[name] for name in one}
