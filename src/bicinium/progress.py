"""Progress bars, shown only on a terminal (on standard error) and in notebooks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.progress import Progress, ProgressColumn


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
    """Show a bar and the time left; yield its update function: (candidates done, in total)."""
    from rich.progress import BarColumn, MofNCompleteColumn, TimeRemainingColumn

    with _new_bar(
        BarColumn(), MofNCompleteColumn(), "candidates, time left", TimeRemainingColumn()
    ) as bar:
        bar.add_task("composing", total=None)
        yield lambda done, total: _update(bar, completed=done, total=total)


@contextmanager
def stage_progress() -> Iterator[Callable[[str, int, int], None]]:
    """Show a bar and yield its update function: (name of the stage, done, total)."""
    with _new_bar() as bar:
        bar.add_task("loading", total=None)
        yield lambda stage, done, total: _update(
            bar, description=stage, completed=done, total=total
        )
