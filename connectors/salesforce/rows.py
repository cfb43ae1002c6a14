"""Turns the rows of a page into records; this is the hot path of every read.

Money is exact: when a page holds a number with a fraction it is parsed again with ``Decimal``, and from then on
pages of that object are parsed so at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from connectors.base import Record
from connectors.errors import ConnectorError
from connectors.http import Answer

Rows = list[dict[str, Any]]

MERGEABLE = frozenset({"Account", "Contact", "Lead"})
"""Objects with MasterRecordId (Apex "Merging Records")."""
SYSTEM_FIELDS = ("Id", "SystemModstamp", "IsDeleted", "CreatedDate")


def system_fields(kind: str) -> tuple[str, ...]:
    """What is read of every record besides what was asked for."""
    return (*SYSTEM_FIELDS, "MasterRecordId") if kind in MERGEABLE else SYSTEM_FIELDS


@dataclass(slots=True)
class RowReader:
    """Makes records of one object from its rows, for the fields asked for."""

    kind: str
    fields: tuple[str, ...]
    _plain: frozenset[str] = field(init=False)
    _paths: tuple[tuple[str, tuple[str, ...]], ...] = field(init=False)
    _parents: tuple[str, ...] = field(init=False)
    _dropped: tuple[str, ...] = field(init=False)
    _exact: bool = False

    def __post_init__(self) -> None:
        paths = tuple((name, tuple(name.split("."))) for name in self.fields if "." in name)
        self._paths = paths
        self._parents = tuple(dict.fromkeys(steps[0] for _, steps in paths))
        self._plain = frozenset(name for name in self.fields if "." not in name)
        self._dropped = tuple(
            name
            for name in ("attributes", *system_fields(self.kind))
            if name not in self._plain and name != "attributes"
        )

    def body(self, answer: Answer) -> dict[str, Any]:
        """The page as JSON, with exact numbers."""
        if self._exact:
            return self._checked(answer.json(exact=True))
        body = self._checked(answer.json())
        if self._has_fractions(body["records"]):
            self._exact = True
            body = self._checked(answer.json(exact=True))
        return body

    def records(self, rows: Rows) -> tuple[Record, ...]:
        """Records of these rows; the rows become their fields. Raises: ``ConnectorError`` when a field is missing."""
        if not rows:
            return ()
        missing = self._plain - rows[0].keys()
        if missing:
            raise ConnectorError(
                f"salesforce: {self.kind} came without {', '.join(sorted(missing))}; "
                "write field names in the mapping exactly as the API does, capitals included"
            )
        instants: dict[str, datetime] = {}
        dropped, paths, kind = self._dropped, self._paths, self.kind
        made = []
        for row in rows:
            del row["attributes"]
            stamp, created = row["SystemModstamp"], row["CreatedDate"]
            modified_at, created_at = instants.get(stamp), instants.get(created)
            if modified_at is None:
                modified_at = instants[stamp] = datetime.fromisoformat(stamp)
            if created_at is None:
                created_at = instants[created] = datetime.fromisoformat(created)
            external_id, deleted = row["Id"], row["IsDeleted"]
            merged_into = row.get("MasterRecordId") if deleted else None
            for name in dropped:
                row.pop(name, None)
            if paths:
                self._flatten(row)
            made.append(Record(kind, external_id, stamp, row, deleted, merged_into, created_at, modified_at))
        return tuple(made)

    def _flatten(self, row: dict[str, Any]) -> None:
        pop = row.pop
        parents = {name: pop(name, None) for name in self._parents}
        for name, (first, *steps) in self._paths:
            value: Any = parents[first]
            for step in steps:
                if value is None:
                    break
                value = value.get(step)
            row[name] = value

    def _has_fractions(self, rows: Rows) -> bool:
        parents = self._parents
        for row in rows:
            if float in map(type, row.values()):
                return True
            for name in parents:
                related = row.get(name)
                if related is not None and _fraction_in(related):
                    return True
        return False

    def _checked(self, body: Any) -> dict[str, Any]:
        if not isinstance(body, dict) or not isinstance(body.get("records"), list):
            raise ConnectorError(f"salesforce: the answer about {self.kind} is not a page of rows")
        return body


def merged(first: Rows, parts: Sequence[Rows]) -> Rows:
    """Rows whose fields came in several queries, put together.

    A row that changed between the queries (another stamp, or gone) is left out: its new stamp lies after the
    window that is being read, so the next read brings it whole.
    """
    for part in parts:
        others = {row["Id"]: row for row in part}
        kept = []
        for row in first:
            other = others.get(row["Id"])
            if other is not None and other["SystemModstamp"] == row["SystemModstamp"]:
                kept.append(_deep(row, other))
        first = kept
    return first


def _deep(row: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    for name, value in other.items():
        mine = row.get(name)
        row[name] = _deep(mine, value) if isinstance(mine, dict) and isinstance(value, dict) else value
    return row


def _fraction_in(related: dict[str, Any]) -> bool:
    return any(type(value) is float or (type(value) is dict and _fraction_in(value)) for value in related.values())
