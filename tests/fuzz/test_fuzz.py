"""Odd input to every reader: what was found before, and a search for more.

``fuzz.py`` says what is read, and what may happen. BICINIUM_FUZZ_SECONDS is the time of the search
for each kind of input (default: 20).
"""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

_PROGRAM = Path(__file__).with_name("fuzz.py")
_TARGETS = sorted(path.name for path in (_PROGRAM.parent / "seeds").iterdir())
_SECONDS = os.environ.get("BICINIUM_FUZZ_SECONDS", "20")


def _run(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(_PROGRAM), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)


def test_no_known_input_breaks_a_reader(tmp_path: Path) -> None:
    ran = _run("--replay", "--found", tmp_path)
    assert ran.returncode == 0, ran.stdout + ran.stderr[-2000:]


def test_an_exception_of_a_reader_is_found(tmp_path: Path) -> None:
    ran = _run("--replay", "broken", "--found", tmp_path)
    assert ran.returncode == 1
    assert "FOUND broken: ZeroDivisionError at fuzz.py" in ran.stdout
    assert list((tmp_path / "broken").iterdir())


@pytest.mark.slow
@pytest.mark.skipif(not importlib.util.find_spec("atheris"), reason="atheris is not installed")
@pytest.mark.parametrize("target", _TARGETS)
def test_no_odd_input_breaks_a_reader(target: str, tmp_path: Path) -> None:
    ran = _run(target, "--seconds", _SECONDS, "--found", tmp_path)
    executions = re.search(r"number_of_executed_units: (\d+)", ran.stderr)
    assert executions, ran.stderr[-2000:]
    print(f"\n{target}: {int(executions[1]):,} executions in {_SECONDS} s")
    assert ran.returncode == 0, ran.stderr[-2000:]
    assert not list(tmp_path.rglob("*")), ran.stdout
