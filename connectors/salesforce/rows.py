"""Turns the rows of a page into records; this is the hot path of every read.

Money is exact: numbers with a fraction are read as ``Decimal``. Rows are parsed a few hundred at a time, shortly before
they are used: the whole of an answer would push itself out of the processor's cache.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar, cast

import msgspec

from connectors.answers import UNREADABLE, exact_json
from connectors.base import Record, UnreadRecords
from connectors.errors import ConnectorError
from connectors.http import Answer, NotJson

Rows = list[dict[str, Any]]
_Row = TypeVar("_Row")
ROWS_OF_PAGE = 500
"""Rows that are handed on together: an answer of 2,000 does not stay in the processor's cache while it is stored."""
Unread = Sequence[bytes | dict[str, Any]]
"""Rows of an answer: as they came, or, where one could not be told from the next, read already."""


class Body(msgspec.Struct):
    """An answer to a query: its rows, where the next ones are, and how many there are in all."""

    records: list[msgspec.Raw]
    nextRecordsUrl: str | None = None
    totalSize: int = 0


_BODY = msgspec.json.Decoder(Body)

MERGEABLE = frozenset({"Account", "Contact", "Lead"})
"""Objects with MasterRecordId (Apex "Merging Records")."""
SYSTEM_FIELDS = ("Id", "SystemModstamp", "IsDeleted", "CreatedDate")


def system_fields(kind: str) -> tuple[str, ...]:
    """What is read of every record besides what was asked for."""
    return (*SYSTEM_FIELDS, "MasterRecordId") if kind in MERGEABLE else SYSTEM_FIELDS


@dataclass(slots=True)
class RowReader:
    """Makes records of one object from its rows, for the fields asked for."""

    kind: str
    fields: tuple[str, ...]
    _plain: frozenset[str] = field(init=False)
    _related: tuple[tuple[str, tuple[tuple[str, str, tuple[str, ...]], ...]], ...] = field(init=False)
    """Relationship → (field as asked for, first step, further steps)."""
    _kept: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        by_parent: dict[str, list[tuple[str, str, tuple[str, ...]]]] = {}
        for name in self.fields:
            parent, *steps = name.split(".")
            if steps:
                by_parent.setdefault(parent, []).append((name, steps[0], tuple(steps[1:])))
        self._related = tuple((parent, tuple(paths)) for parent, paths in by_parent.items())
        self._plain = frozenset(name for name in self.fields if "." not in name)
        self._kept = tuple(name for name in system_fields(self.kind) if name in self._plain)

    def body(self, answer: Answer) -> tuple[Unread, str | None, int]:
        """The rows of an answer, where the next ones are, and how many there are in all. Raises: ``ConnectorError`` for anything but a page."""
        try:
            body = _BODY.decode(answer.content)
            return body.records, body.nextRecordsUrl, body.totalSize
        except UNREADABLE:
            # Half a character in a single row is enough: the page is parsed at once, by the slower parser.
            whole = answer.json(exact=True)
        if not isinstance(whole, dict) or not isinstance(whole.get("records"), list):
            raise ConnectorError(f"salesforce: the answer about {self.kind} is not a page of rows")
        return whole["records"], whole.get("nextRecordsUrl"), whole.get("totalSize", 0)

    def rows(self, unread: Unread) -> Rows:
        """These rows as JSON, with exact numbers. Raises: :class:`~connectors.http.NotJson`."""
        try:
            return [row if isinstance(row, dict) else exact_json(row) for row in unread]
        except UNREADABLE as error:
            raise NotJson(f"salesforce: a row of the answer about {self.kind} is not JSON") from error

    def handed(self, rows: Unread, *, below: str | None = None) -> Sequence[Record]:
        """Records of these rows (of those with a stamp below this one), to be read where they are looked at.

        Raises: as :meth:`records`, by the first row.
        """
        read = _Below(self, below)
        if not rows or isinstance(rows[0], dict):
            return read(rows)
        self.records(self.rows(rows[:1]))
        return UnreadRecords(cast("Sequence[bytes]", rows), read)

    def records(self, rows: Rows) -> tuple[Record, ...]:
        """Records of these rows; the rows become their fields. Raises: ``ConnectorError`` when a field is missing."""
        if not rows:
            return ()
        missing = self._plain - rows[0].keys()
        if missing:
            raise ConnectorError(
                f"salesforce: {self.kind} came without {', '.join(sorted(missing))}; "
                "write field names in the mapping exactly as the API does, capitals included"
            )
        instants: dict[str, datetime] = {}
        related, kept, kind = self._related, self._kept, self.kind
        made = []
        for row in rows:
            system = {name: row[name] for name in kept} if kept else None
            pop = row.pop
            pop("attributes", None)  # not in the results of a query job
            external_id, stamp, created, deleted = (
                pop("Id"),
                pop("SystemModstamp"),
                pop("CreatedDate"),
                pop("IsDeleted"),
            )
            master = pop("MasterRecordId", None)
            modified_at, created_at = instants.get(stamp), instants.get(created)
            if modified_at is None:
                modified_at = instants[stamp] = datetime.fromisoformat(stamp)
            if created_at is None:
                created_at = instants[created] = datetime.fromisoformat(created)
            if system:
                row.update(system)
            for parent, paths in related:
                _flatten(row, pop(parent, None), paths)
            made.append(
                Record(kind, external_id, stamp, row, deleted, master if deleted else None, created_at, modified_at)
            )
        return tuple(made)


@dataclass(frozen=True, slots=True)
class _Below:
    """Makes records of rows, of those with a stamp below this one."""

    reader: RowReader
    stamp: str | None

    def __call__(self, unread: Unread) -> tuple[Record, ...]:
        rows = self.reader.rows(unread)
        if self.stamp is not None:
            rows = [row for row in rows if row["SystemModstamp"] < self.stamp]
        return self.reader.records(rows)


def _flatten(
    row: dict[str, Any], parent: dict[str, Any] | None, paths: Sequence[tuple[str, str, tuple[str, ...]]]
) -> None:
    for name, first, further in paths:
        value: Any = None if parent is None else parent.get(first)
        for step in further:
            value = None if value is None else value.get(step)
        row[name] = value


def parts_of(rows: Sequence[_Row]) -> Iterator[Sequence[_Row]]:
    """The rows in parts of a page each; one part without any when there are none."""
    for start in range(0, max(len(rows), 1), ROWS_OF_PAGE):
        yield rows[start : start + ROWS_OF_PAGE]


def merged(first: Rows, parts: Sequence[Rows]) -> Rows:
    """Rows whose fields came in several queries, put together.

    A row that changed between the queries (another stamp, or gone) is left out: its new stamp lies after the
    window that is being read, so the next read brings it whole.
    """
    for part in parts:
        others = {row["Id"]: row for row in part}
        kept = []
        for row in first:
            other = others.get(row["Id"])
            if other is not None and other["SystemModstamp"] == row["SystemModstamp"]:
                kept.append(_deep(row, other))
        first = kept
    return first


def _deep(row: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    for name, value in other.items():
        mine = row.get(name)
        row[name] = _deep(mine, value) if isinstance(mine, dict) and isinstance(value, dict) else value
    return row
