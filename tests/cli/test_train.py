"""`bicinium train` and `bicinium runs`."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


def test_train_rejects_invalid_configurations(run_cli: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "run.yaml").write_text("training: {max_step: 3}\n")
    run_cli("train", "run.yaml").assert_error("did you mean training.max_steps")
    run_cli("train", "absent.yaml").assert_error("absent.yaml cannot be read")
    (tmp_path / "run.yaml").write_text("data: {prepared: nowhere}\n")
    run_cli("train", "run.yaml").assert_error("There is no prepared corpus at nowhere")
    run_cli("train").assert_error("No configuration given")
    for config in ([], ["run.yaml"]):
        run_cli("train", *config, "--resume", "runs/none").assert_error(
            "There is no run at runs/none"
        )
    run_cli("train", "run.yaml", "--set", "model.vocab_size=100").assert_error(
        r"vocab_size must be 774 \(got 100\)"
    )


_TINY_RUN = """
model: {d_model: 32, n_layers: 1, n_heads: 2, d_ff: 32, context: 64}
training:
  {max_steps: 3, batch_size: 2, precision: 32-true, threads: 1, warmup_steps: 1,
  musical_grammar: {validate_every_n_batches: 2, live_pieces: 2, live_bars: 1}}
"""


def test_train_writes_a_model_that_compose_accepts(
    run_cli: Callable[..., Any], prepared: Path, tmp_path: Path
) -> None:
    (tmp_path / "run.yaml").write_text(_TINY_RUN)
    data = f"data.prepared={prepared}"
    ran = run_cli("train", "run.yaml", "--set", data, "--run", "runs/one")
    assert ran.status == 0
    assert "runs/one/model.safetensors" in ran.out
    model = tmp_path / "runs" / "one" / "model.safetensors"
    assert run_cli("compose", "-n", 1, "--bars", 2, "--model", model).status == 0
    run_cli("train", "run.yaml", "--set", data, "--run", "runs/one").assert_error(
        "holds a run already"
    )


def test_runs_compare_prints_a_table_and_draws_curves(
    run_cli: Callable[..., Any], prepared: Path, tmp_path: Path
) -> None:
    (tmp_path / "run.yaml").write_text(_TINY_RUN)
    data = f"data.prepared={prepared}"
    for name in ("one", "two"):
        assert run_cli("train", "run.yaml", "--set", data, "--run", f"runs/{name}").status == 0
    ran = run_cli("runs", "compare", "runs/one", "runs/two")
    assert ran.status == 0
    assert re.search(r"^run +one +two$", ran.out, re.MULTILINE)
    assert re.search(r"^steps +3 +3$", ran.out, re.MULTILINE)
    assert re.search(r"^live/grammar_score +[\d.e-]+ +[\d.e-]+$", ran.out, re.MULTILINE)
    assert (tmp_path / "runs.png").read_bytes().startswith(b"\x89PNG")
    ran = run_cli("runs", "compare", "runs/one", "--out", "one.png", "--json")
    assert [row["run"] for row in json.loads(ran.out)["runs"]] == ["one"]
    assert json.loads(ran.out)["curves"] == "one.png"
    run_cli("runs", "compare", "runs/none", "--force").assert_error("runs/none holds no run")
    run_cli("runs", "compare", "runs/one", "--out", "no/x.png").assert_error(
        "no/x.png cannot be written"
    )


def test_repeated_collapse_exits_with_1_and_an_error_message(
    run_cli: Callable[..., Any], prepared: Path, tmp_path: Path
) -> None:
    """A learning rate of 1e30 makes the loss infinite or NaN at the second step."""
    (tmp_path / "run.yaml").write_text(_TINY_RUN + f"data: {{prepared: {prepared}}}\n")
    ran = run_cli(
        "train", "run.yaml", "--run", "runs/one", "--set", "training.learning_rate=1e30",
        "--set", "training.max_steps=20",
    )  # fmt: skip
    assert ran.status == 1
    message = ran.err.splitlines()[-1]
    assert re.match(r"bicinium: training collapsed at step \d+ after 3 rollbacks", message)
    assert "collapse.md" in message
    assert "Traceback" not in ran.err


@pytest.mark.parametrize("when", ["a step", "a validation"])
def test_ctrl_c_saves_the_run_and_exits_with_130(
    run_cli: Callable[..., Any], prepared: Path, tmp_path: Path, when: str
) -> None:
    """Send a real signal to a real process, then resume the run."""
    grammar = (
        "validate_every_n_batches: 5000, live_pieces: 1"
        if when == "a step"
        else "validate_every_n_batches: 3, live_pieces: 64, live_bars: 250"
    )
    text = _TINY_RUN.replace("validate_every_n_batches: 2, live_pieces: 2, live_bars: 1", grammar)
    text = text.replace("max_steps: 3", "max_steps: 5000, checkpoint_every_steps: 10000")
    (tmp_path / "run.yaml").write_text(text + f"data: {{prepared: {prepared}}}\n")
    program = "import sys; from bicinium.cli.main import main; sys.argv[0] = 'bicinium'; main()"
    run = [sys.executable, "-c", program, "train"]
    ran = subprocess.Popen(
        [*run, "run.yaml", "--run", "runs/one"], cwd=tmp_path, stderr=subprocess.PIPE, text=True
    )
    last = tmp_path / "runs" / "one" / "checkpoints" / "last.ckpt"
    metrics = last.parents[1] / "metrics.jsonl"
    # steps are recorded from the first; before its validation the third is saved
    _wait_until(lambda: metrics.is_file() if when == "a step" else _step_of(last) == 3)
    time.sleep(0.5)
    ran.send_signal(signal.SIGINT)
    _, said = ran.communicate(timeout=60)
    assert ran.returncode == 130, said
    assert said.rstrip().splitlines()[-1] == (
        "Stopped and saved. Continue with: bicinium train --resume runs/one"
    )
    assert "Traceback" not in said
    stopped = _step_of(last)
    assert stopped == 3 if when == "a validation" else 0 < stopped < 5000
    settings = [f"training.max_steps={stopped + 1}"]
    settings += [f"training.musical_grammar.{name}=1" for name in ("live_pieces", "live_bars")]
    again = run_cli("train", "--resume", "runs/one", *(f"--set={each}" for each in settings))
    assert again.status == 0, again.err
    assert f"resumed: {stopped + 1} steps in total" in again.err
    assert _step_of(last) == stopped + 1


def _step_of(checkpoint: Path) -> int:
    """Return the step of a saved state, -1 if there is no file."""
    import torch

    return torch.load(checkpoint, weights_only=True)["step"] if checkpoint.is_file() else -1


def _wait_until(condition: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "timed out"
        time.sleep(0.05)
