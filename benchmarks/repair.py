"""Damage exercises that have no error, and repair them.

Usage: python -m benchmarks repair [--exercises N] [--likely]

The exercises are written to the cantus firmi with a name, in the five species, above and below. One
or two notes of the new voice get another pitch, so that there is an error. A repair counts if it
leaves no error, changes no note that it does not name, and no rhythm. ``--likely`` asks the model,
as ``check --fix`` does.
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import count, islice

import numpy as np

import bicinium
from benchmarks.report import Table
from bicinium.counterpoint.cantus import CANTUS_FIRMI, load_cantus
from bicinium.counterpoint.checker import CounterpointReport
from bicinium.counterpoint.repair import Change
from bicinium.counterpoint.writer import write_counterpoint
from bicinium.music.score import Score, Voice

_SHIFTS = (-4, -3, -2, -1, 1, 2, 3, 4)  # semitones
_SPECIES = range(1, 6)


def damaged(seed: int) -> CounterpointReport:
    """Return the report on an exercise with one or two wrong pitches."""
    rng = random.Random(seed)
    species, above = _SPECIES[seed % 5], seed % 2 == 0
    cantus = load_cantus(rng.choice(CANTUS_FIRMI))
    written = write_counterpoint(cantus, species, above=above, seed=seed).score
    part = 0 if above else 1
    while True:
        notes = list(written.voices[part].notes)
        for index in rng.sample(range(1, len(notes) - 1), rng.choice((1, 2))):
            notes[index] = replace(notes[index], pitch=notes[index].pitch + rng.choice(_SHIFTS))
        voices = list(written.voices)
        voices[part] = Voice(tuple(notes))
        broken = replace(written, voices=tuple(voices))
        report = bicinium.check(broken, f"species{species}", cantus=1 - part)
        if not report.passed:
            return report


def is_repaired(
    before: CounterpointReport, after: CounterpointReport, changes: Sequence[Change]
) -> bool:
    """Return whether no error is left and no other note has changed."""
    named = {(change.voice, change.onset_tick): change.new_pitch for change in changes}
    return after.passed and list(_notes(after.score)) == [
        (voice, onset, ticks, named.get((voice, onset), pitch))
        for voice, onset, ticks, pitch in _notes(before.score)
    ]


def _notes(score: Score) -> Iterator[tuple[int, int, int, int]]:
    for part, voice in enumerate(score.voices):
        for note in voice.notes:
            yield part, note.onset_tick, note.duration_ticks, note.pitch


def main(options: Sequence[str]) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks repair", description=__doc__)
    parser.add_argument("--exercises", type=int, default=200)
    parser.add_argument("--likely", action="store_true")
    asked = parser.parse_args(options)
    repaired, changed, seconds = 0, [], []
    for seed in islice(count(), asked.exercises):
        report = damaged(seed)
        began = time.process_time()
        after, changes = bicinium.repair(report, likely=asked.likely)
        seconds.append(time.process_time() - began)
        good = is_repaired(report, after, changes)
        repaired += good
        changed.append(len(changes))
        if not good:
            left = [fault.fact for fault in after.faults if fault.severity == "error"]
            print(f"seed {seed}, {report.rule_set}: {left}", flush=True)
    table = Table("Repairs", ["exercises", "repaired", "notes changed", "median, s", "longest, s"])
    cells = [f"{np.mean(changed):.2f}", f"{np.median(seconds):.2f}", f"{max(seconds):.1f}"]
    table.add(str(len(seconds)), str(repaired), *cells)
    print(table.markdown())
