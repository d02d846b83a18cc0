"""How the bars of pieces return: real music, and pieces composed after planned forms.

Usage: python -m benchmarks form --model MODEL --data PREPARED [--pieces N]

Two tables. The first has the labels of ``music.form`` in excerpts of 16 bars from the beginning of
held-out pieces, and in first draws of 16 bars: shares of the bars in which three notes or more
begin; and closes before the last bar. The second has how many planned labels are found in the
notes: of what kind the bar is, and (for returns) whether the whole label is the same.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks.report import Table
from bicinium.api import load_composer
from bicinium.data.piece_record import PieceRecord, score_of
from bicinium.data.shards import load_pieces
from bicinium.data.sources import KEYBOARD_STYLES
from bicinium.generation.composition import Composition
from bicinium.generation.conditions import Conditions
from bicinium.generation.config import GenerationConfig
from bicinium.generation.constraints.config import DEFAULT_CONSTRAINTS
from bicinium.generation.rerank import Selection
from bicinium.generation.sampling import DEFAULT_SAMPLING
from bicinium.music.excerpts import extract_bars
from bicinium.music.form import RETURNS, Close, Form, form_of_score
from bicinium.music.key import REFERENCE_KEYS
from bicinium.music.score import Meter

BARS = 16
FAR = (4, 8)  # bars ago, after which phrases return


def label_shares(forms: Iterable[Form]) -> dict[str, float]:
    """Return the share of each kind of label, in percent, and closes in 16 bars."""
    kinds: Counter[str] = Counter()
    backs: Counter[int] = Counter()
    bars = closes = 0
    for form in forms:
        bars += form.bars - 1
        closes += sum(close > Close.NONE for close in form.closes[:-1])
        for label in (label for voice in form.labels for label in voice):
            kinds[f"{label.kind.name.lower()}{', other voice' * label.other}"] += 1
            backs[label.back] += label.kind in RETURNS
    few = kinds.pop("silent", 0) + kinds.pop("sparse", 0)
    total = max(1, kinds.total())
    shares = {name: 100 * count / total for name, count in sorted(kinds.items())}
    far = 100 * sum(backs[back] for back in FAR) / max(1, backs.total())
    return shares | {
        "after 4 or 8 bars, of all returns": far,
        "bars of fewer than three notes, of all": 100 * few / (few + total),
        "closes before the last bar, in 16 bars": BARS * closes / max(1, bars),
    }


def obedience(pieces: Iterable[Composition]) -> dict[str, tuple[int, int]]:
    """Return for each kind of planned bar and close how many there are, and how many are found."""
    planned: Counter[str] = Counter()
    found: Counter[str] = Counter()
    for piece in pieces:
        asked = piece.conditions.form
        if asked is None or piece.score is None:
            continue
        form = form_of_score(piece.score.transpose(piece.conditions.key.semitones_to_reference))
        for labels, heard in zip(asked.labels, form.labels, strict=True):
            for label, other in zip(labels, heard, strict=False):
                name = label.kind.name.lower()
                planned[name] += 1
                found[name] += label.kind == other.kind
                if label.kind in RETURNS:
                    planned["a return, of any kind"] += 1
                    found["a return, of any kind"] += other.kind in RETURNS
                    planned["a return, the same label"] += 1
                    found["a return, the same label"] += label == other
        for close, heard_close in zip(asked.closes, form.closes, strict=False):
            name = f"close {close.name.lower()}"
            planned[name] += 1
            found[name] += close == heard_close
    return {name: (count, found[name]) for name, count in sorted(planned.items())}


def _paired(pieces: Sequence[PieceRecord], count: int) -> list[PieceRecord]:
    """Return pieces of 16 bars or more, each as often as any other."""
    long = [piece for piece in pieces if piece.bars >= BARS]
    order = np.random.default_rng(0).permutation(len(long))
    return [long[int(order[index % len(long)])] for index in range(count)]


def _conditions(piece: PieceRecord) -> Conditions:
    key = REFERENCE_KEYS[piece.mode]
    return Conditions(key, Meter.parse(piece.meter), BARS, style=piece.style)


def main(arguments: Sequence[str]) -> None:
    """Compose first draws for held-out keyboard pieces, and print both tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks form")
    parser.add_argument("--model", default="default")
    parser.add_argument("--data", type=Path, default=Path("data/prepared"))
    parser.add_argument("--pieces", type=int, default=100)
    parser.add_argument("--guidance", type=float, default=None)
    options = parser.parse_args(arguments)
    held_out = [
        piece
        for piece in load_pieces(options.data)
        if piece.split == "validation" and piece.style in KEYBOARD_STYLES
    ]
    chosen = _paired(held_out, options.pieces)
    sampling = replace(DEFAULT_SAMPLING, guidance=options.guidance)
    constraints = replace(DEFAULT_CONSTRAINTS, chords=0.0)  # these follow a given voice
    config = GenerationConfig(sampling, constraints=constraints)
    composed = load_composer(options.model).compose(
        [_conditions(piece) for piece in chosen],
        range(len(chosen)),
        config,
        Selection(best_of=1),
    )
    real = label_shares(form_of_score(extract_bars(score_of(piece), 0, BARS)) for piece in chosen)
    ours = label_shares(form_of_score(piece.score) for piece in composed if piece.score)
    names = sorted(real.keys() | ours.keys())
    shares: list[Sequence[str]] = [
        [name, f"{real.get(name, 0):.1f}", f"{ours.get(name, 0):.1f}"] for name in names
    ]
    columns = ["bars", "real", "first draws"]
    print(Table("labels, in percent", columns, rows=shares).markdown())
    rows: list[Sequence[str]] = [
        [name, str(count), f"{100 * found / count:.1f} %"]
        for name, (count, found) in obedience(composed).items()
    ]
    print(Table("planned and found", ["planned", "bars", "found"], rows=rows).markdown())
