"""Measure the self-similarity of real and of composed music.

Usage: python -m benchmarks self_similarity [--data data/prepared] [--pieces 64] [--model FILE]

The benchmark prints the mean and deviation of the share of notes that repeat a motif: for real
music by style and length (4 to 64 bars), and for composed pieces of 16 bars by
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
MIN_CONFIDENCE = 4  # three intervals and their durations agree
MAX_PIECES, MIN_EXCERPTS = 150, 10


def main(arguments: Sequence[str]) -> None:
    """Measure real and composed music and print the results."""
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
        some = [pieces[i] for i in rng.permutation(len(pieces))[:MAX_PIECES]]
        found = [motif_shares(some, bars, rng) for bars in LENGTHS]
        cells = [
            f"{np.mean(f):.2f} ± {np.std(f):.2f}" if len(f) >= MIN_EXCERPTS else "-" for f in found
        ]
        print(f"  {style:<13} {len(pieces):>5} pieces  {'  '.join(f'{c:>11}' for c in cells)}")
    composer = Composer(load_checkpoint(options.model))
    print(f"{options.pieces} composed pieces of {EXCERPT_BARS} bars each, by motif strength")
    for strength in STRENGTHS:
        found = [motif_share(score) for score in composed(composer, strength, options.pieces)]
        deciles = " ".join(f"{d:.2f}" for d in np.quantile(found, (0.1, 0.5, 0.9)))
        print(f"  {strength:.1f}: {np.mean(found):.2f} ± {np.std(found):.2f}, deciles {deciles}")


def motif_shares(pieces: Sequence[PieceRecord], bars: int, rng: np.random.Generator) -> list[float]:
    """Return the shares of the first bars of each piece and of bars at random."""
    found = []
    for piece in pieces:
        if piece.bars < bars:
            continue
        try:
            score = score_of(piece)
        except BiciniumError:
            continue
        starts = {0, int(rng.integers(piece.bars - bars + 1))}
        found += [motif_share(extract_bars(score, start, bars)) for start in starts]
    return [share for share in found if not np.isnan(share)]


def motif_share(score: Score) -> float:
    """Return the share of notes that continue an earlier figure of three or more steps.

    A note counts if its onset and pitch continue the figure as before, in either voice, in the key
    of the model inputs.
    """
    at_home = score.transpose(score.key.semitones_to_reference) if score.key else score
    notes = [
        (n.onset_tick, part, n.pitch) for part, v in enumerate(at_home.voices) for n in v.notes
    ]
    predictor, again = MotifPredictor(), 0
    expected: dict[int, tuple[int, MotifPrediction]] = {}
    for tick, part, pitch in sorted(notes):
        since, due = expected.get(part, (0, NO_PREDICTION))
        again += due.confidence >= MIN_CONFIDENCE and (since + due.ticks, due.pitch) == (
            tick,
            pitch,
        )
        expected[part] = tick, predictor.observe(part, tick, pitch)
    return again / len(notes) if notes else math.nan


def composed(composer: Composer, strength: float, count: int) -> list[Score]:
    """Compose pieces with the default settings except the motif strength."""
    asked = ComposeRequest().conditions(range(count), composer.styles)
    config = GenerationConfig(
        replace(DEFAULT_SAMPLING, motif_strength=strength), constraints=Constraints()
    )
    pieces = composer.compose(asked, range(count), config)
    return [piece.score for piece in pieces if piece.score]
