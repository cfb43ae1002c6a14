"""Running a mapping: raw records of one object in, facts or a reject out. Pure; compiled by :mod:`sync.mapping`.

What cannot be taken becomes a :class:`Reject` of that record, never an exception and never a silently missing field.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from connectors.base import Query, Record
from rules.errors import RecordError
from rules.records import check
from sync.conditions import Condition
from sync.raw_rows import Get, Lookups, LookupUse, Row, Use, absent, elements_of
from sync.refusal import Refused, RejectCode
from sync.transforms import Convert
from sync.yaml_nodes import Node

LONGEST_FOUND = 40


@dataclass(frozen=True, slots=True)
class Reject:
    """Why a record gives no facts. ``waits_for`` is the (object, id) whose arrival is worth another try."""

    code: RejectCode
    field: str
    found: str
    allowed: str
    waits_for: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Mapped:
    """One record's facts, or the reason for none.

    No facts and no reject means that the record is deleted, is no record for us (``when``), or is read for look-ups
    only: whatever facts it gave before are withdrawn. The same holds for each fact of an earlier version that a later
    version of the record does not give any more.
    """

    external_id: str
    facts: tuple[dict[str, Any], ...]
    reject: Reject | None = None


@dataclass(frozen=True, slots=True)
class RecordMap:
    """How one object gives one type of record."""

    record: str
    identity: Get | None
    fields: tuple[tuple[str, str, Convert], ...]
    """Plain fields: target, field of the object, converter."""
    sources: tuple[tuple[str, Get], ...]
    when: Condition | None
    each: tuple[str, Get] | None

    def facts(self, row: Row) -> Iterable[dict[str, Any]]:
        """The facts of one raw record. Raises: ``Refused`` (with its field), ``RecordError``."""
        if self.each is None:
            if self._wanted(row):
                yield self._fact(row)
            return
        name, read = self.each
        try:
            elements = elements_of(read(row))
        except Refused as error:
            raise error.inside("each") from None
        for number, element in enumerate(elements, 1):
            row.elements[name] = (element, number)
            if self._wanted(row):
                yield self._fact(row)

    def _wanted(self, row: Row) -> bool:
        try:
            return self.when is None or self.when(row)
        except Refused as error:
            raise error.inside("when") from None

    def _fact(self, row: Row) -> dict[str, Any]:
        get = row.fields.get
        target = "id"
        try:
            identity = row.record.external_id if self.identity is None else self.identity(row)  # type: ignore[union-attr]
            if identity is None:
                raise Refused(None, "a value for the record's id", "missing")
            body: dict[str, Any] = {"type": self.record, "id": identity}
            for target, path, convert in self.fields:
                raw = get(path)
                if raw is not None and raw != "":
                    try:
                        value = convert(raw)
                    except Refused:
                        # Blank text and empty lists are absent too, but too rare to be looked for each time.
                        if absent(raw):
                            continue
                        raise
                    if value is not None:
                        body[target] = value
            for target, read in self.sources:
                value = read(row)
                if value is not None:
                    body[target] = value
        except Refused as error:
            raise error.inside(target) from None
        check(body)
        return body


@dataclass(frozen=True, slots=True)
class ObjectMap:
    """One object of the system: what to read of it, and the records it gives.

    ``hash`` changes with everything that influences its facts; ``query_hash`` only with what is read, so that a
    change of the one without the other is a replay of what is already here.
    """

    kind: str
    query: Query
    hash: str
    query_hash: str
    record_types: tuple[str, ...]
    records: tuple[RecordMap, ...]
    uses: tuple[Use, ...]
    lookups: tuple[LookupUse, ...]
    place: Node

    def facts(self, records: Sequence[Record], lookups: Lookups) -> list[Mapped]:
        """Map a page of raw records, in order. A record gives all of its facts or, with a reject, none."""
        return [self._mapped(record, lookups) for record in records]

    def _mapped(self, record: Record, lookups: Lookups) -> Mapped:
        if record.deleted:
            return Mapped(record.external_id, ())
        row = Row(record, record.fields, lookups)
        try:
            found = [fact for plan in self.records for fact in plan.facts(row)]
        except Refused as error:
            return Mapped(
                record.external_id, (), _reject(error.code, error.field, error.found, error.allowed, error.waits_for)
            )
        except RecordError as error:
            code: RejectCode = "missing" if error.found == "nothing" else "record"
            return Mapped(record.external_id, (), _reject(code, error.field or "record", error.found, error.allowed))
        if len(found) > 1 and len({(fact["type"], fact["id"]) for fact in found}) < len(found):
            allowed = "an id for each fact; put the element's own field or its position (NAME.n) into `id`"
            return Mapped(record.external_id, (), _reject("record", "id", "the same id twice", allowed))
        return Mapped(record.external_id, tuple(found))


def _reject(code: RejectCode, field: str, found: str, allowed: str, waits_for: tuple[str, str] | None = None) -> Reject:
    short = found if len(found) <= LONGEST_FOUND else found[: LONGEST_FOUND - 1] + "…"
    return Reject(code, field, short, allowed, waits_for)
