"""The grammar as a loss: how much probability lies on tokens that may not come next.

At each position the automaton, run over the prefix, says what rule r forbids. The loss of r is
−log(1 − p_r), where p_r is the probability on what r forbids: the semantic loss of Xu et al. (2018,
arXiv:1711.11157) for the constraint "the next token is legal". It is computed as a difference of
two log-sums-of-exponentials, so it has a gradient everywhere and no argmax.

That gradient is in proportion to p, and so it fades long before thousands of tokens in a row are
legal. The ``margin`` does not: log(1 + o/ε), o being the odds of all that is forbidden and ε the
odds that are tolerated, is the logistic loss of "legal by a margin of −log ε".
"""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from bicinium.grammar import MusicalGrammar, State
from bicinium.grammar.loops import loop_continuations
from bicinium.tokenizer.vocabulary import PAD, START
from bicinium.training.config import MusicalGrammarSection

IGNORE_INDEX = -100  # the target of positions that do not count
_NO_LOGIT = -1e4  # of no weight beside any other, and unlike minus infinity it has a gradient

_COMPONENTS = {
    "note_pairing": ("pairing",),
    "sequence_coherence": ("order", "time", "voices", "duration", "range"),
    "repetition_penalty": ("repetition",),
    "velocity": ("velocity",),
}


class MusicalGrammarLoss(nn.Module):
    """Adds the weighted grammar loss to a base loss. Works with any model over this vocabulary."""

    def __init__(
        self, config: MusicalGrammarSection | None = None, grammar: MusicalGrammar | None = None
    ) -> None:
        super().__init__()
        self.config = config or MusicalGrammarSection()
        self.grammar = grammar or MusicalGrammar()
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
        states: State | None = None,
        rows: Tensor | None = None,
        scale: float = 1.0,
        on_policy: bool = False,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """(B, T, V) logits, (B, T) targets and the base loss → the total loss and its components.

        rows: (N,) the positions of the flattened batch to measure on; all of them where None.
        states: the automaton's state before the target at each of these positions. Without it, each
            row of ``target_tokens`` is taken to begin right after START.
        scale: of the weights, to ramp them in.
        on_policy: the targets are the model's own. Music may go on with a loop, and then that token
            is not held against the model; where the model itself has begun one, it is.

        Positions whose target is IGNORE_INDEX do not count, nor do those at which the rules
        together forbid every token, as they may after a slip. The components are unweighted, in
        nats.
        """
        targets = target_tokens.reshape(-1)
        if states is None:
            states = self._states_before(target_tokens)
            if rows is not None:
                states = states.take(rows.numpy())
        if rows is None:
            rows = torch.arange(len(targets))
        logits = predicted_tokens.flatten(0, -2)[rows]
        logits = logits.float() if logits.dtype.itemsize < 4 else logits
        asked = targets[rows]
        loops = _loops(target_tokens)[rows.cpu().numpy()]
        if not on_policy:
            loops[loops == asked.cpu().numpy()] = -1
        everything = logits.logsumexp(dim=-1)
        components: dict[str, Tensor] = {}
        masks = {
            name: torch.from_numpy(forbidden).to(logits.device)
            for name, forbidden in self._forbidden(states, loops).items()
        }
        counted = (asked != IGNORE_INDEX) & ~masks["legality"].all(dim=-1)
        some = counted.sum().clamp(min=1)
        for name, mask in masks.items():
            components[name] = (semantic_loss(logits, mask, everything) * counted).sum() / some
        excess = margin_loss(logits, masks["legality"], self.config.tolerated_odds)
        components["margin"] = (excess * counted).sum() / some
        log_p = logits - everything[:, None]
        finite = log_p.clamp(
            min=torch.finfo(log_p.dtype).min
        )  # 0 times minus infinity is no number
        entropy = -((log_p.exp() * finite).sum(dim=-1) * counted).sum() / some
        components["entropy_floor"] = (self.config.entropy_floor - entropy).clamp(min=0)
        total = base_loss
        for name, component in components.items():
            total = total + scale * self.weights[name] * component
        return total, components

    def _forbidden(self, states: State, loops: NDArray[np.integer]) -> dict[str, NDArray[np.bool_]]:
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
        if "repetition_penalty" in masks:
            looping = np.flatnonzero(loops >= 0)
            masks["repetition_penalty"][looping, loops[looping]] = True
        return masks | {"legality": np.logical_or.reduce(list(masks.values()))}

    def _states_before(self, target_tokens: Tensor) -> State:
        targets = target_tokens.cpu().numpy()
        inputs = np.where(targets == IGNORE_INDEX, PAD, targets)[:, :-1]
        inputs = np.concatenate([np.full((len(inputs), 1), START), inputs], axis=1)
        states = self.grammar.states_along(list(inputs))
        begins = np.arange(len(inputs)) * (inputs.shape[1] + 1)  # the state before START
        return states.take(np.delete(np.arange(len(states)), begins))


def semantic_loss(logits: Tensor, forbidden: Tensor, everything: Tensor | None = None) -> Tensor:
    """(N,) −log(1 − p), p being the probability of (N, V) ``logits`` on what is ``forbidden``.

    0 where all is forbidden (there is no such position in valid music). ``everything`` is the
    log-sum-exp of the logits, where it is known already.
    """
    if everything is None:
        everything = logits.logsumexp(dim=-1)
    nothing_left = forbidden.all(dim=-1, keepdim=True)
    allowed = logits.masked_fill(forbidden & ~nothing_left, -torch.inf)
    return everything - allowed.logsumexp(dim=-1)


def margin_loss(logits: Tensor, forbidden: Tensor, tolerated: float) -> Tensor:
    """(N,) log(1 + o/tolerated), o being the odds of (N, V) ``logits`` for what is ``forbidden``.

    0 where all is forbidden, or nothing.
    """
    legal = logits.masked_fill(forbidden, _NO_LOGIT).logsumexp(dim=-1)
    illegal = logits.masked_fill(~forbidden, _NO_LOGIT).logsumexp(dim=-1)
    return F.softplus(illegal - legal - math.log(tolerated)) * ~forbidden.all(dim=-1)


def illegal_mass(logits: Tensor, forbidden: Tensor) -> Tensor:
    """(…) probability that softmax of ``logits`` (…, V) puts on ``forbidden`` tokens."""
    return (logits.float().softmax(dim=-1) * forbidden).sum(dim=-1)


def _loops(target_tokens: Tensor) -> NDArray[np.int64]:
    """(B·T,) the token by which each target would continue a loop of the targets before it."""
    targets = target_tokens.cpu().numpy().reshape(-1, target_tokens.shape[-1])
    after = loop_continuations(targets)
    return np.concatenate([np.full((len(after), 1), -1), after[:, :-1]], axis=1).ravel()
