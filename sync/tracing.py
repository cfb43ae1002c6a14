"""Tracing one record: what the system said and when, which facts were made of it, why not, and what was written for it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import ColumnElement, Connection, select

from sync import quarantine
from sync.bulk import rows
from sync.fact_rows import stood
from sync.outbox_tables import intent, write_event
from sync.payloads import decoded, storable
from sync.plan_items import Ref
from sync.sameness import read_as
from sync.tables import instant


@dataclass(frozen=True, slots=True)
class RecordVersion:
    """One version of a record as the system said it, and when we read it."""

    seq: int
    version: str
    fields: Mapping[str, Any]
    deleted: bool
    merged_into: str | None
    created_at: datetime | None
    modified_at: datetime | None
    run_id: int
    seen_at: datetime
    calls: tuple[Mapping[str, Any], ...] = ()
    """The API calls that brought its page, numbered within the run."""


@dataclass(frozen=True, slots=True)
class FactVersion:
    """One version of a fact that a record stands behind, and the version of the record that said so."""

    row_id: int
    type: str
    id: str
    seq: int
    known_at: datetime
    record_seq: int | None
    run_id: int
    body: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Trace:
    """Everything held about one record: its versions, the facts made of it, and why not, when it was refused."""

    versions: tuple[RecordVersion, ...]
    facts: tuple[FactVersion, ...]
    quarantine: quarantine.Held | None


def trace(connection: Connection, name: str, kind: str, external_id: str) -> Trace:
    """Everything held about one record, oldest first; empty when it was never seen."""
    known_as = storable(external_id)
    versions = tuple(
        RecordVersion(
            r[0], r[1], decoded(r[2]), bool(r[3]), r[4], _at(r[5]), _at(r[6]), r[7], instant(r[8]), _calls(r[9])
        )
        for r in rows(connection, _VERSIONS, name, kind, known_as)
    )
    facts: list[FactVersion] = []
    for (given,) in rows(connection, _GIVEN, name, kind, known_as):
        for key in stood(known_as, given):
            found = rows(connection, _FACTS, *key)
            facts += [FactVersion(r[0], *key, r[1], instant(r[2]), r[3], r[4], orjson.loads(r[5])) for r in found]
    held = quarantine.listed(connection, name, kind, None, known_as)
    return Trace(versions, tuple(facts), held[0] if held else None)


@dataclass(frozen=True, slots=True)
class WriteEvent:
    """One thing that happened to a write: ``sent``, ``job`` (it is part of one: ``batch`` is its id), ``answered``,
    ``read_back`` or ``unanswered``."""

    at: datetime
    event: str
    run_id: int | None
    attempt: int
    batch: str | None
    state: str | None
    code: str | None
    message: str | None
    external_id: str | None
    calls: tuple[Mapping[str, Any], ...] = ()
    """The API calls that carried it, numbered within the run."""


@dataclass(frozen=True, slots=True)
class Write:
    """A planned write and what became of it. ``changes`` are (field, before, after), as the plan showed them."""

    number: int
    ref: Ref
    action: str
    plan: str
    because: str
    changes: tuple[tuple[str, Any, Any], ...]
    state: str
    message: str | None
    external_id: str | None
    planned_at: datetime
    updated_at: datetime
    events: tuple[WriteEvent, ...]


def writes(db: Connection, connection: str, refs: Collection[Ref], about: tuple[str, str] | None = None) -> list[Write]:
    """The writes to these records of a connection, and to the one with this (object, id), in the order of their plans."""
    i = intent.c
    keys = sorted({ref.key for ref in refs} | ({about[1]} if about else set()))
    mine: ColumnElement[bool] = i.key.in_(keys)
    if about is not None:
        mine = mine | (i.object == about[0]) & (i.external_id == about[1])
    found = []
    for row in db.execute(select(intent).where(i.connection == connection, mine).order_by(i.id)):
        ref = Ref(row.object, row.key_field or None, row.key)
        if ref in refs or (about is not None and row.object == about[0] and about[1] in (row.external_id, row.key)):
            e = write_event.c
            events = db.execute(
                select(e.at, e.event, e.run_id, e.attempt, e.batch, e.state, e.code, e.message, e.external_id, e.calls)
                .where(e.intent_id == row.id)
                .order_by(e.id)
            )
            changes = tuple((name, before, after) for name, (before, after) in read_as(row.changes).items())
            found.append(
                Write(
                    row.id, ref, row.action, row.plan_hash, row.because, changes, row.state, row.message, row.external_id,
                    row.created_at, row.updated_at, tuple(map(_event, events)),
                )
            )  # fmt: skip
    return found


def _event(row: Any) -> WriteEvent:
    return WriteEvent(
        row.at, row.event, row.run_id, row.attempt, row.batch, row.state, row.code, row.message, row.external_id,
        _calls(row.calls),
    )  # fmt: skip


def _calls(text: str | None) -> tuple[Mapping[str, Any], ...]:
    return () if text is None else tuple(orjson.loads(text))


def _at(value: int | None) -> datetime | None:
    return None if value is None else instant(value)


_GIVEN = """
SELECT r.facts FROM record r JOIN stream s ON s.id = r.stream_id
WHERE s.connection = ? AND s.kind = ? AND r.external_id = ?
"""
_VERSIONS = """
WITH RECURSIVE chain(id) AS (
    SELECT r.version_id FROM record r JOIN stream s ON s.id = r.stream_id
    WHERE s.connection = ? AND s.kind = ? AND r.external_id = ?
    UNION ALL SELECT v.previous FROM chain c JOIN record_version v ON v.id = c.id WHERE v.previous IS NOT NULL
)
SELECT v.seq, v.version, v.payload, v.deleted, v.merged_into, v.created_at, v.modified_at, v.run_id, v.seen_at, p.calls
FROM chain c JOIN record_version v ON v.id = c.id LEFT JOIN read_page p ON p.last_version >= v.id
    AND p.first_version = (SELECT max(q.first_version) FROM read_page q WHERE q.first_version <= v.id)
ORDER BY v.seq
"""
_FACTS = """
WITH RECURSIVE chain(id) AS (
    SELECT row_id FROM fact_head WHERE type = ? AND fact_id = ?
    UNION ALL SELECT f.previous FROM chain c JOIN fact f ON f.id = c.id WHERE f.previous IS NOT NULL
)
SELECT f.id, f.seq, f.known_at, f.record_seq, f.run_id, f.body FROM chain c JOIN fact f ON f.id = c.id ORDER BY f.seq
"""
