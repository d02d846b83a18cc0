"""Checkpoints: one safetensors file; its header holds configuration, hashes and training record.

Weights may be stored as fp16; they are used as fp32. Nothing is ever unpickled.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from bicinium.atomic_write import atomic_write
from bicinium.errors import CheckpointError
from bicinium.grammar.config import MusicalGrammarConfig
from bicinium.model.config import ModelConfig
from bicinium.model.hub import fetch_model, hub_hint, is_hub_name
from bicinium.model.inputs.layout import PITCH_DISTANCES, REFERENCES, input_sizes
from bicinium.tokenizer.vocabulary import vocabulary_hash

DEFAULT_MODEL = Path(__file__).parent / "weights" / "default.safetensors"
MODEL_FILE = "model.safetensors"  # in the folder of a training run


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A model on disk. ``record`` is its training record, ``name`` its file name and hash."""

    config: ModelConfig
    weights: dict[str, NDArray[np.floating]]
    record: dict[str, Any] = field(default_factory=dict)
    name: str = ""

    @property
    def exclude_styles(self) -> tuple[str, ...]:
        """Return the styles of the corpus that training left out."""
        data = self.record.get("config", {}).get("data", {})
        # Models trained before the key was renamed have "styles_left_out".
        return tuple(data.get("exclude_styles", data.get("styles_left_out", ())))

    @property
    def styles(self) -> tuple[str, ...]:
        """Return the styles that the model was trained on."""
        excluded = self.exclude_styles
        return tuple(name for name in self.config.styles if name not in excluded)


def save_checkpoint(
    path: Path,
    config: ModelConfig,
    weights: Mapping[str, NDArray[np.floating]],
    record: Mapping[str, Any],
    dtype: type[np.floating] = np.float32,
) -> None:
    """Write the file completely or not at all."""
    header = {
        "config": config.model_dump_json(),
        "vocabulary": vocabulary_hash(),
        "grammar": MusicalGrammarConfig().config_hash,
        "record": json.dumps(record, sort_keys=True),
    }
    arrays = {name: np.ascontiguousarray(w, dtype=dtype) for name, w in weights.items()}
    with atomic_write(path) as temporary:
        temporary.write_bytes(save(arrays, metadata=header))


def resolve_model(name: str | Path | None = None) -> Path:
    """Return the checkpoint that a name stands for.

    The name is ``default`` (or None) for the built-in model, a model file, the folder of a training
    run, or ``user/repo@revision`` for a model of the hub (``hub.fetch_model``). Raises
    CheckpointError if there is no such model.
    """
    if name is None or str(name) == "default":
        return DEFAULT_MODEL
    path = Path(name)
    for file in (path, path / MODEL_FILE):
        if file.is_file():
            return file
    if is_hub_name(path.as_posix()):
        return fetch_model(path.as_posix())
    raise CheckpointError(
        f"There is no model at {name}. Name a model file, the folder of a run that has a "
        f"{MODEL_FILE}, or default.{hub_hint(path.as_posix())}"
    )


def load_checkpoint(name: str | Path | None = None) -> Checkpoint:
    """Read a checkpoint by any name that ``resolve_model`` knows.

    Raises CheckpointError if there is none, or if it does not fit this version.
    """
    path = resolve_model(name)
    try:
        with safe_open(path, framework="numpy") as file:
            header = file.metadata() or {}
            config = ModelConfig.model_validate_json(header["config"])
            record = _read_record(header["record"])
            _check_hashes(path, header)
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError, KeyError, ValueError, TypeError, RecursionError) as error:
        raise CheckpointError(f"{path} is not a bicinium checkpoint: {_reason(error)}.") from error
    shapes = weight_shapes(config)
    for name in sorted(shapes.keys() | weights.keys()):
        shape = weights[name].shape if name in weights else "absent"
        if shape != shapes.get(name):
            raise CheckpointError(
                f"{path} does not fit its own configuration: {name} is {shape}, "
                f"not {shapes.get(name, 'absent')}. Train again."
            )
    if not_finite := [name for name, w in weights.items() if not np.isfinite(w).all()]:
        raise CheckpointError(
            f"{path} cannot be used: {not_finite[0]} has weights that are not finite. Train again."
        )
    digest = hashlib.sha256(path.read_bytes()).hexdigest()[:16]
    return Checkpoint(config, weights, record, f"{path.stem}, sha256 {digest}")


def _read_record(text: str) -> dict[str, Any]:
    """Return the training record. Raises ValueError if it is not of the form that is used."""
    record = json.loads(text)
    config = record.get("config", {}) if isinstance(record, dict) else None
    data = config.get("data", {}) if isinstance(config, dict) else None
    if not isinstance(data, dict):
        raise ValueError("its training record is not an object")
    for name in ("exclude_styles", "styles_left_out"):
        styles = data.get(name, [])
        if not isinstance(styles, list) or not all(isinstance(style, str) for style in styles):
            raise ValueError(f"{name} in its training record is not a list of styles")
    return record


def _check_hashes(path: Path, header: Mapping[str, str]) -> None:
    expected = {
        "vocabulary": vocabulary_hash(),
        "grammar": MusicalGrammarConfig().config_hash,
    }
    for name, value in expected.items():
        if header.get(name) != value:
            raise CheckpointError(
                f"{path} was trained with another {name} ({header.get(name)}, here {value}). "
                "Use the version of bicinium that made it, or train again."
            )


def _reason(error: Exception) -> str:
    if isinstance(error, ValidationError):
        return str(error.errors()[0]["msg"])
    return f"{error} is missing" if isinstance(error, KeyError) else str(error).splitlines()[0]


def weight_shapes(config: ModelConfig) -> dict[str, tuple[int, ...]]:
    """Return the shape of each weight of such a model, by its name in ``transformer``."""
    d, ff = config.d_model, config.d_ff
    shapes: dict[str, tuple[int, ...]] = {
        "embedding.weight": (sum(input_sizes(config).values()), d),
        "norm.weight": (d,),
        "head.weight": (config.vocab_size, d),
    }
    if config.relative_pitch:
        shapes["relative_head.weight"] = (REFERENCES * PITCH_DISTANCES, d)
        shapes["ending_head.weight"] = (1, d)
    for index in range(config.n_layers):
        block = {
            "attention_norm": (d,),
            "attention.qkv": (3 * d, d),
            "attention.out": (d, d),
            "feed_forward_norm": (d,),
            "feed_forward.gate_up": (2 * ff, d),
            "feed_forward.down": (d, ff),
        }
        shapes |= {f"blocks.{index}.{name}.weight": shape for name, shape in block.items()}
    return shapes
