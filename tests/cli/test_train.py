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

from bicinium.formats.midi import write_midi
from bicinium.music.score import Score
from bicinium.training.config import load_config


def _set(prepared: Path, *settings: str) -> list[str]:
    return [f"--set={setting}" for setting in (f"data.prepared={prepared}", *settings)]


def test_train_rejects_invalid_configurations(
    run_cli: Callable[..., Any], prepared: Path, tmp_path: Path
) -> None:
    (tmp_path / "run.yaml").write_text("training: {max_step: 3}\n")
    run_cli("train", "run.yaml").assert_error("did you mean training.max_steps")
    run_cli("train", "absent.yaml").assert_error("absent.yaml cannot be read")
    (tmp_path / "run.yaml").write_text("data: {prepared: nowhere}\n")
    run_cli("train", "run.yaml").assert_error("There is no prepared corpus at nowhere")
    run_cli("train").assert_error("No configuration given")
    for value in ("cuda", "quantum"):
        ran = run_cli("train", "run.yaml", *_set(prepared, f"training.accelerator={value}"))
        ran.assert_error(f"training.accelerator={value}.* cannot be used here .*accelerator=cpu")
    (tmp_path / "run.yaml").write_text("training: {musical_grammar: {rules: ['nowhere:Rule']}}")
    run_cli("train", "run.yaml").assert_error("rule 'nowhere:Rule': module nowhere cannot be impor")
    (tmp_path / "run.yaml").write_text("")
    for config in ([], ["run.yaml"]):
        run_cli("train", *config, "--resume", "runs/none").assert_error(
            "There is no run at runs/none"
        )
    run_cli("train", "run.yaml", "--set", "model.vocab_size=100").assert_error(
        r"vocab_size must be 774 \(got 100\)"
    )


def test_a_mistake_in_the_configuration_is_found_before_torch_is_loaded(tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    path.write_text("training: {max_step: 3}\n")
    program = """if True:
        import sys
        from bicinium.cli.main import main
        try:
            main()
        finally:
            print("torch" in sys.modules, "lightning_fabric" in sys.modules)"""
    command = [sys.executable, "-c", program, "train", str(path)]
    ran = subprocess.run(command, capture_output=True, text=True)
    assert ran.returncode != 0
    assert "did you mean training.max_steps" in ran.stderr
    assert ran.stdout.split() == ["False", "False"]


_TINY_RUN = """
model: {d_model: 32, n_layers: 1, n_heads: 2, d_ff: 32, context: 64}
training:
  {max_steps: 3, batch_size: 2, precision: 32-true, threads: 1, warmup_steps: 1,
  musical_grammar: {validate_every_n_batches: 2, live_pieces: 2, live_bars: 1}}
"""


def test_a_mistake_is_reported_before_torch_is_loaded(tmp_path: Path) -> None:
    (tmp_path / "typo.yaml").write_text("training: {max_step: 3}\n")
    (tmp_path / "none.yaml").write_text("data: {prepared: nowhere}\n")
    program = (
        "import sys; from bicinium.cli.main import main\n"
        "try: main()\n"
        "finally: print('torch' in sys.modules)"
    )
    for name, message in (("typo", "training.max_steps"), ("none", "no prepared corpus")):
        run = [sys.executable, "-c", program, "train", f"{name}.yaml"]
        ran = subprocess.run(run, cwd=tmp_path, capture_output=True, text=True)
        assert message in ran.stderr
        assert ran.stdout == "False\n"


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


_ANY_QUALITY = ("--min-quality-score", 0)  # The music of the tests is random.


def test_a_folder_of_midi_files_can_be_trained_on(
    run_cli: Callable[..., Any], made_up_score: Callable[..., Score], tmp_path: Path
) -> None:
    """No manifest, no composer, a rare metre; the styles are the names of folders."""
    for index in range(5):
        folder = tmp_path / "my-midis" / ("" if index < 1 else "Waltz" if index < 3 else "jazz")
        folder.mkdir(parents=True, exist_ok=True)
        score = made_up_score(index, 8, ("3/4", "7/8")[index % 2])
        write_midi(score, folder / f"{index}.mid")
    ran = run_cli("corpus", "prepare", "my-midis", "--jobs", 1, *_ANY_QUALITY)
    assert ran.status == 0
    assert "styles: waltz 2, jazz 2, unknown 1" in ran.out
    assert "kept 5 of 5 pieces" in ran.out
    (tmp_path / "run.yaml").write_text(_TINY_RUN)
    ran = run_cli("train", "run.yaml", "--run", "runs/one")
    assert ran.status == 0
    assert "validation failed" not in ran.err
    run_cli("compose", "--model", "runs/one", "--style", "bach").assert_error(
        "has not learned the style 'bach'. Choose one of jazz, waltz"
    )
    options = ["--style", "jazz", "--meter", "7/8", "-n", 1, "--bars", 2, "--best-of", 1]
    assert run_cli("compose", "--model", "runs/one", *options).status == 0


@pytest.mark.parametrize("count", [2, 3, 9])
def test_any_number_of_pieces_without_styles_can_be_trained_on(
    run_cli: Callable[..., Any], made_up_score: Callable[..., Score], tmp_path: Path, count: int
) -> None:
    (tmp_path / "mine").mkdir()
    for index in range(count):
        write_midi(made_up_score(index), tmp_path / "mine" / f"{index}.mid")
    assert run_cli("corpus", "prepare", "mine", "--jobs", 1, *_ANY_QUALITY).status == 0
    (tmp_path / "run.yaml").write_text(_TINY_RUN)
    ran = run_cli("train", "run.yaml", "--run", "runs/one")
    assert ran.status == 0
    assert "validation failed" not in ran.err
    ran = run_cli("compose", "-n", 1, "--bars", 2, "--best-of", 1, "--model", "runs/one")
    assert ran.status == 0


def test_one_piece_cannot_be_trained_on(
    run_cli: Callable[..., Any], made_up_score: Callable[..., Score], tmp_path: Path
) -> None:
    write_midi(made_up_score(1), tmp_path / "one.mid")
    assert run_cli("corpus", "prepare", "one.mid", "--jobs", 1, *_ANY_QUALITY).status == 0
    (tmp_path / "run.yaml").write_text(_TINY_RUN)
    run_cli("train", "run.yaml").assert_error("Prepare at least two different pieces")


def test_rules_of_ones_own_are_named_in_the_configuration(
    run_cli: Callable[..., Any], prepared: Path, tmp_path: Path
) -> None:
    (tmp_path / "my_rules.py").write_text(
        "from bicinium.grammar import Rule\n"
        "class NoRepeatedPitch(Rule):\n"
        "    name = 'no_repeated_pitch'\n"
        "    def note_on(self, state, pitch):\n"
        "        return state.part == 1 and pitch == state.last_pitch(1)\n"
    )
    text = _TINY_RUN.replace("live_bars: 1", "live_bars: 1, rules: ['my_rules:NoRepeatedPitch']")
    (tmp_path / "run.yaml").write_text(text)
    assert run_cli("train", "run.yaml", *_set(prepared), "--run", "runs/one").status == 0
    config = load_config(tmp_path / "runs" / "one" / "config.yaml").grammar_config
    assert [rule.name for rule in config.grammar.rules][-1] == "no_repeated_pitch"
    for name in ("my_rules", "my_rules:Other", "my_rules:Rule"):
        wrong = f"training.musical_grammar.rules=['{name}']"
        run_cli("train", "run.yaml", *_set(prepared, wrong)).assert_error(f"rule '{name}': ")


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
