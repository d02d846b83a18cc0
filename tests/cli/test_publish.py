"""`bicinium publish`."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture
def run_folder(tmp_path: Path, tiny_model: Path) -> Path:
    run = tmp_path / "run"
    run.mkdir()
    shutil.copyfile(tiny_model, run / "model.safetensors")
    return run


def test_the_folder_has_weights_configuration_and_a_card_with_licences(
    run_cli: Callable, run_folder: Path, prepared: Path
) -> None:
    options = ("--licence", "apache-2.0", "--data", prepared)
    result = run_cli("publish", run_folder, "card", *options)
    assert result.status == 0, result.err
    assert sorted(path.name for path in Path("card").iterdir()) == [
        "README.md", "config.json", "model.safetensors",
    ]  # fmt: skip
    config = json.loads(Path("card/config.json").read_text())
    assert config["files"].keys() == {"model.safetensors"}
    licences = json.loads((prepared / "manifest.json").read_text())["licences"]
    assert licences
    card = Path("card/README.md").read_text(encoding="utf-8")
    for name, count in licences.items():
        assert f"| {name} | {count} |" in card
    run_cli("publish", run_folder, "card", *options).assert_error("exists already.*--force")
    assert run_cli("publish", run_folder, "card", *options, "--force").status == 0


def test_a_published_folder_is_a_model(run_cli: Callable, run_folder: Path) -> None:
    assert run_cli("publish", run_folder, "card", "--licence", "mit").status == 0
    made = run_cli("compose", "-n", 1, "--bars", 2, "--model", "card", "--formats", "mid")
    assert made.status == 0, made.err


def test_publishing_again_removes_files_of_another_model(
    run_cli: Callable, run_folder: Path
) -> None:
    assert run_cli("publish", "default", "card", "--licence", "cc-by-sa-4.0").status == 0
    assert Path("card/model.critic.json").is_file()
    assert run_cli("publish", run_folder, "card", "--licence", "mit", "--force").status == 0
    assert not Path("card/model.critic.json").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--licence", "CC BY 4.0"), r"--licence must be an identifier .* \(got CC BY 4.0\)"),
        (("--licence", "mit", "--data", "nowhere"), r"nowhere.* cannot be read"),
    ],
)
def test_wrong_options_write_nothing(
    options: tuple[str, ...], message: str, run_cli: Callable, run_folder: Path
) -> None:
    run_cli("publish", run_folder, "card", *options).assert_error(message)
    assert not Path("card").exists()


def test_the_folder_of_the_run_is_not_overwritten(run_cli: Callable, run_folder: Path) -> None:
    result = run_cli("publish", run_folder, run_folder, "--licence", "mit", "--force")
    result.assert_error("is the file that is read")
