"""The training loop: steps, checkpoints, validation, and rollback after a collapse.

Batches, learning rate and random numbers are functions of seed, step and rollbacks. So a run that
was interrupted and resumed ends with the same weights, bit for bit.

Every process runs the loop. The first one validates, writes, and broadcasts what it found.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import torch
from lightning_fabric import Fabric

from bicinium.atomic_write import remove_leftovers
from bicinium.data.shards import require_prepared
from bicinium.errors import CollapseError, ConfigError, RunWriteError
from bicinium.folder_lock import locked_folder
from bicinium.training.batches import batch_statistics
from bicinium.training.config import TrainConfig
from bicinium.training.interrupts import InterruptHandler
from bicinium.training.live_sampler import GeneratedPiece
from bicinium.training.monitor import Validation
from bicinium.training.reporting import Reporter, progress_bar
from bicinium.training.run_dir import (
    COLLAPSE_REPORT,
    MODEL,
    EventKind,
    best_checkpoint,
    last_checkpoint,
    write_collapse_report,
    write_model,
)
from bicinium.training.run_state import RunState, training_record
from bicinium.training.setup import TrainingSetup, build_fabric, build_training
from bicinium.training.step import (
    ROLLBACK_GRAMMAR_FACTOR,
    ROLLBACK_LEARNING_RATE_FACTOR,
    mean_over_processes,
)
from bicinium.training.validation import ValidationReport

StepHook = Callable[[RunState], None]


def train(
    config: TrainConfig, run: Path, resume: bool = False, before_step: StepHook | None = None
) -> Path:
    """Train a model in the folder ``run`` and return the path of the model.

    ``before_step`` is called with the state of the run before every step, for experiments.

    Raises KeyboardInterrupt if the run was stopped (its state is saved), CollapseError if it
    collapsed after the last rollback that is allowed, ConfigError or CorpusError if it cannot run.
    """
    if resume and not last_checkpoint(run).is_file():
        raise ConfigError(f"there is nothing to resume at {run}. Start without --resume.")
    if not resume and last_checkpoint(run).is_file():
        with locked_folder(run):  # a run that goes on is refused as that
            raise ConfigError(
                f"{run} holds a run already. Resume it with --resume, or name another."
            )
    require_prepared(config.data.prepared)  # before there is a folder
    if config.training.threads:
        torch.set_num_threads(config.training.threads)
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
    return build_fabric(config).launch(
        lambda fabric: _train(fabric, config, run, resume, before_step)
    )


def _train(
    fabric: Fabric, config: TrainConfig, run: Path, resume: bool, before_step: StepHook | None
) -> Path:
    """Train in one process. The first one locks the folder of the run."""
    try:
        with locked_folder(run) if fabric.is_global_zero else nullcontext():
            if fabric.is_global_zero:
                remove_leftovers(run)
                remove_leftovers(last_checkpoint(run).parent)
            setup = build_training(fabric, config, run, resume)
            return TrainingLoop(setup, before_step).run_to_end()
    except OSError as error:
        raise _write_error(error, run) from error


def _write_error(error: OSError, run: Path) -> RunWriteError:
    """Return the error of a run that cannot be written to, with its last whole state."""
    problem = f"{error.filename or run} cannot be used: {error.strerror or error}."
    if last_checkpoint(run).is_file():
        advice = (
            f"The last whole state is {last_checkpoint(run)}. Mend that, and continue with: "
            f"bicinium train --resume {run}"
        )
    else:
        advice = "No step was made. Mend that, and start again."
    return RunWriteError(f"{problem} {advice}")


class TrainingLoop:
    """Runs a training to its end in one process."""

    def __init__(self, setup: TrainingSetup, before_step: StepHook | None = None) -> None:
        self.fabric, self.run, self.state = setup.fabric, setup.run, setup.state
        self.step, self.validator, self.log = setup.step, setup.validator, setup.log
        self.before_step = before_step
        self.training = self.state.config.training
        self.grammar = self.training.musical_grammar
        self.last_saved_step = self.state.step if self.state.step else -1
        self.consistent = True  # False within a change that must not be saved halfway
        self.end_reason = self.last_failure = ""
        self.generated: list[GeneratedPiece] = []  # by the last validation, for the next step only
        self.reporter = Reporter(setup.log, self.training.log_every_steps)

    # ------------------------------------------------------------------ the loop

    def run_to_end(self) -> Path:
        """Train until all steps are done or early stopping; see ``train``."""
        if self.fabric.is_global_zero:
            self.validator.rehearse()
        if self.state.step == 0:
            self._save(best_checkpoint(self.run))  # until a validation finds a better state
        visible = self.fabric.is_global_zero
        with InterruptHandler() as interrupts, progress_bar(self.log.console, visible) as progress:
            bar = progress.add_task("", total=self.training.max_steps)
            try:
                while not self.end_reason:
                    self._raise_if_requested(interrupts)
                    self._advance(interrupts)
                    status = self.reporter.status
                    progress.update(bar, completed=self.state.step, description=status)
            except KeyboardInterrupt:
                if self.consistent:
                    self._save_last()
                self.log.event(EventKind.STOPPED, self.state.step, "by a signal")
                raise
            finally:
                self.log.close()
        return self._finish()

    def _advance(self, interrupts: InterruptHandler) -> None:
        """Validate, take a step, or end; roll back if that reveals a collapse."""
        due = self._validation_is_due()
        # Saved before a validation, because no checkpoint holds the pieces that it generates.
        if due or self.state.step % self.training.checkpoint_every_steps == 0:
            self._save_last()
        if due:
            with interrupts.immediate():
                report = self._validate()
            with self._all_or_nothing():
                collapse = self._apply(report)
                if collapse:
                    self._roll_back(collapse)
        elif self.state.step >= self.training.max_steps:
            self.end_reason = "all steps are done"
        else:
            if self.before_step:
                self.before_step(self.state)
            with self._all_or_nothing():
                collapse = self._take_step()
                if collapse:
                    self._roll_back(collapse)

    def _take_step(self) -> str:
        """Take one step and log it. Return why the run has collapsed, or an empty string."""
        result = self.step.take(self.generated)
        self.generated = []  # No checkpoint holds them, so no later step may see them.
        statistics = batch_statistics(self.step.loss.grammar, result.batch)
        self.reporter.after_step(self.state.step, result, statistics)
        if drift := self.state.data_monitor.after_batch(statistics):
            self.log.event(EventKind.ALERT, self.state.step, drift)
        return self.state.monitor.after_step(result.cross_entropy)

    def _validate(self) -> ValidationReport:
        """Validate in the first process, and send the report to all."""
        step = self.state.step
        is_first = self.fabric.is_global_zero
        report = self.validator.validate(step) if is_first else ValidationReport.unknown(step)
        return self.fabric.broadcast(report)

    def _apply(self, report: ValidationReport) -> str:
        """Log a validation, keep the best state, decide about stopping.

        Return why the run has collapsed, or an empty string.
        """
        self.reporter.after_validation(self.state.step, report)
        self.last_failure = report.error or self.last_failure
        self.generated = report.pieces
        outcome = self.state.monitor.after_validation(report.validation)
        if outcome.alert:
            self.log.event(EventKind.ALERT, self.state.step, outcome.alert)
        if outcome.best:
            self._save(best_checkpoint(self.run))
            if self.fabric.is_global_zero:
                record = training_record(self.state, report.validation, self.reporter.hours)
                write_model(self.run, self.state.net, record)
        if outcome.stop and self.state.step < self.training.max_steps:
            self.end_reason = outcome.stop
        return outcome.collapse

    def _roll_back(self, reason: str) -> None:
        """Return to the best state, or raise CollapseError after too many rollbacks.

        From then on the learning rate is lower, the grammar counts more, and batches differ.
        """
        state, left = self.state, self.state.step
        self.log.event(EventKind.COLLAPSE, left, reason)
        if not self.grammar.rollback:
            return
        if state.rollbacks >= self.grammar.max_rollbacks:
            raise _collapse_error(self.state, self.run, reason, self.fabric.is_global_zero)
        rollbacks = state.rollbacks + 1
        self.fabric.barrier()
        state.restore(best_checkpoint(self.run), self.fabric.device)
        state.rollbacks, self.generated = rollbacks, []
        self._save(last_checkpoint(self.run))
        self.log.resume_from(state.step)
        self.log.event(
            EventKind.ROLLBACK,
            state.step,
            f"back from step {left} to {state.step}, rollback {rollbacks} of at most "
            f"{self.grammar.max_rollbacks}; learning rate times "
            f"{ROLLBACK_LEARNING_RATE_FACTOR**rollbacks:g}, grammar weights times "
            f"{ROLLBACK_GRAMMAR_FACTOR**rollbacks:g}, other batches",
            left=left,
        )

    def _finish(self) -> Path:
        self._save_last()
        best = self.state.monitor.best
        if best is None:
            raise CollapseError(
                f"no state of {self.run} could be validated, so there is no model. The last state "
                f"is {last_checkpoint(self.run)}; the last failure: {self.last_failure}."
            )
        message = f"{self.end_reason}; the best state is of step {best.step}"
        if warning := _weakness(best, self.grammar.grammar_score_threshold):
            self.log.event(EventKind.ALERT, self.state.step, warning)
        self.log.event(EventKind.ENDED, self.state.step, message)
        return self.run / MODEL

    # ------------------------------------------------------------------ parts of the loop

    def _validation_is_due(self) -> bool:
        step = self.state.step
        due = step % self.grammar.validate_every_n_batches == 0
        if step == 0 and not self.training.init_from:
            return False  # Random weights need no validation; initial ones are a state to keep.
        last = step >= self.training.max_steps
        return (due or last) and self.state.monitor.validated_step != step

    def _raise_if_requested(self, interrupts: InterruptHandler) -> None:
        """Stop all processes if any of them got a signal."""
        if mean_over_processes(self.fabric, torch.tensor(float(interrupts.requested))):
            raise KeyboardInterrupt

    @contextmanager
    def _all_or_nothing(self) -> Iterator[None]:
        """If the block is cut in two, nothing is saved and the last checkpoint counts."""
        self.consistent = False
        yield
        self.consistent = True

    def _save_last(self) -> None:
        if self.last_saved_step != self.state.step:
            self._save(last_checkpoint(self.run))

    def _save(self, path: Path) -> None:
        if self.fabric.is_global_zero:
            self.state.save(path)
        if path == last_checkpoint(self.run):
            self.last_saved_step = self.state.step


def _weakness(best: Validation, threshold: float) -> str:
    """Return a warning if the best state is not good enough, or an empty string."""
    score = best.grammar_score or 0.0
    if score >= threshold and not best.degenerate:
        return ""
    music = f"; its music is degenerate, {best.degenerate}" if best.degenerate else ""
    return (
        f"the model is weak: its grammar score without the mask is {score:.3f} (threshold "
        f"{threshold:g}){music}. Train longer, or on more music"
    )


def _collapse_error(state: RunState, run: Path, reason: str, write_report: bool) -> CollapseError:
    """Write the report of a run that is given up, and return the error to raise."""
    best = state.monitor.best
    if write_report:
        write_collapse_report(run, state.step, reason, state.rollbacks, best)
    kept = f"The best state is of step {best.step}" if best else "No state was validated"
    return CollapseError(
        f"training collapsed at step {state.step} after {state.rollbacks} rollbacks ({reason}). "
        f"{kept}; see {run / COLLAPSE_REPORT}."
    )
