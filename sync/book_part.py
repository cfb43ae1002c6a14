"""What the parts of a stored book have in common: its transaction and program, and rows written in place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from sqlalchemy import Connection

from sync.bulk import insert_into


class BookPart:
    """A part of one program's stored outcome, inside one transaction."""

    def __init__(self, db: Connection, program: str) -> None:
        self.db = db
        self.program = program

    def upsert(self, target: Any, keys: Sequence[str], values: Sequence[Mapping[str, Any]]) -> None:
        """Insert rows, or replace those with the same keys."""
        if not values:
            return
        statement = insert_into(self.db, target)
        others = {name: statement.excluded[name] for name in values[0] if name not in keys}
        self.db.execute(statement.on_conflict_do_update(index_elements=list(keys), set_=others), list(values))

    def insert_missing(self, target: Any, values: Sequence[Mapping[str, Any]]) -> None:
        """Insert rows; those that are there stay."""
        self.db.execute(insert_into(self.db, target).on_conflict_do_nothing(), list(values))


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
