"""What a checkpoint of a run holds: weights, optimisers, monitors, step and rollbacks."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from bicinium.atomic_write import atomic_write
from bicinium.errors import ConfigError
from bicinium.model.transformer import Transformer
from bicinium.training.config import TrainConfig, changed_keys
from bicinium.training.monitor import DataMonitor, Monitor, Validation


@dataclass(slots=True)
class RunState:
    """Everything that changes during a run, and what identifies the run.

    ``corpus_size``: (training pieces, training tokens), by which a corpus is recognised.
    """

    config: TrainConfig
    corpus_size: tuple[int, int]
    net: Transformer
    optimizers: Sequence[torch.optim.Optimizer]
    monitor: Monitor
    data_monitor: DataMonitor = field(default_factory=DataMonitor)
    step: int = 0
    rollbacks: int = 0

    def save(self, path: Path) -> None:
        """Write a checkpoint, atomically."""
        path.parent.mkdir(parents=True, exist_ok=True)
        state = {
            "step": self.step,
            "rollbacks": self.rollbacks,
            "model": self.net.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
            "monitor": self.monitor.state_dict(),
            "data_monitor": self.data_monitor.state_dict(),
            "config": self.config.model_dump(mode="json"),
            "corpus": list(self.corpus_size),
        }
        # Not written by torch, which reports a full disk as a RuntimeError about positions.
        data = io.BytesIO()
        torch.save(state, data)
        with atomic_write(path) as temporary:
            temporary.write_bytes(data.getbuffer())

    def restore(self, path: Path, device: torch.device) -> None:
        """Read a checkpoint of this run.

        Raises ConfigError if it belongs to another model, other batches or another corpus.
        """
        state = torch.load(path, weights_only=True, map_location=device)
        changed = changed_keys(state["config"], self.config.model_dump(mode="json"))
        if changed:
            raise ConfigError(
                f"{path} belongs to a run with another {', '.join(changed)}. Resume it with its "
                "own values, or start a new run."
            )
        if tuple(state["corpus"]) != self.corpus_size:
            raise ConfigError(
                f"{path} was trained on another corpus than {self.config.data.prepared} "
                f"(pieces and tokens: {state['corpus']}, now {list(self.corpus_size)}). Prepare "
                "the same corpus again, or start a new run."
            )
        self.net.load_state_dict(state["model"])
        for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        self.monitor.load_state_dict(state["monitor"])
        self.data_monitor.load_state_dict(state["data_monitor"])
        self.step, self.rollbacks = state["step"], state["rollbacks"]


def training_record(state: RunState, validation: Validation, hours: float) -> dict[str, Any]:
    """Return how the weights were trained, for the model file."""
    pieces, tokens = state.corpus_size
    return {
        "config": state.config.model_dump(mode="json"),
        "steps": state.step,
        "rollbacks": state.rollbacks,
        "training_pieces": pieces,
        "training_tokens": tokens,
        "hours_of_this_session": round(hours, 2),
        "torch_threads": torch.get_num_threads(),
        "validation": asdict(validation),
    }
