"""The conflict queue: fields that both sides hold differently, kept with both values until one of them is taken.

Of one field at most one conflict stands. It ends (``past``) when both sides agree, when it is no conflict any more, or
when newer values take its place; nothing is deleted, so that every overwritten value can be found again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, bindparam, select

from sync.conflict_tables import conflict
from sync.decisions import Side
from sync.errors import SyncError
from sync.plan_items import Cell, Clash, Item, Ref, Standing
from sync.sameness import read_as, written_as

BY_POLICY = "policy"


class NotOpen(SyncError):
    """The conflict named is not open (any more); nothing was changed."""


@dataclass(frozen=True, slots=True)
class Conflict:
    """One conflict as it is kept. ``settled_by`` is a person's name, or :data:`BY_POLICY`."""

    id: int
    connection: str
    ref: Ref
    field: str
    external_id: str | None
    theirs: Any
    ours: Any
    last: Any
    theirs_at: datetime | None
    ours_at: datetime | None
    changed_by: str | None
    state: str
    reason: str
    settled_by: str | None
    found_at: datetime
    settled_at: datetime | None

    @property
    def name(self) -> str:
        """``CONNECTION:OBJECT:KEY:FIELD``, as people name it; one conflict at most stands under it."""
        return f"{self.connection}:{self.ref.object}:{self.ref.key}:{self.field}"

    def to_plain(self) -> dict[str, Any]:
        """As JSON values."""
        found = {field.name: getattr(self, field.name) for field in fields(self) if field.name != "ref"}
        return {"name": self.name, **found, "object": self.ref.object, "key": self.ref.key}


def standing(db: Connection, connection: str) -> dict[Cell, Standing]:
    """What stands of earlier conflicts of a connection, for ``make_plan``."""
    c = conflict.c
    rows = db.execute(
        select(c.object, c.key_field, c.key, c.field, c.theirs, c.ours, c.state, c.settled_by).where(
            c.connection == connection, c.state != "past"
        )
    )
    return {
        Cell(Ref(row.object, row.key_field or None, row.key), row.field): Standing(
            _value(row.theirs), _value(row.ours), row.state, by_person=row.settled_by not in (None, BY_POLICY)
        )
        for row in rows
    }


def listed(db: Connection, connection: str | None = None, state: str | None = "open") -> list[Conflict]:
    """Conflicts, oldest first; ``state=None``: all that were ever found."""
    query = select(conflict).order_by(conflict.c.id)
    if connection is not None:
        query = query.where(conflict.c.connection == connection)
    if state is not None:
        query = query.where(conflict.c.state == state)
    return [_conflict(row) for row in db.execute(query)]


def take(db: Connection, number: int, side: Side, *, by: str, at: datetime) -> None:
    """Settle an open conflict: the next plan writes ours, or leaves theirs. Raises: :class:`NotOpen`."""
    values = {"state": side, "settled_by": by, "settled_at": at}
    mine = (conflict.c.id == number) & (conflict.c.state == "open")
    if not db.execute(conflict.update().where(mine).values(values)).rowcount:
        raise NotOpen(f"conflict {number} is not open (any more); list them and choose again")


def in_question(db: Connection, connection: str) -> set[Ref]:
    """The records with conflicts that stand."""
    return {_cell(row).ref for row in db.execute(_standing_of(connection))}


def keep(db: Connection, connection: str, items: Sequence[Item], at: datetime, *, whole: bool) -> None:
    """Keep the conflicts of a plan's items; those that are none any more are past (``whole``: of other records too).

    Items without conflicts matter only for records :func:`in_question`.
    """
    known = {_cell(row): row for row in db.execute(_standing_of(connection))}
    clashes = {Cell(item.ref, clash.field): (item, clash) for item in items for clash in item.clashes}
    named = {item.ref for item in items}
    over = [
        row.id
        for cell, row in known.items()
        if (cell in clashes and not _same(row, clashes[cell][1]))
        or (row.state == "open" and cell not in clashes and (whole or cell.ref in named))
    ]
    _end(db, over)
    new = [
        _row(connection, item, clash, at)
        for cell, (item, clash) in clashes.items()
        if cell not in known or not _same(known[cell], clash)
    ]
    if new:
        db.execute(conflict.insert(), new)


def end_agreed(db: Connection, connection: str, agreed: Iterable[tuple[Ref, Mapping[str, Any]]]) -> None:
    """Both sides hold these values now: whatever conflict there was about them is past."""
    standing = db.execute(_standing_of(connection)).all()
    if standing:
        cells = {Cell(ref, name) for ref, values in agreed for name in values}
        _end(db, [row.id for row in standing if _cell(row) in cells])


def _standing_of(connection: str) -> Any:
    return select(conflict).where(conflict.c.connection == connection, conflict.c.state != "past")


def _end(db: Connection, ids: Sequence[int]) -> None:
    if ids:
        ended = conflict.update().where(conflict.c.id == bindparam("number")).values(state="past")
        db.execute(ended, [{"number": number} for number in ids])


def _same(row: Row[Any], clash: Clash) -> bool:
    """Whether the row tells of this very clash: the same values, and nobody took another side since."""
    values = row.theirs == _text(clash.theirs) and row.ours == _text(clash.ours)
    return bool(values and row.state == (clash.taken or "open"))


def _row(connection: str, item: Item, clash: Clash, at: datetime) -> dict[str, Any]:
    return {
        "connection": connection, "object": item.ref.object, "key_field": item.ref.key_field or "", "key": item.ref.key,
        "field": clash.field, "external_id": item.external_id, "theirs": _text(clash.theirs), "ours": _text(clash.ours),
        "last": _text(clash.last) if clash.agreed else None, "theirs_at": clash.theirs_at, "ours_at": clash.ours_at,
        "changed_by": clash.changed_by, "state": clash.taken or "open", "reason": clash.reason,
        "settled_by": BY_POLICY if clash.taken else None, "found_at": at, "settled_at": at if clash.taken else None,
    }  # fmt: skip


def _conflict(row: Row[Any]) -> Conflict:
    return Conflict(
        row.id, row.connection, Ref(row.object, row.key_field or None, row.key), row.field, row.external_id,
        _value(row.theirs), _value(row.ours), None if row.last is None else _value(row.last), row.theirs_at, row.ours_at,
        row.changed_by, row.state, row.reason, row.settled_by, row.found_at, row.settled_at,
    )  # fmt: skip


def _cell(row: Row[Any]) -> Cell:
    return Cell(Ref(row.object, row.key_field or None, row.key), row.field)


def _text(value: Any) -> str:
    return written_as({"value": value})


def _value(text: str) -> Any:
    return read_as(text)["value"]
