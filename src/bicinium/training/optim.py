"""What a step of the optimiser is made of: the loss, the learning rate, how much the grammar loss
counts, Muon and AdamW.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from bicinium.model.transformer import Transformer
from bicinium.training.config import MusicalGrammarSection, TrainingSection
from bicinium.training.losses import IGNORED


def next_token_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """Mean cross-entropy in nats of (B, T, V) logits and the (B, T) tokens that came next."""
    return F.cross_entropy(logits.flatten(0, 1).float(), targets.flatten(), ignore_index=IGNORED)


def learning_rate(training: TrainingSection, step: int) -> float:
    """Of the step: rising to its peak in a line, then falling as a cosine to a twentieth of it."""
    if step < training.warmup_steps:
        return training.learning_rate * (step + 1) / training.warmup_steps
    span = max(1, training.max_steps - training.warmup_steps)
    done = min(1.0, (step - training.warmup_steps) / span)
    return training.learning_rate * (0.05 + 0.95 * (1 + math.cos(math.pi * done)) / 2)


def grammar_scale(grammar: MusicalGrammarSection, step: int) -> float:
    """What the weights of the grammar loss are multiplied by at a step: 0 before it comes in, then
    rising in a line to 1; always 0 where it is not enabled.
    """
    if not grammar.enabled:
        return 0.0
    ramped = (step + 1 - grammar.ramp_after_steps) / max(1, grammar.ramp_steps)
    return min(1.0, max(0.0, ramped))


def ramped_in(grammar: MusicalGrammarSection) -> int:
    """The number of steps after which the grammar loss has been in full."""
    return grammar.ramp_after_steps + max(1, grammar.ramp_steps) if grammar.enabled else 0


def new_optimizers(model: Transformer, training: TrainingSection) -> list[torch.optim.Optimizer]:
    """Muon (Jordan et al. 2024, scaled as in arXiv:2502.16982) for the matrices of the blocks and
    AdamW (arXiv:1711.05101) for all else; or AdamW for all. Only matrices are decayed.
    """
    of_blocks = [p for p in model.blocks.parameters() if p.ndim >= 2]
    by_muon = of_blocks if training.optimizer == "muon" else []
    chosen = {id(p) for p in by_muon}
    others = [p for p in model.parameters() if id(p) not in chosen]
    adamw = torch.optim.AdamW(
        [
            {"params": [p for p in others if p.ndim >= 2], "weight_decay": training.weight_decay},
            {"params": [p for p in others if p.ndim < 2], "weight_decay": 0.0},
        ],
        lr=training.learning_rate,
        betas=(0.9, 0.95),
    )
    if not by_muon:
        return [adamw]
    muon = torch.optim.Muon(
        by_muon,
        lr=training.learning_rate,
        weight_decay=training.weight_decay,
        adjust_lr_fn="match_rms_adamw",
    )
    return [adamw, muon]
