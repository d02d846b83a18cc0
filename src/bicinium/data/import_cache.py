"""Cache imported files in SQLite: a table of texts by key.

The cache makes preparing incremental and lets an interrupted run continue; it is no part of the
result. A damaged database is replaced by a new one, and a damaged text counts as absent. Knows keys
and texts, not what they mean.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

from bicinium.data.batched import batched
from bicinium.errors import CorpusError

_CODE = (  # the files of the package that an import depends on
    "data/duplicates.py", "data/import_piece.py", "data/piece_record.py", "formats/*.py",
    "grammar/*.py", "music/*.*", "music/descriptors/*.py", "tokenizer/*.py",
)  # fmt: skip
_TABLE = "readings (key TEXT PRIMARY KEY, text TEXT)"
_DAMAGE = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR)
_KEYS_PER_QUERY = 500
_HASH_LENGTH = 64  # characters of the hash before each text


class ImportCache:
    """A cache that is open inside a ``with`` block; without a path it is a temporary file.

    Every method raises CorpusError if the file cannot be used, for instance because another
    process is still writing to it after ``timeout_seconds``.
    """

    def __init__(self, path: Path | None, timeout_seconds: float = 5.0) -> None:
        self.path = path
        self.timeout_seconds = timeout_seconds
        with self._errors():
            self.connection = self._connect()
            if path and not _is_sound(self.connection):
                self.connection.close()
                path.unlink()
                self.connection = self._connect()
            self.connection.execute(f"CREATE TABLE IF NOT EXISTS {_TABLE}")

    def __enter__(self) -> ImportCache:
        return self

    def __exit__(self, *_: object) -> None:
        self.connection.close()

    def load(self, keys: Iterable[str]) -> dict[str, str]:
        """Return the texts of those keys that are in the cache."""
        stored: dict[str, str] = {}
        with self._errors():
            for some in batched(keys, _KEYS_PER_QUERY):
                marks = ", ".join("?" * len(some))
                query = f"SELECT key, text FROM readings WHERE key IN ({marks})"
                stored |= {key: str(text) for key, text in self.connection.execute(query, some)}
        return {key: text[_HASH_LENGTH:] for key, text in stored.items() if _is_whole(text)}

    def save(self, texts: Mapping[str, str]) -> None:
        """Store some texts: all of them, or none if it is interrupted."""
        rows = [(key, _hash(text) + text) for key, text in texts.items()]
        with self._errors(), self.connection:
            self.connection.executemany("REPLACE INTO readings VALUES (?, ?)", rows)

    def retain(self, keys: Iterable[str]) -> None:
        """Delete all other keys: those of files that are gone or have changed."""
        with self._errors(), self.connection as connection:
            connection.execute("CREATE TEMP TABLE present (key TEXT PRIMARY KEY)")
            rows = ((key,) for key in keys)
            connection.executemany("INSERT OR IGNORE INTO present VALUES (?)", rows)
            connection.execute("DELETE FROM readings WHERE key NOT IN (SELECT key FROM present)")
            connection.execute("DROP TABLE present")

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path or "", timeout=self.timeout_seconds)
        connection.text_factory = lambda data: data.decode("utf-8", "replace")
        return connection

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """Turn errors of SQLite inside the block into CorpusError."""
        try:
            yield
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY:
                raise CorpusError(
                    f"{self.path} is in use by another process. Wait until it ends, or prepare "
                    "into another folder."
                ) from error
            if error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_FULL:
                raise CorpusError(
                    f"{self.path or 'A temporary file'} cannot be written: the disk is full. What "
                    "was in the folder before is whole. Free some space, and run the same command "
                    "again: imported files are cached."
                ) from error
            raise CorpusError(
                f"{self.path} cannot be used ({error}). Delete it, or prepare into another folder."
            ) from error


def _is_sound(connection: sqlite3.Connection) -> bool:
    """Check the structure of the whole database, not the texts."""
    try:
        (answer,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
        tables = connection.execute("SELECT sql FROM sqlite_master WHERE type = 'table'").fetchall()
    except UnicodeDecodeError:  # SQLite's own message quotes the damage.
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
def code_hash() -> str:
    """Return a hash of the code, and of the quality weights, that importing depends on."""
    root = Path(__file__).parents[1]
    digest = hashlib.sha256()
    for pattern in _CODE:
        for path in sorted(root.glob(pattern)):
            digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()
