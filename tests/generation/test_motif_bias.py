"""The motif bias raises the notes with which earlier figures continued, and no others."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bicinium.generation.motif_bias import GAINS, apply_motif_bias, motif_strength
from bicinium.grammar import MusicalGrammar
from bicinium.model.config import ModelConfig
from bicinium.model.inputs.encode import BatchInputs, PieceConditions
from bicinium.model.inputs.motif_predictor import CONFIDENCES
from bicinium.music.score import COMMON_TIME, Note, Score, Voice
from bicinium.tokenizer.codec import encode
from bicinium.tokenizer.vocabulary import BLOCKS, KINDS, VOCAB_SIZE, Kind, token_id

_NOTE_ON = BLOCKS[Kind.NOTE_ON].ids
_FIGURE = (60, 62, 65, 64)  # C D F E, in eighths
_NOTHING = np.zeros((1, VOCAB_SIZE))
_EVERYTHING = np.ones((1, VOCAB_SIZE), np.bool_)


def _at(pitches: tuple[int, ...], place: int, sooner: int = 0) -> np.ndarray:
    """Return the prediction before note ``place`` of a line of eighths, ``sooner`` ticks early."""
    notes = [Note(12 * i, pitch, 12) for i, pitch in enumerate(pitches)]
    notes[place - 1] = replace(notes[place - 1], duration_ticks=12 - sooner)
    notes[place] = replace(notes[place], onset_tick=12 * place - sooner)
    tokens = encode(Score((Voice(tuple(notes)), Voice(())), 1 + len(notes) // 8, COMMON_TIME))
    grammar, config = MusicalGrammar(), ModelConfig()
    inputs = BatchInputs(config, PieceConditions.of(config, [None], [None], [None], [None]))
    state = grammar.initial_states(1)
    first = np.flatnonzero(KINDS[tokens] == Kind.NOTE_ON)[place]
    for token in tokens[:first, None].astype(np.int64):
        grammar.advance(state, token)
        inputs.step(state, token)
    return inputs.predicted_now(state)


def _gains(
    pitches: tuple[int, ...], place: int, strength: float = 1.0, allowed: np.ndarray | None = None
) -> dict[int, float]:
    """Return the gain in nats, relative to C8, of each pitch that the bias makes likelier."""
    expected = _at(pitches, place)
    allowed = _EVERYTHING if allowed is None else allowed
    after = apply_motif_bias(_NOTHING, allowed, expected, np.array([strength]))[0, _NOTE_ON]
    over = after - after[-1]
    return {int(p): float(over[p - 21]) for p in np.flatnonzero(over) + 21}


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
    allowed = np.ones((1, VOCAB_SIZE), np.bool_)
    pitches = (*_FIGURE, *(62, 64, 67, 65))
    allowed[0, token_id(Kind.NOTE_ON, 65)] = False
    assert _gains(pitches, 7, allowed=allowed)[66] == pytest.approx(GAINS[3])
    expected = _at(pitches, 7)
    allowed[0, _NOTE_ON] = False
    leaning = apply_motif_bias(_NOTHING, allowed, expected, np.ones(1))
    assert np.isfinite(leaning).all()


def test_a_note_that_repeats_the_one_before_gains_nothing() -> None:
    """In C D D E nothing is added before the second D."""
    again = (60, 62, 62, 64) * 4
    assert _gains(again, 14) == {}
    assert _gains(again, 15) == pytest.approx({64: GAINS[7]})


def test_nothing_gains_at_another_tick() -> None:
    for sooner in (0, 6):
        expected = _at(_FIGURE * 3, 11, sooner)
        leaning = apply_motif_bias(_NOTHING, _EVERYTHING, expected, np.ones(1))
        assert np.array_equal(leaning, _NOTHING) == (sooner > 0)


@given(st.integers(0, 2**32 - 1), st.floats(0.1, 5), st.booleans())
def test_how_likely_a_note_is_at_all_stays_and_so_does_everything_else(
    seed: int, strength: float, masked: bool
) -> None:
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 4, (1, VOCAB_SIZE))
    allowed = rng.random((1, VOCAB_SIZE)) < 0.5 if masked else _EVERYTHING
    counted = allowed[0]
    expected = _at(_FIGURE * 4, 15)
    leaning = apply_motif_bias(logits, allowed, expected, np.array([strength]))
    is_note = np.zeros(VOCAB_SIZE, np.bool_)
    is_note[_NOTE_ON] = True
    np.testing.assert_array_equal(leaning[0, ~is_note], logits[0, ~is_note])
    sums = [np.exp(of[0, is_note & counted]).sum() for of in (logits, leaning)]
    assert sums[1] == pytest.approx(sums[0])
    due = token_id(Kind.NOTE_ON, 64)
    others = is_note & counted
    others[due] = False
    odds = [of[0, due] - of[0, others] for of in (logits, leaning)]
    if counted[due]:
        np.testing.assert_allclose(odds[1] - odds[0], strength * GAINS[7])
    else:
        np.testing.assert_allclose(leaning[0, others], logits[0, others])


@pytest.mark.parametrize(
    ("requested", "is_keyboard", "strength"),
    [(None, True, 1.0), (None, False, 0.0), (0.7, True, 0.7), (0.7, False, 0.7)],
)
def test_the_default_depends_on_the_style(
    requested: float | None, is_keyboard: bool, strength: float
) -> None:
    assert motif_strength(requested, is_keyboard) == strength
