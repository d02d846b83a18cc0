"""Cross-entropy and grammar loss for ``compute_loss_func`` of a Trainer."""

from __future__ import annotations

import warnings
from itertools import pairwise
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from bicinium.adapters.transformers.sequences import start_and_end
from bicinium.grammar import MusicalGrammar, States
from bicinium.grammar.events import EventGrammar, EventStates
from bicinium.training.config import MusicalGrammarSection
from bicinium.training.losses import IGNORE_INDEX, MusicalGrammarLoss


class GrammarTrainerLoss:
    """Cross-entropy, and in training the grammar loss, of any model over the grammar's vocabulary.

    section: weights and settings; None: the defaults. grammar: see ``MusicalGrammarLoss``; an
    ``EventGrammar`` is for a model over another vocabulary, which must have START and END. seed: of
    the positions at which the grammar loss is measured, ``section.positions`` a batch.

    The grammar is followed from each START of a row to its END, or to the first label of -100. What
    comes before the first START, such as the rest of a piece that began in another row, counts for
    the cross-entropy only. ``scale`` multiplies the weights; ``GrammarTrainerCallback`` ramps it
    up. ``components`` are those of the last call with grammar loss, unweighted.

    Raises GrammarError for a grammar without START or END.
    """

    def __init__(
        self,
        section: MusicalGrammarSection | None = None,
        grammar: MusicalGrammar | EventGrammar | None = None,
        seed: int = 0,
    ) -> None:
        self.section = section or MusicalGrammarSection()
        self.grammar_loss = MusicalGrammarLoss(self.section, grammar)
        self._start, self._end = start_and_end(self.grammar)
        self.scale = 1.0
        self.components: dict[str, float] = {}
        self._rng = np.random.default_rng(seed)
        self._cross_entropies: list[Tensor] = []

    @property
    def grammar(self) -> MusicalGrammar | EventGrammar:
        """The grammar that the loss follows."""
        return self.grammar_loss.grammar

    def __call__(
        self, outputs: Any, labels: Tensor, num_items_in_batch: Tensor | int | None = None
    ) -> Tensor:
        """Return the loss of a batch, divided by ``num_items_in_batch`` as Trainer asks.

        outputs: of the model, with (B, T, V) ``logits``. labels: (B, T) the tokens themselves, not
        shifted, -100 where none counts.

        Raises TokenError if logits or labels are of another vocabulary.
        """
        logits, targets = outputs["logits"][:, :-1], labels[:, 1:].to(outputs["logits"].device)
        nats = F.cross_entropy(
            logits.flatten(0, 1).float(),
            targets.flatten(),
            ignore_index=IGNORE_INDEX,
            reduction="sum",
        )
        counted = (targets != IGNORE_INDEX).sum().clamp(min=1)
        items: Any = counted if num_items_in_batch is None else num_items_in_batch
        loss = nats / items
        if not logits.requires_grad:
            return loss
        self._cross_entropies.append((nats / counted).detach())
        if not (self.section.enabled and self.scale):
            return loss
        states, rows = self._positions(labels.cpu().numpy())
        if not len(rows):
            return loss
        zero = torch.zeros((), device=logits.device)
        # START is no target of the grammar, and would look like a row that is not shifted.
        targets = targets.masked_fill(targets == self._start, IGNORE_INDEX)
        extra, components = self.grammar_loss(
            logits, targets, zero, states=states, rows=torch.from_numpy(rows), scale=self.scale
        )
        self.components = {name: float(value.detach()) for name, value in components.items()}
        return loss + extra * (counted / items)

    def take_cross_entropy(self) -> float:
        """Return the mean nats per token of the training batches since the last call."""
        taken, self._cross_entropies = self._cross_entropies, []
        return float(torch.stack(taken).mean()) if taken else float("nan")

    def _positions(
        self, labels: NDArray[np.integer]
    ) -> tuple[States | EventStates, NDArray[np.int64]]:
        """Return the states before some targets, and their indices in the flattened batch."""
        pieces, places = [], []
        for row, tokens in enumerate(labels):
            for start, stop in _pieces(tokens, self._start, self._end):
                pieces.append(tokens[start:stop])
                places.append(row * (len(tokens) - 1) + np.arange(start, stop - 1))
        if not pieces:
            warnings.warn(
                "No row of labels has START, so the grammar loss has nothing to follow. Let rows "
                "begin where pieces begin.",
                UserWarning,
                stacklevel=3,
            )
            return self.grammar.initial_states(0), np.empty(0, np.int64)
        rows = np.concatenate(places)
        states = self.grammar.states_along(pieces)
        # A piece of T tokens has T + 1 states. The first is before START, which is no target, and
        # the last is after the piece.
        ends = np.cumsum([len(piece) + 1 for piece in pieces])
        starts = ends - [len(piece) + 1 for piece in pieces]
        before = np.delete(np.arange(len(states)), np.concatenate([starts, ends - 1]))
        count = min(self.section.positions, len(rows))
        chosen = np.sort(self._rng.choice(len(rows), size=count, replace=False))
        return states.take(before[chosen]), rows[chosen]


def _pieces(tokens: NDArray[np.integer], start_id: int, end_id: int) -> list[tuple[int, int]]:
    """Return where the pieces of a row begin and stop: at END, at -100, or at the next START."""
    starts = np.flatnonzero(tokens == start_id).tolist()
    found = []
    for start, limit in pairwise([*starts, len(tokens)]):
        piece = tokens[start:limit]
        ends = np.flatnonzero(piece == end_id)
        hidden = np.flatnonzero(piece == IGNORE_INDEX)
        stop = min(
            int(ends[0]) + 1 if len(ends) else len(piece),
            int(hidden[0]) if len(hidden) else len(piece),
        )
        if stop > 1:
            found.append((start, start + stop))
    return found
