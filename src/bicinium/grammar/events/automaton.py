"""The grammar of an ``EventVocabulary``: mask, broken rules and next state of each token.

It answers the same questions as ``MusicalGrammar``, so that training takes either.
A token that may not stand where it stands (by ``successors``) is skipped: it changes neither time
nor notes. Any other token counts, even if it breaks a rule.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bicinium.errors import DeadEndError, TokenError
from bicinium.grammar.events import rules
from bicinium.grammar.events.state import NOTHING_YET, EventState, EventStates, apply
from bicinium.grammar.events.tables import Bools, EventTables
from bicinium.grammar.events.vocabulary import EventKind, EventVocabulary

_KEPT_STATES = 4096  # of sequences that are being generated


@dataclass(frozen=True, slots=True)
class EventRule:
    """A rule with its weight in the grammar score, and what it demands in a sentence."""

    name: str
    weight: float
    description: str
    mark: rules.Mark


class EventGrammar:
    """The rules for sequences of events. Raises GrammarError if the vocabulary contradicts itself.

    A token that breaks several rules counts as a violation of the first.
    """

    def __init__(self, vocabulary: EventVocabulary) -> None:
        self.vocabulary = vocabulary
        self.tables = EventTables(vocabulary)
        self.rules = tuple(
            EventRule(name, weight, " ".join((mark.__doc__ or "").split()), mark)
            for name, weight, mark in rules.RULES
        )
        self._states: dict[tuple[int, ...], EventState] = {}

    @property
    def vocab_size(self) -> int:
        """Number of token ids."""
        return len(self.tables.events)

    @property
    def start_id(self) -> int | None:
        """The first id of the kind START, None if there is none."""
        return self.tables.only_id(EventKind.START)

    @property
    def end_id(self) -> int | None:
        """The first id of the kind END, None if there is none."""
        return self.tables.only_id(EventKind.END)

    @property
    def pad_id(self) -> int | None:
        """The first id of the kind PAD, None if there is none."""
        return self.tables.only_id(EventKind.PAD)

    @property
    def encoder(self) -> str:
        """What turns music into ids, for messages."""
        return f"the tokenizer of {type(self.vocabulary).__name__}"

    # ------------------------------------------------------------------ one sequence

    def initial_state(self) -> EventState:
        """Return the state before the first token."""
        return EventState(self.vocabulary.bar_ticks)

    def advance_state(self, state: EventState, token: int) -> EventState:
        """Return the state after a token, legal or not."""
        tables = self.tables
        last = int(tables.type_of[token])
        known = state.last_type != NOTHING_YET
        if state.ended or (known and not tables.follows[state.last_type, token]):
            following = state
        else:
            following = apply(state, tables.events[token], tables.has(EventKind.BAR))
        return following._replace(last_type=last, tokens=state.tokens + 1)

    def legal_tokens(self, state: EventState) -> Bools:
        """(V,) True for each token that breaks no rule. After an illegal one there may be none."""
        forbidden = np.zeros(self.vocab_size, np.bool_)
        for rule in self.rules:
            rule.mark(self.vocabulary, self.tables, state, forbidden)
        return ~forbidden

    def token_mask(self, state: EventState) -> Bools:
        """(V,) True for each token that may come next. Raises DeadEndError if there is none."""
        mask = self.legal_tokens(state)
        if not mask.any():
            raise DeadEndError(
                f"No token may follow at tick {state.tick}, after {state.tokens} tokens: the "
                "successors of the vocabulary leave no way on."
            )
        return mask

    def broken_rule(self, state: EventState, token: int) -> int:
        """Return the index in ``rules`` of the first that forbids the token, -1 if none does."""
        for index, rule in enumerate(self.rules):
            forbidden = np.zeros(self.vocab_size, np.bool_)
            rule.mark(self.vocabulary, self.tables, state, forbidden)
            if forbidden[token]:
                return index
        return -1

    def allowed_tokens(self, row: int, ids: Any) -> list[int]:
        """Return the ids that may follow a sequence, which padding may precede.

        ``model.generate`` of Transformers takes this method as ``prefix_allowed_tokens_fn``.
        ``row`` is its place in the batch, which does not matter here.
        """
        prefix = ids.tolist()
        pads = set(self.tables.ids[EventKind.PAD].tolist())
        music = next((i for i, token in enumerate(prefix) if token not in pads), len(prefix))
        state = self._state_after(tuple(prefix[music:]))
        if state.ended and not pads:
            return prefix[-1:]
        return np.flatnonzero(self.token_mask(state)).tolist()

    def _state_after(self, prefix: tuple[int, ...]) -> EventState:
        """Return the state after a sequence, from that of the sequence without its last token."""
        state = self._states.get(prefix[:-1])
        unread = prefix[-1:] if state else prefix
        state = state or self.initial_state()
        for token in unread:
            state = self.advance_state(state, token)
        if len(self._states) >= _KEPT_STATES:
            self._states.clear()
        self._states[prefix] = state
        return state

    # ------------------------------------------------------------------ many sequences

    def initial_states(self, count: int) -> EventStates:
        """Return the states of a batch before the first token."""
        return EventStates([self.initial_state()] * count)

    def mask(self, states: EventStates) -> Bools:
        """(N, V) True for each token that may come next. Raises DeadEndError if there is none."""
        return np.array([self.token_mask(state) for state in states.rows]).reshape(
            -1, self.vocab_size
        )

    def legal(self, states: EventStates) -> Bools:
        """(N, V) True for each token that breaks no rule."""
        rows = [self.legal_tokens(state) for state in states.rows]
        return np.array(rows, np.bool_).reshape(-1, self.vocab_size)

    def rule_masks(self, states: EventStates) -> Iterator[tuple[EventRule, Bools]]:
        """For each rule, (N, V) True for each token that breaks it."""
        for rule in self.rules:
            forbidden = np.zeros((len(states), self.vocab_size), np.bool_)
            for state, row in zip(states.rows, forbidden, strict=True):
                rule.mark(self.vocabulary, self.tables, state, row)
            yield rule, forbidden

    def broken_rules(self, states: EventStates, tokens: ArrayLike) -> NDArray[np.int64]:
        """(N,) ``broken_rule`` of each row and its token."""
        ids = np.asarray(tokens).tolist()
        return np.array(
            [self.broken_rule(s, t) for s, t in zip(states.rows, ids, strict=True)], np.int64
        )

    def advance(self, states: EventStates, tokens: ArrayLike) -> None:
        """Move each row by its token (N,), legal or not, in place."""
        ids = np.asarray(tokens).tolist()
        states.rows = [self.advance_state(s, t) for s, t in zip(states.rows, ids, strict=True)]

    def ended(self, states: EventStates) -> Bools:
        """(N,) True if END has come."""
        return np.array([state.ended for state in states.rows], np.bool_)

    def states_along(self, sequences: Sequence[ArrayLike]) -> EventStates:
        """Return the states along many sequences, one below the other.

        A sequence of T tokens gives T + 1 rows: the state before each token and the one after the
        last. Raises TokenError if an id is not of the vocabulary.
        """
        rows = [self.check_ids(sequence).tolist() for sequence in sequences]
        return EventStates(
            state for row in rows for state in self._along(self.initial_state(), row)
        )

    def states_before(self, targets: NDArray[np.integer]) -> EventStates:
        """Return the (B · T,) states before each of (B, T) ids, negative where nothing counts.

        Each row begins right after START, or where there is no START with the first token.
        """
        before = self.initial_state()
        if self.start_id is not None:
            before = self.advance_state(before, self.start_id)
        return EventStates(
            state for row in targets.tolist() for state in self._along(before, row)[:-1]
        )

    def _along(self, state: EventState, tokens: Iterable[int]) -> list[EventState]:
        """Return the states before each token and after the last; a negative one is skipped."""
        found = [state]
        for token in tokens:
            state = state if token < 0 else self.advance_state(state, token)
            found.append(state)
        return found

    def looks_unshifted(self, targets: NDArray[np.integer]) -> bool:
        """Whether each row of (B, T) ids begins with START, as inputs do and targets do not."""
        start = self.start_id
        return start is not None and targets.shape[-1] > 1 and bool((targets[:, 0] == start).all())

    def check_ids(self, tokens: ArrayLike) -> NDArray[np.int64]:
        """Return ids as an array. Raises TokenError if one is not of the vocabulary."""
        ids = np.asarray(tokens, dtype=np.int64).ravel()
        wrong = ids[(ids < 0) | (ids >= self.vocab_size)]
        if len(wrong):
            raise TokenError(
                f"Token ids must be between 0 and {self.vocab_size - 1} (got {wrong[0]})."
            )
        return ids
