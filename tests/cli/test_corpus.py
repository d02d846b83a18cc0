"""`bicinium corpus`."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bicinium.data.select import MIN_QUALITY_SCORE
from bicinium.data.shards import load_pieces


@pytest.mark.parametrize("command", ["prepare", "validate"])
def test_help_states_the_minimum_quality_score(run_cli: Callable[..., Any], command: str) -> None:
    assert f"[default: {MIN_QUALITY_SCORE}]" in run_cli("corpus", command, "--help").words


def test_corpus_prepare_reports_accepted_and_rejected_pieces(
    run_cli: Callable[..., Any], midi_folder: Path, mismatched_midi: Path, tmp_path: Path
) -> None:
    ran = run_cli(
        "corpus", "prepare", midi_folder, mismatched_midi,
        "--out", "set", "--jobs", 1, "--min-quality-score", 0,
    )  # fmt: skip
    assert ran.status == 0
    assert re.search(r"left out failure\.mid: too short", ran.out)
    assert "kept 8 of 9 pieces" in ran.out
    assert len(load_pieces(tmp_path / "set")) == 8
    assert (tmp_path / "set" / "manifest.csv").is_file()


def test_corpus_prepare_rejects_a_file_as_output_folder(
    run_cli: Callable[..., Any], midi_folder: Path, valid_midi: Path
) -> None:
    for out in (valid_midi, valid_midi / "below"):
        run_cli("corpus", "prepare", midi_folder, "--out", out).assert_error("cannot be written to")


def test_corpus_prepare_rejects_missing_and_empty_sources(
    run_cli: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("BICINIUM_CORPUS", raising=False)
    run_cli("corpus", "prepare").assert_error("No folder is given")
    run_cli("corpus", "prepare", "absent").assert_error("There is no corpus at absent")
    (tmp_path / "empty").mkdir()
    run_cli("corpus", "prepare", "empty").assert_error("There are no music files below empty")
    assert [path.name for path in tmp_path.iterdir()] == ["empty"]


def test_corpus_validate_and_report_accept_raw_and_prepared_music(
    run_cli: Callable[..., Any], midi_folder: Path, mismatched_midi: Path, tmp_path: Path
) -> None:
    raw = run_cli("corpus", "validate", midi_folder, "--min-quality-score", 0, "--jobs", 1)
    assert raw.status == 0
    assert "8 fit, 0 not" in raw.out
    strict = run_cli("corpus", "validate", midi_folder, "--min-quality-score", 0.9, "--json")
    assert strict.status == 1
    document = json.loads(strict.out)
    assert document["fit"] + document["unfit"] == len(document["pieces"]) == 8
    assert all(piece["fit"] == (piece["quality_score"] >= 0.9) for piece in document["pieces"])
    failure = run_cli("corpus", "validate", mismatched_midi)
    assert failure.status == 1
    assert "too short: 1 notes" in failure.out
    run_cli("corpus", "prepare", midi_folder, "--out", "set", "--min-quality-score", 0)
    prepared = run_cli("corpus", "validate", "set", "--min-quality-score", 0)
    assert prepared.status == 0
    assert "8 fit, 0 not" in prepared.out
    assert run_cli("corpus", "report", "set").out == "report: set/report.html\n"
    assert "8 pieces of 8" in (tmp_path / "set" / "report.html").read_text()
    run_cli("corpus", "validate", "absent").assert_error("There is no file or folder at absent")
    run_cli("corpus", "report", "absent").assert_error("There is no prepared corpus at absent")


def test_corpus_fetch_lists_licences_and_fails_without_a_server(
    run_cli: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from bicinium.data import download as fetch

    listed = run_cli("corpus", "fetch", "inventions", "--list")
    assert listed.status == 0
    assert len(listed.out.splitlines()) == 15
    assert re.search(r"J\. S\. Bach, Invention 1 \(.+; typeset by .+\)", listed.out)
    run_cli("corpus", "fetch", "fugues").assert_error("'fugues' is not a group of the catalogue")
    monkeypatch.setattr(fetch.time, "sleep", lambda seconds: None)
    failed = run_cli("corpus", "fetch", "arabesque", "--server", "http://127.0.0.1:9/")
    assert failed.status == 1
    assert "0 of 1 works are in data/mutopia" in failed.out
    assert "1 works have no hash in the catalogue" in failed.err
