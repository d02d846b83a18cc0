"""The options of sampling. ``sampler`` applies them."""

from __future__ import annotations

from dataclasses import dataclass

from bicinium.errors import RequestError
from bicinium.option_types import check_types


@dataclass(frozen=True, slots=True)
class Sampling:
    """How tokens are drawn. Raises RequestError for a value outside its limits.

    The command line, the Python interface and the studio take these options by their names.
    ``Sampling()`` leaves the distribution of the model as it is.
    """

    temperature: float = 1.0  # under 1: more predictable; over 1: more varied
    top_p: float = 1.0  # draw from the smallest set of tokens with this probability (nucleus)
    top_k: int = 0  # draw from the k most likely tokens; 0 is all
    min_p: float = 0.0  # draw from tokens at least this share as likely as the most likely one
    guidance: float | None = 1.0  # classifier-free guidance on style; None: 1.5 in keyboard styles
    motif_strength: float | None = 0.0  # bias to the model's motifs; None: 1 in keyboard styles

    def __post_init__(self) -> None:
        check_types(self)
        for name, holds, limits in (
            ("temperature", 0 < self.temperature <= 10, "over 0 and at most 10"),
            ("top-p", 0 < self.top_p <= 1, "over 0 and at most 1"),
            ("top-k", self.top_k >= 0, "0 (all tokens) or more"),
            ("min-p", 0 <= self.min_p < 1, "at least 0 and under 1"),
            ("guidance", _in_0_to_10(self.guidance), "between 0 (no style) and 10"),
            ("motif-strength", _in_0_to_10(self.motif_strength), "between 0 (none) and 10"),
        ):
            if not holds:
                value = getattr(self, name.replace("-", "_"))
                raise RequestError(f"--{name} must be {limits} (got {value}).")

    @property
    def truncates(self) -> bool:
        """Whether unlikely tokens are left out."""
        return self.top_p < 1 or self.top_k > 0 or self.min_p > 0


def _in_0_to_10(value: float | None) -> bool:
    return value is None or 0 <= value <= 10


# How pieces are composed unless something else is requested (docs/log.md).
DEFAULT_SAMPLING = Sampling(temperature=1.0, top_p=0.99, guidance=None, motif_strength=None)
