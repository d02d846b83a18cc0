"""The code of the project's plan (docs/plan.md), run as it was written."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from bicinium import grammar
from bicinium.tokenizer.vocabulary import VOCAB_SIZE
from bicinium.training import losses
from bicinium.training.config import load_config
from bicinium.training.musical_grammar import (
    MusicalGrammarConfig,
    MusicalGrammarLoss,
    MusicalGrammarValidator,
)

_PLAN_YAML = Path(__file__).parents[2] / "configs" / "training_configs" / "musical_grammar.yaml"

_PLAN_CODE = """
# Add to training loop
grammar_loss = MusicalGrammarLoss(config.grammar_config)
total_loss, loss_components = grammar_loss(
    predicted_tokens=model_output,
    target_tokens=batch_tokens,
    base_loss=base_loss
)

# Real-time validation
if step % config.validate_every_n_batches == 0:
    validation_result = grammar_validator.validate_sequence(generated_tokens)
    if validation_result["grammar_score"] < threshold:
        logger.warning("Grammar score degraded - consider rollback")
"""

# What follows START: part, velocity, NOTE_ON C4, a quarter, NOTE_OFF C4, END.
_TOKENS = [746, 716, 43, 203, 131, 1]
_MISPAIRED = [0, 746, 716, 43, 203, 171, 1]  # NOTE_OFF E7 after NOTE_ON C4


def test_the_classes_of_the_plan_are_the_ones_of_the_package() -> None:
    assert MusicalGrammarLoss is losses.MusicalGrammarLoss
    assert MusicalGrammarValidator is grammar.MusicalGrammarValidator
    assert MusicalGrammarConfig is grammar.MusicalGrammarConfig


def test_the_code_of_the_plan_runs_as_written(caplog: pytest.LogCaptureFixture) -> None:
    model_output = torch.randn(1, len(_TOKENS), VOCAB_SIZE, requires_grad=True)
    batch_tokens = torch.tensor([_TOKENS])
    base_loss = F.cross_entropy(model_output.flatten(0, 1), batch_tokens.flatten())
    config = load_config(_PLAN_YAML)
    names = {
        "MusicalGrammarLoss": MusicalGrammarLoss,
        "config": config,
        "model_output": model_output,
        "batch_tokens": batch_tokens,
        "base_loss": base_loss,
        "step": 300,
        "grammar_validator": MusicalGrammarValidator(),
        "generated_tokens": _MISPAIRED,
        "threshold": config.training.musical_grammar.grammar_score_threshold,
        "logger": logging.getLogger("plan"),
    }
    exec(_PLAN_CODE, names)
    total_loss, components = names["total_loss"], names["loss_components"]
    assert isinstance(total_loss, torch.Tensor)
    assert isinstance(components, dict)
    assert {"note_pairing", "sequence_coherence", "repetition_penalty"} <= components.keys()
    assert total_loss > base_loss
    total_loss.backward()
    assert model_output.grad is not None
    assert model_output.grad.isfinite().all()
    assert "consider rollback" in caplog.text


def test_the_weights_of_the_plan_are_those_of_the_loss() -> None:
    config = load_config(_PLAN_YAML, ["training.musical_grammar.velocity_weight=7"])
    loss = MusicalGrammarLoss(config.grammar_config)
    assert loss.weights["note_pairing"] == 10.0
    assert loss.weights["sequence_coherence"] == 5.0
    assert loss.weights["repetition_penalty"] == 3.0
    assert loss.weights["velocity"] == 7.0


def test_the_loss_takes_the_configuration_of_the_grammar() -> None:
    """It says what the grammar allows; the weights are then the defaults."""
    narrow = MusicalGrammarConfig(ranges=((72, 96), (36, 60)))
    logits, targets = torch.zeros(1, len(_TOKENS), VOCAB_SIZE), torch.tensor([_TOKENS])
    zero = torch.tensor(0.0)
    _, wide_components = MusicalGrammarLoss(MusicalGrammarConfig())(logits, targets, zero)
    _, narrow_components = MusicalGrammarLoss(narrow)(logits, targets, zero)
    _, default_components = MusicalGrammarLoss()(logits, targets, zero)
    assert wide_components == default_components
    assert narrow_components["sequence_coherence"] > wide_components["sequence_coherence"]
    with pytest.raises(ValueError, match="not both"):
        MusicalGrammarLoss(narrow, grammar.MusicalGrammar())
