"""Can the model's own pieces be told from real music, and does choosing among candidates help?

Usage: python -m benchmarks critic compose --data FOLDER --pieces FILE [--model M] [--count 500]
                                          [--others 0]
       python -m benchmarks critic fit --pieces FILE [--model M]
       python -m benchmarks critic choose --pieces FILE [--best-of 6]

FOLDER is what ``bicinium corpus prepare`` wrote. ``compose`` answers --count excerpts of its
training side (of its held-out side with --held-out), of keyboard music first, and besides --others
of other music; --candidates for each; and keeps them in FILE, chunk by chunk: it can be stopped and
goes on. ``fit`` fits the critic (``composing.critic``) on these and writes it beside the model.
``choose`` takes, of the first 1, 2, … candidates of held-out excerpts, those that score best, and
puts them to the two-sample test: on the numbers that the critic knows, and on others that it does
not.
"""

from __future__ import annotations

import argparse
import pickle
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from benchmarks.weighing import columns, scales_of, weights_of
from bicinium.composing.composer import Composer, Manner
from bicinium.composing.composition import Composition
from bicinium.composing.constraints import Constraints
from bicinium.composing.critic import Critic, critic_path
from bicinium.composing.originality import QuotationIndex, quotations_path
from bicinium.composing.ranking import BEST_OF, best_of_each, each_candidate
from bicinium.corpus.metrics import features, lines
from bicinium.evaluation.compare import compare, told_apart
from bicinium.evaluation.evaluate import mean_quality
from bicinium.evaluation.material import Excerpt, excerpts, load_material, set_of
from bicinium.model.checkpoint import DEFAULT_MODEL, load_checkpoint
from bicinium.score.notes import Score
from bicinium.writing import whole_file

Floats = NDArray[np.float64]

CHUNK = 64  # excerpts
FOLDS = 5
STRENGTHS = (0.003, 0.01, 0.03, 0.1, 0.3)  # of scikit-learn's C
_ONSET, _PITCH = 0, 1  # rows of ``Columns``
_BOUNDS = (-7, -2, 0, 1, 3, 8)  # of steps: leap, third, step down; same; up
_PLACES = 8  # of the bar, and of the piece


@dataclass
class Answered:
    """Excerpts, and of each the candidates that answer it, in the order of their seeds."""

    asked: dict[str, str]  # of the command line, what decides them
    excerpts: list[Excerpt]
    candidates: list[list[Composition]]


def main(arguments: Sequence[str]) -> None:
    """One of the three."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("task", choices=["compose", "fit", "choose"])
    parser.add_argument("--data", type=Path, default=Path("data/prepared"))
    parser.add_argument("--model", type=Path, default=DEFAULT_MODEL)
    parser.add_argument("--pieces", type=Path, required=True)
    parser.add_argument("--count", type=int, default=500, help="of excerpts")
    parser.add_argument("--others", type=int, default=0, help="of other music, besides")
    parser.add_argument("--candidates", type=int, default=1, help="for each excerpt")
    parser.add_argument("--held-out", action="store_true")
    parser.add_argument("--best-of", type=int, default=BEST_OF)
    options = parser.parse_args(arguments)
    if options.task == "compose":
        compose(options)
    elif options.task == "fit":
        fit(_read(options.pieces), options.model)
    else:
        choose(_read(options.pieces), options.model, options.best_of)


# ------------------------------------------------------------------ composing


def compose(options: argparse.Namespace) -> None:
    """With the usual sampling and constraints; goes on where FILE stops."""
    checkpoint = load_checkpoint(options.model)
    material = load_material(options.data, checkpoint.styles_left_out)
    pieces = material.pieces if options.held_out else material.trained_on
    others = [piece for piece in pieces if set_of(piece) == "other"]
    chosen = excerpts(pieces, options.count, checkpoint.config)
    chosen += excerpts(others, options.others, checkpoint.config) if options.others else []
    names = ("data", "model", "count", "others", "candidates", "held_out")
    about = {name: str(getattr(options, name)) for name in names}
    answered = _read(options.pieces) if options.pieces.exists() else Answered(about, [], [])
    if answered.asked != about:
        sys.exit(f"{options.pieces} holds other pieces, of {answered.asked}: name another file")
    composer = Composer(checkpoint, dtype=np.float32)
    started = time.perf_counter()
    for first in range(len(answered.excerpts), len(chosen), CHUNK):
        some = chosen[first : first + CHUNK]
        asked, seeds = each_candidate(
            [one.conditions(composer.config) for one in some],
            range(first, first + len(some)),
            options.candidates,
        )
        found, _ = composer.attempt(asked, seeds, Manner(constraints=Constraints()))
        answered.excerpts += some
        answered.candidates += [
            [
                found[place]
                for place in range(i * options.candidates, (i + 1) * options.candidates)
                if place in found
            ]
            for i in range(len(some))
        ]
        with whole_file(options.pieces) as temporary:
            temporary.write_bytes(pickle.dumps(answered))
        seconds = time.perf_counter() - started
        print(f"  {len(answered.excerpts)} of {len(chosen)}, {seconds:.0f} s", flush=True)


def _read(path: Path) -> Answered:
    found = pickle.loads(path.read_bytes())
    assert isinstance(found, Answered)
    return found


# ------------------------------------------------------------------ fitting


def fit(answered: Answered, model: Path) -> None:
    """Logistic regression, as strong as predicts other works best; written beside the model.

    Real music weighs as much as all the candidates together.
    """
    real, composed, works, works_of_composed = [], [], [], []
    for excerpt, candidates in zip(answered.excerpts, answered.candidates, strict=True):
        scores = [excerpt.cut_alike(piece.score) for piece in candidates if piece.score]
        if scores:
            real.append(features(excerpt.score))
            works.append(excerpt.work)
            composed += [features(score) for score in scores]
            works_of_composed += [excerpt.work] * len(scores)
    names = list(real[0])
    values = np.array([[one[name] for name in names] for one in (*real, *composed)])
    is_real = np.repeat([1, 0], [len(real), len(composed)])
    weight = np.where(is_real == 1, 1.0, len(real) / len(composed))
    groups = np.unique(works + works_of_composed, return_inverse=True)[1]
    fold_of = (np.random.default_rng(0).permutation(groups.max() + 1) % FOLDS)[groups]
    areas = {}
    for strength in STRENGTHS:
        said = np.zeros(len(values))
        for fold in range(FOLDS):
            fitting, other = fold_of != fold, fold_of == fold
            scales = scales_of(values[fitting & (is_real == 1)], names)
            regression = _regression(strength).fit(
                columns(values[fitting], names, scales), is_real[fitting], weight[fitting]
            )
            said[other] = regression.decision_function(columns(values[other], names, scales))
        areas[strength] = float(roc_auc_score(is_real, said))
        print(f"  C {strength:g}: area under the curve {areas[strength]:.3f} on other works")
    best = max(areas, key=lambda strength: areas[strength])
    scales = scales_of(values[is_real == 1], names)
    fitted = _regression(best).fit(columns(values, names, scales), is_real, weight)
    about = {
        "made_by": "python -m benchmarks critic fit",
        "excerpts": len(real),
        "candidates": len(composed),
        "works": int(groups.max()) + 1,
        "area_under_the_curve": round(areas[best], 3),
    }
    Critic(weights_of(fitted, names, scales)).save(critic_path(model), about)
    print(f"  {critic_path(model)}: {len(names)} numbers, {len(real)} excerpts")


def _regression(strength: float) -> LogisticRegression:
    return LogisticRegression(C=strength, max_iter=3000)


# ------------------------------------------------------------------ choosing


def choose(answered: Answered, model: Path, most: int) -> None:
    """The two-sample test for the first candidate, the best of two, …, and by quality alone."""
    index = QuotationIndex.load(quotations_path(model))
    critic = Critic.of_model(model)
    print("| chosen | AUC | unseen numbers | control | quality | largest ratio | draws |")
    print("|---|---|---|---|---|---|---|")
    for best_of, judge, name in (
        (1, None, "the first"),
        *((count, critic, f"best of {count}") for count in range(2, most + 1)),
        (most, None, f"best of {most} without the critic"),
    ):
        flat = {
            i * best_of + place: piece
            for i, some in enumerate(answered.candidates)
            for place, piece in enumerate(some[:best_of])
            if piece.score
        }
        chosen = best_of_each(flat, best_of, index, judge)
        real = [answered.excerpts[i] for i in chosen]
        scores = [one.cut_alike(chosen[i].score) for i, one in zip(chosen, real, strict=True)]
        found = compare([one.score for one in real], scores, [one.work for one in real])
        test = found.two_sample
        assert test is not None
        unseen = unseen_numbers_test(real, scores)
        largest = max(one.ratio for one in found.distances)
        draws = np.mean([piece.draws for some in answered.candidates for piece in some[:best_of]])
        print(
            f"| {name} | {test.auc:.3f} ± {test.error:.3f} | {unseen:.3f} | {test.control:.3f} "
            f"| {mean_quality(scores):.3f} | {largest:.2f} | {best_of * draws:.1f} |",
            flush=True,
        )
        if best_of == most and judge:
            for one in test.telling:
                print(
                    f"    {one.name}: {one.importance:.3f}, alone {one.alone:.2f}, "
                    f"real {one.real_mean:.3f}, composed {one.composed_mean:.3f}"
                )
            for spread in (*found.phrases, *found.motifs):
                print(f"    {spread.name}: {spread.inside:.0%} (real {spread.real_inside:.0%})")


def unseen_numbers_test(real: Sequence[Excerpt], scores: Sequence[Score]) -> float:
    """The AUC of the same test on what the critic is not told: pairs of neighbouring steps, how
    many notes begin in each eighth of the bar and of the piece, how heights change along the piece.
    """
    groups = np.unique([one.work for one in real], return_inverse=True)[1]
    x = np.array([_unseen(score) for score in (*(one.score for one in real), *scores)])
    labels = np.repeat([0, 1], [len(real), len(scores)])
    return told_apart(x, labels, np.tile(groups, 2), 0, 4)[0]


def _unseen(score: Score) -> Floats:
    found: list[Floats] = []
    for line in lines(score):
        step = np.searchsorted(_BOUNDS, np.diff(line[_PITCH]), side="right")
        pairs = step[:-1] * (len(_BOUNDS) + 1) + step[1:]
        found.append(np.bincount(pairs, minlength=(len(_BOUNDS) + 1) ** 2) / max(1, len(pairs)))
        onset, bar = line[_ONSET], score.meter.bar_ticks
        place = onset % bar * _PLACES // bar
        found.append(np.bincount(place, minlength=_PLACES) / max(1, len(onset)))
        part = onset * _PLACES // max(1, score.end_tick)
        held = np.bincount(part, minlength=_PLACES)
        found.append(held / max(1, len(onset)))
        height = np.bincount(part, weights=line[_PITCH], minlength=_PLACES)
        with np.errstate(invalid="ignore"):
            found.append(np.diff(height / held))
    return np.concatenate(found)
