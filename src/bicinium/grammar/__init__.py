"""The musical grammar, written once; validator, mask, loss, data filter and model all read it."""

from bicinium.grammar.automaton import MusicalGrammar
from bicinium.grammar.rules import MusicalGrammarConfig, Rule, State, column
from bicinium.grammar.validate import MusicalGrammarValidator, ValidationResult, Violation

__all__ = [
    "MusicalGrammar",
    "MusicalGrammarConfig",
    "MusicalGrammarValidator",
    "Rule",
    "State",
    "ValidationResult",
    "Violation",
    "column",
]
