"""Runs: one row for each time a job ran, with its counts; a run is green only when nothing failed."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import orjson
from sqlalchemy import Connection, Select, insert, select, update

from sync.tables import run

State = Literal["running", "ok", "partial", "failed"]


@dataclass(frozen=True, slots=True)
class Run:
    """One time a job ran. ``counts`` is what the job counted, e.g. per stream; ``note`` says why it is not ``ok``."""

    id: int
    job: str
    connection: str | None
    state: State
    counts: Mapping[str, Any]
    note: str | None
    started_at: datetime
    ended_at: datetime | None


def start(connection: Connection, job: str, name: str | None, at: datetime) -> int:
    """Open a run; returns its number."""
    statement = insert(run).values(job=job, connection=name, state="running", started_at=at).returning(run.c.id)
    return int(connection.execute(statement).scalar_one())


def finish(
    connection: Connection, run_id: int, state: State, counts: Mapping[str, Any], at: datetime, note: str | None = None
) -> None:
    """Close a run."""
    values = {"state": state, "counts": orjson.dumps(counts).decode(), "ended_at": at, "note": note}
    connection.execute(update(run).where(run.c.id == run_id).values(**values))


def named(connection: Connection, ids: Collection[int]) -> dict[int, Run]:
    """Runs by their number; those that are not there are left out."""
    return {
        number: found[0] for number in sorted(ids) if (found := _runs(connection, _QUERY.where(run.c.id == number)))
    }


def listed(
    connection: Connection,
    job: str | None = None,
    name: str | None = None,
    limit: int = 100,
    states: Collection[str] = (),
) -> list[Run]:
    """The latest runs (of these states), newest first."""
    query = _QUERY
    if job is not None:
        query = query.where(run.c.job == job)
    if name is not None:
        query = query.where(run.c.connection == name)
    if states:
        query = query.where(run.c.state.in_(states))
    return _runs(connection, query.order_by(run.c.id.desc()).limit(limit))


def since(connection: Connection, name: str, jobs: Collection[str], at: datetime) -> list[Run]:
    """All runs of these jobs over a connection that started at this instant or later, oldest first."""
    wanted = (run.c.connection == name) & run.c.job.in_(jobs) & (run.c.started_at >= at)
    return _runs(connection, _QUERY.where(wanted).order_by(run.c.id))


_QUERY = select(
    run.c.id, run.c.job, run.c.connection, run.c.state, run.c.counts, run.c.note, run.c.started_at, run.c.ended_at
)


def _runs(connection: Connection, query: Select[Any]) -> list[Run]:
    return [Run(r[0], r[1], r[2], r[3], orjson.loads(r[4]), r[5], r[6], r[7]) for r in connection.execute(query)]
