"""Temporary SQLite databases, for what is too large for memory. Knows no music."""

from __future__ import annotations

import sqlite3


def temporary_database(schema: str) -> sqlite3.Connection:
    """Return a new database in a file without a name, which is deleted when it is closed.

    SQLite keeps two megabytes of it in memory. ``schema`` holds the statements that make its
    tables. There is no journal, so nothing can be rolled back.
    """
    connection = sqlite3.connect("", isolation_level=None)
    connection.executescript(f"PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; {schema}")
    return connection
