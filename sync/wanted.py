"""What is wanted of one system: one desired record for each key, of any number in little memory.

They wait in a database of their own, which SQLite keeps in a temporary file without a name as far as they do not fit into
its memory, and are handed out as a plan shows them: by object, in the order of parents and keys.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from sync.plan_items import Item, Ref
from sync.sameness import plain
from sync.scratch import as_bytes, as_text, scratch
from sync.write_maps import Desired, WriteMap, WriteReject

_TABLE = """
CREATE TABLE wanted (
    part INTEGER NOT NULL, key BLOB NOT NULL, parent BLOB NOT NULL, folded BLOB, body BLOB NOT NULL, clash TEXT,
    PRIMARY KEY (part, key)
) WITHOUT ROWID
"""
_PUT = "INSERT OR REPLACE INTO wanted VALUES (?, ?, ?, ?, ?, ?)"
_KNOWN = "SELECT body, clash FROM wanted WHERE part = ? AND key = ?"
_ALL = "SELECT body FROM wanted WHERE part = ?"
_IN_ORDER = "SELECT body FROM wanted WHERE part = ? AND clash IS NULL ORDER BY parent, key"
_CLASHES = "SELECT body, clash FROM wanted WHERE clash IS NOT NULL ORDER BY part, key"
_TWINS = """
SELECT key FROM wanted WHERE part = ? AND folded IN (
    SELECT folded FROM wanted WHERE part = ? GROUP BY folded HAVING count(*) > 1
)
"""
_TOGETHER = 500

Group = tuple[str, str | None]
"""An object and the field by which its records are known (``None``: the system's own id)."""
Meet = Callable[[Desired, Desired, str | None], tuple[Desired, str | None]]
"""What becomes of a record that is there and another one for the same key: the one to keep, and why they clash."""


class Wanted:
    """Desired records by object and key; what several want of one is put together, or is a clash."""

    def __init__(self, desired: Iterable[Desired] = ()) -> None:
        self._db = scratch(_TABLE)
        self._parts = 0
        self._of_group: dict[Group, int] = {}
        self._fresh: dict[tuple[int, bytes], Desired] = {}
        for one in desired:
            self._put(self._number((one.object, one.key_field)), one, _together)
        self._store(_together)

    @classmethod
    def of_rows(
        cls, writes: Iterable[WriteMap], rows: Mapping[str, Iterable[Mapping[str, Any]]], rejects: list[WriteReject]
    ) -> Wanted:
        """What a mapping wants of these rows of the outcome, by list; ``rejects`` gets those that cannot be written."""
        wanted = cls()
        for part in writes:
            wanted._take(part, rows.get(part.rows) or (), rejects)
        return wanted

    @property
    def groups(self) -> list[Group]:
        """The objects, in the order in which they were first wanted."""
        return list(self._of_group)

    def of(self, group: Group, size: int) -> Iterator[list[Desired]]:
        """The records of one object, ``size`` at a time, in the order of parents and keys; without those that clash."""
        found = self._db.execute(_IN_ORDER, (self._of_group[group],))
        while some := found.fetchmany(size):
            yield [_read(body) for (body,) in some]

    def twins(self, group: Group) -> set[str]:
        """Keys of one object that differ from another one only by upper and lower case."""
        part = self._of_group[group]
        return {as_text(key) for (key,) in self._db.execute(_TWINS, (part, part))}

    def clashes(self) -> Iterator[Item]:
        """The records of which several want different things, as blocked items."""
        for body, reason in self._db.execute(_CLASHES):
            one = _read(body)
            yield Item(Ref(one.object, one.key_field, one.key), "blocked", one.because, reason=reason)

    def _number(self, group: Group) -> int:
        if group not in self._of_group:
            self._parts += 1
            self._of_group[group] = self._parts
        return self._of_group[group]

    def _take(self, part: WriteMap, rows: Iterable[Mapping[str, Any]], rejects: list[WriteReject]) -> None:
        """Take in what one part of a mapping wants; two rows that want different things of one record are both refused."""

        def meet(other: Desired, one: Desired, clash: str | None) -> tuple[Desired, str | None]:
            if clash is None and other == one:
                return other, None
            rejects.append(part.two_rows(one.key))
            return other, "refused"

        self._parts += 1
        number = self._parts
        for one in part.each(rows, rejects):
            self._put(number, one, meet)
        self._store(meet)
        self._db.execute("DELETE FROM wanted WHERE part = ? AND clash IS NOT NULL", (number,))
        if self._db.execute("SELECT 1 FROM wanted WHERE part = ? LIMIT 1", (number,)).fetchone() is None:
            return
        first = self._of_group.setdefault((part.object, part.key_field), number)
        if first == number:
            return
        for (body,) in self._db.execute(_ALL, (number,)):
            self._put(first, _read(body), _together)
        self._store(_together)
        self._db.execute("DELETE FROM wanted WHERE part = ?", (number,))

    def _put(self, part: int, one: Desired, meet: Meet) -> None:
        place = part, as_bytes(one.key)
        if place in self._fresh or len(self._fresh) >= _TOGETHER:
            self._store(meet)
        self._fresh[place] = one

    def _store(self, meet: Meet) -> None:
        """Put away what came since the last time."""
        rows = []
        for (part, key), one in self._fresh.items():
            known = self._db.execute(_KNOWN, (part, key)).fetchone()
            one, clash = (one, None) if known is None else meet(_read(known[0]), one, known[1])
            parent = as_bytes(one.parent or "")
            folded = None if one.key_field is None else as_bytes(one.key.casefold())
            rows.append((part, key, parent, folded, _written(one), clash))
        self._db.executemany(_PUT, rows)
        self._fresh.clear()


def _together(other: Desired, one: Desired, clash: str | None) -> tuple[Desired, str | None]:
    """Two rows for one record as one, and what they disagree about."""
    for name in sorted(one.fields.keys() & other.fields.keys()):
        if clash is None and plain(one.fields[name]) != plain(other.fields[name]):
            clash = f"two rows want different values of {name}; let one of them write it"
    because = "; ".join(dict.fromkeys(text for text in (other.because, one.because) if text))
    return replace(other, fields={**other.fields, **one.fields}, because=because), clash


def _written(one: Desired) -> bytes:
    values = (one.object, one.key_field, one.key, dict(one.fields), one.parent, one.because, one.at)
    return pickle.dumps(values, protocol=5)


def _read(body: bytes) -> Desired:
    return Desired(*pickle.loads(body))  # what we wrote, into a file that nobody else can open
