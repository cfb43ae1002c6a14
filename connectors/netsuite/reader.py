"""Reads objects through SuiteQL by (change stamp, id), with deletions and whole documents.

The offset is always 0: pages follow the last row's position, so neither the 100,000-row cap nor rows that move
between pages matter. See ``cursors`` for windows and clock changes, ``documents`` for what a document holds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

from connectors.base import Cursor, FieldType, Page, Query, Record
from connectors.errors import NeedsOperator
from connectors.halving import in_halves
from connectors.netsuite.config import NetSuiteConfig
from connectors.netsuite.cursors import Phase, Window, first_window, next_window, window_of
from connectors.netsuite.deletions import ORDER as DELETION_ORDER
from connectors.netsuite.deletions import Deletions
from connectors.netsuite.documents import Documents
from connectors.netsuite.kinds import Kind, kind_of
from connectors.netsuite.queries import MOST_KEYS, Queries, Rows
from connectors.netsuite.server_time import ServerTime, moment
from connectors.netsuite.statements import Clause, behind, between, column, equal, one_of, own_filter, select

FieldTypes = Callable[[Kind], Mapping[str, FieldType]]
_EXTERNAL_KEYS = frozenset({"externalid", "eid"})
Ask = Callable[[tuple[Clause, ...], Sequence[str]], tuple[Rows, bool]]


@dataclass(frozen=True, slots=True)
class _Reading:
    """What is read of one object: its columns, and the computed fields with their inner names."""

    kind: Kind
    fields: tuple[str, ...]
    columns: Mapping[str, FieldType | None]
    computed: Mapping[str, frozenset[str]]


class NetSuiteReader:
    """Implements :class:`connectors.base.Reader`. ``custom_types`` tells the types of custom fields."""

    def __init__(self, config: NetSuiteConfig, queries: Queries, custom_types: FieldTypes) -> None:
        self._config = config
        self._queries = queries
        self._deletions = Deletions(queries)
        self._custom_types = custom_types
        self._zone = ZoneInfo(config.server_zone) if config.server_zone else None
        self._lag = timedelta(seconds=config.lag_seconds)
        self._overlap = timedelta(seconds=config.overlap_seconds)

    def changes(self, query: Query, *, since: Cursor | None) -> Iterator[Page]:
        """Pages of changed records, oldest change first, then deletions."""
        reading = self._reading(query.kind, query.fields)
        where = own_filter(query.where)
        calls = self._queries.calls
        now = self._queries.server_time(self._zone)
        window = self._window(reading.kind, since, now)
        documents = Documents(self._queries)
        phases = self._phases(reading.kind, window, now)
        for number, phase in enumerate(phases):
            window = window if window.phase == phase else replace(window, phase=phase, at=())
            if phase == "open":
                window = replace(window, opened_at=now.now)
            for records, at, more in self._pages(reading, phase, window, where, now, documents):
                window = window.behind(at)
                last = not more and number == len(phases) - 1
                done = replace(window, phase="done", at=()).cursor if last else None
                following = window if more or last else replace(window, phase=phases[number + 1], at=())
                yield Page(records, done or following.cursor, done, self._queries.calls - calls)
                calls = self._queries.calls

    def _window(self, kind: Kind, since: Cursor | None, now: ServerTime) -> Window:
        if since is None:
            return first_window(now, self._lag, "unstamped" if kind.modified else "changes")
        window = window_of(since)
        return next_window(window, now, self._lag, self._overlap) if window.phase == "done" else window

    def _phases(self, kind: Kind, window: Window, now: ServerTime) -> list[Phase]:
        """What is left to read, in order."""
        phases: list[Phase] = ["changes"]
        hours = self._config.open_invoice_hours
        if window.low is None:
            phases = ["unstamped", "changes"] if kind.modified else ["changes"]
        else:
            opened = moment(window.opened_at) if window.opened_at else moment(window.high)
            due = hours and moment(now.now) - opened >= timedelta(hours=hours)
            if kind.name == "invoice" and (due or window.phase == "open"):
                phases.append("open")
            if kind.tombstones and self._config.deleted_records:
                phases.append("deleted")
        return phases[phases.index(window.phase) :] if window.phase in phases else phases

    def _pages(
        self,
        reading: _Reading,
        phase: Phase,
        window: Window,
        where: Clause | None,
        now: ServerTime,
        documents: Documents,
    ) -> Iterator[tuple[tuple[Record, ...], tuple[str, ...], bool]]:
        """Pages of one phase: records, the position behind them, and whether more follow in this phase."""
        at = window.at

        def read(
            part: Window, _last: bool, size: Callable[[], int]
        ) -> Iterator[tuple[tuple[tuple[Record, ...], bool], Window]]:
            more = True
            while more:
                rows, more, behind_rows = self._page(reading, phase, part, where, size())
                if phase == "deleted":
                    records = tuple(_tombstone(reading.kind, row, now) for row in rows)
                else:
                    records = tuple(self._records(reading, rows, now, documents))
                part = part.behind(behind_rows)
                yield (records, more), part

        by_time = phase == "deleted" or (phase == "changes" and bool(reading.kind.modified))
        parts = in_halves(
            window, read, lambda part: part.halves() if by_time else None, size=self._queries.page_size,
            told=lambda part: (
                f"netsuite: {reading.kind.name}: one record alone is not answered within timeout_seconds: "
                f"{self._config.timeout_seconds:g} (of {part.low or 'the beginning'} to {part.high}, behind "
                f"{', '.join(part.at) or 'the first'}); raise it, or take long and computed fields out of the mapping"
            ),
            alive=self._queries.alive,
        )  # fmt: skip
        for (records, more), part, is_last in parts:
            at = part.at or at
            yield records, at, more or not is_last

    def _page(
        self, reading: _Reading, phase: Phase, window: Window, where: Clause | None, size: int
    ) -> tuple[Rows, bool, tuple[str, ...]]:
        kind = reading.kind
        if phase == "deleted":
            rows, more = self._deletions.page(kind, window, size)
            return rows, more, _last(rows, DELETION_ORDER, window)
        clauses = [equal("type", kind.code) if kind.code else None, where]
        order: tuple[str, ...] = ("id",)
        if phase == "changes" and kind.modified:
            order = (kind.modified, "id")
            clauses.append(between(kind.modified, window.low, window.high))
        elif phase == "unstamped" and kind.modified:
            clauses.append(Clause(f"{kind.modified} IS NULL"))
        elif phase == "open":
            clauses += [equal("voided", "F"), Clause("foreignamountunpaid > 0")]
        clauses.append(behind(order, window.at))
        statement = select(reading.columns, kind.table, clauses, order)
        rows, more = self._queries.blaming(lambda: self._queries.page(statement, size), reading.columns, kind.table)
        return rows, more and bool(rows), _last(rows, order, window)

    def fetch(
        self, kind: str, fields: Sequence[str], keys: Sequence[str], *, key_field: str | None = None
    ) -> Iterator[Record]:
        """Records by id, or by external id (the only key that NetSuite has)."""
        if key_field is not None and key_field.lower() not in _EXTERNAL_KEYS:
            raise NeedsOperator(f"netsuite: {key_field!r} is no key; records are found by id or by externalid")
        name = "externalid" if key_field else "id"
        values: list[str | int] = list(dict.fromkeys(keys))
        if not key_field:
            values = [int(key) for key in dict.fromkeys(keys) if key.isascii() and key.isdigit()]
        if not values:
            return
        reading = self._reading(kind, (*fields, name))
        now = self._queries.server_time(self._zone)
        documents = Documents(self._queries)
        for start in range(0, len(values), MOST_KEYS):
            clauses = [
                equal("type", reading.kind.code) if reading.kind.code else None,
                one_of(name, values[start : start + MOST_KEYS]),
            ]
            found = list(self._queries.all(reading.columns, reading.kind.table, clauses, ("id",)))
            yield from self._records(reading, found, now, documents)

    def _reading(self, name: str, fields: Sequence[str]) -> _Reading:
        kind = kind_of(name)
        computed: dict[str, frozenset[str]] = {}
        columns: dict[str, FieldType | None] = {"id": "id"}
        for stamp in (kind.modified, kind.created):
            if stamp:
                columns[stamp] = "datetime"
        if kind.code:
            columns |= {n: kind.columns[n] for n in ("currency", "foreigntotal", "voided", "createdfrom")}
        types: Mapping[str, FieldType] = kind.columns
        for path in fields:
            head, _, inner = path.lower().partition(".")
            if head in kind.computed:
                computed[head] = computed.get(head, frozenset()) | ({inner.split(".")[-1]} if inner else frozenset())
                if head == "currencycode":
                    columns["currency"] = "reference"
                continue
            if inner:
                raise NeedsOperator(
                    f"netsuite: {path!r} of {name!r} reaches into another record; use a lookup in the mapping instead"
                )
            if head not in types:
                types = {**self._custom_types(kind), **kind.columns}
            columns[column(head)] = types.get(head)
        return _Reading(kind, tuple(dict.fromkeys(p.partition(".")[0] for p in fields)), columns, computed)

    def _records(self, reading: _Reading, rows: Rows, now: ServerTime, documents: Documents) -> Iterator[Record]:
        kind = reading.kind
        if kind.code:
            documents.complete(kind, reading.computed, rows)
        elif "currencycode" in reading.computed:
            documents.currency(rows)
        for row in rows:
            modified = str(row.get(kind.modified or "", ""))
            fields = {name: _value(row, name.lower(), reading, now) for name in ("id", *reading.fields)}
            yield Record(
                kind.name,
                str(row["id"]),
                modified or str(row["id"]),
                fields,
                created_at=now.instant(row.get(kind.created or "")),
                modified_at=now.instant(modified),
            )


def _value(row: Mapping[str, Any], name: str, reading: _Reading, now: ServerTime) -> Any:
    """A field as it is handed out: a NULL column is absent from the answer; instants get their offset."""
    value = row.get(name)
    if value is not None and reading.columns.get(name) == "datetime":
        instant = now.instant(value)
        return instant.isoformat().replace("+00:00", "Z") if instant else None
    return value


def _last(rows: Rows, order: Sequence[str], window: Window) -> tuple[str, ...]:
    """The position behind these rows."""
    return tuple(str(rows[-1][name]) for name in order) if rows else window.at


def _tombstone(kind: Kind, row: Mapping[str, Any], now: ServerTime) -> Record:
    deleted = str(row.get("deleteddate", ""))
    return Record(
        kind.name, str(row["recordid"]), f"deleted {deleted}", {}, deleted=True, modified_at=now.instant(deleted)
    )
