"""Empty SQLite stores: migrated once in a process, copied from then on."""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path

from sync.store import Store


def empty_store(file: Path) -> str:
    """Put an empty, migrated store there; returns its address."""
    file.write_bytes(_migrated())
    return f"sqlite:///{file}"


@cache
def _migrated() -> bytes:
    with tempfile.TemporaryDirectory() as place:
        store = Store.open(f"sqlite:///{place}/empty.db")
        store.migrate()
        store.close()
        return Path(place, "empty.db").read_bytes()
