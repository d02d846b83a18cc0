"""How well generated token sequences follow the grammar."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bicinium.generation.composition import Composition


@dataclass(frozen=True, slots=True)
class GrammarStatistics:
    """Grammar statistics of some generated pieces."""

    pieces: int
    notes: int
    paired: float  # share of the notes that begin and end
    valid: float  # share of the pieces
    min_grammar_score: float
    mean_grammar_score: float
    longest_run: int  # of the same token


def grammar_statistics(pieces: Sequence[Composition]) -> GrammarStatistics:
    """Summarise the validation results of pieces."""
    results = [piece.result for piece in pieces]
    notes = sum(result.notes for result in results)
    return GrammarStatistics(
        pieces=len(pieces),
        notes=notes,
        paired=sum(result.paired_notes for result in results) / max(1, notes),
        valid=float(np.mean([result.valid for result in results])),
        min_grammar_score=min(result.grammar_score for result in results),
        mean_grammar_score=float(np.mean([result.grammar_score for result in results])),
        longest_run=max(longest_run(piece.tokens) for piece in pieces),
    )


def longest_run(tokens: NDArray[np.integer]) -> int:
    """Return the length of the longest run of the same token in (T,) tokens."""
    ends = np.flatnonzero(np.diff(tokens)) + 1
    return int(np.diff(np.concatenate([[0], ends, [len(tokens)]])).max())
