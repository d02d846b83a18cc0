"""The grammar as an automaton: the intersection of the rules, for one sequence or many.

``initial_state`` → ``token_mask`` (what may come next) → ``state.advance`` (what came), until END.
For a batch: ``initial_states`` → ``mask`` → ``advance``, until ``ended``.
Knows the rules and the meaning of tokens; knows no model and no files.

No dead ends: from every state that the mask can reach, END can be reached. The rules look one event
ahead (a note is never begun or passed over that could not end in time), and where the number of
tokens is limited, ``token_budget`` keeps a reserve. ``dead_ends`` looks for those that the caller's
own rules would make.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Sized
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bicinium.errors import DeadEndError, GrammarError
from bicinium.grammar import dead_ends, scan, token_budget
from bicinium.grammar.config import MusicalGrammarConfig
from bicinium.grammar.judge import Judge
from bicinium.grammar.messages import BuiltInRule
from bicinium.grammar.rule import Rule
from bicinium.grammar.state import State
from bicinium.grammar.states import Bools, Ints, States
from bicinium.grammar.terms import ENDED, FAR
from bicinium.music.score import HIGHEST_PITCH, LOWEST_PITCH, Meter
from bicinium.tokenizer.vocabulary import BLOCKS, END, PAD, START, VOCAB_SIZE, Kind

SPARE_SLOTS = 3
_TEMPOS = BLOCKS[Kind.TEMPO].first_id + np.arange(BLOCKS[Kind.TEMPO].size)


class Found(NamedTuple):
    """What ``MusicalGrammar.validate`` finds in S sequences with T tokens in all."""

    broken: Ints  # (T,) the index of the rule that each token breaks, -1 if it is legal
    last_states: States  # (S,) the states after the last tokens
    legal_note_offs: Ints  # (S,) how many of each


class MusicalGrammar:
    """The rules that ``config`` names, in that order, and any further ones of the caller's own.

    A token that breaks several rules counts as a violation of the first. Raises DeadEndError, with
    the names, if the caller's rules conflict with others, and GrammarError if one fails.
    """

    start_id, end_id, pad_id = START, END, PAD

    def __init__(
        self, config: MusicalGrammarConfig | None = None, extra_rules: Sequence[type[Rule]] = ()
    ) -> None:
        self.config = config or MusicalGrammarConfig()
        built_in = [BuiltInRule(self.config, name) for name in self.config.rules]
        self.rules: tuple[Rule, ...] = (*built_in, *(rule(self.config) for rule in extra_rules))
        self.judge = _judge_of(self.config, self.rules)
        if extra_rules:
            dead_ends.find_dead_ends(self)

    def __getstate__(self) -> dict[str, Any]:
        return {"config": self.config, "rules": self.rules}

    def __setstate__(self, kept: dict[str, Any]) -> None:
        self.__dict__.update(kept)
        self.judge = _judge_of(self.config, self.rules)

    @property
    def vocab_size(self) -> int:
        """Number of token ids."""
        return VOCAB_SIZE

    @property
    def encoder(self) -> str:
        """What turns music into ids, for messages."""
        return "bicinium.tokenizer.codec.encode"

    # ------------------------------------------------------------------ one sequence

    def initial_state(
        self,
        *,
        meter: Meter | None = None,
        bar_ticks: int = 0,
        bars: int | None = None,
        max_tokens: int | None = None,
        transposition: int = 0,
        spare_slots: int = SPARE_SLOTS,
    ) -> State:
        """The state before START.

        meter: the metre; None if it is unknown, so that END may fall anywhere.
        bar_ticks: length of a bar, instead of the metre.
        bars: the piece ends exactly after this many; None (or 0) lets it end on any barline.
        max_tokens: the piece is no longer than this, START and END included.
        transposition: semitones that will be added after decoding; ``range`` counts them in.
        spare_slots: notes beyond ``max_polyphony`` to keep track of; 0 is enough for legal tokens.

        Raises GrammarError if the budget is too small for any piece, or if the transposition leaves
        a part no pitch within its range.
        """
        states = self.initial_states(
            1,
            meter=meter,
            bar_ticks=bar_ticks,
            bars=bars,
            max_tokens=max_tokens,
            transposition=transposition,
            spare_slots=spare_slots,
        )
        return states[0]

    def token_mask(self, state: State, out: Bools | None = None) -> Bools:
        """(V,) True for each token that may come next, written into ``out`` if it is given.

        Raises DeadEndError, naming the rules, if there is none.
        """
        mask = np.empty(VOCAB_SIZE, np.bool_) if out is None else out
        _same_length(mask, VOCAB_SIZE)
        if not self.judge.mark_allowed(state, mask.view(np.uint8).data):
            raise DeadEndError(self._dead_end_sentence(state))
        return mask

    def broken_rule(self, state: State, token: int) -> int:
        """The index in ``rules`` of the first that forbids the token, -1 if none does.

        Before the music and after END, a token in the wrong place breaks ``order``, whatever else
        it breaks. Token budgets do not count: they are a matter of composing, not of what is valid.
        """
        return self.judge.first_broken(state, token)

    # ------------------------------------------------------------------ many sequences

    def initial_states(
        self,
        count: int,
        *,
        meter: Meter | Sequence[Meter | None] | None = None,
        bar_ticks: ArrayLike = 0,
        bars: ArrayLike | None = None,
        max_tokens: ArrayLike | None = None,
        transposition: ArrayLike = 0,
        spare_slots: int = SPARE_SLOTS,
    ) -> States:
        """The states before START of a batch. Takes what ``initial_state`` takes: each argument is
        one value, or one for each sequence.
        """
        fresh = State(self.judge.limits, self.config.max_polyphony + spare_slots)
        states = States.of(fresh, count)
        states.bar_ticks[:] = _bar_ticks(meter, bar_ticks)
        states.transposition[:] = transposition
        bar, asked = states.bar_ticks, np.broadcast_to(0 if bars is None else bars, (count,))
        if (bar < 0).any() or (asked < 0).any() or ((asked > 0) & (bar == 0)).any():
            raise GrammarError("bars must be 0 or more, and a number of bars needs a metre")
        self._refuse_empty_ranges(states.transposition)
        states.end_tick[:] = np.where(asked > 0, bar * asked, FAR)
        if max_tokens is not None:
            states.tokens_left[:] = max_tokens
            for row in range(count):
                self._refuse_small_budget(states[row])
        return states

    def _refuse_empty_ranges(self, transposition: Ints) -> None:
        """A part without any pitch would be a dead end: an event must follow its PART."""
        if "range" not in self.config.rules:
            return
        for part in range(self.config.voices):
            low, high = self.config.range_of(part)
            none = (high - transposition < LOWEST_PITCH) | (low - transposition > HIGHEST_PITCH)
            if none.any():
                semitones = transposition[none][0]
                raise GrammarError(
                    f"the range of part {part}, {low} to {high}, has no pitch that a token can "
                    f"name when the piece is transposed by {semitones:+d} semitones: widen it"
                )

    def _refuse_small_budget(self, state: State) -> None:
        needed = token_budget.reserve(state)
        if state.tokens_left < needed:
            raise GrammarError(
                f"a budget of {state.tokens_left} tokens is too small for such a piece: "
                f"give it {needed} or more"
            )

    def mask(self, states: States) -> Bools:
        """(N, V) True for each token that may come next.

        Raises DeadEndError, naming the rules, if a row allows none.
        """
        marks = _marks(len(states))
        dead = scan.mark_allowed(self.judge, states.room, states.rows, _flat(marks))
        if dead >= 0:
            raise DeadEndError(self._dead_end_sentence(states[dead]))
        return marks.view(np.bool_)

    def legal(self, states: States) -> Bools:
        """(N, V) True for each token that breaks no rule; after an illegal token there may be none.

        Token budgets do not count.
        """
        marks = _marks(len(states))
        scan.mark_legal(self.judge, states.room, states.rows, _flat(marks))
        return marks.view(np.bool_)

    def rule_masks(self, states: States) -> Iterator[tuple[Rule, Bools]]:
        """For each rule, (N, V) True for each token that breaks it."""
        for index, rule in enumerate(self.rules):
            marks = _marks(len(states))
            scan.mark_broken(self.judge, index, states.room, states.rows, _flat(marks))
            yield rule, marks.view(np.bool_)

    def broken_rules(self, states: States, tokens: ArrayLike) -> Ints:
        """(N,) ``broken_rule`` of each row and its token."""
        broken, ids = np.empty(len(states), np.int32), _integers(tokens)
        _same_length(ids, len(states))
        scan.first_broken(self.judge, states.room, states.rows, ids, broken.data)
        return broken

    def advance(self, states: States, tokens: ArrayLike) -> None:
        """Move each row by its token (N,), legal or not, in place."""
        ids = _integers(tokens)
        _same_length(ids, len(states))
        scan.advance(states.room, states.rows, ids)

    def states_along(self, sequences: Sequence[ArrayLike], **request: Any) -> States:
        """The states along many sequences, one below the other.

        A sequence of T tokens gives T + 1 rows: the state before each token and the one after the
        last. Takes what ``initial_state`` takes, one value for each sequence.
        """
        initial = self.initial_states(len(sequences), **request)
        lengths = [len(np.atleast_1d(sequence)) for sequence in sequences]
        states = States.empty(initial.limits, initial.slots, sum(lengths) + len(lengths))
        scan.states(
            states.room, initial.rows, _concatenated(sequences), _integers(lengths), states.rows
        )
        return states

    def states_before(self, targets: NDArray[np.integer]) -> States:
        """Return the (B · T,) states before each of (B, T) targets, which follow START.

        A negative target stands where nothing counts.
        """
        inputs = np.where(targets < 0, PAD, targets)[:, :-1]
        inputs = np.concatenate([np.full((len(inputs), 1), START), inputs], axis=1)
        states = self.states_along(list(inputs))
        before_start = np.arange(len(inputs)) * (inputs.shape[1] + 1)
        return states.take(np.delete(np.arange(len(states)), before_start))

    def looks_unshifted(self, targets: NDArray[np.integer]) -> bool:
        """Whether each row of (B, T) targets begins with START and TEMPO, as inputs do.

        A model that has collapsed may write START anywhere, but hardly where each piece begins.
        """
        begins = (targets[:, :1] == START) & np.isin(targets[:, 1:2], _TEMPOS)
        return begins.size > 0 and bool(begins.all())

    def validate(self, initial: States, tokens: ArrayLike, lengths: ArrayLike) -> Found:
        """What is wrong with sequences that stand one behind the other in ``tokens``.

        Sequence i begins in row i of ``initial`` and has ``lengths[i]`` tokens.
        """
        ids, counts = _integers(tokens), _integers(lengths)
        _same_length(counts, len(initial))
        _same_length(ids, sum(counts))
        broken, pairs = np.empty(len(ids), np.int32), np.empty(len(initial), np.int32)
        last = States.empty(initial.limits, initial.slots, len(initial))
        room, into = initial.room, (broken.data, last.rows, pairs.data)
        scan.validate(self.judge, room, initial.rows, ids, counts, *into)
        return Found(broken, last, pairs)

    def ended(self, states: States) -> Bools:
        """(N,) True if END has come."""
        return np.asarray(states.stage == ENDED)

    # ------------------------------------------------------------------ conflicts

    def _dead_end_sentence(self, state: State) -> str:
        """Which rules forbid everything in this state, none of which could be left out."""
        where, guilty = f"at tick {state.tick}", list(self.rules)
        if not self._all_is_forbidden(state, guilty):
            names = ", ".join(rule.name for rule in guilty)
            return (
                f"no way leads to END {where} in the {state.tokens_left} tokens that are left: "
                f"give more, or loosen one of the rules {names}"
            )
        for rule in self.rules:
            others = [other for other in guilty if other is not rule]
            if self._all_is_forbidden(state, others):
                guilty = others
        return (
            f"no token may follow {where}: the rules {', '.join(rule.name for rule in guilty)} "
            "together forbid all of them, so loosen one"
        )

    def _all_is_forbidden(self, state: State, rules: Sequence[Rule]) -> bool:
        marks = np.empty(VOCAB_SIZE, np.uint8)
        _judge_of(self.config, rules).mark_legal(state, marks.data)
        return not marks.any()


def _judge_of(config: MusicalGrammarConfig, rules: Sequence[Rule]) -> Judge:
    names = [rule.name for rule in rules if isinstance(rule, BuiltInRule)]
    return Judge(config, names, [rule for rule in rules if not isinstance(rule, BuiltInRule)])


def _bar_ticks(meter: Meter | Sequence[Meter | None] | None, bar_ticks: ArrayLike) -> ArrayLike:
    """The length of a bar of each metre, or what was given instead."""
    if meter is None:
        return bar_ticks
    if np.any(bar_ticks):
        raise GrammarError("meter and bar_ticks say the same: give one of them")
    if isinstance(meter, Meter):
        return meter.bar_ticks
    return [one.bar_ticks if one else 0 for one in meter]


def _same_length(values: Sized, expected: int) -> None:
    """The compiled loops do not check where an array ends."""
    if len(values) != expected:
        raise ValueError(f"{len(values)} values were given where {expected} are needed")


def _marks(rows: int) -> NDArray[np.uint8]:
    return np.empty((rows, VOCAB_SIZE), np.uint8)


def _flat(marks: NDArray[np.uint8]) -> memoryview:
    return marks.reshape(-1).data


def _integers(values: ArrayLike) -> memoryview:
    return np.ascontiguousarray(values, dtype=np.int32).data


def _concatenated(sequences: Sequence[ArrayLike]) -> memoryview:
    nothing = np.empty(0, np.int32)
    return _integers(np.concatenate([nothing, *(np.asarray(s, np.int32) for s in sequences)]))
