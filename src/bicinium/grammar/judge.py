"""All rules of a grammar, the built-in ones and those of the caller's own, asked about a token.

The first rule that a token breaks, in the order of the configuration, is the one it is blamed for.

Compiled when the package is built; the C types are in ``judge.pxd``.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence

from bicinium.grammar import rules, token_budget
from bicinium.grammar.config import RULE_NAMES, MusicalGrammarConfig
from bicinium.grammar.rule import Rule, ask
from bicinium.grammar.rules import RuleSet
from bicinium.grammar.state import Limits, State
from bicinium.grammar.terms import (
    FIRST_TOKEN,
    KIND_OF,
    MUSIC,
    NOTE_ON,
    TOKENS_OF_KIND,
    VALUE_OF,
    VELOCITY,
)
from bicinium.tokenizer.vocabulary import UNK, VOCAB_SIZE, Kind

KINDS = len(Kind)
TOKENS = VOCAB_SIZE
UNKNOWN = UNK  # the id, not the kind
_kind_of = memoryview(array("i", KIND_OF))
_value_of = memoryview(array("i", VALUE_OF))
_first_token = memoryview(array("i", FIRST_TOKEN))
_tokens_of_kind = memoryview(array("i", TOKENS_OF_KIND))


class Judge:
    """Judges the tokens that may follow a state.

    names: the built-in rules that are obeyed, in their order. own: the caller's rules, asked
    after them.
    """

    def __init__(
        self, config: MusicalGrammarConfig, names: Sequence[str], own: Sequence[Rule] = ()
    ) -> None:
        self.limits = Limits(config)
        self.rule_set = RuleSet(names)
        self.numbers = memoryview(array("i", [*map(RULE_NAMES.index, names), -1]))
        self.built_in = len(names)
        self.own = list(own)
        self.has_own = len(self.own) > 0
        # "No VELOCITY that no note can follow" belongs to the rule ``velocity``.
        self.look_ahead = names.index("velocity") if "velocity" in names else 0
        self.order = names.index("order") if "order" in names else -1
        self.questions = [
            [
                (index + self.built_in, rule, takes_token, question)
                for index, rule in enumerate(self.own)
                for takes_token, question in rule.questions(kind)
            ]
            for kind in Kind
        ]

    # ------------------------------------------------------------------ one token

    def first_broken(self, state: State, token: int) -> int:
        """The index of the rule that the token breaks, -1 if it is legal.

        Before the music and after END, a token in the wrong place breaks ``order``, whatever else
        it breaks. An id that is not in the vocabulary counts as UNK. Token budgets do not count:
        they are a matter of composing, not of what is valid.
        """
        if token < 0 or token >= TOKENS:
            token = UNKNOWN
        kind = _kind_of[token]
        value = _value_of[token]
        if not self.rule_set.forbids(state, kind, value) and (
            kind != VELOCITY or self.some_note_fits(state)
        ):
            return self.first_own_broken(state, token) if self.has_own else -1
        return self._first_built_in_broken(state, kind, value)

    def _first_built_in_broken(self, state: State, kind: int, value: int) -> int:
        """The index of the built-in rule that an illegal token breaks."""
        if self.order >= 0 and state.stage != MUSIC and rules.out_of_place(state, kind):
            return self.order
        for index in range(self.built_in):
            if rules.breaks(self.numbers[index], state, kind, value):
                return index
            if kind == VELOCITY and index == self.look_ahead and not self.some_note_fits(state):
                return index
        return 0  # no built-in rule: a VELOCITY that no NOTE_ON can follow

    def first_own_broken(self, state: State, token: int) -> int:
        """The index of the first rule of the caller's own that the token breaks, or -1."""
        for index, rule, takes_token, question in self.questions[_kind_of[token]]:
            value = token if takes_token else _value_of[token]
            if ask(rule, question, state, value, token):
                return index
        return -1

    def some_note_fits(self, state: State) -> bool:
        """Could any NOTE_ON come here, if a VELOCITY came first?"""
        first = _first_token[NOTE_ON]
        for token in range(first, first + _tokens_of_kind[NOTE_ON]):
            forbidden = self.rule_set.forbids_value(state, NOTE_ON, _value_of[token])
            if self.has_own and not forbidden:
                forbidden = self._own_rules_forbid_note(state, token)
            if not forbidden:
                return True
        return False

    def _own_rules_forbid_note(self, state: State, token: int) -> bool:
        """Do the methods ``note_on`` of the caller's own rules forbid this note?"""
        for _, rule, takes_token, question in self.questions[NOTE_ON]:
            if not takes_token and ask(rule, question, state, _value_of[token], token):
                return True
        return False

    # ------------------------------------------------------------------ all tokens

    def mark_legal(self, state: State, legal: memoryview) -> None:
        """Write into ``legal`` (V,) 1 for each token that breaks no rule and 0 for each other."""
        for kind in range(KINDS):
            self.rule_set.mark_legal(state, kind, legal)
        if self.has_own:
            for token in range(TOKENS):
                if legal[token] and self.first_own_broken(state, token) >= 0:
                    legal[token] = 0
        first = _first_token[VELOCITY]
        after = first + _tokens_of_kind[VELOCITY]
        if self._any(legal, first, after) and not self.some_note_fits(state):
            for token in range(first, after):
                legal[token] = 0

    def mark_allowed(self, state: State, allowed: memoryview) -> bool:
        """Write into ``allowed`` (V,) 1 for each token that may come next: it breaks no rule, and
        the piece can still end inside its budget. Answer whether there is any.
        """
        self.mark_legal(state, allowed)
        token_budget.keep_way_out(state, allowed)
        return self._any(allowed, 0, TOKENS)

    def mark_broken(self, index: int, state: State, broken: memoryview) -> None:
        """Write into ``broken`` (V,) 1 for each token that breaks the rule of this index."""
        if index < self.built_in:
            rules.mark_broken(self.numbers[index], state, broken)
        else:
            for token in range(TOKENS):
                broken[token] = self._own_rule_forbids(index, state, token)
        if index == self.look_ahead and not self.some_note_fits(state):
            first = _first_token[VELOCITY]
            for token in range(first, first + _tokens_of_kind[VELOCITY]):
                broken[token] = 1

    def _own_rule_forbids(self, asked: int, state: State, token: int) -> bool:
        """Does the token break this rule of the caller's own?"""
        for index, rule, takes_token, question in self.questions[_kind_of[token]]:
            value = token if takes_token else _value_of[token]
            if index == asked and ask(rule, question, state, value, token):
                return True
        return False

    def _any(self, marks: memoryview, first: int, after: int) -> bool:
        """Is any of these tokens marked?"""
        for token in range(first, after):
            if marks[token]:
                return True
        return False
