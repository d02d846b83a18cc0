"""The mean of two states of a run, which often predicts better than either.

States along a run lie around a minimum; their mean lies nearer its middle (stochastic weight
averaging, Izmailov et al. 2018, arXiv:1803.05407).
"""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import torch

from bicinium.composing.originality import quotations_path
from bicinium.errors import ConfigError
from bicinium.model.checkpoint import load_checkpoint, save_checkpoint
from bicinium.training.run_folder import AVERAGE, MODEL, best_checkpoint, last_checkpoint


def average_run(run: Path) -> Path:
    """Write the mean of a run's best and last state to its folder, and return where.

    Raises ConfigError where the folder holds no such states.
    """
    paths = best_checkpoint(run), last_checkpoint(run)
    if not all(path.is_file() for path in (*paths, run / MODEL)):
        raise ConfigError(f"{run} holds no run with a best and a last state to be averaged")
    best, last = (torch.load(path, map_location="cpu", weights_only=True) for path in paths)
    model = load_checkpoint(run / MODEL)
    weights = {
        name: ((best["model"][name].double() + last["model"][name].double()) / 2).numpy()
        for name in model.weights
    }
    record = model.record | {"averaged_steps": [best["step"], last["step"]]}
    record.pop("validation", None)  # which was that of the best state
    to = run / AVERAGE
    save_checkpoint(to, model.config, weights, record, dtype=np.float16)
    index = quotations_path(run / MODEL)
    if index.is_file():
        shutil.copyfile(index, quotations_path(to))
    return to
