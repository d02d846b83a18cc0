"""Training runs as they lie in a folder, for the page to watch while they go on.

Names of runs and samples come from the page; they are looked for among what is there, and never
made into paths.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from bicinium.studio.errors import RefusedError
from bicinium.training.run_dir import EVENTS, METRICS, read_metrics, read_records

_SAMPLES = "samples"
_DEPTH = 2  # folders below the one that is watched
_MOST_RUNS = 200
_MOST_POINTS = 240  # of a curve
_MOST_EVENTS = 300
_MOST_STEPS = 60  # whose samples are listed
_LIVE_S = 180  # a run that wrote nothing for so long is not going on
_FIRST = ("train/cross_entropy", "validation/", "live/grammar_score", "live/valid",
          "live/illegal_mass", "live/entropy", "train/learning_rate")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Runs:
    """The runs below a folder; ``folder`` None is none."""

    folder: Path | None

    def listed(self) -> list[dict[str, Any]]:
        """Names, of those that go on first, then of those that have ended, the latest before the
        earlier; and when these wrote last, in seconds since 1970.
        """
        now = time.time()
        written = {name: _changed(run) for name, run in self._found()}
        live = sorted(name for name, last in written.items() if now - last < _LIVE_S)
        ended = sorted(written.keys() - set(live), key=lambda name: (-written[name], name))
        return [
            *({"name": name, "live": True, "changed": None} for name in live),
            *({"name": name, "live": False, "changed": written[name]} for name in ended),
        ]

    def state(self, name: str, everything: bool, tag: str) -> dict[str, Any]:
        """Curves, events and samples of one run. ``everything``: curves beside the main ones.

        tag: what ``tag`` says of it; while that is the same, nothing is read again.
        """
        return _state(self._run(name), name, everything, tag)

    def tag(self, name: str) -> str:
        """Something that changes whenever the run has written."""
        run = self._run(name)
        written = [run / METRICS, run / EVENTS, run / _SAMPLES]
        return "-".join(f"{_stamp(path):x}" for path in written)

    def sample(self, name: str, step: str, file: str) -> Path:
        """The path of a sample. Raises RefusedError where there is none of that name."""
        run = self._run(name)
        for found, files in _samples(run):
            if found == step and file in files:
                return run / _SAMPLES / step / file
        raise RefusedError(404, f"the run has no sample {file[:80]!r} of step {step[:20]!r}")

    def _run(self, name: str) -> Path:
        for found, run in self._found():
            if found == name:
                return run
        raise RefusedError(404, f"there is no run {name[:80]!r} in the folder that is watched")

    def _found(self) -> Iterator[tuple[str, Path]]:
        if self.folder is None or not self.folder.is_dir():
            return
        patterns = ["/".join(["*"] * depth) for depth in range(1, _DEPTH + 1)]
        folders = [self.folder, *(path for p in patterns for path in sorted(self.folder.glob(p)))]
        count = 0
        for folder in folders:
            if (folder / METRICS).is_file() and count < _MOST_RUNS:
                count += 1
                name = folder.relative_to(self.folder).as_posix()
                yield (self.folder.name if name == "." else name), folder


@lru_cache(maxsize=8)
def _state(run: Path, name: str, everything: bool, tag: str) -> dict[str, Any]:
    """See ``Runs.state``."""
    curves = read_metrics(run)
    names = sorted(curves)
    drawn = names if everything else [n for n in names if n.startswith(_FIRST)]
    events = read_records(run / EVENTS)
    return {
        "name": name,
        "step": max((points[-1][0] for points in curves.values() if points), default=0),
        "curves": {one: _thinned(curves[one]) for one in drawn},
        "names": names,
        "events": [
            {key: event.get(key) for key in ("step", "kind", "message", "left")}
            for event in events[-_MOST_EVENTS:]
        ],
        "samples": [{"step": step, "files": files} for step, files in _samples(run)[:_MOST_STEPS]],
    }


def _samples(run: Path) -> list[tuple[str, list[str]]]:
    """The steps that have samples, the latest first, and the files of each."""
    steps = sorted((path for path in (run / _SAMPLES).glob("*") if path.is_dir()), reverse=True)
    return [
        (step.name, sorted(p.name for p in step.iterdir() if p.suffix in (".mid", ".json")))
        for step in steps
    ]


def _thinned(points: Sequence[tuple[int, float]]) -> list[tuple[int, float]]:
    """At most so many points: of every stretch the mean, and the last point itself."""
    if len(points) <= _MOST_POINTS:
        return list(points)
    size = -(-len(points) // _MOST_POINTS)
    stretches = [points[first : first + size] for first in range(0, len(points), size)]
    means = [(some[-1][0], sum(value for _, value in some) / len(some)) for some in stretches]
    return [*means[:-1], points[-1]]


def _changed(run: Path) -> float:
    """When the run last wrote, in seconds since 1970."""
    return max(_stamp(run / METRICS), _stamp(run / EVENTS)) / 1e9


def _stamp(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0
