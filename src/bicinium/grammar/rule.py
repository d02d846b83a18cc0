"""A rule as an object: name, weight in the score, messages; and how to write one of your own.

Subclass ``Rule``, name it, and write a method for each kind of token that it judges, called like
the kind: ``note_on``, ``note_off``, ``time_shift``, ``velocity``, ``part``, ``end``, … The method
takes the state of one sequence and the token's value (a pitch, ticks, a bin, a part) and answers
True if the rule forbids the token:

    class NoRepeatedPitch(Rule):
        name = "no_repeated_pitch"

        def note_on(self, state, pitch):
            return state.part == 1 and pitch == state.last_pitch(1)

Give the class to ``MusicalGrammar(extra_rules=[NoRepeatedPitch])``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

from bicinium.errors import GrammarError
from bicinium.grammar.config import MusicalGrammarConfig
from bicinium.grammar.state import State
from bicinium.tokenizer.vocabulary import Kind, describe

Question: TypeAlias = Callable[[State, int], bool]


class Rule:
    """A rule that forbids nothing. ``weight`` is the exponent of its score in ``grammar_score``."""

    name = "rule"
    weight = 1.0

    def __init__(self, config: MusicalGrammarConfig) -> None:
        self.config = config

    @property
    def description(self) -> str:
        """What the rule demands: the docstring of its class."""
        return " ".join((type(self).__doc__ or "").replace("`", "").split())

    def any_token(self, state: State, token: int) -> bool:
        """Is the token forbidden, whatever its kind? Takes its id instead of its value."""
        return False

    def message(self, state: State, token: int) -> str:
        """Why ``token`` may not come next: the end of a sentence."""
        return f"breaks the rule {self.name}"

    def questions(self, kind: Kind) -> list[tuple[bool, Question]]:
        """The methods that judge tokens of a kind, and whether each takes the id of the token
        instead of its value.
        """
        found: list[tuple[bool, Question]] = []
        method = getattr(self, kind.name.lower(), None)
        if method is not None:
            found.append((False, method))
        if type(self).any_token is not Rule.any_token:
            found.append((True, self.any_token))
        return found


def ask(rule: Rule, question: Question, state: State, value: int, token: int) -> bool:
    """Return the answer of a method of a rule. Raises GrammarError, with the names of rule and
    method, if it fails or returns neither True nor False.
    """
    name = getattr(question, "__name__", "method")
    try:
        answer: Any = question(state, value)
    except Exception as error:
        raise GrammarError(
            f"rule {rule.name!r}: {name}(state, {value}) failed at {describe(token)}: "
            f"{type(error).__name__}: {error}"
        ) from error
    if not isinstance(answer, bool | np.bool_):
        raise GrammarError(
            f"rule {rule.name!r}: {name}(state, {value}) must answer True or False "
            f"(got {answer!r:.80}). It judges one token of one sequence."
        )
    return bool(answer)
