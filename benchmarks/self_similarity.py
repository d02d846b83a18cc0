"""How much does music say again, and how much do composed pieces?

Usage: python -m benchmarks self_similarity [--data data/prepared] [--pieces 64] [--model FILE]

Of the training side, by style, the mean share of notes with which a figure is said again in 4 to 64
bars, and its deviation; then the same of composed pieces of sixteen bars in the usual styles, by
``Sampling.motif_strength``.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from bicinium.data.piece_record import PieceRecord, score_of
from bicinium.data.shards import load_pieces
from bicinium.errors import BiciniumError
from bicinium.generation.composer import Composer
from bicinium.generation.config import GenerationConfig
from bicinium.generation.constraints.config import Constraints
from bicinium.generation.sampling import DEFAULT_SAMPLING
from bicinium.model.checkpoint import DEFAULT_MODEL, load_checkpoint
from bicinium.model.inputs.motif_predictor import NO_PREDICTION, MotifPrediction, MotifPredictor
from bicinium.music.excerpts import EXCERPT_BARS, extract_bars
from bicinium.music.score import Score
from bicinium.request import ComposeRequest

LENGTHS = (4, 8, 16, 32, 64)  # bars
STRENGTHS = (0.0, 0.5, 1.0, 1.5, 2.0)
SURE = 4  # the confidence of three steps with their ticks
MOST_PIECES, FEWEST = 150, 10


def main(arguments: Sequence[str]) -> None:
    """Measure, compose, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("data/prepared"))
    parser.add_argument("--pieces", type=int, default=64)
    parser.add_argument("--model", type=Path, default=DEFAULT_MODEL)
    options = parser.parse_args(arguments)
    by_style: dict[str, list[PieceRecord]] = {}
    for piece in load_pieces(options.data):
        if piece.split == "train" and piece.style:
            by_style.setdefault(piece.style, []).append(piece)
    rng = np.random.default_rng(0)
    print(f"mean and deviation in {', '.join(map(str, LENGTHS))} bars of real music")
    for style, pieces in sorted(by_style.items()):
        some = [pieces[i] for i in rng.permutation(len(pieces))[:MOST_PIECES]]
        found = [shares_of(some, bars, rng) for bars in LENGTHS]
        cells = [f"{np.mean(f):.2f} ± {np.std(f):.2f}" if len(f) >= FEWEST else "-" for f in found]
        print(f"  {style:<13} {len(pieces):>5} pieces  {'  '.join(f'{c:>11}' for c in cells)}")
    composer = Composer(load_checkpoint(options.model), dtype=np.float32)
    print(f"{options.pieces} composed pieces of {EXCERPT_BARS} bars each, by recurrence")
    for strength in STRENGTHS:
        found = [share_of(score) for score in composed(composer, strength, options.pieces)]
        deciles = " ".join(f"{d:.2f}" for d in np.quantile(found, (0.1, 0.5, 0.9)))
        print(f"  {strength:.1f}: {np.mean(found):.2f} ± {np.std(found):.2f}, deciles {deciles}")


def shares_of(pieces: Sequence[PieceRecord], bars: int, rng: np.random.Generator) -> list[float]:
    """Of the first bars of each piece, and of some at random."""
    found = []
    for piece in pieces:
        if piece.bars < bars:
            continue
        try:
            score = score_of(piece)
        except BiciniumError:
            continue
        starts = {0, int(rng.integers(piece.bars - bars + 1))}
        found += [share_of(extract_bars(score, start, bars)) for start in starts]
    return [share for share in found if not np.isnan(share)]


def share_of(score: Score) -> float:
    """Of the notes of a score, in the key that the model would see it in, the share that is said
    again: where and when three steps or more that came before, in either voice, went on then.
    """
    at_home = score.transpose(score.key.semitones_to_reference) if score.key else score
    notes = [
        (n.onset_tick, part, n.pitch) for part, v in enumerate(at_home.voices) for n in v.notes
    ]
    predictor, again = MotifPredictor(), 0
    expected: dict[int, tuple[int, MotifPrediction]] = {}
    for tick, part, pitch in sorted(notes):
        since, due = expected.get(part, (0, NO_PREDICTION))
        again += due.confidence >= SURE and (since + due.ticks, due.pitch) == (tick, pitch)
        expected[part] = tick, predictor.observe(part, tick, pitch)
    return again / len(notes) if notes else math.nan


def composed(composer: Composer, strength: float, count: int) -> list[Score]:
    """First candidates, as users get them but for that."""
    asked = ComposeRequest().conditions(range(count), composer.styles)
    config = GenerationConfig(
        replace(DEFAULT_SAMPLING, motif_strength=strength), constraints=Constraints()
    )
    pieces = composer.compose(asked, range(count), config)
    return [piece.score for piece in pieces if piece.score]
