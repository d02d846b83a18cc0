"""Downloading the catalogue's works so that nothing half-done is ever taken for whole.

A file is written beside its place and moved there when it is complete and readable MIDI; what broke
off is gone on with from where it was. ``fetched.json`` records the hash of what came, so that a
later run knows a damaged file, and a server that sends something else than before is not believed.
The folder gets a manifest with licence and attribution, and is then a source like any other.
"""

from __future__ import annotations

import csv
import hashlib
import http.client
import json
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields
from importlib.resources import files
from pathlib import Path

from bicinium.atomic_write import atomic_write
from bicinium.errors import CorpusError, MidiFileError
from bicinium.formats.midi import read_midi

MUTOPIA = "https://www.mutopiaproject.org/"
_ATTEMPTS = 4
_FIRST_PAUSE_SECONDS = 1.0  # doubled at each attempt
_TIMEOUT_SECONDS = 20.0  # without a byte
_MOST_BYTES = 10_000_000
_BLOCK = 65_536
_TEMPORARY = (408, 425, 429, 500, 502, 503, 504)  # statuses after which trying again helps


@dataclass(frozen=True, slots=True)
class Work:
    """A work of the catalogue. ``path`` is below the server's address."""

    group: str
    path: str
    composer: str
    title: str
    opus: str
    licence: str
    maintainer: str  # the typesetter, to be credited
    cluster: str


@dataclass(frozen=True, slots=True)
class Fetched:
    """What became of a work: "fetched", "had already" or "failed", with the reason."""

    work: Work
    outcome: str
    reason: str = ""


class _TemporaryError(Exception):
    """A failure after which trying again may help."""


def catalogue(groups: Sequence[str] = ()) -> list[Work]:
    """The works of the groups, or all. Raises CorpusError for a group that is none."""
    text = (files("bicinium.data") / "catalogue.csv").read_text(encoding="utf-8")
    works = [Work(**row) for row in csv.DictReader(text.splitlines())]
    known = list(dict.fromkeys(work.group for work in works))
    for group in groups:
        if group not in known:
            raise CorpusError(f"{group!r} is not in the catalogue; there are {', '.join(known)}")
    return [work for work in works if not groups or work.group in groups]


def fetch(
    works: Sequence[Work],
    out: Path,
    server: str = MUTOPIA,
    *,
    progress: Callable[[Fetched], None] = lambda done: None,
    pause_seconds: float = _FIRST_PAUSE_SECONDS,
    timeout_seconds: float = _TIMEOUT_SECONDS,
) -> list[Fetched]:
    """Download the works into the folder ``out``, and say of each what became of it.

    What is there already and has its recorded hash is not asked for again. Can be interrupted at
    any time.
    """
    if not server.startswith(("http://", "https://")):
        raise CorpusError(f"{server} is not the address of a server: it begins with https://")
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CorpusError(f"{out} cannot be written to: {error.strerror or error}") from error
    record_path = out / "fetched.json"
    record = _read_record(record_path)
    outcomes = []
    for work in works:
        done = _fetch_one(work, out, server, record, pause_seconds, timeout_seconds)
        if done.outcome == "fetched":
            _write_json(record_path, record)
        outcomes.append(done)
        progress(done)
    _write_manifest(out, {work.path: work for work in [*catalogue(), *works]}, record)
    return outcomes


def _fetch_one(
    work: Work,
    out: Path,
    server: str,
    record: dict[str, str],
    pause_seconds: float,
    timeout_seconds: float,
) -> Fetched:
    target = out / work.path
    if target.is_file() and _hash(target) == record.get(work.path):
        return Fetched(work, "had already")
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(target.name + ".partial")
    address = server.rstrip("/") + "/" + urllib.parse.quote(work.path)
    reason = ""
    for attempt in range(_ATTEMPTS):
        if attempt:
            time.sleep(pause_seconds * 2 ** (attempt - 1))
        try:
            _download(address, partial, timeout_seconds)
            read_midi(partial)
        except _TemporaryError as error:
            reason = str(error)
            continue
        except (CorpusError, MidiFileError) as error:
            partial.unlink(missing_ok=True)
            return Fetched(work, "failed", str(error).replace(str(partial), address))
        came = _hash(partial)
        if record.setdefault(work.path, came) != came:
            partial.unlink()
            return Fetched(work, "failed", f"{address} sends another file than it did before; "
                           f"delete {out / 'fetched.json'} to accept it")  # fmt: skip
        partial.replace(target)
        return Fetched(work, "fetched")
    return Fetched(work, "failed", f"{reason}; gave up after {_ATTEMPTS} attempts")


def _download(address: str, partial: Path, timeout_seconds: float) -> None:
    """Fill ``partial``, going on from what it holds. Raises _TemporaryError or CorpusError."""
    have = partial.stat().st_size if partial.is_file() else 0
    request = urllib.request.Request(address, headers={"User-Agent": "bicinium"})
    if have:
        request.add_header("Range", f"bytes={have}-")
    try:
        with urllib.request.urlopen(request, timeout=timeout_seconds) as answer:
            goes_on = answer.status == 206 and _first_byte(answer) == have
            if answer.status == 206 and not goes_on:
                partial.unlink(missing_ok=True)
                raise _TemporaryError(f"{address} sent another part than was asked for")
            with partial.open("ab" if goes_on else "wb") as file:
                _copy(answer, file.write, (have if goes_on else 0), address)
    except urllib.error.HTTPError as error:
        if error.code == 416:  # nothing is left to send, or the file has changed
            partial.unlink(missing_ok=True)
            raise _TemporaryError(f"{address} has no more than was fetched before") from error
        if error.code in _TEMPORARY:
            raise _TemporaryError(f"{address} answers {error.code} {error.reason}") from error
        raise CorpusError(f"{address} answers {error.code} {error.reason}") from error
    except (urllib.error.URLError, http.client.HTTPException, OSError) as error:
        cause = getattr(error, "reason", None) or str(error) or type(error).__name__
        raise _TemporaryError(f"{address} broke off: {cause}") from error


def _first_byte(answer: http.client.HTTPResponse) -> int:
    """Where a partial answer begins: of ``bytes 100-199/200``, 100."""
    unit, _, span = (answer.headers.get("Content-Range") or "").partition(" ")
    first = span.partition("-")[0]
    return int(first) if unit == "bytes" and first.isdecimal() else -1


def _copy(
    answer: http.client.HTTPResponse, write: Callable[[bytes], object], have: int, address: str
) -> None:
    promised = answer.length  # what the header says is still to come
    came = 0
    while block := answer.read(_BLOCK):
        came += len(block)
        if have + came > _MOST_BYTES:
            raise CorpusError(
                f"{address} sends over {_MOST_BYTES:,} bytes: no MIDI file is so long"
            )
        write(block)
    if promised is not None and came < promised:
        raise _TemporaryError(f"{address} broke off after {came} of {promised} bytes")


def _hash(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _read_record(path: Path) -> dict[str, str]:
    try:
        record = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        return {str(name): str(digest) for name, digest in record.items()}
    except (OSError, ValueError, AttributeError) as error:
        raise CorpusError(f"{path} is damaged; delete it to fetch all anew") from error


def _write_json(path: Path, record: dict[str, str]) -> None:
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(record, indent=1, sort_keys=True) + "\n", "utf-8")


def _write_manifest(out: Path, works: dict[str, Work], record: dict[str, str]) -> None:
    """Who wrote and typeset what is there, under which licence; ``prepare`` reads it."""
    names = [field.name for field in fields(Work)]
    rows = [
        [*asdict(works[path]).values(), record[path]]
        for path in sorted(record)
        if path in works and (out / path).is_file()
    ]
    path = out / "manifest.csv"
    with atomic_write(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([[*names, "sha256"], *rows])
