"""The grammar as a loss: how much probability lies on tokens that may not come next.

At each position the automaton, run over the true prefix, says what rule r forbids. The loss of r is
−log(1 − p_r), where p_r is the probability on what r forbids: the semantic loss of Xu et al. (2018,
arXiv:1711.11157) for the constraint "the next token is legal". It is computed as a difference of
two log-sums-of-exponentials, so it has a gradient everywhere and no argmax.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from bicinium.grammar import MusicalGrammar, State
from bicinium.tokens.vocabulary import PAD, START
from bicinium.training.config import GrammarLossConfig

IGNORED = -100  # the target of positions that do not count

_COMPONENTS = {
    "note_pairing": ("pairing",),
    "sequence_coherence": ("order", "time", "voices", "duration", "range"),
    "repetition_penalty": ("repetition",),
    "velocity": ("velocity",),
}


class MusicalGrammarLoss(nn.Module):
    """Adds the weighted grammar loss to a base loss. Works with any model over this vocabulary."""

    def __init__(
        self, config: GrammarLossConfig | None = None, grammar: MusicalGrammar | None = None
    ) -> None:
        super().__init__()
        self.config = config or GrammarLossConfig()
        self.grammar = grammar or MusicalGrammar()
        self.weights = {
            "note_pairing": self.config.note_pairing_weight,
            "sequence_coherence": self.config.sequence_coherence_weight,
            "repetition_penalty": self.config.repetition_penalty_weight,
            "velocity": self.config.velocity_weight,
        }

    def forward(
        self,
        predicted_tokens: Tensor,
        target_tokens: Tensor,
        base_loss: Tensor,
        states: State | None = None,
        scale: float = 1.0,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """(…, V) logits, (…) targets and the base loss → the total loss and its components.

        ``states`` has one row for each position, in row-major order: the automaton's state before
        the target. Without it, each row of ``target_tokens`` (B, T) is taken to begin right after
        START. Positions whose target is IGNORED do not count. ``scale`` ramps the weights.
        """
        logits = predicted_tokens.reshape(-1, predicted_tokens.shape[-1]).float()
        targets = target_tokens.reshape(-1)
        if states is None:
            states = self._states_before(target_tokens)
        counted = targets != IGNORED
        masks = self._forbidden(states)
        everything = logits.logsumexp(dim=-1)
        components: dict[str, Tensor] = {}
        total = base_loss
        for name, forbidden in masks.items():
            allowed = logits.masked_fill(torch.from_numpy(forbidden), -torch.inf)
            # a position at which the rule forbids all (there is none in valid music) counts nothing
            some = torch.from_numpy(~forbidden.all(axis=1)) & counted
            loss = (everything - allowed.logsumexp(dim=-1))[some].sum() / counted.sum().clamp(min=1)
            components[name] = loss
            total = total + scale * self.weights[name] * loss
        return total, components

    def _forbidden(self, states: State) -> dict[str, np.ndarray]:
        """(N, V) for each component: what its rules forbid."""
        by_rule = {rule.name: mask for rule, mask in self.grammar.rule_masks(states)}
        named = {rule for rules in _COMPONENTS.values() for rule in rules}
        masks = {}
        for component, rules in _COMPONENTS.items():
            present = [by_rule[rule] for rule in rules if rule in by_rule]
            if component == "sequence_coherence":  # a caller's own rules belong here
                present += [mask for rule, mask in by_rule.items() if rule not in named]
            if present:
                masks[component] = np.logical_or.reduce(present)
        return masks

    def _states_before(self, target_tokens: Tensor) -> State:
        targets = target_tokens.cpu().numpy()
        inputs = np.where(targets == IGNORED, PAD, targets)[:, :-1]
        inputs = np.concatenate([np.full((len(inputs), 1), START), inputs], axis=1)
        states = self.grammar.states_along(list(inputs))
        begins = np.arange(len(inputs)) * (inputs.shape[1] + 1)  # the state before START
        return states.take(np.delete(np.arange(len(states)), begins))


def illegal_mass(logits: Tensor, forbidden: Tensor) -> Tensor:
    """(…) probability that softmax of ``logits`` (…, V) puts on ``forbidden`` tokens."""
    return (logits.float().softmax(dim=-1) * forbidden).sum(dim=-1)
