"""No command replaces a file unasked, and none its own input."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from bicinium.cli.main import app

_TINY_RUN = """
model: {d_model: 32, n_layers: 1, n_heads: 2, d_ff: 32, context: 64}
training:
  {max_steps: 3, batch_size: 2, precision: 32-true, threads: 1, warmup_steps: 1,
  musical_grammar: {validate_every_n_batches: 2, live_pieces: 2, live_bars: 1}}
"""

# Each command that writes: its arguments, and one file that it writes. {} are fixtures below.
_WRITING = {
    "compose": (
        "compose -n 1 --bars 1 --seed 4 --key C --meter 4/4 --model {model} --out .",
        "c-major-4-4-seed-4.mid",
    ),
    "convert": ("convert {piece} copy.musicxml", "copy.musicxml"),
    "validate": ("validate {piece} --report page.html", "page.html"),
    "check": ("check {piece} --report page.html", "page.html"),
    "check --marked": ("check {piece} --marked marked.musicxml", "marked.musicxml"),
    "check --fix": ("check {piece} --fix repaired.mid", "repaired.mid"),
    "species": ("species 1 --cantus fux-c --out exercise.mid", "exercise.mid"),
    "evaluate": (
        "evaluate {model} --data {folder} --pieces 0 --unconstrained 0 --out .",
        "report.json",
    ),
    "corpus prepare": (
        "corpus prepare {folder} --jobs 1 --min-quality-score 0 --out .",
        "manifest.csv",
    ),
    "corpus report": ("corpus report {prepared} --out page.html", "page.html"),
    "corpus fetch": ("corpus fetch arabesque --server http://localhost:9 --out .", "manifest.csv"),
    "publish": ("publish {model} . --licence cc-by-sa-4.0", "README.md"),
    "runs compare": ("runs compare {run} --out curves.png", "curves.png"),
    "runs average": ("runs average {run}", "{run}/average.safetensors"),
}
_READING = {"doctor", "live", "studio", "corpus validate"}
_OTHERWISE = {"train", "finetune"}  # refuse a folder with a run; see their tests


def _commands(group: typer.Typer, prefix: str = "") -> Iterator[str]:
    for command in group.registered_commands:
        assert command.callback is not None
        yield prefix + (command.name or command.callback.__name__)
    for below in group.registered_groups:
        assert below.typer_instance is not None
        yield from _commands(below.typer_instance, f"{below.name} ")


def test_every_command_is_listed() -> None:
    writing = {name.partition(" --")[0] for name in _WRITING}
    assert set(_commands(app)) == writing | _READING | _OTHERWISE


@pytest.fixture
def fill(
    run_cli: Callable[..., Any],
    tiny_model: Path,
    valid_midi: Path,
    midi_folder: Path,
    prepared: Path,
    tmp_path: Path,
) -> Callable[[str], str]:
    """Put the paths of the fixtures into a command. A training run is made only if it is needed."""

    def filled(text: str) -> str:
        run = tmp_path / "run"
        if "{run}" in text and not run.exists():
            (tmp_path / "run.yaml").write_text(_TINY_RUN)
            data = f"data.prepared={prepared}"
            assert run_cli("train", "run.yaml", "--set", data, "--run", run).status == 0
        return text.format(
            model=tiny_model, piece=valid_midi, folder=midi_folder, prepared=prepared, run=run
        )

    return filled


@pytest.mark.parametrize("name", _WRITING)
def test_a_file_is_replaced_only_with_force(
    run_cli: Callable[..., Any], fill: Callable[[str], str], name: str
) -> None:
    command, output = (fill(part) for part in _WRITING[name])
    path = Path(output)
    path.write_bytes(b"mine")
    run_cli(*command.split()).assert_error(f"{path.name} exists already.*--force")
    assert path.read_bytes() == b"mine"
    assert run_cli(*command.split(), "--force").status in (0, 1)
    assert path.read_bytes() != b"mine"


@pytest.mark.parametrize(
    "command",
    [
        "convert {piece} {piece}",
        "convert {piece} link.mid",
        "validate {piece} --report {piece}",
        "check {piece} --report {piece}",
        "check {piece} --marked {piece}",
    ],
)
def test_an_input_is_never_overwritten(
    run_cli: Callable[..., Any],
    fill: Callable[[str], str],
    valid_midi: Path,
    command: str,
) -> None:
    os.link(valid_midi, "link.mid")
    before = valid_midi.read_bytes()
    for options in ((), ("--force",)):
        ran = run_cli(*fill(command).split(), *options)
        ran.assert_error("is the file that is read, and would be overwritten")
    assert valid_midi.read_bytes() == before == Path("link.mid").read_bytes()


def test_composing_twice_with_fresh_seeds_keeps_both_pieces(
    run_cli: Callable[..., Any], tiny_model: Path, tmp_path: Path
) -> None:
    for _ in range(2):
        assert run_cli("compose", "-n", 1, "--bars", 1, "--model", tiny_model).status == 0
    assert len(list((tmp_path / "out").iterdir())) == 2
