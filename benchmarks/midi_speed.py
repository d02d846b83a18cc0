"""From MIDI files to tokens, beside MidiTok, in one process and one thread.

bicinium reduces to two voices on the grid, finds the key and encodes; MidiTok (MIDILike) gives the
ids of all notes. Both read the same files in turn.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.report import NotMeasuredError, Table, interleaved, one_core
from bicinium.data.sources import find_sources
from bicinium.formats.midi import read_midi
from bicinium.music.voice_reduction import reduce_to_two_voices
from bicinium.tokenizer.codec import encode

_CORPUS = "BICINIUM_CORPUS"


def measure(arguments: Sequence[str]) -> list[Table]:
    """Measure notes a second of processor time."""
    parser = argparse.ArgumentParser(prog="benchmarks midi_speed", description=__doc__)
    parser.add_argument("--corpus", type=Path, help=f"folder of MIDI files (default: ${_CORPUS})")
    parser.add_argument("--files", type=int, default=200)
    parser.add_argument("--repetitions", type=int, default=5)
    options = parser.parse_args(arguments)
    folder = options.corpus or os.environ.get(_CORPUS)
    if not folder:
        raise NotMeasuredError(f"no corpus. Set {_CORPUS} to a folder of MIDI files.")
    try:
        import miditok
        import symusic
    except ImportError as error:
        raise NotMeasuredError(f"{error.name} is not installed.") from error
    found = [source.path for source in find_sources([Path(folder)])]
    midi = [path for path in found if path.suffix.lower() in (".mid", ".midi")]
    paths = midi[:: max(1, len(midi) // options.files)]
    tokenizer = miditok.MIDILike()

    def ours(path: Path) -> None:
        for piece in reduce_to_two_voices(read_midi(path)):
            encode(piece.score)

    def rate(work: Callable[[Path], object]) -> Callable[[], float]:
        def run() -> float:
            began = time.process_time()
            for path in paths:
                work(path)
            return notes / (time.process_time() - began)

        return run

    with one_core():
        notes = sum(symusic.Score(path).note_num() for path in paths)
        theirs = rate(lambda path: tokenizer(symusic.Score(path)))
        found_rates = interleaved({"ours": rate(ours), "theirs": theirs}, options.repetitions)
    table = Table(
        "MIDI to tokens",
        ("Program", "Notes per second", "Ratio"),
        [f"{len(paths)} files with {notes:,} notes, one core. Goal: 20 times."],
    )
    pairs = zip(found_rates["ours"], found_rates["theirs"], strict=True)
    ratio = statistics.median(a / b for a, b in pairs)
    table.add("MidiTok, MIDILike", f"{statistics.median(found_rates['theirs']):,.0f}", "1")
    table.add("bicinium", f"{statistics.median(found_rates['ours']):,.0f}", f"{ratio:.1f}")
    return [table]
