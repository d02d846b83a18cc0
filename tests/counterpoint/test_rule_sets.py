"""Sets of rules: by name, and a teacher's own."""

from __future__ import annotations

import pytest

from bicinium.counterpoint import RULE_SETS, RULES, Severity, load_rule_set
from bicinium.errors import RequestError


def test_there_is_a_strict_and_a_school_set_for_each_species_and_one_for_bach():
    species = [f"species{number}" for number in range(1, 6)]
    assert set(RULE_SETS) == {*species, *(f"{name}-school" for name in species), "bach"}


def test_a_teacher_changes_severity_and_options_and_turns_rules_off(tmp_path):
    path = tmp_path / "first-term.yaml"
    path.write_text(
        "base: species1\n"
        "name: first term\n"
        "rules:\n"
        "  climax: off\n"
        "  crossing: error\n"
        "  spacing: {severity: hint, most_semitones: 16}\n"
        "  overlap: {}\n"
    )
    rules = {rule.name: rule for rule in load_rule_set(path).rules}
    assert "climax" not in rules
    assert rules["crossing"].severity is Severity.ERROR
    assert (rules["spacing"].severity, rules["spacing"].most_semitones) == (Severity.HINT, 16)
    assert "overlap" in rules
    assert load_rule_set(path).name == "first term"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("base: species9\n", "no rule set 'species9'"),
        ("bases: species1\n", "no key 'bases'"),
        ("rules: {paralels: off}\n", "no rule 'paralels'"),
        ("rules: {range: {semitones: 3}}\n", "no option of the rule 'range' 'semitones'"),
        ("rules: {range: {most_semitones: wide}}\n", "most_semitones .* must be like 16"),
        ("rules: {range: {most_semitones: true}}\n", "most_semitones .* must be like 16"),
        ("rules: {range: fatal}\n", "no severity 'fatal'"),
        ("rules: {range: 3}\n", "takes 'off', a severity or a mapping"),
        ("rules: [range]\n", "rules must be a mapping"),
        ("rules: {dissonance: {figures: [trill]}}\n", "no figure 'trill'"),
        ("- species1\n", "must have the keys"),
        ("{\n", "cannot be read"),
    ],
)
def test_a_mistake_in_a_teachers_set_is_named(text, said, tmp_path):
    path = tmp_path / "rules.yaml"
    path.write_text(text)
    with pytest.raises(RequestError, match=said):
        load_rule_set(path)


def test_an_unknown_name_lists_the_sets():
    with pytest.raises(RequestError, match=r"no rule set 'palestrina'.*species1.*YAML"):
        load_rule_set("palestrina")


def test_every_rule_is_in_a_set_or_can_be_added():
    used = {rule for rule_set in RULE_SETS.values() for rule in rule_set.names}
    assert set(RULES) - used == {"overlap"}
