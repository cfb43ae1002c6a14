"""Running a mapping: raw records of one object in, facts or a reject out. Pure; compiled by :mod:`sync.mapping`.

What cannot be taken becomes a :class:`Reject` of that record, never an exception and never a silently missing field.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from connectors.base import FAULT, Query, Record
from rules.errors import RecordError
from rules.records import parse
from sync.conditions import Condition
from sync.fact_rows import OUTLIVE_MERGES
from sync.payloads import fact_json
from sync.raw_rows import Get, Lookups, LookupUse, Plain, Row, Use, elements_of, fill
from sync.record_shapes import LONGEST_ID
from sync.refusal import Refused, Reject, RejectCode
from sync.yaml_nodes import Node

LONGEST_FOUND = 40


class Mapped(msgspec.Struct, frozen=True):
    """One record's facts, or the reason for none.

    No facts and no reject means that the record is no record for us (``when``), is read for look-ups only, or is deleted:
    whatever facts it gave before are withdrawn. The same holds for each fact of an earlier version that a later
    version of the record does not give any more. A deleted record whose system still shows its values gives what
    outlives a merge: the registration that it was.
    """

    external_id: str
    facts: tuple[dict[str, Any], ...]
    reject: Reject | None = None
    bodies: tuple[bytes, ...] = ()
    """The facts as :func:`sync.payloads.fact_json` writes them: they were validated so, and need no second writing."""


@dataclass(frozen=True, slots=True)
class RecordMap:
    """How one object gives one type of record."""

    record: str
    identity: Get | None
    plain: tuple[Plain, ...]
    sources: tuple[tuple[str, Get], ...]
    when: Condition | None
    each: tuple[str, Get] | None
    needed_only: frozenset[str] | None
    """The fields that must not be absent, when nothing else can be wrong with a fact; ``None``: validate each fact."""

    def facts(self, row: Row) -> list[tuple[dict[str, Any], bytes]]:
        """The facts of one raw record, each also as JSON. Raises: ``Refused`` (with its field), ``RecordError``."""
        if self.each is None:
            return [self._fact(row)] if self.when is None or self._wanted(row) else []
        name, read = self.each
        try:
            elements = elements_of(read(row))
        except Refused as error:
            raise error.inside("each") from None
        found = []
        for number, element in enumerate(elements, 1):
            row.elements[name] = (element, number)
            if self._wanted(row):
                found.append(self._fact(row))
        return found

    def _wanted(self, row: Row) -> bool:
        try:
            return self.when is None or self.when(row)
        except Refused as error:
            raise error.inside("when") from None

    def _fact(self, row: Row) -> tuple[dict[str, Any], bytes]:
        identity = row.record.external_id if self.identity is None else self._identity(row)  # type: ignore[union-attr]
        body: dict[str, Any] = {"type": self.record, "id": identity}
        fill(body, row.fields, self.plain)
        for target, read in self.sources:
            try:
                value = read(row)
            except Refused as error:
                raise error.inside(target) from None
            if value is not None:
                body[target] = value
        try:
            written = fact_json(body)
        except TypeError as error:
            raise RecordError("", str(error), "text of whole Unicode characters") from None
        if self.needed_only is None or not 0 < len(identity) <= LONGEST_ID or not body.keys() >= self.needed_only:
            parse(written)
        return body, written

    def _identity(self, row: Row) -> str:
        assert self.identity is not None
        try:
            found = self.identity(row)
            if found is None:
                raise Refused(None, "a value for the record's id", "missing")
        except Refused as error:
            raise error.inside("id") from None
        return found  # type: ignore[no-any-return]


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
        row = Row(None, {}, lookups)
        return [self._mapped(record, row) for record in records]

    def _mapped(self, record: Record, row: Row) -> Mapped:
        plans = self.records
        if record.deleted:
            plans = tuple(plan for plan in plans if plan.record in OUTLIVE_MERGES) if record.fields else ()
        if FAULT in record.fields:
            return Mapped(record.external_id, (), _unreadable(record.fields[FAULT]))
        row.record, row.fields = record, record.fields
        try:
            found = [made for plan in plans for made in plan.facts(row)]
        except Refused as error:
            return Mapped(
                record.external_id, (), _reject(error.code, error.field, error.found, error.allowed, error.waits_for)
            )
        except RecordError as error:
            code: RejectCode = "missing" if error.found == "nothing" else "record"
            return Mapped(record.external_id, (), _reject(code, error.field or "record", error.found, error.allowed))
        if len(found) == 1:
            ((fact, written),) = found
            return Mapped(record.external_id, (fact,), None, (written,))
        if len({(fact["type"], fact["id"]) for fact, _ in found}) < len(found):
            allowed = "an id for each fact; put the element's own field or its position (NAME.n) into `id`"
            return Mapped(record.external_id, (), _reject("record", "id", "the same id twice", allowed))
        return Mapped(
            record.external_id, tuple(fact for fact, _ in found), None, tuple(written for _, written in found)
        )


def _unreadable(fault: Any) -> Reject:
    """The reject of a record that its connector could not read; the place in ``field`` is told whole."""
    told = fault if isinstance(fault, dict) else {}
    field, found, allowed = (str(told.get(name, "")) for name in ("field", "found", "allowed"))
    return _reject("unreadable", field, found, allowed)


def _reject(code: RejectCode, field: str, found: str, allowed: str, waits_for: tuple[str, str] | None = None) -> Reject:
    short = found if len(found) <= LONGEST_FOUND else found[: LONGEST_FOUND - 1] + "…"
    return Reject(code, field, short, allowed, waits_for)
