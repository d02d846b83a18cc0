"""`bicinium convert`."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mido

from bicinium.formats.registry import read_score


def test_convert_from_midi_to_notation_and_back(
    run_cli: Callable[..., Any], valid_midi: Path, tmp_path: Path
) -> None:
    ran = run_cli("convert", valid_midi, "piece.mxl")
    assert ran.status == 0
    assert re.search(r"piece\.mxl: bars 8, metre 4/4, .*, notes \d+", ran.out)
    assert run_cli("convert", "piece.mxl", "again.mid").status == 0
    assert read_score(tmp_path / "again.mid").voices == read_score(valid_midi).voices


def test_convert_rejects_unreadable_sources_and_unwritable_targets(
    run_cli: Callable[..., Any], valid_midi: Path, tmp_path: Path
) -> None:
    before = sorted(path.name for path in tmp_path.iterdir())
    (tmp_path / "broken.musicxml").write_text("<score-partwise>")
    run_cli("convert", "broken.musicxml", "a.mid").assert_error("is not well-formed XML")
    run_cli("convert", "absent.mid", "a.mid").assert_error("absent.mid cannot be opened")
    run_cli("convert", valid_midi, "a.doc").assert_error("a.doc names no format")
    run_cli("convert", valid_midi, "no/a.mid").assert_error("no/a.mid cannot be written")
    (tmp_path / "broken.musicxml").unlink()
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_convert_suggests_reduce_for_more_than_two_voices(
    run_cli: Callable[..., Any], tmp_path: Path
) -> None:
    chord = [(0, 60), (0, 64), (0, 67), (96, 60), (0, 64), (0, 67)]
    track = mido.MidiTrack(
        mido.Message("note_on", note=pitch, velocity=80 if i < 3 else 0, time=ticks)
        for i, (ticks, pitch) in enumerate(chord)
    )
    mido.MidiFile(tracks=[track], ticks_per_beat=24).save(tmp_path / "chord.mid")
    run_cli("convert", "chord.mid", "a.musicxml").assert_error("bicinium convert --reduce")
    assert run_cli("convert", "chord.mid", "a.musicxml", "--reduce").status == 0
