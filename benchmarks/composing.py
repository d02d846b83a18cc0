"""Measure whether pieces are as requested, how original they are, and what constraints cost.

Usage: python -m benchmarks composing [--prepared FOLDER] [--pieces 512] [--model FILE]
                                      [--only PART …]

The parts, over keys, metres, lengths from 4 to 64 bars, tempi and styles, with default options:

* asked: valid, exact bars, metre and tempo, close on the tonic; the key that music21 finds, and
  quotations of the training set, in these pieces and in held-out real pieces.
* constraints: how often each constraint is broken with it off and on, and its cost per token.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import music21
import numpy as np

from bicinium.api import load_composer, load_quotations
from bicinium.data.piece_record import score_of
from bicinium.data.shards import load_pieces
from bicinium.data.sources import KEYBOARD_STYLES
from bicinium.generation.composer import Composer
from bicinium.generation.composition import Composition
from bicinium.generation.conditions import Conditions
from bicinium.generation.config import GenerationConfig
from bicinium.generation.constraints.config import STRENGTHS, Constraints
from bicinium.generation.constraints.registry import count_violations
from bicinium.generation.memorization import QuotationIndex
from bicinium.model.checkpoint import DEFAULT_MODEL
from bicinium.music.counterpoint import ends_on_tonic
from bicinium.music.key import ALL_KEYS
from bicinium.music.score import Meter, Score

METERS = ("4/4", "3/4", "2/4", "6/8", "3/8", "2/2", "9/8", "12/8")
BARS = (4, 8, 12, 16, 24, 32, 48, 64)
TEMPI = (None, 60.0, 96.0, 131.5)
STYLES = ("bach", "baroque", "classical", "romantic", None)
CONSTRAINED = 24  # pieces for each constraint: off, half, on


def main(arguments: Sequence[str]) -> None:
    """Run the chosen parts and print their results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--prepared", type=Path, help="for real pieces and the index of quotations")
    parser.add_argument("--pieces", type=int, default=512)
    parser.add_argument("--model", type=Path, default=DEFAULT_MODEL)
    parser.add_argument("--only", nargs="*", choices=list(PARTS), default=list(PARTS))
    options = parser.parse_args(arguments)
    for name in options.only:
        print(f"-- {name}")
        PARTS[name](options)


def asked_for(count: int, composer: Composer) -> list[Conditions]:
    """Return requests that combine keys, metres, lengths, tempi and styles."""
    styles = [style for style in STYLES if style is None or style in composer.config.styles]
    return [
        Conditions(
            key=ALL_KEYS[i % 24],
            meter=Meter.parse(METERS[(i // 3) % len(METERS)]),
            bars=BARS[(i // 5) % len(BARS)],
            tempo_qpm=TEMPI[i % len(TEMPI)],
            style=styles[(i // 7) % len(styles)],
        )
        for i in range(count)
    ]


def asked(options: argparse.Namespace) -> None:
    """Compare pieces with their requests."""
    composer = load_composer(options.model)
    wanted = asked_for(options.pieces, composer)
    started = time.perf_counter()
    pieces = composer.compose(
        wanted, range(len(wanted)), GenerationConfig(constraints=Constraints())
    )
    seconds = time.perf_counter() - started
    print(f"{len(pieces)} pieces of 4 to 64 bars in {seconds:.0f} s")
    share("valid", [piece.result.valid for piece in pieces])
    scores = [(piece.conditions, scored(piece)) for piece in pieces]
    share("bars exact", [one.bars == score.bars for one, score in scores])
    share("metre exact", [one.meter == score.meter for one, score in scores])
    share("tempo exact", [one.tempo_qpm in (None, score.tempo_qpm) for one, score in scores])
    share(
        "closes: tonic below, triad above", [ends_on_tonic(score, one.key) for one, score in scores]
    )
    share("accepted at the first attempt", [piece.draws == 1 for piece in pieces])
    found = [music21_key(score) for _, score in scores]
    share("key that music21 finds is the one asked for", [
        key == str(one.key) for key, (one, _) in zip(found, scores, strict=True)])  # fmt: skip
    index = load_quotations(options.model)
    if index:
        quotations("composed", [score for _, score in scores], index)
    if options.prepared:
        real(options.prepared, index)


def real(prepared: Path, index: QuotationIndex | None) -> None:
    """Print the same for held-out music, for comparison."""
    pieces = [p for p in load_pieces(prepared) if p.split == "validation"]
    for name, chosen in (
        ("keyboard", [p for p in pieces if p.style in KEYBOARD_STYLES]),
        ("all", [p for p in pieces if p.style != "palestrina"]),
    ):
        scores = [score_of(piece) for piece in chosen]  # in C major or A minor, as the file says
        found = [music21_key(score) for score in scores]
        share(f"real, {name}: key that music21 finds is the piece's", [
            key == str(score.key) for key, score in zip(found, scores, strict=True)])  # fmt: skip
        share(f"real, {name}: it has the piece's signature", [
            music21_fifths(key) == 0 for key in found])  # fmt: skip
        if index:
            quotations(f"real, {name}", scores, index)


def quotations(name: str, scores: Sequence[Score], index: QuotationIndex) -> None:
    """Print how many pieces quote two, three or four bars of the training set."""
    bars = np.array([index.longest_quotation(score).bars for score in scores])
    for least in (2, 3, 4):
        share(f"{name}: quote {least} bars or more", (bars >= least).tolist())


def constraints(options: argparse.Namespace) -> None:
    """Measure each constraint alone: off, at half strength and on."""
    composer = load_composer(options.model)
    wanted = [replace(one, bars=16) for one in asked_for(CONSTRAINED, composer)]
    seeds = range(len(wanted))
    for name in STRENGTHS:
        line = f"  {name:<12}"
        for strength in (0.0, 0.5, 1.0):
            used = replace(Constraints.none(), **{name: strength})
            started = time.process_time()
            pieces = composer.compose(
                wanted, seeds, GenerationConfig(constraints=used if strength else None)
            )
            seconds = time.process_time() - started
            judged = replace(Constraints.none(), **{name: 1.0})
            times = sum(
                count_violations(scored(piece), piece.conditions, judged)[name] for piece in pieces
            )
            notes = sum(piece.result.notes for piece in pieces)
            tokens = sum(len(piece.tokens) for piece in pieces)
            line += (
                f"  at {strength:g}: {100 * times / notes:6.2f} per 100 notes, "
                f"{1e6 * seconds / tokens:4.0f} µs a token"
            )
        print(line)


def scored(piece: Composition) -> Score:
    """Return the score of a piece. Raises ValueError if it has none."""
    if piece.score is None:
        raise ValueError("a piece without a score")
    return piece.score


def music21_key(score: Score) -> str:
    """Return the key that music21 finds by Krumhansl and Schmuckler, in the spelling of ``Key``."""
    stream = music21.stream.Stream()
    for voice in score.voices:
        for note in voice.notes:
            there = music21.note.Note(note.pitch)
            there.quarterLength = note.duration_ticks / 24
            stream.insert(note.onset_tick / 24, there)
    found = stream.analyze("key.krumhanslschmuckler")
    tonic = found.tonic.pitchClass
    return next(str(key) for key in ALL_KEYS if key.tonic == tonic and key.mode == found.mode)


def music21_fifths(name: str) -> int:
    """Return the key signature of a key name."""
    return next(key.fifths for key in ALL_KEYS if str(key) == name)


def share(name: str, hits: Sequence[bool]) -> None:
    """Print the share of pieces that have a property."""
    print(f"  {name}: {sum(hits)} of {len(hits)} ({sum(hits) / len(hits):.1%})")


PARTS: dict[str, Callable[[argparse.Namespace], None]] = {
    "asked": asked,
    "constraints": constraints,
}
