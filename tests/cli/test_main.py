"""The table of commands: help, unknown options and error messages."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bicinium import __version__
from bicinium.cli.compose import compose
from bicinium.cli.compose_help import COMPOSE_PANELS
from bicinium.model.checkpoint import DEFAULT_MODEL, load_checkpoint
from bicinium.model.config import COMMON_METERS


def test_help_lists_every_command(run_cli: Callable[..., Any]) -> None:
    ran = run_cli("--help")
    assert ran.status == 0
    for command in ("compose", "convert", "validate", "train", "corpus", "runs", "doctor"):
        assert re.search(rf"\b{command}\b", ran.out)


@pytest.mark.parametrize(
    "command",
    [
        ["compose"],
        ["convert"],
        ["validate"],
        ["train"],
        ["corpus", "prepare"],
        ["runs", "compare"],
        ["doctor"],
    ],
)
def test_every_command_has_help(run_cli: Callable[..., Any], command: list[str]) -> None:
    ran = run_cli(*command, "--help")
    assert ran.status == 0
    assert "--help" in ran.out


def test_the_package_runs_as_a_module() -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "bicinium", "--version"], capture_output=True, text=True, check=True
    )
    assert ran.stdout == f"bicinium {__version__}\n"


def test_version_and_short_help(run_cli: Callable[..., Any]) -> None:
    assert run_cli("--version").out == f"bicinium {__version__}\n"
    assert run_cli("compose", "-h").out == run_cli("compose", "--help").out
    assert "--show-completion" in run_cli("-h").out


def test_unknown_option_is_an_error_without_traceback(run_cli: Callable[..., Any]) -> None:
    ran = run_cli("compose", "--barz", "4")
    assert ran.status == 2
    assert "--barz" in ran.err
    assert "Traceback" not in ran.err


def test_installed_command_prints_an_error_without_traceback(tmp_path: Path) -> None:
    command = Path(sys.executable).with_name("bicinium")
    if not command.exists():
        pytest.skip("the command is not installed beside this Python")
    ran = subprocess.run(
        [command, "validate", "absent.mid"], cwd=tmp_path, capture_output=True, text=True
    )
    assert ran.returncode == 2
    assert ran.stdout == ""
    assert ran.stderr == "bicinium: There is no file at absent.mid.\n"


def test_the_help_of_compose_groups_options_and_lists_metres_and_styles(
    run_cli: Callable[..., Any],
) -> None:
    text = run_cli("compose", "--help").out
    for panel in COMPOSE_PANELS:
        assert panel in text
    words = text.replace(",", " ").replace(".", " ").split()
    styles = load_checkpoint(DEFAULT_MODEL).styles
    assert {*COMMON_METERS, *styles} <= set(words)
    names = {name for names in COMPOSE_PANELS.values() for name in names}
    assert names <= set(inspect.signature(compose).parameters)


@pytest.mark.parametrize("command", [["validate"], ["corpus", "prepare"], ["convert"], ["train"]])
def test_a_path_that_is_too_long_is_one_sentence(
    run_cli: Callable[..., Any], command: list[str]
) -> None:
    path = "music/" + "x" * 5000 + ".mid"
    ran = run_cli(*command, path, *(["out.mid"] if command == ["convert"] else []))
    assert ran.status in (1, 2)
    assert "Traceback" not in ran.err
    assert "too long" in ran.out + ran.err or "no file" in (ran.out + ran.err).lower()
