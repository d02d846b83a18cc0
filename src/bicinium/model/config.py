"""The shape of the model and the names its conditions have. Stored in every checkpoint."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from bicinium.tokenizer.vocabulary import VOCAB_SIZE

COMMON_METERS = (
    "2/4", "3/4", "4/4", "2/2", "3/8", "6/8", "9/8", "12/8", "6/4", "3/2", "4/8", "4/2", "5/4",
    "5/8", "2/8", "6/16", "9/16", "12/16",
)  # fmt: skip


class ModelConfig(BaseModel):
    """Fields of the transformer. ``mode`` is the only architecture there is."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    mode: Literal["transformer"] = "transformer"
    vocab_size: int = VOCAB_SIZE
    d_model: int = Field(256, ge=2)
    n_layers: int = Field(4, ge=1)
    n_heads: int = Field(4, ge=1)
    d_ff: int = Field(512, ge=1)  # width of the SwiGLU
    context: int = Field(1024, ge=1)  # tokens that attention reaches back
    rope_base: float = Field(10_000.0, gt=1)
    dropout: float = Field(0.0, ge=0, lt=1)
    state_embedding: bool = True  # embed the automaton's state; off only to measure what it brings
    relative_pitch: bool = True  # see and say pitches by their distance from the notes before, too
    memory: bool = True  # embed what was a bar ago, and what the piece itself leads one to expect
    foresight: bool = True  # embed what is known of the notes to come (a given voice, a gap's end)
    time_heads: int = Field(2, ge=0)  # of n_heads, those that measure distance in ticks, not tokens
    time_base: float = Field(1_000.0, gt=1)  # the rotary base of those heads
    meters: tuple[str, ...] = COMMON_METERS
    styles: tuple[str, ...] = ()

    def unlike(self, other: ModelConfig) -> list[str]:
        """The fields that differ, of those that say what the weights are."""
        values = self.model_dump(exclude={"dropout"})
        return [name for name, value in values.items() if getattr(other, name) != value]

    @model_validator(mode="after")
    def _check(self) -> ModelConfig:
        if self.vocab_size != VOCAB_SIZE:
            raise ValueError(f"vocab_size is {self.vocab_size}, but there are {VOCAB_SIZE} tokens")
        if self.d_model % (2 * self.n_heads):
            raise ValueError(
                f"d_model={self.d_model} must be a multiple of twice n_heads={self.n_heads}"
            )
        if self.time_heads > self.n_heads:
            raise ValueError(f"time_heads={self.time_heads} are more than n_heads={self.n_heads}")
        return self
