"""Merged accounts: what still names the account that is gone is read as naming the one that took it over.

Systems move their own records to the surviving account; records of another system (an invoice in the ERP that knows
the customer by the CRM's old id) are not moved by anybody. The redirect is kept for ever and chains are followed. A
merge that is taken back (the record is undeleted) ends its redirect; what had followed is mapped once more.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

import orjson
from sqlalchemy import Connection, select

from sync import tables
from sync.fact_rows import FactWriter, Source, written
from sync.store import Store
from sync.tables import micros


class ConnectionMap(Protocol):
    """The mapping of one connection (``sync.mapping.Mapping``)."""

    @property
    def objects(self) -> Sequence[Any]: ...


def follow_redirects(db: Connection, *, at: datetime, run_id: int) -> int:
    """Append a version to every fact that names a merged account, naming the survivor; returns how many.

    Idempotent: facts that name no merged account are left alone.
    """
    survivors = surviving(db)
    count = 0
    f, head = tables.fact, tables.fact_head
    for loser in sorted(survivors):
        rows = db.execute(
            select(f).join(head, head.c.row_id == f.c.id).where(f.c.account == loser, f.c.type != "account")
        ).all()
        rows = [row for row in rows if not row.deleted]
        if not rows:
            continue
        writer = FactWriter(db, run_id)
        writer.prepare([(row.type, row.fact_id) for row in rows])
        for row in rows:
            fact = {**orjson.loads(row.body), "account": survivors[loser]}
            source = Source(row.stream_id, row.external_id, row.record_seq, micros(at), micros(at))
            writer.state(written(fact), source)
        count += writer.flush()
    return count


def restore_unmerged(store: Store, mappings: Mapping[str, ConnectionMap], *, at: datetime, run_id: int) -> int:
    """Map the records again whose facts had followed a merge that was taken back; returns how many facts changed.

    A redirect waits until the mappings of all connections with such records are given. Idempotent.
    """
    r, f, head = tables.redirect.c, tables.fact, tables.fact_head
    with store.reading() as db:
        ended = db.execute(
            select(r.stream_id, r.loser, r.winner).where(r.ended_at.is_not(None), r.restored_at.is_(None))
        )
        waiting = list(ended)
        ends = surviving(db) if waiting else {}
        moved: dict[int, set[str]] = {}
        for row in waiting:
            query = select(f.c.stream_id, f.c.external_id).join(head, head.c.row_id == f.c.id)
            for stream_id, external_id in db.execute(query.where(f.c.account == ends.get(row.winner, row.winner))):
                if stream_id is not None:
                    moved.setdefault(stream_id, set()).add(external_id)
    streams = {stream.id: stream for stream in store.streams() if stream.id in moved}
    if not waiting or any(stream.connection not in mappings for stream in streams.values()):
        return 0
    count = map_again(store, mappings, moved, at=at, run_id=run_id)
    with store.transaction() as db:
        for row in waiting:
            mine = (r.stream_id == row.stream_id) & (r.loser == row.loser)
            db.execute(tables.redirect.update().where(mine).values(restored_at=at))
    return count


def map_again(
    store: Store, mappings: Mapping[str, ConnectionMap], records: Mapping[int, set[str]], *, at: datetime, run_id: int
) -> int:
    """Make the facts of these records (ids by stream) anew from what their system said; returns how many changed."""
    count = 0
    for stream in store.streams():
        objects = mappings[stream.connection].objects if stream.connection in mappings else ()
        plan = next((one for one in objects if one.kind == stream.kind), None)
        if plan is not None and stream.id in records:
            ids = sorted(records[stream.id])
            count += store.replay(stream, ids, plan.facts, seen_at=at, run_id=run_id).facts
    return count


def surviving(db: Connection) -> Mapping[str, str]:
    """For every merged record the one that is left at the end of the chain."""
    direct = {
        row.loser: row.winner
        for row in db.execute(
            select(tables.redirect.c.loser, tables.redirect.c.winner).where(tables.redirect.c.ended_at.is_(None))
        )
    }
    found = {}
    for loser in direct:
        seen, winner = {loser}, direct[loser]
        while winner in direct and winner not in seen:
            seen.add(winner)
            winner = direct[winner]
        if winner != loser:
            found[loser] = winner
    return found
