"""Public test suites, from a folder beside the repository, compared with other libraries."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from benchmarks.reading_suites import EXPLAINED, compare
from bicinium.formats.registry import find_music

_FOLDER = Path(
    os.environ.get("BICINIUM_SUITES", Path(__file__).resolve().parents[3] / "shared" / "suites")
)
_MIN_READ = 183  # of 222


@pytest.mark.slow
@pytest.mark.skipif(
    not _FOLDER.is_dir(), reason=f"there is no {_FOLDER}; BICINIUM_SUITES names the folder"
)
def test_the_suites_have_the_notes_that_other_libraries_read() -> None:
    pytest.importorskip("music21")
    outcomes = {path.name: compare(path) for path in find_music(_FOLDER)}
    different = {name: seen for name, seen in outcomes.items() if seen[0].endswith("different")}
    assert different == {}
    assert sum(outcome != "refused" for outcome, _ in outcomes.values()) >= _MIN_READ
    explained = {name for name, (outcome, _) in outcomes.items() if outcome.endswith("explained")}
    assert explained == set(EXPLAINED)
    for outcome, said in outcomes.values():
        if outcome == "refused":
            assert not any(word in said.lower() for word in ("mido", "music21", "symusic"))
