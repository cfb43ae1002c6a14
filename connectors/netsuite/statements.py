"""SuiteQL texts: names are checked, values are parameters, dates go through explicit masks.

Dates without a mask come in the integration user's own format, and stamps lose their time; so every date and
time column is wrapped, and the format of the user never matters.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from connectors.base import FieldType
from connectors.errors import NeedsOperator

STAMP_MASK = "YYYY-MM-DD HH24:MI:SS"
DATE_MASK = "YYYY-MM-DD"
Value = str | int
_NAME = re.compile(r"[a-z][a-z0-9_]{0,79}")
_QUOTED = re.compile(r"'(?:[^']|'')*'")
STAMP = f"TO_TIMESTAMP(?, '{STAMP_MASK}')"


@dataclass(frozen=True, slots=True)
class Statement:
    """A query and its parameters."""

    text: str
    params: tuple[Value, ...] = ()


@dataclass(frozen=True, slots=True)
class Clause:
    """A condition and its parameters."""

    text: str
    params: tuple[Value, ...] = ()


def column(name: str) -> str:
    """A column name, checked. Raises: ``NeedsOperator`` for anything else."""
    if not _NAME.fullmatch(name):
        raise NeedsOperator(f"netsuite: {name[:80]!r} is not a column name; allowed: letters, digits, underscore")
    return name


def selected(name: str, kind: FieldType | None) -> str:
    """A column as it is selected."""
    checked = column(name)
    if kind == "datetime":
        return f"TO_CHAR({checked}, '{STAMP_MASK}') AS {checked}"
    if kind == "date":
        return f"TO_CHAR({checked}, '{DATE_MASK}') AS {checked}"
    return f"{checked} AS {checked}"


def select(
    columns: Mapping[str, FieldType | None], table: str, clauses: Sequence[Clause | None], order: Sequence[str]
) -> Statement:
    """A query in a unique and spelled-out order: without one, NetSuite repeats and loses rows between pages."""
    given = [clause for clause in clauses if clause is not None]
    text = f"SELECT {', '.join(selected(name, kind) for name, kind in columns.items())} FROM {column(table)}"
    if given:
        text += " WHERE " + " AND ".join(clause.text for clause in given)
    # Qualified, so that the column is meant and not its text under the same name.
    text += " ORDER BY " + ", ".join(f"{table}.{column(name)} ASC" for name in order)
    return Statement(text, tuple(value for clause in given for value in clause.params))


def equal(name: str, value: Value) -> Clause:
    """``name = value``."""
    return Clause(f"{column(name)} = ?", (value,))


def one_of(name: str, values: Sequence[Value]) -> Clause:
    """``name IN (…)``; at most 1000 values."""
    return Clause(f"{column(name)} IN ({', '.join('?' * len(values))})", tuple(values))


def after(names: Sequence[str], values: Sequence[Value], stamps: frozenset[str] = frozenset()) -> Clause:
    """Rows behind a position in the order of ``names``; those in ``stamps`` are compared as stamps."""
    marks = [STAMP if name in stamps else "?" for name in names]
    choices: list[str] = []
    params: list[Value] = []
    for last in range(len(names)):
        parts = [f"{column(names[i])} = {marks[i]}" for i in range(last)]
        choices.append("(" + " AND ".join([*parts, f"{column(names[last])} > {marks[last]}"]) + ")")
        params += values[: last + 1]
    # The first term repeats what follows from the rest, so that an index on the first column is used.
    return Clause(f"({names[0]} >= {marks[0]} AND ({' OR '.join(choices)}))", (values[0], *params))


def behind(order: Sequence[str], at: Sequence[str]) -> Clause | None:
    """Rows behind a position in an order of stamps that ends with an id; ``None`` at the start."""
    if not at:
        return None
    return after(order, [*at[:-1], int(at[-1])], frozenset(order[:-1]))


def between(name: str, low: str | None, high: str) -> Clause:
    """Stamps from ``low`` up to but not including ``high``, both in the server's local time."""
    checked = column(name)
    if low is None:
        return Clause(f"{checked} < {STAMP}", (high,))
    return Clause(f"{checked} >= {STAMP} AND {checked} < {STAMP}", (low, high))


def own_filter(where: str | None) -> Clause | None:
    """The mapping's own filter, kept together. Raises: ``NeedsOperator`` when it would reach out of its parentheses."""
    if where is None or not where.strip():
        return None
    bare, depth = _QUOTED.sub("", where), 0
    for sign in bare:
        depth += {"(": 1, ")": -1}.get(sign, 0)
        if depth < 0:
            break
    if depth or "'" in bare or "--" in bare or "/*" in bare or ";" in bare or "?" in bare:
        raise NeedsOperator(
            "netsuite: the mapping's `where` is not one condition; close every quote and parenthesis, and use no "
            "comments, semicolons or question marks"
        )
    return Clause(f"({where.strip()})")
