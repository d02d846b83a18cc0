"""The grammar loss refuses or explains what would make it a wrong number."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from bicinium.errors import TokenError
from bicinium.music.score import Score
from bicinium.tokenizer.codec import encode
from bicinium.tokenizer.vocabulary import PAD, START, VOCAB_SIZE
from bicinium.training.losses import IGNORE_INDEX, MusicalGrammarLoss

Refuses = Callable[..., AbstractContextManager[None]]
_NOTHING = torch.zeros(())


@pytest.fixture(scope="module")
def tokens(made_up_score: Callable[..., Score]) -> Tensor:
    """(2, T) two pieces, from START."""
    pieces = [encode(made_up_score(seed, 4, key="C major")) for seed in (1, 2)]
    length = min(map(len, pieces))
    return torch.from_numpy(np.stack([piece[:length] for piece in pieces])).long()


def _certain(targets: Tensor) -> Tensor:
    """Logits of a model that is almost certain of the targets."""
    return 12.0 * F.one_hot(targets, VOCAB_SIZE).float()


def _loss(logits: Tensor, targets: Tensor) -> float:
    return float(MusicalGrammarLoss()(logits, targets, _NOTHING)[0])


def test_aligned_targets_give_no_warning(tokens: Tensor) -> None:
    targets = tokens[:, 1:].clone()
    targets[:, -3:] = IGNORE_INDEX
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert _loss(_certain(tokens[:, 1:]), targets) < 2.0
        _loss(torch.randn(*targets.shape, VOCAB_SIZE), targets)
        _loss(torch.zeros(*targets.shape, VOCAB_SIZE), targets)


@pytest.mark.parametrize("lengths", [(120, 119), (119, 120), (60, 30)])
def test_other_lengths_are_refused_with_the_shift(
    refuses: Refuses, lengths: tuple[int, int]
) -> None:
    logits = torch.zeros(2, lengths[0], VOCAB_SIZE)
    targets = torch.full((2, lengths[1]), PAD)
    with refuses(
        TokenError, rf"got \(2, {lengths[0]}, 774\) for \(2, {lengths[1]}\).*tokens\[:, 1"
    ):
        _loss(logits, targets)


def test_other_shapes_and_types_are_refused(tokens: Tensor, refuses: Refuses) -> None:
    logits, targets = _certain(tokens[:, 1:]), tokens[:, 1:]
    with refuses(TokenError, r"must be \(B, T, 774\)"):
        _loss(logits[0], targets)
    with refuses(TokenError, r"must be \(B, T, 774\)"):
        _loss(logits.transpose(1, 2), targets)
    with refuses(TokenError, "must be integers"):
        _loss(logits, targets.float())


def test_another_vocabulary_is_refused(tokens: Tensor, refuses: Refuses) -> None:
    targets = tokens[:, 1:]
    with refuses(TokenError, "logits of 512 tokens; the vocabulary has 774"):
        _loss(_certain(targets)[..., :512], targets)
    with refuses(TokenError, r"between 0 and 773, or -100 .*got 1 to 900"):
        _loss(_certain(targets), torch.where(targets == targets[0, 5], 900, targets))


def test_targets_that_begin_with_start_are_refused(tokens: Tensor, refuses: Refuses) -> None:
    assert (tokens[:, 0] == START).all()
    with refuses(TokenError, r"begin with START, so they are not shifted. Pass logits\[:, :-1\]"):
        _loss(_certain(tokens), tokens)


@pytest.mark.parametrize(("offset", "name"), [(1, "next"), (-1, "previous")])
def test_logits_of_the_neighbours_are_explained(tokens: Tensor, offset: int, name: str) -> None:
    """The targets are music from its first token, so only the logits can tell."""
    logits = _certain(tokens[:, 1:].roll(-offset, dims=1))
    with pytest.warns(UserWarning, match=f"predict the {name} target better than their own"):
        shifted = _loss(logits, tokens[:, 1:])
    assert shifted > 2 * _loss(_certain(tokens[:, 1:]), tokens[:, 1:])


def test_ids_of_another_vocabulary_are_recognised() -> None:
    ids = torch.from_numpy(np.random.default_rng(1).integers(4, 500, (2, 64)))
    with pytest.warns(UserWarning, match="ids of another vocabulary"):
        _loss(torch.zeros(2, 64, VOCAB_SIZE), ids)
