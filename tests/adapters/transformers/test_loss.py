"""The loss of Trainer is the cross-entropy plus bicinium's own grammar loss."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

import bicinium
from bicinium.errors import TokenError
from bicinium.tokenizer.vocabulary import END, PAD, START, VOCAB_SIZE
from bicinium.training.config import MusicalGrammarSection
from bicinium.training.losses import MusicalGrammarLoss

pytest.importorskip("transformers", minversion="5.24")
pytest.importorskip("accelerate")

from bicinium.adapters.transformers import GrammarTrainerLoss

IGNORED = -100


@pytest.fixture(scope="module")
def pieces():
    """Two pieces of different lengths."""
    return [
        torch.from_numpy(
            bicinium.compose(key="C major", meter="2/4", bars=bars, seed=3, best_of=1).tokens
        ).long()
        for bars in (4, 2)
    ]


def _rows(pieces, left=False):
    """Return (B, T) labels, with -100 in place of padding."""
    length = max(map(len, pieces))
    rows = torch.full((len(pieces), length), IGNORED)
    for row, piece in zip(rows, pieces, strict=True):
        row[length - len(piece) if left else 0 :][: len(piece)] = piece
    return rows


def _logits(labels, seed=0):
    torch.manual_seed(seed)
    return torch.randn(*labels.shape, VOCAB_SIZE, requires_grad=True)


def _expected(logits, piece):
    """Return cross-entropy and grammar loss of one piece by the loss of bicinium."""
    zero = torch.zeros(())
    nats = F.cross_entropy(logits[:-1], piece[1:])
    grammar, _ = MusicalGrammarLoss()(logits[None, :-1], piece[None, 1:], zero)
    return float(nats.detach()), float(grammar.detach())


def test_it_is_the_loss_of_bicinium(pieces):
    labels = pieces[0][None]
    logits = _logits(labels)
    found = GrammarTrainerLoss()({"logits": logits}, labels)
    assert float(found.detach()) == pytest.approx(sum(_expected(logits[0], pieces[0])), rel=1e-5)
    found.backward()
    assert float(logits.grad.abs().sum()) > 0


@pytest.mark.parametrize("left", [False, True])
def test_padding_counts_nowhere(pieces, left):
    labels = _rows(pieces, left)
    logits = _logits(labels)
    found = float(GrammarTrainerLoss()({"logits": logits}, labels).detach())
    lengths = np.array([len(piece) for piece in pieces])
    skipped = labels.shape[1] - lengths if left else [0, 0]
    parts = [
        _expected(logits[row, begin : begin + len(piece)], piece)
        for row, (piece, begin) in enumerate(zip(pieces, skipped, strict=True))
    ]
    nats, grammar = np.average(parts, axis=0, weights=lengths - 1)
    # A padding on the left makes START a target of the cross-entropy, as Transformers counts it.
    if left:
        logits_of_start = logits[1, skipped[1] - 1]
        start = float(F.cross_entropy(logits_of_start[None].detach(), torch.tensor([START])))
        count = sum(lengths - 1)
        nats = (nats * count + start) / (count + 1)
    assert found == pytest.approx(nats + grammar, rel=1e-5)


def test_each_piece_of_a_row_is_followed_from_its_own_start(pieces):
    """The rest of a piece that began in another row counts for the cross-entropy only."""
    rest = pieces[1][20:]
    row = torch.cat([rest, pieces[0], pieces[1], torch.tensor([PAD, PAD])])[None]
    logits = _logits(row)
    alone = F.cross_entropy(logits[0, :-1], row[0, 1:])
    found = float((GrammarTrainerLoss()({"logits": logits}, row) - alone).detach())
    begins = [len(rest), len(rest) + len(pieces[0])]
    parts = [
        _expected(logits[0, begin : begin + len(piece)], piece)[1]
        for piece, begin in zip(pieces, begins, strict=True)
    ]
    expected = np.average(parts, weights=[len(piece) - 1 for piece in pieces])
    assert found == pytest.approx(expected, rel=1e-4)


def test_parts_of_a_batch_add_up_to_the_batch(pieces):
    """As Trainer adds them when it accumulates gradients."""
    labels = _rows(pieces)
    logits = _logits(labels)
    whole = GrammarTrainerLoss()({"logits": logits}, labels)
    items = (labels[:, 1:] != IGNORED).sum()
    loss = GrammarTrainerLoss()
    parts = [
        loss({"logits": logits[row : row + 1]}, labels[row : row + 1], num_items_in_batch=items)
        for row in range(2)
    ]
    assert float(sum(parts).detach()) == pytest.approx(float(whole.detach()), rel=1e-5)


def test_evaluation_measures_the_cross_entropy_alone(pieces):
    labels = pieces[0][None]
    logits = _logits(labels).detach()
    expected = F.cross_entropy(logits[0, :-1], labels[0, 1:])
    found = GrammarTrainerLoss()({"logits": logits}, labels)
    assert float(found) == pytest.approx(float(expected))


@pytest.mark.parametrize("how", ["disabled", "scale 0"])
def test_the_grammar_can_be_switched_off(pieces, how):
    labels = pieces[0][None]
    logits = _logits(labels)
    loss = GrammarTrainerLoss(MusicalGrammarSection(enabled=how != "disabled"))
    loss.scale = 0.0 if how == "scale 0" else 1.0
    expected = float(F.cross_entropy(logits[0, :-1], labels[0, 1:]).detach())
    assert float(loss({"logits": logits}, labels).detach()) == pytest.approx(expected)
    assert loss.components == {}
    assert loss.take_cross_entropy() == pytest.approx(expected)
    assert np.isnan(loss.take_cross_entropy())


def test_some_positions_stand_for_all(pieces):
    labels = pieces[0][None]
    logits = _logits(labels)
    exact = float(GrammarTrainerLoss()({"logits": logits}, labels).detach())
    loss = GrammarTrainerLoss(MusicalGrammarSection(positions=20))
    found = [float(loss({"logits": logits}, labels).detach()) for _ in range(40)]
    assert len(set(found)) > 20
    assert np.mean(found) == pytest.approx(exact, rel=0.05)


def test_rows_without_start_are_reported(pieces):
    labels = pieces[0][None, 1:-1]
    with pytest.warns(UserWarning, match="No row of labels has START"):
        GrammarTrainerLoss()({"logits": _logits(labels)}, labels)


def test_another_vocabulary_is_refused(pieces):
    labels = pieces[0][None]
    logits = torch.randn(1, labels.shape[1], 900, requires_grad=True)
    with pytest.raises(TokenError, match="the vocabulary has 774"):
        GrammarTrainerLoss()({"logits": logits}, labels)


def test_a_piece_that_stops_at_a_hidden_label_is_followed_until_there(pieces):
    piece = pieces[0]
    labels = piece[None].clone()
    labels[0, 30:] = IGNORED
    labels[0, -1] = END
    logits = _logits(labels)
    alone = F.cross_entropy(logits[0, :-1], labels[0, 1:], ignore_index=IGNORED)
    found = float((GrammarTrainerLoss()({"logits": logits}, labels) - alone).detach())
    assert found == pytest.approx(_expected(logits[0, :30], piece[:30])[1], rel=1e-4)
