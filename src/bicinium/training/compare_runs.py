"""Comparison of runs: a table of their last metrics, a picture of their curves."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bicinium.atomic_write import atomic_write
from bicinium.errors import RequestError
from bicinium.training.run_dir import (
    EVENTS,
    METRICS,
    EventKind,
    count_bad_lines,
    read_metrics,
    read_records,
)

_PLOTTED = (
    "train/cross_entropy",
    "validation/keyboard/bits_per_note",
    "live/grammar_score",
    "validation/keyboard/illegal_mass",
    "live/valid",
    "live/entropy",
)


def compare_runs(folders: Sequence[Path]) -> list[dict[str, Any]]:
    """Return a row for each run: name, steps, rollbacks, alerts, last value of each metric.

    ``bad_lines`` are those of its files that are no records and were passed over.

    Raises RequestError if a folder holds no run.
    """
    rows = []
    curves = [_curves(folder) for folder in folders]
    names = sorted(
        {name for found in curves for name in found if name.startswith(("validation/", "live/"))}
    )
    for folder, found in zip(folders, curves, strict=True):
        events = read_records(folder / EVENTS)
        rows.append(
            {
                "run": folder.name,
                "steps": max(step for points in found.values() for step, _ in points),
                "rollbacks": sum(event["kind"] == EventKind.ROLLBACK for event in events),
                "alerts": sum(event["kind"] == EventKind.ALERT for event in events),
                "bad_lines": count_bad_lines(folder),
            }
            | {name: found[name][-1][1] if name in found else None for name in names}
        )
    return rows


def plot_curves(folders: Sequence[Path], path: Path) -> None:
    """Write a PNG with six curves of each run. Dotted lines mark rollbacks."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(13, 7), layout="constrained")
    axes = figure.subplots(2, 3).ravel()
    for number, folder in enumerate(folders):
        curves, colour = _curves(folder), f"C{number % 10}"
        events = read_records(folder / EVENTS)
        rollbacks = [event["left"] for event in events if event["kind"] == EventKind.ROLLBACK]
        for axis, name in zip(axes, _PLOTTED, strict=True):
            points = curves.get(name, [])
            axis.plot(*zip(*points, strict=True) if points else ([], []), color=colour, lw=1.2,
                      marker="." if len(points) < 50 else None, label=folder.name)  # fmt: skip
            for step in rollbacks:
                axis.axvline(step, color=colour, ls=":", lw=0.8)
    for axis, name in zip(axes, _PLOTTED, strict=True):
        axis.set(title=name, xlabel="step")
        axis.grid(alpha=0.3)
        if name.endswith("illegal_mass") and axis.lines:
            axis.set_yscale("log")
    axes[0].legend()
    with atomic_write(path) as temporary:
        figure.savefig(temporary, dpi=110, format="png")


def _curves(folder: Path) -> dict[str, list[tuple[int, float]]]:
    curves = {name: points for name, points in read_metrics(folder).items() if points}
    if not curves:
        raise RequestError(f"{folder} holds no run: it has no {METRICS} with numbers.")
    return curves
