"""Form inputs: labels of bars, and the notes of the bars that they are like."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bicinium.grammar import MusicalGrammar
from bicinium.model.config import ModelConfig
from bicinium.model.inputs.encode import PieceConditions, encode_along
from bicinium.model.inputs.form_columns import FormColumns, moved_pitch
from bicinium.model.inputs.layout import column_of, first_rows, split_inputs
from bicinium.music.form import Form, degree_of, form_of_score
from bicinium.music.form_text import form_from_json
from bicinium.music.key import Key
from bicinium.music.score import COMMON_TIME, LOWEST_PITCH, Note, Score, Voice
from bicinium.tokenizer.codec import encode
from bicinium.tokenizer.vocabulary import KINDS, VALUES, Kind

_CONFIG = ModelConfig(form_inputs=True)
_SUBJECT = (60, 62, 64, 65)


def _line(bars: list[tuple[int, ...]]) -> Voice:
    """Quarter notes, bar by bar."""
    return Voice(
        tuple(Note(96 * b + 24 * i, p, 24) for b, bar in enumerate(bars) for i, p in enumerate(bar))
    )


def _up(step: int) -> tuple[int, ...]:
    return tuple(moved_pitch(pitch, step) for pitch in _SUBJECT)


_SCORE = Score(
    (_line([_SUBJECT, (72, 71), _SUBJECT, _up(1)]), _line([(), _up(-7), (48, 43, 48), _up(-3)])),
    4,
    COMMON_TIME,
    Key(0, "major"),
)
_TOKENS = encode(_SCORE).astype(np.int64)


def _encoded(form: Form | None, config: ModelConfig = _CONFIG) -> np.ndarray:
    """The inputs (T, F) of the score after each token, as values of each column."""
    states = MusicalGrammar().states_along([_TOKENS], bar_ticks=[96], bars=[4])
    after = states.take(np.arange(1, len(_TOKENS) + 1))
    told = PieceConditions.of(config, ["4/4"], ["major"], [None], [4]).rows()[0]
    columns = FormColumns(form) if form else None
    return encode_along(config, after, _TOKENS, told, form=columns)


def _column(encoded: np.ndarray, name: str) -> np.ndarray:
    column = column_of(_CONFIG, name)
    return encoded[:, column] - first_rows(_CONFIG)[column]


def test_the_pitch_that_returns_is_the_pitch_that_comes() -> None:
    form = form_of_score(_SCORE)
    encoded = _encoded(form)
    returning = split_inputs(encoded).reference_pitches[:, 4] + LOWEST_PITCH
    ticks, parts = split_inputs(encoded).tick, _column(encoded, "part")
    seen = 0
    for place, token in enumerate(_TOKENS[1:]):
        if KINDS[token] == Kind.NOTE_ON:
            part, bar = int(parts[place]), int(ticks[place]) // 96
            if form.labels[part][bar].back:
                seen += 1
                assert returning[place] == VALUES[token]
                assert _column(encoded, f"form_held_{part}")[place] == VALUES[token] - 21 + 2
                assert _column(encoded, f"form_age_{part}")[place] == 1  # begins now
    assert seen == 16


def test_what_is_not_known_is_zero() -> None:
    form = form_from_json({"bars": 2, "upper": ["new", "literal 1"]})
    names = [f"form_{name}_{voice}" for voice in range(2) for name in ("kind", "back", "held")]
    for name in [*names, "close", "to_close"]:
        assert not _column(_encoded(None), name).any()
    known = _column(_encoded(form), "form_kind_0")
    ticks = split_inputs(_encoded(form)).tick
    assert known[ticks < 96].all()
    assert not known[ticks >= 192].any()  # beyond the bars of the form
    assert not _column(_encoded(form), "form_kind_1").any()


def test_closes_are_counted_down() -> None:
    form = form_from_json({"bars": 4, "closes": ["none", "half", "none", "full"]})
    encoded = _encoded(form)
    bars = split_inputs(encoded).tick // 96
    for bar, (close, ahead) in enumerate([(3, 2), (3, 1), (4, 2), (4, 1)]):
        assert set(_column(encoded, "close")[bars == bar]) == {close}
        assert set(_column(encoded, "to_close")[bars == bar]) == {ahead}


def test_a_piece_that_grows_has_the_inputs_of_the_whole(
    shown_along: Callable[..., np.ndarray],
) -> None:
    form = form_of_score(_SCORE)
    told = PieceConditions.of(_CONFIG, ["4/4"], ["major"], [None], [4])
    grown = shown_along(_CONFIG, _TOKENS, told, None, FormColumns(form), bar_ticks=96, bars=4)
    assert (grown == _encoded(form)).all()


@given(st.integers(30, 90), st.integers(-28, 28))
def test_pitches_move_on_the_white_keys(pitch: int, step: int) -> None:
    moved = moved_pitch(pitch, step)
    assert degree_of(moved) == degree_of(pitch) + step
    assert step % 7 or moved == pitch + step // 7 * 12


@pytest.mark.parametrize("inputs", [False, True])
def test_only_a_model_with_form_inputs_sees_a_form(inputs: bool) -> None:
    config = ModelConfig(form_inputs=inputs)
    form = form_of_score(_SCORE)
    assert (_encoded(form, config) != _encoded(None, config)).any() == inputs
