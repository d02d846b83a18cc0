"""Measure how well quality_score separates music from corrupted music; --fit fits it again.

Usage: python -m benchmarks quality_calibration --prepared FOLDER [--fit] [--pieces 3200]

FOLDER is a prepared corpus, best made with --min-quality-score 0. Weights are fitted on its
training split and measured on its validation split: each piece whole, and its last 16 bars,
against seven corruptions of it. A metric is dropped if the fit is as good without it, on a third
of the works of the training split. Prints the tables of docs/quality.md; --fit writes
src/bicinium/music/quality.json.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from joblib import Parallel, delayed
from sklearn.linear_model import LogisticRegression as SklearnRegression
from sklearn.metrics import log_loss, roc_auc_score

from benchmarks.logistic_fit import columns, scales_of, weights_of
from bicinium.atomic_write import atomic_write
from bicinium.data.corruptions import CORRUPTIONS, OTHER_LOWER_VOICE, other_lower_voice
from bicinium.data.piece_record import PieceRecord, score_of
from bicinium.data.shards import load_pieces
from bicinium.data.sources import KEYBOARD_STYLES
from bicinium.music.descriptors import QUALITY_METRICS, describe
from bicinium.music.excerpts import EXCERPT_BARS
from bicinium.music.logistic import LogisticRegression
from bicinium.music.quality import MODEL_PATH, quality, quality_model
from bicinium.music.score import Score, Voice

REAL = "music"
CORRUPTED = (*CORRUPTIONS, OTHER_LOWER_VOICE)
INVERSE_REGULARISATION = 0.3  # C of scikit-learn
MIN_GAIN = 0.001  # A metric is dropped if that raises the log-loss by a smaller share.


@dataclass(frozen=True)
class Sample:
    """The metrics of one piece, or of one corruption of it."""

    side: str  # "fit", "choose" or "held out"
    keyboard: bool
    whole: bool  # or the last bars only
    kind: str
    values: tuple[float, ...]


def main(arguments: Sequence[str]) -> None:
    """Measure, fit if asked to, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--prepared", type=Path, default=Path("data/prepared"))
    parser.add_argument("--fit", action="store_true")
    parser.add_argument("--pieces", type=int, default=3200)
    options = parser.parse_args(arguments)
    samples = gather(load_pieces(options.prepared), options.pieces)
    if options.fit:
        weights = fit(samples)
        write(weights, samples)
        quality_model.cache_clear()
    report(samples)
    speed(load_pieces(options.prepared)[::40])


def gather(pieces: Sequence[PieceRecord], max_pieces: int) -> list[Sample]:
    """Measure all keyboard pieces, and an even sample of others up to ``max_pieces``."""
    keyboard = [piece for piece in pieces if piece.style in KEYBOARD_STYLES]
    others = [piece for piece in pieces if piece.style not in KEYBOARD_STYLES]
    held_out = [piece for piece in others if piece.split == "validation"]
    trained = [piece for piece in others if piece.split == "train"]
    room = max(1, max_pieces - len(keyboard)) // 2
    chosen = [*keyboard, *evenly(held_out, room), *evenly(trained, room)]
    alike: dict[tuple[str, str, str], list[PieceRecord]] = {}
    for piece in chosen:
        alike.setdefault((piece.split, piece.meter, piece.mode), []).append(piece)
    work = []
    for index, piece in enumerate(chosen):
        rng = np.random.default_rng(index)
        strangers = [
            other
            for other in alike[piece.split, piece.meter, piece.mode]
            if other.composer != piece.composer
        ]
        if strangers:
            work.append((index, piece, strangers[rng.integers(len(strangers))]))
    measured = Parallel(n_jobs=-1)(delayed(samples_of)(*item) for item in work)
    return [sample for samples in measured for sample in samples]


def evenly(pieces: Sequence[PieceRecord], count: int) -> list[PieceRecord]:
    return list(pieces[:: max(1, len(pieces) // count)])


def samples_of(seed: int, piece: PieceRecord, stranger: PieceRecord) -> list[Sample]:
    """Measure a piece and its corruptions, whole and as their last bars."""
    rng = np.random.default_rng([seed, 1])
    side = "held out" if piece.split == "validation" else "fit"
    if side == "fit" and hashlib.sha256(piece.cluster.encode()).digest()[0] % 3 == 0:
        side = "choose"
    samples = []
    for whole in (True, False):
        score = score_of(piece) if whole else last_bars(score_of(piece), EXCERPT_BARS)
        made = {REAL: score}
        if min(len(voice.notes) for voice in score.voices) >= 2:
            made |= {kind: spoil(score, rng) for kind, spoil in CORRUPTIONS.items()}
            made[OTHER_LOWER_VOICE] = other_lower_voice(score, score_of(stranger))
        for kind, made_of_it in made.items():
            description = describe(made_of_it)
            values = tuple(description[f"quality/{name}"] for name in QUALITY_METRICS)
            if not np.isnan(values).all():
                samples.append(Sample(side, piece.style in KEYBOARD_STYLES, whole, kind, values))
    return samples


def last_bars(score: Score, bars: int) -> Score:
    """Return the last bars of a piece."""
    if score.bars <= bars:
        return score
    cut = (score.bars - bars) * score.meter.bar_ticks
    voices = tuple(
        Voice(
            tuple(
                replace(note, onset_tick=note.onset_tick - cut)
                for note in voice.notes
                if note.onset_tick >= cut
            )
        )
        for voice in score.voices
    )
    return replace(score, voices=voices, bars=bars, anacrusis_ticks=0)


# ------------------------------------------------------------------ fitting


def fit(samples: Sequence[Sample]) -> LogisticRegression:
    """Fit the logistic regression, dropping metrics that do not reduce the log-loss."""
    fitting = [sample for sample in samples if sample.side == "fit"]
    choosing = [sample for sample in samples if sample.side == "choose"]
    scales = scales_of_music(fitting)
    names = list(QUALITY_METRICS)
    loss = loss_of(names, scales, fitting, choosing)
    print(f"  log-loss with all {len(names)} metrics: {loss:.4f}")
    while True:
        without = {
            name: loss_of([n for n in names if n != name], scales, fitting, choosing)
            for name in names
        }
        least = min(without, key=lambda name: without[name])
        if without[least] > loss * (1 + MIN_GAIN):
            break
        names.remove(least)
        loss = min(loss, without[least])
        print(f"  dropped {least}: log-loss {without[least]:.4f}", flush=True)
    trained = fitting + choosing
    scales = scales_of_music(trained)
    model = regression(names, scales, trained)
    return weights_of(model, names, scales)


def measured(
    samples: Sequence[Sample], names: Sequence[str] = tuple(QUALITY_METRICS)
) -> np.ndarray:
    """Return (N, names) the values of some metrics."""
    places = [list(QUALITY_METRICS).index(name) for name in names]
    return np.array([sample.values for sample in samples])[:, places]


def scales_of_music(samples: Sequence[Sample]) -> dict[str, tuple[float, float]]:
    return scales_of(measured([s for s in samples if s.kind == REAL]), list(QUALITY_METRICS))


def emphasis(samples: Sequence[Sample]) -> np.ndarray:
    """Weight real music as much as all corruptions together, and keyboard music twice."""
    share = {REAL: 1.0} | dict.fromkeys(CORRUPTED, 1 / len(CORRUPTED))
    return np.array([share[s.kind] * (2.0 if s.keyboard else 1.0) for s in samples])


def is_real(samples: Sequence[Sample]) -> np.ndarray:
    return np.array([sample.kind == REAL for sample in samples])


def regression(
    names: Sequence[str], scales: dict[str, tuple[float, float]], samples: Sequence[Sample]
) -> SklearnRegression:
    model = SklearnRegression(C=INVERSE_REGULARISATION, max_iter=3000, tol=1e-3)
    return model.fit(
        columns(measured(samples, names), names, scales),
        is_real(samples),
        sample_weight=emphasis(samples),
    )


def loss_of(
    names: Sequence[str],
    scales: dict[str, tuple[float, float]],
    fitting: Sequence[Sample],
    choosing: Sequence[Sample],
) -> float:
    model = regression(names, scales, fitting)
    chances = model.predict_proba(columns(measured(choosing, names), names, scales))[:, 1]
    return float(log_loss(is_real(choosing), chances, sample_weight=emphasis(choosing)))


def write(weights: LogisticRegression, samples: Sequence[Sample]) -> None:
    """Write quality.json, with the command that made it."""
    sides = {
        side: sum(s.kind == REAL and s.whole and s.side == side for s in samples)
        for side in ("fit", "choose", "held out")
    }
    document = {
        "made_by": "python -m benchmarks quality_calibration --fit",
        "pieces": sides,
        **weights.to_json(),
    }
    with atomic_write(MODEL_PATH) as temporary:
        temporary.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


# ------------------------------------------------------------------ reporting


def report(samples: Sequence[Sample]) -> None:
    """Print the areas under the ROC curve, of the score and of each metric alone."""
    weights = quality_model(MODEL_PATH)
    index = {name: place for place, name in enumerate(QUALITY_METRICS)}
    held_out = [sample for sample in samples if sample.side == "held out"]

    def judged(sample: Sample) -> float:
        return weights.log_odds({name: sample.values[index[name]] for name in weights.coefficients})

    print(f"\n| held-out music | pieces | {' | '.join(CORRUPTED)} |")
    print("|---" * (len(CORRUPTED) + 2) + "|")
    for label, keep in (
        ("all, whole", lambda s: s.whole),
        ("keyboard, whole", lambda s: s.whole and s.keyboard),
        ("OpenScore, whole", lambda s: s.whole and not s.keyboard),
        (f"all, last {EXCERPT_BARS} bars", lambda s: not s.whole),
    ):
        chosen = [sample for sample in held_out if keep(sample)]
        count = sum(sample.kind == REAL for sample in chosen)
        areas = [area(chosen, [judged(s) for s in chosen], kind) for kind in CORRUPTED]
        print(f"| {label} | {count} | {' | '.join(f'{a:.3f}' for a in areas)} |")

    whole = [sample for sample in held_out if sample.whole]
    fitting = [sample for sample in samples if sample.side != "held out"]
    scales = scales_of_music(fitting)
    print(f"\n| metric alone | {' | '.join(CORRUPTED)} | kept |")
    print("|---" * (len(CORRUPTED) + 2) + "|")
    for name in QUALITY_METRICS:
        chances = regression([name], scales, fitting).decision_function(
            columns(measured(whole, [name]), [name], scales)
        )
        areas = [area(whole, chances.tolist(), kind) for kind in CORRUPTED]
        kept = "yes" if name in weights.coefficients else "no"
        print(f"| `{name}` | {' | '.join(f'{a:.2f}' for a in areas)} | {kept} |")

    print(f"\n| quality_score of held-out | {' | '.join(map(str, QUANTILES))} |")
    print("|---" * (len(QUANTILES) + 1) + "|")
    for kind in (REAL, *CORRUPTED):
        scores = [1 / (1 + np.exp(-judged(s))) for s in whole if s.kind == kind]
        row = np.percentile(scores, QUANTILES)
        print(f"| {kind} | {' | '.join(f'{q:.2f}' for q in row)} |")


QUANTILES = (1, 5, 25, 50, 75, 95, 99)


def area(samples: Sequence[Sample], judged: Sequence[float], kind: str) -> float:
    """Return the area under the ROC curve of real music against one corruption."""
    chosen = [(s.kind == REAL, j) for s, j in zip(samples, judged, strict=True)
              if s.kind in (REAL, kind)]  # fmt: skip
    truths, values = zip(*chosen, strict=True)
    return float(roc_auc_score(truths, values))


def speed(pieces: Sequence[PieceRecord]) -> None:
    scores = [score_of(piece) for piece in pieces]
    started = time.perf_counter()
    for score in scores:
        quality(score)
    milliseconds = 1000 * (time.perf_counter() - started) / len(scores)
    notes = sum(score.note_count for score in scores) / len(scores)
    print(f"\n  {milliseconds:.1f} ms a piece of {notes:.0f} notes")
