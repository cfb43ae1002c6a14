"""Merged accounts: what still names the account that is gone is read as naming the one that took it over.

Systems move their own records to the surviving account; records of another system (an invoice in the ERP that knows
the customer by the CRM's old id) are not moved by anybody. The redirect is kept for ever and chains are followed.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import orjson
from sqlalchemy import Connection, select

from sync import tables
from sync.fact_rows import FactWriter, Source, written
from sync.tables import micros


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


def surviving(db: Connection) -> Mapping[str, str]:
    """For every merged record the one that is left at the end of the chain."""
    direct = {row.loser: row.winner for row in db.execute(select(tables.redirect.c.loser, tables.redirect.c.winner))}
    found = {}
    for loser in direct:
        seen, winner = {loser}, direct[loser]
        while winner in direct and winner not in seen:
            seen.add(winner)
            winner = direct[winner]
        if winner != loser:
            found[loser] = winner
    return found
