"""Versions of facts: a new one is appended only when it says something else than the latest.

``known_at`` of a fact that a system told us: while the stream's first full read is not complete, the record's own
stamps (nothing had been stated by us before); afterwards the instant at which we read it. It never goes back.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

import msgspec
import orjson
from sqlalchemy import Connection

from sync import tables
from sync.bulk import append, next_id, rows, run_each
from sync.payloads import fact_json, storable

_THROUGH = ("invoice", "referral")
"""Fields that lead a fact that names no account to the fact which does."""

_HEADS = """
SELECT h.fact_id, h.row_id, f.body, f.seq, f.known_at, f.stream_id, f.external_id, f.account, f.parent_type,
    f.parent_id, f.deleted
FROM fact_head h JOIN fact f ON f.id = h.row_id WHERE h.type = ? AND h.fact_id AMONG ?
"""
_MOVE_HEAD = "UPDATE fact_head SET row_id = ? WHERE type = ? AND fact_id = ?"

Key = tuple[str, str]

OUTLIVE_MERGES = frozenset({"partner", "referral"})
"""Facts that stay when their record is merged into another: a merge in the CRM withdraws nobody's claim."""


class Source(msgspec.Struct, frozen=True, gc=False):
    """Where facts come from: a version of a record. Instants in micros."""

    stream_id: int | None
    external_id: str | None
    record_seq: int | None
    first_known: int
    """``known_at`` when the fact has no version yet."""
    then_known: int
    """``known_at`` of a later version, unless the one before was known later."""

    @property
    def just_before(self) -> Source:
        """The same a moment earlier, for what a record was until this version of it: no two versions of a fact share
        an instant."""
        return Source(self.stream_id, self.external_id, self.record_seq, self.first_known - 1, self.then_known - 1)


class _Head(msgspec.Struct, frozen=True, gc=False):
    row_id: int
    body: str
    seq: int
    known_at: int
    stream_id: int | None
    external_id: str | None
    account: str | None
    parent: Key | None
    deleted: bool


class Unwritable(Exception):
    """A fact that cannot be written as JSON or whose id a database cannot hold; says which field and why."""

    def __init__(self, field: str, found: str) -> None:
        super().__init__(f"{field}: {found}")
        self.field = field
        self.found = found


class Written(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A fact body ready to be stored."""

    key: Key
    body: str
    account: str | None
    parent: Key | None


def written(fact: Mapping[str, Any], body: bytes | None = None) -> Written:
    """A fact body ready to be stored; ``body`` is the fact as ``fact_json`` writes it, when that was done already.

    Raises: ``Unwritable`` for text that is not valid Unicode or an id with control characters.
    """
    kind, identity = fact["type"], fact["id"]
    account = identity if kind == "account" else fact.get("account")
    if not identity.isprintable():
        raise Unwritable("id", "an id with control characters or broken Unicode")
    parent: Key | None = None
    if account is None:
        for name in _THROUGH:
            through = fact.get(name)
            if isinstance(through, str):
                parent = (name, storable(through))
                break
    elif not account.isprintable():
        raise Unwritable("account", "an account id with control characters or broken Unicode")
    if body is None:
        try:
            body = fact_json(fact)
        except TypeError as error:
            raise Unwritable("record", str(error)) from None
    return Written((kind, identity), body.decode(), account, parent)


class FactWriter:
    """Collects the facts of one page (or one replayed part) and appends them in one go, inside a transaction."""

    def __init__(self, connection: Connection, run_id: int) -> None:
        self._connection = connection
        self._run_id = run_id
        self._heads: dict[Key, _Head] = {}
        self._fresh: dict[Key, tuple[Any, ...]] = {}
        """The latest row of each fact that got one."""
        self._rows: list[tuple[Any, ...]] = []
        self._next = 0
        self.emptied: Counter[str] = Counter()
        """How many facts lost a field that they had, by ``type.field``."""

    def prepare(self, keys: Iterable[Key]) -> None:
        """Read the latest versions of these facts; must be called once, with every key that will come."""
        wanted: dict[str, list[str]] = {}
        for kind, identity in keys:
            wanted.setdefault(kind, []).append(identity)
        for kind, identities in wanted.items():
            for identity, *head in rows(self._connection, _HEADS, kind, identities):
                row_id, body, seq, known_at, stream_id, external_id, account, parent_type, parent_id, deleted = head
                parent = None if parent_type is None else (parent_type, parent_id)
                self._heads[kind, identity] = _Head(
                    row_id, body, seq, known_at, stream_id, external_id, account, parent, bool(deleted)
                )
        self._next = next_id(self._connection, tables.fact)

    def state(self, fact: Written, source: Source) -> bool:
        """Take one fact; returns whether it was news."""
        head = self._head(fact.key)
        if head is not None and head.body == fact.body:
            return False
        if head is not None and not head.deleted:
            self.emptied.update(set(fields_in(orjson.loads(head.body))).difference(fields_in(orjson.loads(fact.body))))
        self._append(fact, head, source, False)
        return True

    def withdraw(self, key: Key, source: Source) -> bool:
        """Withdraw a fact that its record does not give any more, unless another record has taken it over since."""
        head = self._head(key)
        if head is None or head.deleted or (head.stream_id, head.external_id) != (source.stream_id, source.external_id):
            return False
        body = orjson.dumps({"deleted": True, "id": key[1], "type": key[0]}).decode()
        self._append(Written(key, body, head.account, head.parent), head, source, True)
        return True

    def is_withdrawn(self, key: Key) -> bool:
        """Whether the fact was stated once and is withdrawn now."""
        head = self._head(key)
        return head is not None and head.deleted

    def _head(self, key: Key) -> _Head | None:
        row = self._fresh.get(key)
        if row is None:
            return self._heads.get(key)
        row_id, _, _, _, seq, known_at, account, parent_type, parent_id, body, deleted, stream_id, external_id, *_ = row
        parent = None if parent_type is None else (parent_type, parent_id)
        return _Head(row_id, body, seq, known_at, stream_id, external_id, account, parent, deleted)

    def _append(self, fact: Written, head: _Head | None, source: Source, deleted: bool) -> None:
        if head is None:
            previous, seq, known_at = None, 1, source.first_known
        else:
            previous, seq, known_at = head.row_id, head.seq + 1, max(head.known_at, source.then_known)
        key = fact.key
        kind, identity = key
        parent_type, parent_id = fact.parent if fact.parent is not None else (None, None)
        row = (
            self._next, previous, kind, identity, seq, known_at, fact.account, parent_type, parent_id,
            fact.body, deleted, source.stream_id, source.external_id, source.record_seq, self._run_id,
        )  # fmt: skip
        self._rows.append(row)
        self._fresh[key] = row
        self._next += 1

    def flush(self) -> int:
        """Append what was news; returns how many versions that was."""
        append(self._connection, tables.fact, self._rows)
        held, latest = self._heads, self._fresh.values()
        new = [(row[2], row[3], row[0]) for row in latest if not held or (row[2], row[3]) not in held]
        moved = [(row[0], row[2], row[3]) for row in latest if held and (row[2], row[3]) in held]
        append(self._connection, tables.fact_head, new)
        run_each(self._connection, _MOVE_HEAD, moved)
        return len(self._rows)


def fields_in(body: Mapping[str, Any]) -> Iterator[str]:
    """The fields that a fact has, as ``type.field``; those of an object within it as ``type.field.name``."""
    for name, value in body.items():
        yield f"{body['type']}.{name}"
        if isinstance(value, dict):
            yield from (f"{body['type']}.{name}.{inner}" for inner in value)


def standing(external_id: str, keys: Sequence[Key]) -> str | None:
    """The facts a record ever gave, as kept with it: the type alone when the id is the record's own, else both."""
    if not keys:
        return None
    if len(keys) == 1 and keys[0][1] == external_id:
        return _own(keys[0][0])
    return orjson.dumps([kind if identity == external_id else [kind, identity] for kind, identity in keys]).decode()


@lru_cache(maxsize=64)
def _own(kind: str) -> str:
    return orjson.dumps([kind]).decode()


def stood(external_id: str, facts: str | None) -> list[Key]:
    """What :func:`standing` wrote."""
    if facts is None:
        return []
    return [(f, external_id) if isinstance(f, str) else (f[0], f[1]) for f in orjson.loads(facts)]
