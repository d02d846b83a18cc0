"""Tiling of pieces by windows."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from bicinium.training.windows import tile


@given(length=st.integers(2, 1000), context=st.integers(1, 200), seed=st.integers(0, 1000))
def test_training_windows_cover_a_piece_of_any_length(length: int, context: int, seed: int) -> None:
    windows = tile(length, context, 0, np.random.default_rng(seed))
    scored = np.zeros(length, np.int64)
    for window in windows:
        assert window.start == window.first_scored < window.stop <= length - 1
        assert window.stop - window.start == min(context, length - 1)  # all full
        scored[window.start + 1 : window.stop + 1] += 1
    assert (scored[1:] >= 1).all()
    assert len(windows) == -(-(length - 1) // context)  # no more than are needed


@given(length=st.integers(2, 1000), context=st.integers(1, 200))
def test_validation_windows_score_each_token_once_with_full_context(
    length: int, context: int
) -> None:
    windows = tile(length, context, 0, None)
    scored = np.zeros(length, np.int64)
    for window in windows:
        assert window.start <= window.first_scored < window.stop
        assert window.stop - window.start == min(context, length - 1)
        scored[window.first_scored + 1 : window.stop + 1] += 1
    assert scored.tolist() == [0] + [1] * (length - 1)
