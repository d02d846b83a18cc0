"""Memory and time of preparing many files, without the time to read music.

Usage: python -m benchmarks corpus_scale [--corpus FOLDER …] [--files 1000 10000] [--originals 200]

Each count is prepared by a fresh process. Its files are small texts. In place of the importer,
each gets the record of a real piece under another fingerprint; one in four keeps its fingerprint
and so is a duplicate. Everything else is as in ``corpus prepare``: listing, hashing, cache,
duplicates, splits, manifest and shards. Importing a file takes the same time in any collection.
"""

from __future__ import annotations

import argparse
import hashlib
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from bicinium.data import import_sources
from bicinium.data.piece_record import PieceRecord
from bicinium.data.prepare import prepare
from bicinium.data.source_file import SourceFile
from bicinium.data.sources import find_sources

_DUPLICATE_EVERY = 4


def main(arguments: Sequence[str]) -> None:
    """Prepare each number of files in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--corpus", type=Path, nargs="*", default=[])
    parser.add_argument("--files", type=int, nargs="+", default=[1000, 10_000])
    parser.add_argument("--originals", type=int, default=200)
    options = parser.parse_args(arguments)
    if len(options.files) == 1:
        measure(options.corpus, options.files[0], options.originals)
        return
    for count in options.files:
        again = [sys.executable, "-m", "benchmarks", "corpus_scale", *arguments]
        subprocess.run([*again, "--files", str(count)], check=True)


def measure(folders: Sequence[Path], count: int, originals: int) -> None:
    """Prepare ``count`` files and print processor time and peak memory of this process."""
    sources = list(find_sources(folders))
    read = import_sources.import_sources(sources[:: max(1, len(sources) // originals)], 1)
    records = [record for record in read if record.kept]

    def variants(chunk: Sequence[SourceFile]) -> list[list[PieceRecord]]:
        return [[_variant(records, int(source.path.stem))] for source in chunk]

    with tempfile.TemporaryDirectory() as folder:
        music = Path(folder) / "music"
        music.mkdir()
        for index in range(count):
            (music / f"{index}.mid").write_text(str(index))
        import_sources.import_files = variants
        started, before = time.process_time(), _peak()
        prepare(find_sources([music]), Path(folder) / "out", jobs=1)
        seconds = time.process_time() - started
    print(f"  {count:7,} files: {1000 * seconds / count:.2f} ms of processor time a file, "
          f"peak {_peak():.0f} MiB ({before:.0f} before)", flush=True)  # fmt: skip


def _variant(records: Sequence[PieceRecord], index: int) -> PieceRecord:
    """Return one of the records, in three of four cases with other figures."""
    record = records[index % len(records)]
    if index % _DUPLICATE_EVERY == 0:
        return record
    upper, lower = record.fingerprint
    return replace(record, fingerprint=(_rehashed(upper, index), _rehashed(lower, index)))


def _rehashed(figures: Sequence[int], index: int) -> tuple[int, ...]:
    """Return other figures, as many of them, with a few that hundreds of pieces have."""
    common = {figure % 97 for figure in figures[:8]}
    digests = (hashlib.blake2b(f"{f} {index}".encode(), digest_size=6) for f in figures[8:])
    return tuple(sorted(common | {int.from_bytes(d.digest(), "big") for d in digests}))


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
