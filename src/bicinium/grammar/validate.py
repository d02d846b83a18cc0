"""The validator: what is wrong with a sequence, where, and how much.

It never repairs. After an error the state goes on as if the token had been meant (the last event
wins), so that one error causes few others.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bicinium.errors import TokenError
from bicinium.grammar.automaton import MusicalGrammar
from bicinium.grammar.config import MusicalGrammarConfig
from bicinium.grammar.state import State
from bicinium.grammar.states import Ints
from bicinium.grammar.terms import Stage
from bicinium.music.score import COMMON_TIME, TICKS_PER_QUARTER, Meter
from bicinium.tokenizer.vocabulary import KINDS, UNK, VOCAB_SIZE, Kind, describe
from bicinium.upper_layers import NotebookDisplay

OTHER_VOCABULARY = (
    "More than half of the tokens break a rule. Are they ids of another vocabulary? "
    "bicinium.tokenizer.vocabulary.describe(id) says what each id means here."
)

_MIN_TOKENS = 16  # to recognise another vocabulary by
_PART_NAMES = ("upper voice", "lower voice")
_PAIRED_EVENTS = (Kind.NOTE_ON, Kind.NOTE_OFF, Kind.SUSTAIN_ON, Kind.SUSTAIN_OFF)
_TOKENS_AT_ONCE = 32_000

# The kinds of token each rule is concerned with: how often it could have been broken.
_CONCERNS: dict[str, tuple[Kind, ...]] = {
    "duration": (Kind.NOTE_OFF,),
    "time": (Kind.TIME_SHIFT, Kind.END),
    "voices": (Kind.NOTE_ON,),
    "velocity": (Kind.VELOCITY, Kind.NOTE_ON),
    "range": (Kind.NOTE_ON,),
}


@dataclass(frozen=True, slots=True)
class Violation:
    """A token that breaks a rule. Bars and beats count from 1, the index from 0."""

    index: int
    tick: int
    bar: int
    beat: float
    part: int
    rule: str
    message: str


@dataclass(frozen=True, slots=True)
class ValidationResult(NotebookDisplay):
    """What the validator found; ``result["grammar_score"]`` works as well as the attribute."""

    valid: bool
    grammar_score: float
    rule_scores: dict[str, float]
    violations: tuple[Violation, ...]
    notes: int
    paired_notes: int
    hint: str = ""  # what is probably wrong with all of it, such as another vocabulary

    def __getitem__(self, name: str) -> Any:
        return asdict(self)[name]


def looks_like_another_vocabulary(violations: int, tokens: int) -> bool:
    """Whether so many tokens break a rule that they are hardly music in this vocabulary."""
    return tokens >= _MIN_TOKENS and 2 * violations > tokens


def _token_ids(tokens: ArrayLike) -> NDArray[np.int64]:
    """Return the ids of one sequence, (T,) or (1, T), as (T,). Raises TokenError otherwise."""
    given = np.asarray(tokens)
    if given.ndim == 2 and len(given) == 1:
        given = given[0]
    if given.ndim != 1:
        raise TokenError(
            f"One sequence of token ids has the shape (T,) or (1, T) (got {given.shape}). Validate "
            "the sequences of a batch with validate_sequences."
        )
    if given.size and given.dtype.kind not in "iu":
        raise TokenError(f"Token ids must be whole numbers (got {given.dtype}: {given[0]}).")
    return given.astype(np.int64)


class MusicalGrammarValidator:
    """Judges sequences of token ids by a grammar."""

    def __init__(self, grammar: MusicalGrammar | MusicalGrammarConfig | None = None) -> None:
        if not isinstance(grammar, MusicalGrammar):
            grammar = MusicalGrammar(grammar)
        self.grammar = grammar

    def validate_sequence(
        self,
        tokens: ArrayLike,
        meter: Meter | None = None,
        bars: int | None = None,
        transposition: int = 0,
    ) -> ValidationResult:
        """Judge one sequence of T token ids, or one in a batch of one, (1, T).

        Without a metre END may fall anywhere; bars then count as 4/4. Raises TokenError for another
        shape, and for numbers that are no ids.
        """
        return next(self.validate_sequences([tokens], [meter], [bars], [transposition]))

    def validate_sequences(
        self,
        sequences: Sequence[ArrayLike],
        meters: Sequence[Meter | None] | None = None,
        bars: Sequence[int | None] | None = None,
        transpositions: Sequence[int] | None = None,
    ) -> Iterator[ValidationResult]:
        """Judge many sequences, as fast as can be; the results come in their order.

        See ``validate_sequence``.
        """
        arrays = [_token_ids(tokens) for tokens in sequences]
        meters = meters or [None] * len(arrays)
        bars = bars or [None] * len(arrays)
        transpositions = transpositions or [0] * len(arrays)
        start = 0
        while start < len(arrays):
            stop, tokens = start, 0
            while stop < len(arrays) and (tokens == 0 or tokens < _TOKENS_AT_ONCE):
                tokens += len(arrays[stop]) + 1
                stop += 1
            now = slice(start, stop)
            yield from self._judge(arrays[now], meters[now], bars[now], transpositions[now])
            start = stop

    def _judge(
        self,
        arrays: Sequence[NDArray[np.int64]],
        meters: Sequence[Meter | None],
        bars: Sequence[int | None],
        transpositions: Sequence[int],
    ) -> Iterator[ValidationResult]:
        """Judge some sequences at once."""
        lengths = np.array([len(tokens) for tokens in arrays])
        tokens = np.concatenate([np.empty(0, np.int64), *arrays])
        known = np.where((tokens >= 0) & (tokens < VOCAB_SIZE), tokens, UNK)
        initial = self.grammar.initial_states(
            len(arrays),
            meter=meters,
            bars=[
                count if meter and count else 0 for meter, count in zip(meters, bars, strict=True)
            ],
            transposition=transpositions,
        )
        found = self.grammar.validate(initial, known, lengths)
        last = found.last_states
        ended = (last.stage == Stage.ENDED).tolist()
        notes, pairs = last.notes.tolist(), found.legal_note_offs.tolist()
        stops = np.cumsum(lengths)
        for index, (start, stop) in enumerate(zip(stops - lengths, stops, strict=True)):
            violations = []
            broken = found.broken[start:stop]
            if (broken >= 0).any():
                violations = self._explain(initial[index], arrays[index], broken, meters[index])
            if not ended[index]:
                violations.append(_missing_end(last[index], meters[index], len(arrays[index])))
            yield self._result(arrays[index], violations, pairs[index], notes[index])

    def _explain(
        self, state: State, tokens: NDArray[np.int64], broken: Ints, meter: Meter | None
    ) -> list[Violation]:
        """A sentence for each token that breaks a rule; ``state`` is the one before the first."""
        violations = []
        for index, (token, broken_rule) in enumerate(zip(tokens.tolist(), broken, strict=True)):
            known = token if 0 <= token < VOCAB_SIZE else UNK
            if broken_rule >= 0:
                rule = self.grammar.rules[broken_rule]
                why = rule.message(state, known)
                violations.append(_violation(state, meter, index, rule.name, token, why))
            state.advance(known)
        return violations

    def _result(
        self, tokens: NDArray[np.int64], violations: list[Violation], paired: int, notes: int
    ) -> ValidationResult:
        scores = {rule.name: 1.0 for rule in self.grammar.rules}
        if violations:
            scores |= self._scores_of_broken_rules(tokens, violations, paired)
        product = math.prod(scores[rule.name] ** rule.weight for rule in self.grammar.rules)
        return ValidationResult(
            valid=not violations,
            grammar_score=product if notes else 0.0,
            rule_scores=scores,
            violations=tuple(violations),
            notes=notes,
            paired_notes=paired,
            hint=OTHER_VOCABULARY
            if looks_like_another_vocabulary(len(violations), len(tokens))
            else "",
        )

    def _scores_of_broken_rules(
        self, tokens: NDArray[np.int64], violations: Sequence[Violation], paired: int
    ) -> dict[str, float]:
        known = tokens[(tokens >= 0) & (tokens < VOCAB_SIZE)]
        counts = np.bincount(KINDS[known], minlength=len(Kind))
        times = Counter(violation.rule for violation in violations)
        scores = {}
        for name in {rule.name for rule in self.grammar.rules} & set(times):
            if name == "pairing":
                notes = max(counts[Kind.NOTE_ON], counts[Kind.NOTE_OFF], 1)
                events = counts[list(_PAIRED_EVENTS)].sum()
                unbroken = max(0.0, 1.0 - times[name] / max(1, events))
                scores[name] = float(min(paired / notes, unbroken))
            else:
                kinds = _CONCERNS.get(name)
                chances = int(counts[list(kinds)].sum()) if kinds else len(tokens)
                scores[name] = max(0.0, 1.0 - times[name] / max(1, chances))
        return scores


def _violation(
    state: State, meter: Meter | None, index: int, rule: str, token: int, why: str
) -> Violation:
    """What ``token`` breaks, with its place in the music."""
    tick, bar, beat, part = _place(state, meter)
    voice = _PART_NAMES[part] if part < len(_PART_NAMES) else f"part {part}"
    sentence = f"bar {bar}, beat {beat:g}, {voice}: {describe(token)} {why}"
    return Violation(index, tick, bar, beat, part, rule, sentence)


def _missing_end(state: State, meter: Meter | None, index: int) -> Violation:
    tick, bar, beat, part = _place(state, meter)
    sentence = f"bar {bar}, beat {beat:g}: the sequence stops without END"
    return Violation(index, tick, bar, beat, part, "order", sentence)


def _place(state: State, meter: Meter | None) -> tuple[int, int, float, int]:
    """Tick, bar (from 1), beat (from 1, in units of the metre's lower number) and part."""
    meter = meter or COMMON_TIME
    tick = state.tick
    beat = tick % meter.bar_ticks / (TICKS_PER_QUARTER * 4 / meter.denominator) + 1
    return tick, tick // meter.bar_ticks + 1, round(beat, 3), state.part
