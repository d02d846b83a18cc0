"""Training runs in a folder, read for the page while they go on.

The page sends names of runs and samples. They are compared with the names in the folder and never
used as paths.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from bicinium.studio.errors import StudioError
from bicinium.training.run_dir import (
    EVENTS,
    METRICS,
    EventKind,
    count_bad_lines,
    read_metrics,
    read_records,
)

_SAMPLES = "samples"
_MAX_DEPTH = 2  # of folders
_MAX_RUNS = 200
_MAX_POINTS = 240  # of a curve
_MAX_EVENTS = 300
_MAX_STEPS = 60  # whose samples are listed
_LIVE_SECONDS = 180  # a run that has written nothing for longer has ended
_MAIN_CURVES = ("train/cross_entropy", "validation/", "live/grammar_score", "live/valid",
          "live/illegal_mass", "live/entropy", "train/learning_rate")  # fmt: skip


@dataclass(frozen=True, slots=True)
class RunDirectory:
    """The training runs below a folder; none if ``folder`` is None."""

    folder: Path | None

    def list_runs(self) -> list[dict[str, Any]]:
        """Return the live runs by name, then the others, the latest first.

        ``changed`` is the last modification in seconds since 1970.
        """
        now = time.time()
        modified = {name: _last_modified(run) for name, run in self._found()}
        live = sorted(name for name, last in modified.items() if now - last < _LIVE_SECONDS)
        ended = sorted(modified.keys() - set(live), key=lambda name: (-modified[name], name))
        return [
            *({"name": name, "live": True, "changed": None} for name in live),
            *({"name": name, "live": False, "changed": modified[name]} for name in ended),
        ]

    def read_run(self, name: str, all_curves: bool, version: str) -> dict[str, Any]:
        """Return curves, events and samples of one run.

        all_curves: whether to return more than the main curves.
        version: result of ``version``; the files are read again only if it has changed.
        """
        return _read_run(self._run(name), name, all_curves, version)

    def version(self, name: str) -> str:
        """Return a text that changes whenever the run writes a file."""
        run = self._run(name)
        paths = [run / METRICS, run / EVENTS, run / _SAMPLES]
        return "-".join(f"{_modified_ns(path):x}" for path in paths)

    def sample_path(self, name: str, step: str, file: str) -> Path:
        """Return the path of a sample. Raises StudioError 404 if there is none of that name."""
        run = self._run(name)
        for found, files in _samples(run):
            if found == step and file in files:
                return run / _SAMPLES / step / file
        raise StudioError(404, f"the run has no sample {file[:80]!r} of step {step[:20]!r}")

    def _run(self, name: str) -> Path:
        for found, run in self._found():
            if found == name:
                return run
        raise StudioError(404, f"there is no run {name[:80]!r} in the folder of --runs")

    def _found(self) -> Iterator[tuple[str, Path]]:
        if self.folder is None or not self.folder.is_dir():
            return
        patterns = ["/".join(["*"] * depth) for depth in range(1, _MAX_DEPTH + 1)]
        folders = [self.folder, *(path for p in patterns for path in sorted(self.folder.glob(p)))]
        count = 0
        for folder in folders:
            if (folder / METRICS).is_file() and count < _MAX_RUNS:
                count += 1
                name = folder.relative_to(self.folder).as_posix()
                yield (self.folder.name if name == "." else name), folder


@lru_cache(maxsize=8)
def _read_run(run: Path, name: str, all_curves: bool, version: str) -> dict[str, Any]:
    """Read the files. ``version`` is part of the cache key."""
    curves = read_metrics(run)
    names = sorted(curves)
    shown = names if all_curves else [n for n in names if n.startswith(_MAIN_CURVES)]
    events = read_records(run / EVENTS)
    if bad := count_bad_lines(run):
        message = f"{bad} damaged lines of {METRICS} and {EVENTS} are passed over"
        events.append({"step": 0, "kind": EventKind.ALERT, "message": message})
    return {
        "name": name,
        "step": max((points[-1][0] for points in curves.values() if points), default=0),
        "curves": {one: _downsample(curves[one]) for one in shown},
        "names": names,
        "events": [
            {key: event.get(key) for key in ("step", "kind", "message", "left")}
            for event in events[-_MAX_EVENTS:]
        ],
        "samples": [{"step": step, "files": files} for step, files in _samples(run)[:_MAX_STEPS]],
    }


def _samples(run: Path) -> list[tuple[str, list[str]]]:
    """Return the steps that have samples, the latest first, with the files of each."""
    steps = sorted((path for path in (run / _SAMPLES).glob("*") if path.is_dir()), reverse=True)
    return [
        (step.name, sorted(p.name for p in step.iterdir() if p.suffix in (".mid", ".json")))
        for step in steps
    ]


def _downsample(points: Sequence[tuple[int, float]]) -> list[tuple[int, float]]:
    """Return at most ``_MAX_POINTS`` points: means of equal sections, and the last point."""
    if len(points) <= _MAX_POINTS:
        return list(points)
    size = -(-len(points) // _MAX_POINTS)
    sections = [points[first : first + size] for first in range(0, len(points), size)]
    means = [(some[-1][0], sum(value for _, value in some) / len(some)) for some in sections]
    return [*means[:-1], points[-1]]


def _last_modified(run: Path) -> float:
    """Return the time of the last modification, in seconds since 1970."""
    return max(_modified_ns(run / METRICS), _modified_ns(run / EVENTS)) / 1e9


def _modified_ns(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0
