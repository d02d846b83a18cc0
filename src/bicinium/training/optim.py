"""Cross-entropy, learning-rate schedule, ramp of the grammar loss, and the optimisers."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from bicinium.model.transformer import Transformer
from bicinium.training.config import MusicalGrammarSection, TrainingSection
from bicinium.training.losses import IGNORE_INDEX


def next_token_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """Return the mean cross-entropy in nats of (B, T, V) logits and (B, T) targets."""
    return F.cross_entropy(
        logits.flatten(0, 1).float(), targets.flatten(), ignore_index=IGNORE_INDEX
    )


def learning_rate_at(training: TrainingSection, step: int) -> float:
    """Return the learning rate of a step: linear warm-up, a constant rate, and a cooldown.

    In the last ``cooldown_share`` of the steps it falls as 1 - sqrt(share done) (Hägele et al.
    2024, arXiv:2405.18392). So a run may be continued with more steps before its cooldown.
    """
    if step < training.warmup_steps:
        return training.learning_rate * (step + 1) / training.warmup_steps
    cooldown = max(1.0, training.cooldown_share * training.max_steps)
    done = min(1.0, max(0.0, (step - training.max_steps + cooldown) / cooldown))
    return training.learning_rate * (1 - math.sqrt(done))


def grammar_ramp(grammar: MusicalGrammarSection, step: int) -> float:
    """Return the factor of the grammar weights at a step.

    It is 0 until ``ramp_after_steps``, rises linearly to 1 in ``ramp_steps``, and is always 0 if
    the grammar loss is switched off.
    """
    if not grammar.enabled:
        return 0.0
    ramped = (step + 1 - grammar.ramp_after_steps) / max(1, grammar.ramp_steps)
    return min(1.0, max(0.0, ramped))


def ramp_end_step(grammar: MusicalGrammarSection) -> int:
    """Return the step from which on the grammar loss has its full weight."""
    return grammar.ramp_after_steps + max(1, grammar.ramp_steps) if grammar.enabled else 0


def build_optimizers(model: Transformer, training: TrainingSection) -> list[torch.optim.Optimizer]:
    """Return AdamW for all weights, or AdamW and Muon for the matrices of the blocks.

    Muon: Jordan et al. 2024, scaled as in arXiv:2502.16982. AdamW: arXiv:1711.05101. Weight decay
    applies to matrices only.
    """
    block_matrices = [p for p in model.blocks.parameters() if p.ndim >= 2]
    muon_weights = block_matrices if training.optimizer == "muon" else []
    chosen = {id(p) for p in muon_weights}
    others = [p for p in model.parameters() if id(p) not in chosen]
    adamw = torch.optim.AdamW(
        [
            {"params": [p for p in others if p.ndim >= 2], "weight_decay": training.weight_decay},
            {"params": [p for p in others if p.ndim < 2], "weight_decay": 0.0},
        ],
        lr=training.learning_rate,
        betas=(0.9, 0.95),
    )
    if not muon_weights:
        return [adamw]
    muon = torch.optim.Muon(
        muon_weights,
        lr=training.learning_rate,
        weight_decay=training.weight_decay,
        adjust_lr_fn="match_rms_adamw",
    )
    return [adamw, muon]
