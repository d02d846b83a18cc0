"""The training configuration: what a YAML file may say, with units and defaults.

An unknown key is an error that names the nearest known one.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bicinium.errors import ConfigError
from bicinium.model.config import ModelConfig


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class GrammarLossConfig(_Section):
    """Weights of the grammar loss beside the cross-entropy, in nats per position."""

    enabled: bool = True
    note_pairing_weight: float = Field(10.0, ge=0)
    sequence_coherence_weight: float = Field(5.0, ge=0)  # order, time, voices, duration, range
    repetition_penalty_weight: float = Field(3.0, ge=0)
    velocity_weight: float = Field(1.0, ge=0)
    ramp_steps: int = Field(200, ge=0)  # from nothing to full weight
    positions: int = Field(1024, ge=1)  # of a batch, drawn anew each step, on which it is measured


class TrainingSection(_Section):
    seed: int = 1
    max_steps: int = Field(2000, ge=1)
    batch_size: int = Field(8, ge=1)  # windows of model.context tokens
    learning_rate: float = Field(1.5e-3, gt=0)  # at its peak; cosine to a twentieth of it
    warmup_steps: int = Field(100, ge=0)
    weight_decay: float = Field(0.1, ge=0)
    gradient_clip: float = Field(1.0, gt=0)  # norm
    precision: Literal["32-true", "bf16-mixed", "bf16-true"] = "bf16-mixed"  # Lightning's names
    threads: int = Field(0, ge=0)  # of torch; 0 leaves it to torch
    validate_every_steps: int = Field(250, ge=1)
    checkpoint_every_steps: int = Field(100, ge=1)
    musical_grammar: GrammarLossConfig = GrammarLossConfig()


class DataSection(_Section):
    prepared: Path = Path("data/prepared")  # what 'bicinium corpus prepare' wrote
    keyboard_repeats: int = Field(3, ge=1)  # how often an epoch shows each keyboard piece
    condition_dropout: float = Field(0.15, ge=0, le=1)  # how often a condition is left unknown
    validation_tokens: int = Field(80_000, ge=1)  # at most, of the other validation pieces


class TrainConfig(_Section):
    model: ModelConfig = ModelConfig()
    training: TrainingSection = TrainingSection()
    data: DataSection = DataSection()


def load_config(path: Path, overrides: Sequence[str] = ()) -> TrainConfig:
    """Read a YAML file; ``overrides`` are of the form ``training.max_steps=2000``."""
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        reason = str(error).splitlines()[0]
        raise ConfigError(f"{path} cannot be read as a configuration: {reason}") from error
    if not isinstance(values, dict):
        raise ConfigError(f"{path} must hold keys like 'training:', not a {type(values).__name__}")
    for override in overrides:
        _set(values, override)
    try:
        return TrainConfig.model_validate(values)
    except ValidationError as error:
        raise ConfigError(f"{path}: {_explain(error)}") from error


def _set(values: dict[str, Any], override: str) -> None:
    name, equals, text = override.partition("=")
    if not equals:
        raise ConfigError(f"--set {override!r} has no value; write it like training.max_steps=2000")
    *sections, last = name.split(".")
    for section in sections:
        values = values.setdefault(section, {})
        if not isinstance(values, dict):
            raise ConfigError(f"--set {override!r}: {section} is a value, not a section")
    try:
        values[last] = yaml.safe_load(text)
    except yaml.YAMLError as error:
        reason = str(error).splitlines()[0]
        raise ConfigError(f"--set {override!r} cannot be read: {reason}") from error


def _explain(error: ValidationError) -> str:
    """The first thing that is wrong, in one sentence."""
    first = error.errors()[0]
    place = [str(part) for part in first["loc"]]
    if first["type"] != "extra_forbidden":
        message = str(first["msg"]).removeprefix("Value error, ")
        return f"{'.'.join(place)}: {message}" if place else message
    section: Any = TrainConfig
    for part in place[:-1]:
        section = section.model_fields[part].annotation
    near = difflib.get_close_matches(place[-1], section.model_fields, n=1, cutoff=0.0)
    return f"unknown key {'.'.join(place)}; did you mean {'.'.join([*place[:-1], near[0]])}?"
