"""The states of whole sequences are those that one reaches token by token."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bicinium.grammar import MusicalGrammar, MusicalGrammarConfig, State, States
from bicinium.grammar.states import COLUMNS
from bicinium.tokenizer.vocabulary import UNK, VOCAB_SIZE, Kind, token_id

CONFIGS = (
    MusicalGrammarConfig(),
    MusicalGrammarConfig(voices=3, max_polyphony=2, sustain=True),
)
EVENTS = [token_id(Kind.NOTE_ON, 60), token_id(Kind.NOTE_OFF, 60), token_id(Kind.NOTE_ON, 62)]
EVENTS += [
    token_id(Kind.NOTE_OFF, 62),
    token_id(Kind.TIME_SHIFT, 6),
    token_id(Kind.TIME_SHIFT, 512),
]
EVENTS += [token_id(Kind.PART, part) for part in range(4)]
EVENTS += [token_id(Kind.VELOCITY, 20), token_id(Kind.SUSTAIN_ON), token_id(Kind.SUSTAIN_OFF)]
EVENTS += [token_id(kind) for kind in (Kind.START, Kind.END, Kind.PAD)]
tokens = st.lists(st.one_of(st.sampled_from(EVENTS), st.integers(0, VOCAB_SIZE - 1)), max_size=40)


def paired(notes: list[tuple[int, int]]) -> list[int]:
    """Return the tokens of successive notes (part, pitch), each ended before the next."""
    shift = token_id(Kind.TIME_SHIFT, 6)
    return [
        token
        for part, pitch in notes
        for token in (
            token_id(Kind.PART, part),
            token_id(Kind.NOTE_ON, pitch),
            shift,
            token_id(Kind.NOTE_OFF, pitch),
        )
    ]


lines = st.lists(st.tuples(st.integers(0, 1), st.integers(21, 108)), max_size=12).map(paired)


def stepped(grammar: MusicalGrammar, sequence: list[int]) -> list[State]:
    state = grammar.initial_state(bar_ticks=48, bars=2)
    states = [copy_of(state)]
    for token in sequence:
        state.advance(token)
        states.append(copy_of(state))
    return states


def copy_of(state: State) -> State:
    return States.of(state, 1)[0]


@pytest.mark.parametrize("config", CONFIGS, ids=["monophonic", "polyphonic"])
@settings(deadline=None)
@given(sequences=st.lists(st.one_of(tokens, lines), min_size=1, max_size=5))
def test_states_along_sequences_are_those_reached_step_by_step(config, sequences):
    grammar = MusicalGrammar(config)
    n = len(sequences)
    along = grammar.states_along(sequences, bar_ticks=[48] * n, bars=[2] * n)
    expected = [state for sequence in sequences for state in stepped(grammar, sequence)]
    assert len(along) == len(expected)
    want = np.concatenate([States.of(state, 1).table for state in expected])
    np.testing.assert_array_equal(along.table, want)


@pytest.mark.parametrize("config", CONFIGS, ids=["monophonic", "polyphonic"])
@settings(deadline=None)
@given(sequence=tokens)
def test_a_batch_is_judged_and_moved_as_each_of_its_sequences_alone(config, sequence):
    grammar = MusicalGrammar(config)
    alone, batch = grammar.initial_state(bar_ticks=48), grammar.initial_states(3, bar_ticks=48)
    for token in sequence:
        assert (grammar.broken_rules(batch, [token] * 3) == grammar.broken_rule(alone, token)).all()
        alone.advance(token)
        grammar.advance(batch, [token] * 3)
        assert (batch.table == States.of(alone, 1).table).all()


def test_a_table_of_states_names_its_columns_as_a_state_does():
    state = stepped(MusicalGrammar(), paired([(0, 60), (1, 40), (0, 62)]))[-2]
    states = States.of(state, 2)
    for name in COLUMNS:
        of_state = state.sounding if name == "sounding_notes" else getattr(state, name)
        assert getattr(states, name).tolist() == [of_state] * 2
    of_parts = ("pedal", "recent_pitch", "recent_onset", "held_pitch", "held_onset", "held_until")
    for name in of_parts:
        assert getattr(states, name)[1].ravel().tolist() == list(getattr(state, name))


def test_of_each_part_the_last_three_pitches_and_the_last_two_onsets_are_known():
    state = stepped(MusicalGrammar(), paired([(0, 60), (1, 40), (0, 62), (0, 64), (0, 65)]))[-1]
    assert list(state.recent_pitch) == [65, 64, 62, 40, 0, 0]
    assert list(state.recent_onset) == [24, 18, 6, 0]
    assert [state.last_pitch(part) for part in (0, 1)] == [65, 40]


def test_the_last_event_wins_after_an_error():
    grammar = MusicalGrammar()
    on, off = token_id(Kind.NOTE_ON, 60), token_id(Kind.NOTE_OFF, 60)
    shift = token_id(Kind.TIME_SHIFT, 6)
    states = grammar.states_along([[on, shift, on, off, off, shift]])
    assert states.held_onset[3, 0, 0] == 6  # begun anew
    assert states.sounding_notes[4] == states.sounding_notes[5] == 0
    assert states.tick[-1] == 12


def test_ids_outside_the_vocabulary_count_as_unk_and_no_memory_is_read():
    grammar = MusicalGrammar()
    state, other = grammar.initial_state(), grammar.initial_state()
    for token in (-1, VOCAB_SIZE, 10**6):
        assert grammar.rules[grammar.broken_rule(state, token)].name == "order"
        state.advance(token)
        other.advance(UNK)
    assert (States.of(state, 1).table == States.of(other, 1).table).all()
    assert not state.sounds(5, 60)
    assert state.last_pitch(-1) == state.sounding_in(16) == 0


def test_too_few_tokens_for_a_batch_are_refused():
    grammar = MusicalGrammar()
    states = grammar.initial_states(3)
    with pytest.raises(ValueError, match="2 values were given where 3 are needed"):
        grammar.advance(states, [0, 0])
    with pytest.raises(ValueError, match="1 values were given where 3 are needed"):
        grammar.broken_rules(states, [0])
