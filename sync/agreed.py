"""What both sides last held: the values we wrote, or found equal, kept field by field for every record we write.

From it come three answers: whether a person changed a field there since, whether a change that we read is only our
own write coming back, and which fields a plan need not touch.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, select

from sync.bulk import rows, run_each, slices
from sync.conflicts import end_agreed
from sync.outbox_tables import agreed, intent
from sync.plan_items import Ref
from sync.sameness import Types, is_text, read_as, same, written_as
from sync.tables import micros


@dataclass(frozen=True, slots=True)
class Agreement:
    """Values of one record that both sides hold now. ``whole``: nothing that was agreed before counts any more."""

    ref: Ref
    external_id: str | None
    fields: Mapping[str, Any]
    whole: bool = False


def agreed_of(db: Connection, connection: str, refs: Collection[Ref]) -> dict[Ref, dict[str, Any]]:
    """What is agreed about these records; those of which nothing is are left out."""
    return {ref: read_as(fields) for ref, (fields, _) in _rows_of(db, connection, refs).items()}


def agree(db: Connection, connection: str, agreements: Sequence[Agreement], at: datetime) -> None:
    """Remember these values, in the caller's transaction."""
    if agreements:
        end_agreed(db, connection, [(one.ref, one.fields) for one in agreements])
    for some in slices(agreements):
        _agree_some(db, connection, some, micros(at))


def _agree_some(db: Connection, connection: str, some: Sequence[Agreement], at: int) -> None:
    known = _rows_of(db, connection, [one.ref for one in some])
    new, changed = [], []
    for one in some:
        before = known.get(one.ref)
        fields = one.fields if before is None or one.whole else {**read_as(before[0]), **one.fields}
        external_id = one.external_id or (before[1] if before is not None else None)
        text = written_as(fields)
        key = connection, one.ref.object, one.ref.key_field or "", one.ref.key
        if before is None:
            new.append((*key, external_id, text, at))
        elif before != (text, external_id):
            changed.append((external_id, text, at, *key))
    run_each(db, _NEW, new)
    run_each(db, _CHANGED, changed)


def _rows_of(db: Connection, connection: str, refs: Iterable[Ref]) -> dict[Ref, tuple[str, str | None]]:
    """The agreed fields, as they are written, and the system's id of these records."""
    keys: dict[tuple[str, str | None], list[str]] = {}
    for ref in refs:
        if is_text(ref.key):  # nothing else can have been agreed on
            keys.setdefault((ref.object, ref.key_field), []).append(ref.key)
    return {
        Ref(name, key_field, key): (fields, external_id)
        for (name, key_field), own in keys.items()
        for some in slices(own)
        for key, fields, external_id in rows(db, _KNOWN, connection, name, key_field or "", list(some))
    }


_KNOWN = """
SELECT key, fields, external_id FROM agreed WHERE connection = ? AND object = ? AND key_field = ? AND key AMONG ?
"""
_NEW = """
INSERT INTO agreed (connection, object, key_field, key, external_id, fields, updated_at) VALUES (?, ?, ?, ?, ?, ?, ?)
"""
_CHANGED = """
UPDATE agreed SET external_id = ?, fields = ?, updated_at = ?
WHERE connection = ? AND object = ? AND key_field = ? AND key = ?
"""


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
