"""Tracing one record: what the system said and when, which facts were made of it, and why not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import Connection

from sync import quarantine
from sync.bulk import rows
from sync.fact_rows import stood
from sync.payloads import decoded, storable
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


@dataclass(frozen=True, slots=True)
class FactVersion:
    """One version of a fact that a record stands behind, and the version of the record that said so."""

    row_id: int
    seq: int
    known_at: datetime
    record_seq: int | None
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
        RecordVersion(r[0], r[1], decoded(r[2]), bool(r[3]), r[4], _at(r[5]), _at(r[6]), r[7], instant(r[8]))
        for r in rows(connection, _VERSIONS, name, kind, known_as)
    )
    facts: list[FactVersion] = []
    for (given,) in rows(connection, _GIVEN, name, kind, known_as):
        for key in stood(known_as, given):
            found = rows(connection, _FACTS, *key)
            facts += [FactVersion(r[0], r[1], instant(r[2]), r[3], orjson.loads(r[4])) for r in found]
    held = quarantine.listed(connection, name, kind, None, known_as)
    return Trace(versions, tuple(facts), held[0] if held else None)


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
SELECT v.seq, v.version, v.payload, v.deleted, v.merged_into, v.created_at, v.modified_at, v.run_id, v.seen_at
FROM chain c JOIN record_version v ON v.id = c.id ORDER BY v.seq
"""
_FACTS = """
WITH RECURSIVE chain(id) AS (
    SELECT row_id FROM fact_head WHERE type = ? AND fact_id = ?
    UNION ALL SELECT f.previous FROM chain c JOIN fact f ON f.id = c.id WHERE f.previous IS NOT NULL
)
SELECT f.id, f.seq, f.known_at, f.record_seq, f.body FROM chain c JOIN fact f ON f.id = c.id ORDER BY f.seq
"""
