"""Drawing tokens: exact on arrays small enough to calculate by hand."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bicinium.errors import RequestError
from bicinium.generation.sampling import Sampling, draw, probabilities

_P = np.array([0.4, 0.3, 0.2, 0.1])
_LOGITS = np.log(_P)[None].astype(np.float32)


def _p(mask: list[bool] | None = None, **how: float) -> list[float]:
    token_mask = None if mask is None else np.array([mask])
    return probabilities(_LOGITS, token_mask, Sampling(**how))[0].tolist()  # type: ignore[arg-type]


def test_by_default_the_distribution_is_the_models() -> None:
    assert _p() == pytest.approx(_P.tolist(), abs=1e-7)


def test_masked_tokens_have_exactly_no_probability_and_the_others_share_it() -> None:
    p = _p([False, True, False, True])
    assert (p[0], p[2]) == (0.0, 0.0)
    assert p[1:4:2] == pytest.approx([0.75, 0.25], abs=1e-7)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_temperature_is_the_inverse_of_a_power(temperature: float) -> None:
    power = _P ** (1 / temperature)
    expected = (power / power.sum()).tolist()
    assert _p(temperature=temperature) == pytest.approx(expected, abs=1e-6)


def test_low_temperature_is_greedy_without_overflow() -> None:
    assert _p(temperature=0.001) == pytest.approx([1, 0, 0, 0], abs=1e-12)
    wide = np.array([[1e4, 0.0, -1e4]], np.float32)
    p = probabilities(wide, None, Sampling(temperature=0.01))
    assert p.tolist() == [[1.0, 0.0, 0.0]]


@pytest.mark.parametrize(
    ("top_p", "kept"),
    [(0.05, 1), (0.39, 1), (0.41, 2), (0.69, 2), (0.71, 3), (0.95, 4), (1.0, 4)],
)
def test_top_p_keeps_the_smallest_set_that_holds_so_much(top_p: float, kept: int) -> None:
    expected = np.where(np.arange(4) < kept, _P, 0) / _P[:kept].sum()
    assert _p(top_p=top_p) == pytest.approx(expected.tolist(), abs=1e-6)
    assert np.count_nonzero(_p(top_p=top_p)) == kept


@pytest.mark.parametrize("top_k", [1, 2, 3, 4, 100])
def test_top_k_keeps_the_k_likeliest(top_k: int) -> None:
    kept = _P[: min(top_k, 4)]
    p = _p(top_k=top_k)
    assert p[: len(kept)] == pytest.approx((kept / kept.sum()).tolist(), abs=1e-6)
    assert p[len(kept) :] == [0.0] * (4 - len(kept))


@pytest.mark.parametrize(("min_p", "kept"), [(0.0, 4), (0.2, 4), (0.3, 3), (0.6, 2), (0.9, 1)])
def test_min_p_keeps_what_is_not_much_less_likely_than_the_likeliest(
    min_p: float, kept: int
) -> None:
    p = _p(min_p=min_p)
    assert np.count_nonzero(p) == kept
    assert p[:kept] == pytest.approx((_P[:kept] / _P[:kept].sum()).tolist(), abs=1e-6)


def test_limits_count_legal_tokens_only() -> None:
    """The likeliest token is forbidden; top-k 2 keeps the two likeliest of the rest."""
    mask = [False, True, True, True]
    assert _p(mask, top_k=2) == pytest.approx([0, 0.6, 0.4, 0], abs=1e-6)
    assert _p(mask, top_p=0.4) == pytest.approx([0, 1, 0, 0], abs=1e-6)
    assert _p(mask, min_p=0.6) == pytest.approx([0, 0.6, 0.4, 0], abs=1e-6)


def test_limits_hold_together() -> None:
    assert np.count_nonzero(_p(top_k=3, top_p=0.5)) == 2
    assert np.count_nonzero(_p(top_k=1, top_p=0.95, min_p=0.1)) == 1


def test_equal_tokens_are_cut_in_the_order_of_their_ids() -> None:
    even = np.zeros((1, 4), np.float32)
    assert probabilities(even, None, Sampling(top_k=2)).tolist() == [[0.5, 0.5, 0.0, 0.0]]


def test_rows_do_not_mix() -> None:
    logits = np.stack([_LOGITS[0], _LOGITS[0, ::-1]])
    mask = np.array([[True, True, False, True], [True, True, True, True]])
    together = probabilities(logits, mask, Sampling(top_p=0.8, temperature=1.5))
    for row in range(2):
        alone = probabilities(
            logits[row : row + 1], mask[row : row + 1], Sampling(top_p=0.8, temperature=1.5)
        )
        np.testing.assert_array_equal(together[row], alone[0])


def test_arguments_are_left_as_they_were() -> None:
    logits, mask = _LOGITS.copy(), np.array([[True, False, True, True]])
    probabilities(logits, mask, Sampling(top_p=0.5))
    np.testing.assert_array_equal(logits, _LOGITS)
    assert mask.tolist() == [[True, False, True, True]]


@given(
    seed=st.integers(0, 2**32 - 1),
    size=st.integers(2, 40),
    temperature=st.floats(0.05, 5),
    top_p=st.floats(0.01, 1),
    top_k=st.integers(0, 10),
    min_p=st.floats(0, 0.99),
)
def test_any_setting_gives_a_distribution_over_legal_tokens(
    seed: int, size: int, temperature: float, top_p: float, top_k: int, min_p: float
) -> None:
    rng = np.random.default_rng(seed)
    mask = rng.random((3, size)) < 0.4
    mask[np.arange(3), rng.integers(0, size, 3)] = True
    logits = rng.normal(0, 5, (3, size)).astype(np.float32)
    p = probabilities(logits, mask, Sampling(temperature, top_p, top_k, min_p))
    np.testing.assert_allclose(p.sum(axis=1), 1, atol=1e-9)
    assert (p >= 0).all()
    assert (p[~mask] == 0).all()
    best = np.where(mask, logits, -np.inf).argmax(axis=1)
    assert (p[np.arange(3), best] > 0).all()  # the likeliest legal token always remains
    tokens = draw(p, rng.random(3))
    assert (p[np.arange(3), tokens] > 0).all()


# ------------------------------------------------------------------ drawing


def test_a_draw_is_the_inverse_of_the_cumulative_distribution() -> None:
    p = np.array([[0.25, 0.5, 0.25]])
    for uniform, token in [(0.0, 0), (0.2499, 0), (0.25, 1), (0.7499, 1), (0.75, 2), (0.9999, 2)]:
        assert draw(p, np.array([uniform])).tolist() == [token], uniform


def test_tokens_without_probability_are_never_drawn() -> None:
    p = np.array([[0.0, 0.5, 0.0, 0.5, 0.0]])
    drawn = {int(draw(p, np.array([u]))[0]) for u in [0.0, 0.5, np.nextafter(1, 0), 1.0]}
    assert drawn == {1, 3}


def test_rounding_at_the_upper_end_does_not_fall_off_the_last_possible_token() -> None:
    thirds = np.full((1, 7), 1 / 7)
    thirds[0, 5:] = 0
    assert draw(thirds / 1.0000001, np.array([np.nextafter(1, 0)])).tolist() == [4]


def test_each_row_is_drawn_with_its_own_number() -> None:
    p = np.tile([[0.5, 0.5]], (3, 1))
    assert draw(p, np.array([0.1, 0.9, 0.1])).tolist() == [0, 1, 0]


def test_draws_come_as_often_as_they_are_likely() -> None:
    uniform = (np.arange(1000) + 0.5) / 1000
    tokens = draw(np.tile(_P, (1000, 1)), uniform)
    assert np.bincount(tokens).tolist() == [400, 300, 200, 100]


@pytest.mark.parametrize(
    "wrong",
    [
        {"temperature": 0},
        {"temperature": -1},
        {"temperature": 10.1},
        {"temperature": float("nan")},
        {"top_p": 0},
        {"top_p": 1.01},
        {"top_p": float("nan")},
        {"top_k": -1},
        {"min_p": -0.1},
        {"min_p": 1},
        {"guidance": -0.1},
        {"guidance": 10.1},
        {"guidance": float("nan")},
        {"motif_strength": -0.1},
        {"motif_strength": 10.1},
        {"motif_strength": float("nan")},
    ],
    ids=str,
)
def test_settings_that_mean_nothing_are_refused_by_name(
    wrong: dict[str, float], refuses: Callable[..., AbstractContextManager[None]]
) -> None:
    (name,) = wrong
    with refuses(RequestError, f"--{name.replace('_', '-')} must be"):
        Sampling(**wrong)  # type: ignore[arg-type]
