"""Rows by the thousand, below SQLAlchemy's own row handling: one spelling, the fastest way of each driver.

Statements are written with ``?`` for a value and ``AMONG ?`` for "one of this list". Lists go over as one value
(a JSON array on SQLite, a native array on PostgreSQL), so a statement is prepared once whatever their length.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import chain, count, islice
from typing import Any, TypeVar

import orjson
from sqlalchemy import Connection, Table
from sqlalchemy.dialects import postgresql, sqlite

Value = TypeVar("Value")
ROWS_PER_STATEMENT = 500
"""SQLite rows in one statement: it runs without Python's lock, so that the next page is read meanwhile."""

SINGLE_WRITER = 7_310_034_991
"""Key of the advisory lock under which rows with ascending ids are appended on PostgreSQL."""


@lru_cache(maxsize=256)
def _spelled(sql: str, sqlite: bool) -> str:
    if sqlite:
        return sql.replace("AMONG ?", "IN (SELECT value FROM json_each(?))")
    return sql.replace("AMONG ?", "= ANY(?)").replace("?", "%s")


def is_sqlite(connection: Connection) -> bool:
    """Whether this connection speaks to SQLite."""
    return connection.dialect.name == "sqlite"


def slices(values: Iterable[Value], size: int = ROWS_PER_STATEMENT) -> Iterator[list[Value]]:
    """The values in parts that fit into one statement; they need not be held in memory together."""
    rest = iter(values)
    while part := list(islice(rest, size)):
        yield part


def insert_into(connection: Connection, target: Table) -> Any:
    """An insert that can say what happens on a conflict, which each database spells its own way."""
    return (sqlite.insert if is_sqlite(connection) else postgresql.insert)(target)


def rows(connection: Connection, sql: str, *values: Any) -> list[Any]:
    """All rows of a query; a value that is a list goes with ``AMONG ?``."""
    sqlite = is_sqlite(connection)
    given = tuple(orjson.dumps(v).decode() if sqlite and isinstance(v, list) else v for v in values)
    return list(connection.exec_driver_sql(_spelled(sql, sqlite), given).fetchall())


def each_row(connection: Connection, sql: str, *values: Any, size: int = 2000) -> Iterator[Any]:
    """The rows of a query, read ``size`` at a time (through a server-side cursor on PostgreSQL)."""
    sqlite = is_sqlite(connection)
    given = tuple(orjson.dumps(v).decode() if sqlite and isinstance(v, list) else v for v in values)
    options = {"stream_results": True, "max_row_buffer": size}
    result = connection.exec_driver_sql(_spelled(sql, sqlite), given, execution_options=options)
    for part in result.partitions(size):
        yield from part


def run_each(connection: Connection, sql: str, values: Sequence[tuple[Any, ...]]) -> None:
    """Run a statement once for each tuple of values."""
    if values:
        connection.exec_driver_sql(_spelled(sql, is_sqlite(connection)), list(values))


def append(connection: Connection, target: Table, given: Sequence[tuple[Any, ...]]) -> None:
    """Insert new rows, values in the order of the table's columns, as the driver takes them (instants in micros)."""
    if not given:
        return
    if not is_sqlite(connection):
        names = ", ".join(target.columns.keys())
        cursor: Any = connection.connection.cursor()
        with cursor, cursor.copy(f"COPY {target.name} ({names}) FROM STDIN") as copy:
            for row in given:
                copy.write_row(row)
        return
    whole = len(given) - len(given) % ROWS_PER_STATEMENT
    for start in range(0, whole, ROWS_PER_STATEMENT):
        columns = list(zip(*given[start : start + ROWS_PER_STATEMENT], strict=True))
        same = tuple(column.count(column[0]) == ROWS_PER_STATEMENT for column in columns)
        once = [column[0] for column, is_same in zip(columns, same, strict=True) if is_same]
        own = [column for column, is_same in zip(columns, same, strict=True) if not is_same]
        values = (*once, *chain.from_iterable(zip(*own, strict=True)))
        connection.exec_driver_sql(_many_rows(target.name, same), values)
    if whole < len(given):
        one = ", ".join("?" * len(target.columns))
        connection.exec_driver_sql(f"INSERT INTO {target.name} VALUES ({one})", list(given[whole:]))


@lru_cache(maxsize=64)
def _many_rows(table: str, same: tuple[bool, ...]) -> str:
    """The statement of a full part; a column with the same value in every row has it bound once, before all others.

    Half of the columns are such, and binding their values row by row costs as much as storing the others.
    """
    numbers = count(1)
    once = [f"?{next(numbers)}" if is_same else None for is_same in same]
    rows = (",".join(bound or f"?{next(numbers)}" for bound in once) for _ in range(ROWS_PER_STATEMENT))
    return f"INSERT INTO {table} VALUES " + ",".join(f"({row})" for row in rows)


def next_id(connection: Connection, target: Table) -> int:
    """First free id of an append-only table, whose ids ascend in order of commit.

    The caller holds the single-writer lock from here to its commit: SQLite has only one writer anyway, PostgreSQL is
    told. Readers that remember the last id they saw therefore never miss a row.
    """
    if not is_sqlite(connection):
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({SINGLE_WRITER})")
    (found,) = rows(connection, f"SELECT coalesce(max(id), 0) FROM {target.name}")
    return int(found[0]) + 1
