"""The musical grammar, written once; validator, mask, loss, data filter and model all read it."""

from bicinium.grammar.automaton import MusicalGrammar
from bicinium.grammar.config import MusicalGrammarConfig
from bicinium.grammar.rule import Rule
from bicinium.grammar.state import State
from bicinium.grammar.states import States
from bicinium.grammar.validate import MusicalGrammarValidator, ValidationResult, Violation

__all__ = [
    "MusicalGrammar",
    "MusicalGrammarConfig",
    "MusicalGrammarValidator",
    "Rule",
    "State",
    "States",
    "ValidationResult",
    "Violation",
]
