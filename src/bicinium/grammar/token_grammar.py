"""What training asks of a grammar, over whatever vocabulary."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray


class TokenGrammar(Protocol):
    """``MusicalGrammar`` and ``EventGrammar`` are such grammars; each has states of its own."""

    @property
    def vocab_size(self) -> int:
        """Number of token ids."""

    @property
    def encoder(self) -> str:
        """What turns music into ids, for messages."""

    @property
    def start_id(self) -> int | None:
        """The id that begins a sequence, None if the vocabulary has none."""

    @property
    def end_id(self) -> int | None:
        """The id that ends a sequence, None if the vocabulary has none."""

    @property
    def pad_id(self) -> int | None:
        """The id that fills a row of a batch, None if the vocabulary has none."""

    def legal(self, states: Any) -> NDArray[np.bool_]:
        """(N, V) True for each token that breaks no rule."""

    def rule_masks(self, states: Any) -> Iterator[tuple[Any, NDArray[np.bool_]]]:
        """For each rule, (N, V) True for each token that breaks it."""

    def broken_rules(self, states: Any, tokens: ArrayLike) -> NDArray[np.integer]:
        """(N,) The first rule that each token breaks, -1 if it is legal."""

    def states_along(self, sequences: Sequence[ArrayLike]) -> Any:
        """Return the states along sequences: before each token, and after the last."""

    def states_before(self, targets: NDArray[np.integer]) -> Any:
        """Return the (B · T,) states before each of (B, T) ids that follow START.

        A negative id stands where nothing counts.
        """

    def looks_unshifted(self, targets: NDArray[np.integer]) -> bool:
        """Whether every row of (B, T) ids begins with START, as inputs do and targets do not."""
