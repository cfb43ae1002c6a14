"""A system whose whole state is a journal file: it outlives the process that writes to it, so a test may kill that.

It is a real reader and writer of the connector contract. Every write that it carried out is one line of the journal;
a write that the same record had already taken is also kept in ``repeated``.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from connectors.base import Change, Page, Query, Record, Written
from connectors.errors import ConnectorError

Fault = str | ConnectorError | None
"""What happens to one change: nothing, ``lost`` (done, no answer), ``dropped`` (not done, no answer), ``retry``,
``rejected``; or an error raised for the whole connection, before it is carried out."""


@dataclass
class FiledSystem:
    """Objects with an external-id field ``Key__c`` (unique) and any other fields; batches of ``rows_per_call``."""

    path: Path
    fault: Callable[[Change], Fault] = lambda change: None
    rows_per_call: int = 3
    records: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    journal: list[dict[str, Any]] = field(default_factory=list)
    repeated: list[dict[str, Any]] = field(default_factory=list)
    calls: int = 0
    fetches: int = 0

    def __post_init__(self) -> None:
        if self.path.exists():
            for line in self.path.read_text().splitlines():
                self._take(json.loads(line))

    def changes(self, query: Query, *, since: str | None) -> Iterator[Page]:
        found = [self._record(kind, number) for kind, number in self.records if kind == query.kind]
        yield Page(tuple(found), "end", "end")

    def fetch(
        self, kind: str, fields: Sequence[str], keys: Sequence[str], *, key_field: str | None = None
    ) -> Iterator[Record]:
        self.fetches += 1
        for (name, number), held in list(self.records.items()):
            if name == kind and (number if key_field is None else held.get(key_field)) in keys:
                yield self._record(kind, number, fields)

    def write(self, changes: Sequence[Change]) -> list[Written]:
        self.calls += self.write_calls(changes)
        return [self._write(change) for change in changes]

    def write_calls(self, changes: Sequence[Change]) -> int:
        return -(-len(changes) // self.rows_per_call)

    def by_hand(self, kind: str, number: str, fields: Mapping[str, Any] | None) -> None:
        """A person changes (or makes, or with ``None`` deletes) a record."""
        self._append({"by": "person", "kind": kind, "id": number, "key": None, "fields": fields and dict(fields)})

    def created(self) -> list[tuple[str, str]]:
        """The objects and keys of all records that were created for us, in order, with repetitions."""
        return [(line["kind"], line["key"]) for line in self.journal if line.get("created")]

    def _write(self, change: Change) -> Written:
        fault = self.fault(change)
        if isinstance(fault, ConnectorError):
            raise fault
        if fault == "retry":
            return Written(change.key, "retry", code="UNABLE_TO_LOCK_ROW")
        if fault == "rejected":
            return Written(change.key, "rejected", code="FIELD_CUSTOM_VALIDATION_EXCEPTION", message="not like this")
        if fault == "dropped":
            return Written(change.key, "unknown")
        number = self._number(change)
        if number is None and change.key_field is None:
            return Written(change.key, "rejected", code="NOT_FOUND")
        created = number is None
        number = number or f"{change.kind}-{len(self.journal) + 1}"
        fields = dict(change.fields) if change.key_field is None else {change.key_field: change.key, **change.fields}
        self._append(
            {"by": "us", "kind": change.kind, "id": number, "key": change.key, "fields": fields, "created": created}
        )
        return Written(change.key, "unknown" if fault == "lost" else "done", number, created)

    def _number(self, change: Change) -> str | None:
        for (kind, number), held in self.records.items():
            key = number if change.key_field is None else held.get(change.key_field)
            if kind == change.kind and key == change.key:
                return number
        return None

    def _append(self, line: dict[str, Any]) -> None:
        handle = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        try:
            os.write(handle, (json.dumps(line, default=str) + "\n").encode())
        finally:
            os.close(handle)
        self._take(json.loads(json.dumps(line, default=str)))

    def _take(self, line: dict[str, Any]) -> None:
        at = line["kind"], line["id"]
        before = [old for old in self.journal if (old["kind"], old["id"]) == at]
        if line["by"] == "us" and before and before[-1]["by"] == "us" and before[-1]["fields"] == line["fields"]:
            self.repeated.append(line)
        self.journal.append(line)
        if line["fields"] is None:
            self.records.pop(at, None)
        else:
            self.records.setdefault(at, {}).update(line["fields"])

    def _record(self, kind: str, number: str, fields: Sequence[str] | None = None) -> Record:
        held = self.records[kind, number]
        shown = {name: _as_shown(held.get(name)) for name in (held if fields is None else fields)}
        return Record(kind, number, str(len(self.journal)), shown)


def _as_shown(value: Any) -> Any:
    """As vendors do: numbers come back as numbers, nothing comes back as empty text."""
    if value is None:
        return ""
    try:
        return float(value) if isinstance(value, str) and value.replace(".", "", 1).isdigit() else value
    except ValueError:
        return value
