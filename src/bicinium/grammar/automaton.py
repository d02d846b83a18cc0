"""The grammar as an automaton: the intersection of the rules, for many sequences at once.

``initial_state`` → ``token_mask`` (what may come next) → ``advance`` (what came), until ``ended``.
Knows the rules and the meaning of tokens; knows no model and no files.

No dead ends: from every state that the mask can reach, END can be reached. The rules look one event
ahead (a note is never begun or passed over that could not end in time), and where the number of
tokens is limited, ``closing`` keeps a reserve. ``probing`` looks for those that rules of the
caller's own would make.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from copy import copy
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from bicinium.errors import DeadEndError, GrammarError
from bicinium.grammar import dead_ends, scan, token_budget, transitions
from bicinium.grammar.rules import (
    FAR,
    RULES,
    SILENT,
    Bools,
    Forbidden,
    Ints,
    Moment,
    MusicalGrammarConfig,
    Question,
    Rule,
    Stage,
    State,
    column,
    either,
    is_any,
)
from bicinium.tokenizer.vocabulary import BLOCKS, KINDS, VALUES, VOCAB_SIZE, Kind

_TOKENS = np.arange(VOCAB_SIZE, dtype=np.int32)[None]  # (1, V)
_VALUES, _KINDS = VALUES.astype(np.int32), KINDS.astype(np.int8)
_BLOCK_VALUES = {block.kind: _VALUES[None, block.ids] for block in BLOCKS}  # (1, n) of each kind


class MusicalGrammar:
    """The rules that ``config`` names, in that order, and any further ones of the caller's own.

    A token that breaks several rules counts as a violation of the first. Raises DeadEndError, with
    the names, where the caller's rules conflict with others.
    """

    def __init__(
        self, config: MusicalGrammarConfig | None = None, extra_rules: Sequence[type[Rule]] = ()
    ) -> None:
        self.config = config or MusicalGrammarConfig()
        chosen = [*(RULES[name] for name in self.config.rules), *extra_rules]
        self._obey([rule(self.config) for rule in chosen])
        if extra_rules:
            dead_ends.find_dead_ends(self)

    def _obey(self, rules: Sequence[Rule]) -> None:
        self.rules: tuple[Rule, ...] = tuple(rules)
        self._questions = {kind: who for kind in Kind if (who := self._who_answers(kind))}
        names = [rule.name for rule in rules]
        self._looks_ahead = names.index("velocity") if "velocity" in names else 0
        self._order = names.index("order") if "order" in names else 0

    def _who_answers(self, kind: Kind) -> list[tuple[int, Question]]:
        """The rules that have an opinion on a kind of token: index and method."""
        questions = [rule.question(kind) for rule in self.rules]
        return [(index, question) for index, question in enumerate(questions) if question]

    # ------------------------------------------------------------------ states

    def initial_state(
        self,
        batch: int = 1,
        *,
        bar_ticks: ArrayLike = 0,
        bars: ArrayLike | None = None,
        max_tokens: ArrayLike | None = None,
        transposition: ArrayLike = 0,
        spare_slots: int = 3,
    ) -> State:
        """The state before START. Each argument is one number, or one for each of ``batch`` rows.

        bar_ticks: length of a bar; 0 where the metre is unknown, so that END may fall anywhere.
        bars: the piece ends exactly after so many; None (or 0) lets it end on any barline.
        max_tokens: the piece is no longer than this, START and END included.
        transposition: semitones that will be added after decoding; ``range`` counts them in.
        spare_slots: notes beyond ``max_polyphony`` to keep track of; 0 is enough for legal tokens.

        Raises GrammarError where the budget is too small for any piece.
        """

        def rows(value: ArrayLike) -> Ints:
            return np.broadcast_to(np.asarray(value, dtype=np.int32), (batch,)).copy()

        bar, count = rows(bar_ticks), rows(0 if bars is None else bars)
        if (bar < 0).any() or (count < 0).any() or ((count > 0) & (bar == 0)).any():
            raise GrammarError("bars must be 0 or more, and a number of bars needs a metre")
        slots = (batch, self.config.voices, self.config.max_polyphony + spare_slots)
        state = State(
            bar_ticks=bar,
            end_tick=np.where(count > 0, bar * count, FAR).astype(np.int32),
            tokens_left=rows(FAR if max_tokens is None else max_tokens),
            transposition=rows(transposition),
            stage=rows(Stage.BEFORE_START),
            moment=rows(Moment.LONG),
            tick=rows(0),
            part=rows(0),
            velocity=rows(-1),
            notes=rows(0),
            last_on=rows(0),
            last_off=rows(0),
            last_token=rows(-1),
            run=rows(0),
            pedal=np.zeros(slots[:2], np.int32),
            recent_pitch=np.zeros((*slots[:2], 3), np.int32),
            recent_onset=np.zeros((*slots[:2], 2), np.int32),
            held_pitch=np.full(slots, SILENT, np.int32),
            held_onset=np.zeros(slots, np.int32),
            held_until=np.full(slots, FAR, np.int32),
        )
        needed = token_budget.reserve(state)
        if (state.tokens_left < needed).any():
            row = int(np.argmax(needed - state.tokens_left))
            raise GrammarError(
                f"a budget of {state.tokens_left[row]} tokens is too small for such a piece: "
                f"give it {needed[row]} or more"
            )
        return state

    def advance(self, state: State, tokens: ArrayLike) -> None:
        """Move each row of ``state`` by its token (B,), legal or not, in place."""
        transitions.advance(self.config, state, np.array(tokens, dtype=np.intp))

    def states_along(self, sequences: Sequence[ArrayLike], **asked: Any) -> State:
        """The states along many sequences, one below the other.

        A sequence of T tokens gives T + 1 rows: the state before each token and the one after the
        last. ``asked`` is what ``initial_state`` takes, one value for each sequence.
        """
        arrays = [np.asarray(sequence, dtype=np.int32) for sequence in sequences]
        initial = self.initial_state(len(arrays), **asked)
        return scan.states_along(self.config, initial, arrays)

    def ended(self, state: State) -> Bools:
        """(B,) True where END has come."""
        return np.asarray(state.stage == Stage.ENDED)

    # ------------------------------------------------------------------ judging tokens

    def token_mask(self, state: State) -> Bools:
        """(B, 774) True where a token may come next.

        Raises DeadEndError, naming the rules, where a row would allow nothing.
        """
        forbidden = self.forbidden(state)
        token_budget.restrict(state, forbidden)
        dead = np.logical_and.reduce(forbidden, axis=1)
        if is_any(dead):
            raise DeadEndError(self._dead_end_sentence(state.take(np.flatnonzero(dead)[:1])))
        return np.logical_not(forbidden, out=forbidden)

    def forbidden(self, state: State) -> Bools:
        """(B, 774) True where a rule forbids a token: after a slip, maybe every one.

        Token budgets are not looked at.
        """
        whatever_kind: Forbidden = False
        for rule in self.rules:
            whatever_kind = either(whatever_kind, rule.any_token(state, _TOKENS))
        forbidden = np.asarray(whatever_kind)
        if forbidden.shape != (len(state), VOCAB_SIZE):
            forbidden = np.full((len(state), VOCAB_SIZE), whatever_kind)
        notes, no_note_fits = self._judge_notes(state)
        for kind in self._questions:
            answer = notes if kind == Kind.NOTE_ON else self._together(state, kind)
            if kind == Kind.VELOCITY:
                answer = either(answer, no_note_fits)
            if answer is not False:
                of_kind = forbidden[:, BLOCKS[kind].ids]
                of_kind |= answer
        return forbidden

    def rule_masks(self, state: State) -> Iterator[tuple[Rule, Bools]]:
        """For each rule, (B, 774) True where that rule forbids a token of the music."""
        masks = np.zeros((len(self.rules), len(state), VOCAB_SIZE), np.bool_)
        for kind in self._questions:
            for index, answer in self._answers(state, kind, _BLOCK_VALUES[kind]):
                masks[index][:, BLOCKS[kind].ids] = answer
        for index, rule in enumerate(self.rules):
            masks[index] |= rule.any_token(state, _TOKENS)
        _, no_note_fits = self._judge_notes(state)
        masks[self._looks_ahead][:, BLOCKS[Kind.VELOCITY].ids] |= no_note_fits
        yield from zip(self.rules, masks, strict=True)

    def broken_rule(self, state: State, tokens: ArrayLike) -> Ints:
        """(B,) index in ``rules`` of the first that forbids each row's token, -1 where none does.

        Outside the music a token in the wrong place breaks ``order``, whatever else it breaks.
        Token budgets are not looked at: they are a matter of composing, not of what is valid.
        """
        tokens = np.asarray(tokens, dtype=np.intp)
        none = len(self.rules)
        broken = np.full(len(state), none, np.int32)
        out_of_place = np.zeros(len(state), np.bool_)
        for index, rule in enumerate(self.rules):
            answer = rule.any_token(state, column(tokens))
            if answer is not False:
                guilty = np.broadcast_to(answer, (len(state), 1))[:, 0]
                np.minimum(broken, index, out=broken, where=guilty)
                if rule.name == "order":
                    out_of_place = guilty & (state.stage != Stage.MUSIC)
        kinds = _KINDS.take(tokens)
        for kind in self._questions:
            rows = np.flatnonzero(kinds == kind)
            if not len(rows):
                continue
            some = state.look_at(rows)
            answers = self._answers(some, kind, column(_VALUES.take(tokens[rows])))
            if kind == Kind.VELOCITY:
                answers = chain(answers, [(self._looks_ahead, self._judge_notes(some)[1])])
            for index, answer in answers:
                if answer is not False:
                    guilty = rows[np.broadcast_to(answer, (len(rows), 1))[:, 0]]
                    broken[guilty] = np.minimum(broken[guilty], index)
        broken[out_of_place] = self._order
        broken[broken == none] = -1
        return broken

    def _answers(self, state: State, kind: Kind, value: Ints) -> Iterator[tuple[int, Forbidden]]:
        """What each rule that has an opinion on a kind says, with its index."""
        for index, question in self._questions.get(kind, ()):
            yield index, question(state, value)

    def _together(self, state: State, kind: Kind) -> Forbidden:
        """(B, n) the tokens of a kind that are forbidden by some rule."""
        forbidden: Forbidden = False
        for _, answer in self._answers(state, kind, _BLOCK_VALUES[kind]):
            forbidden = either(forbidden, answer)
            if forbidden is True:
                break
        return forbidden

    def _judge_notes(self, state: State) -> tuple[Bools, Bools]:
        """(B, 88) the NOTE_ONs that are forbidden, and (B, 1) True where none would be allowed even
        if a VELOCITY came first: then that VELOCITY is forbidden too.
        """
        pitches = _BLOCK_VALUES[Kind.NOTE_ON]
        others = np.zeros((len(state), pitches.shape[1]), np.bool_)
        no_velocity_yet: Forbidden = False
        for index, answer in self._answers(state, Kind.NOTE_ON, pitches):
            if self.rules[index].name == "velocity":
                no_velocity_yet = answer
            elif answer is not False:
                others |= answer
        nothing_fits = np.logical_and.reduce(others, axis=1, keepdims=True)
        return others | no_velocity_yet, nothing_fits

    def _dead_end_sentence(self, state: State) -> str:
        """Which rules forbid everything in this single row, none of which could be left out."""
        where, guilty = f"at tick {state.tick[0]}", list(self.rules)
        if not self._all_is_forbidden(state, guilty):
            names = ", ".join(rule.name for rule in guilty)
            return (
                f"no way leads to END {where} in the {state.tokens_left[0]} tokens that are left: "
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
        smaller = copy(self)
        smaller._obey(rules)
        return bool(smaller.forbidden(state).all())
