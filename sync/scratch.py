"""A database of our own for what does not fit into memory: SQLite keeps it in a temporary file without a name."""

from __future__ import annotations

import sqlite3


def scratch(*tables: str) -> sqlite3.Connection:
    """An empty database with these tables, gone with its connection; what does not fit into 4 MB lies in a file."""
    db = sqlite3.connect("", isolation_level=None)
    db.execute("PRAGMA cache_size = -4000")
    db.execute("PRAGMA journal_mode = OFF")
    for table in tables:
        db.execute(table)
    db.execute("BEGIN")  # never ended: nothing of it is to stay
    return db


def as_bytes(text: str) -> bytes:
    """Any text as it is kept there: half a character is no text for SQLite."""
    return text.encode("utf-8", "surrogatepass")


def as_text(kept: bytes) -> str:
    """What :func:`as_bytes` wrote."""
    return kept.decode("utf-8", "surrogatepass")
