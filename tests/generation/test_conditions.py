"""What is chosen where nothing was asked."""

from __future__ import annotations

from collections import Counter

import numpy as np

from bicinium.generation.conditions import draw_key, draw_meter, draw_style
from bicinium.model.config import COMMON_METERS


def test_keys_are_drawn_from_many_and_both_modes() -> None:
    keys = Counter(str(draw_key(np.random.default_rng(seed))) for seed in range(300))
    assert len(keys) == 12
    assert {key.split()[1] for key in keys} == {"major", "minor"}
    assert max(keys.values()) < 60


def test_metres_are_drawn_as_often_as_music_has_them() -> None:
    metres = Counter(str(draw_meter(np.random.default_rng(seed))) for seed in range(400))
    assert set(metres) == {"4/4", "3/4", "2/4", "6/8"}
    assert set(metres) <= set(COMMON_METERS)
    assert metres["4/4"] > metres["2/4"] > 40


def test_a_style_is_drawn_from_those_the_model_knows() -> None:
    known = ("bach", "song", "romantic")
    styles = Counter(draw_style(np.random.default_rng(seed), known) for seed in range(200))
    assert set(styles) == {"bach", "romantic"}  # a song is no keyboard music
    assert styles["bach"] > styles["romantic"] > 10


def test_no_style_is_drawn_where_none_is_known() -> None:
    assert draw_style(np.random.default_rng(0), ("song",)) is None
    assert draw_style(np.random.default_rng(0), ()) is None


def test_the_same_random_numbers_choose_the_same() -> None:
    for draw in (draw_key, draw_meter):
        assert draw(np.random.default_rng(9)) == draw(np.random.default_rng(9))
