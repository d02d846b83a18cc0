"""Health of a run: which state is best, what is a collapse, when to stop.

Knows numbers only: no model and no files.

A validated state is *healthy* if its grammar score reaches the threshold, its music is not
degenerate and the grammar loss has its full weight. (Before that, a good score may be chance, and
the bits per note are lower because only cross-entropy is trained.) The *best* state is the healthy
one with the fewest bits per note; as long as there is none, the one with the highest grammar score.

A *collapse* is one of

* a loss that is not finite;
* three consecutive losses above ``spike_factor`` times the median of the last fifty;
* ``patience`` consecutive unhealthy validations after a healthy one.

A state that could not be validated is unknown. It is never best, and it changes no count.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

_MEDIAN_OF = 50  # losses
_MIN_LOSSES = 20  # before a median means anything
_SPIKES_TO_COLLAPSE = 3  # consecutive
_MIN_GAIN = 0.001  # of the bits per note, relative, to count as an improvement

_DRIFT_BASELINE_BATCHES, _DRIFT_RECENT_BATCHES = 100, 20
_DRIFT_STANDARD_ERRORS = 6.0  # of the recent mean
_MIN_DRIFT = 0.02  # smaller differences never matter


@dataclass(frozen=True, slots=True)
class Validation:
    """Measures of the state after ``step`` steps; None if they could not be taken."""

    step: int
    bits_per_note: float | None
    grammar_score: float | None
    degenerate: str = ""  # why the generated music is degenerate; empty if it is not


@dataclass(frozen=True, slots=True)
class ValidationOutcome:
    """Consequences of a validation for the run. Reasons are empty where they do not apply."""

    best: bool = False  # the best state so far
    collapse: str = ""
    stop: str = ""  # reason to stop early
    alert: str = ""


class Monitor:
    """Decides from losses and validations. ``state_dict`` goes into checkpoints.

    Patience counts from ``ramp_end_step``, the step at which the grammar loss has its full weight.
    """

    _SETTINGS = ("threshold", "patience", "spike_factor", "ramp_end_step")  # not part of the state
    _OLD_NAMES: Mapping[str, str] = {  # in checkpoints of earlier versions
        "unhealthy": "unhealthy_validations",
        "without_gain": "validations_without_gain",
        "least_bits": "min_bits",
        "highest_score": "max_score",
        "spikes": "consecutive_spikes",
        "lost": "loss_was_not_finite",
    }

    def __init__(
        self, threshold: float, patience: int, spike_factor: float, ramp_end_step: int = 0
    ) -> None:
        self.threshold, self.patience, self.spike_factor = threshold, patience, spike_factor
        self.ramp_end_step = ramp_end_step
        self.best: Validation | None = None
        self.best_is_healthy = False
        self.validated_step = -1
        self.unhealthy_validations = 0  # consecutive
        self.validations_without_gain = 0  # consecutive
        self.min_bits = math.inf
        self.max_score = -math.inf
        self.losses: list[float] = []
        self.consecutive_spikes = 0
        self.loss_was_not_finite = False

    def after_step(self, loss: float) -> str:
        """Return why this loss (nats per token) is a collapse, or an empty string."""
        if not math.isfinite(loss):
            reported, self.loss_was_not_finite = self.loss_was_not_finite, True
            return "" if reported else f"the loss is {loss}"
        self.loss_was_not_finite = False
        if self.spike_factor and len(self.losses) >= _MIN_LOSSES:
            median = statistics.median(self.losses)
            if loss > self.spike_factor * median:
                self.consecutive_spikes += 1
                if self.consecutive_spikes < _SPIKES_TO_COLLAPSE:
                    return ""
                self.losses, self.consecutive_spikes = [], 0
                return f"the loss rose from {median:.2f} to {loss:.2f}"
        self.consecutive_spikes = 0
        self.losses = [*self.losses[1 - _MEDIAN_OF :], loss]
        return ""

    def after_validation(self, found: Validation) -> ValidationOutcome:
        """Evaluate a validated state and remember it."""
        self.validated_step = found.step
        if found.bits_per_note is None or found.grammar_score is None:
            return ValidationOutcome(
                alert="this state could not be validated and counts as unknown"
            )
        if not math.isfinite(found.bits_per_note):
            return ValidationOutcome(
                collapse=found.degenerate or f"bits per note are {found.bits_per_note}"
            )
        ramped = found.step >= self.ramp_end_step
        sound = found.grammar_score >= self.threshold and not found.degenerate
        healthy = sound and ramped
        best = self._is_best(healthy, found.bits_per_note, found.grammar_score)
        if best:
            self.best, self.best_is_healthy = found, healthy
        if not ramped:
            return ValidationOutcome(best=best)
        gained = self._gained(found.bits_per_note, found.grammar_score)
        self.validations_without_gain = 0 if gained else self.validations_without_gain + 1
        self.unhealthy_validations = 0 if healthy else self.unhealthy_validations + 1
        return self._outcome(found, healthy, best)

    def _outcome(self, found: Validation, healthy: bool, best: bool) -> ValidationOutcome:
        """Compare the counts with the patience."""
        problem = self._problem(found)
        if self.unhealthy_validations >= self.patience and self.best_is_healthy:
            count, self.unhealthy_validations = self.unhealthy_validations, 0
            return ValidationOutcome(collapse=f"{problem}, for {count} consecutive validations")
        if self.validations_without_gain >= self.patience:
            return ValidationOutcome(
                best=best,
                stop=f"neither bits per note nor grammar score improved in {self.patience} "
                "validations",
            )
        if not healthy and self.best_is_healthy:
            return ValidationOutcome(best=best, alert=problem)
        if self.unhealthy_validations and self.unhealthy_validations % self.patience == 0:
            return ValidationOutcome(
                best=best, alert=f"{problem}, and no state has been healthy yet"
            )
        return ValidationOutcome(best=best)

    def _gained(self, bits: float, score: float) -> bool:
        gained = bits < self.min_bits * (1 - _MIN_GAIN) or score > self.max_score
        self.min_bits = min(self.min_bits, bits)
        self.max_score = max(self.max_score, score)
        return gained

    def _is_best(self, healthy: bool, bits: float, score: float) -> bool:
        if self.best is None or self.best.bits_per_note is None or self.best.grammar_score is None:
            return True
        if healthy != self.best_is_healthy:
            return healthy
        return bits < self.best.bits_per_note if healthy else score > self.best.grammar_score

    def _problem(self, found: Validation) -> str:
        if found.degenerate:
            return found.degenerate
        return f"the grammar score is {found.grammar_score:.3f}, below {self.threshold:g}"

    def state_dict(self) -> dict[str, Any]:
        """Return everything remembered, as plain values."""
        state = {name: value for name, value in vars(self).items() if name not in self._SETTINGS}
        return state | {"best": asdict(self.best) if self.best else None}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what ``state_dict`` returned, here or in an earlier version."""
        vars(self).update({self._OLD_NAMES.get(name, name): v for name, v in state.items()})
        best = state["best"]
        self.best = Validation(**best) if best else None


class DataMonitor:
    """Compares the statistics of recent batches with those of the first hundred."""

    _OLD_NAMES: Mapping[str, str] = {"first": "baseline", "late": "recent"}

    def __init__(self) -> None:
        self.baseline: list[dict[str, float]] = []
        self.recent: list[dict[str, float]] = []
        self.drifting: list[str] = []

    def after_batch(self, values: dict[str, float]) -> str:
        """Return a sentence if some statistic begins to drift, else an empty string.

        Drift is a recent mean more than six standard errors from the baseline's.
        """
        if len(self.baseline) < _DRIFT_BASELINE_BATCHES:
            self.baseline.append(values)
            return ""
        self.recent = [*self.recent[1 - _DRIFT_RECENT_BATCHES :], values]
        if len(self.recent) < _DRIFT_RECENT_BATCHES:
            return ""
        alerts, drifting = [], []
        for name in sorted(set().union(*self.baseline, *self.recent)):
            before = [batch.get(name, 0.0) for batch in self.baseline]
            usual = statistics.fmean(before)
            now = statistics.fmean(batch.get(name, 0.0) for batch in self.recent)
            error = statistics.stdev(before) / math.sqrt(_DRIFT_RECENT_BATCHES)
            if abs(now - usual) > max(_DRIFT_STANDARD_ERRORS * error, _MIN_DRIFT):
                drifting.append(name)
                if name not in self.drifting:
                    alerts.append(f"{name} was {usual:.3f} and is {now:.3f}")
        self.drifting = drifting
        return f"the batches drift: {'; '.join(alerts)}" if alerts else ""

    def state_dict(self) -> dict[str, Any]:
        """Return everything remembered, as plain values."""
        return dict(vars(self))

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what ``state_dict`` returned, here or in an earlier version."""
        vars(self).update({self._OLD_NAMES.get(name, name): v for name, v in state.items()})
