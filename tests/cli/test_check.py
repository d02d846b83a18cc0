"""`bicinium check` as a teacher uses it."""

from __future__ import annotations

import csv
import json
import re
import time
from xml.etree import ElementTree

import pytest

from bicinium.counterpoint.cantus import load_cantus
from bicinium.counterpoint.writer import write_counterpoint
from bicinium.music.key import Key
from bicinium.music.score import Note, Score, Voice
from bicinium.render.export import write_score


def _exercise(upper, lower):
    voices = [
        Voice(tuple(Note(96 * bar, pitch, 96) for bar, pitch in enumerate(pitches)))
        for pitches in (upper, lower)
    ]
    return Score(tuple(voices), len(upper), key=Key.parse("C major"))


@pytest.fixture
def folder(tmp_path):
    """A class of three: a good exercise, parallel fifths, and a file that is not music."""
    write_score(_exercise([67, 71, 72], [60, 62, 60]), tmp_path / "anna.musicxml")
    write_score(_exercise([67, 69, 71, 72], [60, 62, 62, 60]), tmp_path / "ben.musicxml")
    (tmp_path / "carl.mid").write_bytes(b"not music")
    return tmp_path


def test_faults_are_listed_with_reason_and_exit_status_1(run_cli, folder):
    result = run_cli("check", folder / "ben.musicxml", "--rules", "species1")
    assert result.status == 1
    assert "1. error, consecutive_perfects: bar 2, beat 1: parallel fifths" in result.out
    assert "lose their independence" in result.out


def test_a_good_exercise_has_exit_status_0(run_cli, folder):
    result = run_cli("check", folder / "anna.musicxml", "--rules", "species1", "--cantus", "lower")
    assert result.status == 0, result.out
    assert "no faults under species1" in result.out


def test_json_holds_notes_and_sources(run_cli, folder):
    result = run_cli("check", folder / "ben.musicxml", "--rules", "species1", "--json")
    (file,) = json.loads(result.out)["files"]
    fault = file["faults"][0]
    assert [note["name"] for note in fault["notes"]] == ["G4", "C4", "A4", "D4"]
    assert "Fux" in fault["source"]


def test_a_class_becomes_a_table_and_a_page(run_cli, folder):
    table, page = folder / "class.csv", folder / "class.html"
    run_cli("check", folder, "--rules", "species1", "--report", table)
    rows = list(csv.DictReader(table.open()))
    assert [int(row["errors"] or 0) for row in rows] == [0, 1, 0]
    assert rows[1]["consecutive_perfects"] == "1"
    assert int(rows[0]["mark"]) > int(rows[1]["mark"])
    assert rows[2]["problem"]
    run_cli("check", folder, "--rules", "species1", "--report", page)
    assert "parallel fifths" in page.read_text()


def test_faults_are_marked_in_the_score(run_cli, folder):
    marked = folder / "marked.musicxml"
    run_cli("check", folder / "ben.musicxml", "--rules", "species1", "--marked", marked)
    tree = ElementTree.parse(marked)
    coloured = [note for note in tree.iter("note") if note.get("color")]
    assert len(coloured) >= 4
    assert [words.text for words in tree.iter("words")][:1] == ["1"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--rules", "palestrina"], "There is no rule set 'palestrina'"),
        (["--marked", "out.mid"], "cannot hold marks"),
        (["--cantus", "middle"], "middle"),
    ],
)
def test_mistakes_get_a_sentence(run_cli, folder, arguments, said):
    result = run_cli("check", folder / "ben.musicxml", *arguments)
    assert result.status == 2
    assert said in result.err


def test_marks_are_for_one_file(run_cli, folder):
    result = run_cli("check", folder, "--marked", folder / "out.png")
    assert "a single file" in result.err


def test_an_exercise_is_written_and_passes_its_check(run_cli, tmp_path):
    out = tmp_path / "exercise.musicxml"
    ran = run_cli("species", 1, "--cantus", "fux-c", "--below", "--out", out)
    assert ran.status == 0, ran.err
    checked = run_cli("check", out, "--rules", "species1", "--cantus", "upper")
    assert checked.status == 0, checked.out
    assert run_cli("species", 1, "--cantus", "fux-c", "--out", out).status == 2


def test_errors_are_repaired_into_another_file(run_cli, folder):
    fixed = folder / "fixed.musicxml"
    exercise = folder / "ben.musicxml"
    before = exercise.read_bytes()
    ran = run_cli("check", exercise, "--rules", "species1", "--cantus", "lower", "--fix", fixed)
    assert ran.status == 1
    assert re.search(r"bar \d: [A-G]\S+ becomes", ran.out)
    assert "0 errors left" in ran.out
    assert run_cli("check", fixed, "--rules", "species1", "--cantus", "lower").status == 0
    assert exercise.read_bytes() == before
    assert run_cli("check", exercise, "--fix", fixed).status == 2


def test_a_cantus_must_come_back_unchanged_in_a_whole_folder(run_cli, tmp_path):
    """One exercise has it an octave lower, one has another note in bar 3, one has it not at all."""
    cantus = [62, 65, 64, 62, 67, 65, 69, 67, 65, 64, 62]
    above = [pitch + 9 for pitch in cantus]
    changed = [*cantus[:2], 65, *cantus[3:]]
    lower = [pitch - 12 for pitch in cantus]
    write_score(_exercise(cantus, [*lower[:-1], 50]), tmp_path / "a.musicxml")
    write_score(_exercise(above, changed), tmp_path / "b.musicxml")
    write_score(_exercise(above, [60] * 11), tmp_path / "c.musicxml")
    result = run_cli("check", tmp_path, "--rules", "species1", "--cantus", "fux-d", "--json")
    files = json.loads(result.out)["files"]
    wrong = [
        [fault["bar"] for fault in file["faults"] if fault["rule"] == "cantus_changed"]
        for file in files
    ]
    assert wrong[:2] == [[], [3]]
    assert len(wrong[2]) > 5
    assert files[1]["cantus"] == "lower voice"


def test_a_cantus_in_another_rhythm_is_a_change(run_cli, tmp_path):
    notes = [Note(48 * index, 60, 48) for index in range(8)]
    write_score(Score((Voice(tuple(notes)), Voice(tuple(notes))), 4), tmp_path / "a.musicxml")
    result = run_cli("check", tmp_path, "--cantus", "new-c-7", "--json")
    (file,) = json.loads(result.out)["files"]
    facts = [fault["fact"] for fault in file["faults"] if fault["rule"] == "cantus_changed"]
    assert "the cantus has no C4 here" in facts


def test_an_unknown_cantus_is_one_error_and_not_one_of_each_file(run_cli, folder):
    result = run_cli("check", folder, "--cantus", "fux-h")
    assert result.status == 2
    assert "no cantus firmus 'fux-h'" in result.err


@pytest.mark.slow
def test_a_class_of_thirty_takes_less_than_ten_seconds(run_cli, tmp_path):
    given = load_cantus("fux-d")
    for number in range(30):
        report = write_counterpoint(given, 1 + number % 5, seed=number)
        write_score(report.score, tmp_path / f"student-{number}.musicxml")
    began = time.process_time()
    page = tmp_path / "class.html"
    run_cli("check", tmp_path, "--rules", "species5", "--cantus", "fux-d", "--report", page)
    assert time.process_time() - began < 10
    assert "student-29" in page.read_text(encoding="utf-8")
