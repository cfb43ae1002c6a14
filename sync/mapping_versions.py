"""Versions of a connection's mapping: kept by hash when a run uses them, so that none is ever lost."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, func, insert, select

from sync.mapping import Mapping
from sync.mapping_tables import mapping_use, mapping_version


@dataclass(frozen=True, slots=True)
class MappingVersion:
    """One version: when and how often runs used it."""

    hash: str
    text: str
    first_used_at: datetime
    last_used_at: datetime
    runs: int


def use(db: Connection, connection: str, mapping: Mapping, run_id: int, at: datetime) -> None:
    """Note that a run uses a mapping; its text is kept when this version is new."""
    v = mapping_version.c
    known = db.execute(select(v.id).where(v.connection == connection, v.hash == mapping.hash)).scalar_one_or_none()
    if known is None:
        values = {"connection": connection, "hash": mapping.hash, "text": mapping.text}
        known = db.execute(insert(mapping_version).values(values).returning(v.id)).scalar_one()
    db.execute(insert(mapping_use).values(run_id=run_id, version_id=known, used_at=at))


def versions(db: Connection, connection: str) -> list[MappingVersion]:
    """All versions of a connection, the one used last first."""
    v, u = mapping_version.c, mapping_use.c
    last = func.max(u.used_at)
    query = (
        select(v.hash, v.text, func.min(u.used_at), last, func.count())
        .join(mapping_use, u.version_id == v.id)
        .where(v.connection == connection)
        .group_by(v.id, v.hash, v.text)
        .order_by(last.desc(), func.max(u.run_id).desc())
    )
    return [MappingVersion(*row) for row in db.execute(query)]


def hashes_of(db: Connection, connection: str) -> dict[int, str]:
    """The version that each run of a connection used, by the run's number."""
    v, u = mapping_version.c, mapping_use.c
    query = select(u.run_id, v.hash).join(mapping_version, u.version_id == v.id).where(v.connection == connection)
    return {row.run_id: row.hash for row in db.execute(query)}
