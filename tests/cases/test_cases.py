"""Difficult files with the right answer of each, from a folder beside the repository.

The environment variable ``BICINIUM_CASES`` names the folder. A row is tested by ``judge``, or, if
it says in words what is right, by a test of its own.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmarks.reading_cases import judge, load_cases, section, with_section
from bicinium.data.prepare import prepare
from bicinium.data.sources import find_sources
from bicinium.errors import RequestError
from bicinium.formats.registry import read_score
from bicinium.music.score import TICKS_PER_QUARTER
from bicinium.request import ComposeRequest

_FOLDER = Path(
    os.environ.get("BICINIUM_CASES", Path(__file__).resolve().parents[3] / "shared" / "cases")
)
_CASES = load_cases(_FOLDER) if _FOLDER.is_dir() else []
_BY_ID = {case["id"]: case for case in _CASES}
_IN_WORDS = ("068", "069", "070", "103", "104", "168", "413")  # each has a test below
_MAX_BYTES = 300_000_000  # of memory, for a file that would unpack to a gigabyte

pytestmark = pytest.mark.skipif(
    not _CASES, reason=f"there are no cases in {_FOLDER}; BICINIUM_CASES names their folder"
)


@pytest.fixture
def case_file() -> Callable[[str], Path]:
    """Return a function that gives the file of a case."""
    return lambda number: _FOLDER / str(_BY_ID[number]["file"])


@pytest.mark.parametrize(
    "case", [case for case in _CASES if case["id"] not in _IN_WORDS], ids=lambda case: case["id"]
)
def test_a_file_is_read_right_or_refused_where_it_may_be(case: dict[str, Any]) -> None:
    judgement = judge(case, _FOLDER)
    assert judgement.outcome != "wrong", f"{case['what']}: {judgement.seen}"


def test_the_documentation_has_the_results_of_the_cases() -> None:
    """If this fails: python -m benchmarks reading_cases FOLDER --docs docs/formats.md."""
    page = (Path(__file__).parents[2] / "docs" / "formats.md").read_text("utf-8")
    assert with_section(page, section(_FOLDER)) == page


def test_every_row_in_words_has_a_test() -> None:
    in_words = {
        case["id"] for case in _CASES if case["file"] is None or case["expect"] == "see what"
    }
    assert in_words == set(_IN_WORDS)


def test_a_recorded_line_becomes_quarters_as_advised(case_file: Callable[[str], Path]) -> None:
    score = read_score(case_file("068"), reduce=True)
    lengths = [note.duration_ticks for note in score.voices[0].notes]
    assert lengths == [TICKS_PER_QUARTER] * 32
    assert not score.voices[1].notes


def test_midi_by_verovio_is_on_the_grid_and_kept_in_a_corpus(
    case_file: Callable[[str], Path], tmp_path: Path
) -> None:
    score = read_score(case_file("069"))
    assert score.note_count == 135
    assert (str(score.meter), score.bars, round(score.tempo_qpm)) == ("3/4", 16, 100)
    assert prepare(find_sources([case_file("069")]), tmp_path, jobs=1).kept == 1


def test_a_rest_of_thirty_bars_in_a_given_voice_is_refused_in_words(
    case_file: Callable[[str], Path],
) -> None:
    with pytest.raises(RequestError, match="in bar 18, nothing changes for longer"):
        ComposeRequest(upper=case_file("070")).conditions([0], ())


def test_mei_by_verovio_keeps_metre_and_notes(case_file: Callable[[str], Path]) -> None:
    score = read_score(case_file("413"))
    assert score.note_count == 135
    assert (str(score.meter), score.bars, round(score.tempo_qpm)) == ("3/4", 16, 100)


def test_bars_to_rewrite_are_those_on_the_page(case_file: Callable[[str], Path]) -> None:
    source = read_score(case_file("168"))
    request = ComposeRequest(rewrite=case_file("168"), rewrite_bars=(2, 2))
    (conditions,) = request.conditions([0], ())
    assert conditions.fixed_notes is not None
    start, end = (source.start_tick + quarters * TICKS_PER_QUARTER for quarters in (4, 7))
    for voice, fixed in zip(source.voices, conditions.fixed_notes.score.voices, strict=True):
        kept = [note for note in voice.notes if not start <= note.onset_tick < end]
        assert list(fixed.notes) == kept
        assert len(kept) < len(voice.notes)


def _peak_of_reading(path: Path) -> tuple[str, int]:
    """Return what a process prints that reads a file, and its peak of memory in bytes.

    The peak of ``resource`` would begin with that of the process that starts it.
    """
    program = (
        "import sys\n"
        "from bicinium.errors import BiciniumError\n"
        "from bicinium.formats.registry import read_music\n"
        "try:\n    read_music(sys.argv[1])\nexcept BiciniumError as error:\n    print(error)\n"
        "status = open('/proc/self/status').read().split()\n"
        "print(status[status.index('VmHWM:') + 1])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, path], capture_output=True, text=True, check=True
    )
    message, peak = done.stdout.strip().rsplit("\n", 1)
    return message, int(peak) * 1024


def test_entities_that_stand_for_a_gigabyte_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "entities.musicxml"
    uses = "&a;" * 20_000
    path.write_text(
        f'<!DOCTYPE score-partwise [<!ENTITY a "{"x" * 50_000}">]>\n'
        f"<score-partwise><movement-title>{uses}</movement-title></score-partwise>"
    )
    message, peak = _peak_of_reading(path)
    assert "entities" in message
    assert peak < _MAX_BYTES


def test_an_archive_that_unpacks_to_a_gigabyte_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "large.mxl"
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("score.xml", "w", force_zip64=True) as file,
    ):
        for _ in range(100):
            file.write(b" " * 10_000_000)
    assert path.stat().st_size < 2_000_000
    message, peak = _peak_of_reading(path)
    assert re.search("unpacks to more than", message)
    assert peak < _MAX_BYTES
