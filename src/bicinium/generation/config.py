"""How the tokens of a batch are drawn."""

from __future__ import annotations

from dataclasses import dataclass

from bicinium.generation.constraints.config import Constraints
from bicinium.generation.sampling import DEFAULT_SAMPLING, Sampling


@dataclass(frozen=True, slots=True)
class GenerationConfig:
    """Options of the token loop.

    error_probability: for training only, without the grammar. The probability of a token that the
        grammar forbids, and of a note of random pitch where a note may begin. A model learns from
        such pieces to recover from its own errors.
    """

    sampling: Sampling = DEFAULT_SAMPLING
    use_grammar: bool = True
    constraints: Constraints | None = None
    max_tokens: int | None = None  # of each piece; None: more than any piece needs
    error_probability: float = 0.0


DEFAULT_CONFIG = GenerationConfig()
