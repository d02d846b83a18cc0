"""Compose one piece for each real excerpt, with the same key, metre, length, tempo and style."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bicinium.evaluation.reference_music import Excerpt
from bicinium.generation.candidates import MAX_ATTEMPTS, Finished
from bicinium.generation.composer import Composer
from bicinium.generation.composition import Composition
from bicinium.generation.config import GenerationConfig
from bicinium.generation.constraints.config import Constraints
from bicinium.generation.critic import Critic
from bicinium.generation.memorization import QuotationIndex
from bicinium.generation.rerank import DEFAULT_BEST_OF, Selection
from bicinium.music.score import Score


@dataclass(frozen=True, slots=True)
class PairedPieces:
    """Real excerpts and composed pieces; those at the same index belong together.

    ``scores`` are the compositions cut to the length of the excerpts.
    """

    excerpts: list[Excerpt]
    compositions: list[Composition]
    scores: list[Score]
    failures: int  # excerpts for which no acceptable piece was found
    attempts_per_piece: float  # draws of all candidates


def compose_pairs(
    composer: Composer,
    excerpts: Sequence[Excerpt],
    seed: int,
    progress: Callable[[int, int], None] | None = None,
    index: QuotationIndex | None = None,
    critic: Critic | None = None,
    candidates_per_piece: int = DEFAULT_BEST_OF,
) -> PairedPieces:
    """Compose a piece for each excerpt with the default sampling, constraints and ranking."""
    results = composer.generate(
        [excerpt.conditions(composer.config) for excerpt in excerpts],
        range(seed, seed + len(excerpts)),
        GenerationConfig(constraints=Constraints()),
        Selection(candidates_per_piece, index, critic),
        progress,
    )
    finished = {result.index: result for result in results if isinstance(result, Finished)}
    pairs = [
        (excerpt, piece, excerpt.matching_bars(piece.score))
        for i, excerpt in enumerate(excerpts)
        if (piece := finished[i].composition if i in finished else None) and piece.score
    ]
    attempts = sum(result.draws for result in finished.values())
    attempts += MAX_ATTEMPTS * candidates_per_piece * (len(excerpts) - len(finished))
    return PairedPieces(
        excerpts=[excerpt for excerpt, _, _ in pairs],
        compositions=[piece for _, piece, _ in pairs],
        scores=[score for _, _, score in pairs],
        failures=len(excerpts) - len(pairs),
        attempts_per_piece=attempts / len(excerpts),
    )
