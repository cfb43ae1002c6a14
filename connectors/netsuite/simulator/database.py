"""The rows of the simulated account, in an SQLite database in memory.

Instants are kept in UTC; each datetime column has a twin ``…__local`` in the session's local time, because
SuiteQL compares and sorts by local time. A change may become visible some time after its stamp
(``commit_delay_seconds``), as one made in a long transaction does.
"""

from __future__ import annotations

import heapq
import itertools
import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, Literal
from zoneinfo import ZoneInfo

from connectors.netsuite.simulator.formats import LOCAL, local_text
from connectors.netsuite.simulator.schema import (
    ColumnSpec,
    TableSpec,
    tables,
    with_field,
)

Row = dict[str, Any]
_SQL_TYPES = {
    "integer": "INTEGER",
    "number": "TEXT",
    "text": "TEXT",
    "boolean": "TEXT",
    "date": "TEXT",
    "datetime": "TEXT",
}


class Database:
    """Tables, ids, stamps and pending changes."""

    def __init__(self, now: Callable[[], datetime], zone: ZoneInfo) -> None:
        self._now = now
        self.zone = zone
        self.tables: dict[str, TableSpec] = {}
        self.commit_delay_seconds = 0.0
        self.stamp_precision: Literal["second", "minute"] = "second"
        self.sql = sqlite3.connect(":memory:", check_same_thread=False, isolation_level=None)
        self.sql.row_factory = sqlite3.Row
        self.sql.execute("PRAGMA case_sensitive_like = ON")
        self._pending: list[tuple[datetime, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._ids = itertools.count(1001)
        for table in tables().values():
            self.define(table)

    def define(self, table: TableSpec) -> None:
        """Add a table."""
        self.tables[table.name] = table
        columns = [
            f'"{part}"' + f" {_SQL_TYPES[spec.type]}" for spec in table.columns.values() for part in _parts(spec)
        ]
        key = ", PRIMARY KEY (id)" if "id" in table.columns and not table.lines else ""
        self.sql.execute(f'CREATE TABLE "{table.name}" ({", ".join(columns)}{key})')
        if table.modified:
            tie = ', "id"' if "id" in table.columns else ""
            kind = '"type", ' if table.name == "transaction" else ""
            self._index(table, f'{kind}"{table.modified}__local"{tie}')
        for together in (
            ("externalid",),
            ("transaction", "id"),
            ("nextdoc", "nextline", "previousdoc"),
            ("previousdoc",),
        ):
            if set(together) <= set(table.columns):
                self._index(table, ", ".join(f'"{name}"' for name in together))

    def _index(self, table: TableSpec, columns: str) -> None:
        name = f"{table.name}_{''.join(c for c in columns if c.isalnum() or c == '_')}"
        self.sql.execute(f'CREATE INDEX "{name}" ON "{table.name}" ({columns})')

    def add_field(self, table: str, column: ColumnSpec) -> None:
        """Add a custom field to a table."""
        self.tables[table] = with_field(self.tables[table], column)
        for part in _parts(column):
            self.sql.execute(f'ALTER TABLE "{table}" ADD COLUMN "{part}" {_SQL_TYPES[column.type]}')

    def set_zone(self, zone: ZoneInfo) -> None:
        """Change the session's time zone: every local stamp reads differently from now on."""
        self.zone = zone
        self.sql.create_function("to_local", 1, self._local, deterministic=True)
        for table in self.tables.values():
            for spec in table.columns.values():
                if spec.type == "datetime":
                    self.sql.execute(f'UPDATE "{table.name}" SET "{spec.name}__local" = to_local("{spec.name}")')

    def _local(self, stored: str | None) -> str | None:
        return None if stored is None else local_text(datetime.fromisoformat(stored).replace(tzinfo=UTC), self.zone)

    def stamp(self) -> str:
        """The stamp of a change made now, in UTC."""
        now = self._now().astimezone(UTC)
        return (now.replace(second=0) if self.stamp_precision == "minute" else now).strftime(LOCAL)

    def new_id(self) -> int:
        """The next internal id."""
        return next(self._ids)

    def commit(self, change: Callable[[], None]) -> None:
        """Carry a change out, now or when the commit delay has passed."""
        self.settle()
        if self.commit_delay_seconds <= 0:
            change()
            return
        due = self._now() + timedelta(seconds=self.commit_delay_seconds)
        heapq.heappush(self._pending, (due, next(self._order), change))

    def settle(self) -> None:
        """Make visible what is due by now."""
        while self._pending and self._pending[0][0] <= self._now():
            heapq.heappop(self._pending)[2]()

    def insert(self, table: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """Store rows as they are (ids and stamps included). Raises: ``KeyError`` for an unknown column."""
        spec = self.tables[table]
        groups: dict[tuple[str, ...], list[list[Any]]] = {}
        for row in rows:
            stored = self._stored(spec, row)
            groups.setdefault(tuple(stored), []).append(list(stored.values()))
        for names, values in groups.items():
            columns = ", ".join(f'"{name}"' for name in names)
            marks = ", ".join("?" * len(names))
            self.sql.executemany(f'INSERT INTO "{table}" ({columns}) VALUES ({marks})', values)

    def update(self, table: str, where: Mapping[str, Any], fields: Mapping[str, Any]) -> None:
        """Change the rows that match."""
        stored = self._stored(self.tables[table], fields)
        sets = ", ".join(f'"{name}" = ?' for name in stored)
        tests = " AND ".join(f'"{name}" = ?' for name in where)
        self.sql.execute(
            f'UPDATE "{table}" SET {sets} WHERE {tests}',
            [*stored.values(), *where.values()],
        )

    def remove(self, table: str, **where: Any) -> None:
        """Remove the rows that match."""
        tests = " AND ".join(f'"{name}" = ?' for name in where)
        self.sql.execute(f'DELETE FROM "{table}" WHERE {tests}', list(where.values()))

    def rows(self, table: str, **where: Any) -> list[Row]:
        """The rows that match, by id; local twins and NULLs left out."""
        tests = " AND ".join(f'"{name}" = ?' for name in where) or "1"
        order = " ORDER BY id" if "id" in self.tables[table].columns else " ORDER BY rowid"
        found = self.sql.execute(f'SELECT * FROM "{table}" WHERE {tests}{order}', list(where.values()))
        return [{k: r[k] for k in r.keys() if r[k] is not None and not k.endswith("__local")} for r in found]  # noqa: SIM118 - sqlite3.Row

    def _stored(self, spec: TableSpec, row: Mapping[str, Any]) -> Row:
        stored: Row = {}
        for name, value in row.items():
            column = spec.columns[name]
            stored[name] = to_stored(column, value)
            if column.type == "datetime":
                stored[f"{name}__local"] = self._local(stored[name])
        return stored


def _parts(spec: ColumnSpec) -> Iterable[str]:
    return (spec.name, f"{spec.name}__local") if spec.type == "datetime" else (spec.name,)


def to_stored(column: ColumnSpec, value: Any) -> Any:
    """A value as the database keeps it. Raises: ``ValueError`` for one that does not fit the column's type."""
    if value is None or value == "":
        return None
    match column.type:
        case "integer":
            return int(value)
        case "number":
            return number_text(value)
        case "boolean":
            if value in (True, "T", "true"):
                return "T"
            if value in (False, "F", "false"):
                return "F"
            raise ValueError(f"{value!r} is not true or false")
        case "date":
            return (
                value.isoformat()[:10] if isinstance(value, date) else date.fromisoformat(str(value)[:10]).isoformat()
            )
        case "datetime":
            moment = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
            return (moment.astimezone(UTC) if moment.tzinfo else moment).strftime(LOCAL)
        case _:
            return str(value)


def number_text(value: Any) -> str:
    """A number as the vendor shows it: no exponent, no superfluous zeros."""
    exact = Decimal(str(value))
    if not exact.is_finite():
        raise ValueError(f"{value!r} is not a number")
    text = format(exact, "f")
    return (text.rstrip("0").rstrip(".") if "." in text else text) or "0"
