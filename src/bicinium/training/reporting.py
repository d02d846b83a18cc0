"""Reports of steps and validations: to the log of the run, and to the progress bar."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn
from rich.text import Text

from bicinium.formats.registry import read_score
from bicinium.render.audio import synthesize
from bicinium.training.run_dir import EventKind, RunLog
from bicinium.training.step import StepResult
from bicinium.training.validation import ValidationReport

_PIECES_PLAYED, _SECONDS_PLAYED = 2, 15  # of each validation, for TensorBoard
_FULL_SCALE = 2**15  # of samples of 16 bits
_NOT_LOSSES = {"train/gradient_norm", "train/grammar_scale", "train/learning_rate"}


class Reporter:
    """Logs steps at intervals and validations always. ``status`` is the text of the bar."""

    def __init__(self, log: RunLog, log_every_steps: int) -> None:
        self.log, self.log_every_steps = log, log_every_steps
        self.started, self.steps_taken = time.monotonic(), 0  # in this session
        self._losses = self._validation = ""

    @property
    def hours(self) -> float:
        """Hours since this session began."""
        return (time.monotonic() - self.started) / 3600

    @property
    def status(self) -> str:
        """The last losses and the last validation."""
        return "\n".join(filter(None, (self._losses, self._validation)))

    def after_step(self, step: int, result: StepResult, batch_statistics: dict[str, float]) -> None:
        """Log a step if it is due, and on-policy losses whenever there are any."""
        self.steps_taken += 1
        metrics = result.metrics
        on_policy = {name: v for name, v in metrics.items() if name.startswith("on_policy/")}
        if step % self.log_every_steps == 0 or step == 1:
            rate = self.steps_taken / (time.monotonic() - self.started)
            of_batch = {f"data/{name}": value for name, value in batch_statistics.items()}
            self.log.metrics(step, metrics | of_batch | {"train/steps_per_second": rate})
        elif on_policy:
            self.log.metrics(step, on_policy)
        losses = {
            name.removeprefix("train/"): value
            for name, value in metrics.items()
            if name.startswith("train/") and name not in _NOT_LOSSES
        }
        self._losses = ", ".join(f"{name} {value:.3g}" for name, value in sorted(losses.items()))

    def after_validation(self, step: int, report: ValidationReport) -> None:
        """Log a validation, or why it failed."""
        if report.error:
            self.log.event(EventKind.ALERT, step, f"validation failed: {report.error}")
        if report.metrics:
            self.log.metrics(step, report.metrics)
            self.log.event(
                EventKind.VALIDATION,
                step,
                report.summary,
                samples=report.samples_page,
                **report.metrics,
            )
            self._validation = report.summary
        if report.samples_page:
            self._play_samples(step, Path(report.samples_page).parent)

    def _play_samples(self, step: int, folder: Path) -> None:
        """Log the sound of the first saved pieces. Training goes on if they cannot be played."""
        for path in sorted(folder.glob("*.mid"))[:_PIECES_PLAYED]:
            try:
                samples, rate = synthesize(read_score(path))
            except Exception as error:
                self.log.event(EventKind.ALERT, step, f"{path} cannot be played: {error!r}")
                return
            mono = samples[: _SECONDS_PLAYED * rate].mean(axis=1) / _FULL_SCALE
            self.log.audio(step, f"live/piece_{path.stem}", mono, rate)


def progress_bar(console: Console, visible: bool) -> Progress:
    """Return a bar with steps and time left; the status of a ``Reporter`` is below it."""
    return _StatusBelow(
        MofNCompleteColumn(),
        BarColumn(),
        TimeRemainingColumn(),
        console=console,
        disable=not visible,
    )


class _StatusBelow(Progress):
    """Progress whose description wraps below the bar instead of being cut off beside it."""

    def get_renderables(self) -> Iterator[RenderableType]:
        yield self.make_tasks_table(self.tasks)
        yield from (Text(task.description) for task in self.tasks)
