"""Writing the records of a run: ``metrics.jsonl`` and ``events.jsonl``, a line for each, and the
same for TensorBoard. Lines are only ever added, by each session of a run to those before it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from torch.utils.tensorboard import SummaryWriter

from bicinium.training.run_records import EVENTS, METRICS


class RunLog:
    """Writes the records of a run; one that is not ``active`` (of another process) writes none."""

    def __init__(self, folder: Path, console: Console, active: bool = True) -> None:
        self.folder, self.console, self.active = folder, console, active
        self.board: SummaryWriter | None = None
        for path in (folder / METRICS, folder / EVENTS):
            if active and path.is_file() and not path.read_bytes().endswith(b"\n"):
                with path.open("a") as file:  # a line that a crash has torn
                    file.write("\n")

    def metrics(self, step: int, values: Mapping[str, float]) -> None:
        """What was measured after ``step`` steps."""
        if not self.active:
            return
        numbers = {name: v if math.isfinite(v) else None for name, v in values.items()}
        self._add(METRICS, {"step": step, **numbers})
        if self.board is None:
            self.board = SummaryWriter(str(self.folder), purge_step=step)
        for name, value in values.items():
            self.board.add_scalar(name, value, step)

    def event(self, kind: str, step: int, message: str, **more: Any) -> None:
        """Something that happened, for the console and the file."""
        if self.active:
            self._add(EVENTS, {"step": step, "kind": kind, "message": message, **more})
            style = "bold red" if kind in ("collapse", "alert") else ""
            self.console.print(f"step {step}: {kind}: {message}", style=style, highlight=False)

    def goes_on_from(self, step: int) -> None:
        """Of the steps after this one nothing that was recorded stands, and TensorBoard forgets
        what comes after the next step recorded.
        """
        if self.active:
            self._add(METRICS, {"step": step})
        self.close()
        self.board = None

    def close(self) -> None:
        """Bring everything to the disk."""
        if self.board is not None:
            self.board.close()

    def _add(self, name: str, record: Mapping[str, Any]) -> None:
        with (self.folder / name).open("a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")
