"""The examples in the documents run as they are written."""

from __future__ import annotations

import doctest
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize(
    "name",
    [
        "docs/composing.md",
        "docs/counterpoint.md",
        "docs/grammar.md",
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
