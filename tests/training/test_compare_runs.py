"""Runs side by side: a table of last numbers, a picture of curves."""

from __future__ import annotations

import io
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import matplotlib.image
import numpy as np
import pytest
from rich.console import Console

from bicinium.errors import RequestError
from bicinium.training.compare_runs import compare_runs, plot_curves
from bicinium.training.run_dir import RunLog

Refuses = Callable[..., AbstractContextManager[None]]


@pytest.fixture
def two_runs(tmp_path: Path) -> list[Path]:
    """One run was rolled back from step 30 to 10 after an alert. The other had no events."""
    folders = [tmp_path / "one", tmp_path / "other"]
    for folder in folders:
        folder.mkdir()
        log = RunLog(folder, Console(file=io.StringIO()))
        for step in (10, 20, 30):
            log.metrics(step, {"train/cross_entropy": 3 - step / 20})
            log.metrics(
                step,
                {
                    "validation/keyboard/bits_per_note": 6 - step / 10,
                    "validation/keyboard/illegal_mass": 1 / step,
                    "live/grammar_score": step / 100,
                },
            )
        if folder.name == "one":
            log.event("alert", 20, "something")
            log.event("rollback", 10, "back", left=30)
            log.resume_from(10)
            log.metrics(20, {"live/grammar_score": 0.9, "live/entropy": 0.7})
        log.close()
    return folders


def test_a_row_has_the_last_value_of_each_metric(two_runs: list[Path]) -> None:
    one, other = compare_runs(two_runs)
    assert one == {
        "run": "one",
        "steps": 20,
        "rollbacks": 1,
        "alerts": 1,
        "bad_lines": 0,
        "live/entropy": 0.7,
        "live/grammar_score": 0.9,
        "validation/keyboard/bits_per_note": 5.0,
        "validation/keyboard/illegal_mass": 0.1,
    }
    assert list(other) == list(one)
    assert (other["steps"], other["rollbacks"], other["alerts"]) == (30, 0, 0)
    assert other["live/grammar_score"] == 0.3
    assert other["live/entropy"] is None  # it never measured that


def test_the_plot_shows_each_run_in_its_colour(two_runs: list[Path], tmp_path: Path) -> None:
    plot_curves(two_runs, tmp_path / "both.png")
    plot_curves(two_runs[:1], tmp_path / "one.png")
    both, one = (matplotlib.image.imread(tmp_path / name) for name in ("both.png", "one.png"))
    assert both.shape[0] > 500
    assert both.shape[1] > 1000
    orange = np.array([255, 127, 14]) / 255  # the second colour
    seen = [(np.abs(picture[..., :3] - orange).max(axis=2) < 0.02).sum() for picture in (one, both)]
    assert seen[0] == 0
    assert seen[1] > 100
    assert sorted(path.name for path in tmp_path.glob("*.p*")) == ["both.png", "one.png"]


@pytest.mark.parametrize("look", [compare_runs, lambda folders: plot_curves(folders, Path("x"))])
def test_a_folder_without_a_run_is_rejected(
    two_runs: list[Path], tmp_path: Path, refuses: Refuses, look: Callable[[list[Path]], object]
) -> None:
    with refuses(RequestError, "nowhere holds no run"):
        look([*two_runs, tmp_path / "nowhere"])
    assert not Path("x").exists()
