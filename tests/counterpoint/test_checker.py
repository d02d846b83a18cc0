"""The report: places, spelling, strengths, and what cannot be checked."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

import bicinium
from bicinium.counterpoint import check_score, load_rule_set
from bicinium.errors import RequestError, ScoreError
from bicinium.render.export import write_score


def test_a_fault_names_bar_beat_notes_reason_and_source(exercise):
    score = exercise("G4*2 E4*2 G4*2 A4*2 C5", "C4*2 C4*2 C4*2 D4*2 C4")
    (fault,) = check_score(score, load_rule_set("bach")).faults
    assert (fault.rule, fault.bar, fault.beat) == ("consecutive_perfects", 2, 3)
    assert [note.name for note in fault.notes] == ["G4", "C4", "A4", "D4"]
    assert fault.message.startswith("bar 2, beat 3: parallel fifths: C4-G4, D4-A4. Voices that")
    assert "Fux" in fault.source


def test_an_augmented_second_is_not_a_minor_third(exercise):
    """In A minor G sharp to F is an augmented second, G to B flat a minor third."""
    score = exercise("A4 G#4 F4 E4", "A3 B3 D4 C4", key="A minor")
    rules = load_rule_set("species1")
    facts = [fault.fact for fault in check_score(score, rules, cantus=1).faults]
    assert any("augmented second down: G#4, F4" in fact for fact in facts)


def test_bars_count_from_zero_after_an_anacrusis(exercise):
    score = exercise("R*3 G4*1 A4*4 C5", "R*3 C4*1 D4*4 C4")
    score = replace(score, anacrusis_ticks=24)
    (fault,) = check_score(score, load_rule_set("bach")).faults
    assert fault.bar == 1


def test_imitation_and_contrary_motion_are_found(exercise):
    subject = "C5*1 D5*1 E5*1 F5*1 D5*1 E5*1 C5*2"
    answer = subject.replace("5", "4")
    score = exercise(f"{subject} G5*8", f"R*8 {answer}")
    strengths = check_score(score, load_rule_set("bach")).strengths
    ((bar, imitation),) = strengths.imitations
    assert (bar, imitation.notes, imitation.bars_apart) == (3, 7, 2)
    assert imitation.message == "the lower voice imitates 7 notes, an octave below, 2 bars later"
    contrary = check_score(exercise("C5 D5 E5", "C4 B3 A3"), load_rule_set("bach")).strengths
    assert contrary.contrary_motion == 1


def test_species_need_a_cantus(exercise):
    with pytest.raises(RequestError, match="need a cantus firmus"):
        check_score(exercise("C5*2 D5*2 E5", "C4*2 B3*2 C4"), load_rule_set("species2"))


def test_a_silent_voice_cannot_be_checked(exercise):
    with pytest.raises(ScoreError, match="both must have notes"):
        check_score(exercise("C5 D5", "R R"), load_rule_set("bach"))


def test_python_checks_a_file(exercise, tmp_path):
    path = tmp_path / "student.musicxml"
    write_score(exercise("G4 A4 C5", "C4 D4 C4"), path)
    report = bicinium.check(path, "species1", cantus=1)
    assert not report.passed
    faults = json.loads(json.dumps(report.as_json()))["faults"]
    assert "consecutive_perfects" in [fault["rule"] for fault in faults]
