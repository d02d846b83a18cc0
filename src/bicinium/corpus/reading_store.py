"""What was read of files, remembered: a SQLite file of texts by key.

It makes preparing incremental and resumable, and is never part of the result. A store that is
damaged is begun anew. Knows keys and texts, not what they mean.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path

_CONCERNED = (  # what a reading depends on
    "corpus/duplicates.py", "corpus/quality.*", "corpus/reading.py",
    "grammar/*.py", "score/*.py", "tokens/*.py",
)  # fmt: skip


class ReadingStore:
    """Open for the length of a ``with`` block; without a path it remembers no longer."""

    def __init__(self, path: Path | None) -> None:
        try:
            self.connection = _open(path)
        except sqlite3.DatabaseError:
            if path is None:
                raise
            path.unlink(missing_ok=True)
            self.connection = _open(path)

    def __enter__(self) -> ReadingStore:
        return self

    def __exit__(self, *_: object) -> None:
        self.connection.close()

    def load(self, keys: Iterable[str]) -> dict[str, str]:
        """The texts that are known, of those asked for."""
        wanted = set(keys)
        rows = self.connection.execute("SELECT key, text FROM readings")
        return {key: text for key, text in rows if key in wanted}

    def save(self, texts: Mapping[str, str]) -> None:
        """Remember some texts; all of them, or none where it is interrupted."""
        with self.connection:
            self.connection.executemany("REPLACE INTO readings VALUES (?, ?)", texts.items())

    def forget_all_but(self, keys: set[str]) -> None:
        """Drop what belongs to files that are gone or have changed."""
        known = {key for (key,) in self.connection.execute("SELECT key FROM readings")}
        with self.connection:
            self.connection.executemany(
                "DELETE FROM readings WHERE key = ?", [(key,) for key in known - keys]
            )


def _open(path: Path | None) -> sqlite3.Connection:
    connection = sqlite3.connect(path or ":memory:")
    connection.execute("CREATE TABLE IF NOT EXISTS readings (key TEXT PRIMARY KEY, text TEXT)")
    connection.execute("SELECT count(*) FROM readings")
    return connection


@lru_cache(maxsize=1)
def program_hash() -> str:
    """Changes whenever the code (or the quality's weights) that reads files does."""
    root = Path(__file__).parents[1]
    digest = hashlib.sha256()
    for pattern in _CONCERNED:
        for path in sorted(root.glob(pattern)):
            digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()
