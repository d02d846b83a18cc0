"""Tables of measurements, and the page that ``make bench`` writes from them."""

from __future__ import annotations

import os
import platform
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

_PACKAGES = ("bicinium", "numpy", "torch", "transformers", "llguidance", "xgrammar", "miditok",
             "symusic")  # fmt: skip


class NotMeasuredError(Exception):
    """A part cannot run here. The message says what is missing."""


@dataclass
class Table:
    """One table of the page. ``notes`` are sentences that say what was measured, and how."""

    title: str
    columns: Sequence[str]
    notes: Sequence[str] = ()
    rows: list[Sequence[str]] = field(default_factory=list)

    def add(self, *cells: str) -> None:
        """Add a row."""
        self.rows.append(cells)

    def markdown(self) -> str:
        """Return the table under its title, with its notes before it."""
        lines = [f"## {self.title}", "", *(_wrapped(note) + "\n" for note in self.notes)]
        if self.rows:
            lines.append("| " + " | ".join(self.columns) + " |")
            lines.append("|" + "---|" * len(self.columns))
            lines += ["| " + " | ".join(row) + " |" for row in self.rows]
        return "\n".join(lines).rstrip() + "\n"


def interleaved(
    calls: Mapping[str, Callable[[], float]], repetitions: int
) -> dict[str, list[float]]:
    """Return the results of each call. They take turns, so that other load falls on all of them."""
    results: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(repetitions):
        for name, call in calls.items():
            results[name].append(call())
    return results


def seconds(work: Callable[[], object]) -> float:
    """Return how long a call takes by the clock."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def quantile(values: Sequence[float], share: float) -> float:
    """Return the smallest value that at least this share of the values does not exceed."""
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def spread(values: Sequence[float], form: str = ".2f") -> str:
    """Return the median, with the lowest and the highest in brackets."""
    low, high = min(values), max(values)
    return f"{statistics.median(values):{form}} ({low:{form}} to {high:{form}})"


@contextmanager
def one_core() -> Iterator[None]:
    """Keep this process, and what it starts, on one core."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(before)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def page(parts: Sequence[str], load: Sequence[float]) -> str:
    """Return the page of all parts. load: of the machine, when the run began and at its end."""
    packages = ", ".join(f"{name} {found}" for name in _PACKAGES if (found := _version(name)))
    begin, end = (f"{one:.1f}" for one in load)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    head = [
        "# Benchmarks",
        "",
        "This page shows how fast bicinium is. `make bench` writes it anew; `python -m benchmarks "
        "NAME`\nmeasures one part and prints it.",
        "",
        f"- Date: {date.today().isoformat()}",
        f"- Processor: {_processor()}, {cores} cores; {platform.system()}",
        _wrapped(f"- Python {platform.python_version()}; {packages}"),
        f"- Load of the machine: {begin} at the beginning, {end} at the end. A load over 1 at the",
        "  beginning means that the machine was shared.",
        "- Where several values were measured: the median, then the lowest and the highest.",
    ]
    return "\n".join(head) + "\n\n" + "\n".join(parts)


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    known = dict(line.split(":", 1) for line in lines if ":" in line)
    values = {name.strip(): value.strip() for name, value in known.items()}
    flags = values.get("flags", "").split()
    sets = [flag for flag in ("avx2", "avx512f", "avx512_vnni", "amx_int8") if flag in flags]
    return f"{values.get('model name', platform.machine())} ({', '.join(sets)})"


def _wrapped(text: str, width: int = 96) -> str:
    lines, line = [], ""
    for word in text.split():
        if line and len(line.encode()) + 1 + len(word.encode()) > width:
            lines.append(line)
            line = ""
        line = f"{line} {word}".strip()
    indent = "\n  " if text.startswith("- ") else "\n"
    return indent.join([*lines, line])
