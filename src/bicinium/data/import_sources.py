"""Import all files of some sources: in parallel, on a cluster if there is one, and cached."""

from __future__ import annotations

import hashlib
import json
import pickle
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from joblib import Parallel, delayed, parallel_config
from joblib.externals.loky.process_executor import TerminatedWorkerError
from rich.progress import Progress

from bicinium.data.batched import batched
from bicinium.data.import_cache import ImportCache, code_hash
from bicinium.data.import_piece import import_files
from bicinium.data.piece_record import PieceRecord
from bicinium.data.source_file import SourceFile
from bicinium.data.temporary_database import temporary_database
from bicinium.errors import BiciniumError, CorpusError
from bicinium.folder_lock import locked_folder
from bicinium.formats.source_bytes import read_source
from bicinium.optional_imports import import_optional
from bicinium.stderr_console import stderr_console

CHUNK_FILES = 16  # files that one process imports at a time
CLUSTER_TIMEOUT = "20s"
_BATCH_CHUNKS = 64  # chunks whose files are looked up in the cache at a time
_FILES = """CREATE TABLE files
    (number INTEGER PRIMARY KEY, source BLOB, key TEXT DEFAULT '', text TEXT)"""


def import_sources(
    sources: Iterable[SourceFile],
    jobs: int = -1,
    *,
    cluster: str | None = None,
    cache: Path | None = None,
) -> list[PieceRecord]:
    """Return the records of every file as a list; see ``imported_records``."""
    with imported_records(sources, jobs, cluster=cluster, cache=cache) as records:
        return list(records)


@contextmanager
def imported_records(
    sources: Iterable[SourceFile],
    jobs: int = -1,
    *,
    cluster: str | None = None,
    cache: Path | None = None,
) -> Iterator[ImportedRecords]:
    """Import files, and yield their records in the order of the sources.

    ``jobs`` processes share the work; -1 is one for each core. ``cluster`` is the address of a
    Dask scheduler whose workers do it instead. Files that are in the ``cache`` and have not
    changed are not read again. Sources and records lie on disk, not in memory. The folder of the
    cache is locked while the records are used; raises FolderInUseError if it is locked already.
    """
    if jobs == 0:
        raise CorpusError("--jobs must be at least 1, or -1 for one process a core (got 0).")
    with closing(temporary_database(_FILES)) as files:
        rows = ((pickle.dumps(source),) for source in sources)
        files.executemany("INSERT INTO files (source) VALUES (?)", rows)
        # Locked only now: an error in the sources leaves no folder behind.
        lock = locked_folder(cache.parent) if cache else nullcontext()
        with lock, ImportCache(cache) as store:
            records = ImportedRecords(files, store)
            records.import_missing(jobs, cluster)
            keys = files.execute("SELECT key FROM files")
            store.retain(key for (key,) in keys)
            yield records


class ImportedRecords:
    """The records of imported files. Each iteration reads them from the cache again.

    ``files`` has a row for each file: its source, its key in the cache, and the text of its
    records if it has no key.
    """

    def __init__(self, files: sqlite3.Connection, store: ImportCache) -> None:
        self.files, self.store = files, store

    def __iter__(self) -> Iterator[PieceRecord]:
        for batch in batched(self._rows(), CHUNK_FILES):
            texts = self.store.load(row.key for row in batch)
            for row in batch:
                text = row.text or texts.get(row.key)
                if text is None:
                    raise CorpusError(
                        f"{self.store.path} lost {row.source.path}. Run the same command again."
                    )
                for record in json.loads(text):
                    yield _with_source(PieceRecord.from_json(record), row.source)

    @property
    def file_count(self) -> int:
        """Number of files, readable or not."""
        (count,) = self.files.execute("SELECT count(*) FROM files").fetchone()
        return int(count)

    def import_missing(self, jobs: int, cluster: str | None) -> None:
        """Import the files that are not in the cache; show a progress bar."""
        version = code_hash()
        with (
            Progress(console=stderr_console(), transient=True) as progress,
            _workers(jobs, cluster) as parallel,
        ):
            bar = progress.add_task("importing", total=self.file_count)
            for batch in batched(self._rows(), _BATCH_CHUNKS * CHUNK_FILES):
                keys = [_cache_key(row.source, version) for row in batch]
                self.files.executemany(
                    "UPDATE files SET key = ? WHERE number = ?",
                    [(key, row.number) for key, row in zip(keys, batch, strict=True)],
                )
                known = self.store.load(filter(None, keys))
                missing = [
                    row._replace(key=key)
                    for key, row in zip(keys, batch, strict=True)
                    if key not in known
                ]
                progress.advance(bar, len(batch) - len(missing))
                chunks = list(batched(missing, CHUNK_FILES))
                sources = [[row.source for row in chunk] for chunk in chunks]
                results = parallel(delayed(import_files)(chunk) for chunk in sources)
                for chunk, imported in zip(chunks, results, strict=True):
                    self._save(chunk, imported)
                    progress.advance(bar, len(chunk))

    def _save(self, chunk: Sequence[_File], imported: Sequence[Sequence[PieceRecord]]) -> None:
        """Store the records of files; those of a file that cannot be opened not in the cache."""
        texts = [_to_text(records) for records in imported]
        pairs = list(zip(chunk, texts, strict=True))
        self.store.save({row.key: text for row, text in pairs if row.key})
        self.files.executemany(
            "UPDATE files SET text = ? WHERE number = ?",
            [(text, row.number) for row, text in pairs if not row.key],
        )

    def _rows(self) -> Iterator[_File]:
        """Yield the rows in order. Rows that were yielded may be changed meanwhile."""
        last = 0
        query = "SELECT * FROM files WHERE number > ? ORDER BY number LIMIT ?"
        while rows := self.files.execute(query, (last, CHUNK_FILES)).fetchall():
            for number, source, key, text in rows:
                yield _File(number, pickle.loads(source), key, text)
            last = rows[-1][0]


class _File(NamedTuple):
    """A row of the table of files."""

    number: int
    source: SourceFile
    key: str  # in the cache; empty if the file cannot be opened
    text: str | None


@contextmanager
def _workers(jobs: int, cluster: str | None) -> Iterator[Parallel]:
    """Yield the processes, which return results in order as soon as they are ready."""
    with _dask(cluster), Parallel(n_jobs=jobs, return_as="generator") as parallel:
        try:
            yield parallel
        except TerminatedWorkerError as error:
            raise CorpusError(
                "A process died while importing; it may have run out of memory. Run the same "
                "command again: imported files are cached. --jobs 1 shows which file it is."
            ) from error


@contextmanager
def _dask(address: str | None) -> Iterator[None]:
    """Let joblib work on a Dask cluster inside the block; without an address, on this machine."""
    if address is None:
        yield
        return
    if "://" not in address:
        raise CorpusError(
            f"--cluster must be the address of a Dask scheduler, such as tcp://host:8786 "
            f"(got {address})."
        )
    distributed = import_optional("distributed", "cluster", "a cluster")
    try:
        client = distributed.Client(address, timeout=CLUSTER_TIMEOUT, set_as_default=False)
    except (OSError, ValueError, TimeoutError) as error:
        raise CorpusError(f"There is no Dask scheduler at {address}.") from error
    with client, parallel_config(backend="dask", client=client):
        yield


def _with_source(record: PieceRecord, source: SourceFile) -> PieceRecord:
    """Return the record of a file with what its source knows; the source takes precedence."""
    return replace(
        record,
        name=source.name + record.name,
        composer=source.composer or record.composer,
        title=source.title or record.title,
        opus=source.opus,
        licence=_licence(source.licence, record.licence),
        credit=source.credit,
        cluster=source.cluster,
        style=source.style,
        split=source.split,
    )


def _licence(of_source: str, of_file: str) -> str:
    if of_file in of_source:
        return of_source
    return "; ".join(filter(None, (of_source, of_file)))


def _cache_key(source: SourceFile, version: str) -> str:
    """Return a hash of what the records depend on; nothing if the file cannot be opened."""
    try:
        data = read_source(source.path)
    except BiciniumError:
        return ""
    options = f"{source.quantize}|{source.unfold}"
    head = f"{version}|{source.path.name}|{','.join(source.pairs)}|{options}|"
    return hashlib.sha256(head.encode() + data).hexdigest()


def _to_text(records: Sequence[PieceRecord]) -> str:
    return json.dumps([record.to_json() for record in records], separators=(",", ":"))
