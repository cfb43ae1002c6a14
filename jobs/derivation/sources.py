"""The versions of records that a derivation points at: from facts in memory, or from the lines of a store."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import cache
from typing import Any

from pydantic import TypeAdapter

from rules.calendar import BEGINNING, Calendar
from rules.facts import Facts, views
from rules.records import RECORDS

Body = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Version:
    """One version of a record as it was known from ``known_at`` on; ``None``: from the beginning."""

    type: str
    id: str
    number: int
    known_at: datetime | None
    body: Body | None
    """The record without type, id and ``known_at``; ``None``: withdrawn."""


class Sources:
    """Versions of records by type and id, and by what they name."""

    def __init__(self, versions: Iterable[Version]) -> None:
        self._versions: dict[tuple[str, str], list[Version]] = {}
        for version in versions:
            self._versions.setdefault((version.type, version.id), []).append(version)

    def read(self, kind: str, identity: str | None, at: datetime | None = None) -> Version | None:
        """The version in force at an instant, else the first one known later; ``None`` for ``at``: the newest."""
        versions = self._versions.get((kind, identity or ""), [])
        if at is None:
            return versions[-1] if versions else None
        known = [each for each in versions if each.known_at is None or each.known_at <= at]
        return known[-1] if known else next(iter(versions), None)

    def count(self, kind: str, identity: str) -> int:
        """How many versions of a record are known."""
        return len(self._versions.get((kind, identity), ()))

    def naming(self, kind: str, field: str, values: Iterable[str | None], at: datetime | None = None) -> list[Version]:
        """Records of a type whose field is one of these values, as they read at an instant and known by then."""
        wanted = {value for value in values if value}
        found = []
        for (each, identity), versions in self._versions.items():
            if each != kind or (at is not None and versions[0].known_at is not None and versions[0].known_at > at):
                continue
            version = self.read(kind, identity, at)
            if version is not None and version.body is not None and version.body.get(field) in wanted:
                found.append(version)
        return sorted(found, key=lambda version: (version.known_at or BEGINNING, version.id))


def from_facts(facts: Facts, calendar: Calendar, as_of: date) -> Iterator[Version]:
    """Every version that is seen by the end of a day of the program."""
    until = calendar.end_of(as_of)
    for kind in facts.versions:
        for identity, versions in facts.of(kind).items():
            seen: dict[int, datetime] = {}
            for view in views(versions, calendar, until):
                seen.setdefault(view.number, view.at)
            for number, at in seen.items():
                yield Version(kind, identity, number, None if at == BEGINNING else at, _body(versions[number - 1].fact))


def from_lines(lines: Iterable[Mapping[str, Any]]) -> Iterator[Version]:
    """Versions as a store tells them, each with its ``known_at``."""
    numbers: dict[tuple[str, str], int] = {}
    for line in sorted(lines, key=lambda line: datetime.fromisoformat(line["known_at"])):
        key = (line["type"], line["id"])
        numbers[key] = numbers.get(key, 0) + 1
        body = {name: value for name, value in line.items() if name not in ("type", "id", "known_at", "deleted")}
        known_at = datetime.fromisoformat(line["known_at"]).astimezone(UTC)
        yield Version(*key, numbers[key], known_at, None if line.get("deleted") else body)


def _body(fact: Any) -> Body | None:
    if fact is None:
        return None
    body: dict[str, Any] = _adapter(fact.type).dump_python(fact, mode="json", by_alias=True, exclude_none=True)
    return {name: value for name, value in body.items() if name not in ("type", "id", "known_at", "deleted")}


@cache
def _adapter(kind: str) -> TypeAdapter[Any]:
    return TypeAdapter(RECORDS[kind])
