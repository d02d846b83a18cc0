"""The examples in the documents run as they are written."""

from __future__ import annotations

import doctest
import re
from pathlib import Path

import pytest

import bicinium
from bicinium.formats.registry import read_voice

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize(
    "name",
    [
        "docs/composing.md",
        "docs/counterpoint.md",
        "docs/grammar.md",
        "docs/integrations.md",
        "docs/notebooks.md",
        "docs/quality.md",
        "docs/training.md",
        "README.md",
    ],
)
def test_examples_print_what_they_say(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = doctest.testfile(str(ROOT / name), module_relative=False)
    assert result.failed == 0
    assert result.attempted > 0


def test_the_files_of_the_readme_exist_and_can_be_read():
    named = set(re.findall(r"examples/[\w.]+", (ROOT / "README.md").read_text(encoding="utf-8")))
    assert named == {f"examples/{path.name}" for path in (ROOT / "examples").glob("*.musicxml")}
    assert bicinium.read(ROOT / "examples/minuet.musicxml").bars == 8
    tune = read_voice(ROOT / "examples/tune.musicxml", 0)
    assert (tune.bars, str(tune.key), len(tune.voices[0].notes)) == (12, "C major", 42)
    faults = bicinium.check(ROOT / "examples/exercise.musicxml", "species1").faults
    assert [fault.rule for fault in faults if fault.severity == "error"] == ["consecutive_perfects"]
