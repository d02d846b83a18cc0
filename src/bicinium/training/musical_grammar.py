"""The three classes of the project's plan (docs/plan.md) under the path that it names."""

from bicinium.grammar import MusicalGrammarConfig, MusicalGrammarValidator
from bicinium.training.losses import MusicalGrammarLoss

__all__ = ["MusicalGrammarConfig", "MusicalGrammarLoss", "MusicalGrammarValidator"]
