"""A small system in memory that behaves like the real ones: whole-second stamps, late commits, merges, faults."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from connectors.base import Description
from connectors.errors import AnswerLost, ConnectorError, RetryLater


@dataclass(frozen=True, slots=True)
class Version:
    """One state of a row: ``stamp`` is set when the change begins, ``visible_at`` is when others see it."""

    id: str
    number: int
    stamp: datetime
    visible_at: datetime
    fields: Mapping[str, Any]
    deleted: bool = False
    merged_into: str | None = None


class Refused(ConnectorError):
    """The system does not accept this row."""


@dataclass
class MemorySystem:
    """Objects with rows. ``now`` is its clock; ``failures`` are statuses that the next calls answer with.

    ``lost_answers`` is how many of the next calls are carried out without their answer arriving. People edit
    with :meth:`create`, :meth:`update`, :meth:`delete` and :meth:`merge`; programs :meth:`call` first.
    """

    objects: Mapping[str, Description]
    now: Callable[[], datetime]
    failures: list[int] = field(default_factory=list)
    lost_answers: int = 0
    calls: int = 0
    _rows: dict[str, dict[str, list[Version]]] = field(default_factory=dict)

    def create(self, kind: str, fields: Mapping[str, Any], *, commit_seconds: float = 0) -> str:
        """A new row, seen by others after ``commit_seconds``; returns its id."""
        rows = self._rows.setdefault(kind, {})
        row_id = f"{kind[:3].upper()}{sum(map(len, self._rows.values())) + 1:06d}"
        rows[row_id] = []
        self._put(kind, row_id, fields, commit_seconds=commit_seconds)
        return row_id

    def update(self, kind: str, row_id: str, fields: Mapping[str, Any]) -> None:
        """Change fields; ``None`` clears one."""
        self._put(kind, row_id, {**self._rows[kind][row_id][-1].fields, **fields})

    def delete(self, kind: str, row_id: str, *, merged_into: str | None = None) -> None:
        """Delete a row; it stays readable as deleted."""
        self._put(kind, row_id, self._rows[kind][row_id][-1].fields, deleted=True, merged_into=merged_into)

    def merge(self, kind: str, loser: str, winner: str) -> None:
        """Merge one row into another; as in Salesforce, nothing is written on the winner."""
        self.delete(kind, loser, merged_into=winner)

    def rows(self, kind: str) -> Iterator[Version]:
        """The rows as they are to be seen now, deleted ones included, oldest change first."""
        now = self.now()
        seen = [[v for v in versions if v.visible_at <= now] for versions in self._rows.get(kind, {}).values()]
        yield from sorted((versions[-1] for versions in seen if versions), key=lambda v: (v.stamp, v.id))

    def call(self) -> None:
        """Count one API call. Raises: ``RetryLater`` for each of ``failures``."""
        self.calls += 1
        if self.failures:
            status = self.failures.pop(0)
            raise RetryLater(f"memory: answered {status}", retry_after_seconds=1, status=status)

    def save(self, rows: Sequence[tuple[str, str | None, str, Mapping[str, Any]]]) -> list[tuple[str, bool] | Refused]:
        """One API call: rows of (kind, key field, key, fields), each answered with (id, created) or why not.

        Raises: ``AnswerLost`` after carrying it out, while ``lost_answers`` is above zero.
        """
        self.call()
        answers: list[tuple[str, bool] | Refused] = []
        for kind, key_field, key, fields in rows:
            try:
                answers.append(self._save(kind, key_field, key, fields))
            except Refused as refused:
                answers.append(refused)
        if self.lost_answers:
            self.lost_answers -= 1
            raise AnswerLost("memory: no answer came; it may have been carried out")
        return answers

    def _save(self, kind: str, key_field: str | None, key: str, fields: Mapping[str, Any]) -> tuple[str, bool]:
        self._check(kind, {**fields, key_field: key} if key_field else fields)
        rows = self._rows.get(kind, {})
        latest = [versions[-1] for versions in rows.values() if not versions[-1].deleted]
        found = [row.id for row in latest if key == (row.id if key_field is None else row.fields.get(key_field))]
        if found:
            before = rows[found[0]][-1].fields
            if any(before.get(name) != value for name, value in fields.items()):
                self.update(kind, found[0], fields)
            return found[0], False
        if key_field is None:
            raise Refused(f"there is no {kind} {key}", code="NOT_FOUND")
        return self.create(kind, {**fields, key_field: key}), True

    def _check(self, kind: str, fields: Mapping[str, Any]) -> None:
        known = self.objects[kind].fields if kind in self.objects else {}
        for name, value in fields.items():
            if name not in known:
                raise Refused(f"{kind} has no field {name}", code="UNKNOWN_FIELD")
            if isinstance(value, str) and any(letter == "\0" or "\ud800" <= letter <= "\udfff" for letter in value):
                raise Refused(f"{kind}.{name} holds a character that cannot be stored", code="BAD_CHARACTER")
            length = known[name].length
            if length is not None and len(str(value or "")) > length:
                raise Refused(f"{kind}.{name} is longer than {length} characters", code="TOO_LONG")

    def _put(
        self,
        kind: str,
        row_id: str,
        fields: Mapping[str, Any],
        *,
        commit_seconds: float = 0,
        deleted: bool = False,
        merged_into: str | None = None,
    ) -> None:
        now = self.now()
        visible_at = now + timedelta(seconds=commit_seconds)
        stamp, versions = now.replace(microsecond=0), self._rows[kind][row_id]
        versions.append(Version(row_id, len(versions) + 1, stamp, visible_at, dict(fields), deleted, merged_into))

    def first_stamp(self, kind: str, row_id: str) -> datetime:
        """When the row was created."""
        return self._rows[kind][row_id][0].stamp
