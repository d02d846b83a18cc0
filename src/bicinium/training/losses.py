"""Grammar loss: penalises probability on tokens that the musical grammar forbids.

At each position the automaton, run over the prefix, says which tokens each rule forbids. With p the
probability on these tokens, the loss of a rule is −log(1 − p). This is the semantic loss of Xu et
al. (2018, arXiv:1711.11157) for the constraint "the next token is legal". It is a difference of two
log-sum-exps, so it has a gradient everywhere and needs no argmax.

The gradient of the semantic loss is proportional to p. It fades long before thousands of tokens in
a row are legal. The *margin* loss does not fade: log(1 + odds / tolerated odds), the logistic loss
of being legal by a margin of −log(tolerated odds).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from bicinium.grammar import MusicalGrammar, MusicalGrammarConfig, States
from bicinium.grammar.events import EventStates
from bicinium.grammar.loops import loop_continuations
from bicinium.grammar.token_grammar import TokenGrammar
from bicinium.training.config import MusicalGrammarSection
from bicinium.training.loss_inputs import IGNORE_INDEX as IGNORE_INDEX
from bicinium.training.loss_inputs import check_loss_inputs, warn_of_misalignment

_LOW_LOGIT = -1e4  # of negligible weight, but unlike minus infinity with a gradient

# Components of the loss and the rules they cover. Rules of one's own count as sequence coherence.
_COMPONENT_RULES = {
    "note_pairing": ("pairing",),
    "sequence_coherence": ("order", "time", "voices", "duration", "range"),
    "repetition_penalty": ("repetition",),
    "velocity": ("velocity",),
}


class MusicalGrammarLoss(nn.Module):
    """Adds the weighted grammar loss to a base loss, for any model over the grammar's vocabulary.

    ``config`` holds the weights (``TrainConfig.grammar_config``). It may also be a
    ``MusicalGrammarConfig``, which says what the grammar allows; the weights are then the defaults.
    ``grammar`` is for a grammar with rules of one's own, or over another vocabulary; None takes the
    rules that ``config.rules`` names. An ``EventGrammar`` has no rules of velocity and repetition,
    so these two components are left out.
    """

    def __init__(
        self,
        config: MusicalGrammarSection | MusicalGrammarConfig | None = None,
        grammar: TokenGrammar | None = None,
    ) -> None:
        super().__init__()
        if isinstance(config, MusicalGrammarConfig):
            if grammar is not None:
                raise ValueError("give a MusicalGrammarConfig or a grammar, not both.")
            grammar, config = MusicalGrammar(config), None
        self.config = config or MusicalGrammarSection()
        self.grammar: Any = (
            grammar or self.config.grammar
        )  # a TokenGrammar, with methods of its own
        self.weights = {
            "note_pairing": self.config.note_pairing_weight,
            "sequence_coherence": self.config.sequence_coherence_weight,
            "repetition_penalty": self.config.repetition_penalty_weight,
            "velocity": self.config.velocity_weight,
            "legality": self.config.legality_weight,
            "margin": self.config.margin_weight,
            "entropy_floor": self.config.entropy_weight,
        }

    def forward(
        self,
        predicted_tokens: Tensor,
        target_tokens: Tensor,
        base_loss: Tensor,
        states: States | EventStates | None = None,
        rows: Tensor | None = None,
        scale: float = 1.0,
        on_policy: bool = False,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the total loss and its components, unweighted, in nats per position.

        predicted_tokens: (B, T, V) logits; those at position t predict the target at t.
        target_tokens: (B, T) the tokens that come next, IGNORE_INDEX where nothing counts.
        rows: (N,) indices into the flattened batch at which to measure; None for all.
        states: automaton states before the targets of ``rows``. If None, each row of
            ``target_tokens`` is taken to begin right after START.
        scale: factor of the weights, to ramp them in.
        on_policy: the targets are the model's own. In music of the training set a loop may go on;
            if the model itself has begun one, the token that continues it is penalised.

        Raises TokenError if shapes or token ids do not fit. Without ``states`` it also warns of
        logits that predict the neighbours of their targets.

        Positions at which the rules together forbid every token do not count either. There are some
        after an error.
        """
        check_loss_inputs(predicted_tokens, target_tokens, self.grammar)
        if states is None:
            states = states_before(self.grammar, target_tokens)
            warn_of_misalignment(predicted_tokens, target_tokens, self.grammar, states)
            if rows is not None:
                states = states.take(rows.numpy())
        if rows is None:
            rows = torch.arange(target_tokens.numel())
        targets = target_tokens.reshape(-1)[rows]
        loops = _loop_tokens(target_tokens)[rows.cpu().numpy()]
        if not on_policy:
            loops[loops == targets.cpu().numpy()] = -1
        logits = predicted_tokens.flatten(0, -2)[rows]
        logits = logits.float() if logits.dtype.itemsize < 4 else logits
        components = self._components(logits, targets, self._forbidden(states, loops))
        total = base_loss
        for name, component in components.items():
            total = total + scale * self.weights[name] * component
        return total, components

    def _components(
        self, logits: Tensor, targets: Tensor, forbidden: dict[str, NDArray[np.bool_]]
    ) -> dict[str, Tensor]:
        """Return the mean of each component over the positions that count."""
        masks = {name: torch.from_numpy(m).to(logits.device) for name, m in forbidden.items()}
        counted = (targets != IGNORE_INDEX) & ~masks["legality"].all(dim=-1)
        count = counted.sum().clamp(min=1)
        log_sum = logits.logsumexp(dim=-1)
        components = {
            name: (semantic_loss(logits, mask, log_sum) * counted).sum() / count
            for name, mask in masks.items()
        }
        margin = margin_loss(logits, masks["legality"], self.config.tolerated_odds)
        components["margin"] = (margin * counted).sum() / count
        log_p = logits - log_sum[:, None]
        finite = log_p.clamp(min=torch.finfo(log_p.dtype).min)  # 0 times −∞ would be NaN.
        entropy = -((log_p.exp() * finite).sum(dim=-1) * counted).sum() / count
        components["entropy_floor"] = (self.config.entropy_floor - entropy).clamp(min=0)
        return components

    def _forbidden(
        self, states: States | EventStates, loops: NDArray[np.integer]
    ) -> dict[str, NDArray[np.bool_]]:
        """Return for each component an (N, V) mask of the tokens that its rules forbid."""
        by_rule = {rule.name: mask for rule, mask in self.grammar.rule_masks(states)}
        known = {rule for rules in _COMPONENT_RULES.values() for rule in rules}
        masks = {}
        for component, rules in _COMPONENT_RULES.items():
            present = [by_rule[rule] for rule in rules if rule in by_rule]
            if component == "sequence_coherence":
                present += [mask for rule, mask in by_rule.items() if rule not in known]
            if present:
                masks[component] = np.logical_or.reduce(present)
        if "repetition_penalty" in masks:
            looping = np.flatnonzero(loops >= 0)
            masks["repetition_penalty"][looping, loops[looping]] = True
        return masks | {"legality": np.logical_or.reduce(list(masks.values()))}


def states_before(grammar: TokenGrammar, target_tokens: Tensor) -> Any:
    """Return the (B · T,) states before each of (B, T) targets, which follow START."""
    return grammar.states_before(target_tokens.cpu().numpy())


def semantic_loss(logits: Tensor, forbidden: Tensor, log_sum: Tensor | None = None) -> Tensor:
    """Return (N,) −log(1 − p), p the probability of (N, V) ``logits`` on ``forbidden`` tokens.

    It is 0 where every token is forbidden. ``log_sum`` is the log-sum-exp of the logits, if known.
    """
    if log_sum is None:
        log_sum = logits.logsumexp(dim=-1)
    all_forbidden = forbidden.all(dim=-1, keepdim=True)
    allowed = logits.masked_fill(forbidden & ~all_forbidden, -torch.inf)
    return log_sum - allowed.logsumexp(dim=-1)


def margin_loss(logits: Tensor, forbidden: Tensor, tolerated_odds: float) -> Tensor:
    """Return (N,) log(1 + odds / tolerated), the odds being of forbidden against allowed tokens.

    It is 0 where every token or none is forbidden.
    """
    legal = logits.masked_fill(forbidden, _LOW_LOGIT).logsumexp(dim=-1)
    illegal = logits.masked_fill(~forbidden, _LOW_LOGIT).logsumexp(dim=-1)
    loss = F.softplus(illegal - legal - math.log(tolerated_odds))
    return loss * ~forbidden.all(dim=-1)


def illegal_mass(logits: Tensor, forbidden: Tensor) -> Tensor:
    """Return (…) the probability that softmax of (…, V) ``logits`` puts on forbidden tokens."""
    return (logits.float().softmax(dim=-1) * forbidden).sum(dim=-1)


def _loop_tokens(target_tokens: Tensor) -> NDArray[np.int64]:
    """Return (B · T,) the token that would continue a loop at each target; −1 if there is none."""
    targets = target_tokens.cpu().numpy().reshape(-1, target_tokens.shape[-1])
    following = loop_continuations(targets)
    shifted = np.concatenate([np.full((len(following), 1), -1), following[:, :-1]], axis=1)
    return shifted.ravel()
