"""Files and folders judged as training data."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from bicinium.data.validate import quality_of_file
from bicinium.formats.midi import write_midi
from bicinium.formats.musicxml_writer import write_musicxml
from bicinium.music.score import Score

MakeScore = Callable[..., Score]


@pytest.mark.parametrize("suffix", ["musicxml", "mxl"])
def test_notation_has_the_quality_of_the_same_music_as_midi(
    made_up_score: MakeScore, tmp_path: Path, suffix: str
) -> None:
    score = made_up_score(4, 12)
    write_midi(score, tmp_path / "piece.mid")
    write_musicxml(score, tmp_path / f"piece.{suffix}")
    quality = quality_of_file(tmp_path / "piece.mid")
    assert quality
    assert quality_of_file(tmp_path / f"piece.{suffix}") == quality


@pytest.mark.parametrize("suffix", ["mid", "musicxml", "mxl", "json", "txt"])
def test_what_cannot_be_read_has_no_quality(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"letter.{suffix}"
    path.write_text("Dear Anna Magdalena")
    assert quality_of_file(path) is None


def test_judging_imports_no_reader_of_notation_before_it_is_needed() -> None:
    program = (
        "import sys, bicinium.data.validate;"
        "print({'torch', 'music21', 'partitura'} & set(sys.modules))"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert ran.stdout == "set()\n"
