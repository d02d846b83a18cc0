"""Evaluate a model: likelihood of held-out music, unconstrained generation, and compositions beside
real music that the model has not seen.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import cycle, islice
from pathlib import Path
from typing import Any

from bicinium.data.piece_record import PieceRecord, score_of
from bicinium.data.shards import subsample
from bicinium.errors import RequestError
from bicinium.evaluation.composition_metrics import CompositionMetrics, measure_compositions
from bicinium.evaluation.grammar_statistics import GrammarStatistics, grammar_statistics
from bicinium.evaluation.likelihood import Likelihood, measure_likelihood
from bicinium.evaluation.paired_pieces import PairedPieces, compose_pairs
from bicinium.evaluation.reference_music import (
    EvaluationCorpus,
    Excerpt,
    choose_excerpts,
    load_evaluation_corpus,
    repertoire,
)
from bicinium.generation.composer import Composer
from bicinium.generation.config import GenerationConfig
from bicinium.generation.critic import Critic
from bicinium.generation.memorization import QuotationIndex, quotations_path
from bicinium.generation.sampling import Sampling
from bicinium.model.checkpoint import Checkpoint, load_checkpoint
from bicinium.model.decoder import available_cores
from bicinium.music.excerpts import EXCERPT_BARS

MAX_OTHER_TOKENS = 80_000  # sample of the non-keyboard music of a prepared corpus

StageProgress = Callable[[str, int, int], None]  # (stage, done, total)


@dataclass(frozen=True, slots=True)
class Evaluation:
    """All results. Those of generated pieces are None if no pieces were requested."""

    model: str
    data: str
    seed: int
    likelihoods: dict[str, Likelihood]  # by repertoire
    excluded: list[PieceRecord]
    unconstrained: GrammarStatistics | None  # temperature 1, no mask, no truncation
    masked: GrammarStatistics | None  # the same with the grammar mask
    composed: CompositionMetrics | None  # with the default settings
    pairs: PairedPieces | None = field(repr=False)
    seconds: float

    @property
    def likelihood(self) -> Likelihood:
        """Likelihood of all repertoires together."""
        return sum(self.likelihoods.values(), Likelihood())

    def as_json(self) -> dict[str, Any]:
        """Return numbers and names only; NaN becomes None."""
        document = {
            "model": self.model,
            "data": self.data,
            "seed": self.seed,
            **self.likelihood.as_json(),
            "held_out": {name: one.as_json() for name, one in self.likelihoods.items()},
            "excluded": [{"name": piece.name, "reason": piece.reason} for piece in self.excluded],
            "unconstrained": self.unconstrained and asdict(self.unconstrained),
            "masked": self.masked and asdict(self.masked),
            "composed": self.composed and self.composed.as_json(),
            "seconds": round(self.seconds, 1),
        }
        without_nan: dict[str, Any] = replace_nan(document)
        return without_nan


def evaluate(
    model: Path,
    data: Path,
    pieces: int = 200,
    seed: int = 0,
    progress: StageProgress | None = None,
    unconstrained: int | None = None,
) -> Evaluation:
    """Measure a model on held-out music. Styles excluded from its training are skipped.

    data: a prepared corpus or a folder of music files.
    pieces: number of pieces to compose and compare with excerpts; 0 measures the likelihood only.
    unconstrained: number of pieces to generate without the grammar mask, and again with it
        (default: ``pieces``).

    Raises CheckpointError, CorpusError or RequestError.
    """
    unconstrained = pieces if unconstrained is None else unconstrained
    if min(pieces, unconstrained, seed) < 0:
        raise RequestError(
            f"--pieces, --unconstrained and --seed must be 0 or more "
            f"(got {pieces}, {unconstrained} and {seed})"
        )
    started = time.perf_counter()
    report = progress or (lambda stage, done, total: None)
    checkpoint = load_checkpoint(model)
    corpus = load_evaluation_corpus(data, checkpoint.exclude_styles)
    likelihoods = _likelihoods(checkpoint, corpus, report)
    without_mask = with_mask = composed = pairs = None
    if pieces or unconstrained:
        excerpts = choose_excerpts(corpus.pieces, pieces or unconstrained, checkpoint.config)
        if not excerpts:
            raise RequestError(
                f"{data} has no piece in a metre that the model knows. "
                "Use --pieces 0 to measure the likelihood only."
            )
        composer = Composer(checkpoint)
        if unconstrained:
            without_mask, with_mask = _generate(composer, excerpts, unconstrained, seed, report)
        if pieces:
            index, critic = _quotation_index(model, corpus), Critic.for_model(model)
            pairs = compose_pairs(
                composer, excerpts, seed, _stage(report, "composing"), index, critic
            )
            if pairs.scores:
                report("comparing", 0, 1)
                composed = measure_compositions(pairs, index, seed)
                report("comparing", 1, 1)
    return Evaluation(
        model=checkpoint.name,
        data=str(data),
        seed=seed,
        likelihoods=likelihoods,
        excluded=corpus.excluded,
        unconstrained=without_mask,
        masked=with_mask,
        composed=composed,
        pairs=pairs,
        seconds=time.perf_counter() - started,
    )


def _likelihoods(
    checkpoint: Checkpoint, corpus: EvaluationCorpus, report: StageProgress
) -> dict[str, Likelihood]:
    """Measure each repertoire. Of the other music of a prepared corpus, a sample is measured."""
    sets: dict[str, list[PieceRecord]] = {}
    for piece in corpus.pieces:
        sets.setdefault(repertoire(piece), []).append(piece)
    if corpus.training_pieces and "other" in sets:
        sets["other"] = subsample(sets["other"], MAX_OTHER_TOKENS)
    threads = available_cores()
    return {
        name: measure_likelihood(
            checkpoint, sets[name], _stage(report, f"likelihood, {name}"), threads
        )
        for name in sorted(sets)
    }


def _stage(report: StageProgress, stage: str) -> Callable[[int, int], None]:
    return lambda done, total: report(stage, done, total)


def _generate(
    composer: Composer, excerpts: Sequence[Excerpt], count: int, seed: int, report: StageProgress
) -> tuple[GrammarStatistics, GrammarStatistics]:
    """Generate pieces of 16 bars at temperature 1, without the grammar mask and with it."""
    conditions = [
        replace(excerpt.conditions(composer.config), bars=EXCERPT_BARS, tempo_qpm=None)
        for excerpt in islice(cycle(excerpts), count)
    ]
    seeds = [seed + index for index in range(count)]
    without_mask, with_mask = (
        grammar_statistics(
            composer.compose(
                conditions,
                seeds,
                GenerationConfig(Sampling(), use_grammar=use_grammar),
                progress=_stage(report, stage),
            )
        )
        for use_grammar, stage in ((False, "generating unconstrained"), (True, "generating masked"))
    )
    return without_mask, with_mask


def _quotation_index(model: Path, corpus: EvaluationCorpus) -> QuotationIndex | None:
    """Load the index beside the model, or build one from the training pieces of the corpus."""
    path = quotations_path(model)
    if path.is_file():
        return QuotationIndex.load(path)
    if not corpus.training_pieces:
        return None
    return QuotationIndex.build((score_of(piece), piece.name) for piece in corpus.training_pieces)


def replace_nan(value: Any) -> Any:
    """Return nested data with None for NaN and infinities, which JSON does not have."""
    if isinstance(value, Mapping):
        return {name: replace_nan(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [replace_nan(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value
