"""The states of whole sequences are those that one reaches token by token."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bicinium.grammar import MusicalGrammar, MusicalGrammarConfig, State
from bicinium.grammar.rules import FAR, SILENT, STATE_FIELDS
from bicinium.tokenizer.vocabulary import VOCAB_SIZE, Kind, token_id

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
    """Notes, part and pitch, that follow one another: the sequences that are done all at once."""
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
    states = [state.take(np.array([0]))]
    for token in sequence:
        grammar.advance(state, [token])
        states.append(state.take(np.array([0])))
    return states


@pytest.mark.parametrize("config", CONFIGS, ids=["monophonic", "polyphonic"])
@settings(deadline=None)
@given(sequences=st.lists(st.one_of(tokens, lines), min_size=1, max_size=5))
def test_states_along_sequences_are_those_reached_step_by_step(config, sequences):
    grammar = MusicalGrammar(config)
    n = len(sequences)
    along = grammar.states_along(sequences, bar_ticks=[48] * n, bars=[2] * n)
    expected = [state for sequence in sequences for state in stepped(grammar, sequence)]
    assert len(along) == len(expected)
    for name in STATE_FIELDS:
        got = getattr(along, name)
        want = np.concatenate([getattr(state, name) for state in expected])
        if name.startswith("held"):  # spare slots are left out where no sequence needs them
            free = {"held_pitch": SILENT, "held_onset": 0, "held_until": FAR}[name]
            assert (want[:, :, got.shape[2] :] == free).all()
            want = want[:, :, : got.shape[2]]
        np.testing.assert_array_equal(got, want, err_msg=name)


def test_of_each_part_the_last_three_pitches_and_the_last_two_onsets_are_known():
    state = stepped(MusicalGrammar(), paired([(0, 60), (1, 40), (0, 62), (0, 64), (0, 65)]))[-1]
    assert state.recent_pitch.tolist() == [[[65, 64, 62], [40, 0, 0]]]
    assert state.recent_onset.tolist() == [[[24, 18], [6, 0]]]
    assert state.last_pitch.tolist() == [[65, 40]]


def test_the_last_event_wins_after_an_error():
    grammar = MusicalGrammar()
    on, off = token_id(Kind.NOTE_ON, 60), token_id(Kind.NOTE_OFF, 60)
    shift = token_id(Kind.TIME_SHIFT, 6)
    states = grammar.states_along([[on, shift, on, off, off, shift]])
    assert states.held_onset[3, 0, 0] == 6  # begun anew
    assert states.silent[4]
    assert states.silent[5]
    assert states.tick[-1] == 12
