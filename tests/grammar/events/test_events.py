"""The grammar of events: mask and validator agree, and say what an independent reading says."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bicinium.errors import DeadEndError, GrammarError, TokenError
from bicinium.grammar.events import (
    Event,
    EventGrammar,
    EventKind,
    EventState,
    EventValidator,
    EventVocabulary,
)


class Positions(EventVocabulary):
    """Two pitches in two voices, on three positions of a bar: notes with a duration."""

    bar_ticks = 3

    def __init__(self, max_polyphony=None, allow_overlaps=False, allow_duplicates=False):
        self.max_polyphony = max_polyphony
        self.allow_overlaps, self.allow_duplicates = allow_overlaps, allow_duplicates

    @property
    def events(self):
        return [
            Event(EventKind.START),
            Event(EventKind.END),
            Event(EventKind.PAD),
            Event(EventKind.BAR),
            *(Event(EventKind.POSITION, tick) for tick in range(4)),
            *(Event(EventKind.VOICE, voice) for voice in range(2)),
            *(Event(EventKind.NOTE, pitch) for pitch in (60, 62)),
            *(Event(EventKind.DURATION, ticks) for ticks in (1, 4)),
        ]

    @property
    def successors(self):
        return {
            "START": ["BAR"],
            "BAR": ["BAR", "POSITION", "END"],
            "POSITION": ["VOICE"],
            "VOICE": ["NOTE"],
            "NOTE": ["DURATION"],
            "DURATION": ["VOICE", "POSITION", "BAR", "END"],
        }


class OnsAndOffs(EventVocabulary):
    """Two pitches that are switched on and off, in two voices, with shifts of time."""

    def __init__(self, max_polyphony=None, allow_overlaps=False, max_note_ticks=None):
        self.max_polyphony, self.allow_overlaps = max_polyphony, allow_overlaps
        self.max_note_ticks = max_note_ticks

    @property
    def events(self):
        return [
            Event(EventKind.START),
            Event(EventKind.END),
            *(Event(EventKind.TIME_SHIFT, ticks) for ticks in (1, 3)),
            *(Event(EventKind.VOICE, voice) for voice in range(2)),
            *(Event(EventKind.NOTE_ON, pitch) for pitch in (60, 62)),
            *(Event(EventKind.NOTE_OFF, pitch) for pitch in (60, 62)),
            Event(EventKind.OTHER, 3, "LOUDNESS"),
        ]

    @property
    def successors(self):
        music = ["TIME_SHIFT", "VOICE", "END"]
        return {
            "START": ["VOICE", "TIME_SHIFT"],
            "TIME_SHIFT": music,
            "VOICE": ["LOUDNESS", "NOTE_OFF"],
            "LOUDNESS": ["NOTE_ON"],
            "NOTE_ON": music,
            "NOTE_OFF": music,
        }


GRAMMARS = [
    EventGrammar(vocabulary)
    for vocabulary in (
        Positions(),
        Positions(max_polyphony=1),
        Positions(max_polyphony=2, allow_overlaps=True),
        Positions(allow_overlaps=True, allow_duplicates=True),
        OnsAndOffs(),
        OnsAndOffs(max_polyphony=1),
        OnsAndOffs(allow_overlaps=True, max_note_ticks=4),
        OnsAndOffs(max_polyphony=1, max_note_ticks=3),
    )
]


def ids(grammar: EventGrammar, text: str) -> list[int]:
    """Return the ids of events such as ``BAR``, ``NOTE 60``, separated by commas."""
    events = [(event.type, event.value) for event in grammar.vocabulary.events]
    words = [part.split() for part in text.split(",")]
    return [events.index((w[0], int(w[1]) if len(w) > 1 else 0)) for w in words]


def walk(grammar: EventGrammar, rng: np.random.Generator, most: int) -> list[int]:
    """Draw tokens of the mask until END. After ``most``, what leads to END is preferred."""
    kinds = [event.kind for event in grammar.vocabulary.events]
    state, tokens = grammar.initial_state(), []
    while not state.ended:
        allowed = np.flatnonzero(grammar.token_mask(state)).tolist()
        if len(tokens) > most + 500:
            pytest.fail("END is not reached")
        if len(tokens) >= most:
            ending = [t for t in allowed if kinds[t] in (EventKind.END, EventKind.NOTE_OFF)]
            going = [t for t in allowed if kinds[t] not in (EventKind.NOTE_ON, EventKind.OTHER)]
            allowed = ending or going or allowed
        tokens.append(int(rng.choice(allowed)))
        state = grammar.advance_state(state, tokens[-1])
    return tokens


@pytest.mark.parametrize("grammar", GRAMMARS, ids=range(len(GRAMMARS)))
@given(seed=st.integers(0, 2**32 - 1), most=st.integers(1, 40))
@settings(max_examples=10)
def test_what_the_mask_allows_is_valid(grammar, seed, most):
    tokens = walk(grammar, np.random.default_rng(seed), most)
    result = EventValidator(grammar).validate_sequence(tokens)
    assert result.valid, result.violations
    assert result.grammar_score == 1.0
    assert result.notes == result.paired_notes > 0


@pytest.mark.parametrize("grammar", GRAMMARS, ids=range(len(GRAMMARS)))
@given(data=st.data())
@settings(max_examples=10)
def test_the_validator_names_exactly_what_the_mask_forbids(grammar, data):
    """Random ids, and legal pieces in which some ids are random."""
    anything = st.lists(st.integers(0, grammar.vocab_size - 1), max_size=30)
    piece = walk(grammar, np.random.default_rng(data.draw(st.integers(0, 999))), 20)
    tokens = data.draw(anything)
    if data.draw(st.booleans()):
        at = data.draw(st.integers(0, len(piece)))
        tokens = piece[:at] + tokens[:2] + piece[at:]
    state, forbidden = grammar.initial_state(), set()
    for index, token in enumerate(tokens):
        if not grammar.legal_tokens(state)[token]:
            forbidden.add(index)
        state = grammar.advance_state(state, token)
    found = EventValidator(grammar).validate_sequence(tokens)
    named = {v.index for v in found.violations if "never ends" not in v.message}
    assert named - {len(tokens)} == forbidden
    assert sum("never ends" in v.message for v in found.violations) == len(state.open)


def reads_as_music(vocabulary: Positions, tokens: tuple[int, ...]) -> bool:
    """Whether ids in a possible order spell bars of notes, read without the grammar."""
    events = [vocabulary.events[token] for token in tokens]
    bar, position, voice, notes = -1, 0, 0, []
    for event, following in pairwise(events):
        if event.kind is EventKind.BAR:
            bar, position = bar + 1, -1
        elif event.kind is EventKind.POSITION:
            if not position < event.value < 3:
                return False
            position = event.value
        elif event.kind is EventKind.VOICE:
            voice = event.value
        elif event.kind is EventKind.NOTE:
            onset = 3 * bar + position
            notes.append((voice, event.value, onset, onset + following.value))
    return bool(notes) and all(_may_sound(vocabulary, notes, i) for i in range(len(notes)))


def _may_sound(vocabulary: Positions, notes: list[tuple[int, ...]], index: int) -> bool:
    voice, pitch, onset, _ = notes[index]
    sounding = [(p, o) for v, p, o, end in notes[:index] if v == voice and end > onset]
    duplicate = (pitch, onset) in sounding and not vocabulary.allow_duplicates
    overlap = any(p == pitch for p, _ in sounding) and not vocabulary.allow_overlaps
    most = vocabulary.max_polyphony
    return not duplicate and not overlap and (most is None or len(sounding) < most)


def in_order(vocabulary: EventVocabulary, length: int) -> list[tuple[int, ...]]:
    """Return all sequences from START to END of at most ``length`` that obey ``successors``."""
    types = [event.type for event in vocabulary.events]
    found, waiting = [], [(types.index("START"),)]
    while waiting:
        tokens = waiting.pop()
        if types[tokens[-1]] == "END":
            found.append(tokens)
        elif len(tokens) < length:
            following = vocabulary.successors[types[tokens[-1]]]
            waiting += [(*tokens, i) for i, name in enumerate(types) if name in following]
    return found


def reached(grammar: EventGrammar, length: int) -> set[tuple[int, ...]]:
    """Return all sequences from START to END of at most ``length`` that the mask allows."""
    found: set[tuple[int, ...]] = set()
    start = grammar.advance_state(grammar.initial_state(), 0)
    waiting: list[tuple[tuple[int, ...], EventState]] = [((0,), start)]
    while waiting:
        tokens, state = waiting.pop()
        if state.ended:
            found.add(tokens)
        elif len(tokens) < length:
            for token in np.flatnonzero(grammar.token_mask(state)).tolist():
                waiting.append(((*tokens, token), grammar.advance_state(state, token)))
    return found


@pytest.mark.parametrize("grammar", GRAMMARS[:4], ids=range(4))
def test_the_mask_reaches_every_short_piece_and_no_other_sequence(grammar):
    every = in_order(grammar.vocabulary, 11)
    music = {tokens for tokens in every if reads_as_music(grammar.vocabulary, tokens)}
    assert 500 < len(music) < len(every)
    assert reached(grammar, 11) == music


@pytest.mark.parametrize("grammar", GRAMMARS[4::3], ids=(4, 7))
def test_every_short_sequence_of_ons_and_offs_is_valid_if_the_mask_reaches_it(grammar):
    validator = EventValidator(grammar)
    every = in_order(grammar.vocabulary, 8)
    valid = {tokens for tokens in every if validator.validate_sequence(tokens).valid}
    assert reached(grammar, 8) == valid
    assert 0 < len(valid) < len(every)


@pytest.mark.parametrize(
    ("number", "music", "rule", "message"),
    [
        (0, "BAR, POSITION 1, NOTE 60", "order", "NOTE 60 may not follow POSITION"),
        (0, "POSITION 1", "order", "may not follow START"),
        (0, "BAR, PAD", "order", "PAD 0 may not follow BAR"),
        (0, "BAR, POSITION 3", "time", "POSITION 3 does not lie"),
        (0, "BAR, POSITION 1, VOICE 0, NOTE 60, DURATION 1, POSITION 1", "time", "POSITION 1"),
        (0, "BAR, POSITION 1, VOICE 0, NOTE 60, DURATION 4, POSITION 2, VOICE 0, NOTE 60",
         "pairing", "bar 1, tick 3, voice 0: NOTE 60 begins a note a second time; sounding: C4"),
        (1, "BAR, POSITION 0, VOICE 0, NOTE 60, DURATION 4, POSITION 1, VOICE 1, NOTE 60, "
         "DURATION 4, POSITION 2", "order", "POSITION 2 demands a note"),
        (1, "BAR, POSITION 0, VOICE 0, NOTE 60, DURATION 4, VOICE 0", "order", "VOICE 0 demands"),
        (0, "BAR, END", "pairing", "END 0 comes before the notes have ended, or before any note"),
        (4, "VOICE 1, LOUDNESS 3, NOTE_ON 60, TIME_SHIFT 1, END", "pairing", "END 0 comes before"),
        (4, "VOICE 1, NOTE_OFF 60", "pairing", "NOTE_OFF 60 ends a note that does not sound"),
        (4, "VOICE 1, LOUDNESS 3, NOTE_ON 60, VOICE 1, NOTE_OFF 60", "duration", "in the tick in"),
        (6, "VOICE 1, LOUDNESS 3, NOTE_ON 60, TIME_SHIFT 3, TIME_SHIFT 3", "duration",
         "TIME_SHIFT 3 makes a note too long"),
        (7, "VOICE 1, LOUDNESS 3, NOTE_ON 60, TIME_SHIFT 3, TIME_SHIFT 1", "duration", "too long"),
        (5, "VOICE 1, LOUDNESS 3, NOTE_ON 60, TIME_SHIFT 1, VOICE 1, LOUDNESS 3, NOTE_ON 62",
         "voices", "NOTE_ON 62 is one note too many in this voice; sounding: C4"),
    ],
)  # fmt: skip
def test_the_last_token_breaks_a_rule(number, music, rule, message):
    grammar = GRAMMARS[number]
    tokens = ids(grammar, f"START, {music}")
    violations = EventValidator(grammar).validate_sequence(tokens).violations
    violations = [v for v in violations if "never ends" not in v.message]
    at_the_last = [v for v in violations if v.index == len(tokens) - 1]
    assert [v.rule for v in at_the_last] == [rule]
    assert message in at_the_last[0].message


def test_a_sequence_that_begins_with_start_needs_an_end():
    grammar = GRAMMARS[0]
    music = "BAR, POSITION 1, VOICE 0, NOTE 60, DURATION 1"
    validate = EventValidator(grammar).validate_sequence
    assert not validate(ids(grammar, f"START, {music}")).valid
    assert "without END" in validate(ids(grammar, f"START, {music}")).violations[0].message
    assert validate(ids(grammar, f"START, {music}, END, PAD, PAD")).valid
    assert validate(ids(grammar, music)).valid
    assert not validate([]).valid
    assert validate([]).grammar_score == 0


def test_errors_name_the_token():
    grammar = GRAMMARS[0]
    with pytest.raises(TokenError, match=r"between 0 and 13 \(got 14\)"):
        EventValidator(grammar).validate_sequence([0, 14])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"successors": {"START": ["BAR", "BRA"]}}, "the type 'BRA', but no token has it"),
        ({"successors": {}}, "successors is empty"),
        ({"bar_ticks": 0}, r"bar_ticks must be 1 or more in a vocabulary with BAR \(got 0\)"),
        ({"events": [Event(EventKind.BAR)], "successors": {"BAR": ["BAR"]}}, "No token begins"),
        ({"events": [Event(EventKind.TIME_SHIFT)], "successors": {"TIME_SHIFT": ["TIME_SHIFT"]}},
         "No token begins a note"),
        ({"events": [Event(EventKind.NOTE, 60), Event(EventKind.TIME_SHIFT)],
          "successors": {"NOTE": ["TIME_SHIFT"]}}, r"token 1, TIME_SHIFT: value must be 1 or more"),
    ],
)  # fmt: skip
def test_a_vocabulary_that_contradicts_itself_is_refused(changes, message):
    broken = type("Broken", (Positions,), changes)
    with pytest.raises(GrammarError, match=message):
        EventGrammar(broken())


def test_a_vocabulary_without_a_way_on_is_a_dead_end():
    stuck = type("Stuck", (Positions,), {"successors": {"START": ["BAR"], "BAR": ["NOTE"]}})
    grammar = EventGrammar(stuck())
    state = grammar.initial_state()
    for token in ids(grammar, "START, BAR, NOTE 60"):
        state = grammar.advance_state(state, token)
    with pytest.raises(DeadEndError, match="leave no way on"):
        grammar.token_mask(state)


def test_a_batch_answers_as_its_rows_do():
    grammar = GRAMMARS[0]
    rng = np.random.default_rng(3)
    states = grammar.initial_states(3)
    alone = [grammar.initial_state()] * 3
    while not grammar.ended(states).all():
        mask = grammar.mask(states)
        assert (mask == [grammar.token_mask(state) for state in alone]).all()
        assert (mask == grammar.legal(states)).all()
        forbidden = np.logical_or.reduce([marks for _, marks in grammar.rule_masks(states)])
        assert (mask == ~forbidden).all()
        tokens = [rng.choice(np.flatnonzero(row)) for row in mask]
        assert (grammar.broken_rules(states, tokens) == -1).all()
        grammar.advance(states, tokens)
        alone = [grammar.advance_state(s, int(t)) for s, t in zip(alone, tokens, strict=True)]
    assert states.take([2, 0]).rows == [alone[2], alone[0]]


def test_states_before_targets_are_those_along_the_sequence():
    grammar = GRAMMARS[0]
    tokens = walk(grammar, np.random.default_rng(1), 12)
    targets = np.array([[*tokens[1:], -100, -100]])
    states = grammar.states_before(targets)
    state = grammar.initial_state()
    for index, token in enumerate(tokens[:-1]):
        state = grammar.advance_state(state, token)
        assert states[index] == state
    assert len(states) == targets.size
    assert states[-1].ended
    assert grammar.looks_unshifted(np.array([tokens]))
    assert not grammar.looks_unshifted(targets)


def test_generate_gets_the_ids_that_may_follow_a_padded_prompt():
    grammar = GRAMMARS[0]
    prompt = np.array(ids(grammar, "PAD, PAD, START, BAR, POSITION 1"))
    assert grammar.allowed_tokens(0, prompt) == ids(grammar, "VOICE 0, VOICE 1")
    ended = ids(grammar, "START, BAR, POSITION 1, VOICE 0, NOTE 60, DURATION 1, END")
    assert grammar.allowed_tokens(0, np.array(ended)) == ids(grammar, "PAD")
    without_pad = GRAMMARS[4]
    ended = "START, VOICE 0, LOUDNESS 3, NOTE_ON 60, TIME_SHIFT 1, VOICE 0, NOTE_OFF 60, END"
    ended = np.array(ids(without_pad, ended))
    assert without_pad.allowed_tokens(0, ended) == ids(without_pad, "END")
