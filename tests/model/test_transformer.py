"""The network as people use it who have tokens: ``load_model`` and ``forward(tokens)``."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

import bicinium
from bicinium.errors import CheckpointError, RequestError, TokenError
from bicinium.grammar import MusicalGrammar
from bicinium.model.checkpoint import load_checkpoint
from bicinium.model.decoder import Decoder
from bicinium.model.inputs.encode import PieceConditions
from bicinium.model.teacher_forcing import logits_along
from bicinium.model.transformer import SequenceConditions, Transformer
from bicinium.music.score import Meter, Score
from bicinium.tokenizer.codec import encode
from bicinium.tokenizer.vocabulary import PAD, VOCAB_SIZE

Refuses = Callable[..., AbstractContextManager[None]]
_KNOWN = [SequenceConditions(meter="4/4", mode="major", style="bach", bars=bars) for bars in (4, 3)]


@pytest.fixture(scope="module")
def model(tiny_model: Path) -> Transformer:
    return bicinium.load_model(tiny_model)


@pytest.fixture(scope="module")
def rows(made_up_score: Callable[..., Score]) -> torch.Tensor:
    """Two pieces, the shorter filled up with PAD."""
    scores = [made_up_score(bars, bars, key="C major") for bars in (4, 3)]
    pieces = [torch.from_numpy(encode(score)) for score in scores]
    return torch.nn.utils.rnn.pad_sequence(pieces, batch_first=True, padding_value=PAD).long()


def test_tokens_give_the_logits_of_the_decoder(
    model: Transformer, tiny_model: Path, rows: torch.Tensor
) -> None:
    with torch.no_grad():
        logits = model(rows, _KNOWN)
    assert logits.shape == (*rows.shape, VOCAB_SIZE)
    checkpoint = load_checkpoint(tiny_model)
    for row, found, bars in zip(rows, logits, (4, 3), strict=True):
        conditions = PieceConditions.of(checkpoint.config, ["4/4"], ["major"], ["bach"], [bars])
        piece = row[row != PAD].numpy()
        _, blocks = logits_along(
            Decoder(checkpoint.config, checkpoint.weights),
            MusicalGrammar(),
            piece,
            conditions,
            bar_ticks=Meter.parse("4/4").bar_ticks,
            bars=bars,
        )
        expected = np.concatenate([block for _, block in blocks])
        seen = min(len(piece), checkpoint.config.context)  # The decoder forgets what is earlier.
        np.testing.assert_allclose(found[:seen].numpy(), expected[:seen], atol=1e-4)


def test_conditions_are_optional_and_matter(model: Transformer, rows: torch.Tensor) -> None:
    with torch.no_grad():
        unknown, known = model(rows), model(rows, _KNOWN)
    assert unknown.isfinite().all()
    assert not torch.allclose(unknown, known)


def test_later_tokens_do_not_change_earlier_logits(model: Transformer, rows: torch.Tensor) -> None:
    with torch.no_grad():
        whole, half = model(rows, _KNOWN), model(rows[:, :20], _KNOWN)
    assert torch.allclose(whole[:, :20], half, atol=1e-5)


def test_the_default_model_predicts_its_own_music_and_learns() -> None:
    piece = bicinium.compose(key="C major", meter="3/4", bars=4, seed=1, best_of=1)
    tokens = torch.from_numpy(piece.tokens).long()[None]
    known = SequenceConditions(meter="3/4", mode="major", bars=4)
    net = bicinium.load_model()
    assert not net.training

    def loss() -> torch.Tensor:
        return F.cross_entropy(net(tokens[:, :-1], known).flatten(0, 1), tokens[0, 1:])

    before = loss()
    assert before < 1.5  # nats per token; log(774) = 6.6
    before.backward()
    torch.optim.AdamW(net.parameters(), lr=1e-4).step()
    assert loss() < before


def test_wrong_tokens_and_conditions_are_refused(
    model: Transformer, rows: torch.Tensor, refuses: Refuses
) -> None:
    with refuses(TokenError, r"between 0 and 773 \(got 0 to 900\)"):
        model(torch.cat([rows, torch.full((2, 1), 900)], dim=1))
    with refuses(TokenError, r"must begin with START \(0\)"):
        model(rows[:, 1:])
    with refuses(TokenError, "3 conditions for 2 sequences"):
        model(rows, [*_KNOWN, *_KNOWN][:3])
    for told, problem in (
        ({"meter": "7/8"}, r"meter must be None or one of 2/4, .*\(got '7/8'\)"),
        ({"meter": "soon"}, "meter must be None or one of"),
        ({"mode": "dorian"}, r"mode must be None or one of major, minor \(got 'dorian'\)"),
        ({"style": "rock"}, r"style must be None or one of .*\(got 'rock'\)"),
        ({"ending": "soft"}, "ending must be None or one of open, at rest"),
        ({"bars": 4}, r"bars needs a meter \(got 4 bars and None\)"),
        ({"bars": 0, "meter": "4/4"}, r"bars must be 1 or more, or None \(got 0\)"),
    ):
        with refuses(RequestError, problem):
            model(rows, SequenceConditions(**told))
    with refuses(TokenError, "Leave conditions out"):
        model(torch.zeros(1, 1, 3, dtype=torch.int32), _KNOWN[0])
    with refuses(CheckpointError, "There is no model at nowhere"):
        bicinium.load_model("nowhere")
