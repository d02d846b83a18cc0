"""What a release needs agrees: versions, licences, and the tools that try wheels."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import yaml

import bicinium

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def test_the_citation_is_of_this_version_and_licence() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == bicinium.__version__
    assert citation["license"] == PROJECT["project"]["license"]
    assert citation["cff-version"] == "1.2.0"
    assert {"title", "message", "authors"} <= citation.keys()


def test_wheels_are_built_for_each_python_that_is_named() -> None:
    named = {
        line.removeprefix("Programming Language :: Python :: ")
        for line in PROJECT["project"]["classifiers"]
        if line.startswith("Programming Language :: Python :: 3.")
    }
    built = PROJECT["tool"]["cibuildwheel"]["build"]
    assert set(built) == {f"cp{version.replace('.', '')}-*" for version in named}
    trial = PROJECT["tool"]["cibuildwheel"]["test-command"].rpartition("{project}/")[2]
    assert (ROOT / trial).is_file()


def test_the_trial_of_a_wheel_works_here() -> None:
    command = [sys.executable, str(ROOT / "tools" / "wheel_trial.py")]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.endswith("compiled, works\n")


def test_a_python_without_a_wheel_fails_the_matrix() -> None:
    command = [
        sys.executable,
        str(ROOT / "tools" / "wheel_matrix.py"),
        "bicinium-0-cp30-cp30-x.whl",
    ]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert ended.stdout == f"{sys.executable}: no wheel for it\n"
