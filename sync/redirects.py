"""Merged accounts: what still names the account that is gone is read as naming the one that took it over.

A claim to a lead that was merged away goes where the lead that is left was converted into, also when that one was deleted
afterwards.

Systems move their own records to the surviving account; records of another system (an invoice in the ERP that knows
the customer by the CRM's old id) are not moved by anybody. The same holds for contracts, which HubSpot's deals are. The redirect is kept for ever and chains are followed. A
merge that is taken back (the record is undeleted) ends its redirect; what had followed is mapped once more.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from datetime import datetime
from typing import TypeVar

import orjson
from sqlalchemy import Connection, select

from sync import tables
from sync.bulk import rows
from sync.fact_rows import FactWriter, Source, stood, written
from sync.store import Store
from sync.tables import micros

Name = TypeVar("Name", bound=Hashable)


def follow_redirects(db: Connection, *, at: datetime, run_id: int) -> int:
    """Append a version to every fact that names a merged account, naming the survivor; returns how many.

    The referral of a lead that was merged away goes to the account that the lead which is left was converted into.
    Idempotent: facts that name no merged account are left alone.
    """
    count = _follow_conversions(db, at, run_id)
    survivors = surviving(db)
    f, head = tables.fact, tables.fact_head
    for loser in sorted(survivors):
        found = db.execute(
            select(f).join(head, head.c.row_id == f.c.id).where(f.c.account == loser, f.c.type != "account")
        ).all()
        naming = [row for row in found if not row.deleted]
        if not naming:
            continue
        writer = FactWriter(db, run_id)
        writer.prepare([(row.type, row.fact_id) for row in naming])
        for row in naming:
            fact = {**orjson.loads(row.body), "account": survivors[loser]}
            source = Source(row.stream_id, row.external_id, row.record_seq, micros(at), micros(at))
            writer.state(written(fact), source)
        count += writer.flush()
    return count + _follow_contracts(db, at, run_id)


def restore_unmerged(store: Store, again: Callable[[Mapping[int, set[str]]], bool], *, at: datetime) -> None:
    """Have the records mapped again whose facts had followed a merge that was taken back.

    ``again`` is given their ids by stream, of any connection, and says whether all of them were taken. A redirect waits until
    it says so. Idempotent.
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
    if not waiting or (moved and not again(moved)):
        return
    with store.transaction() as db:
        for row in waiting:
            mine = (r.stream_id == row.stream_id) & (r.loser == row.loser)
            db.execute(tables.redirect.update().where(mine).values(restored_at=at))


def surviving(db: Connection, kind: str = "account") -> Mapping[str, str]:
    """For every merged record of this kind the one that is left at the end of the chain.

    Ids of different objects may be equal, so records that state facts, but none of this kind, are left out.
    """
    direct = {}
    for loser, winner, facts in rows(db, _REDIRECTS):
        if facts is None or any(found == kind for found, _ in stood(winner, facts)):
            direct[loser] = winner
    return {loser: end for loser, end in ends_of(direct).items() if end != loser}


def ends_of(direct: Mapping[Name, Name]) -> dict[Name, Name]:
    """For every name the last one of the chain that begins with it; one that leads around ends where it would repeat."""
    found = {}
    for name in direct:
        seen, end = {name}, direct[name]
        while end in direct and end not in seen:
            seen.add(end)
            end = direct[end]
        found[name] = end
    return found


def _follow_conversions(db: Connection, at: datetime, run_id: int) -> int:
    """Give referrals of leads that were merged away the account of the lead that is left."""
    ends = surviving(db, "referral")
    wanted = sorted({*ends, *ends.values()})
    held = {row[0]: row for row in rows(db, _REFERRALS, wanted, False)} if wanted else {}
    writer = FactWriter(db, run_id)
    moved = []
    gone = {row[0]: row[1] for row in rows(db, _WITHDRAWN, sorted({*ends.values()}), True)} if ends else {}
    for loser, winner in ends.items():
        left = held[winner][1] if winner in held else gone.get(winner)
        if loser in held and left is not None:
            _, body, stream_id, record_seq = held[loser]
            fact, account = orjson.loads(body), orjson.loads(left).get("account")
            if account is not None and fact.get("account") != account:
                moved.append(
                    ({**fact, "account": account}, Source(stream_id, loser, record_seq, micros(at), micros(at)))
                )
    writer.prepare([("referral", str(fact["id"])) for fact, _ in moved])
    for fact, where in moved:
        writer.state(written(fact), where)
    return writer.flush()


def _follow_contracts(db: Connection, at: datetime, run_id: int) -> int:
    """Let invoices, and contracts that renew one, name the contract that is left of one that was merged away."""
    ends = surviving(db, "contract")
    if not ends:
        return 0
    named = sorted({*ends, *ends.values()})
    accounts = sorted({account for row in rows(db, _ACCOUNTS_OF, named) for account in row if account is not None})
    writer = FactWriter(db, run_id)
    moved = []
    for kind, body, stream_id, external_id, record_seq in rows(db, _NAMING, accounts, False) if accounts else ():
        fact, name = orjson.loads(body), _NAMES[kind]
        if fact.get(name) in ends:
            moved.append(
                (
                    kind,
                    {**fact, name: ends[fact[name]]},
                    Source(stream_id, external_id, record_seq, micros(at), micros(at)),
                )
            )
    writer.prepare([(kind, str(fact["id"])) for kind, fact, _ in moved])
    for _, fact, where in moved:
        writer.state(written(fact), where)
    return writer.flush()


_NAMES = {"invoice": "contract", "contract": "renews"}
"""The field by which facts of a type name a contract."""
_ACCOUNTS_OF = """
SELECT f.account, p.account FROM fact_head h JOIN fact f ON f.id = h.row_id LEFT JOIN fact p ON p.id = f.previous
WHERE h.type = 'contract' AND h.fact_id AMONG ?
"""
_NAMING = """
SELECT f.type, f.body, f.stream_id, f.external_id, f.record_seq FROM fact f JOIN fact_head h ON h.row_id = f.id
WHERE f.account AMONG ? AND f.deleted = ? AND f.type IN ('invoice', 'contract')
"""
_REDIRECTS = """
SELECT d.loser, d.winner, r.facts FROM redirect d
LEFT JOIN record r ON r.stream_id = d.stream_id AND r.external_id = d.winner WHERE d.ended_at IS NULL ORDER BY d.loser
"""
_REFERRALS = """
SELECT f.external_id, f.body, f.stream_id, f.record_seq FROM fact_head h JOIN fact f ON f.id = h.row_id
WHERE h.type = 'referral' AND f.external_id AMONG ? AND f.deleted = ?
"""
_WITHDRAWN = """
SELECT f.external_id, p.body FROM fact_head h JOIN fact f ON f.id = h.row_id JOIN fact p ON p.id = f.previous
WHERE h.type = 'referral' AND f.external_id AMONG ? AND f.deleted = ?
"""
