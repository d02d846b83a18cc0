"""Files judged and drawn: what the page shows is what was found."""

from __future__ import annotations

import json
import re
from pathlib import Path

import mido
import pytest

from bicinium.errors import RequestError
from bicinium.reports.html_report import html_report, svg_report
from bicinium.reports.verdicts import find_files, validate_file

FOUNDING_FAILURE = [0, 746, 716, 43, 203, 171, 227, 1]


def write_midi(path: Path, *events: tuple[str, int, int]) -> Path:
    """A file of one track from (kind, pitch, ticks since the event before)."""
    midi = mido.MidiFile(ticks_per_beat=24)
    midi.tracks.append(
        mido.MidiTrack(
            mido.Message(kind, note=pitch, velocity=80 if kind == "note_on" else 0, time=ticks)
            for kind, pitch, ticks in events
        )
    )
    midi.save(path)
    return path


def test_every_violation_of_a_token_file_is_marked_at_its_place(tmp_path):
    path = tmp_path / "piece.json"
    path.write_text(json.dumps({"tokens": FOUNDING_FAILURE, "meter": "3/4"}))
    verdict = validate_file(path)
    page = html_report([verdict])
    assert len(verdict.violations) == page.count('class="mark"') == page.count("<li>") == 2
    assert "E7" in page
    assert page.count("<rect") == len(verdict.roll) == 1
    assert "open" in re.search(r'<rect class="([^"]*)"', page)[1]  # the note never ended


def test_of_many_files_only_the_invalid_are_unfolded(tmp_path):
    good = write_midi(tmp_path / "a.mid", ("note_on", 60, 0), ("note_off", 60, 96))
    bad = write_midi(tmp_path / "b.mid", ("note_on", 60, 0), ("note_off", 100, 96))
    few = [validate_file(good)] * 3
    many = [validate_file(bad), *[validate_file(good)] * 20]
    assert html_report(few).count("<details open>") == 3
    assert html_report(many).count("<details open>") == 1
    assert html_report(many).count("<svg") == 21


def test_the_image_of_one_file_has_its_marks_and_its_own_colours(tmp_path):
    path = tmp_path / "piece.json"
    path.write_text(json.dumps({"tokens": FOUNDING_FAILURE, "meter": "3/4"}))
    verdict = validate_file(path)
    image = svg_report([verdict])
    assert image.count('class="mark"') == len(verdict.violations) == 2
    assert "var(" not in image
    with pytest.raises(RequestError, match=r"An SVG image shows one file \(got 2\)"):
        svg_report([verdict, verdict])


def test_the_page_asks_for_nothing_from_outside(tmp_path):
    verdict = validate_file(
        write_midi(tmp_path / "a.mid", ("note_on", 60, 0), ("note_off", 60, 96))
    )
    page = html_report([verdict]).replace("http://www.w3.org/2000/svg", "")
    assert verdict.valid
    assert "http" not in page
    assert "<script" not in page


def test_names_of_files_are_text_not_markup(tmp_path):
    path = write_midi(tmp_path / "<b>&.mid", ("note_on", 60, 0), ("note_off", 60, 96))
    assert "&lt;b&gt;&amp;.mid" in html_report([validate_file(path)])


@pytest.mark.parametrize(
    ("events", "rule", "said"),
    [
        ([("note_on", 60, 0), ("note_off", 100, 24)], "pairing", "E7 ends without having begun"),
        ([("note_on", 60, 0), ("note_off", 60, 0)], "file", "holds no notes"),
        ([("note_on", 60, 0), ("note_on", 60, 24)], "pairing", "C4 never ends"),
        ([("note_off", 60, 0)], "file", "holds no notes"),
    ],
)
def test_midi_is_judged_as_midi(tmp_path, events, rule, said):
    verdict = validate_file(write_midi(tmp_path / "a.mid", *events))
    assert not verdict.valid
    assert verdict.grammar_score < 0.5
    assert any(v.rule == rule and said in v.message for v in verdict.violations)


def test_a_note_without_length_is_named(tmp_path):
    events = [("note_on", 60, 0), ("note_off", 60, 0), ("note_on", 62, 0), ("note_off", 62, 96)]
    (violation,) = validate_file(write_midi(tmp_path / "a.mid", *events)).violations
    assert violation.rule == "duration"
    assert "C4 has no length" in violation.message


def test_the_place_of_a_fault_is_counted_in_the_metre_of_the_file(tmp_path):
    path = write_midi(tmp_path / "a.mid", ("note_on", 60, 0), ("note_off", 60, 72))
    midi = mido.MidiFile(path)
    midi.tracks[0].insert(0, mido.MetaMessage("time_signature", numerator=3, denominator=4))
    midi.tracks[0].append(mido.Message("note_on", note=62, velocity=80, time=96))
    midi.save(path)
    (violation,) = validate_file(path).violations
    assert (violation.tick, violation.bar, violation.beat) == (168, 3, 2)


def test_chords_are_judged_as_midi_only(tmp_path):
    events = [("note_on", 60, 0), ("note_on", 64, 0), ("note_off", 60, 96), ("note_off", 64, 0)]
    verdict = validate_file(write_midi(tmp_path / "a.mid", *events))
    assert verdict.valid
    assert verdict.checked_as == "MIDI"


@pytest.mark.parametrize("bars", [-1, 10_001, 10_000_000_000, 10**30])
def test_a_token_file_of_more_bars_than_any_piece_has_is_refused(tmp_path, bars):
    path = tmp_path / "piece.json"
    path.write_text(json.dumps({"tokens": FOUNDING_FAILURE, "meter": "32/1", "bars": bars}))
    verdict = validate_file(path)
    assert verdict.checked_as == "nothing"
    (violation,) = verdict.violations
    assert "is not a token file (a JSON list of ids): bars must be " in violation.message


def test_a_token_file_may_have_as_many_bars_as_a_midi_file(tmp_path):
    path = tmp_path / "piece.json"
    path.write_text(json.dumps({"tokens": FOUNDING_FAILURE, "meter": "32/1", "bars": 10_000}))
    assert validate_file(path).checked_as == "tokens"


def test_folders_and_patterns_are_searched(tmp_path):
    for name in ("a.mid", "b.mid", "sub/c.MID", "sub/d.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert [path.name for path in find_files([tmp_path])] == ["a.mid", "b.mid", "c.MID"]
    assert [path.name for path in find_files([tmp_path / "?.mid"])] == ["a.mid", "b.mid"]
    with pytest.raises(RequestError, match="No file matches"):
        list(find_files([tmp_path / "*.wav"]))
    (tmp_path / "empty").mkdir()
    with pytest.raises(RequestError, match="There is no music below"):
        list(find_files([tmp_path / "empty"]))
