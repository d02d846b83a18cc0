"""A Trainer callback: live validation, early stopping, and rollback to the best state.

``training.monitor`` decides, as in bicinium's own training.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from transformers import TrainerCallback
from transformers.utils import logging

from bicinium.adapters.transformers.live import refuse_meter, save_pieces, validate_live
from bicinium.adapters.transformers.loss import GrammarTrainerLoss
from bicinium.atomic_write import atomic_write
from bicinium.errors import CollapseError
from bicinium.music.score import Meter
from bicinium.training.monitor import Monitor, Validation
from bicinium.training.optim import grammar_ramp, ramp_end_step
from bicinium.training.run_dir import samples_folder
from bicinium.training.step import ROLLBACK_GRAMMAR_FACTOR, ROLLBACK_LEARNING_RATE_FACTOR

BEST_STATE = "best_state.pt"  # in the output folder of Trainer

_logger = logging.get_logger(__name__)


class GrammarTrainerCallback(TrainerCallback):
    """Validates the model's own pieces at every evaluation, and acts on it.

    loss: the ``compute_loss_func`` of the same Trainer; its section says how many pieces, when to
    stop and when to roll back; its grammar judges the pieces. meter, max_tokens: as in
    ``validate_live``. options: further arguments of ``generate()``.

    The metrics are added to those of the evaluation as ``eval_live_grammar_score`` and so on.
    ``validations`` holds them all, ``events`` a sentence for each alert, rollback and stop.

    On a collapse, weights, optimiser and monitor go back to the best state, the learning rate is
    halved, and the grammar counts 1.5 times as much. Steps are not counted back. After
    ``max_rollbacks`` of them training ends with CollapseError. Training ends with the weights of
    the best state.
    """

    def __init__(
        self,
        loss: GrammarTrainerLoss,
        *,
        meter: Meter | None = None,
        max_tokens: int = 512,
        seed: int = 0,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        refuse_meter(loss.grammar, meter)
        section = loss.section
        self.loss, self.section = loss, section
        self.meter, self.max_tokens, self.seed = meter, max_tokens, seed
        self.options = dict(options or {})
        self.monitor = Monitor(
            section.grammar_score_threshold,
            section.early_stop_patience,
            section.loss_spike_factor,
            ramp_end_step(section),
        )
        self.rollbacks = 0
        self._in_training = False
        self.validations: list[dict[str, float]] = []
        self.events: list[str] = []

    # ------------------------------------------------------------------ events of Trainer

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Keep the first state, until a validation finds a better one."""
        self._in_training = True
        self._save(args, state, kwargs)

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Set the weight of the grammar loss in this step."""
        ramp = grammar_ramp(self.section, state.global_step)
        self.loss.scale = ramp * ROLLBACK_GRAMMAR_FACTOR**self.rollbacks

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Look at the loss of the step. Raises CollapseError after too many rollbacks."""
        collapse = self.monitor.after_step(self.loss.take_cross_entropy())
        if collapse:
            self._roll_back(collapse, args, state, kwargs)

    def on_evaluate(
        self, args: Any, state: Any, control: Any, metrics: dict[str, float], **kwargs: Any
    ) -> Any:
        """Validate pieces of the model's own. Raises CollapseError after too many rollbacks."""
        step = state.global_step
        if self._in_training and self.monitor.validated_step == step:
            return control  # Another data set is evaluated at the same step.
        # The monitor compares bits. Per token serves as well as per note.
        nats = next((value for name, value in metrics.items() if name.endswith("_loss")), None)
        bits = None if nats is None else nats / math.log(2)
        found = self._validate(bits, args, state, metrics, kwargs)
        if not self._in_training:
            return control
        outcome = self.monitor.after_validation(found)
        if outcome.alert:
            self._tell(step, outcome.alert)
        if outcome.best:
            self._save(args, state, kwargs)
        if outcome.collapse:
            self._roll_back(outcome.collapse, args, state, kwargs)
        if outcome.stop:
            self._tell(step, f"stopped: {outcome.stop}")
            control.should_training_stop = True
        return control

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Leave the model with the weights of the best validated state."""
        self._in_training = False
        if self.monitor.best is not None:
            kwargs["model"].load_state_dict(self._load(args, kwargs)["model"])

    def _validate(
        self,
        bits: float | None,
        args: Any,
        state: Any,
        metrics: dict[str, float],
        trained: Mapping[str, Any],
    ) -> Validation:
        """Measure pieces of the model's own, and record them. A failure makes the state unknown."""
        step, model = state.global_step, trained["model"]
        if not all(bool(weight.isfinite().all()) for weight in model.parameters()):
            return Validation(step, math.nan, 0.0, "the weights are not finite")
        try:
            live = validate_live(
                model,
                self.section.live_pieces,
                max_tokens=self.max_tokens,
                grammar=self.loss.grammar,
                meter=self.meter,
                seed=self.seed,
                **self.options,
            )
        except Exception as error:  # Whatever it is, training continues.
            self._tell(step, f"the validation failed: {error!r}")
            return Validation(step, None, None)
        named = {f"eval_live_{name}": value for name, value in live.metrics.items()}
        metrics.update(named)
        state.log_history.append({"step": step, **named})
        self.validations.append({"step": step, **live.metrics})
        if state.is_world_process_zero:
            folder = samples_folder(Path(args.output_dir), step)
            save_pieces(live.pieces[: self.section.saved_pieces], folder)
        return Validation(step, bits, live.metrics["grammar_score"], live.degenerate)

    # ------------------------------------------------------------------ best state

    def _save(self, args: Any, state: Any, trained: Mapping[str, Any]) -> None:
        if not state.is_world_process_zero:
            return
        path = Path(args.output_dir) / BEST_STATE
        path.parent.mkdir(parents=True, exist_ok=True)
        parts = {name: trained[name].state_dict() for name in ("model", "optimizer")}
        parts["monitor"] = self.monitor.state_dict()
        with atomic_write(path) as temporary:
            torch.save(parts, temporary)

    def _load(self, args: Any, trained: Mapping[str, Any]) -> dict[str, Any]:
        path = Path(args.output_dir) / BEST_STATE
        return torch.load(path, weights_only=True, map_location=trained["model"].device)

    def _roll_back(self, reason: str, args: Any, state: Any, trained: Mapping[str, Any]) -> None:
        self._tell(state.global_step, f"collapse: {reason}")
        if not self.section.rollback:
            return
        best = self._load(args, trained)
        trained["model"].load_state_dict(best["model"])
        if self.rollbacks >= self.section.max_rollbacks:
            raise CollapseError(
                f"training collapsed at step {state.global_step} after {self.rollbacks} rollbacks "
                f"({reason}). The model has the weights of its best state."
            )
        trained["optimizer"].load_state_dict(best["optimizer"])
        self.monitor.load_state_dict(best["monitor"])
        self.rollbacks += 1
        _scale_learning_rate(trained["optimizer"], trained["lr_scheduler"])
        self._tell(
            state.global_step,
            f"rollback {self.rollbacks} of at most {self.section.max_rollbacks}; learning rate "
            f"times {ROLLBACK_LEARNING_RATE_FACTOR**self.rollbacks:g}, grammar weights times "
            f"{ROLLBACK_GRAMMAR_FACTOR**self.rollbacks:g}",
        )

    def _tell(self, step: int, message: str) -> None:
        self.events.append(f"step {step}: {message}")
        _logger.warning(self.events[-1])


def _scale_learning_rate(optimizer: Any, scheduler: Any) -> None:
    """Lower the learning rate, now and in all later steps."""
    scheduler = getattr(scheduler, "scheduler", scheduler)  # of accelerate
    if hasattr(scheduler, "base_lrs"):
        scheduler.base_lrs = [rate * ROLLBACK_LEARNING_RATE_FACTOR for rate in scheduler.base_lrs]
    for group in optimizer.param_groups:
        group["lr"] *= ROLLBACK_LEARNING_RATE_FACTOR
