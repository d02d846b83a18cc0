"""Is the run well? Decides from losses and validations what is best, what has collapsed, when to
stop. Knows numbers; knows no model and no files.

A validated state is healthy when its grammar score reaches the threshold, its music is not
degenerate, and the grammar loss has come in: a state from before may be well by chance, and its
bits are fewer for want of that loss. The best state is the healthy one of least bits per note;
while none has been healthy, the one of highest grammar score. A collapse is

* a loss that is not finite, or three losses running far above the median of the last fifty;
* ``patience`` validations running that are not healthy, once a state has been.

What could not be measured is unknown: it is never best, and it neither proves nor disproves health.
"""

from __future__ import annotations

import math
import statistics
from dataclasses import asdict, dataclass
from typing import Any

_LOSSES_KEPT = 50
_LOSSES_NEEDED = 20  # before a median means anything
_SPIKES_RUNNING = 3
_OF_CONFIGURATION = ("threshold", "patience", "spike_factor", "ramped_in")  # no part of a state
_LEAST_GAIN = 0.001  # of the bits per note, to count as better


@dataclass(frozen=True, slots=True)
class Validation:
    """What was measured of the state after ``step`` steps; None where it could not be."""

    step: int
    bits_per_note: float | None
    grammar_score: float | None
    degenerate: str = ""  # in which way the music is no music; nothing where it is


@dataclass(frozen=True, slots=True)
class Finding:
    """What a validation means for the run."""

    best: bool = False
    collapse: str = ""  # why, where it is one
    stop: str = ""  # why the run may end here
    alert: str = ""  # what somebody should know


class Monitor:
    """The memory of a run, from which it is judged. ``state_dict`` goes into checkpoints.

    ``ramped_in`` is the step from which on the grammar loss has its full weight. Patience counts
    from there.
    """

    def __init__(
        self, threshold: float, patience: int, spike_factor: float, ramped_in: int = 0
    ) -> None:
        self.threshold, self.patience, self.spike_factor = threshold, patience, spike_factor
        self.ramped_in = ramped_in
        self.best: Validation | None = None
        self.best_is_healthy = False
        self.validated_step = -1
        self.unhealthy = 0  # validations running
        self.without_gain = 0  # validations running
        self.least_bits = math.inf
        self.highest_score = -math.inf
        self.losses: list[float] = []
        self.spikes = 0
        self.lost = False  # the last loss was no number

    def after_step(self, loss: float) -> str:
        """Why this loss (nats a token) means a collapse; nothing where it does not."""
        if not math.isfinite(loss):
            told, self.lost = self.lost, True  # without rollback it stays so
            return "" if told else f"the loss is {loss}"
        self.lost = False
        if self.spike_factor and len(self.losses) >= _LOSSES_NEEDED:
            usual = statistics.median(self.losses)
            if loss > self.spike_factor * usual:
                self.spikes += 1
                if self.spikes < _SPIKES_RUNNING:
                    return ""
                self.losses, self.spikes = [], 0
                return f"the loss has leapt from {usual:.2f} to {loss:.2f}"
        self.spikes = 0
        self.losses = [*self.losses[1 - _LOSSES_KEPT :], loss]
        return ""

    def after_validation(self, found: Validation) -> Finding:
        """Judge a validated state, and remember it."""
        self.validated_step = found.step
        if found.bits_per_note is None or found.grammar_score is None:
            return Finding(alert="this state could not be validated, and counts as unknown")
        if not math.isfinite(found.bits_per_note):
            return Finding(collapse=found.degenerate or f"bits per note are {found.bits_per_note}")
        ramped_in = found.step >= self.ramped_in
        sound = found.grammar_score >= self.threshold and not found.degenerate
        healthy = sound and ramped_in
        best = self._beats_best(healthy, found.bits_per_note, found.grammar_score)
        if best:
            self.best, self.best_is_healthy = found, healthy
        if not ramped_in:
            return Finding(best=best)
        gain = self._gain(found.bits_per_note, found.grammar_score)
        self.without_gain = 0 if gain else self.without_gain + 1
        self.unhealthy = 0 if healthy else self.unhealthy + 1
        why = self._why_unhealthy(found)
        if self.unhealthy >= self.patience and self.best_is_healthy:
            running, self.unhealthy = self.unhealthy, 0
            return Finding(collapse=f"{why}, for {running} validations running")
        if self.without_gain >= self.patience:
            return Finding(
                best=best,
                stop=f"neither bits per note nor grammar score gained in {self.patience} "
                "validations",
            )
        if not healthy and self.best_is_healthy:
            return Finding(best=best, alert=why)
        if self.unhealthy and self.unhealthy % self.patience == 0:
            return Finding(best=best, alert=f"{why}, and no state has been healthy yet")
        return Finding(best=best)

    def _gain(self, bits: float, score: float) -> bool:
        gain = bits < self.least_bits * (1 - _LEAST_GAIN) or score > self.highest_score
        self.least_bits = min(self.least_bits, bits)
        self.highest_score = max(self.highest_score, score)
        return gain

    def _beats_best(self, healthy: bool, bits: float, score: float) -> bool:
        if self.best is None or self.best.bits_per_note is None or self.best.grammar_score is None:
            return True
        if healthy != self.best_is_healthy:
            return healthy
        return bits < self.best.bits_per_note if healthy else score > self.best.grammar_score

    def _why_unhealthy(self, found: Validation) -> str:
        if found.degenerate:
            return found.degenerate
        return f"the grammar score is {found.grammar_score:.3f}, under {self.threshold:g}"

    def state_dict(self) -> dict[str, Any]:
        """All that is remembered, as plain values."""
        state = dict(vars(self))
        for name in _OF_CONFIGURATION:
            del state[name]
        return state | {"best": asdict(self.best) if self.best else None}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up what another monitor remembered."""
        vars(self).update(state)
        best = state["best"]
        self.best = Validation(**best) if best else None


class DataMonitor:
    """Compares what the batches hold of late with what the first hundred held."""

    _FIRST, _LATE = 100, 20  # batches
    _ERRORS = 6.0  # standard errors of the late mean that are drift
    _LEAST_DRIFT = 0.02  # what is less never matters

    def __init__(self) -> None:
        self.first: list[dict[str, float]] = []
        self.late: list[dict[str, float]] = []
        self.drifting: list[str] = []

    def after_batch(self, contents: dict[str, float]) -> str:
        """A sentence where something begins to drift; nothing otherwise."""
        if len(self.first) < self._FIRST:
            self.first.append(contents)
            return ""
        self.late = [*self.late[1 - self._LATE :], contents]
        if len(self.late) < self._LATE:
            return ""
        alerts, drifting = [], []
        for name in sorted(set().union(*self.first, *self.late)):
            before = [batch.get(name, 0.0) for batch in self.first]
            usual = statistics.fmean(before)
            late = statistics.fmean(batch.get(name, 0.0) for batch in self.late)
            error = statistics.stdev(before) / math.sqrt(self._LATE)
            if abs(late - usual) > max(self._ERRORS * error, self._LEAST_DRIFT):
                drifting.append(name)
                if name not in self.drifting:
                    alerts.append(f"{name} was {usual:.3f} and is {late:.3f}")
        self.drifting = drifting
        return f"the batches drift: {'; '.join(alerts)}" if alerts else ""

    def state_dict(self) -> dict[str, Any]:
        """All that is remembered, as plain values."""
        return dict(vars(self))

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up what another monitor remembered."""
        vars(self).update(state)
