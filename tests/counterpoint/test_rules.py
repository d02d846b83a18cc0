"""Each rule with an exercise that breaks it at a known place, and one that does not."""

from __future__ import annotations

from pathlib import Path

import pytest

from bicinium.counterpoint import RULES, RuleSet, check_score
from bicinium.counterpoint.rule_sets import load_rule_set

# rule: (upper, lower, bar of the fault), and then (upper, lower) without it; whole notes
CASES = {
    "consecutive_perfects": ("G4 A4 C5", "C4 D4 C4", 2, "G4 A4 C5", "C4 F4 C4"),
    "perfects_on_downbeats": (
        "G4*2 F4*2 A4*2 B4*2 C5", "C4 D4 C4", 2, "G4*2 C5*2 A4*2 B4*2 C5", "C4 D4 C4",
    ),
    "hidden_perfects": ("E4 A4 C5", "C4 D4 C4", 2, "C5 A4 C5", "C4 D4 C4"),
    "parallel_run": (
        "E4 F4 G4 A4 G4 C5", "C4 D4 E4 F4 E4 C4", 1, "E4 F4 G4 C5 G4 C5", "C4 D4 E4 A3 E4 C4",
    ),
    "crossing": ("G4 E4 C5", "C4 G4 C4", 2, "G4 G4 C5", "C4 E4 C4"),
    "overlap": ("E4 C5 C5", "C4 A4 C4", 2, "E4 C5 C5", "C4 E4 C4"),
    "spacing": ("G4 C6 C5", "C4 C4 C4", 2, "G4 G5 C5", "C4 C4 C4"),
    "unison": ("G4 E4 C5", "C4 E4 C4", 2, "G4 E4 C5", "C4 C4 C4"),
    "false_relation": ("C5 F#4 G4", "F4 A4 C4", 2, "C5 F4 G4", "F4 A4 C4"),
    "dissonance": ("G4 F4 C5", "C4 E4 C4", 2, "G4 G4 C5", "C4 E4 C4"),
    "melodic_interval": ("C4 B4 C5", "C4 G4 C4", 2, "C4 G4 C5", "C4 E4 C4"),
    "leap_recovery": ("C4 G4 A4", "C4 E4 F4", 2, "C4 G4 F4", "C4 E4 D4"),
    "two_leaps": ("C4 F4 B4", "C4 D4 G3", 2, "C4 E4 G4", "C4 C4 C4"),
    "tritone_outline": ("F4 G4 A4 B4 G4", "D4 E4 F4 G4 E4", 1, "F4 G4 A4 C5 B4", "D4 E4 F4 A4 G4"),
    "repeated_notes": ("G4 G4 G4 C5", "C4 E4 C4 C4", 1, "G4 G4 A4 C5", "C4 E4 F4 C4"),
    "climax": ("G4 A4 G4 A4 G4", "C4 F4 E4 F4 E4", 4, "G4 A4 G4 F4 E4", "C4 F4 E4 D4 C4"),
    "range": ("C4 E4 G4 C5 F5", "C4 C4 C4 C4 D4", 1, "C4 E4 G4 C5 D5", "C4 C4 C4 C4 D4"),
    "beginning": ("E4 F4 C5", "C4 A3 C4", 1, "G4 F4 C5", "C4 A3 C4"),
    "ending": ("G4 B4 G4", "C4 D4 C4", 3, "G4 B4 C5", "C4 D4 C4"),
    "cadence": ("G4 A4 C5", "C4 F4 C4", 2, "G4 B4 C5", "C4 D4 C4"),
    "tonic_ending": ("G4 B4 C5", "C4 G3 A3", 3, "G4 B4 C5", "C4 G3 C4"),
    "leading_note": ("G4 B4 G4", "C4 G3 C4", 2, "G4 B4 C5", "C4 G3 C4"),
    "outside_mode": (
        "G4 F#4 G4 F4 E4 F4 E4", "C4 D4 E4 D4 C4 D4 C4", 2,
        "G4 F4 G4 F4 E4 F4 E4", "C4 D4 E4 D4 C4 D4 C4",
    ),
}  # fmt: skip
WITH_CANTUS = {
    "species_rhythm": ("G4 C5 B4*2 D5*2 C5", "C4 E4 D4 C4", 3, "G4 C5 B4 C5", "C4 E4 D4 C4"),
    "syncopation": (
        "G4 C5 B4 C5", "C4 E4 D4 C4", 1, "R*2 E5 D5 C5 B4*2 C5", "C4 C4 B3 A3 D4 C4",
    ),
}  # fmt: skip


def faults(score, rule, cantus=None):
    chosen = RuleSet("one rule", "", (RULES[rule](),))
    return check_score(score, chosen, cantus).faults


@pytest.mark.parametrize("rule", CASES)
def test_a_rule_is_broken_in_its_bar_and_kept_otherwise(rule, exercise):
    upper, lower, bar, good_upper, good_lower = CASES[rule]
    found = faults(exercise(upper, lower), rule)
    assert [fault.bar for fault in found][:1] == [bar]
    assert found[0].notes
    assert faults(exercise(good_upper, good_lower), rule) == ()


@pytest.mark.parametrize("rule", WITH_CANTUS)
def test_a_rule_of_the_species_compares_with_the_cantus(rule, exercise):
    upper, lower, bar, good_upper, good_lower = WITH_CANTUS[rule]
    assert faults(exercise(upper, lower), rule, cantus=1)[0].bar == bar
    assert faults(exercise(good_upper, good_lower), rule, cantus=1) == ()


def test_every_rule_has_a_case():
    assert set(CASES) | set(WITH_CANTUS) == set(RULES)


def test_every_rule_is_in_the_documentation_with_its_example():
    page = (Path(__file__).parents[2] / "docs" / "counterpoint.md").read_text(encoding="utf-8")
    for rule, (upper, lower, *_) in (CASES | WITH_CANTUS).items():
        (row,) = [line for line in page.splitlines() if line.startswith(f"| `{rule}` |")]
        assert f"| {upper} / {lower} |" in row
        assert RULES[rule].reason in row


def test_every_rule_says_why_and_where_it_is_taught():
    for rule in RULES.values():
        assert rule.reason.endswith(".")
        assert rule.source
        assert rule.__doc__


def test_a_given_voice_is_not_judged(exercise):
    score = exercise("G4 E4 C5", "C4 B4 C4")
    assert faults(score, "melodic_interval")
    assert faults(score, "melodic_interval", cantus=1) == ()


@pytest.mark.parametrize(
    ("upper", "lower", "figure"),
    [
        ("E4*2 F4*2 G4", "C4 C4", "passing note"),
        ("E4*2 F4*2 E4", "C4 C4", "neighbour note"),
        ("R*2 C5*4 B4*2 C5", "C4 D4 C4", "suspension"),
        ("R*2 B4*4 C5*2 C5", "G4 C4 C4", "retardation"),
        ("C5*1 B4*1 G4*1 A4*1 B4", "C4 G4", "cambiata"),
        ("E4*2 F4*2 D4", "C4 B3", "échappée"),
        ("D4*3 C4*1 C4", "B3 C4", "anticipation"),
        ("G4*2 D5*2 C5*2 C5*2", "C4*2 C4*2 C4", "appoggiatura"),
    ],
)
def test_a_dissonance_is_named(upper, lower, figure, exercise):
    found = check_score(exercise(upper, lower), load_rule_set("bach")).dissonances
    assert figure in [str(one.figure) for one in found]
