"""Accounts and referrals as they were seen, of any number, handed out in the order in which things became known.

They wait in a database of their own, which SQLite keeps in a temporary file without a name as far as they do not fit into
its memory.
"""

from __future__ import annotations

import pickle
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal

from rules.facts import View
from sync.scratch import as_bytes, as_text, scratch
from sync.tables import instant, micros

Kind = Literal["account", "referral"]
Event = tuple[datetime, int, str, Any]
"""When something became known, what kind of thing (accounts first), its name, and the fact (``None``: it is gone)."""

_KINDS: Mapping[Kind, int] = {"account": 0, "referral": 1}
_TABLE = "CREATE TABLE seen (at INTEGER NOT NULL, kind INTEGER NOT NULL, name BLOB NOT NULL, fact BLOB)"
_BY_NAME = "CREATE INDEX seen_by_name ON seen (kind, name)"
_HAS = "SELECT 1 FROM seen WHERE kind = ? AND name = ? LIMIT 1"
_IN_ORDER = "SELECT at, kind, name, fact FROM seen ORDER BY at, kind, name"


class Sightings:
    """What was seen of accounts and referrals."""

    def __init__(self) -> None:
        self._db = scratch(_TABLE, _BY_NAME)

    def add(self, kind: Kind, records: Mapping[str, Sequence[View[Any]]]) -> None:
        """Take in records of one kind, each with all its views."""
        rows = (
            (micros(view.at), _KINDS[kind], as_bytes(name), None if view.fact is None else pickle.dumps(view.fact, 5))
            for name, views in records.items()
            for view in views
        )
        self._db.executemany("INSERT INTO seen VALUES (?, ?, ?, ?)", rows)

    def has_account(self, name: str) -> bool:
        """Whether this account was ever seen."""
        return self._db.execute(_HAS, (_KINDS["account"], as_bytes(name))).fetchone() is not None

    def __iter__(self) -> Iterator[Event]:
        for at, kind, name, fact in self._db.execute(_IN_ORDER):
            # Only we wrote it, into a file that nobody else can open.
            yield instant(at), kind, as_text(name), None if fact is None else pickle.loads(fact)
