"""Download the works of the catalogue with pooch.

A file appears in its place only when it is complete and is readable MIDI. ``fetched.json`` records
the hash of every download. With it a later run notices a damaged file, and rejects a file whose
contents have changed since. The catalogue may pin the hash of a work in its column ``sha256``
(``tools/pin_catalogue.py``); another file is then refused always. The folder gets a manifest with
licence and attribution, which ``prepare`` reads.
"""

from __future__ import annotations

import csv
import json
import time
import urllib.parse
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields
from enum import StrEnum
from importlib.resources import files
from pathlib import Path
from typing import IO, Any

import pooch
import requests

from bicinium.atomic_write import atomic_write
from bicinium.errors import CorpusError, MidiFileError
from bicinium.formats.midi import read_midi
from bicinium.time_limit import time_limit

MUTOPIA = "https://www.mutopiaproject.org/"
_ATTEMPTS = 4
_FIRST_PAUSE_SECONDS = 1.0  # doubled before each further attempt
_TIMEOUT_SECONDS = 20.0  # without a byte
_MAX_SECONDS = 120.0  # for one file
_CHUNK_BYTES = 256  # read at a time, so that a slow server is noticed
_MAX_BYTES = 10_000_000
_SAFE_REDIRECTS = (("https", "https"), ("http", "https"), ("http", "http"))
_RETRY_STATUSES = (408, 425, 429, 500, 502, 503, 504)

pooch.get_logger().setLevel("WARNING")


@dataclass(frozen=True, slots=True)
class CatalogueEntry:
    """A work of the catalogue. ``path`` is relative to the address of the server."""

    group: str
    path: str
    composer: str
    title: str
    opus: str
    licence: str
    maintainer: str  # the typesetter, to be credited
    cluster: str
    sha256: str = ""  # of the file, if the catalogue pins it


class Outcome(StrEnum):
    """What became of a download."""

    FETCHED = "fetched"
    PRESENT = "had already"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Download:
    """The outcome for one work, with the reason if it failed."""

    entry: CatalogueEntry
    outcome: Outcome
    reason: str = ""


def catalogue(groups: Sequence[str] = ()) -> list[CatalogueEntry]:
    """Return the works of the groups, or all. Raises CorpusError for an unknown group."""
    text = (files("bicinium.data") / "catalogue.csv").read_text(encoding="utf-8")
    entries = [CatalogueEntry(**row) for row in csv.DictReader(text.splitlines())]
    known = list(dict.fromkeys(entry.group for entry in entries))
    for group in groups:
        if group not in known:
            raise CorpusError(
                f"{group!r} is not a group of the catalogue. The groups are {', '.join(known)}."
            )
    return [entry for entry in entries if not groups or entry.group in groups]


def download(
    entries: Sequence[CatalogueEntry],
    out: Path,
    server: str = MUTOPIA,
    *,
    progress: Callable[[Download], None] = lambda done: None,
    pause_seconds: float = _FIRST_PAUSE_SECONDS,
    timeout_seconds: float = _TIMEOUT_SECONDS,
    max_seconds: float = _MAX_SECONDS,
    replace: bool = False,
) -> list[Download]:
    """Download the works into the folder ``out`` and return the outcome of each.

    A file that is there with its recorded hash is not downloaded again. An interrupted run can be
    repeated. A file of the same name that was not downloaded makes the work fail; with ``replace``
    everything is downloaded again. Redirections to another host, or from https to http, are
    refused. A work that takes longer than ``max_seconds``, or sends nothing for
    ``timeout_seconds``, fails. Raises CorpusError if the folder cannot be written to, or if
    ``server`` is not a URL.
    """
    if not server.startswith(("http://", "https://")):
        raise CorpusError(f"--server must begin with http:// or https:// (got {server}).")
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CorpusError(f"{out} cannot be written to: {error.strerror or error}.") from error
    record_path = out / "fetched.json"
    hashes = _read_hashes(record_path)
    downloads = []
    for entry in entries:
        address = server.rstrip("/") + "/" + urllib.parse.quote(entry.path)
        downloader = _MidiDownloader(timeout_seconds, max_seconds)
        done = _download(entry, address, out, hashes, downloader, pause_seconds, replace)
        if done.outcome is Outcome.FETCHED:
            _write_hashes(record_path, hashes)
        downloads.append(done)
        progress(done)
    _write_manifest(out, {entry.path: entry for entry in [*catalogue(), *entries]}, hashes)
    return downloads


def _download(
    entry: CatalogueEntry,
    address: str,
    out: Path,
    hashes: dict[str, str],
    downloader: _MidiDownloader,
    pause_seconds: float,
    replace: bool,
) -> Download:
    """Download one work, with further attempts after temporary failures."""
    target = out / entry.path
    known = entry.sha256 or (None if replace else hashes.get(entry.path))
    if target.is_file() and known == pooch.file_hash(str(target)):
        return Download(entry, Outcome.PRESENT)
    if known is None and target.exists() and not replace:
        return Download(entry, Outcome.FAILED, f"{target} exists already; replace it with --force")
    target.unlink(missing_ok=True)  # pooch would keep a file whose hash is not known.
    reason = ""
    for attempt in range(_ATTEMPTS):
        if attempt:
            time.sleep(pause_seconds * 2 ** (attempt - 1))
        try:
            pooch.retrieve(address, known, target.name, target.parent, downloader=downloader)
        except (CorpusError, MidiFileError) as error:
            return Download(entry, Outcome.FAILED, str(error))
        except ValueError:  # pooch: the hash is not the known one
            return Download(entry, Outcome.FAILED, _other_file(address, bool(entry.sha256)))
        except requests.RequestException as error:
            reason = _reason(address, error)
            if not _is_temporary(error):
                return Download(entry, Outcome.FAILED, reason)
        else:
            hashes[entry.path] = pooch.file_hash(str(target))
            return Download(entry, Outcome.FETCHED)
    return Download(entry, Outcome.FAILED, f"{reason}; gave up after {_ATTEMPTS} attempts")


def _is_temporary(error: requests.RequestException) -> bool:
    """Return whether another attempt may help."""
    if isinstance(error, requests.TooManyRedirects):
        return False
    return error.response is None or error.response.status_code in _RETRY_STATUSES


def _other_file(address: str, is_pinned: bool) -> str:
    if is_pinned:
        return f"{address} sends another file than the one that the catalogue pins."
    return f"{address} sends another file than before. Accept it with --force."


def _reason(address: str, error: requests.RequestException) -> str:
    if error.response is not None and not error.response.ok:
        return f"{address} answers {error.response.status_code} {error.response.reason}"
    return f"{address} failed: {error}"


class _MidiDownloader:
    """A downloader for pooch that accepts only complete, readable MIDI of a limited size, from the
    host that was asked, within a limited time.

    pooch gives it a temporary file, which it moves into place if nothing is raised here.
    """

    def __init__(self, timeout_seconds: float, max_seconds: float) -> None:
        self._max_seconds = max_seconds
        self._http = pooch.HTTPDownloader(
            timeout=timeout_seconds,
            chunk_size=_CHUNK_BYTES,
            headers={"User-Agent": "bicinium"},
            hooks={"response": _refuse_other_hosts},
        )

    def __call__(self, url: str, output_file: str, caller: Any) -> None:
        slow = _slow(url, self._max_seconds)
        with (
            Path(output_file).open("wb") as file,
            time_limit(self._max_seconds, slow, waiting=True),  # of slow headers, too
        ):
            self._http(url, _LimitedFile(file, url, self._max_seconds), caller)
        try:
            read_midi(Path(output_file))
        except MidiFileError as error:
            raise MidiFileError(str(error).replace(output_file, url)) from error


def _slow(url: str, max_seconds: float) -> CorpusError:
    return CorpusError(f"{url} took over {max_seconds:g} seconds")


def _refuse_other_hosts(response: requests.Response, **_: Any) -> None:
    """Raise CorpusError if a response redirects to another host, or from https to http."""
    if not response.is_redirect:
        return
    asked = urllib.parse.urlsplit(response.url)
    address = urllib.parse.urljoin(response.url, response.headers["location"])
    sent = urllib.parse.urlsplit(address)
    if sent.hostname != asked.hostname or (asked.scheme, sent.scheme) not in _SAFE_REDIRECTS:
        raise CorpusError(
            f"{response.url} redirects to {address}, another host or a less safe protocol. "
            "If you trust it, name it with --server."
        )


class _LimitedFile:
    """A file that raises CorpusError if it becomes too large or takes too long."""

    def __init__(self, file: IO[bytes], url: str, max_seconds: float) -> None:
        self._file, self._url = file, url
        self._max_seconds, self._started = max_seconds, time.monotonic()

    def write(self, block: bytes) -> int:
        if time.monotonic() - self._started > self._max_seconds:
            raise _slow(self._url, self._max_seconds)
        if self._file.tell() + len(block) > _MAX_BYTES:
            raise CorpusError(
                f"{self._url} sends over {_MAX_BYTES:,} bytes, which is too long for a MIDI file"
            )
        return self._file.write(block)

    def flush(self) -> None:
        self._file.flush()


def _read_hashes(path: Path) -> dict[str, str]:
    try:
        hashes = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        return {str(name): str(digest) for name, digest in hashes.items()}
    except (OSError, ValueError, AttributeError) as error:
        raise CorpusError(
            f"{path} is damaged. Delete it, and download everything again with --force."
        ) from error


def _write_hashes(path: Path, hashes: dict[str, str]) -> None:
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(hashes, indent=1, sort_keys=True) + "\n", "utf-8")


def _write_manifest(out: Path, entries: dict[str, CatalogueEntry], hashes: dict[str, str]) -> None:
    """Write who composed and typeset what is in the folder, and under which licence."""
    names = [field.name for field in fields(CatalogueEntry)]
    rows = [
        list((asdict(entries[path]) | {"sha256": hashes[path]}).values())
        for path in sorted(hashes)
        if path in entries and (out / path).is_file()
    ]
    path = out / "manifest.csv"
    with atomic_write(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([names, *rows])
