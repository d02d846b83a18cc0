"""Drawing tokens: exact on arrays small enough to calculate by hand."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import AbstractContextManager

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from bicinium.errors import RequestError
from bicinium.generation.sampler import Sampler, exponential
from bicinium.generation.sampling import Sampling

_P = np.array([0.4, 0.3, 0.2, 0.1])
_LOGITS = np.log(_P)


def _probabilities(
    logits: np.ndarray, token_mask: np.ndarray | None, sampling: Sampling
) -> np.ndarray:
    """Return the distribution that is drawn from."""
    sampler, weights = Sampler(sampling, len(logits)), np.empty(len(logits))
    allowed = np.ones(len(logits), np.uint8) if token_mask is None else token_mask.astype(np.uint8)
    assert sampler.weigh(logits.data, allowed.data, weights.data)
    sampler.choose(weights.data, 0.5)
    return weights / weights.sum()


def _draw(p: np.ndarray, uniform: float) -> int:
    return Sampler(Sampling(), len(p)).choose(p.copy().data, uniform)


def _p(mask: list[bool] | None = None, **how: float) -> list[float]:
    token_mask = None if mask is None else np.array(mask)
    return _probabilities(_LOGITS, token_mask, Sampling(**how)).tolist()  # type: ignore[arg-type]


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
    wide = np.array([1e4, 0.0, -1e4])
    assert _probabilities(wide, None, Sampling(temperature=0.01)).tolist() == [1, 0, 0]


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
    assert _probabilities(np.zeros(4), None, Sampling(top_k=2)).tolist() == [0.5, 0.5, 0, 0]


def test_where_no_token_is_allowed_there_is_nothing_to_draw() -> None:
    weights = np.empty(4)
    nothing = np.zeros(4, np.uint8)
    assert not Sampler(Sampling(), 4).weigh(_LOGITS.data, nothing.data, weights.data)


@pytest.mark.parametrize(
    ("logits", "expected"),
    [
        ([math.nan] * 3, [1, 0, 0]),
        ([math.nan, 0.0, math.nan], [0, 1, 0]),
        ([0.0, math.inf, -math.inf], [0, 1, 0]),
        ([-math.inf] * 3, [1, 0, 0]),
    ],
)
def test_logits_that_are_no_numbers_count_as_minus_infinity(
    logits: list[float], expected: list[float]
) -> None:
    """A collapsed model has such logits."""
    weights, allowed = np.full(3, math.nan), np.ones(3, np.uint8)
    assert Sampler(Sampling(), 3).weigh(np.array(logits).data, allowed.data, weights.data)
    assert weights.tolist() == expected


@given(st.floats(-800, 0))
def test_the_exponential_is_that_of_the_library(x: float) -> None:
    expected = math.exp(x) if x >= -700 else 0
    assert exponential(x) == pytest.approx(expected, rel=1e-15, abs=0)
    assert exponential(math.nan) == 0


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
    mask = rng.random(size) < 0.4
    mask[rng.integers(0, size)] = True
    logits = rng.normal(0, 5, size)
    p = _probabilities(logits, mask, Sampling(temperature, top_p, top_k, min_p))
    np.testing.assert_allclose(p.sum(), 1, atol=1e-9)
    assert (p >= 0).all()
    assert (p[~mask] == 0).all()
    best = np.where(mask, logits, -np.inf).argmax()
    assert p[best] > 0  # the likeliest legal token always remains
    assert p[_draw(p, rng.random())] > 0
    _assert_truncated(p, mask, logits, Sampling(temperature, top_p, top_k, min_p))


def _assert_truncated(
    p: np.ndarray, mask: np.ndarray, logits: np.ndarray, sampling: Sampling
) -> None:
    """Compare with a truncation by sorting."""
    whole = np.where(mask, np.exp((logits - logits[mask].max()) / sampling.temperature), 0)
    order = np.argsort(-whole, kind="stable")
    ranked = whole[order] / whole.sum()
    before = np.cumsum(ranked) - ranked
    assume((np.abs(before - sampling.top_p) > 1e-9).all())
    assume((np.abs(ranked / ranked[0] - sampling.min_p) > 1e-9).all())
    kept = (before < sampling.top_p) & (ranked >= sampling.min_p * ranked[0]) & (ranked > 0)
    kept &= np.arange(len(p)) < (sampling.top_k or len(p))
    np.testing.assert_allclose(p[order], np.where(kept, ranked, 0) / ranked[kept].sum(), atol=1e-12)


# ------------------------------------------------------------------ drawing


def test_a_draw_is_the_inverse_of_the_cumulative_distribution() -> None:
    p = np.array([0.25, 0.5, 0.25])
    for uniform, token in [(0.0, 0), (0.2499, 0), (0.25, 1), (0.7499, 1), (0.75, 2), (0.9999, 2)]:
        assert _draw(p, uniform) == token, uniform


def test_tokens_without_probability_are_never_drawn() -> None:
    p = np.array([0.0, 0.5, 0.0, 0.5, 0.0])
    assert {_draw(p, u) for u in [0.0, 0.5, np.nextafter(1, 0), 1.0]} == {1, 3}


def test_weights_need_not_add_up_to_one() -> None:
    p = np.full(7, 1 / 7)
    p[5:] = 0
    assert _draw(p / 3, np.nextafter(1, 0)) == 4


def test_draws_come_as_often_as_they_are_likely() -> None:
    tokens = [_draw(_P, (number + 0.5) / 1000) for number in range(1000)]
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
