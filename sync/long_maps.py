"""Mappings of any size in little memory: what is more than fits waits in a temporary database."""

from __future__ import annotations

import pickle
import sqlite3
from collections.abc import Iterator, MutableMapping, Sequence
from typing import Any, TypeVar

from sync.scratch import as_bytes, as_text, scratch

Key = TypeVar("Key", str, int)
Value = TypeVar("Value")
NEAR = 10_000
"""Entries of one mapping that are kept in memory before those that changed are written."""
_READ_TOGETHER = 500
_ASKED_TOGETHER = 100


class Shelves:
    """The temporary database that several mappings share; there is none until one of them needs it."""

    def __init__(self) -> None:
        self._db: sqlite3.Connection | None = None
        self._tables = 0

    def table(self, columns: str) -> tuple[sqlite3.Connection, str]:
        """An empty table of its own: the database and the table's name."""
        if self._db is None:
            self._db = scratch()
        self._tables += 1
        name = f"t{self._tables}"
        self._db.execute(f"CREATE TABLE {name} {columns}")
        return self._db, name


class LongMap(MutableMapping[Key, Value]):
    """A mapping by texts, or by numbers, that is gone through in the order of its keys.

    A value that is changed must be set again, and must equal what ``pickle`` makes of it. Values may be set while
    the mapping is gone through.
    """

    def __init__(self, shelves: Shelves | None = None) -> None:
        self._shelves = shelves or Shelves()
        self._near: dict[Key, Value] = {}
        self._changed: set[Key] = set()
        self._db: sqlite3.Connection | None = None

    def __getitem__(self, key: Key) -> Value:
        if key in self._near:
            return self._near[key]
        if self._db is None:
            raise KeyError(key)
        found = self._db.execute(self._select, (_kept(key),)).fetchone()
        if found is None:
            raise KeyError(key)
        self._make_room()
        value: Value = pickle.loads(found[0])  # what we wrote, into a file that nobody else can open
        self._near[key] = value
        return value

    def several(self, keys: Sequence[Key]) -> list[Value]:
        """The values of keys that are all there, in their order; quicker than one at a time."""
        found = {key: self._near[key] for key in keys if key in self._near}
        missing = [_kept(key) for key in keys if key not in found]
        for start in range(0, len(missing), _ASKED_TOGETHER):
            some = missing[start : start + _ASKED_TOGETHER]
            some += some[-1:] * (_ASKED_TOGETHER - len(some))  # always as many, so that it is one statement
            assert self._db is not None
            for key, value in self._db.execute(self._select_several, some):
                found[_given(key)] = pickle.loads(value)
        return [found[key] for key in keys]

    def __setitem__(self, key: Key, value: Value) -> None:
        if key not in self._near:
            self._make_room()
        self._near[key] = value
        self._changed.add(key)

    def __delitem__(self, key: Key) -> None:
        is_near = key in self._near
        if is_near:
            del self._near[key]
            self._changed.discard(key)
        if self._db is not None:
            is_near |= self._db.execute(self._delete, (_kept(key),)).rowcount > 0
        if not is_near:
            raise KeyError(key)

    def __bool__(self) -> bool:
        return bool(self._near) or next(iter(self), None) is not None

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __iter__(self) -> Iterator[Key]:
        if self._db is None:
            yield from sorted(self._near)
            return
        behind: Any = None
        while True:
            self._write()
            where, given = ("", ()) if behind is None else ("WHERE key > ?", (behind,))
            some = self._db.execute(
                f"SELECT key FROM {self._table} {where} ORDER BY key LIMIT {_READ_TOGETHER}", given
            ).fetchall()
            if not some:
                return
            for (key,) in some:
                yield _given(key)
            behind = some[-1][0]

    def _make_room(self) -> None:
        """Let go of what is in memory once it is too much."""
        if len(self._near) >= NEAR:
            self._write()
            self._near.clear()

    def _write(self) -> None:
        if self._db is None:
            self._db, self._table = self._shelves.table("(key PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID")
            self._select = f"SELECT value FROM {self._table} WHERE key = ?"
            asked = ", ".join("?" * _ASKED_TOGETHER)
            self._select_several = f"SELECT key, value FROM {self._table} WHERE key IN ({asked})"
            self._delete = f"DELETE FROM {self._table} WHERE key = ?"
        rows = [(_kept(key), pickle.dumps(self._near[key], 5)) for key in sorted(self._changed)]
        self._db.executemany(f"INSERT OR REPLACE INTO {self._table} VALUES (?, ?)", rows)
        self._changed.clear()


def _kept(key: str | int) -> bytes | int:
    return as_bytes(key) if isinstance(key, str) else key


def _given(key: Any) -> Any:
    return as_text(key) if isinstance(key, bytes) else key
