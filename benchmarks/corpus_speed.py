"""MIDI to tokens beside MidiTok's MIDILike, and reading a corpus with two processes beside one.

Usage: python -m benchmarks corpus_speed [--corpus FOLDER …] [--rounds 5] [--files 600]

Both sides of the first ratio read the same files, in turn, in one process and one thread: ours to
two voices on the grid, their key found, as tokens; MidiTok's to the ids of all notes.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Sequence
from pathlib import Path

import joblib

from bicinium.data.import_sources import import_sources
from bicinium.data.source_file import SourceFile
from bicinium.data.sources import find_sources
from bicinium.formats.midi import read_midi
from bicinium.music.voice_reduction import reduce_to_two_voices
from bicinium.tokenizer.codec import encode


def main(arguments: Sequence[str]) -> None:
    """Time both and print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--corpus", type=Path, nargs="*", default=[])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--files", type=int, default=600)
    options = parser.parse_args(arguments)
    sources = list(find_sources(options.corpus))
    sources = sources[:: max(1, len(sources) // options.files)]
    against_miditok(sources, options.rounds)
    two_processes(sources)


def against_miditok(sources: Sequence[SourceFile], rounds: int) -> None:
    """Notes a second of both, from files to tokens."""
    import miditok
    import symusic

    tokenizer = miditok.MIDILike()
    paths = [source.path for source in sources]
    notes = sum(symusic.Score(path).note_num() for path in paths)
    ours, theirs = [], []
    for _ in range(rounds):
        started = time.process_time()
        for path in paths:
            for piece in reduce_to_two_voices(read_midi(path)):
                encode(piece.score)
        between = time.process_time()
        for path in paths:
            tokenizer(symusic.Score(path))
        ours.append(notes / (between - started))
        theirs.append(notes / (time.process_time() - between))
        print(f"  bicinium {ours[-1]:,.0f} notes/s, MidiTok {theirs[-1]:,.0f}: "
              f"{ours[-1] / theirs[-1]:.1f} times")  # fmt: skip
    ratio = statistics.median(a / b for a, b in zip(ours, theirs, strict=True))
    print(f"  {len(paths)} files, {notes:,} notes: median {statistics.median(ours):,.0f} notes/s, "
          f"{ratio:.1f} times MidiTok's MIDILike (seconds of processor time)")  # fmt: skip


def two_processes(sources: Sequence[SourceFile]) -> None:
    """Reading all that ``corpus prepare`` reads, with one process and with two, both warm."""
    seconds = {}
    for jobs in (1, 2):
        joblib.Parallel(n_jobs=jobs)(joblib.delayed(warm)(source) for source in sources[:8])
        started = time.perf_counter()
        import_sources(sources, jobs)
        seconds[jobs] = time.perf_counter() - started
    print(f"  reading {len(sources)} files: {seconds[1]:.1f} s with one process, "
          f"{seconds[2]:.1f} s with two: {seconds[1] / seconds[2]:.2f} times")  # fmt: skip


def warm(source: SourceFile) -> None:
    """Have a process import what reading needs."""
    import_sources([source], 1)
