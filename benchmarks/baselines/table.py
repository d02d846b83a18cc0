"""One table: our model, baselines and real music, put to the same questions."""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TypeAlias, cast

import numpy as np

from benchmarks.baselines.markov import MarkovChain, MarkovDecoder
from benchmarks.baselines.remi_tokens import Read
from benchmarks.baselines.remi_training import KEYBOARD_REPEATS, LEFT_OUT
from benchmarks.baselines.remi_writing import RemiBaseline
from bicinium.api import load_quotations
from bicinium.atomic_write import atomic_write
from bicinium.data.piece_record import PieceRecord
from bicinium.data.shards import load_pieces, subsample
from bicinium.evaluation.composition_metrics import mean_quality
from bicinium.evaluation.distributions import Comparison, compare
from bicinium.evaluation.evaluate import MAX_OTHER_TOKENS, replace_nan
from bicinium.evaluation.grammar_statistics import grammar_statistics
from bicinium.evaluation.likelihood import Likelihood, measure_likelihood
from bicinium.evaluation.paired_pieces import compose_pairs
from bicinium.evaluation.reference_music import Excerpt, choose_excerpts, repertoire
from bicinium.generation.composer import Composer
from bicinium.generation.conditions import Conditions
from bicinium.generation.config import GenerationConfig
from bicinium.generation.critic import Critic
from bicinium.generation.memorization import QuotationIndex
from bicinium.generation.sampling import Sampling
from bicinium.model.checkpoint import DEFAULT_MODEL, Checkpoint, load_checkpoint
from bicinium.model.decoder import Decoder
from bicinium.music.descriptors import BINARY_MEASURES
from bicinium.music.excerpts import EXCERPT_BARS
from bicinium.music.score import Score
from bicinium.tokenizer.codec import decode
from bicinium.training.corpus import piece_repeats

Numbers: TypeAlias = dict[str, float]  # a column: what each measure says

REAL = "real music"
_AUC, _ERROR = "two-sample AUC", "two-sample AUC, standard error"
_QUALITY, _TONIC = "quality score", "ends on the tonic"
_VALID, _PAIRED = "unaided/pieces valid", "unaided/notes paired or unmended"


@dataclass(frozen=True, slots=True)
class Task:
    """What each composer is asked: to predict pieces, and to answer excerpts."""

    sets: Mapping[str, Sequence[PieceRecord]]
    chosen: Sequence[Excerpt]
    asked: Sequence[Conditions]
    seed: int

    @property
    def seeds(self) -> range:
        return range(self.seed, self.seed + len(self.asked))

    @property
    def short(self) -> list[Conditions]:
        """What is written unaided."""
        return [replace(one, bars=EXCERPT_BARS, tempo_qpm=None) for one in self.asked]


def add_options(parser: argparse.ArgumentParser) -> None:
    """Of the command line."""
    parser.add_argument("--data", type=Path, default=Path("data/prepared"))
    parser.add_argument("--model", default="default", help="a model file, or 'default'")
    parser.add_argument("--without-grammar", type=Path, help="the model file of baseline a")
    parser.add_argument("--remi", type=Path, help="the run of baseline b")
    parser.add_argument("--pieces", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--json",
        type=Path,
        help="where the numbers are kept; what is there already is not measured again",
    )


def main(options: argparse.Namespace) -> None:
    """Measure one composer after the other, and print the table."""
    about = {name: str(value) for name, value in vars(options).items() if name != "json"}
    columns: dict[str, Numbers] = {}
    if options.json and options.json.is_file():
        kept = json.loads(options.json.read_text(encoding="utf-8"))
        columns = _read(kept["columns"]) if kept["asked"] == about else {}
    for name, measure in _composers(options).items():
        if name in columns:
            continue
        columns[name] = measure()
        print(f"measured: {name}", flush=True)
        if options.json:
            document = {"asked": about, "columns": replace_nan(columns)}
            with atomic_write(options.json) as temporary:
                temporary.write_text(json.dumps(document, indent=1), encoding="utf-8")
    print(as_markdown(columns))


def _composers(options: argparse.Namespace) -> dict[str, Callable[[], Numbers]]:
    """The columns by name, each yet to be measured."""
    model = DEFAULT_MODEL if options.model == "default" else Path(options.model)
    ours, judges = load_checkpoint(model), (load_quotations(model), Critic.for_model(model))
    pieces = [piece for piece in load_pieces(options.data) if piece.style != LEFT_OUT]
    held_out = [piece for piece in pieces if piece.split == "validation"]
    chosen = choose_excerpts(held_out, options.pieces, ours.config)
    task = Task(
        sets={
            "keyboard": [piece for piece in held_out if repertoire(piece) == "keyboard"],
            "other": subsample([p for p in held_out if repertoire(p) == "other"], MAX_OTHER_TOKENS),
        },
        chosen=chosen,
        asked=[excerpt.conditions(ours.config) for excerpt in chosen],
        seed=options.seed,
    )
    learned = cache(lambda: _learned(ours, task))  # for two columns
    columns = {
        REAL: lambda: _real(task),
        "bicinium, as users get it": lambda: (
            learned() | _as_users_get_it(_composer(ours), task, *judges)
        ),
        "bicinium, mask only": lambda: learned() | _masked(_composer(ours), task),
    }
    if options.without_grammar:
        plain = load_checkpoint(options.without_grammar)
        columns["a: without grammar"] = lambda: (
            _learned(plain, task) | _masked(_composer(plain), task)
        )
    if options.remi:
        columns["b: REMI, Llama"] = lambda: _remi(RemiBaseline(options.remi), task)
    training = [piece for piece in pieces if piece.split == "train"]
    return columns | {"c: Markov chain": lambda: _markov(training, ours, task)}


# ------------------------------------------------------------------ a column


def _learned(model: Checkpoint, task: Task) -> Numbers:
    """What a model of ours is, how it predicts, what it writes unaided."""
    return (
        {
            "parameters": sum(weight.size for weight in model.weights.values()),
            "steps": model.record.get("steps", math.nan),
        }
        | _predicted({name: measure_likelihood(model, some) for name, some in task.sets.items()})
        | _unaided(_composer(model), task)
    )


def _predicted(predictions: Mapping[str, Likelihood]) -> Numbers:
    numbers: Numbers = {}
    for name, one in predictions.items():
        numbers |= {
            f"held-out {name}/bits per note": one.bits_per_note,
            f"held-out {name}/tokens per note": one.tokens / max(1, one.notes),
            f"held-out {name}/illegal mass": one.illegal_mass,
        }
    return numbers


def _composer(model: Checkpoint, chain: MarkovChain | None = None) -> Composer:
    """Return a composer that uses a Markov chain instead of the model, without conditions."""
    composer = Composer(model)
    return composer.with_decoder(cast(Decoder, MarkovDecoder(chain))) if chain else composer


def _unaided(composer: Composer, task: Task) -> Numbers:
    """At temperature 1, nothing cut off, nothing masked."""
    found = grammar_statistics(
        composer.compose(task.short, task.seeds, GenerationConfig(Sampling(), use_grammar=False))
    )
    return {_VALID: found.valid, _PAIRED: found.paired}


def _as_users_get_it(
    composer: Composer, task: Task, index: QuotationIndex | None, critic: Critic | None
) -> Numbers:
    answers = compose_pairs(composer, task.chosen, task.seed, None, index, critic)
    return _composed(answers.excerpts, answers.scores, task)


def _masked(composer: Composer, task: Task) -> Numbers:
    """Generate with the mask of the grammar at temperature 1, without truncation. Keep the first
    draw.
    """
    rngs = [np.random.default_rng([seed, 0]) for seed in task.seeds]
    pieces = composer.draw(task.asked, rngs, GenerationConfig(Sampling()))
    scores = []
    for tokens, excerpt, asked in zip(pieces, task.chosen, task.asked, strict=True):
        home = asked.key.semitones_to_reference
        score = decode(tokens, asked.meter, asked.key.transpose(home)).transpose(-home)
        scores.append(excerpt.matching_bars(score))
    return _composed(task.chosen, scores, task)


def _markov(training: Sequence[PieceRecord], model: Checkpoint, task: Task) -> Numbers:
    chain = MarkovChain(
        [piece.tokens for piece in training], piece_repeats(training, KEYBOARD_REPEATS).tolist()
    )
    composer = _composer(model, chain)
    return (
        {"parameters": chain.grams}
        | _predicted({name: chain.measure_likelihood(some) for name, some in task.sets.items()})
        | _unaided(composer, task)
        | _masked(composer, task)
    )


def _remi(remi: RemiBaseline, task: Task) -> Numbers:
    unaided = remi.write(task.short, task.seeds)
    bars = [one.score.bars for one in task.chosen]
    answers = remi.write(task.asked, task.seeds, bars)
    scores = [
        one.matching_bars(piece.score) for one, piece in zip(task.chosen, answers, strict=True)
    ]
    return (
        {"parameters": remi.model.parameter_count, "steps": remi.steps}
        | _predicted({name: remi.measure_likelihood(some) for name, some in task.sets.items()})
        | {"held-out keyboard/come back note for note": remi.round_trip(task.sets["keyboard"])}
        | {"held-out other/come back note for note": remi.round_trip(task.sets["other"])}
        | {_VALID: float(np.mean([one.valid for one in unaided])), _PAIRED: _unmended(unaided)}
        | {"unaided/pieces unmended": float(np.mean([one.faultless for one in unaided]))}
        | {"unaided/as many bars as asked": float(np.mean([one.as_asked for one in unaided]))}
        | {"composed/notes unmended": _unmended(answers)}
        | _composed(task.chosen, scores, task)
    )


def _unmended(pieces: Sequence[Read]) -> float:
    """Share of the notes."""
    notes = sum(one.notes for one in pieces)
    return sum(one.notes * one.unmended for one in pieces) / max(1, notes)


# ------------------------------------------------------------------ beside real music


def _real(task: Task) -> Numbers:
    """What real excerpts say of each other."""
    scores = [one.score for one in task.chosen]
    found = _comparison(task.chosen, scores, task)
    return (
        {f"distance ratio/{one.name}": 1.0 for one in found.distances}
        | {f"per 100 notes/{rate.name}": rate.real for rate in found.counterpoint}
        | _inside({s.name: s.real_inside for s in (*found.phrases, *found.motifs)})
        | {_TONIC: found.phrases[0].real_mean, _QUALITY: mean_quality(scores)}
        | ({_AUC: found.two_sample.control_auc} if found.two_sample else {})
    )


def _composed(chosen: Sequence[Excerpt], scores: Sequence[Score], task: Task) -> Numbers:
    """What was composed to answer excerpts, beside these."""
    found = _comparison(chosen, scores, task)
    return (
        {"composed/pieces": len(scores)}
        | {f"distance ratio/{one.name}": one.ratio for one in found.distances}
        | {f"per 100 notes/{rate.name}": rate.composed for rate in found.counterpoint}
        | _inside({s.name: s.inside for s in (*found.phrases, *found.motifs)})
        | {_TONIC: found.phrases[0].composed_mean, _QUALITY: mean_quality(scores)}
        | (
            {_AUC: found.two_sample.auc, _ERROR: found.two_sample.standard_error}
            if found.two_sample
            else {}
        )
    )


def _comparison(chosen: Sequence[Excerpt], scores: Sequence[Score], task: Task) -> Comparison:
    works = [one.work for one in chosen]
    return compare([one.score for one in chosen], scores, works, task.seed)


def _inside(shares: Mapping[str, float]) -> Numbers:
    """But of what is yes or no."""
    return {f"in range/{name}": one for name, one in shares.items() if name not in BINARY_MEASURES}


# ------------------------------------------------------------------ to be read


def as_markdown(columns: Mapping[str, Numbers]) -> str:
    """Return one row for each measure, in the order of the longest column. Real music is last."""
    names = [name for name in columns if name != REAL] + [REAL] * (REAL in columns)
    longest_first = sorted(columns.values(), key=len, reverse=True)
    measures = dict.fromkeys(measure for column in longest_first for measure in column)
    rows = [["", *names], *([m.replace("_", " "), *_cells(columns, names, m)] for m in measures)]
    widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
    rows.insert(1, ["-" * width for width in widths])
    return "\n".join(
        "| " + " | ".join(f"{cell:<{w}}" for cell, w in zip(row, widths, strict=True)) + " |"
        for row in rows
    )


def _cells(columns: Mapping[str, Numbers], names: Sequence[str], measure: str) -> Iterator[str]:
    for name in names:
        value = columns[name].get(measure, math.nan)
        if math.isnan(value):
            yield "–"
        elif float(value).is_integer() and value > 1:
            yield f"{value:,.0f}"
        else:
            yield f"{value:.3g}" if value < 0.001 else f"{value:.3f}"


def _read(columns: Mapping[str, Mapping[str, float | None]]) -> dict[str, Numbers]:
    """What ``plain`` has made plain."""
    return {
        name: {m: math.nan if v is None else v for m, v in numbers.items()}
        for name, numbers in columns.items()
    }
