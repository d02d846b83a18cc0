"""Every rule says what it demands."""

from __future__ import annotations

import pytest

from bicinium.grammar import MusicalGrammar, MusicalGrammarConfig, Rule
from bicinium.grammar.config import RULE_NAMES


@pytest.mark.parametrize("name", RULE_NAMES)
def test_every_built_in_rule_is_described_in_a_sentence(name: str) -> None:
    (rule,) = MusicalGrammar(MusicalGrammarConfig(rules=(name,))).rules
    assert rule.name == name
    assert rule.description.endswith(".")


def test_the_docstring_of_an_own_rule_is_its_description() -> None:
    class Low(Rule):
        """No note above
        ``C4``.
        """

    assert Low(MusicalGrammarConfig()).description == "No note above C4."
