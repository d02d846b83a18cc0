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


class MusicalGrammarSection(_Section):
    """The grammar in training: the loss, live validation, and what is done about a collapse."""

    enabled: bool = True  # False trains on cross-entropy alone; it is validated all the same
    note_pairing_weight: float = Field(10.0, ge=0)  # these six: in nats a position
    sequence_coherence_weight: float = Field(5.0, ge=0)  # order, time, voices, duration, range
    repetition_penalty_weight: float = Field(3.0, ge=0)  # of one token, and of longer loops
    velocity_weight: float = Field(1.0, ge=0)
    legality_weight: float = Field(1.0, ge=0)  # of what any of these forbids
    margin_weight: float = Field(0.2, ge=0)  # of the same, by how far its odds are above these:
    tolerated_odds: float = Field(1e-5, gt=0)  # of an illegal token to a legal one
    ramp_after_steps: int = Field(0, ge=0)  # of cross-entropy alone, which then learns faster
    ramp_steps: int = Field(200, ge=0)  # from nothing to full weight
    positions: int = Field(1024, ge=1)  # of a batch, drawn anew each step, on which it is measured
    entropy_floor: float = Field(0.2, ge=0)  # nats a token; below it the model grows rigid
    entropy_weight: float = Field(1.0, ge=0)

    on_policy_weight: float = Field(1.0, ge=0)  # of the same loss along the model's own pieces
    on_policy_every_n_batches: int = Field(25, ge=1)
    on_policy_pieces: int = Field(8, ge=1)
    on_policy_tokens: int = Field(640, ge=8)  # of each
    on_policy_temperature: float = Field(1.5, ge=1)  # at most; drawn anew each time, from 1 on
    on_policy_slips: float = Field(0.01, ge=0, le=1)  # of its tokens, drawn from what is forbidden

    validate_every_n_batches: int = Field(100, ge=1)
    live_pieces: int = Field(8, ge=1)  # drawn from the model, unconstrained, at each validation
    live_bars: int = Field(16, ge=1)
    saved_pieces: int = Field(2, ge=0)  # of them, kept to be heard and seen
    grammar_score_threshold: float = Field(0.8, ge=0, le=1)
    early_stop_patience: int = Field(5, ge=1)  # validations, before giving up or rolling back
    rollback: bool = True  # False: a collapse is reported, and training goes on
    max_rollbacks: int = Field(3, ge=0)
    loss_spike_factor: float = Field(2.0, ge=0)  # times the median of late; 0 never sees a spike


class TiltingSection(_Section):
    """Own pieces that are to become likelier the more a judge takes them for real music."""

    pieces: Path | None = None  # judged, answers of the model at start_from; None: no tilting
    weight: float = Field(1e-3, ge=0)  # of the squared error, for each nat²
    strength: float = Field(3.0, ge=0)  # times the judge's log-odds
    questions: int = Field(2, ge=1)  # in a step
    answers: int = Field(4, ge=2)  # to each


class TrainingSection(_Section):
    seed: int = Field(1, ge=0)
    start_from: Path | None = None  # a model file whose weights to go on from; else random ones
    max_steps: int = Field(2000, ge=1)
    batch_size: int = Field(8, ge=1)  # windows of model.context tokens, over all devices
    optimizer: Literal["muon", "adamw"] = "muon"  # of the blocks' matrices; AdamW of all others
    learning_rate: float = Field(3e-3, gt=0)  # at its peak; cosine to a twentieth of it
    warmup_steps: int = Field(100, ge=0)
    weight_decay: float = Field(0.1, ge=0)
    gradient_clip: float = Field(1.0, gt=0)  # norm
    checkpoint_every_steps: int = Field(100, ge=1)
    threads: int = Field(0, ge=0)  # of torch in each process; 0 leaves it to torch
    precision: Literal["32-true", "bf16-mixed", "bf16-true"] = "bf16-mixed"  # Lightning's names,
    accelerator: str = "cpu"  # these four too: "cpu", "cuda", "auto"
    devices: int = Field(1, ge=1)  # on each node
    num_nodes: int = Field(1, ge=1)
    strategy: str = "auto"  # or "ddp"
    musical_grammar: MusicalGrammarSection = MusicalGrammarSection()
    tilting: TiltingSection = TiltingSection()


class DataSection(_Section):
    prepared: Path = Path("data/prepared")  # what 'bicinium corpus prepare' wrote
    keyboard_repeats: int = Field(3, ge=1)  # how often an epoch shows each keyboard piece
    styles_left_out: tuple[str, ...] = ()  # pieces of these are neither shown nor validated on
    condition_dropout: float = Field(0.15, ge=0, le=1)  # how often a condition is left unknown
    foresight_share: float = Field(0.4, ge=0, le=1)  # how often notes to come are told beforehand
    validation_tokens: int = Field(80_000, ge=1)  # at most, of the other validation pieces
    validate_grammar: bool = True  # judge the pieces again when they are loaded
    filter_poor_grammar: bool = True  # leave out what scores less than min_grammar_score
    min_grammar_score: float = Field(0.9, ge=0, le=1)


class TrainConfig(_Section):
    model: ModelConfig = ModelConfig()
    training: TrainingSection = TrainingSection()
    data: DataSection = DataSection()


def load_config(path: Path, overrides: Sequence[str] = ()) -> TrainConfig:
    """Read a YAML file; ``overrides`` are of the form ``training.max_steps=2000``."""
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"{path} cannot be read as a configuration: {_why(error)}") from error
    if not isinstance(values, dict):
        raise ConfigError(f"{path} must hold keys like 'training:', not a {type(values).__name__}")
    for override in overrides:
        _set(values, override)
    try:
        return TrainConfig.model_validate(values)
    except ValidationError as error:
        raise ConfigError(f"{path}: {_explain(error)}") from error


def changed_keys(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """What must stay as it was when a run is resumed, and has not: keys with their old values.

    Both are ``TrainConfig.model_dump(mode="json")``. All of ``model`` and ``data`` must stay (the
    corpus may lie elsewhere), and of ``training`` what decides the batches.
    """
    fixed = {
        "model": before["model"].keys(),
        "data": before["data"].keys() - {"prepared"},
        "training": {"seed", "batch_size", "optimizer"},
    }
    return [
        f"{section}.{key} ({before[section].get(key)}, now {now[section].get(key)})"
        for section, keys in fixed.items()
        for key in sorted(keys)
        if before[section].get(key) != now[section].get(key)
    ]


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
        raise ConfigError(f"--set {override!r} cannot be read: {_why(error)}") from error


def _why(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    if isinstance(error, yaml.MarkedYAMLError) and error.problem and error.problem_mark:
        return f"line {error.problem_mark.line + 1}: {error.problem}"
    return str(error).splitlines()[0]


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
