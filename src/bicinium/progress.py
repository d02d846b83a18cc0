"""Progress bars on a terminal (on standard error) and in notebooks.

Long work prints lines where there is neither, such as in a log.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, ProgressColumn

StageProgress = Callable[[str, int, int], None]  # name of the stage, done, in total
_SECONDS_BETWEEN_LINES = 30.0


def _new_bar(*columns: str | ProgressColumn) -> Progress:
    from rich.progress import Progress

    from bicinium.stderr_console import stderr_console

    console = stderr_console()
    is_notebook = console.is_jupyter  # Messages of a second thread can leave its cell running.
    return Progress(
        *columns,
        console=console,
        transient=True,
        auto_refresh=not is_notebook,
        disable=not (console.is_terminal or is_notebook),
    )


def _update(bar: Progress, **values: Any) -> None:
    bar.update(bar.task_ids[0], **values)
    if not bar.live.auto_refresh:
        bar.refresh()


@contextmanager
def progress_bar() -> Iterator[Callable[[int, int], None]]:
    """Show a bar and the time left; yield its update function: (bars written, in total)."""
    from rich.progress import BarColumn, MofNCompleteColumn, TimeRemainingColumn

    with _new_bar(
        BarColumn(), MofNCompleteColumn(), "bars, time left", TimeRemainingColumn()
    ) as bar:
        bar.add_task("composing", total=None)
        yield lambda done, total: _update(bar, completed=done, total=total)


@contextmanager
def stage_progress() -> Iterator[StageProgress]:
    """Show the stage of long work; yield the update function.

    On a terminal and in notebooks it is a bar with the time left. Elsewhere it is a line for each
    stage, and for long ones another after every half minute.
    """
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn

    name = TextColumn("{task.description}")
    bar = _new_bar(name, BarColumn(), MofNCompleteColumn(), "time left", TimeRemainingColumn())
    if bar.disable:
        yield _StageLines(bar.console).update
        return
    with bar:
        task = bar.add_task("loading", total=None)

        def update(stage: str, done: int, total: int) -> None:
            if stage != bar.tasks[0].description:
                bar.reset(task)  # else the time left counts the stages before
            _update(bar, description=stage, completed=done, total=total)

        yield update


class _StageLines:
    """Prints lines about the stages of long work."""

    def __init__(self, console: Console) -> None:
        self._console, self._stage, self._printed = console, "", 0.0

    def update(self, stage: str, done: int, total: int) -> None:
        """Print a line for a new stage, or if half a minute has passed."""
        now = time.monotonic()
        if stage == self._stage and now - self._printed < _SECONDS_BETWEEN_LINES:
            return
        line = f"{stage}: {done} of {total}" if stage == self._stage else stage
        self._console.print(line, highlight=False, markup=False, soft_wrap=True)
        self._stage, self._printed = stage, now
