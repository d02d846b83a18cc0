"""`bicinium validate`."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


def test_validate_accepts_a_valid_file(run_cli: Callable[..., Any], valid_midi: Path) -> None:
    ran = run_cli("validate", valid_midi)
    assert ran.status == 0
    assert "valid" in ran.out
    assert "INVALID" not in ran.out
    assert "1 valid, 0 invalid" in ran.out


def test_mismatched_note_off_in_midi_is_reported_with_both_pitches(
    run_cli: Callable[..., Any], mismatched_midi: Path
) -> None:
    ran = run_cli("validate", mismatched_midi)
    assert ran.status == 1
    assert "INVALID" in ran.out
    assert re.search(r"pairing: .*E7 ends without having begun; sounding: C4", ran.out)
    assert re.search(r"pairing: .*C4 never ends", ran.out)
    (verdict,) = json.loads(run_cli("validate", mismatched_midi, "--json").out)["files"]
    assert verdict["valid"] is False
    assert verdict["grammar_score"] < 0.3
    assert {violation["rule"] for violation in verdict["violations"]} == {"pairing"}


def test_mismatched_note_off_in_tokens_is_reported_with_both_pitches(
    run_cli: Callable[..., Any], tmp_path: Path
) -> None:
    """START, TEMPO, VELOCITY, NOTE_ON 43, a quarter, NOTE_OFF 171, rest of the bar, END."""
    path = tmp_path / "failure.json"
    path.write_text("[0, 742, 711, 43, 203, 171, 251, 1]")
    ran = run_cli("validate", path, "--json")
    assert ran.status == 1
    (verdict,) = json.loads(ran.out)["files"]
    assert verdict["grammar_score"] < 0.3
    first = verdict["violations"][0]
    assert (first["rule"], first["index"], first["bar"]) == ("pairing", 5, 1)
    assert "E7" in first["message"]
    assert "C4" in first["message"]


def test_validate_json_prints_one_document(
    run_cli: Callable[..., Any], valid_midi: Path, mismatched_midi: Path
) -> None:
    ran = run_cli("validate", valid_midi, mismatched_midi, "--json")
    assert ran.status == 1
    document = json.loads(ran.out)
    assert (document["valid"], document["invalid"]) == (1, 1)
    assert [file["path"] for file in document["files"]] == [str(valid_midi), str(mismatched_midi)]
    assert [file["valid"] for file in document["files"]] == [True, False]
    assert document["files"][0]["violations"] == []
    assert document["files"][0]["notes"] > 20
    for violation in document["files"][1]["violations"]:
        assert set(violation) == {"index", "tick", "bar", "beat", "part", "rule", "message"}


def test_table_has_one_untruncated_line_per_file(
    run_cli: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
    valid_midi: Path,
    mismatched_midi: Path,
    tmp_path: Path,
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    folder = tmp_path / ("a folder with a name as long as a title " * 3)
    folder.mkdir()
    for index in range(30):
        (folder / f"piece-{index:02d}.mid").write_bytes(valid_midi.read_bytes())
    mismatched_midi.rename(folder / "failure.mid")
    ran = run_cli("validate", folder)
    table, found, summary = ran.out.rstrip().split("\n\n")
    header, *rows = table.splitlines()
    assert header.split() == ["verdict", "score", "notes", "violations", "checked", "as", "file"]
    assert len(rows) == 31
    assert all(re.search(r"(piece-\d\d|failure)\.mid$", row) for row in rows)
    assert found.splitlines()[0].endswith("failure.mid (pairing 2)")
    assert len(found.splitlines()) == 3
    assert summary == "30 valid, 1 invalid"


def test_validate_searches_folders_recursively(
    run_cli: Callable[..., Any], valid_midi: Path, mismatched_midi: Path, tmp_path: Path
) -> None:
    deep = tmp_path / "folder" / "deep"
    deep.mkdir(parents=True)
    valid_midi.rename(deep / "good.MID")
    mismatched_midi.rename(tmp_path / "folder" / "failure.midi")
    (deep / "readme.txt").write_text("not looked at")
    ran = run_cli("validate", "folder")
    assert ran.status == 1
    assert "1 valid, 1 invalid" in ran.out


def test_validate_reports_unreadable_files_as_invalid(
    run_cli: Callable[..., Any], tmp_path: Path
) -> None:
    """An unreadable file counts as invalid: exit status 1, not 2."""
    (tmp_path / "letter.txt").write_text("Dear Anna Magdalena")
    (tmp_path / "empty.mid").write_bytes(b"")
    (tmp_path / "cut.mid").write_bytes(b"MThd\x00\x00\x00\x06\x00\x01")
    (tmp_path / "wrong.json").write_text('{"notes": []}')
    ran = run_cli("validate", "letter.txt", "empty.mid", "cut.mid", "wrong.json")
    assert ran.status == 1
    assert ran.out.count("INVALID") == 4
    assert ran.out.count("is not a MIDI file") == 2
    assert ran.out.count("is damaged and cannot be read as MIDI") == 1
    assert "is not a token file" in ran.out
    assert "Traceback" not in ran.out + ran.err


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[",
        "{}",
        "5",
        '"123"',
        "[null]",
        '["a"]',
        "[1.5]",
        f"[{10**30}]",
        '{"tokens": [0, 1], "meter": 3}',
        '{"tokens": [0, 1], "meter": "5/7"}',
        '{"tokens": [0, 1], "meter": "3/4", "bars": "many"}',
        '{"tokens": [0, 1], "meter": "3/4", "bars": -2}',
        '{"tokens": 3}',
        "[" * 100_000,
    ],
    ids=lambda content: content[:40],
)
def test_malformed_token_files_are_invalid_without_traceback(
    run_cli: Callable[..., Any], tmp_path: Path, content: str
) -> None:
    (tmp_path / "odd.json").write_text(content)
    ran = run_cli("validate", "odd.json", "--json")
    assert ran.status == 1
    (verdict,) = json.loads(ran.out)["files"]
    assert verdict["valid"] is False
    assert verdict["grammar_score"] == 0
    assert "\n" not in verdict["violations"][0]["message"]


def test_an_invalid_key_signature_does_not_make_a_file_invalid(
    run_cli: Callable[..., Any], valid_midi: Path
) -> None:
    data = valid_midi.read_bytes()
    signature = data.index(b"\xff\x59\x02") + 3
    valid_midi.write_bytes(data[:signature] + b"\x40\x07" + data[signature + 2 :])
    ran = run_cli("validate", valid_midi)
    assert ran.status == 0
    assert "1 invalid key signature ignored" in ran.err


def test_validate_rejects_missing_and_empty_paths(
    run_cli: Callable[..., Any], tmp_path: Path
) -> None:
    run_cli("validate", "absent.mid").assert_error("There is no file at absent.mid")
    (tmp_path / "empty").mkdir()
    run_cli("validate", "empty").assert_error("There is no music below empty")


def test_json_of_validate_and_compose_has_the_same_quality_score(
    run_cli: Callable[..., Any], tiny_model: Path, valid_midi: Path, mismatched_midi: Path
) -> None:
    ran = run_cli("validate", "--json", valid_midi, mismatched_midi)
    valid, empty = json.loads(ran.out)["files"]
    assert 0 <= valid["quality_score"] <= 1
    assert empty["quality_score"] is None
    composed = run_cli("compose", "-n", 1, "--bars", 4, "--model", tiny_model, "--json")
    (piece,) = json.loads(composed.out)["pieces"]
    again = json.loads(run_cli("validate", "--json", piece["path"]).out)["files"][0]
    assert again["quality_score"] == pytest.approx(piece["quality_score"], abs=1e-3)


def test_a_file_that_is_named_twice_counts_once(
    run_cli: Callable[..., Any], valid_midi: Path, tmp_path: Path
) -> None:
    named = (valid_midi, tmp_path, tmp_path / "*.mid", f"../{tmp_path.name}/{valid_midi.name}")
    document = json.loads(run_cli("validate", *named, "--json").out)
    assert [Path(file["path"]) for file in document["files"]] == [valid_midi]
    assert document["valid"] == 1
