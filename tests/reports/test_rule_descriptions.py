"""Every rule of the grammar has a description for users."""

from __future__ import annotations

from bicinium.grammar import MusicalGrammar
from bicinium.reports.rule_descriptions import describe_rule


def test_every_rule_is_described_in_a_sentence() -> None:
    for rule in MusicalGrammar().rules:
        assert describe_rule(rule.name).endswith("."), rule.name


def test_an_unknown_rule_has_no_description() -> None:
    assert describe_rule("my own rule") == ""
