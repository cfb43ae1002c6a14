"""What the parts of a stored book have in common: its transaction and program, and rows written in place."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.dialects import postgresql, sqlite

_SLICE = 500


class BookPart:
    """A part of one program's stored outcome, inside one transaction."""

    def __init__(self, db: Connection, program: str) -> None:
        self.db = db
        self.program = program

    def upsert(self, target: Any, keys: Sequence[str], values: Sequence[Mapping[str, Any]]) -> None:
        """Insert rows, or replace those with the same keys."""
        if not values:
            return
        make: Any = postgresql.insert if self.db.dialect.name == "postgresql" else sqlite.insert
        statement = make(target)
        others = {name: statement.excluded[name] for name in values[0] if name not in keys}
        self.db.execute(statement.on_conflict_do_update(index_elements=list(keys), set_=others), list(values))

    def insert_missing(self, target: Any, values: Sequence[Mapping[str, Any]]) -> None:
        """Insert rows; those that are there stay."""
        make: Any = postgresql.insert if self.db.dialect.name == "postgresql" else sqlite.insert
        self.db.execute(make(target).on_conflict_do_nothing(), list(values))


def task_subject(about: str, program: str) -> str:
    """What a task is about, by its key, or what a decision names itself."""
    if not about.startswith(f"{program}:"):
        return about
    return ":".join(about.split(":")[2:-1]) or about


def escaped(text: str) -> str:
    """Text as it stands, for a pattern of LIKE."""
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


def iso(on: date | None) -> str | None:
    """A day as it is stored."""
    return on.isoformat() if on else None


def day(text: str | None) -> date | None:
    """The day that :func:`iso` wrote."""
    return date.fromisoformat(text) if text else None


def slices(values: Sequence[Any]) -> Iterator[Sequence[Any]]:
    """The values in parts that fit into one statement."""
    for start in range(0, len(values), _SLICE):
        yield values[start : start + _SLICE]
