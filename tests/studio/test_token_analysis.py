"""The grammar over a piece: what the model thinks is what it thinks when it composes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from bicinium.api import load_composer
from bicinium.errors import RequestError
from bicinium.generation.conditions import Conditions
from bicinium.music.key import Key
from bicinium.music.score import Meter, Note, Score, Voice
from bicinium.studio.token_analysis import understand


def test_the_model_is_heard_at_every_token() -> None:
    composer = load_composer()
    asked = Conditions(Key.parse("D minor"), Meter.parse("3/4"), 4, style="bach")
    (piece,) = composer.compose([asked], [3])
    assert piece.score is not None
    found = understand(composer, piece.score, asked.key, "bach")
    assert len(found.tick) == len(found.illegal) == len(found.bits) == len(piece.tokens) - 1
    assert np.all(np.diff(found.tick) >= 0)
    assert all(0 <= share <= 1 for share in found.illegal)
    assert 0 <= found.illegal_mass < 0.1
    assert np.mean(found.bits) < 3  # it has drawn these tokens itself: they surprise it little


def test_slips_are_where_the_first_choice_is_forbidden(made_up_score: Callable[..., Score]) -> None:
    composer = load_composer()
    score = made_up_score(7, 12, "6/8", "F# minor")
    assert score.key is not None
    found = understand(composer, score, score.key, None)
    for slip in found.slips:
        assert slip.violation.rule in {rule.name for rule in composer.grammar.rules}
        assert found.illegal[slip.violation.index - 1] >= slip.probability > 0
        assert slip.violation.message.startswith(f"bar {slip.violation.bar},")


def test_what_is_ungrammatical_is_not_read() -> None:
    loop = Voice(tuple(Note(tick, 60, 6) for tick in range(0, 96 * 400, 96)))
    score = Score((loop, Voice((Note(0, 40, 96 * 390),))), 400)
    with pytest.raises(RequestError, match="the model reads only"):
        understand(load_composer(), score, Key.parse("C major"), None)
