"""Retention: operational history that is older than it need be kept, and what of it must stay all the same.

Never touched: what systems said (records and their versions), facts, the journal, statements, redirects, links, conflicts,
texts of mappings, plans that a person let past a brake. A write goes with its events, when it was superseded or a later
one to the same record is done: so of each record the last write stays with everything that happened to it, and nothing
that is still to be sent, settled or decided is lost. A run stays while versions, facts or events name it. Of a notice that
was sent, or was not to be, a hash of its key stays: the same key is computed anew on every run and must not be told again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import orjson
from sqlalchemy import ColumnElement, Connection, Table, and_, exists, func, not_, or_, select

from sync.bulk import insert_into, slices
from sync.mapping_tables import mapping_use
from sync.notice_tables import hash_of_key, notice, told_notice
from sync.outbox_tables import enqueued_plan, intent, write_event
from sync.store import Store
from sync.tables import read_page, run

SHORTEST_DAYS = 35
"""Nothing younger is ever pruned: brakes and the loop breaker look back for up to a month."""

_SETTLED = ("sent", "skipped")
"""States of notices of which nothing is to come."""
_BROUGHT = ("new", "changed", "deleted", "facts")
"""Counts of a run that say that versions or facts name it."""
_JOBS = ("pull", "remap", "write", "describe", "prune")
"""Jobs whose runs may go; those of others are few."""


@dataclass(frozen=True, slots=True)
class Keep:
    """For how many days what is kept; ``None``: for ever. ``calls``: which API calls brought a page of records;
    ``notices``: what was sent to whom."""

    writes: int | None = 400
    runs: int | None = 400
    calls: int | None = 400
    notices: int | None = 400


@dataclass(frozen=True, slots=True)
class Prunable:
    """What may go, by table, and older rows that stay, by the reason. ``ids`` are primary keys."""

    ids: Mapping[str, Sequence[Any]]
    stays: Mapping[str, int]

    def counts(self) -> dict[str, int]:
        """How many rows of each table."""
        return {name: len(ids) for name, ids in self.ids.items()}


def prunable(store: Store, keep: Keep, now: datetime) -> Prunable:
    """What is older than it need be kept and is not needed any more. Changes nothing.

    Raises: ``ValueError`` for fewer than :data:`SHORTEST_DAYS` days.
    """
    ids: dict[str, Sequence[Any]] = {}
    stays: dict[str, int] = {}
    with store.reading() as db:
        if (before := _before(keep.writes, now)) is not None:
            gone = _replaced(before)
            ids["write_event"] = _ids(
                db, select(write_event.c.id).where(write_event.c.intent_id.in_(select(intent.c.id).where(gone)))
            )
            ids["intent"] = _ids(db, select(intent.c.id).where(gone))
            p = enqueued_plan.c
            old = p.enqueued_at < before
            ids["enqueued_plan"] = _ids(db, select(p.id).where(old, p.allowed_by.is_(None)))
            older = select(func.count()).where(intent.c.updated_at < before, not_(gone))
            stays["writes that wait, or whose outcome is not known"] = _count(
                db, older, intent.c.state.in_(("pending", "attempted"))
            )
            stays["dead letters"] = _count(db, older, intent.c.state == "dead")
            stays["the last write of a record"] = _count(db, older, intent.c.state == "done")
            stays["plans that a person let past a brake"] = _count(
                db, select(func.count()).where(old), p.allowed_by.is_not(None)
            )
        if (before := _before(keep.runs, now)) is not None:
            named = _named_by_events(_before(keep.writes, now))
            ids["run"], stays["runs that records, facts or writes name"] = _runs(db, before, named)
            ids["mapping_use"] = _uses(db, ids["run"])
        if (before := _before(keep.calls, now)) is not None:
            ids["read_page"] = _ids(db, select(read_page.c.first_version).where(read_page.c.read_at < before))
        if (before := _before(keep.notices, now)) is not None:
            n = notice.c
            ids["notice"] = _ids(db, select(n.key).where(n.updated_at < before, n.state.in_(_SETTLED)))
            stays["notices that wait, or could not be sent"] = _count(
                db, select(func.count()).where(n.updated_at < before), n.state.not_in(_SETTLED)
            )
    return Prunable(ids, {why: number for why, number in stays.items() if number})


def prune(store: Store, found: Prunable) -> None:
    """Delete what :func:`prunable` found, a few hundred rows a transaction. Safe to kill and run again."""
    tables: tuple[tuple[Table, Any], ...] = (
        (write_event, write_event.c.id), (intent, intent.c.id), (enqueued_plan, enqueued_plan.c.id),
        (mapping_use, mapping_use.c.run_id), (run, run.c.id), (read_page, read_page.c.first_version),
        (notice, notice.c.key),
    )  # fmt: skip
    for table, key in tables:
        for some in slices(found.ids.get(table.name, ())):
            with store.transaction() as db:
                if table is notice:
                    hashes = [{"key_hash": hash_of_key(one)} for one in some]
                    db.execute(insert_into(db, told_notice).on_conflict_do_nothing(), hashes)
                db.execute(table.delete().where(key.in_(some)))


def _before(days: int | None, now: datetime) -> datetime | None:
    if days is None:
        return None
    if days < SHORTEST_DAYS:
        raise ValueError(f"retention: found {days} days; allowed: {SHORTEST_DAYS} or more")
    return now - timedelta(days=days)


def _replaced(before: datetime) -> ColumnElement[bool]:
    """Writes that are over since then, and not the last one that was done to their record."""
    i, later = intent.c, intent.alias()
    followed = exists().where(
        later.c.connection == i.connection, later.c.object == i.object, later.c.key_field == i.key_field,
        later.c.key == i.key, later.c.id > i.id, later.c.state == "done",
    )  # fmt: skip
    return and_(i.updated_at < before, or_(i.state == "superseded", and_(i.state == "done", followed)))


def _named_by_events(before: datetime | None) -> Any:
    """The numbers of the runs that events of writes name which stay."""
    stays = select(write_event.c.run_id).where(write_event.c.run_id.is_not(None))
    if before is None:
        return stays
    return stays.join(intent, intent.c.id == write_event.c.intent_id).where(not_(_replaced(before)))


def _runs(db: Connection, before: datetime, named: Any) -> tuple[list[int], int]:
    """Runs that may go, and how many older ones stay for what they brought; the newest of a kind stays anyhow."""
    newest = select(func.max(run.c.id)).group_by(run.c.job, run.c.connection, run.c.state)
    old = select(run.c.id, run.c.counts).where(
        run.c.job.in_(_JOBS), run.c.ended_at < before, run.c.state != "running", run.c.id.not_in(newest)
    )
    rows = db.execute(old.where(run.c.id.not_in(named)).order_by(run.c.id)).all()
    idle = [row.id for row in rows if not _brought(orjson.loads(row.counts))]
    return idle, db.execute(select(func.count()).select_from(old.subquery())).scalar_one() - len(idle)


def _brought(counts: Any) -> bool:
    if not isinstance(counts, dict):
        return False
    return any(bool(value) if name in _BROUGHT else _brought(value) for name, value in counts.items())


def _uses(db: Connection, runs: Sequence[int]) -> list[int]:
    """Uses of mappings by these runs, but for the first and the last of each version."""
    u = mapping_use.c
    ends = {
        number
        for row in db.execute(select(func.min(u.run_id), func.max(u.run_id)).group_by(u.version_id))
        for number in row
    }
    found = [number for some in slices(runs) for number in db.scalars(select(u.run_id).where(u.run_id.in_(some)))]
    return [number for number in found if number not in ends]


def _ids(db: Connection, query: Any) -> list[Any]:
    return sorted(db.scalars(query))


def _count(db: Connection, query: Any, also: ColumnElement[bool]) -> int:
    return int(db.execute(query.where(also)).scalar_one())
