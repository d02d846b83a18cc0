"""Compose canons and invertible counterpoint, and check them.

Usage: python -m benchmarks canons [--bars N]

In a canon every note of the follower before the last bar must repeat the leader's note. No piece,
and no inversion, may have an error or a warning under the rules "bach". Inversions at the tenth and
the twelfth are not asked about their last note.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence

import bicinium
from benchmarks.report import Table
from bicinium.counterpoint.imitation import INVERSIONS, Canon
from bicinium.generation.composition import Composition
from bicinium.music.score import Score

DISTANCES = ("1/2 bar", "1 bar", "2 bars", "3 bars", "4 bars")
INTERVALS = ("octave below", "fifth below", "fourth above", "sixth below")
KEYS = ("C major", "D minor", "A major", "G minor")
_OF_ENDINGS = ("tonic_ending", "leading_note")


def repeats(piece: Composition, text: str) -> bool:
    """Return whether the follower repeats the leader, note for note, up to the last bar.

    The last of these notes may be cut at the barline.
    """
    score, conditions = piece.score, piece.conditions
    assert score is not None
    canon = Canon.parse(text, conditions.meter)
    close = score.end_tick - conditions.meter.bar_ticks
    leader, follower = score.voices[canon.leader].notes, score.voices[1 - canon.leader].notes
    answers = [note for note in follower if note.onset_tick < close]
    expected = [canon.follow(note, conditions.key) for note in leader]
    expected = [note for note in expected if note.onset_tick < close]
    return len(answers) == len(expected) > 0 and all(
        (one.onset_tick, one.pitch) == (other.onset_tick, other.pitch)
        and (one.duration_ticks == other.duration_ticks or other.offset_tick >= close)
        for one, other in zip(answers, expected, strict=True)
    )


def faults(score: Score, endings: bool = True) -> list[str]:
    """Return the rules that a score breaks, hints left out."""
    found = bicinium.check(score, "bach").faults
    return [
        fault.rule
        for fault in found
        if fault.severity != "hint" and (endings or fault.rule not in _OF_ENDINGS)
    ]


def _seconds(began: float) -> str:
    return f"{time.process_time() - began:.1f}"


def canons(bars: int) -> Table:
    """Compose a canon at each distance and interval."""
    table = Table("Canons", ["canon", "key", "metre", "notes", "repeats", "faults", "rounds", "s"])
    for number, text in enumerate(f"{d} at the {i}" for d in DISTANCES for i in INTERVALS):
        began = time.process_time()
        key = KEYS[number % len(KEYS)]
        piece = bicinium.compose(canon=text, bars=bars, key=key, seed=number)
        score = piece.score
        assert score is not None
        found = ", ".join(faults(score)) or "none"
        cells = [text, key, score.meter, score.note_count, repeats(piece, text), found, piece.draws]
        table.add(*map(str, cells), _seconds(began))
        print(table.rows[-1], flush=True)
    return table


def invertible(bars: int) -> Table:
    """Compose pieces whose voices may change places."""
    columns = ["inversion at the", "key", "metre", "notes", "faults", "of the inversion", "s"]
    table = Table("Invertible counterpoint", columns)
    for interval in INVERSIONS:
        for number, key in enumerate(KEYS):
            began = time.process_time()
            piece = bicinium.compose(invertible=interval, bars=bars, key=key, seed=number)
            score, inverse = piece.score, piece.inverted(interval).score
            assert score is not None
            assert inverse is not None
            original = ", ".join(faults(score)) or "none"
            of_inversion = ", ".join(faults(inverse, interval == INVERSIONS[0])) or "none"
            cells = [interval, key, score.meter, score.note_count, original, of_inversion]
            table.add(*map(str, cells), _seconds(began))
    return table


def main(options: Sequence[str]) -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks canons", description=__doc__)
    parser.add_argument("--bars", type=int, default=12)
    bars = parser.parse_args(options).bars
    print(canons(bars).markdown(), flush=True)
    print(invertible(bars).markdown())
