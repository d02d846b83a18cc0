"""What was read of files, remembered: a SQLite file of texts by key.

It makes preparing incremental and resumable, and is never part of the result. A store that is
damaged is begun anew, and a text that is damaged is not known. Knows keys and texts, not what they
mean.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

from bicinium.errors import CorpusError

_CONCERNED = (  # what a reading depends on
    "data/duplicates.py", "data/import_piece.py", "formats/*.py", "grammar/*.py",
    "music/*.*", "tokenizer/*.py",
)  # fmt: skip
_PATIENCE_SECONDS = 5.0  # with another process that is writing
_TABLE = "readings (key TEXT PRIMARY KEY, text TEXT)"
_DAMAGE = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR)
_HASH_LENGTH = 64  # characters of the hash that stands before each text


class ImportCache:
    """Open for the length of a ``with`` block; without a path it remembers no longer.

    Raises CorpusError where its file cannot be used, as while another process is writing.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        with self._refusal():
            self.connection = _connect(path)
            if path and not _is_sound(self.connection):
                self.connection.close()
                path.unlink()
                self.connection = _connect(path)
            self.connection.execute(f"CREATE TABLE IF NOT EXISTS {_TABLE}")

    def __enter__(self) -> ImportCache:
        return self

    def __exit__(self, *_: object) -> None:
        self.connection.close()

    def load(self, keys: Iterable[str]) -> dict[str, str]:
        """The texts that are known, of those asked for."""
        wanted = set(keys)
        with self._refusal():
            rows = self.connection.execute("SELECT key, text FROM readings")
            stored = {key: str(text) for key, text in rows if key in wanted}
        return {key: text[_HASH_LENGTH:] for key, text in stored.items() if _is_whole(text)}

    def save(self, texts: Mapping[str, str]) -> None:
        """Remember some texts; all of them, or none where it is interrupted."""
        rows = [(key, _hash(text) + text) for key, text in texts.items()]
        with self._refusal(), self.connection:
            self.connection.executemany("REPLACE INTO readings VALUES (?, ?)", rows)

    def forget_all_but(self, keys: set[str]) -> None:
        """Drop what belongs to files that are gone or have changed."""
        with self._refusal(), self.connection:
            known = {key for (key,) in self.connection.execute("SELECT key FROM readings")}
            self.connection.executemany(
                "DELETE FROM readings WHERE key = ?", [(key,) for key in known - keys]
            )

    @contextmanager
    def _refusal(self) -> Iterator[None]:
        """Says in one sentence why the file cannot be used."""
        try:
            yield
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY:
                raise CorpusError(
                    f"{self.path} is in use by another process: wait until it has ended, or "
                    "prepare into another folder"
                ) from error
            raise CorpusError(
                f"{self.path} cannot be used ({error}): delete it, or prepare into another folder"
            ) from error


def _connect(path: Path | None) -> sqlite3.Connection:
    connection = sqlite3.connect(path or ":memory:", timeout=_PATIENCE_SECONDS)
    connection.text_factory = lambda data: data.decode("utf-8", "replace")
    return connection


def _is_sound(connection: sqlite3.Connection) -> bool:
    """Whether SQLite finds its way in all of the file; what the texts say it does not know."""
    try:
        (answer,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
        tables = connection.execute("SELECT sql FROM sqlite_master WHERE type = 'table'").fetchall()
    except UnicodeDecodeError:  # of SQLite's own message, which quotes the damage
        return False
    except sqlite3.DatabaseError as error:
        if error.sqlite_errorcode & 0xFF in _DAMAGE:
            return False
        raise
    return answer == "ok" and tables in ([], [(f"CREATE TABLE {_TABLE}",)])


def _is_whole(stored: str) -> bool:
    return stored[:_HASH_LENGTH] == _hash(stored[_HASH_LENGTH:])


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


@lru_cache(maxsize=1)
def program_hash() -> str:
    """Changes whenever the code (or the quality's weights) that reads files does."""
    root = Path(__file__).parents[1]
    digest = hashlib.sha256()
    for pattern in _CONCERNED:
        for path in sorted(root.glob(pattern)):
            digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()
