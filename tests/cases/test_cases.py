"""Difficult files with the right answer of each, from a folder beside the repository."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from benchmarks.reading_cases import judge, load_cases

_FOLDER = Path(
    os.environ.get("BICINIUM_CASES", Path(__file__).resolve().parents[3] / "shared" / "cases")
)
_CASES = load_cases(_FOLDER) if _FOLDER.is_dir() else []


@pytest.mark.skipif(not _CASES, reason="the cases are not beside this repository")
@pytest.mark.parametrize(
    "case", [case for case in _CASES if case["file"]], ids=lambda case: case["id"]
)
def test_a_file_is_read_right_or_refused_where_it_may_be(case: dict[str, Any]) -> None:
    judgement = judge(case, _FOLDER)
    assert judgement.outcome != "wrong", f"{case['what']}: {judgement.seen}"
