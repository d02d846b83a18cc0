"""Import all files of some sources: in parallel, on a cluster if there is one, and cached."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from joblib import Parallel, delayed, parallel_config
from joblib.externals.loky.process_executor import TerminatedWorkerError
from rich.console import Console
from rich.progress import Progress

from bicinium.data.import_cache import ImportCache, code_hash
from bicinium.data.import_piece import import_files
from bicinium.data.piece_record import PieceRecord
from bicinium.data.source_file import SourceFile
from bicinium.errors import BiciniumError, CorpusError
from bicinium.formats.source_bytes import read_source
from bicinium.optional_imports import import_optional

CHUNK_FILES = 16  # files that one process imports at a time
CLUSTER_TIMEOUT = "20s"


def import_sources(
    sources: Sequence[SourceFile],
    jobs: int = -1,
    *,
    cluster: str | None = None,
    cache: Path | None = None,
) -> list[PieceRecord]:
    """Return the records of every file, in the order of the sources.

    ``jobs`` processes share the work; -1 is one for each core. ``cluster`` is the address of a
    Dask scheduler whose workers do it instead. Files that are in the ``cache`` and have not
    changed are not read again.
    """
    if jobs == 0:
        raise CorpusError("--jobs must be at least 1, or -1 for one process a core (got 0).")
    version = code_hash()
    keys = [_cache_key(source, version) for source in sources]
    valid_keys = set(filter(None, keys))
    with ImportCache(cache) as store:
        known = store.load(valid_keys)
        files = {i: _from_text(known[key]) for i, key in enumerate(keys) if key in known}
        missing = [i for i in range(len(sources)) if i not in files]
        for chunk, imported in _import_chunks(sources, missing, jobs, cluster):
            files.update(zip(chunk, imported, strict=True))
            store.save({keys[i]: _to_text(files[i]) for i in chunk if keys[i]})
        store.retain(valid_keys)
    return [_with_source(record, source) for i, source in enumerate(sources) for record in files[i]]


def _import_chunks(
    sources: Sequence[SourceFile], indices: Sequence[int], jobs: int, cluster: str | None
) -> Iterator[tuple[Sequence[int], list[list[PieceRecord]]]]:
    """Yield the indices and the records of each chunk of files; show a progress bar."""
    chunks = [indices[i : i + CHUNK_FILES] for i in range(0, len(indices), CHUNK_FILES)]
    work = _in_parallel([[sources[i] for i in chunk] for chunk in chunks], jobs, cluster)
    with Progress(console=Console(stderr=True), transient=True) as progress:
        bar = progress.add_task("importing", total=len(indices))
        for chunk, imported in zip(chunks, work, strict=True):
            yield chunk, imported
            progress.advance(bar, len(chunk))


def _in_parallel(
    chunks: Sequence[Sequence[SourceFile]], jobs: int, cluster: str | None
) -> Iterator[list[list[PieceRecord]]]:
    """Yield the records of each chunk, in order, as soon as they are ready."""
    with _dask(cluster):
        parallel = Parallel(n_jobs=jobs, return_as="generator")
        try:
            yield from parallel(delayed(import_files)(chunk) for chunk in chunks)
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
    head = f"{version}|{source.path.name}|{','.join(source.pairs)}|"
    return hashlib.sha256(head.encode() + data).hexdigest()


def _to_text(records: Sequence[PieceRecord]) -> str:
    return json.dumps([record.to_json() for record in records], separators=(",", ":"))


def _from_text(text: str) -> list[PieceRecord]:
    return [PieceRecord.from_json(row) for row in json.loads(text)]
