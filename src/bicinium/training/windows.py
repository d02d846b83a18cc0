"""Windows: the parts of pieces that a batch shows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np


@dataclass(frozen=True, slots=True)
class Window:
    """Tokens ``start`` to ``stop`` of a piece are inputs.

    The loss counts the targets of the inputs from ``first_scored`` on.
    """

    piece: int
    start: int
    stop: int
    first_scored: int


@dataclass(frozen=True, slots=True)
class Masking:
    """How much the model is told of the piece of a window, as probabilities."""

    condition_dropout: float = 0.0  # of hiding each condition
    lookahead_probability: float = 0.0  # of showing notes ahead of time
    form_dropout: float = 1.0  # of hiding the form


NO_MASKING = Masking()

# For each voice, the ticks (start, stop) whose notes the model sees ahead of time.
KnownSpans: TypeAlias = tuple[tuple[int, int], ...]


def tile(length: int, context: int, piece: int, rng: np.random.Generator | None) -> list[Window]:
    """Cover a piece with windows of at most ``context`` inputs.

    With ``rng`` the windows overlap at random and score the overlap twice. Without, every token
    after START is scored once.
    """
    inputs = length - 1
    count = max(1, -(-inputs // context))
    starts = np.zeros(count, np.int64)
    if count > 1:
        slack = count * context - inputs
        if rng is None:
            cuts = np.linspace(0, slack, count).astype(np.int64)
        else:
            cuts = np.sort(np.concatenate([[0, slack], rng.integers(0, slack + 1, count - 2)]))
        starts = np.arange(count) * context - cuts
    stops = np.minimum(starts + context, inputs)
    scored = starts if rng is not None else np.concatenate([[0], stops[:-1]])
    return [
        Window(piece, int(a), int(b), int(c)) for a, b, c in zip(starts, stops, scored, strict=True)
    ]
