"""Fit the critic, and test whether it makes composed pieces harder to tell from real music.

Usage: python -m benchmarks critic compose --data FOLDER --pieces FILE [--model M] [--count 500]
                                          [--others 0]
       python -m benchmarks critic fit --pieces FILE [--model M]
       python -m benchmarks critic choose --pieces FILE [--best-of 12]

FOLDER is a prepared corpus. ``compose`` composes --candidates pieces for each of --count excerpts
of keyboard music and --others excerpts of other music, with the conditions of the excerpt. The
excerpts are from the training split, or with --held-out from the validation split. FILE is written
in parts, so the command can be interrupted. ``fit`` fits the critic (``generation.critic``) on FILE
and writes it beside the model. ``choose`` keeps the best of the first 1, 2, … candidates of
held-out excerpts and applies the two-sample test, with the measures of the critic and with others.
"""

from __future__ import annotations

import argparse
import pickle
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from benchmarks.logistic_fit import Scales, columns, scales_of, weights_of
from bicinium.atomic_write import atomic_write
from bicinium.evaluation.composition_metrics import mean_quality
from bicinium.evaluation.distributions import compare
from bicinium.evaluation.reference_music import (
    Excerpt,
    choose_excerpts,
    load_evaluation_corpus,
    repertoire,
)
from bicinium.evaluation.two_sample import cross_validated_auc
from bicinium.generation.candidates import Finished
from bicinium.generation.composer import Composer
from bicinium.generation.composition import Composition
from bicinium.generation.config import GenerationConfig
from bicinium.generation.constraints.config import Constraints
from bicinium.generation.critic import Critic, critic_path
from bicinium.generation.gbdt import GradientBoostedTrees, Tree
from bicinium.generation.memorization import QuotationIndex, quotations_path
from bicinium.generation.rerank import DEFAULT_BEST_OF, Selection
from bicinium.model.checkpoint import DEFAULT_MODEL, load_checkpoint
from bicinium.music.descriptors import describe, lines
from bicinium.music.score import Score

Floats = NDArray[np.float64]

CHUNK = 64  # excerpts
FOLDS = 5
TREES, LEAVES = 400, 6
STRENGTHS = (0.003, 0.01, 0.03, 0.1, 0.3)  # of scikit-learn's C
CONFIG = GenerationConfig(constraints=Constraints())
_ONSET, _PITCH = 0, 1  # rows of ``Columns``
_BOUNDS = (-7, -2, 0, 1, 3, 8)  # of steps: leap, third, step down; same; up
_PLACES = 8  # of the bar, and of the piece


@dataclass
class Answered:
    """Excerpts, and for each the pieces composed for it, in the order of their seeds."""

    asked: dict[str, str]  # of the command line, what decides them
    excerpts: list[Excerpt]
    candidates: list[list[Composition]]


def main(arguments: Sequence[str]) -> None:
    """Run one of the three tasks."""
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
    parser.add_argument("--best-of", type=int, default=DEFAULT_BEST_OF)
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
    material = load_evaluation_corpus(options.data, checkpoint.exclude_styles)
    pieces = material.pieces if options.held_out else material.training_pieces
    others = [piece for piece in pieces if repertoire(piece) == "other"]
    chosen = choose_excerpts(pieces, options.count, checkpoint.config)
    chosen += choose_excerpts(others, options.others, checkpoint.config) if options.others else []
    names = ("data", "model", "count", "others", "candidates", "held_out")
    about = {name: str(getattr(options, name)) for name in names}
    answered = _read(options.pieces) if options.pieces.exists() else Answered(about, [], [])
    if answered.asked != about:
        sys.exit(f"{options.pieces} holds other pieces, of {answered.asked}: name another file")
    composer = Composer(checkpoint)
    started = time.perf_counter()
    for first in range(len(answered.excerpts), len(chosen), CHUNK):
        some = chosen[first : first + CHUNK]
        results = composer.generate(
            [one.conditions(composer.config) for one in some],
            range(first, first + len(some)),
            CONFIG,
            Selection(options.candidates, eliminate=False),
        )
        found = {one.index: list(one.valid) for one in results if isinstance(one, Finished)}
        answered.excerpts += some
        answered.candidates += [found.get(i, []) for i in range(len(some))]
        with atomic_write(options.pieces) as temporary:
            temporary.write_bytes(pickle.dumps(answered))
        seconds = time.perf_counter() - started
        print(f"  {len(answered.excerpts)} of {len(chosen)}, {seconds:.0f} s", flush=True)


def _read(path: Path) -> Answered:
    found = pickle.loads(path.read_bytes())
    assert isinstance(found, Answered)
    return found


# ------------------------------------------------------------------ fitting


@dataclass(frozen=True, slots=True)
class Measured:
    """The numbers of excerpts, and after them those of all their candidates."""

    names: list[str]
    values: Floats  # (N, names)
    is_real: NDArray[np.bool_]
    weight: Floats  # real music weighs as much as all the candidates together
    work: NDArray[np.integer]  # of the excerpt, or of that which is answered
    pieces: list[tuple[int, Composition]]  # the excerpt's place, and a candidate for it

    def take(self, rows: NDArray[np.bool_]) -> Measured:
        """The numbers of these alone, each weighing what it did."""
        return replace(
            self,
            values=self.values[rows],
            is_real=self.is_real[rows],
            weight=self.weight[rows],
            work=self.work[rows],
        )

    def folds(self, seed: int) -> NDArray[np.integer]:
        """(N,) a fold for each, the same for all of a work."""
        rng = np.random.default_rng(seed)
        return (rng.permutation(self.work.max() + 1) % FOLDS)[self.work]


def _measured(answered: Answered) -> Measured:
    """Of all excerpts that have a candidate."""
    pieces = [
        (i, piece)
        for i, candidates in enumerate(answered.candidates)
        for piece in candidates
        if piece.score
    ]
    places = np.array([i for i, _ in pieces])
    kept = np.unique(places)
    of = answered.excerpts
    real = [describe(of[i].score) for i in kept]
    composed = [describe(of[i].matching_bars(piece.score)) for i, piece in pieces if piece.score]
    names = list(real[0])
    works = np.unique([one.work for one in of], return_inverse=True)[1]
    return Measured(
        names,
        np.array([[one[name] for name in names] for one in (*real, *composed)]),
        np.repeat([True, False], [len(real), len(composed)]),
        np.repeat([1.0, len(real) / len(composed)], [len(real), len(composed)]),
        works[np.concatenate([kept, places])],
        pieces,
    )


def fit(answered: Answered, model: Path) -> None:
    """Fit a logistic regression and boosted trees, and write them beside the model.

    Regularisation is chosen by cross-validation over works. Real music has the same total weight as
    all candidates.
    """
    seen = _measured(answered)
    of_trees = _said_unseen(seen, 0, partial(_trees_judge, seed=0))
    areas = {}
    for strength in STRENGTHS:
        said = _said_unseen(seen, 0, partial(_regression_judge, strength=strength)) + of_trees
        areas[strength] = float(roc_auc_score(seen.is_real, said))
        print(f"  C {strength:g}: area under the curve {areas[strength]:.3f} on other works")
    best = max(areas, key=lambda strength: areas[strength])
    fitted, scales = _regression(seen, best)
    about = {
        "made_by": "python -m benchmarks critic fit",
        "excerpts": int(seen.is_real.sum()),
        "candidates": len(seen.pieces),
        "works": len(np.unique(seen.work)),
        "area_under_the_curve": round(areas[best], 3),
    }
    weights, trees = weights_of(fitted, seen.names, scales), _as_trees(seen, *_boosted(seen, 0))
    Critic(weights, trees).save(critic_path(model), about)
    print(f"  {critic_path(model)}: {len(seen.names)} numbers, {seen.is_real.sum()} excerpts")


Judge: TypeAlias = Callable[[Floats], Floats]  # (N, names) numbers → (N,) log-odds of real music


def _said_unseen(seen: Measured, seed: int, fit_judge: Callable[[Measured], Judge]) -> Floats:
    """(N,) what judges say that were fitted on other works only."""
    fold_of, said = seen.folds(seed), np.zeros(len(seen.values))
    for fold in range(FOLDS):
        other = fold_of == fold
        said[other] = fit_judge(seen.take(~other))(seen.values[other])
    return said


def _regression(seen: Measured, strength: float) -> tuple[LogisticRegression, Scales]:
    scales = scales_of(seen.values[seen.is_real], seen.names)
    x = columns(seen.values, seen.names, scales)
    return LogisticRegression(C=strength, max_iter=3000).fit(x, seen.is_real, seen.weight), scales


def _regression_judge(seen: Measured, strength: float) -> Judge:
    regression, scales = _regression(seen, strength)
    return lambda values: np.asarray(
        regression.decision_function(columns(values, seen.names, scales))
    )


def _boosted(seen: Measured, seed: int) -> tuple[GradientBoostingClassifier, Floats]:
    """Return the trees, and (names,) the values that replace missing numbers."""
    instead = np.nanmedian(seen.values[seen.is_real], axis=0)
    trees = GradientBoostingClassifier(
        init="zero",
        n_estimators=TREES,
        learning_rate=0.05,
        max_leaf_nodes=LEAVES,
        max_depth=None,
        max_features="sqrt",
        subsample=0.7,
        min_samples_leaf=10,
        random_state=seed,
    )
    return trees.fit(_whole(seen.values, instead), seen.is_real, seen.weight), instead


def _whole(values: Floats, instead: Floats) -> Floats:
    return np.where(np.isnan(values), instead, values)


def _trees_judge(seen: Measured, seed: int) -> Judge:
    trees, instead = _boosted(seen, seed)
    return lambda values: np.asarray(trees.decision_function(_whole(values, instead)))


def _as_trees(
    seen: Measured, trees: GradientBoostingClassifier, instead: Floats
) -> GradientBoostedTrees:
    """What was grown, to six places of a number and four of a log-odds."""

    def grown(tree: Any, node: int) -> Tree:
        if tree.children_left[node] < 0:
            return round(trees.learning_rate * float(tree.value[node, 0, 0]), 4)
        return (
            seen.names[tree.feature[node]],
            float(f"{tree.threshold[node]:.6g}"),
            grown(tree, tree.children_left[node]),
            grown(tree, tree.children_right[node]),
        )

    middle = {name: float(f"{x:.6g}") for name, x in zip(seen.names, instead, strict=True)}
    return GradientBoostedTrees(
        tuple(grown(one.tree_, 0) for one in trees.estimators_[:, 0]), middle
    )


# ------------------------------------------------------------------ choosing


def choose(answered: Answered, model: Path, most: int) -> None:
    """Run the two-sample test on the first candidate, the best of two, …, and by quality alone."""
    index = QuotationIndex.load(quotations_path(model))
    critic = Critic.for_model(model)
    print("| chosen | AUC | unseen numbers | control | quality | largest ratio | draws |")
    print("|---|---|---|---|---|---|---|")
    for best_of, judge, name in (
        (1, None, "the first"),
        *((count, critic, f"best of {count}") for count in range(2, most + 1)),
        (most, None, f"best of {most} without the critic"),
    ):
        selection = Selection(best_of, index, judge)
        chosen = {
            i: selection.best([selection.candidate(piece) for piece in some[:best_of]], CONFIG)
            for i, some in enumerate(answered.candidates)
            if some
        }
        real = [answered.excerpts[i] for i in chosen]
        scores = [one.matching_bars(chosen[i].score) for i, one in zip(chosen, real, strict=True)]
        found = compare([one.score for one in real], scores, [one.work for one in real])
        test = found.two_sample
        assert test is not None
        unseen = unseen_numbers_test(real, scores)
        largest = max(one.ratio for one in found.distances)
        draws = np.mean([piece.draws for some in answered.candidates for piece in some[:best_of]])
        print(
            f"| {name} | {test.auc:.3f} ± {test.standard_error:.3f} | {unseen:.3f} "
            f"| {test.control_auc:.3f} "
            f"| {mean_quality(scores):.3f} | {largest:.2f} | {best_of * draws:.1f} |",
            flush=True,
        )
        if best_of == most and judge:
            for one in test.features:
                print(
                    f"    {one.name}: {one.importance:.3f}, alone {one.single_auc:.2f}, "
                    f"real {one.real_mean:.3f}, composed {one.composed_mean:.3f}"
                )
            for spread in (*found.phrases, *found.motifs):
                print(f"    {spread.name}: {spread.inside:.0%} (real {spread.real_inside:.0%})")


def unseen_numbers_test(real: Sequence[Excerpt], scores: Sequence[Score]) -> float:
    """Return the AUC of the same test on numbers that the critic does not use.

    These are pairs of successive steps, onsets in each eighth of the bar and of the piece, and the
    change of pitch along the piece.
    """
    groups = np.unique([one.work for one in real], return_inverse=True)[1]
    x = np.array([_unseen(score) for score in (*(one.score for one in real), *scores)])
    labels = np.repeat([0, 1], [len(real), len(scores)])
    return cross_validated_auc(x, labels, np.tile(groups, 2), 0, 4)[0]


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
