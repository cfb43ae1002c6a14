"""Rows of HubSpot's answers become records: properties as they are, associations beside them, merged ids as redirects."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from connectors.base import Record
from connectors.hubspot.kinds import MERGED_IDS

Row = Mapping[str, Any]


def record_of(kind: str, row: Row, fields: Sequence[str], associated: Mapping[str, Any]) -> Record:
    """The record of a row; a property without a value is ``None``."""
    stamp = str(row["updatedAt"])
    values = _values(row, fields, associated)
    return Record(
        kind, str(row["id"]), stamp, values, created_at=_instant(row.get("createdAt")), modified_at=_instant(stamp)
    )


def with_values(gone: Record, row: Row | None, fields: Sequence[str]) -> Record:
    """A deleted record with the values that its archived row still shows; it has no associations any more."""
    if row is None or not row.get("properties"):
        return gone
    return msgspec.structs.replace(gone, fields=_values(row, fields, {}), created_at=_instant(row.get("createdAt")))


def _values(row: Row, fields: Sequence[str], associated: Mapping[str, Any]) -> dict[str, Any]:
    properties = row["properties"]
    return {name: associated[name] if name in associated else (properties.get(name) or None) for name in fields}


def merged_ids(row: Row) -> list[str]:
    """Ids of the records that were merged into this one."""
    found = str(row["properties"].get(MERGED_IDS) or "")
    return [text for part in found.split(";") if (text := part.strip()) and text != str(row["id"])]


def redirects(kind: str, row: Row, only: Iterable[str] | None = None) -> Iterator[Record]:
    """A deleted record for each id that became this one by merging; ``only``: for these ids."""
    wanted = None if only is None else set(only)
    stamp = str(row["updatedAt"])
    for merged in merged_ids(row):
        if wanted is None or merged in wanted:
            into = str(row["id"])
            yield Record(
                kind, merged, f"merged {into}", {}, deleted=True, merged_into=into, modified_at=_instant(stamp)
            )


def tombstone(kind: str, row: Row) -> Record:
    """The record of an archived row."""
    stamp = str(row["archivedAt"])
    return Record(kind, str(row["id"]), f"archived {stamp}", {}, deleted=True, modified_at=_instant(stamp))


def archived_ms(row: Row) -> int:
    """When a row was archived, in milliseconds since 1970."""
    moment = _instant(row.get("archivedAt"))
    return 0 if moment is None else int(moment.timestamp() * 1000)


def _instant(text: Any) -> datetime | None:
    return datetime.fromisoformat(text) if isinstance(text, str) and text else None
