"""A corpus of recordings and of pages with repeats: --quantize, --unfold, and what was lost."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import mido
import pytest
from typer.testing import CliRunner

from bicinium.cli.main import app
from bicinium.data.prepare import MANIFEST_NAME, SUMMARY_NAME, prepare
from bicinium.data.report import corpus_report
from bicinium.data.shards import load_pieces
from bicinium.data.sources import find_sources
from bicinium.errors import CorpusError
from bicinium.formats.midi import write_midi
from bicinium.music.score import Score
from bicinium.render.export import write_score

MakeScore = Callable[..., Score]


@pytest.fixture
def recording(made_up_score: MakeScore, tmp_path: Path) -> Path:
    """A folder with one MIDI file whose notes are up to 12 of 480 ticks beside the grid."""
    exact, folder = tmp_path / "exact.mid", tmp_path / "recorded"
    folder.mkdir()
    write_midi(made_up_score(3, 8), exact)
    file = mido.MidiFile(exact)
    factor = 480 // file.ticks_per_beat
    file.ticks_per_beat = 480
    for track in file.tracks:
        late = 0
        for index, message in enumerate(track):
            wanted = (index * 7) % 13 if message.type.startswith("note") else late
            message.time = max(0, message.time * factor + wanted - late)
            late = wanted
    file.save(folder / "live.mid")
    return folder


@pytest.fixture
def repeated(made_up_score: MakeScore, tmp_path: Path) -> Path:
    """A folder with one MusicXML file whose eight bars are repeated."""
    folder = tmp_path / "printed"
    folder.mkdir()
    path = folder / "twice.musicxml"
    write_score(made_up_score(4, 8), path)
    page, end = path.read_text("utf-8"), "</measure>"
    repeat = '<barline location="right"><repeat direction="backward"/></barline>'
    last = page.rindex(end)
    path.write_text(page[:last] + repeat + page[last:], "utf-8")
    return folder


def test_a_recording_is_kept_if_it_is_quantised(recording: Path, tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="off the grid; --quantize moves them"):
        prepare(find_sources([recording]), tmp_path / "out", jobs=1)
    summary = prepare(find_sources([recording], quantize=True), tmp_path / "out", jobs=1)
    assert summary.kept == 1


def test_repeats_are_played_on_request_also_from_the_cache(repeated: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    bars = []
    for unfold in (False, True, False):
        prepare(find_sources([repeated], unfold=unfold), out, jobs=1)
        bars += [piece.bars for piece in load_pieces(out)]
    assert bars == [8, 16, 8]


def test_losses_are_in_manifest_summary_and_report(repeated: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    prepare(find_sources([repeated]), out, jobs=1)
    with (out / MANIFEST_NAME).open(newline="", encoding="utf-8") as file:
        (row,) = csv.DictReader(file)
    assert row["losses"] == "1 repeat or jump not unfolded (--unfold plays them)."
    label = "repeats or jumps not unfolded (--unfold plays them)"
    summary = json.loads((out / SUMMARY_NAME).read_text("utf-8"))
    assert summary["losses"] == {label: {"pieces": 1, "count": 1}}
    assert label in corpus_report(out)


def test_the_command_line_takes_both_options(
    recording: Path, repeated: Path, tmp_path: Path
) -> None:
    command = ["corpus", "prepare", str(recording), str(repeated), "--out", str(tmp_path / "out")]
    done = CliRunner().invoke(app, [*command, "--quantize", "--unfold", "--jobs", "1"])
    assert done.exit_code == 0, done.output
    assert "kept 2 of 2 pieces" in done.output
    assert "notes moved to the nearest sixteenth" in done.output
    checked = CliRunner().invoke(
        app, ["corpus", "validate", str(recording), "--quantize", "--jobs", "1", "--json"]
    )
    assert json.loads(checked.stdout)["fit"] == 1
