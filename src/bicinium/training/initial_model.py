"""The model that a run begins with: its shape, the names that it knows, and its initial weights."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from bicinium.data.piece_record import PieceRecord
from bicinium.data.sources import STYLES
from bicinium.errors import ConfigError
from bicinium.model.checkpoint import Checkpoint
from bicinium.model.config import ModelConfig
from bicinium.model.inputs.encode import UNKNOWN
from bicinium.model.inputs.layout import input_sizes
from bicinium.model.transformer import Transformer

_NAMES = {"styles", "meters"}  # fields of ModelConfig that a run may extend
_EMBEDDING = "embedding.weight"


def model_of_run(
    asked: ModelConfig, pieces: Sequence[PieceRecord], start: ModelConfig | None = None
) -> ModelConfig:
    """Return the configuration of a model that knows the styles and metres of the pieces.

    ``start`` is the model whose weights the run continues. Its names come first, so that each keeps
    its place; it also gives the shape if ``asked`` sets no field.
    """
    if start and not asked.model_fields_set:
        asked = start
    styles = sorted({piece.style for piece in pieces} - {""}, key=_place_of_style)
    meters = sorted({piece.meter for piece in pieces})
    names = {
        "styles": _union(start.styles if start else (), asked.styles, styles),
        "meters": _union(start.meters if start else (), asked.meters, meters),
    }
    return asked.model_copy(update=names)


def _place_of_style(name: str) -> tuple[int, str]:
    return STYLES.index(name) if name in STYLES else len(STYLES), name


def _union(*names: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for some in names for name in some))


def load_initial_weights(net: Transformer, checkpoint: Checkpoint) -> None:
    """Copy the weights of a checkpoint. A new style or metre begins as an unknown one.

    Raises ConfigError if the shape of the model differs.
    """
    differ = [name for name in net.config.differing_fields(checkpoint.config) if name not in _NAMES]
    if differ:
        raise ConfigError(
            f"init_from: {checkpoint.name} has another {', '.join(differ)} than this model. "
            "Configure the model as it was, or leave the section model out."
        )
    weights = {name: torch.from_numpy(w).float() for name, w in checkpoint.weights.items()}
    weights[_EMBEDDING] = _extended(weights[_EMBEDDING], checkpoint.config, net.config)
    net.load_state_dict(weights)


def _extended(embedding: Tensor, old: ModelConfig, new: ModelConfig) -> Tensor:
    """Return the rows of an embedding table with those of new names added to each input."""
    sizes = input_sizes(new)
    tables = torch.split(embedding, list(input_sizes(old).values()))
    return torch.cat(
        [
            torch.cat([table, table[UNKNOWN].expand(size - len(table), -1)])
            for table, size in zip(tables, sizes.values(), strict=True)
        ]
    )
