"""The validator: what is wrong with a sequence, where, and how much.

It never repairs. After an error the state goes on as if the token had been meant (the last event
wins), so that one slip is reported once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bicinium.grammar.automaton import MusicalGrammar
from bicinium.grammar.rules import Moment, MusicalGrammarConfig, Stage, State
from bicinium.score.notes import TICKS_PER_QUARTER, Meter
from bicinium.tokens.vocabulary import KINDS, VOCAB_SIZE, Kind, describe

_PART_NAMES = ("upper voice", "lower voice")
_ROWS_AT_ONCE = 512

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
class ValidationResult:
    """What the validator found; ``result["grammar_score"]`` works as well as the attribute."""

    valid: bool
    grammar_score: float
    rule_scores: dict[str, float]
    violations: tuple[Violation, ...]
    notes: int
    paired_notes: int

    def __getitem__(self, name: str) -> Any:
        return asdict(self)[name]


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
        """Judge one sequence. Without a metre END may fall anywhere; bars then count as 4/4."""
        return next(self.validate_sequences([tokens], [meter], [bars], [transposition]))

    def validate_sequences(
        self,
        sequences: Sequence[ArrayLike],
        meters: Sequence[Meter | None] | None = None,
        bars: Sequence[int | None] | None = None,
        transpositions: Sequence[int] | None = None,
    ) -> Iterator[ValidationResult]:
        """Judge many sequences, as fast as can be; the results come in their order."""
        arrays = [np.asarray(tokens, dtype=np.int64).ravel() for tokens in sequences]
        meters = meters or [None] * len(arrays)
        bars = bars or [None] * len(arrays)
        transpositions = transpositions or [0] * len(arrays)
        by_length = sorted(range(len(arrays)), key=lambda i: -len(arrays[i]))
        results: dict[int, ValidationResult] = {}
        for start in range(0, len(by_length), _ROWS_AT_ONCE):
            rows = by_length[start : start + _ROWS_AT_ONCE]
            judged = self._judge(
                [arrays[i] for i in rows],
                [meters[i] for i in rows],
                [bars[i] for i in rows],
                [transpositions[i] for i in rows],
            )
            results.update(zip(rows, judged, strict=True))
        return (results[i] for i in range(len(arrays)))

    def _judge(
        self,
        arrays: list[NDArray[np.int64]],
        meters: list[Meter | None],
        bars: list[int | None],
        transpositions: list[int],
    ) -> list[ValidationResult]:
        """Judge sequences of falling length in step with one another."""
        grammar = self.grammar
        state = grammar.initial_state(
            len(arrays),
            bar_ticks=[meter.bar_ticks if meter else 0 for meter in meters],
            transposition=transpositions,
        )
        for row, (meter, count) in enumerate(zip(meters, bars, strict=True)):
            if meter and count:
                state.end_tick[row] = meter.bar_ticks * count
        violations: list[list[Violation]] = [[] for _ in arrays]
        lengths = np.array([len(array) for array in arrays])
        ends: list[State | None] = [None] * len(arrays)
        paired = np.zeros(len(arrays), np.int64)
        for index in range(int(lengths.max(initial=0))):
            alive = int((lengths > index).sum())
            for row in range(alive, len(state)):
                ends[row] = state.take(np.array([row]))
            if alive < len(state):
                state = state.take(np.arange(alive))
            raw = np.array([array[index] for array in arrays[:alive]])
            known = (raw >= 0) & (raw < VOCAB_SIZE)
            tokens = np.where(known, raw, int(Kind.UNK))
            broken = grammar.broken_rule(state, tokens)
            for row in np.flatnonzero(broken >= 0).tolist():
                rule = grammar.rules[broken[row]]
                single = state.take(np.array([row]))
                why = rule.message(single, int(tokens[row]))
                place = _Place(single, meters[row])
                violations[row].append(place.violation(index, rule.name, int(raw[row]), why))
            paired[:alive] += (KINDS[tokens] == Kind.NOTE_OFF) & (broken < 0)
            grammar.advance(state, tokens)
        for row in range(len(state)):
            ends[row] = state.take(np.array([row]))
        results = []
        for row, array in enumerate(arrays):
            end = ends[row]
            assert end is not None
            if end.stage[0] != Stage.ENDED:
                place = _Place(end, meters[row])
                violations[row].append(place.missing_end(len(array)))
            results.append(self._result(array, violations[row], int(paired[row]), end))
        return results

    def _result(
        self, tokens: NDArray[np.int64], violations: list[Violation], paired: int, end: State
    ) -> ValidationResult:
        known = tokens[(tokens >= 0) & (tokens < VOCAB_SIZE)]
        counts = np.bincount(KINDS[known], minlength=len(Kind))
        scores: dict[str, float] = {}
        total = 1.0 if end.notes[0] else 0.0
        for rule in self.grammar.rules:
            broken = sum(violation.rule == rule.name for violation in violations)
            if rule.name == "pairing":
                events = max(counts[Kind.NOTE_ON], counts[Kind.NOTE_OFF], 1)
                score = float(paired / events) if broken else 1.0
            else:
                kinds = _CONCERNS.get(rule.name)
                chances = int(counts[list(kinds)].sum()) if kinds else len(tokens)
                score = max(0.0, 1.0 - broken / max(1, chances))
            scores[rule.name] = score
            total *= score**rule.weight
        return ValidationResult(
            valid=not violations,
            grammar_score=total,
            rule_scores=scores,
            violations=tuple(violations),
            notes=int(end.notes[0]),
            paired_notes=paired,
        )


class _Place:
    """Where in the music a single-row state stands, for messages."""

    def __init__(self, state: State, meter: Meter | None) -> None:
        self.meter = meter or Meter(4, 4)
        self.tick = int(state.tick[0])
        self.part = int(state.part[0])
        self.bar = self.tick // self.meter.bar_ticks + 1
        beat = self.tick % self.meter.bar_ticks / (TICKS_PER_QUARTER * 4 / self.meter.denominator)
        self.beat = round(beat + 1, 3)
        self.moment = Moment(state.moment[0])

    def violation(self, index: int, rule: str, token: int, why: str) -> Violation:
        part = _PART_NAMES[self.part] if self.part < 2 else f"part {self.part}"
        sentence = f"bar {self.bar}, beat {self.beat:g}, {part}: {describe(token)} {why}"
        return Violation(index, self.tick, self.bar, self.beat, self.part, rule, sentence)

    def missing_end(self, index: int) -> Violation:
        sentence = f"bar {self.bar}, beat {self.beat:g}: the sequence stops without END"
        return Violation(index, self.tick, self.bar, self.beat, self.part, "order", sentence)
