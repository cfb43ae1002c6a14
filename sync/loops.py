"""The loop breaker: a field that is written again and again with the same two values is left to a person.

Two automations that disagree (a workflow there, our mapping here) would set one field for ever, each undoing the other.
What we wrote is in the outbox; when the same field of the same record was written often within some days and never held
more than two values, writing it once more would not end it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, func, select

from sync.outbox_tables import intent
from sync.plan_items import Cell, Ref
from sync.sameness import plain, read_as

_VALUES = 2


@dataclass(frozen=True, slots=True)
class LoopLimits:
    """From how many writes of one field within how many days on it goes round; ``times=None``: nothing ever does."""

    times: int | None = 5
    days: int = 7


@dataclass(frozen=True, slots=True)
class Pushed:
    """What was written to one field within the last ``days``: how often (often enough), and which values (in plain form)."""

    times: int
    values: frozenset[str | None]
    days: int

    def goes_round(self, value: Any) -> str | None:
        """Why writing this value once more would only go on with it; ``None`` when it would not."""
        if len(self.values | {plain(value)}) > _VALUES:
            return None
        return (
            f"it was written {self.times} times in {self.days} days and is never left so: it goes back and forth between two "
            "values. Find what changes it there; until somebody says whose value stands, it is not written"
        )


def pushed(db: Connection, connection: str, now: datetime, limits: LoopLimits) -> dict[Cell, Pushed]:
    """Fields that were written to as often as the limits say, within their days."""
    if limits.times is None:
        return {}
    recent = (intent.c.connection == connection) & (intent.c.state == "done")
    recent &= intent.c.updated_at >= now - timedelta(days=limits.days)
    often = (
        select(intent.c.object, intent.c.key_field, intent.c.key)
        .where(recent)
        .group_by(intent.c.object, intent.c.key_field, intent.c.key)
        .having(func.count() >= limits.times)
    )
    values: dict[Cell, list[str | None]] = {}
    for name, key_field, key in db.execute(often).all():
        mine = recent & (intent.c.object == name) & (intent.c.key_field == key_field) & (intent.c.key == key)
        for (text,) in db.execute(select(intent.c.payload).where(mine)):
            payload: Mapping[str, Any] = read_as(text)
            for field, value in payload.items():
                values.setdefault(Cell(Ref(name, key_field or None, key), field), []).append(plain(value))
    return {
        cell: Pushed(len(found), frozenset(found), limits.days)
        for cell, found in values.items()
        if len(found) >= limits.times
    }
