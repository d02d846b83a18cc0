"""How often a master breaks each rule: Bach's two-voice keyboard pieces, and his chorales.

Usage: python -m benchmarks counterpoint_rates CORPUS [--chorales N]

CORPUS is a folder of scores with ``manifest.csv`` (columns path and composer). Its pieces by Bach
that are read as two voices are checked. Of the chorales that music21 has, soprano and bass are. The
tables give findings in 20 bars: first of the rules of the set "bach" as it has them, then of all
other rules with their default options. Rules on a cantus firmus cannot be broken here.
"""

from __future__ import annotations

import argparse
import csv
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

from benchmarks.report import Table
from bicinium.counterpoint import RULES, RuleSet, check_score, load_rule_set
from bicinium.counterpoint.checker import find_faults
from bicinium.errors import BiciniumError
from bicinium.formats.registry import read_score
from bicinium.music.score import TICKS_PER_QUARTER, Meter, Note, Score, Voice

_BARS = 20
_OUTER = ("Soprano", "Bass")


def keyboard_pieces(corpus: Path) -> Iterator[Score]:
    """Yield the pieces by Bach that have two voices."""
    with (corpus / "manifest.csv").open(encoding="utf-8") as rows:
        paths = [row["path"] for row in csv.DictReader(rows) if row["composer"].endswith("Bach")]
    for path in paths:
        try:
            score = read_score(corpus / path)
            check_score(score, load_rule_set("bach"))
        except BiciniumError:
            continue
        yield score


def chorales() -> Iterator[Score]:
    """Yield soprano and bass of the chorales in the corpus of music21 that have one metre.

    Their key is estimated: the files state a signature, and not whether it is a minor key's.
    """
    from music21 import corpus, meter

    for chorale in corpus.chorales.Iterator(returnType="stream"):
        parts = [part for part in chorale.parts if part.partName in _OUTER]
        signs = chorale.recurse().getElementsByClass(meter.TimeSignature)
        meters = {one.ratioString for one in signs}
        if len(parts) != len(_OUTER) or len(meters) != 1:
            continue
        time = Meter.parse(meters.pop())
        lines = [_line(part, time.bar_ticks) for part in parts]
        bars = -(-max(line.end_tick for line in lines) // time.bar_ticks)
        score = Score(tuple(lines), bars, time)
        yield replace(score, key=score.estimated_key)


def _line(part: Any, bar_ticks: int) -> Voice:
    """Return the notes of a part of music21. An upbeat stands at the end of its bar."""
    first = part.getElementsByClass("Measure").first()
    upbeat = -round(float(first.duration.quarterLength) * TICKS_PER_QUARTER) % bar_ticks
    notes = []
    for note in part.flatten().stripTies().notes:
        onset = round(float(note.offset) * TICKS_PER_QUARTER) + upbeat
        ticks = round(float(note.quarterLength) * TICKS_PER_QUARTER)
        if ticks:
            notes.append(Note(onset, int(note.pitches[0].midi), ticks))
    return Voice(tuple(notes))


def rates(scores: Sequence[Score], rules: RuleSet) -> Counter[str]:
    """Return the findings of each rule."""
    return Counter(fault.rule for score in scores for fault in find_faults(score, rules))


def main(options: Sequence[str]) -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks counterpoint_rates")
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--chorales", type=int, default=100)
    asked = parser.parse_args(options)
    bach = load_rule_set("bach")
    others = tuple(rule() for name, rule in RULES.items() if name not in bach.names)
    groups = {
        "keyboard": list(keyboard_pieces(asked.corpus)),
        "chorales": list(islice(chorales(), asked.chorales)),
    }
    bars = {name: sum(score.bars for score in scores) for name, scores in groups.items()}
    for rule_set in (bach, RuleSet("other rules", "", others)):
        columns = ["rule", "severity", *(f"{name}, in {_BARS} bars" for name in groups)]
        notes = [f"{name}: {len(one)} pieces, {bars[name]} bars." for name, one in groups.items()]
        table = Table(f"Findings of {rule_set.name} in Bach", columns, notes)
        counts = {name: rates(scores, rule_set) for name, scores in groups.items()}
        for rule in rule_set.rules:
            cells = [f"{counts[name][rule.name] * _BARS / bars[name]:.2f}" for name in groups]
            table.add(rule.name, str(rule.severity), *cells)
        print(table.markdown(), flush=True)
