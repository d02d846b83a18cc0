"""`bicinium finetune`: five pieces, a model, a composition."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bicinium.formats.midi import write_midi
from bicinium.model.checkpoint import load_checkpoint
from bicinium.music.score import Score


@pytest.fixture
def five_pieces(tmp_path: Path, made_up_score: Callable[..., Score]) -> Path:
    folder = tmp_path / "My Waltzes"
    folder.mkdir()
    for index in range(5):
        write_midi(made_up_score(index, 8, "3/4", "D minor"), folder / f"{index}.mid")
    return folder


def _check_model(run_cli: Callable[..., Any], ran: Any, style: str) -> None:
    assert ran.status == 0, ran
    assert f"5 pieces, 1 of them held out, style {style}" in ran.out
    before, after = map(
        float, re.findall(r"bits per note: ([\d.]+) before, ([\d.]+) after", ran.out)[0]
    )
    assert after <= before
    assert "validation failed" not in ran.err
    asked = ["--model", "runs/mine", "--style", style, "--meter", "3/4", "-n", 1, "--bars", 4]
    composed = run_cli("compose", *asked, "--best-of", 1)
    assert composed.status == 0, composed


def test_five_pieces_are_enough(
    run_cli: Callable[..., Any], five_pieces: Path, tiny_model: Path, tmp_path: Path
) -> None:
    ran = run_cli(
        "finetune", five_pieces, "--model", tiny_model, "--run", "runs/mine", "--max-steps", 12
    )
    _check_model(run_cli, ran, "my waltzes")
    model = load_checkpoint(tmp_path / "runs" / "mine")
    assert model.styles == ("bach", "classical", "my waltzes")
    run_cli("finetune", five_pieces, "--model", tiny_model, "--run", "runs/mine").assert_error(
        "runs/mine holds a run already"
    )


def test_the_style_and_the_first_model_are_chosen(
    run_cli: Callable[..., Any], five_pieces: Path, tiny_model: Path, tmp_path: Path
) -> None:
    """The second run begins with the model of the first, named by its folder."""
    options = ["--max-steps", 1, "--style", "waltz"]
    assert run_cli("finetune", five_pieces, "--model", tiny_model, *options).status == 0
    options += ["--model", "runs/finetuned", "--run", "runs/mine"]
    _check_model(run_cli, run_cli("finetune", five_pieces, *options), "waltz")
    assert load_checkpoint(tmp_path / "runs/mine").styles == ("bach", "classical", "waltz")


def test_too_few_pieces_and_wrong_names_are_refused(
    run_cli: Callable[..., Any], five_pieces: Path, tiny_model: Path
) -> None:
    one = five_pieces / "0.mid"
    ran = run_cli("finetune", one, "--model", tiny_model)
    assert ran.status == 2
    assert "1 of 1 pieces can be used; at least 2 are needed" in ran.err
    run_cli("finetune", five_pieces, "--model", "nowhere").assert_error("no model at nowhere")
    run_cli("finetune", "nowhere", "--model", tiny_model).assert_error("no corpus at nowhere")


@pytest.mark.slow
def test_the_default_model_learns_from_five_pieces(
    run_cli: Callable[..., Any], five_pieces: Path
) -> None:
    ran = run_cli("finetune", five_pieces, "--style", "waltz", "--run", "runs/mine")
    _check_model(run_cli, ran, "waltz")
    before, after = map(float, re.findall(r"note: ([\d.]+) before, ([\d.]+) after", ran.out)[0])
    assert after < before
