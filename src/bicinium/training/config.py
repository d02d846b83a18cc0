"""Training configuration: every key of the YAML file with its unit and its default.

An unknown key is an error that names the nearest known key. A renamed key keeps working for one
release with a DeprecationWarning.
"""

from __future__ import annotations

import difflib
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from bicinium.errors import ConfigError, GrammarError
from bicinium.generation.conditions import MAX_BARS
from bicinium.grammar import MusicalGrammar
from bicinium.grammar.load_rules import load_rules
from bicinium.model.config import ModelConfig
from bicinium.yaml_text import explain_yaml_error, parse_yaml

_MAX_COUNT = 10**9  # of steps, pieces, tokens, …

# Keys that were renamed, by section: old name → new name.
RENAMED_KEYS: Mapping[str, Mapping[str, str]] = {
    "model": {"memory": "bar_lag", "foresight": "lookahead"},
    "training": {"start_from": "init_from"},
    "training.musical_grammar": {
        "on_policy_slips": "on_policy_error_rate",
        "on_policy_temperature": "on_policy_max_temperature",
    },
    "data": {
        "styles_left_out": "exclude_styles",
        "foresight_share": "lookahead_probability",
    },
}


def with_current_names(section: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of a section with renamed keys under their new names.

    Warns of each old name. Raises ValueError if both names are present with different values.
    """
    current = dict(values)
    for old, new in RENAMED_KEYS.get(section, {}).items():
        if old not in current:
            continue
        value = current.pop(old)
        if current.setdefault(new, value) != value:
            raise ValueError(f"{old} is the old name of {new}. Give only {new}.")
        warnings.warn(
            f"{section}.{old} was renamed to {section}.{new}. The old name will stop working.",
            DeprecationWarning,
            stacklevel=2,
        )
    return current


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    section: ClassVar[str] = ""  # its path in the file

    @model_validator(mode="before")
    @classmethod
    def _accept_old_names(cls, values: Any) -> Any:
        return with_current_names(cls.section, values) if isinstance(values, Mapping) else values


class MusicalGrammarSection(_Section):
    """Grammar in training: the weights of the loss, live validation, and rollback."""

    section: ClassVar[str] = "training.musical_grammar"

    rules: tuple[str, ...] = ()  # of one's own, as MODULE:CLASS, added to the built-in rules
    enabled: bool = True  # False: cross-entropy alone; validation runs all the same
    # Weights of the components of the loss. Each component is in nats per position.
    note_pairing_weight: float = Field(10.0, ge=0)
    sequence_coherence_weight: float = Field(5.0, ge=0)  # order, time, voices, duration, range
    repetition_penalty_weight: float = Field(3.0, ge=0)  # of single tokens and of longer loops
    velocity_weight: float = Field(1.0, ge=0)
    legality_weight: float = Field(1.0, ge=0)  # any rule at all
    margin_weight: float = Field(0.2, ge=0)  # any rule, as odds above tolerated_odds
    tolerated_odds: float = Field(1e-5, gt=0)  # of an illegal token against a legal one
    entropy_weight: float = Field(1.0, ge=0)
    entropy_floor: float = Field(0.2, ge=0)  # nats per token; a lower entropy is penalised
    positions: int = Field(
        1024, ge=1, le=_MAX_COUNT
    )  # per batch, drawn anew each step, that the loss looks at
    ramp_after_steps: int = Field(
        0, ge=0, le=_MAX_COUNT
    )  # steps of cross-entropy alone, which learn faster
    ramp_steps: int = Field(200, ge=0, le=_MAX_COUNT)  # steps from zero to full weight

    on_policy_weight: float = Field(1.0, ge=0)  # of the loss on pieces that the model generates
    on_policy_every_n_batches: int = Field(25, ge=1, le=_MAX_COUNT)
    on_policy_pieces: int = Field(8, ge=1, le=_MAX_COUNT)
    on_policy_tokens: int = Field(640, ge=8, le=_MAX_COUNT)  # per piece, at most
    on_policy_max_temperature: float = Field(1.5, ge=1)  # drawn anew each time, from 1 up to this
    on_policy_error_rate: float = Field(0.01, ge=0, le=1)  # of tokens drawn from illegal ones

    validate_every_n_batches: int = Field(100, ge=1, le=_MAX_COUNT)
    live_pieces: int = Field(
        8, ge=1, le=_MAX_COUNT
    )  # generated without constraints at each validation
    live_bars: int = Field(16, ge=1, le=MAX_BARS)  # length of these pieces
    saved_pieces: int = Field(2, ge=0, le=_MAX_COUNT)  # of these, written to the folder of the run
    grammar_score_threshold: float = Field(0.8, ge=0, le=1)  # of a healthy state
    early_stop_patience: int = Field(
        5, ge=1, le=_MAX_COUNT
    )  # validations before stopping or rolling back
    rollback: bool = True  # False: a collapse is reported and training goes on
    max_rollbacks: int = Field(3, ge=0, le=_MAX_COUNT)
    loss_spike_factor: float = Field(2.0, ge=0)  # times the recent median; 0 switches it off

    @field_validator("rules")
    @classmethod
    def _find_rules(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        try:
            MusicalGrammar(extra_rules=load_rules(names))
        except GrammarError as error:
            raise ValueError(str(error)) from error
        return names

    @property
    def grammar(self) -> MusicalGrammar:
        """The built-in rules, and those that ``rules`` names."""
        return MusicalGrammar(extra_rules=load_rules(self.rules))


class TrainingSection(_Section):
    """Steps, optimiser and devices."""

    section: ClassVar[str] = "training"

    seed: int = Field(1, ge=0, le=2**32 - 1)
    init_from: Path | None = None  # model file with the initial weights; None: random weights
    max_steps: int = Field(2000, ge=1, le=_MAX_COUNT)
    batch_size: int = Field(
        8, ge=1, le=_MAX_COUNT
    )  # windows of model.context tokens, over all devices
    optimizer: Literal["muon", "adamw"] = "muon"  # of the matrices in the blocks; else AdamW
    learning_rate: float = Field(3e-3, gt=0)  # constant until the cooldown
    cooldown_share: float = Field(0.25, gt=0, le=1)  # of the steps, in which the rate falls to 0
    warmup_steps: int = Field(100, ge=0, le=_MAX_COUNT)
    weight_decay: float = Field(0.1, ge=0)
    gradient_clip: float = Field(1.0, gt=0)  # norm
    checkpoint_every_steps: int = Field(100, ge=1, le=_MAX_COUNT)
    log_every_steps: int = Field(10, ge=1, le=_MAX_COUNT)
    threads: int = Field(0, ge=0, le=_MAX_COUNT)  # of torch in each process; 0: torch decides
    # Lightning Fabric's names:
    precision: Literal["32-true", "bf16-mixed", "bf16-true"] = "bf16-mixed"
    accelerator: str = "cpu"  # or "cuda", "auto"
    devices: int = Field(1, ge=1, le=_MAX_COUNT)  # per node
    num_nodes: int = Field(1, ge=1, le=_MAX_COUNT)
    strategy: str = "auto"  # or "ddp"
    musical_grammar: MusicalGrammarSection = MusicalGrammarSection()

    @model_validator(mode="before")
    @classmethod
    def _drop_tilting(cls, values: Any) -> Any:
        """Ignore the removed section ``tilting`` where it was off, as in the files of old runs."""
        if not isinstance(values, Mapping) or "tilting" not in values:
            return values
        if isinstance(values["tilting"], Mapping) and values["tilting"].get("pieces"):
            raise ValueError("tilting was removed. Delete the section.")
        return {name: value for name, value in values.items() if name != "tilting"}


class DataSection(_Section):
    """Corpus, and what a batch shows of it."""

    section: ClassVar[str] = "data"

    prepared: Path = Path("data/prepared")  # folder written by 'bicinium corpus prepare'
    keyboard_repeats: int = Field(
        3, ge=1, le=_MAX_COUNT
    )  # times an epoch shows each keyboard piece
    style_repeats: dict[str, Annotated[int, Field(ge=1, le=_MAX_COUNT)]] = {}
    # The same for single styles, keyboard or not, which takes precedence.
    exclude_styles: tuple[str, ...] = ()  # neither trained nor validated on
    condition_dropout: float = Field(0.15, ge=0, le=1)  # probability of hiding a condition
    form_dropout: float = Field(0.3, ge=0, le=1)  # probability of hiding the form, per window
    lookahead_probability: float = Field(0.4, ge=0, le=1)  # of showing notes ahead, per window
    validation_tokens: int = Field(
        80_000, ge=1, le=_MAX_COUNT
    )  # of music other than for keyboard, at most
    validate_grammar: bool = True  # score the pieces again when they are loaded
    filter_poor_grammar: bool = True  # leave out pieces that score below min_grammar_score
    min_grammar_score: float = Field(0.9, ge=0, le=1)


class TrainConfig(_Section):
    """A whole configuration file."""

    model: ModelConfig = ModelConfig()
    training: TrainingSection = TrainingSection()
    data: DataSection = DataSection()

    @model_validator(mode="before")
    @classmethod
    def _accept_old_names_of_model(cls, values: Any) -> Any:
        if isinstance(values, Mapping) and isinstance(values.get("model"), Mapping):
            return {**values, "model": with_current_names("model", values["model"])}
        return values

    @property
    def grammar_config(self) -> MusicalGrammarSection:
        """The section ``training.musical_grammar``; ``MusicalGrammarLoss`` takes it."""
        return self.training.musical_grammar

    @property
    def validate_every_n_batches(self) -> int:
        """Steps between two validations."""
        return self.training.musical_grammar.validate_every_n_batches


def load_config(path: Path, overrides: Sequence[str] = ()) -> TrainConfig:
    """Read a YAML file. Overrides have the form ``training.max_steps=2000``.

    Raises ConfigError if the file cannot be read or holds a wrong key or value.
    """
    try:
        values = parse_yaml(path.read_text(encoding="utf-8")) or {}
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


def changed_keys(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Return the keys that must not change when a run is resumed but did, with both values.

    Both arguments are ``TrainConfig.model_dump(mode="json")``; ``before`` may have old names. All
    of ``model`` and ``data`` must stay (but for the folder of the corpus), and of ``training`` what
    decides the batches.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        old = {section: with_current_names(section, before[section]) for section in before}
    fixed = {
        "model": old["model"].keys(),
        "data": old["data"].keys() - {"prepared"},
        "training": {"seed", "batch_size", "optimizer"},
    }
    return [
        f"{section}.{key} ({old[section].get(key)}, now {now[section].get(key)})"
        for section, keys in fixed.items()
        for key in sorted(keys)
        if old[section].get(key) != now[section].get(key)
    ]


def _set(values: dict[str, Any], override: str) -> None:
    """Apply one override to the values of a file."""
    name, equals, text = override.partition("=")
    if not equals:
        raise ConfigError(f"--set {override!r} has no value. Write --set training.max_steps=2000.")
    *sections, last = name.split(".")
    for section in sections:
        values = values.setdefault(section, {})
        if not isinstance(values, dict):
            raise ConfigError(f"--set {override!r}: {section} is a value, not a section.")
    try:
        values[last] = parse_yaml(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"--set {override!r} cannot be read: {_why(error)}") from error


def _why(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return explain_yaml_error(error) if isinstance(error, yaml.YAMLError) else str(error)


def _explain(error: ValidationError) -> str:
    """Return one sentence on the first problem."""
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
