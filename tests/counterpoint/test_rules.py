"""Each rule with an exercise that breaks it at a known place, and one that does not."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from bicinium.counterpoint import RULES, RuleSet, check_score
from bicinium.counterpoint.rule_sets import load_rule_set

EXAMPLES = yaml.safe_load(
    (Path(__file__).parent / "rule_examples.yaml").read_text(encoding="utf-8")
)
DOCS = Path(__file__).parents[2] / "docs"


def faults(score, rule, cantus=None):
    chosen = RuleSet("one rule", "", (RULES[rule](),))
    return check_score(score, chosen, cantus).faults


@pytest.mark.parametrize("rule", EXAMPLES)
def test_a_rule_is_broken_in_its_bar_and_kept_otherwise(rule, exercise):
    example = EXAMPLES[rule]
    cantus = 1 if example.get("cantus") else None
    found = faults(exercise(*example["broken"].split(" / ")), rule, cantus)
    assert [fault.bar for fault in found][:1] == [example["bar"]]
    assert found[0].notes
    assert faults(exercise(*example["kept"].split(" / ")), rule, cantus) == ()


def test_every_rule_has_an_example():
    assert set(EXAMPLES) == set(RULES)


def test_every_rule_is_in_the_documentation_with_its_examples():
    page = (DOCS / "counterpoint.md").read_text(encoding="utf-8")
    for rule, example in EXAMPLES.items():
        (row,) = [line for line in page.splitlines() if line.startswith(f"| `{rule}` |")]
        assert RULES[rule].reason in row
        for kind in ("broken", "kept"):
            picture = f"pictures/rules/{rule}-{kind}.png"
            assert f"![{example[kind]}]({picture})" in page
            assert (DOCS / picture).stat().st_size > 1000


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
