"""The motif bias raises the notes with which earlier figures continued, and no others."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bicinium.generation.motif_bias import GAINS, MotifBias, motif_strength
from bicinium.grammar import MusicalGrammar
from bicinium.grammar.state import State
from bicinium.model.config import ModelConfig
from bicinium.model.inputs.motif_predictor import CONFIDENCES
from bicinium.model.inputs.sequence import SequenceInputs
from bicinium.music.score import COMMON_TIME, Note, Score, Voice
from bicinium.tokenizer.codec import encode
from bicinium.tokenizer.vocabulary import BLOCKS, KINDS, VOCAB_SIZE, Kind, token_id

_NOTE_ON = BLOCKS[Kind.NOTE_ON].ids
_FIGURE = (60, 62, 65, 64)  # C D F E, in eighths
_EVERYTHING = np.ones(VOCAB_SIZE)
_UNKNOWN = (0, 0, 0, 0, 0)


def _at(pitches: tuple[int, ...], place: int, sooner: int = 0) -> tuple[State, SequenceInputs]:
    """Return a piece before note ``place`` of a line of eighths, ``sooner`` ticks early."""
    notes = [Note(12 * i, pitch, 12) for i, pitch in enumerate(pitches)]
    notes[place - 1] = replace(notes[place - 1], duration_ticks=12 - sooner)
    notes[place] = replace(notes[place], onset_tick=12 * place - sooner)
    tokens = encode(Score((Voice(tuple(notes)), Voice(())), 1 + len(notes) // 8, COMMON_TIME))
    state, inputs = MusicalGrammar().initial_state(), SequenceInputs(ModelConfig(), _UNKNOWN)
    first = np.flatnonzero(KINDS[tokens] == Kind.NOTE_ON)[place]
    for token in tokens[:first].tolist():
        state.advance(token)
        inputs.observe(state, token)
    return state, inputs


def _biased(
    before: tuple[State, SequenceInputs], strength: float = 1.0, weights: np.ndarray = _EVERYTHING
) -> np.ndarray:
    state, inputs = before
    weights = weights.copy()
    MotifBias(strength, inputs).weigh(state, weights.data)
    return weights


def _gains(
    pitches: tuple[int, ...],
    place: int,
    strength: float = 1.0,
    weights: np.ndarray = _EVERYTHING,
) -> dict[int, float]:
    """Return the gain in nats, relative to C8, of each pitch that the bias makes likelier."""
    after = _biased(_at(pitches, place), strength, weights)[_NOTE_ON]
    over = np.log(after / after[-1], where=after > 0, out=np.zeros(len(after)))
    return {int(p): float(over[p - 21]) for p in np.flatnonzero(np.abs(over) > 1e-12) + 21}


def test_there_is_a_gain_for_each_confidence_and_longer_figures_gain_more() -> None:
    assert len(GAINS) == CONFIDENCES
    assert (np.diff(GAINS) >= 0).all()
    assert GAINS[0] == 0


def test_a_figure_that_has_begun_again_gains_the_more_the_longer_it_is() -> None:
    """After the second C D F two steps are known, after the third six, after the fourth eight."""
    again = _FIGURE * 4
    found = [_gains(again, place) for place in (3, 7, 11, 15)]
    assert found[0] == {}
    for gains, confidence in zip(found[1:], (3, 6, 7), strict=True):
        assert gains == pytest.approx({64: GAINS[confidence]})


def test_it_gains_as_often_as_is_asked_for() -> None:
    assert _gains(_FIGURE * 4, 15, 0.0) == {}
    assert _gains(_FIGURE * 4, 15, 1.5) == pytest.approx({64: 1.5 * GAINS[7]})


def test_on_other_degrees_the_raised_note_gains_as_well() -> None:
    """D E G F: the F may be F sharp."""
    pitches = (*_FIGURE, *(62, 64, 67, 65))
    assert _gains(pitches, 7) == pytest.approx({65: GAINS[3], 66: GAINS[3]})


def test_what_is_not_allowed_gains_nothing_and_gives_nothing() -> None:
    weights = _EVERYTHING.copy()
    pitches = (*_FIGURE, *(62, 64, 67, 65))
    weights[token_id(Kind.NOTE_ON, 65)] = 0
    assert _gains(pitches, 7, weights=weights) == pytest.approx({66: GAINS[3]})
    weights[_NOTE_ON] = 0
    np.testing.assert_array_equal(_biased(_at(pitches, 7), weights=weights), weights)


def test_a_note_that_repeats_the_one_before_gains_nothing() -> None:
    """In C D D E nothing is added before the second D."""
    again = (60, 62, 62, 64) * 4
    assert _gains(again, 14) == {}
    assert _gains(again, 15) == pytest.approx({64: GAINS[7]})


def test_nothing_gains_at_another_tick() -> None:
    for sooner in (0, 6):
        biased = _biased(_at(_FIGURE * 3, 11, sooner))
        assert np.array_equal(biased, _EVERYTHING) == (sooner > 0)


@given(st.integers(0, 2**32 - 1), st.floats(0.1, 5), st.booleans())
def test_how_likely_a_note_is_at_all_stays_and_so_does_everything_else(
    seed: int, strength: float, masked: bool
) -> None:
    rng = np.random.default_rng(seed)
    weights = np.exp(rng.normal(0, 4, VOCAB_SIZE))
    if masked:
        weights[rng.random(VOCAB_SIZE) < 0.5] = 0
    biased = _biased(_at(_FIGURE * 4, 15), strength, weights)
    is_note = np.zeros(VOCAB_SIZE, np.bool_)
    is_note[_NOTE_ON] = True
    np.testing.assert_array_equal(biased[~is_note], weights[~is_note])
    assert biased[is_note].sum() == pytest.approx(weights[is_note].sum())
    due = token_id(Kind.NOTE_ON, 64)
    others = is_note & (weights > 0)
    others[due] = False
    if weights[due]:
        odds = [np.log(of[due] / of[others]) for of in (weights, biased)]
        np.testing.assert_allclose(odds[1] - odds[0], strength * GAINS[7])
    else:
        np.testing.assert_allclose(biased[others], weights[others])


@pytest.mark.parametrize(
    ("requested", "is_keyboard", "strength"),
    [(None, True, 1.0), (None, False, 0.0), (0.7, True, 0.7), (0.7, False, 0.7)],
)
def test_the_default_depends_on_the_style(
    requested: float | None, is_keyboard: bool, strength: float
) -> None:
    assert motif_strength(requested, is_keyboard) == strength
