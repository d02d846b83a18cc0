"""Damaged exercises are repaired, and what was right stays as it was."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from bicinium.counterpoint import Severity, check_score, load_rule_set
from bicinium.counterpoint.repair import propose, repair
from bicinium.music.score import Voice

STRICT = {species: load_rule_set(f"species{species}") for species in range(1, 6)}


def _damaged(fux, rng):
    """Return a solution with one pitch moved so that it has an error; None if it has none."""
    score, added = fux["score"], 1 - fux["cantus"]
    notes = list(score.voices[added].notes)
    index = rng.randrange(1, len(notes) - 1)
    pitch = notes[index].pitch + rng.choice([-4, -3, -2, -1, 1, 2, 3, 4])
    notes[index] = replace(notes[index], pitch=pitch)
    voices = list(score.voices)
    voices[added] = Voice(tuple(notes))
    damaged = replace(score, voices=tuple(voices))
    report = check_score(damaged, STRICT[fux["species"]], fux["cantus"])
    return None if report.passed else report


def assert_repaired(fux, attempts):
    rng = random.Random(fux["figure"])
    for _ in range(attempts):
        report = _damaged(fux, rng)
        if report is None:
            continue
        repaired, changes = repair(report, STRICT[fux["species"]])
        assert repaired.passed
        assert repaired.score.voices[fux["cantus"]] == fux["score"].voices[fux["cantus"]]
        moved = {(change.voice, change.onset_tick) for change in changes}
        for part, voice in enumerate(repaired.score.voices):
            for old, new in zip(report.score.voices[part].notes, voice.notes, strict=True):
                assert old == new or (part, old.onset_tick) in moved
                assert (old.onset_tick, old.duration_ticks) == (new.onset_tick, new.duration_ticks)


def test_a_damaged_solution_is_repaired(fux_first_species):
    assert_repaired(fux_first_species, 2)


@pytest.mark.slow
def test_damaged_solutions_of_all_species_are_repaired(fux):
    assert_repaired(fux, 6)


def test_there_are_up_to_three_proposals_and_the_likely_ones_come_first(exercise):
    rules = STRICT[1]
    report = check_score(exercise("G4 A4 B4 C5", "C4 D4 D4 C4"), rules, cantus=1)
    fault = next(one for one in report.faults if one.rule == "consecutive_perfects")
    proposals = propose(report, fault, rules)
    assert 1 <= len(proposals) <= 3
    for proposal in proposals:
        left = check_score(proposal.score, rules, cantus=1).faults
        assert (fault.rule, fault.tick) not in [(one.rule, one.tick) for one in left]
        known = {(one.rule, one.tick) for one in report.faults}
        assert all((one.rule, one.tick) in known for one in left if one.severity is Severity.ERROR)
    by_likelihood = propose(
        report, fault, rules, likelihood=lambda score: -score.voices[0].notes[1].pitch
    )
    bits = [proposal.bits for proposal in by_likelihood]
    assert bits == sorted(bits)


def test_a_wrong_rhythm_remains_and_nothing_else_is_touched(exercise):
    rules = STRICT[2]
    report = check_score(exercise("R*2 G4*2 A4 B4*2 D5*2 C5", "C4 F4 D4 C4"), rules, cantus=1)
    repaired, changes = repair(report, rules)
    assert [fault.rule for fault in repaired.faults if fault.severity == "error"] == [
        "species_rhythm"
    ]
    assert all(change.voice == 0 for change in changes)


def test_proposals_are_spelled_as_they_are_written(exercise):
    """The raised leading note of A minor is G sharp, and not A flat."""
    rules = STRICT[1]
    score = exercise("A4 B4 C5 A4 G4 A4", "A3 G3 A3 C4 B3 A3", "A minor")
    report = check_score(score, rules)
    fault = next(one for one in report.faults if "not raised" in one.fact)
    texts = [str(change) for one in propose(report, fault, rules) for change in one.changes]
    assert texts == ["G4 becomes G#4"]
    assert [str(change) for change in repair(report, rules)[1]] == texts
