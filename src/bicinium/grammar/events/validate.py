"""The validator of the event grammar: what is wrong with a sequence, where, and how much."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator

from numpy.typing import ArrayLike

from bicinium.grammar.events.automaton import EventGrammar
from bicinium.grammar.events.state import EventState
from bicinium.grammar.events.vocabulary import EventKind, EventVocabulary
from bicinium.grammar.validate import ValidationResult, Violation
from bicinium.music.score import pitch_name


class EventValidator:
    """Judges sequences of token ids by an event grammar."""

    def __init__(self, grammar: EventGrammar | EventVocabulary) -> None:
        if isinstance(grammar, EventVocabulary):
            grammar = EventGrammar(grammar)
        self.grammar = grammar

    def validate_sequences(self, sequences: Iterable[ArrayLike]) -> Iterator[ValidationResult]:
        """Judge many sequences; the results come in their order."""
        return (self.validate_sequence(tokens) for tokens in sequences)

    def validate_sequence(self, tokens: ArrayLike) -> ValidationResult:
        """Judge one sequence.

        If it begins with START, it must end with END. In any case all notes must end. Bars count
        from 1, and so do beats, which are in ticks of the vocabulary.

        Raises TokenError if an id is not of the vocabulary.
        """
        grammar = self.grammar
        ids = grammar.check_ids(tokens)
        state, violations = grammar.initial_state(), []
        for index, token in enumerate(ids.tolist()):
            broken = grammar.broken_rule(state, token)
            if broken >= 0:
                why = self._why(grammar.rules[broken].name, state, token)
                violations.append(_violation(state, index, grammar.rules[broken].name, why))
            state = grammar.advance_state(state, token)
        violations += self._left_open(state)
        return self._result(ids.tolist(), violations, state)

    def _left_open(self, state: EventState) -> list[Violation]:
        found = []
        for note in state.open:
            why = f"token {note.token_index} begins {pitch_name(note.pitch)}, which never ends"
            found.append(_violation(state, note.token_index, "pairing", why))
        if not state.notes and not state.ended:
            found.append(_violation(state, state.tokens, "pairing", "the sequence has no note"))
        if state.started and not state.ended and self.grammar.tables.has(EventKind.END):
            found.append(_violation(state, state.tokens, "order", "the sequence stops without END"))
        return found

    def _why(self, rule: str, state: EventState, token: int) -> str:
        tables = self.grammar.tables
        this = self.grammar.vocabulary.describe(token)
        if rule == "order":
            return f"{this} {self._why_not_here(state, token)}"
        sounding = sorted(state.sounding(state.voice, state.tick))
        names = ", ".join(pitch_name(pitch) for pitch in sounding) or "nothing"
        kind = tables.events[token].kind
        match rule:
            case "pairing" if kind is EventKind.NOTE_OFF:
                return f"{this} ends a note that does not sound; sounding: {names}"
            case "pairing" if kind is EventKind.END:
                return f"{this} comes before the notes have ended, or before any note"
            case "pairing":
                return f"{this} begins a note a second time; sounding: {names}"
            case "duration" if kind is EventKind.NOTE_OFF and not state.begun:
                return f"{this} ends a note that is too long"
            case "duration" if kind is EventKind.NOTE_OFF:
                return f"{this} ends a note in the tick in which it began, or one that is too long"
            case "duration":
                return f"{this} makes a note too long"
            case "voices":
                return f"{this} is one note too many in this voice; sounding: {names}"
        return f"{this} does not lie after the event before it and within the bar"

    def _why_not_here(self, state: EventState, token: int) -> str:
        tables = self.grammar.tables
        if state.ended:
            return "comes after END"
        if state.tokens == 0:
            return "may not begin a sequence"
        before = tables.types[state.last_type]
        if tables.events[token].type in tables.successors.get(before, ()):
            return "demands a note where none can begin or end, or never stands in music"
        return f"may not follow {before}"

    def _result(
        self, tokens: list[int], violations: list[Violation], state: EventState
    ) -> ValidationResult:
        tables = self.grammar.tables
        kinds = Counter(tables.events[token].kind for token in tokens)
        has_lengths = tables.has(EventKind.DURATION) or tables.has(EventKind.NOTE_OFF)
        paired = state.paired_notes if has_lengths else state.notes
        times = Counter(violation.rule for violation in violations)
        scores = {rule.name: 1.0 for rule in self.grammar.rules}
        for name, count in times.items():
            chances = sum(kinds[kind] for kind in _CONCERNS.get(name, EventKind))
            scores[name] = max(0.0, 1.0 - count / max(1, chances))
        if "pairing" in times:
            scores["pairing"] = min(scores["pairing"], paired / max(1, state.notes))
        product = math.prod(scores[rule.name] ** rule.weight for rule in self.grammar.rules)
        return ValidationResult(
            valid=not violations,
            grammar_score=product if state.notes else 0.0,
            rule_scores=scores,
            violations=tuple(violations),
            notes=state.notes,
            paired_notes=paired,
        )


# The kinds of event that each rule is concerned with: how often it could have been broken.
_BEGINS = (EventKind.NOTE_ON, EventKind.NOTE)
_CONCERNS: dict[str, tuple[EventKind, ...]] = {
    "pairing": (*_BEGINS, EventKind.NOTE_OFF),
    "voices": _BEGINS,
    "duration": (EventKind.NOTE_OFF, EventKind.DURATION, EventKind.TIME_SHIFT),
    "time": (EventKind.POSITION,),
}


def _violation(state: EventState, index: int, rule: str, why: str) -> Violation:
    ticks = state.bar_ticks or math.inf
    passed, tick = divmod(state.tick - state.bar_start, ticks)
    bar, beat = max(state.bar, 0) + int(passed) + 1, tick + 1
    sentence = f"bar {bar}, tick {beat:g}, voice {state.voice}: {why}"
    return Violation(index, state.tick, bar, beat, state.voice, rule, sentence)
