"""From one's own tune in any format to a second voice on paper."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bicinium.formats.registry import read_score, read_voice
from bicinium.music.counterpoint import (
    LOWER,
    UPPER,
    ends_on_tonic,
    has_authentic_bass,
    notes_outside_key,
    strong_beat_dissonances,
)
from bicinium.music.score import Score
from bicinium.render.export import write_score

TUNE = Path(__file__).parents[2] / "examples" / "tune.musicxml"
_ABC = """X:1
T:Own tune
M:3/4
L:1/4
K:G
D|G B d|d2 B|c A F|G2|]
"""


@pytest.fixture
def own_tune(tmp_path: Path) -> Callable[[str], Path]:
    """Return a function that writes the tune as a file with a suffix."""

    def write(suffix: str) -> Path:
        path = tmp_path / f"own{suffix}"
        if suffix == ".abc":
            path.write_text(_ABC, encoding="utf-8")
        else:
            score = read_voice(TUNE, UPPER)
            write_score(Score(score.voices, score.bars, score.meter, score.key), path)
        return path

    return write


@pytest.mark.parametrize("suffix", [".mid", ".musicxml", ".abc"])
def test_own_tune_to_second_voice_to_pdf(
    run_cli: Callable[..., Any], own_tune: Callable[[str], Path], tmp_path: Path, suffix: str
) -> None:
    pytest.importorskip("verovio")
    tune = own_tune(suffix)
    ran = run_cli(
        "compose", "--upper", tune, "-n", 1, "--best-of", 4, "--seed", 3, "--formats",
        "musicxml,pdf", "--out", tmp_path / "out",
    )  # fmt: skip
    assert ran.status == 0, ran.err
    score = read_score(tmp_path / "out" / "own-seed-3.musicxml")
    assert score.voices[UPPER].notes == read_voice(tune, UPPER).voices[UPPER].notes
    assert score.key is not None
    assert ends_on_tonic(score, score.key)
    assert has_authentic_bass(score, score.key)
    assert not strong_beat_dissonances(score)
    assert not [place for place in notes_outside_key(score, score.key) if place.voice == LOWER]
    assert (tmp_path / "out" / "own-seed-3.pdf").read_bytes().startswith(b"%PDF")


def test_an_unknown_manner_is_explained(run_cli: Callable[..., Any]) -> None:
    run_cli("compose", "--upper", TUNE, "--manner", "jazz").assert_error(
        r"--manner must be one of simple, chorale, invention \(got 'jazz'\)"
    )


def test_one_piece_is_written_to_ones_own_file(
    run_cli: Callable[..., Any], tiny_model: Path, own_tune: Callable[[str], Path], tmp_path: Path
) -> None:
    """The tune is one; four pieces are four only if they are asked for."""
    options = ["--upper", own_tune(".musicxml"), "--best-of", 1, "--model", tiny_model]
    for count, wanted in ((1, []), (3, ["-n", 3])):
        ran = run_cli("compose", *options, *wanted, "--no-constraints", "--out", f"out{count}")
        assert ran.status == 0, ran.err
        assert len(list((tmp_path / f"out{count}").iterdir())) == count
