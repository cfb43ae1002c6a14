"""What both sides last held: the values we wrote, or found equal, kept field by field for every record we write.

From it come three answers: whether a person changed a field there since, whether a change that we read is only our
own write coming back, and which fields a plan need not touch.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, select

from sync.bulk import slices
from sync.conflicts import end_agreed
from sync.outbox_tables import agreed, intent
from sync.plan_items import Ref
from sync.sameness import Types, read_as, same, written_as


@dataclass(frozen=True, slots=True)
class Agreement:
    """Values of one record that both sides hold now. ``whole``: nothing that was agreed before counts any more."""

    ref: Ref
    external_id: str | None
    fields: Mapping[str, Any]
    whole: bool = False


def all_agreed(db: Connection, connection: str) -> dict[Ref, dict[str, Any]]:
    """Everything agreed with one connection, by record."""
    query = select(agreed.c.object, agreed.c.key_field, agreed.c.key, agreed.c.fields)
    rows = db.execute(query.where(agreed.c.connection == connection))
    return {Ref(row.object, row.key_field or None, row.key): read_as(row.fields) for row in rows}


def agree(db: Connection, connection: str, agreements: Iterable[Agreement], at: datetime) -> None:
    """Remember these values, in the caller's transaction."""
    waiting = list(agreements)
    if waiting:
        end_agreed(db, connection, [(one.ref, one.fields) for one in waiting])
    for some in slices(waiting):
        _agree_some(db, connection, some, at)


def _agree_some(db: Connection, connection: str, some: Sequence[Agreement], at: datetime) -> None:
    rows = db.execute(
        select(agreed).where(agreed.c.connection == connection, agreed.c.key.in_({one.ref.key for one in some}))
    )
    known = {Ref(row.object, row.key_field or None, row.key): row for row in rows}
    new, changed = [], []
    for one in some:
        before = known.get(one.ref)
        fields = dict(one.fields) if before is None or one.whole else {**read_as(before.fields), **one.fields}
        external_id = one.external_id or (before.external_id if before is not None else None)
        row = {"fields": written_as(fields), "external_id": external_id, "updated_at": at}
        if before is None:
            key = {"connection": connection, "object": one.ref.object, "key_field": one.ref.key_field or ""}
            new.append({**key, "key": one.ref.key, **row})
        elif (before.fields, before.external_id) != (row["fields"], external_id):
            key = {"o": one.ref.object, "f": one.ref.key_field or "", "k": one.ref.key}
            changed.append({**key, **row})
    if new:
        db.execute(agreed.insert(), new)
    if changed:
        update = agreed.update().where(
            agreed.c.connection == connection,
            agreed.c.object == bindparam("o"),
            agreed.c.key_field == bindparam("f"),
            agreed.c.key == bindparam("k"),
        )
        db.execute(update, changed)


def holds_ours(
    db: Connection,
    connection: str,
    name: str,
    fields: Mapping[str, Any],
    external_id: str,
    key: str | None,
    types: Types,
) -> bool:
    """Whether each of these field values is one that we wrote (or are writing) to this record."""
    if not fields:
        return False
    sources = (
        (agreed.c.fields, agreed, agreed.c.connection == connection),
        # Our write may be read back before its answer is recorded.
        (intent.c.payload, intent, (intent.c.connection == connection) & (intent.c.state == "attempted")),
    )
    ours: dict[str, Any] = {}
    for column, source, mine in sources:
        by_key = (source.c.key_field != "") & (source.c.key == key)
        by_id = (source.c.external_id == external_id) | ((source.c.key_field == "") & (source.c.key == external_id))
        for (text,) in db.execute(select(column).where(mine, source.c.object == name, by_key | by_id)):
            ours.update(read_as(text))
    return all(name in ours and same(value, ours[name], types.get(name)) for name, value in fields.items())
