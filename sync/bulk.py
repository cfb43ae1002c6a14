"""Rows by the thousand, below SQLAlchemy's own row handling: one spelling, the fastest way of each driver.

Statements are written with ``?`` for a value and ``AMONG ?`` for "one of this list". Lists go over as one value
(a JSON array on SQLite, a native array on PostgreSQL), so a statement is prepared once whatever their length.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import chain
from typing import Any

import orjson
from sqlalchemy import Connection, Table

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
        columns = ", ".join(target.columns.keys())
        cursor: Any = connection.connection.cursor()
        with cursor, cursor.copy(f"COPY {target.name} ({columns}) FROM STDIN") as copy:
            for row in given:
                copy.write_row(row)
        return
    one = "(" + ", ".join("?" * len(target.columns)) + ")"
    whole = len(given) - len(given) % ROWS_PER_STATEMENT
    if whole:
        sql = f"INSERT INTO {target.name} VALUES " + ", ".join([one] * ROWS_PER_STATEMENT)
        for start in range(0, whole, ROWS_PER_STATEMENT):
            part = given[start : start + ROWS_PER_STATEMENT]
            connection.exec_driver_sql(sql, tuple(chain.from_iterable(part)))
    if whole < len(given):
        connection.exec_driver_sql(f"INSERT INTO {target.name} VALUES {one}", list(given[whole:]))


def next_id(connection: Connection, target: Table) -> int:
    """First free id of an append-only table, whose ids ascend in order of commit.

    The caller holds the single-writer lock from here to its commit: SQLite has only one writer anyway, PostgreSQL is
    told. Readers that remember the last id they saw therefore never miss a row.
    """
    if not is_sqlite(connection):
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({SINGLE_WRITER})")
    (found,) = rows(connection, f"SELECT coalesce(max(id), 0) FROM {target.name}")
    return int(found[0]) + 1
