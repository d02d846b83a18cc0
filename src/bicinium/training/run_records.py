"""Reading the records of a run, which ``run_log`` writes. Needs no torch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

METRICS, EVENTS = "metrics.jsonl", "events.jsonl"


def read_records(path: Path) -> list[dict[str, Any]]:
    """The lines of a record file; one that was torn by a crash is left out."""
    if not path.is_file():
        return []
    records = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            records.append(json.loads(line))
        except json.JSONDecodeError:
            continue
    return records


def read_metrics(run: Path) -> dict[str, list[tuple[int, float]]]:
    """The curves of a run as it stands, by name: what a rollback or a crash undid is left out.

    A record of nothing but a step says that the run goes on from there (``RunLog.goes_on_from``).
    """
    curves: dict[str, list[tuple[int, float]]] = {}
    last = -1
    for record in read_records(run / METRICS):
        step = record.pop("step")
        if step < last or not record:  # a step alone: the run goes on from there
            latest = step - 1 if record else step
            for name, points in curves.items():
                curves[name] = [point for point in points if point[0] <= latest]
        last = step
        for name, value in record.items():
            if value is None:  # it was not finite
                continue
            points = curves.setdefault(name, [])
            if points and points[-1][0] == step:
                points.pop()
            points.append((step, value))
    return curves
