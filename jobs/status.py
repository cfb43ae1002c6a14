"""Job: how things stand: streams, last runs, refused records, waiting writes, money by state."""

from __future__ import annotations

from collections import Counter
from typing import Any

from sqlalchemy import func, select

from jobs.installation import Installation
from jobs.show import console, table
from rules.money import Money
from sync import book_tables as t
from sync import conflicts, hints
from sync.notices import Notices
from sync.outbox import Outbox


def status_of(here: Installation) -> dict[str, Any]:
    """Everything at a glance, as JSON values; reads the store only."""
    outbox = Outbox(here.store)
    connections = []
    for name, chosen in here.settings.connections.items():
        last = here.store.runs(job="pull", connection=name, limit=1)
        refused = here.store.quarantine(name)
        connections.append(
            {
                "connection": name,
                "system": chosen.system,
                "last_run": {"state": last[0].state, "at": last[0].started_at.isoformat(), "note": last[0].note}
                if last
                else None,
                "streams": [
                    {"object": s.kind, "complete": s.complete, "watermark": s.watermark}
                    for s in here.store.streams(name)
                ],
                "refused": [
                    {
                        "object": q.kind,
                        "id": q.external_id,
                        "version": q.version,
                        "code": q.code,
                        "field": q.field,
                        "found": q.found,
                        "allowed": q.allowed,
                    }
                    for q in refused[:200]
                ],
                "refused_count": len(refused),
                "writes": outbox.counts(name),
                "hints": _hints(here, name),
                "drift": _drift(here, name),
                "conflicts": _open_conflicts(here, name),
            }
        )
    return {
        "connections": connections,
        "programs": [_program(here, program.id) for program in here.programs],
        "notifications": _notifications(here),
    }


def _notifications(here: Installation) -> dict[str, Any]:
    """How many notifications are in which state, and what the first of those that wait or failed met."""
    notices, chosen = Notices(here.store), here.settings.notifications
    return {
        "channel": chosen.channel if chosen else None,
        "states": notices.counts(),
        "met": notices.met(),
    }


def _hints(here: Installation, name: str) -> dict[str, Any]:
    count, oldest = hints.standing(here.store, name)
    return {"waiting": count, "since": oldest and oldest.isoformat()}


def _drift(here: Installation, name: str) -> list[dict[str, Any]]:
    last = here.store.runs(job="describe", connection=name, limit=1)
    return list(last[0].counts["drift"]) if last else []


def _open_conflicts(here: Installation, name: str) -> int:
    with here.store.reading() as db:
        return len(conflicts.listed(db, name))


def _program(here: Installation, program: str) -> dict[str, Any]:
    e, s = t.entry_head, t.statement_head
    with here.store.reading() as db:
        settled = db.execute(select(t.book).where(t.book.c.program == program)).one_or_none()
        money = db.execute(
            select(e.c.state, e.c.currency, func.count().label("count"), func.sum(e.c.amount_minor).label("minor"))
            .where(e.c.program == program)
            .group_by(e.c.state, e.c.currency)
            .order_by(e.c.state, e.c.currency)
        ).all()
        statements = Counter(db.execute(select(s.c.state).where(s.c.program == program)).scalars())
        o = t.outcome_row
        tasks = db.execute(select(o.c.row).where(o.c.program == program, o.c.list == "tasks")).scalars()
        open_tasks = Counter(_kind(row) for row in tasks if '"state":"open"' in row or '"state":"late"' in row)
    return {
        "program": program,
        "settled_to": settled.as_of if settled else None,
        "entries": [
            {"state": row.state, "currency": row.currency, "count": row.count,
             "amount": str(Money.of_minor(int(row.minor), row.currency).amount)}
            for row in money
        ],
        "statements": dict(sorted(statements.items())),
        "open_tasks": dict(sorted(open_tasks.items())),
    }  # fmt: skip


def _kind(row: str) -> str:
    import orjson

    return str(orjson.loads(row)["kind"])


def show_status(found: dict[str, Any]) -> None:
    """Print it, worst first, and what to do next."""
    out = console()
    rows = []
    for one in found["connections"]:
        last, writes = one["last_run"], one["writes"]
        rows.append(
            (one["connection"], one["system"], last["state"] if last else "never run", last["at"][:16].replace("T", " ") if last else "",
             one["refused_count"], writes.get("pending", 0) + writes.get("attempted", 0), writes.get("dead", 0),
             one["conflicts"])
        )  # fmt: skip
    columns = ("connection", "system", "last run", "at (UTC)", "refused records", "waiting writes", "rejected writes",
               "conflicts")  # fmt: skip
    out.print(table("connections", columns, rows, right=columns[4:]))
    for one in found["connections"]:
        if one["last_run"] and one["last_run"]["note"]:
            out.print(f"  {one['connection']}: {one['last_run']['note']}", markup=False)
        if one["hints"]["waiting"]:
            since = one["hints"]["since"][:19].replace("T", " ")
            out.print(
                f"  {one['connection']}: {one['hints']['waiting']} hints of changes wait, the oldest since {since}"
            )
        for change in one["drift"]:
            what = f"{change['object']}.{change['field']}: {change['kind']}: {change['found']}; {change['means']}"
            out.print(f"  {one['connection']} {what}", markup=False)
        for bad in one["refused"][:10]:
            out.print(
                f"  {one['connection']} {bad['object']} {bad['id']} ({bad['version']}): {bad['field']}: found {bad['found']}; allowed: {bad['allowed']}",
                markup=False,
            )
    for one in found["programs"]:
        out.print()
        title = f"{one['program']}, settled to {one['settled_to'] or 'nothing yet'}"
        money = [(e["state"], e["count"], e["amount"], e["currency"]) for e in one["entries"]]
        if money:
            out.print(table(title, ("state", "entries", "amount", "currency"), money, right=("entries", "amount")))
        else:
            out.print(f"{title}: no entries yet", markup=False)
        if one["statements"]:
            out.print("statements: " + ", ".join(f"{count} {state}" for state, count in one["statements"].items()))
        if one["open_tasks"]:
            out.print("open tasks: " + ", ".join(f"{count} {kind}" for kind, count in one["open_tasks"].items()))
    told = found["notifications"]
    if told["channel"] is not None or told["states"]:
        out.print()
        for program, states in told["states"].items():
            counted = ", ".join(f"{count} {state}" for state, count in states.items())
            out.print(f"notifications of {program} (channel {told['channel'] or 'none'}): {counted}")
        for one in told["met"]:
            out.print(f"  {one['state']} {one['key']}: {one['reason']}", markup=False)
    if any(one["last_run"] is None for one in found["connections"]):
        out.print("next: `referee sync --plan-only`")
