"""Model configuration: shape, inputs, and names of conditions. Stored in every checkpoint."""

from __future__ import annotations

from typing import Literal

from pydantic import (
    AliasChoices,
    BaseModel,
    ConfigDict,
    Field,
    field_validator,
    model_validator,
)

from bicinium.errors import ScoreError
from bicinium.music.score import Meter
from bicinium.tokenizer.vocabulary import VOCAB_SIZE

COMMON_METERS = (
    "2/4", "3/4", "4/4", "2/2", "3/8", "6/8", "9/8", "12/8", "6/4", "3/2", "4/8", "4/2", "5/4",
    "5/8", "2/8", "6/16", "9/16", "12/16",
)  # fmt: skip


class ModelConfig(BaseModel):
    """Configuration of the transformer.

    ``mode`` and ``vocab_size`` are checked, not chosen: there is one architecture and one
    vocabulary. Checkpoints written before version 0.2 name two fields ``memory`` and ``foresight``.
    """

    model_config = ConfigDict(
        extra="forbid", frozen=True, validate_by_name=True, allow_inf_nan=False
    )

    mode: Literal["transformer"] = "transformer"
    vocab_size: int = VOCAB_SIZE
    d_model: int = Field(256, ge=2, le=16_384)
    n_layers: int = Field(4, ge=1, le=256)
    n_heads: int = Field(4, ge=1, le=256)
    d_ff: int = Field(512, ge=1, le=65_536)  # Width of the SwiGLU layer.
    context: int = Field(1024, ge=1, le=1_000_000)  # Tokens that attention reaches back.
    rope_base: float = Field(10_000.0, gt=1)
    dropout: float = Field(0.0, ge=0, lt=1)
    state_embedding: bool = True  # Embed the grammar state.
    relative_pitch: bool = True  # Relate pitches to reference pitches in inputs and logits.
    bar_lag: bool = Field(True, validation_alias=AliasChoices("bar_lag", "memory"))
    # Embed what each voice did one and two bars ago, and the motif prediction.
    lookahead: bool = Field(True, validation_alias=AliasChoices("lookahead", "foresight"))
    # Embed notes that are known before they come (a given voice, the end of a gap).
    form_inputs: bool = False  # Embed the form that the piece is to have.
    time_heads: int = Field(2, ge=0, le=256)  # Of n_heads, those that measure distance in ticks.
    time_base: float = Field(1_000.0, gt=1)  # The rotary base of those heads.
    meters: tuple[str, ...] = COMMON_METERS
    styles: tuple[str, ...] = ()

    @field_validator("meters")
    @classmethod
    def _parse_meters(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        try:
            return tuple(str(Meter.parse(name)) for name in names)
        except ScoreError as error:
            raise ValueError(str(error)) from error

    def differing_fields(self, other: ModelConfig) -> list[str]:
        """Return the names of fields that differ and that the weights depend on."""
        values = self.model_dump(exclude={"dropout"})
        return [name for name, value in values.items() if getattr(other, name) != value]

    @model_validator(mode="after")
    def _check(self) -> ModelConfig:
        if self.vocab_size != VOCAB_SIZE:
            raise ValueError(f"vocab_size must be {VOCAB_SIZE} (got {self.vocab_size}).")
        if self.d_model % (2 * self.n_heads):
            raise ValueError(
                f"d_model must be a multiple of 2 * n_heads (got {self.d_model} for "
                f"n_heads={self.n_heads})."
            )
        if self.time_heads > self.n_heads:
            raise ValueError(f"time_heads must be at most n_heads (got {self.time_heads}).")
        return self
