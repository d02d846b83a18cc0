"""Fux's own solutions pass his rules, and damage to them is found."""

from __future__ import annotations

from dataclasses import replace

from bicinium.counterpoint import Severity, check_score, load_rule_set
from bicinium.counterpoint.texture import Texture
from bicinium.music.score import Voice

# The liberties that Fux takes: in three exercises a minor sixth is leapt downwards.
LIBERTIES = {"41": ["melodic_interval"], "57": ["melodic_interval"], "75": ["melodic_interval"]}


def test_a_solution_has_no_error_but_the_known_liberties(fux):
    report = check_score(fux["score"], load_rule_set(f"species{fux['species']}"), fux["cantus"])
    errors = [fault.rule for fault in report.faults if fault.severity is Severity.ERROR]
    assert errors == LIBERTIES.get(fux["figure"], [])


def test_a_solution_passes_the_school_rules(fux):
    rules = load_rule_set(f"species{fux['species']}-school")
    assert check_score(fux["score"], rules, fux["cantus"]).passed


def test_every_dissonance_of_a_solution_has_a_name(fux):
    report = check_score(fux["score"], load_rule_set(f"species{fux['species']}"), fux["cantus"])
    assert [found for found in report.dissonances if found.figure is None] == []


def _with_pitch(score, voice, index, pitch):
    notes = list(score.voices[voice].notes)
    notes[index] = replace(notes[index], pitch=pitch)
    voices = list(score.voices)
    voices[voice] = Voice(tuple(notes))
    return replace(score, voices=tuple(voices))


def test_parallel_fifths_put_into_a_solution_are_found_in_their_bar(fux_first_species):
    """The added voice is moved to a fifth in two successive bars, at each bar in turn."""
    score, cantus = fux_first_species["score"], fux_first_species["cantus"]
    added, up = 1 - cantus, -1 if cantus == 0 else 1
    given = score.voices[cantus].notes
    tried = 0
    for index in range(1, len(given) - 1):
        if given[index].pitch == given[index - 1].pitch:
            continue
        damaged = score
        for place in (index - 1, index):
            damaged = _with_pitch(damaged, added, place, given[place].pitch + up * 7)
        intervals = [moment.interval for moment in Texture(damaged).moments[index - 1 : index + 1]]
        if not all(interval.is_perfect_fifth for interval in intervals):
            continue  # spelled otherwise: a fifth above B natural
        report = check_score(damaged, load_rule_set("species1"), cantus)
        found = [fault.bar for fault in report.faults if fault.rule == "consecutive_perfects"]
        assert index + 1 in found
        tried += 1
    assert tried >= 5


def test_a_dissonance_put_into_a_solution_is_found_in_its_bar(fux_first_species):
    score, cantus = fux_first_species["score"], fux_first_species["cantus"]
    given = score.voices[cantus].notes
    for index in range(1, len(given) - 2):
        for semitones in (1, 2, 5, 6, 10, 11):
            pitch = given[index].pitch + (semitones if cantus else -semitones)
            report = check_score(
                _with_pitch(score, 1 - cantus, index, pitch), load_rule_set("species1"), cantus
            )
            found = [fault.bar for fault in report.faults if fault.rule == "dissonance"]
            assert found == [index + 1]
