"""The reference connector: every rule of the contract in its plainest form, over a system in memory."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict
from pydantic import Field as Setting

from connectors.base import Change, Cursor, Description, Field, FieldType, Page, Query, Record, Usage, Written
from connectors.errors import AnswerLost, ConnectorError, CursorExpired, RetryLater
from connectors.memory.system import MemorySystem, Refused, Version

T = TypeVar("T")


class MemoryConfig(BaseModel):
    """Settings of one memory connection; unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    objects: dict[str, dict[str, FieldType]] = Setting(default_factory=dict, description="object -> field -> type")
    page_size: int = Setting(default=200, ge=1, le=2000, description="rows a page, and rows a write call")
    overlap_seconds: int = Setting(
        default=60, ge=1, le=86_400, description="read again before the watermark: late commits"
    )


class MemoryConnector:
    """Implements :class:`connectors.base.Connector` over a :class:`MemorySystem`.

    The cursor is JSON: the last (stamp, id) handed out, and the instant at which its read began. ``where`` is
    ``field=value``.
    """

    Config = MemoryConfig

    def __init__(self, config: MemoryConfig, system: MemorySystem) -> None:
        self._config = config
        self.system = system

    def changes(self, query: Query, *, since: Cursor | None) -> Iterator[Page]:
        """Pages of changed records, oldest change first."""
        at, row_id, high = _position(since, self.system.now())
        while True:
            rows = self._after(query, at, row_id, high)
            page, more = rows[: self._config.page_size], len(rows) > self._config.page_size
            if page:
                at, row_id = page[-1].stamp, page[-1].id
            records = tuple(self._record(query.kind, row, query.fields) for row in page)
            if not more:
                # A change stamped before `high` may still be on its way; the next read looks there again.
                overlap = timedelta(seconds=self._config.overlap_seconds)
                watermark = _cursor(high - overlap, "", None)
                yield Page(records, watermark, watermark)
                return
            yield Page(records, _cursor(at, row_id, high))

    def fetch(
        self, kind: str, fields: Sequence[str], keys: Sequence[str], *, key_field: str | None = None
    ) -> Iterator[Record]:
        """The records with these ids or keys that are there now."""
        self._check(kind, fields)
        for few in _chunks(keys, self._config.page_size):
            self.system.call()
            wanted = set(few)
            for row in self.system.rows(kind):
                key = row.id if key_field is None else row.fields.get(key_field)
                if key in wanted and not row.deleted:
                    yield self._record(kind, row, fields)

    def write(self, changes: Sequence[Change]) -> list[Written]:
        """Apply the changes, a page of them per call."""
        results: list[Written] = []
        for few in _chunks(changes, self._config.page_size):
            try:
                answers = self.system.save([(c.kind, c.key_field, c.key, c.fields) for c in few])
            except AnswerLost as lost:
                results += [Written(change.key, "unknown", message=str(lost)) for change in few]
            except RetryLater as busy:
                results += [Written(change.key, "retry", message=str(busy)) for change in few]
            else:
                results += [_written(change, answer) for change, answer in zip(few, answers, strict=True)]
        return results

    def write_calls(self, changes: Sequence[Change]) -> int:
        """One call a page."""
        return len(_chunks(changes, self._config.page_size))

    def kinds(self) -> list[str]:
        """Names of all objects."""
        return sorted(self.system.objects)

    def describe(self, kind: str) -> Description | None:
        """The object's fields."""
        return self.system.objects.get(kind)

    def usage(self) -> Usage:
        """Calls made; there is no limit."""
        return Usage(self.system.calls, None)

    def _after(self, query: Query, at: datetime, row_id: str, high: datetime) -> list[Version]:
        """The rows of the next page, and one more if there are more."""
        self._check(query.kind, query.fields)
        self.system.call()
        name, _, value = (query.where or "").partition("=")
        rows = (
            row
            for row in self.system.rows(query.kind)
            if (at, row_id) < (row.stamp, row.id) and row.stamp <= high and (not name or row.fields.get(name) == value)
        )
        return [row for _, row in zip(range(self._config.page_size + 1), rows, strict=False)]

    def _check(self, kind: str, fields: Sequence[str]) -> None:
        description = self.system.objects.get(kind)
        if description is None:
            known = ", ".join(sorted(self.system.objects))
            raise ConnectorError(f"memory: there is no object {kind}; there are {known}", code="UNKNOWN_OBJECT")
        for name in fields:
            if name not in description.fields:
                raise ConnectorError(f"memory: {kind} has no field {name}", code="UNKNOWN_FIELD")

    def _record(self, kind: str, row: Version, fields: Sequence[str]) -> Record:
        return Record(
            kind=kind,
            external_id=row.id,
            version=str(row.number),
            fields={name: row.fields.get(name) for name in fields},
            deleted=row.deleted,
            merged_into=row.merged_into,
            created_at=self.system.first_stamp(kind, row.id),
            modified_at=row.stamp,
        )


def connect(
    config: MemoryConfig,
    *,
    clock: Callable[[], datetime],
    budget: object = None,
    sleep: object = None,
    system: MemorySystem | None = None,
) -> MemoryConnector:
    """A connector over the given system, or over a new and empty one with the objects of the settings.

    ``budget`` and ``sleep`` are taken as every plugin takes them, and not needed: nothing is limited or waits.
    """
    if system is None:
        described = {
            kind: Description(kind, kind, {name: Field(name, name, type) for name, type in fields.items()})
            for kind, fields in config.objects.items()
        }
        system = MemorySystem(described, clock)
    return MemoryConnector(config, system)


def _cursor(at: datetime, row_id: str, high: datetime | None) -> Cursor:
    return json.dumps({"at": at.isoformat(), "id": row_id, "high": high and high.isoformat()})


def _position(since: Cursor | None, start: datetime) -> tuple[datetime, str, datetime]:
    """The last (stamp, id) handed out, and where the read ends. Raises: ``CursorExpired`` for a foreign cursor."""
    if since is None:
        return datetime.min.replace(tzinfo=UTC), "", start
    try:
        found: dict[str, Any] = json.loads(since)
        high = datetime.fromisoformat(found["high"]) if found["high"] else start
        return datetime.fromisoformat(found["at"]), str(found["id"]), high
    except (ValueError, KeyError, TypeError) as error:
        raise CursorExpired("memory: this cursor was not made by the memory connector") from error


def _chunks(values: Sequence[T], size: int) -> list[Sequence[T]]:
    return [values[start : start + size] for start in range(0, len(values), size)]


def _written(change: Change, answer: tuple[str, bool] | Refused) -> Written:
    if isinstance(answer, Refused):
        return Written(change.key, "rejected", code=answer.code, message=str(answer))
    return Written(change.key, "done", *answer)
