"""Guidance multiplies the difference that naming the style makes to the logits."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import copy
from typing import Any

import numpy as np
import pytest

from bicinium.generation.guidance import GuidedDecoder, guidance_scale
from bicinium.model.config import ModelConfig
from bicinium.model.decoder import Decoder
from bicinium.model.inputs.encode import PieceConditions, mask_style

_LENGTH = 12


@pytest.fixture(scope="module")
def decoder(tiny_config: ModelConfig, random_weights: Callable[..., dict[str, Any]]) -> Decoder:
    return Decoder(tiny_config, random_weights(tiny_config, 1, 8.0))


@pytest.fixture(scope="module")
def seen(
    tiny_config: ModelConfig,
    legal_walks: Callable[..., list[np.ndarray]],
    shown_along: Callable[..., np.ndarray],
) -> Callable[[str | None], np.ndarray]:
    """A style → (3, T, F) features along three pieces of it."""
    asked = {"bar_ticks": 96, "bars": 4}
    walks = legal_walks(3, seed=5, **asked)
    assert min(map(len, walks)) >= _LENGTH

    def show(style: str | None) -> np.ndarray:
        told = PieceConditions.of(tiny_config, ["4/4"], ["major"], [style], [4])
        return np.stack([shown_along(tiny_config, w[:_LENGTH], told, **asked) for w in walks])

    return show


def _plain(decoder: Decoder, seen: np.ndarray, context: int = 256) -> np.ndarray:
    decoder.start(len(seen), [context] * len(seen))
    return np.stack([decoder.step(seen[:, place]) for place in range(seen.shape[1])], axis=1)


def _guided(
    decoder: Decoder,
    seen: np.ndarray,
    scale: Sequence[float],
    kept: Sequence[int] = (),
    context: int = 256,
) -> np.ndarray:
    """Return (N, T, V) logits. From halfway on, only the pieces ``kept`` are advanced, if given."""
    guided, rows, logits = GuidedDecoder(decoder, 3, context=context), np.arange(3), []
    for place in range(seen.shape[1]):
        if kept and place == seen.shape[1] // 2:
            rows = np.array(kept)
            logits = [before[rows] for before in logits]
        logits.append(guided.step(seen[rows, place], rows, np.array(scale)[rows]))
    return np.stack(logits, axis=1)


def test_what_is_said_without_the_style_looks_back_less_far(
    decoder: Decoder, seen: Callable[..., np.ndarray]
) -> None:
    near = _guided(decoder, seen("bach"), [0.0] * 3, context=4)
    np.testing.assert_allclose(near, _plain(decoder, seen(None), context=4), rtol=0, atol=1e-4)
    far = _plain(decoder, seen(None))
    np.testing.assert_allclose(near[:, :4], far[:, :4], rtol=0, atol=1e-4)
    assert np.abs(near[:, 4:] - far[:, 4:]).max() > 0.1


def test_only_the_style_is_forgotten(
    tiny_config: ModelConfig, seen: Callable[..., np.ndarray]
) -> None:
    for style in ("bach", "classical", None):
        told, untold = seen(style), seen(None)
        for piece, expected in zip(told, untold, strict=True):
            np.testing.assert_array_equal(mask_style(tiny_config, piece), expected)
    assert not np.array_equal(seen("bach"), seen(None))


def test_at_1_it_is_the_model_itself(decoder: Decoder, seen: Callable[..., np.ndarray]) -> None:
    told = seen("bach")
    found = _guided(decoder, told, [1, 1, 1])
    np.testing.assert_allclose(found, _plain(decoder, told), rtol=0, atol=1e-4)


def test_what_the_style_makes_likelier_counts_so_many_times(
    decoder: Decoder, seen: Callable[..., np.ndarray]
) -> None:
    """Each piece has its own factor. At 0 the result is as if no style had been named."""
    told, untold = (_plain(decoder, seen(style)) for style in ("bach", None))
    assert np.abs(told - untold).max() > 0.1
    guidance = [0.0, 1.0, 2.5]
    logits = _guided(decoder, seen("bach"), guidance)
    for row, times in enumerate(guidance):
        expected = untold[row] + times * (told[row] - untold[row])
        np.testing.assert_allclose(logits[row], expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize("kept", [(0, 1), (0, 2), (1,)])
def test_pieces_that_go_on_alone_stay_as_they_were(
    decoder: Decoder, seen: Callable[..., np.ndarray], kept: tuple[int, ...]
) -> None:
    told, guidance = seen("bach"), [1.5, 1.0, 3.0]
    together = _guided(decoder, told, guidance)[list(kept)]
    alone = _guided(decoder, told, guidance, kept)
    np.testing.assert_allclose(alone, together, rtol=0, atol=1e-4)


def test_two_batches_can_share_one_decoder(
    decoder: Decoder, seen: Callable[..., np.ndarray]
) -> None:
    inputs = seen("bach")
    one, other = (GuidedDecoder(decoder, 3) for _ in range(2))
    for place in range(4):
        first, second = (
            guided.step(inputs[:, place], np.arange(3), np.full(3, scale))
            for guided, scale in ((one, 1.5), (other, 2.0))
        )
        assert not np.allclose(first, second)
    np.testing.assert_allclose(first, _guided(decoder, inputs[:, :4], [1.5] * 3)[:, 3])


def test_the_network_is_called_once_a_step_and_not_for_what_is_unguided(
    decoder: Decoder, seen: Callable[..., np.ndarray]
) -> None:
    rows_read: list[int] = []

    class Counting(Decoder):
        def step(self, inputs: np.ndarray, rows: np.ndarray | None = None) -> np.ndarray:
            rows_read.append(len(inputs))
            return super().step(inputs, rows)

    counting = copy(decoder)
    counting.__class__ = Counting
    inputs = seen("bach")[:, 0]
    for scale in ([1.5] * 3, [1.5, 1.0, 3.0], [1.0] * 3):
        GuidedDecoder(counting, 3).step(inputs, np.arange(3), np.array(scale))
    assert rows_read == [6, 5, 3]


def test_a_sequence_that_begins_in_the_place_of_another_is_as_in_a_new_decoder(
    decoder: Decoder, seen: Callable[..., np.ndarray]
) -> None:
    inputs, scale, only = seen("bach"), np.full(1, 1.5), np.array([1])
    guided = GuidedDecoder(decoder, 3)
    for place in range(5):
        guided.step(inputs[:, place], np.arange(3), np.full(3, 1.5))
    guided.restart(1)
    found = [guided.step(inputs[:1, place], only, scale) for place in range(_LENGTH)]
    np.testing.assert_array_equal(np.stack(found, 1), _guided(decoder, inputs, [1.5] * 3)[:1])


def test_an_unguided_piece_has_the_same_bits_in_guided_company(
    decoder: Decoder, seen: Callable[..., np.ndarray]
) -> None:
    inputs = seen("bach")
    np.testing.assert_array_equal(
        _guided(decoder, inputs, [1.5, 1.0, 1.5])[1], _guided(decoder, inputs, [1.0] * 3)[1]
    )


@pytest.mark.parametrize(
    ("requested", "is_keyboard", "scale"),
    [(None, True, 1.5), (None, False, 1.0), (0.7, True, 0.7), (0.7, False, 0.7)],
)
def test_the_default_depends_on_the_style(
    requested: float | None, is_keyboard: bool, scale: float
) -> None:
    assert guidance_scale(requested, is_keyboard) == scale
