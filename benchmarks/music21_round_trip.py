"""From scores to music21 streams and back: how many pieces come back as they were?

A piece comes back if all fields of its score are equal (the tempo to 12 digits: music21 keeps it in
beats), and if it is written as the same MusicXML, which has its signature, spelling, ties, tuplets
and clefs. Half of the pieces are from the corpus
of music21, whose files state their spelling; the others are from folders of music.
"""

from __future__ import annotations

import argparse
import math
import random
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import fields, replace
from itertools import islice
from pathlib import Path

from benchmarks.report import Table
from bicinium.adapters.music21 import from_music21, to_music21
from bicinium.data.sources import find_sources
from bicinium.errors import ScoreError
from bicinium.formats.musicxml_writer import to_musicxml
from bicinium.formats.registry import find_music, read_score
from bicinium.music.score import Score

_WRITTEN_FIELDS = ("losses", "signature", "spellings")  # compared as MusicXML


def main(arguments: Sequence[str]) -> None:
    """Print each piece that differs, and the counts."""
    parser = argparse.ArgumentParser(prog="benchmarks music21_round_trip", description=__doc__)
    parser.add_argument("folders", type=Path, nargs="+", help="folders of music")
    parser.add_argument("--pieces", type=int, default=1000)
    parser.add_argument("--max-notes", type=int, default=500, help="longer pieces are left out")
    options = parser.parse_args(arguments)
    groups = {
        "music21's corpus": [source.path for source in find_sources(["music21"])],
        "folders": [path for folder in options.folders for path in find_music(folder)],
    }
    table = Table("From scores to music21 and back", ["pieces of", "pieces", "notes", "equal", "s"])
    for name, paths in groups.items():
        random.Random(29).shuffle(paths)
        start, pieces, notes, equal = time.process_time(), 0, 0, 0
        wanted = options.pieces // len(groups)
        for path, score in islice(_scores(paths, options.max_notes), wanted):
            found = _differences(from_music21(to_music21(score)), score)
            pieces, notes, equal = pieces + 1, notes + score.note_count, equal + (not found)
            if found:
                print(f"{path}: {', '.join(found)}", flush=True)
            if pieces % 100 == 0:
                print(f"{name}: {equal} of {pieces} equal", file=sys.stderr, flush=True)
        seconds = time.process_time() - start
        table.add(name, str(pieces), str(notes), str(equal), f"{seconds:.0f}")
    print(table.markdown())


def _differences(found: Score, expected: Score) -> list[str]:
    """Return the names of the fields that differ; ``notation`` stands for what is written."""
    if math.isclose(found.tempo_qpm, expected.tempo_qpm, rel_tol=1e-12):
        found = replace(found, tempo_qpm=expected.tempo_qpm)
    names = [field.name for field in fields(Score) if field.name not in _WRITTEN_FIELDS]
    unlike = [name for name in names if getattr(found, name) != getattr(expected, name)]
    return unlike + ["notation"] * (to_musicxml(found) != to_musicxml(expected))


def _scores(paths: Sequence[Path], max_notes: int) -> Iterator[tuple[Path, Score]]:
    for path in paths:
        try:
            score = read_score(path, reduce=True)
        except ScoreError:
            continue
        if score.note_count <= max_notes:
            yield path, score
