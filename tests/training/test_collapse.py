"""Collapse and rollback: a run that is damaged recovers with a rollback, and not without.

The model is small and learns four-bar pieces of quarters and halves. It is trained until its
unconstrained pieces are grammatical, and then the run is damaged.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bicinium.errors import CollapseError
from bicinium.tokenizer.vocabulary import START
from bicinium.training import step as training_step
from bicinium.training.batches import TrainingBatches, on_policy_batch
from bicinium.training.config import TrainConfig, TrainingSection
from bicinium.training.dataset import Batch
from bicinium.training.live_sampler import GeneratedPiece, LiveSampler
from bicinium.training.loop import StepHook, train
from bicinium.training.monitor import Monitor
from bicinium.training.run_dir import (
    COLLAPSE_REPORT,
    EVENTS,
    METRICS,
    last_checkpoint,
    read_records,
)
from bicinium.training.run_state import RunState

_BARS = 4
_WELL, _END, _EVERY, _PATIENCE = 160, 240, 20, 2  # steps; after _WELL things begin to happen
_LOOPED_TOKEN = 43


def _config(data: Path, max_steps: int = _END, **grammar: Any) -> TrainConfig:
    of_grammar = {
        "ramp_steps": 20,
        "positions": 128,
        "entropy_weight": 0,
        "on_policy_weight": 10,
        "on_policy_pieces": 4,
        "on_policy_tokens": 64,
        "validate_every_n_batches": _EVERY,
        "early_stop_patience": _PATIENCE,
        "live_bars": _BARS,
        "live_pieces": 8,
        "saved_pieces": 0,
    }
    return TrainConfig.model_validate(
        {
            "model": {"d_model": 64, "n_layers": 2, "n_heads": 2, "d_ff": 128, "context": 128},
            "training": {
                "max_steps": max_steps,
                "learning_rate": 5e-3,
                "warmup_steps": 20,
                "precision": "32-true",
                "threads": 1,
                "checkpoint_every_steps": 1000,
                "musical_grammar": of_grammar | grammar,
            },
            "data": {"prepared": str(data)},
        }
    )


@pytest.fixture(scope="module")
def well(strolls: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run stopped at the step _WELL, in a healthy state."""
    run = tmp_path_factory.mktemp("runs") / "well"

    def until_well(state: RunState) -> None:
        if state.step == _WELL:
            raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        _never_stop_early(patch)
        with pytest.raises(KeyboardInterrupt):
            train(_config(strolls), run, before_step=until_well)
    assert _scores(run)[-1][1] > 0.8
    return run


def _never_stop_early(patch: pytest.MonkeyPatch) -> None:
    judge = Monitor.after_validation
    patch.setattr(
        Monitor, "after_validation", lambda self, found: replace(judge(self, found), stop="")
    )


def _events(run: Path, kind: str) -> list[dict[str, Any]]:
    return [event for event in read_records(run / EVENTS) if event["kind"] == kind]


def _scores(run: Path) -> list[tuple[int, float]]:
    return [(e["step"], e["live/grammar_score"]) for e in _events(run, "validation")]


@pytest.fixture
def go_on(
    well: Path, strolls: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Path]:
    """Return a function that resumes a copy of the healthy run and trains it to its end.

    Early stopping is off, so that all runs have the same number of steps.
    """
    _never_stop_early(monkeypatch)
    numbers = iter(range(10))

    def start(before_step: StepHook | None, **grammar: Any) -> Path:
        run = tmp_path / f"run-{next(numbers)}"
        shutil.copytree(well, run)
        train(_config(strolls, **grammar), run, resume=True, before_step=before_step)
        return run

    return start


def _final_score(run: Path) -> float:
    """Return the grammar score of the last state; 0 if it could not be measured."""
    step, score = _scores(run)[-1]
    assert torch.load(last_checkpoint(run), weights_only=True)["step"] == _END
    return score if step == _END else 0.0


# ------------------------------------------------------------------ damage


def _noise(_: pytest.MonkeyPatch) -> StepHook:
    """The weights are overwritten once."""

    def overwrite(state: RunState) -> None:
        if state.step == _WELL and not state.rollbacks:
            generator = torch.Generator().manual_seed(0)
            with torch.no_grad():
                for weight in state.net.parameters():
                    weight.copy_(torch.randn(weight.shape, generator=generator))

    return overwrite


def _nan(_: pytest.MonkeyPatch) -> StepHook:
    """The weights become NaN once."""

    def overwrite(state: RunState) -> None:
        if state.step == _WELL and not state.rollbacks:
            _set_to_nan(state)

    return overwrite


def _set_to_nan(state: RunState) -> None:
    with torch.no_grad():
        for weight in state.net.parameters():
            weight.fill_(torch.nan)


def _learning_rate(monkeypatch: pytest.MonkeyPatch) -> StepHook:
    """The learning rate of ten steps is three hundred times as high, until a rollback."""
    original, rollbacks = training_step.learning_rate_at, [0]

    def note(state: RunState) -> None:
        rollbacks[0] = state.rollbacks

    def wild(training: TrainingSection, step: int) -> float:
        is_wild = not rollbacks[0] and _WELL <= step < _WELL + 10
        return original(training, step) * (300 if is_wild else 1)

    monkeypatch.setattr(training_step, "learning_rate_at", wild)
    return note


def _loop(monkeypatch: pytest.MonkeyPatch) -> None:
    """The training data is one repeated token until a rollback.

    It must last to the end: 20 steps of good data heal this small model without a rollback.
    """
    looped = GeneratedPiece(
        np.array([START, *[_LOOPED_TOKEN] * 127], np.int16), "4/4", "major", "bach", _BARS, 0
    )
    batch = TrainingBatches.batch

    def spoilt(self: TrainingBatches, step: int, rollbacks: int = 0) -> Batch:
        if rollbacks or step < _WELL:
            return batch(self, step, rollbacks)
        return on_policy_batch([looped] * 8, self.dataset.config, self.grammar_positions, [step])

    monkeypatch.setattr(TrainingBatches, "batch", spoilt)


_PROVOCATIONS = {
    "learning rate": (_learning_rate, {}, "the loss rose from"),
    "noise": (_noise, {}, "the loss rose from"),
    "nan": (_nan, {}, "the loss is nan"),
    # on cross-entropy alone: the grammar loss resists such data by itself (0.88 without a rollback)
    "loop": (_loop, {"enabled": False}, "the loss rose from"),
    # with no eye on the losses, what the model writes gives it away
    "loop, seen live": (
        _loop,
        {"enabled": False, "loss_spike_factor": 0},
        "2 consecutive validations",
    ),
}


# ------------------------------------------------------------------ recovery


@pytest.mark.slow
@pytest.mark.parametrize(
    ("provoke", "grammar", "why"), _PROVOCATIONS.values(), ids=_PROVOCATIONS.keys()
)
def test_a_collapse_is_detected_and_rolled_back_and_the_run_ends_healthy(
    go_on: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
    provoke: Callable[[pytest.MonkeyPatch], StepHook | None],
    grammar: dict[str, Any],
    why: str,
) -> None:
    before_step = provoke(monkeypatch)
    run = go_on(before_step, **grammar)
    (collapse,), (back,) = _events(run, "collapse"), _events(run, "rollback")
    assert why in collapse["message"]
    assert _WELL < collapse["step"] <= _WELL + _PATIENCE * _EVERY
    assert back["left"] == collapse["step"]
    assert back["step"] <= _WELL
    assert (
        "rollback 1 of at most 3; learning rate times 0.5, grammar weights times 1.5"
        in (back["message"])
    )
    assert _final_score(run) > 0.8

    lost = go_on(before_step, rollback=False, **grammar)
    assert _events(lost, "collapse")[0]["step"] == collapse["step"]
    assert not _events(lost, "rollback")
    assert _final_score(lost) < 0.8
    print(f"{_final_score(run):.3f} with rollback, {_final_score(lost):.3f} without")


def _tiny(data: Path, max_steps: int = 12, **grammar: Any) -> TrainConfig:
    """Return a run of seconds, too short to learn. Every state counts as healthy."""
    config = _config(
        data, max_steps, **{"validate_every_n_batches": 4, "live_bars": 1, "live_pieces": 2}
        | {"grammar_score_threshold": 0, "on_policy_weight": 0, "early_stop_patience": 9}
        | grammar,
    )  # fmt: skip
    small = {"d_model": 16, "d_ff": 16, "n_layers": 1, "dropout": 0.1}
    return config.model_copy(
        update={
            "model": config.model.model_copy(update=small),
            "training": config.training.model_copy(update={"log_every_steps": 1}),
        }
    )


def _nan_at(step: int, times: int) -> StepHook:
    """Return a hook that sets the weights to NaN at a step, the first ``times`` times."""
    left = [times]

    def overwrite(state: RunState) -> None:
        if state.step == step and left[0]:
            left[0] -= 1
            _set_to_nan(state)

    return overwrite


@pytest.mark.parametrize("at", [2, 8, 11])
def test_a_rollback_restores_everything(strolls: Path, tmp_path: Path, at: int) -> None:
    """Weights, optimiser, monitors, place in the data, random numbers: a run that was rolled back
    ends like one that was stopped at that state and resumed as if it had been rolled back.
    """
    rolled_back, stopped, config = tmp_path / "rolled back", tmp_path / "stopped", _tiny(strolls)
    train(config, rolled_back, before_step=_nan_at(at, 1))
    (back,) = _events(rolled_back, "rollback")
    assert (back["left"], back["step"] > 0) == (at + 1, at > 4)

    def stop(state: RunState) -> None:
        if state.step == back["step"]:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(config, stopped, before_step=stop)
    state = torch.load(last_checkpoint(stopped), weights_only=True)
    torch.save(state | {"rollbacks": 1}, last_checkpoint(stopped))
    train(config, stopped, resume=True)
    one, other = (
        torch.load(last_checkpoint(run), weights_only=True) for run in (stopped, rolled_back)
    )
    for name, weight in one["model"].items():
        assert torch.equal(weight, other["model"][name]), name
    assert len(one["optimizers"]) == 2
    for first, second in zip(one["optimizers"], other["optimizers"], strict=True):
        for index, moments in first["state"].items():
            for name, value in moments.items():
                assert torch.equal(value, second["state"][index][name]), (index, name)
    assert one["monitor"] == other["monitor"]
    assert one["data_monitor"] == other["data_monitor"]
    assert (one["step"], one["rollbacks"]) == (other["step"], other["rollbacks"]) == (12, 1)


def test_a_rollback_changes_learning_rate_grammar_weights_and_batches(
    strolls: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = TrainingBatches.batch
    targets: dict[int, list[Any]] = {}

    def seen(self: TrainingBatches, step: int, rollbacks: int = 0) -> Batch:
        found = batch(self, step, rollbacks)
        targets.setdefault(step, []).append(found.targets.tolist())
        return found

    monkeypatch.setattr(TrainingBatches, "batch", seen)
    train(_tiny(strolls), tmp_path / "run", before_step=_nan_at(6, 1))
    scales: dict[int, list[float]] = {}
    rates: dict[int, list[float]] = {}
    for record in read_records(tmp_path / "run" / METRICS):
        if "train/grammar_scale" in record:
            scales.setdefault(record["step"] - 1, []).append(record["train/grammar_scale"])
            rates.setdefault(record["step"] - 1, []).append(record["train/learning_rate"])
    for step in (4, 5, 6):
        before, after = targets[step]
        assert before != after
        assert scales[step][1] == pytest.approx(1.5 * scales[step][0])
        assert rates[step][1] == pytest.approx(0.5 * rates[step][0])
    assert all(len(targets[step]) == 1 for step in (*range(4), *range(7, 12)))


def test_too_many_collapses_end_the_run_with_a_report(strolls: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    with pytest.raises(CollapseError, match="collapsed at step 7 after 2 rollbacks") as caught:
        train(_tiny(strolls, max_rollbacks=2), run, before_step=_nan_at(6, 99))
    assert "The best state is of step 4" in str(caught.value)
    assert str(run / COLLAPSE_REPORT) in str(caught.value)
    assert len(_events(run, "collapse")) == 3
    assert len(_events(run, "rollback")) == 2
    report = (run / COLLAPSE_REPORT).read_text()
    assert "# Training collapsed at step 7" in report
    assert "The loss is nan. The run had been rolled back 2 times." in report
    assert "Validation(step=4" in report
    assert str(run / "model.safetensors") in report
    assert report.count("| rollback |") == 2
    assert (run / "model.safetensors").is_file()


def test_a_collapse_before_the_first_validation_rolls_back_to_the_start(
    strolls: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    with pytest.raises(CollapseError, match="No state was validated"):
        train(_tiny(strolls, max_rollbacks=1), run, before_step=_nan_at(2, 99))
    assert [event["step"] for event in _events(run, "rollback")] == [0]
    assert "No state was validated." in (run / COLLAPSE_REPORT).read_text()


def test_without_rollback_a_collapse_is_only_reported(strolls: Path, tmp_path: Path) -> None:
    train(_tiny(strolls, rollback=False), tmp_path / "run", before_step=_nan_at(6, 1))
    reported = [event["step"] for event in _events(tmp_path / "run", "collapse")]
    assert reported[0] == 7
    assert 8 in reported  # the validation, of weights that are not finite
    assert _events(tmp_path / "run", "rollback") == []
    last = torch.load(last_checkpoint(tmp_path / "run"), weights_only=True)
    assert last["step"] == 12
    assert last["monitor"]["best"]["step"] == 4


@pytest.mark.parametrize("fails", ["always", "at first"])
def test_a_state_whose_validation_failed_is_never_best(
    strolls: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails: str
) -> None:
    compose, calls = LiveSampler.compose, iter(range(99))

    def failing(self: LiveSampler, *args: Any) -> Any:
        call = next(calls)  # The first one is the rehearsal.
        if call == 1 or (call and fails == "always"):
            raise OSError("no room on the disk")
        return compose(self, *args)

    monkeypatch.setattr(LiveSampler, "compose", failing)
    run = tmp_path / "run"
    if fails == "always":
        with pytest.raises(CollapseError, match=r"no state of .* could be validated"):
            train(_tiny(strolls), run)
        assert not (run / "model.safetensors").exists()
    else:
        train(_tiny(strolls), run)
        state = torch.load(last_checkpoint(run), weights_only=True)
        assert state["monitor"]["best"]["step"] in (8, 12)
    reported = [event["message"] for event in _events(run, "alert") if event["step"] == 4]
    assert any("no room on the disk" in message for message in reported)
    assert any("counts as unknown" in message for message in reported)
    assert 4 not in dict(_scores(run))
    assert _events(run, "rollback") == []
