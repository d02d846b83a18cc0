"""Cross-entropy, learning-rate schedule, ramp and optimisers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from bicinium.model.config import ModelConfig
from bicinium.model.transformer import Transformer
from bicinium.training.config import MusicalGrammarSection, TrainingSection
from bicinium.training.losses import IGNORE_INDEX
from bicinium.training.optim import (
    build_optimizers,
    grammar_ramp,
    learning_rate_at,
    next_token_loss,
    ramp_end_step,
)


@pytest.fixture(scope="module")
def net() -> Transformer:
    return Transformer(ModelConfig(d_model=32, n_layers=2, n_heads=2, d_ff=64))


def test_the_loss_is_the_mean_over_the_positions_that_count() -> None:
    logits = torch.randn(2, 3, 774)
    targets = torch.tensor([[5, IGNORE_INDEX, 7], [IGNORE_INDEX, IGNORE_INDEX, 700]])
    expected = F.cross_entropy(logits[[0, 0, 1], [0, 2, 2]], torch.tensor([5, 7, 700]))
    torch.testing.assert_close(next_token_loss(logits, targets), expected)


def test_the_learning_rate_rises_stays_and_cools_down() -> None:
    training = TrainingSection(
        learning_rate=1e-2, max_steps=100, warmup_steps=10, cooldown_share=0.2
    )
    rates = [learning_rate_at(training, step) for step in range(101)]
    assert rates[0] == pytest.approx(1e-3)
    assert max(rates) == pytest.approx(1e-2)
    assert int(np.argmax(rates)) in (9, 10)
    assert rates[:10] == sorted(rates[:10])
    assert set(rates[10:81]) == {1e-2}
    assert rates[80:] == sorted(rates[80:], reverse=True)
    assert rates[85] == pytest.approx(5e-3)  # half, after a quarter of the cooldown
    assert rates[100] == 0
    longer = training.model_copy(update={"max_steps": 500})  # continued before the cooldown
    assert [learning_rate_at(longer, step) for step in range(81)] == rates[:81]


def test_the_grammar_weights_ramp_in_linearly() -> None:
    grammar = MusicalGrammarSection(ramp_after_steps=3, ramp_steps=2)
    assert [grammar_ramp(grammar, step) for step in range(6)] == [0, 0, 0, 0.5, 1, 1]
    assert ramp_end_step(grammar) == 5
    off = MusicalGrammarSection(enabled=False)
    assert (grammar_ramp(off, 10_000), ramp_end_step(off)) == (0, 0)


def test_muon_updates_the_matrices_of_the_blocks_and_adamw_the_rest(net: Transformer) -> None:
    adamw, muon = build_optimizers(net, TrainingSection(optimizer="muon"))
    assert isinstance(muon, torch.optim.Muon)
    assert isinstance(adamw, torch.optim.AdamW)
    (matrices,) = (group["params"] for group in muon.param_groups)
    assert {id(p) for p in matrices} == {id(p) for p in net.blocks.parameters() if p.ndim == 2}
    ends, vectors = (group["params"] for group in adamw.param_groups)
    assert {id(p) for p in ends} == {
        id(layer.weight) for layer in (net.embedding, net.head, net.relative_head, net.ending_head)
    }
    assert all(p.ndim == 1 for p in vectors)
    assert [g["weight_decay"] for g in (*muon.param_groups, *adamw.param_groups)] == [0.1, 0.1, 0.0]
    assert (len(matrices), len(vectors)) == (2 * 4, 2 * 2 + 1)


def test_adamw_can_update_all_weights_and_decays_only_matrices(net: Transformer) -> None:
    (adamw,) = build_optimizers(net, TrainingSection(optimizer="adamw"))
    groups = adamw.param_groups
    assert [group["weight_decay"] for group in groups] == [0.1, 0.0]
    assert all(p.ndim >= 2 for p in groups[0]["params"])
    assert all(p.ndim == 1 for p in groups[1]["params"])
    assert sum(len(group["params"]) for group in groups) == 5 + 2 * 6
