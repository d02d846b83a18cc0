"""One optimiser step: cross-entropy, the grammar loss on data, and the grammar loss on policy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor

from bicinium.training.batches import TrainingBatches, on_policy_batch
from bicinium.training.dataset import Batch
from bicinium.training.live_sampler import GeneratedPiece, LiveSampler
from bicinium.training.losses import MusicalGrammarLoss
from bicinium.training.optim import grammar_ramp, learning_rate_at, next_token_loss
from bicinium.training.random_streams import RandomStream, stream_seed
from bicinium.training.run_state import RunState

# Applied once for each rollback of the run.
ROLLBACK_LEARNING_RATE_FACTOR = 0.5
ROLLBACK_GRAMMAR_FACTOR = 1.5


@dataclass(frozen=True, slots=True)
class StepResult:
    """The batch of a step, and its losses and norms by the names under which they are logged."""

    batch: Batch
    metrics: dict[str, float]

    @property
    def cross_entropy(self) -> float:
        """Nats per token, the mean over all processes."""
        return self.metrics["train/cross_entropy"]


class TrainingStep:
    """Takes one step after another. Everything that changes is in ``RunState``.

    ``model`` is the network of the state, wrapped by Fabric.
    """

    def __init__(
        self,
        fabric: Fabric,
        state: RunState,
        model: Any,
        batches: TrainingBatches,
        sampler: LiveSampler,
    ) -> None:
        self.fabric, self.state, self.model = fabric, state, model
        self.batches, self.sampler = batches, sampler
        self.grammar = state.config.training.musical_grammar
        self.loss = MusicalGrammarLoss(self.grammar)

    def take(self, generated: Sequence[GeneratedPiece]) -> StepResult:
        """Take a step. ``generated``: pieces of the last validation to learn from, if any."""
        state, grammar = self.state, self.grammar
        dropout = np.random.default_rng(self._seed(RandomStream.DROPOUT)).integers(2**63)
        torch.manual_seed(int(dropout))
        self._prepare_optimizers()
        scale = grammar_ramp(grammar, state.step) * ROLLBACK_GRAMMAR_FACTOR**state.rollbacks
        tensors: dict[str, Tensor] = {}
        if scale and grammar.on_policy_weight and (own := self._on_policy_batch(generated)):
            tensors |= self._on_policy_backward(own, scale * grammar.on_policy_weight)
        batch = self.batches.batch(state.step, state.rollbacks)
        logits = self._logits(batch)
        loss = cross_entropy = next_token_loss(logits, batch.targets.to(logits.device))
        if grammar.enabled:
            loss, components = self._grammar_loss(batch, logits, cross_entropy, scale, False)
            tensors |= {f"train/{name}": value for name, value in components.items()}
        self.fabric.backward(loss)
        norm = torch.nn.utils.clip_grad_norm_(
            state.net.parameters(), state.config.training.gradient_clip
        )
        for optimizer in state.optimizers:
            optimizer.step()
        state.step += 1
        metrics = {name: float(value.detach()) for name, value in tensors.items()}
        metrics["train/cross_entropy"] = mean_over_processes(self.fabric, cross_entropy.detach())
        metrics["train/total"] = float(loss.detach())
        metrics["train/gradient_norm"] = float(norm)
        metrics["train/grammar_scale"] = scale
        metrics["train/learning_rate"] = state.optimizers[0].param_groups[0]["lr"]
        return StepResult(batch, metrics)

    def _prepare_optimizers(self) -> None:
        """Clear the gradients and set the learning rate of this step."""
        state = self.state
        rate = learning_rate_at(state.config.training, state.step)
        rate *= ROLLBACK_LEARNING_RATE_FACTOR**state.rollbacks
        for optimizer in state.optimizers:
            optimizer.zero_grad()
            for group in optimizer.param_groups:
                group["lr"] = rate

    def _on_policy_batch(self, generated: Sequence[GeneratedPiece]) -> Batch | None:
        """Return a batch of the given pieces, or at regular intervals of new ones."""
        rank, processes = self.fabric.global_rank, self.fabric.world_size
        pieces, grammar, step = generated[rank::processes], self.grammar, self.state.step
        if not pieces and step and step % grammar.on_policy_every_n_batches == 0:
            pieces = self.sampler.sample_on_policy(
                -(-grammar.on_policy_pieces // processes),
                grammar,
                [*self._seed(RandomStream.ON_POLICY_PIECES), rank],
            )
        if not pieces:
            return None
        seed = self._seed(RandomStream.ON_POLICY_WINDOWS)
        return on_policy_batch(pieces, self.state.config.model, grammar.positions, seed)

    def _on_policy_backward(self, batch: Batch, scale: float) -> dict[str, Tensor]:
        """Add the gradient of the on-policy loss, and return its components."""
        with self.fabric.no_backward_sync(self.model):
            zero = torch.zeros((), device=self.fabric.device)
            loss, components = self._grammar_loss(batch, self._logits(batch), zero, scale, True)
            self.fabric.backward(loss)
        return {f"on_policy/{name}": value for name, value in components.items()}

    def _logits(self, batch: Batch) -> Tensor:
        return cast(Tensor, self.model(batch.inputs.to(self.fabric.device)))

    def _grammar_loss(
        self, batch: Batch, logits: Tensor, base: Tensor, scale: float, on_policy: bool
    ) -> tuple[Tensor, dict[str, Tensor]]:
        total, components = self.loss(
            predicted_tokens=logits,
            target_tokens=batch.targets.to(logits.device),
            base_loss=base,
            states=batch.states,
            rows=batch.grammar_rows,
            scale=scale,
            on_policy=on_policy,
        )
        return total, components

    def _seed(self, stream: RandomStream) -> list[int]:
        state = self.state
        return stream_seed(state.config.training.seed, stream, state.step, state.rollbacks)


def mean_over_processes(fabric: Fabric, value: Tensor) -> float:
    """Return the mean over all processes, so that each decides by the same number."""
    if fabric.world_size == 1:
        return float(value)
    return float(cast(Tensor, fabric.all_reduce(value, reduce_op="mean")))
