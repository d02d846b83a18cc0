"""Tests that take minutes: killed runs, runs of two processes, the configuration of the plan."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from bicinium.model.checkpoint import load_checkpoint
from bicinium.training.run_dir import (
    EVENTS,
    best_checkpoint,
    last_checkpoint,
    read_metrics,
    read_records,
)

pytestmark = pytest.mark.slow

_KILLS = 20
_PROGRAM = "from bicinium.cli.main import main; main()"  # a file: it is begun again

_SMALL = """
model: {d_model: 32, n_layers: 2, n_heads: 2, d_ff: 64, context: 128}
training:
  max_steps: 60
  batch_size: 4
  learning_rate: 5e-3
  warmup_steps: 10
  precision: 32-true
  threads: 1
  checkpoint_every_steps: 5
  musical_grammar:
    {ramp_steps: 10, positions: 128, validate_every_n_batches: 15, live_pieces: 2, live_bars: 1,
    on_policy_every_n_batches: 4, on_policy_pieces: 2, on_policy_tokens: 32}
"""


@pytest.fixture
def command(tmp_path: Path) -> list[str]:
    """The command line as a process of its own."""
    path = tmp_path / "program.py"
    path.write_text(_PROGRAM)
    return [sys.executable, str(path)]


@pytest.fixture
def bicinium_train(command: list[str]) -> Callable[..., None]:
    """Train, and end well."""

    def run(*arguments: object) -> None:
        ran = subprocess.run(
            [*command, "train", *map(str, arguments)], capture_output=True, text=True, timeout=1200
        )
        assert ran.returncode == 0, ran.stderr

    return run


@pytest.fixture
def written(strolls: Path, tmp_path: Path) -> Path:
    """A configuration of a run of sixty small steps, four times validated."""
    path = tmp_path / "run.yaml"
    path.write_text(f"{_SMALL}data: {{prepared: {strolls}}}\n")
    return path


def _weights(run: Path) -> dict[str, torch.Tensor]:
    return torch.load(last_checkpoint(run), weights_only=True)["model"]


def _assert_same_end(one: Path, other: Path) -> None:
    first, second = _weights(one), _weights(other)
    assert all(torch.equal(first[name], second[name]) for name in first)
    models = [load_checkpoint(run / "model.safetensors").weights for run in (one, other)]
    assert all(np.array_equal(models[0][name], models[1][name]) for name in models[0])


def test_a_run_killed_twenty_times_ends_with_the_same_weights(
    written: Path, tmp_path: Path, command: list[str], bicinium_train: Callable[..., None]
) -> None:
    """kill -9, at moments drawn evenly from the first record of a session on."""
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    bicinium_train(written, "--run", whole)
    times = [path.stat().st_mtime for path in (whole / "config.yaml", whole / EVENTS)]
    rng = np.random.default_rng(0)
    kills = steps_seen = 0
    while kills < _KILLS:
        begun = last_checkpoint(killed).is_file()
        asked = ["--resume", killed] if begun else [written, "--run", killed]
        records = killed / "config.yaml"
        before = records.stat().st_mtime_ns if records.is_file() else 0
        process = subprocess.Popen(
            [*command, "train", *map(str, asked)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        while process.poll() is None and (
            not records.is_file() or records.stat().st_mtime_ns == before
        ):
            time.sleep(0.01)  # the session is still being loaded
        time.sleep(rng.uniform(0, (times[1] - times[0]) / 4))
        if process.poll() is not None:  # it had come to its end
            assert process.returncode == 0
            for path in killed.rglob("last.ckpt"):
                path.unlink()
            continue
        process.send_signal(signal.SIGKILL)
        process.wait()
        kills += 1
        for path in (last_checkpoint(killed), best_checkpoint(killed)):
            if path.is_file():
                steps_seen = max(steps_seen, torch.load(path, weights_only=True)["step"])
        if (killed / "model.safetensors").is_file():
            load_checkpoint(killed / "model.safetensors")
        read_metrics(killed)
    assert steps_seen > 5
    bicinium_train("--resume", killed)
    _assert_same_end(whole, killed)
    mine, other = read_metrics(killed), read_metrics(whole)
    assert mine["live/grammar_score"] == other["live/grammar_score"]
    assert mine["train/cross_entropy"] == other["train/cross_entropy"]


# ------------------------------------------------------------------ two processes

_TWO = ("--set", "training.devices=2", "--set", "training.strategy=ddp")


def _losses(run: Path) -> np.ndarray:
    return np.array([value for _, value in read_metrics(run)["train/cross_entropy"]])


def test_two_processes_train_like_one(
    written: Path, tmp_path: Path, bicinium_train: Callable[..., None]
) -> None:
    """The same global batch; the curves differ no more than those of two seeds do."""
    for name, more in (("one", ()), ("two", _TWO), ("other seed", ("--set", "training.seed=2"))):
        bicinium_train(written, "--run", tmp_path / name, *more)
    one, two, other = (_losses(tmp_path / name) for name in ("one", "two", "other seed"))
    assert len(one) == len(two) == 7
    apart, noise = np.abs(one - two), np.abs(one - other)
    print(f"two processes differ by {apart.max():.3f} nats, two seeds by {noise.max():.3f}")
    assert apart.max() <= max(1.5 * noise.max(), 0.05)
    kinds = [event["kind"] for event in read_records(tmp_path / "two" / EVENTS)]
    # Once, not once a process. The alert: after so few steps the model is weak.
    assert kinds == ["validation"] * 4 + ["alert", "ended"]


_NAN_ON_RANK_1 = """
import json

import torch
from bicinium.cli.main import main
from bicinium.training import loop

train, seen = loop.train, []

def rank():
    return torch.distributed.get_rank()

def spoil(state):
    seen[:] = [state]
    if rank() == 1 and state.step == 20 and not state.rollbacks:
        with torch.no_grad():
            state.net.head.weight.fill_(torch.nan)

def train_and_note(config, run, resume=False):
    path = train(config, run, resume, before_step=spoil)
    (state,) = seen
    weights = {name: w.tolist() for name, w in state.net.state_dict().items() if w.ndim == 1}
    weights["head"] = state.net.head.weight.sum(dim=1).tolist()
    note = {"step": state.step, "rollbacks": state.rollbacks, "state": weights}
    (run / f"rank-{rank()}.json").write_text(json.dumps(note))
    return path

loop.train = train_and_note
main()
"""


def test_a_collapse_on_one_rank_rolls_back_both(
    written: Path, tmp_path: Path, command: list[str], bicinium_train: Callable[..., None]
) -> None:
    Path(command[1]).write_text(_NAN_ON_RANK_1)
    run = tmp_path / "run"
    bicinium_train(written, "--run", run, *_TWO)
    events = read_records(run / EVENTS)
    assert [e["step"] for e in events if e["kind"] == "collapse"] == [21]
    assert [e["left"] for e in events if e["kind"] == "rollback"] == [21]
    ranks = [json.loads((run / f"rank-{rank}.json").read_text()) for rank in (0, 1)]
    assert ranks[0]["rollbacks"] == ranks[1]["rollbacks"] == 1
    assert ranks[0] == ranks[1]
    assert np.isfinite(ranks[0]["state"]["head"]).all()


# ------------------------------------------------------------------ the plan's configuration


def test_the_configuration_of_the_plan_trains_validates_and_ends_by_itself(
    plan: str, strolls: Path, tmp_path: Path, bicinium_train: Callable[..., None]
) -> None:
    """Shortened: 110 steps of batches of two short pieces."""
    path, run = tmp_path / "musical_grammar.yaml", tmp_path / "run"
    path.write_text(plan)
    shorter = {"max_steps": 110, "batch_size": 2, "warmup_steps": 20, "threads": 1}
    settings = [f"--set=training.{name}={value}" for name, value in shorter.items()]
    settings.append("--set=training.musical_grammar.live_bars=2")
    bicinium_train(path, "--run", run, f"--set=data.prepared={strolls}", *settings)
    events = read_records(run / EVENTS)
    assert [e["step"] for e in events if e["kind"] == "validation"] == [100, 110]
    assert events[-1]["kind"] == "ended"
    curves = read_metrics(run)
    for component in (
        *("cross_entropy", "note_pairing", "sequence_coherence", "repetition_penalty"),
        *("velocity", "legality", "margin", "entropy_floor"),
    ):
        assert len(curves[f"train/{component}"]) == 12, component
        if component != "cross_entropy":  # after steps 25, 50, 75, and the validation at 100
            steps = [step for step, _ in curves[f"on_policy/{component}"]]
            assert steps == [26, 51, 76, 101], component
    assert curves["train/cross_entropy"][-1][1] < 2 < 6 < curves["train/cross_entropy"][0][1]
    print(f"live grammar score {curves['live/grammar_score']}")
    assert load_checkpoint(run / "model.safetensors").config.d_model == 256
