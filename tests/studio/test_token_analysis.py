"""Analysis of a piece, token by token."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from bicinium.api import load_composer
from bicinium.errors import RequestError
from bicinium.generation.conditions import Conditions
from bicinium.music.key import Key
from bicinium.music.score import Meter, Note, Score, Voice
from bicinium.studio.token_analysis import analyse_tokens


def test_every_token_is_analysed() -> None:
    composer = load_composer()
    asked = Conditions(Key.parse("D minor"), Meter.parse("3/4"), 4, style="bach")
    (piece,) = composer.compose([asked], [3])
    assert piece.score is not None
    found = analyse_tokens(composer, piece.score, asked.key, "bach")
    assert (
        len(found.tick)
        == len(found.illegal_mass)
        == len(found.surprisal_bits)
        == len(piece.tokens) - 1
    )
    assert np.all(np.diff(found.tick) >= 0)
    assert all(0 <= share <= 1 for share in found.illegal_mass)
    assert 0 <= found.mean_illegal_mass < 0.1
    assert np.mean(found.surprisal_bits) < 3  # the model generated these tokens itself


def test_forbidden_choices_are_where_the_most_probable_token_is_forbidden(
    made_up_score: Callable[..., Score],
) -> None:
    composer = load_composer()
    score = made_up_score(7, 12, "6/8", "F# minor")
    assert score.key is not None
    found = analyse_tokens(composer, score, score.key, None)
    for choice in found.forbidden_choices:
        assert choice.violation.rule in {rule.name for rule in composer.grammar.rules}
        assert found.illegal_mass[choice.violation.index - 1] >= choice.probability > 0
        assert choice.violation.message.startswith(f"bar {choice.violation.bar},")


def test_invalid_piece_is_an_error() -> None:
    loop = Voice(tuple(Note(tick, 60, 6) for tick in range(0, 96 * 400, 96)))
    score = Score((loop, Voice((Note(0, 40, 96 * 390),))), 400)
    with pytest.raises(RequestError, match="only a valid piece can be analysed"):
        analyse_tokens(load_composer(), score, Key.parse("C major"), None)
