"""The evaluation of a model: how well it predicts, how well it writes unaided, and what it
composes, beside real music that it has not seen.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bicinium.data.piece_record import score_of
from bicinium.data.shards import RejectedPiece, subsample
from bicinium.errors import RequestError
from bicinium.evaluation.distributions import FEWEST, Comparison, Rate, compare, counterpoint_rates
from bicinium.evaluation.likelihood import NOTHING, Prediction, predict
from bicinium.evaluation.reference_music import (
    Excerpt,
    Material,
    excerpts,
    load_material,
    set_of,
)
from bicinium.generation.composition import Composition
from bicinium.generation.constraints.config import Constraints
from bicinium.generation.critic import Critic
from bicinium.generation.engine import Composer, GenerationConfig
from bicinium.generation.memorization import QuotationIndex, quotations_path
from bicinium.generation.processes import available_cores
from bicinium.generation.rerank import (
    DEFAULT_BEST_OF,
    MAX_FREE_QUOTE_BARS,
    best_of_each,
    each_candidate,
)
from bicinium.generation.sampling import Sampling
from bicinium.model.checkpoint import Checkpoint, load_checkpoint
from bicinium.music.counterpoint import ends_on_tonic
from bicinium.music.excerpts import EXCERPT_BARS
from bicinium.music.quality import quality
from bicinium.music.score import Score

MOST_OTHER_TOKENS = (
    80_000  # of what is no keyboard music, in a prepared corpus, so much is predicted
)
BACH = "bach"

Progress = Callable[[str, int, int], None]  # what is done, how much of it, of how much


@dataclass(frozen=True, slots=True)
class Written:
    """What the grammar says of pieces as the model wrote them."""

    pieces: int
    notes: int
    paired: float  # share of the notes
    valid: float  # share of the pieces
    least_grammar_score: float
    mean_grammar_score: float
    longest_run: int  # of one and the same token


@dataclass(frozen=True, slots=True)
class Quotations:
    """How many bars pieces have, note for note, in common with the training set."""

    mean: float  # bars, of the longest quotation of each piece
    longest: int
    source: str  # of the longest
    long: float  # share of pieces that quote more bars than human composers do by chance


@dataclass(frozen=True, slots=True)
class Answers:
    """Excerpts of real music, and pieces composed to their conditions; those side by side answer
    each other. ``score`` of a composition is whole; ``scores`` are cut as the excerpts are.
    """

    excerpts: list[Excerpt]
    compositions: list[Composition]
    scores: list[Score]
    not_to_be_had: int  # conditions for which the composer gave up
    draws: float  # of all candidates of a piece, mean; of each that was given up, one


@dataclass(frozen=True, slots=True)
class Composed:
    """What was measured of composed pieces beside real ones: a name → composed, real."""

    pieces: int
    not_to_be_had: int
    draws: float  # a piece, of all its candidates
    quality_score: tuple[float, float]
    adherence: dict[str, tuple[float, float | None]]
    quotations: tuple[Quotations, Quotations] | None  # None: what was trained on is not known
    bach: tuple[Rate, ...]  # counterpoint of real Bach; empty where there is none
    comparison: Comparison | None  # None: too few pieces


@dataclass(frozen=True, slots=True)
class Evaluation:
    """All that was found. What composing tells is None where no pieces were asked for."""

    model: str
    data: str
    seed: int
    predictions: dict[str, Prediction]  # by kind of music
    left_out: list[RejectedPiece]
    unaided: Written | None  # no mask, temperature 1, nothing cut off
    masked: Written | None  # the same with the mask
    composed: Composed | None  # as users get them
    answers: Answers | None = field(repr=False)
    seconds: float

    @property
    def prediction(self) -> Prediction:
        """Of all kinds of music together."""
        return sum(self.predictions.values(), NOTHING)

    def as_json(self) -> dict[str, Any]:
        """Numbers and names only; null where something says nothing."""
        document = {
            "model": self.model,
            "data": self.data,
            "seed": self.seed,
            **self.prediction.numbers(),
            "held_out": {name: one.numbers() for name, one in self.predictions.items()},
            "left_out": [asdict(refused) for refused in self.left_out],
            "unconstrained": self.unaided and asdict(self.unaided),
            "masked": self.masked and asdict(self.masked),
            "composed": self.composed and _composed_json(self.composed),
            "seconds": round(self.seconds, 1),
        }
        written: dict[str, Any] = plain(document)
        return written


def evaluate(
    model: Path,
    data: Path,
    pieces: int = 200,
    seed: int = 0,
    progress: Progress | None = None,
    unaided: int | None = None,
) -> Evaluation:
    """Measure a model on held-out music, but for the styles that it was told to leave out.

    pieces: how many are composed, to be compared with as many excerpts (or as there are); 0 only
        predicts.
    unaided: how many are written without the mask, and as many with it; None is as many.

    Raises CheckpointError and CorpusError where there is no model or no music, RequestError for a
    number that is none.
    """
    unaided = pieces if unaided is None else unaided
    if min(pieces, unaided, seed) < 0:
        raise RequestError(
            f"{pieces} pieces, {unaided} unaided, with seed {seed} make no sense: ask for 0 or more"
        )
    started = time.perf_counter()
    say = progress or (lambda stage, done, total: None)
    checkpoint = load_checkpoint(model)
    material = load_material(data, checkpoint.exclude_styles)
    predictions = _predictions(checkpoint, material, say)
    written = masked = composed = answers = None
    if pieces or unaided:
        chosen = excerpts(material.pieces, pieces or unaided, checkpoint.config)
        if not chosen:
            raise RequestError(
                f"{data} holds nothing in a metre the model has learned: ask for 0 pieces, which "
                "only predicts"
            )
        composer = Composer(checkpoint, dtype=np.float32)
        if unaided:
            written, masked = _written(composer, chosen, unaided, seed, say)
        if pieces:
            index, critic = _quotation_index(model, material), Critic.for_model(model)
            answers = compose_answers(composer, chosen, seed, say, index, critic)
            if answers.scores:
                composed = _measured(answers, index, seed, say)
    return Evaluation(
        model=checkpoint.name,
        data=str(data),
        seed=seed,
        predictions=predictions,
        left_out=material.left_out,
        unaided=written,
        masked=masked,
        composed=composed,
        answers=answers,
        seconds=time.perf_counter() - started,
    )


# ------------------------------------------------------------------ predicting


def _predictions(
    checkpoint: Checkpoint, material: Material, say: Progress
) -> dict[str, Prediction]:
    """By kind of music. Of a prepared corpus' other music a part stands for all."""
    sets: dict[str, list[Any]] = {}
    for piece in material.pieces:
        sets.setdefault(set_of(piece), []).append(piece)
    if material.trained_on and "other" in sets:
        sets["other"] = subsample(sets["other"], MOST_OTHER_TOKENS)
    threads = available_cores()
    return {
        name: predict(
            checkpoint,
            sets[name],
            _of(say, f"predicting {name}"),
            threads,
        )
        for name in sorted(sets)
    }


def _of(say: Progress, stage: str) -> Callable[[int, int], None]:
    """What a stage says of itself: how much is done, of how much."""
    return lambda done, total: say(stage, done, total)


# ------------------------------------------------------------------ writing unaided


def _written(
    composer: Composer, chosen: Sequence[Excerpt], count: int, seed: int, say: Progress
) -> tuple[Written, Written]:
    """Pieces at temperature 1, without the mask and with it, each of sixteen bars."""
    asked = [
        replace(excerpt.conditions(composer.config), bars=EXCERPT_BARS, tempo_qpm=None)
        for excerpt in islice(cycle(chosen), count)
    ]
    seeds = [seed + index for index in range(count)]
    found = []
    for use_grammar, stage in ((False, "writing unaided"), (True, "writing with the mask")):
        pieces = composer.compose(
            asked,
            seeds,
            Sampling(),
            use_grammar,
            _of(say, stage),
        )
        found.append(judged(pieces))
    return found[0], found[1]


def judged(pieces: Sequence[Composition]) -> Written:
    """What the grammar says of them."""
    results = [piece.result for piece in pieces]
    notes = sum(result.notes for result in results)
    return Written(
        pieces=len(pieces),
        notes=notes,
        paired=sum(result.paired_notes for result in results) / max(1, notes),
        valid=float(np.mean([result.valid for result in results])),
        least_grammar_score=min(result.grammar_score for result in results),
        mean_grammar_score=float(np.mean([result.grammar_score for result in results])),
        longest_run=max(longest_run(piece.tokens) for piece in pieces),
    )


def longest_run(tokens: NDArray[np.integer]) -> int:
    """How often at most one token (T,) stands in a row."""
    ends = np.flatnonzero(np.diff(tokens)) + 1
    return int(np.diff(np.concatenate([[0], ends, [len(tokens)]])).max())


# ------------------------------------------------------------------ composing


def compose_answers(
    composer: Composer,
    chosen: Sequence[Excerpt],
    seed: int,
    say: Progress,
    index: QuotationIndex | None = None,
    critic: Critic | None = None,
    best_of: int = DEFAULT_BEST_OF,
) -> Answers:
    """A piece for each excerpt, as users get them: with the usual sampling, constraints and choice
    among candidates.
    """
    asked, seeds = each_candidate(
        [one.conditions(composer.config) for one in chosen],
        range(seed, seed + len(chosen)),
        best_of,
    )
    manner = GenerationConfig(constraints=Constraints(), candidates=best_of)
    candidates, given_up = composer.attempt(asked, seeds, manner, _of(say, "composing"))
    pieces = best_of_each(candidates, best_of, index, critic)
    had = [
        (excerpt, piece, excerpt.cut_alike(piece.score))
        for i, excerpt in enumerate(chosen)
        if (piece := pieces.get(i)) and piece.score
    ]
    return Answers(
        excerpts=[excerpt for excerpt, _, _ in had],
        compositions=[piece for _, piece, _ in had],
        scores=[score for _, _, score in had],
        not_to_be_had=len(chosen) - len(had),
        draws=(sum(piece.draws for piece in candidates.values()) + len(given_up)) / len(chosen),
    )


def _quotation_index(model: Path, material: Material) -> QuotationIndex | None:
    """What the model was trained on: the index beside it, else what the corpus has for training."""
    path = quotations_path(model)
    if path.is_file():
        return QuotationIndex.load(path)
    if not material.trained_on:
        return None
    return QuotationIndex.build((score_of(piece), piece.name) for piece in material.trained_on)


def _measured(answers: Answers, index: QuotationIndex | None, seed: int, say: Progress) -> Composed:
    say("comparing", 0, 1)
    real = [excerpt.score for excerpt in answers.excerpts]
    works = [excerpt.work for excerpt in answers.excerpts]
    bach = [excerpt.score for excerpt in answers.excerpts if excerpt.piece.style == BACH]
    enough = len(real) >= FEWEST
    found = Composed(
        pieces=len(real),
        not_to_be_had=answers.not_to_be_had,
        draws=answers.draws,
        quality_score=(mean_quality(answers.scores), mean_quality(real)),
        adherence=_obedience(answers),
        quotations=(_quotations(answers.scores, index), _quotations(real, index))
        if index
        else None,
        bach=counterpoint_rates(bach, bach) if bach else (),
        comparison=compare(real, answers.scores, works, seed) if enough else None,
    )
    say("comparing", 1, 1)
    return found


def mean_quality(scores: Sequence[Score]) -> float:
    """The mean quality score; NaN of none."""
    judged = [quality(score) for score in scores]
    return float(np.mean([one.score if one else 0.0 for one in judged])) if judged else math.nan


def _obedience(answers: Answers) -> dict[str, tuple[float, float | None]]:
    """Share of the pieces that are what was asked for, each beside real excerpts where these could
    fail too: in their key, by the notes, and closed in it.
    """
    checks = [piece.sheet.checks for piece in answers.compositions if piece.sheet]
    real = [excerpt.score for excerpt in answers.excerpts]
    beside: dict[str, float] = {
        "key": float(np.mean([score.profile_key == score.key for score in real])),
        "close": float(
            np.mean([score.key is not None and ends_on_tonic(score, score.key) for score in real])
        ),
    }
    return {
        name: (float(np.mean([one[name] for one in checks])), beside.get(name))
        for name in checks[0]
    }


def _quotations(scores: Sequence[Score], index: QuotationIndex) -> Quotations:
    found = [index.longest_quotation(score) for score in scores]
    longest = max(found, key=lambda quotation: quotation.bars)
    bars = np.array([quotation.bars for quotation in found])
    return Quotations(
        mean=float(bars.mean()),
        longest=longest.bars,
        source=longest.source,
        long=float((bars > MAX_FREE_QUOTE_BARS).mean()),
    )


# ------------------------------------------------------------------ as JSON


def _composed_json(found: Composed) -> dict[str, Any]:
    comparison = found.comparison
    bach = {rate.name: rate.real for rate in found.bach}
    document: dict[str, Any] = {
        "pieces": found.pieces,
        "not_to_be_had": found.not_to_be_had,
        "draws": found.draws,
        "quality_score": _beside(*found.quality_score),
        "adherence": {name: _beside(*pair) for name, pair in found.adherence.items()},
        "quotations": found.quotations
        and _beside(asdict(found.quotations[0]), asdict(found.quotations[1])),
    }
    if comparison is None:
        return document | {"comparison": None}
    test = comparison.two_sample
    return document | {
        "works": comparison.works,
        "distances": {
            one.name: {
                "overlap": one.overlap,
                "overlap_of_real": one.overlap_of_real,
                "ratio": one.ratio,
            }
            for one in comparison.distances
        },
        "counterpoint": {
            rate.name: _beside(rate.composed, rate.real) | {"bach": bach.get(rate.name)}
            for rate in comparison.counterpoint
        },
        "phrases": {one.name: asdict(one) for one in comparison.phrases},
        "motifs": {one.name: asdict(one) for one in comparison.motifs},
        "two_sample": test and asdict(test),
    }


def _beside(composed: Any, real: Any) -> dict[str, Any]:
    return {"composed": composed, "real": real}


def plain(value: Any) -> Any:
    """Without what JSON has no sign for."""
    if isinstance(value, Mapping):
        return {name: plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value
