"""Measure how look-ahead conditioning helps to add a voice or to rewrite bars.

Usage: python -m benchmarks completion --prepared FOLDER [--cases 200] [--bars 16] [--model FILE]

The cases are windows of held-out pieces in which one voice is fixed, or all but four bars in the
middle. The fixed notes must be unchanged. Completed pieces are compared with the originals by
quality and by parallels, with and without look-ahead conditioning, and with the first or the best
of four candidates.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from bicinium.api import load_composer
from bicinium.data.piece_record import score_of
from bicinium.data.shards import load_pieces
from bicinium.errors import RequestError
from bicinium.generation.composer import Composer
from bicinium.generation.composition import Composition
from bicinium.generation.conditions import Conditions
from bicinium.generation.config import GenerationConfig
from bicinium.generation.constraints.config import Constraints
from bicinium.generation.fixed_notes import NO_TICKS, FixedNotes, fix_around_gap, fix_voice
from bicinium.model.checkpoint import DEFAULT_MODEL
from bicinium.music.counterpoint import parallels, strong_beat_dissonances
from bicinium.music.quality import quality
from bicinium.music.score import Score, Voice

CANDIDATES = 4
MIN_WINDOW_NOTES = 8  # of each voice, in a window


def main(arguments: Sequence[str]) -> None:
    """Complete the cases and print the comparison."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--prepared", type=Path, required=True)
    parser.add_argument("--cases", type=int, default=200)
    parser.add_argument("--bars", type=int, default=16)
    parser.add_argument("--model", type=Path, default=DEFAULT_MODEL)
    options = parser.parse_args(arguments)
    composer = load_composer(options.model)
    originals = windows(options.prepared, options.cases, options.bars, composer)
    cases = [(original, style, fix_notes(original, index))
             for index, (original, style) in enumerate(originals)]  # fmt: skip
    print(f"{len(cases)} cases: one voice fixed, or all but four bars")
    original_quality = [quality(original).score for original, _ in originals]
    print(
        f"  originals: quality {np.mean(original_quality):.3f}, {rates([s for s, _ in originals])}"
    )
    for name, lookahead, candidates, constraints in (
        ("lookahead, defaults", True, 1, Constraints()),
        ("lookahead, no constraints", True, 1, None),
        ("no look-ahead, no constraints", False, 1, None),
        (f"no look-ahead, best of {CANDIDATES}", False, CANDIDATES, None),
        (f"lookahead, best of {CANDIDATES}, defaults", True, CANDIDATES, Constraints()),
    ):
        started = time.perf_counter()
        done = complete(composer, cases, lookahead, candidates, constraints)
        seconds = time.perf_counter() - started
        kept = sum(
            keeps(fixed_notes, piece)
            for (_, _, fixed_notes), piece in zip(cases, done, strict=True)
        )
        scores = [piece.score for piece in done if piece.score]
        found = [quality(score).score for score in scores]
        print(
            f"  {name}: fixed notes unchanged in {kept} of {len(done)}, "
            f"quality {np.mean(found):.3f} "
            f"({np.mean(found) / np.mean(original_quality):.3f} of the originals'), "
            f"{rates(scores)}, "
            f"{seconds:.0f} s"
        )


def windows(
    prepared: Path, count: int, bars: int, composer: Composer
) -> list[tuple[Score, str | None]]:
    """Return ``count`` windows of held-out pieces in their own keys, with their styles."""
    pieces = [p for p in load_pieces(prepared)
              if p.split == "validation" and p.style != "palestrina"]  # fmt: skip
    chosen: list[tuple[Score, str | None]] = []
    for round_number in range(100):
        for piece in pieces:
            score = score_of(piece).transpose(piece.transposition)
            first = round_number * bars
            if first + bars > score.bars or piece.meter not in composer.config.meters:
                continue
            cut = window(score, first, bars)
            if min(len(voice.notes) for voice in cut.voices) >= MIN_WINDOW_NOTES:
                chosen.append((cut, piece.style))
    step = max(1, len(chosen) // count)
    return chosen[::step][:count]


def window(score: Score, first: int, bars: int) -> Score:
    """Return bars ``first`` (from 0) to ``first + bars``. Notes are cut at both limits."""
    begin, end = first * score.meter.bar_ticks, (first + bars) * score.meter.bar_ticks
    voices = tuple(
        Voice(tuple(
            replace(note, onset_tick=note.onset_tick - begin,
                    duration_ticks=min(note.offset_tick, end) - note.onset_tick)
            for note in voice.notes if begin <= note.onset_tick < end
        ))
        for voice in score.voices
    )  # fmt: skip
    anacrusis = score.anacrusis_ticks if first == 0 else 0
    return replace(score, voices=voices, bars=bars, anacrusis_ticks=anacrusis)


def fix_notes(score: Score, index: int) -> FixedNotes:
    """Fix, in turn, the upper voice, the lower voice, or all but four bars."""
    if index % 3 < 2:
        return fix_voice(score.voices[index % 3], index % 3, score)
    middle = score.bars // 2
    return fix_around_gap(score, middle - 1, middle + 2)


def complete(
    composer: Composer,
    cases: Sequence[tuple[Score, str | None, FixedNotes]],
    lookahead: bool,
    candidates: int,
    constraints: Constraints | None,
) -> list[Composition]:
    """Complete each case and return the best of ``candidates`` by quality."""
    asked = []
    for score, style, fixed_notes in cases:
        shown = fixed_notes if lookahead else replace(fixed_notes, known=(NO_TICKS, NO_TICKS))
        key = score.key
        if key is None:
            raise RequestError("a prepared piece has a key")
        asked.append(Conditions(key, score.meter, score.bars, score.tempo_qpm, style, shown))
    best: list[Composition] = []
    for candidate in range(candidates):
        seeds = [1000 * candidate + index for index in range(len(asked))]
        done = composer.compose(asked, seeds, GenerationConfig(constraints=constraints))
        best = [max(pair, key=goodness) for pair in zip(best or done, done, strict=True)]
    return best


def goodness(piece: Composition) -> float:
    """Return the quality by which candidates are chosen."""
    return quality(piece.score).score if piece.score else 0.0


def keeps(fixed_notes: FixedNotes, piece: Composition) -> bool:
    """Return whether the piece has every fixed note unchanged."""
    return piece.score is not None and all(
        set(line.notes) <= set(voice.notes)
        for line, voice in zip(fixed_notes.score.voices, piece.score.voices, strict=True)
    )


def rates(scores: Sequence[Score]) -> str:
    """Return counterpoint errors per 100 notes as text."""
    notes = sum(score.note_count for score in scores)
    fifths_and_octaves = 100 * sum(len(parallels(score)) for score in scores) / notes
    dissonances = 100 * sum(len(strong_beat_dissonances(score)) for score in scores) / notes
    return (
        f"{fifths_and_octaves:.2f} parallels and {dissonances:.2f} dissonant strong beats "
        "per 100 notes"
    )
