"""Compare the rules on motion with those of music21, on the same files.

Usage: python -m benchmarks music21_rules [SCORE …]

The files are the exercises of tests/counterpoint (by Fux, and with known faults) and the named
scores, each written as MusicXML and read by both. music21 has these rules in
``voiceLeading.VoiceLeadingQuartet``, and passing and neighbour notes in ``ThreeNoteLinearSegment``.
Every place that only one of the two names is printed.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.report import Table
from bicinium.counterpoint import RULES, RuleSet, check_score
from bicinium.counterpoint.dissonance import Figure, dissonances
from bicinium.counterpoint.motion import ConsecutivePerfects
from bicinium.counterpoint.texture import Texture
from bicinium.formats.registry import read_score
from bicinium.music.score import TICKS_PER_QUARTER, Score, Voice
from bicinium.render.export import write_score

_TESTS = Path(__file__).parents[1] / "tests" / "counterpoint"
_OURS = RuleSet(
    "common rules",
    "",
    (
        ConsecutivePerfects(contrary=True),
        *(RULES[name]() for name in ("hidden_perfects", "crossing", "overlap")),
    ),
)
KINDS = (
    "parallel fifth", "parallel octave", "hidden fifth", "hidden octave", "crossing", "overlap",
    "passing or neighbour note",
)  # fmt: skip
Found = set[tuple[str, int]]  # kind and tick


def exercises() -> Iterator[tuple[str, Score]]:
    """Yield the exercises of the tests with their names."""
    sys.path.insert(0, str(_TESTS))
    from conftest import FUX, KNOWN_FAULTS, make_score

    for figure, entry in FUX.items():
        yield f"Fux {figure}", make_score(entry["upper"], entry["lower"])
    for rule, cases in KNOWN_FAULTS.items():
        for number, case in enumerate(cases, 1):
            yield f"{rule} {number}", make_score(case["upper"], case["lower"], case["key"])


def _a_bar_later(score: Score) -> Score:
    """Return a score after a bar of rests: music21 passes over moves away from offset 0."""
    bar = score.meter.bar_ticks
    voices = [
        Voice(tuple(replace(note, onset_tick=note.onset_tick + bar) for note in voice.notes))
        for voice in score.voices
    ]
    return replace(score, voices=tuple(voices), bars=score.bars + 1, anacrusis_ticks=0)


def found_here(score: Score) -> Found:
    """Return what our rules find. Octave stands for the unison too."""
    found: Found = set()
    for fault in check_score(score, _OURS).faults:
        interval = "fifth" if "fifth" in fault.fact else "octave"
        kind = {"consecutive_perfects": "parallel ", "hidden_perfects": "hidden "}.get(fault.rule)
        found.add((kind + interval if kind else fault.rule, fault.tick))
    for one in dissonances(Texture(score)):
        if one.figure in (Figure.PASSING, Figure.NEIGHBOUR):
            found.add((KINDS[-1], one.note.onset_tick))
    return found


def found_by_music21(score: Score, ours: Found) -> Found:
    """Return what music21 finds. Of passing and neighbour notes it is asked about ours."""
    from music21 import converter, voiceLeading

    with TemporaryDirectory() as folder:
        path = Path(folder) / "score.musicxml"
        write_score(score, path)
        read: Any = converter.parse(path)
    found: Found = set()
    crossed = False
    for found_quartet in voiceLeading.iterateAllVoiceLeadingQuartets(read, includeRests=False):
        quartet = _upper_first(found_quartet, read)
        tick = round(float(quartet.v1n2.getOffsetInHierarchy(read)) * TICKS_PER_QUARTER)
        other = round(float(quartet.v2n2.getOffsetInHierarchy(read)) * TICKS_PER_QUARTER)
        tick = max(tick, other)
        tests = {
            "parallel fifth": quartet.parallelFifth(),
            "parallel octave": quartet.parallelUnisonOrOctave(),
            "hidden fifth": quartet.hiddenFifth(),
            "hidden octave": quartet.hiddenOctave(),
            "overlap": quartet.voiceOverlap() and not quartet.voiceCrossing(),
        }
        found |= {(kind, tick) for kind, holds in tests.items() if holds}
        was, crossed = crossed, quartet.v1n2.pitch < quartet.v2n2.pitch
        if crossed and not was:
            found.add(("crossing", tick))
    return found | _stepwise(read, ours)


def _upper_first(quartet: Any, read: Any) -> Any:
    """Return a quartet whose first voice is the upper part; music21 gives some the other way."""
    from music21 import voiceLeading

    if any(note is quartet.v1n2 for note in read.parts[0].recurse().notes):
        return quartet
    notes = quartet.v2n1, quartet.v2n2, quartet.v1n1, quartet.v1n2
    return voiceLeading.VoiceLeadingQuartet(*notes)


def _stepwise(read: Any, ours: Found) -> Found:
    """Return which of our passing and neighbour notes music21 takes for one."""
    from music21 import voiceLeading

    wanted = {tick for kind, tick in ours if kind == KINDS[-1]}
    found: Found = set()
    for part in read.parts:
        notes = list(part.flatten().stripTies().notes)
        for before, note, after in zip(notes, notes[1:], notes[2:], strict=False):
            tick = round(float(note.offset) * TICKS_PER_QUARTER)
            three = voiceLeading.ThreeNoteLinearSegment(before, note, after)
            if tick in wanted and (three.couldBePassingTone() or three.couldBeNeighborTone()):
                found.add((KINDS[-1], tick))
    return found


def main(options: Sequence[str]) -> None:
    """Print the differences and the table."""
    scores = [*exercises(), *((Path(path).stem, read_score(path)) for path in options)]
    table = Table(
        "Rules of bicinium and music21", ["rule", "both", "only bicinium", "only music21"]
    )
    counts = {kind: [0, 0, 0] for kind in KINDS}
    for name, score in scores:
        plain = _a_bar_later(score)
        ours = found_here(plain)
        theirs = found_by_music21(plain, ours)
        for column, places in enumerate((ours & theirs, ours - theirs, theirs - ours)):
            for kind, tick in sorted(places):
                counts[kind][column] += 1
                if column:
                    bar, rest = divmod(tick, score.meter.bar_ticks)
                    who = ("bicinium", "music21")[column - 1]
                    place = f"bar {bar}, quarter {rest / TICKS_PER_QUARTER + 1:g}"
                    print(f"{name}: {kind} in {place}, only {who}", flush=True)
    for kind, row in counts.items():
        table.add(kind, *map(str, row))
    print(table.markdown())
