"""Job: is what is here what the systems hold? Every record listed once more, counts and money by day, and what to mend."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

import structlog

from connectors.base import Record
from connectors.errors import ConnectorError
from jobs.connections import Open
from jobs.installation import Installation
from jobs.leasing import Held
from jobs.show import console, table
from jobs.sync import follow_merges, settle_stored
from sync.drift import PausedMap, by_the_rest, paused_fields
from sync.object_maps import ObjectMap
from sync.pull import take_over
from sync.reconcile import Reconciled, reconcile
from sync.store import Store

log = structlog.get_logger("referee.reconcile")

SETTLING = timedelta(hours=1)
"""A change this much younger than the last pull may not have been visible to it yet: the next pull brings it."""
GONE = ("deleted", "vanished", "left")


def reconcile_connections(
    here: Installation, names: Sequence[str] | None, *, repair: bool = False, allow: str | None = None
) -> list[dict[str, Any]]:
    """Compare every object of these connections with the store, and with ``repair`` take over what differs.

    Returns JSON values: for each object its state (``equal``, ``different``, ``repaired``, ``unread``, ``failed``,
    ``refused``), counts, days that differ and differing records. A failing object does not stop the others.
    """
    found: list[dict[str, Any]] = []
    repaired = False
    for each in here.open(names):
        held = Held(here.store, here.clock)
        lease = held.take(f"connection:{each.name}")
        if lease is None:
            found.append({"connection": each.name, "object": None, "state": "busy", "why": "another run holds it"})
            continue
        try:
            run = here.store.start_run("reconcile", each.name, at=here.clock())
            mine = [
                _object(here, here.store.under(lease), each, plan, run, repair, allow, held.renew)
                for plan in each.mapping.objects
            ]
            found += mine
            repaired |= any(one["state"] == "repaired" for one in mine)
            good = all(one["state"] in ("equal", "repaired") for one in mine)
            kept = ("state", "allowed_by", "emptied")
            counts = {
                one["object"]: {**one.get("counts", {}), **{name: one[name] for name in kept if one.get(name)}}
                for one in mine
            }
            here.store.finish_run(run, "ok" if good else "partial", counts, at=here.clock())
        finally:
            held.release()
    if repaired:
        follow_merges(here.store, here.open, here.clock, allow=allow)
        settle_stored(here.store, here.programs, here.clock())
    return found


def _object(
    here: Installation,
    store: Store,
    each: Open,
    plan: ObjectMap,
    run: int,
    repair: bool,
    allow: str | None,
    step: Callable[[], None],
) -> dict[str, Any]:
    stream = store.stream(each.name, plan.kind)
    base = {"connection": each.name, "object": plan.kind}
    if stream.watermark is None or stream.query_hash != plan.query_hash or stream.reading == "backfill":
        return {
            **base,
            "state": "unread",
            "why": "it was not read to its end yet with this mapping; run `referee sync`",
        }
    used = by_the_rest(plan, paused_fields(store, each.name))
    paused = used if isinstance(used, PausedMap) else None
    before = _pulled_at(store, each.name) - SETTLING
    try:
        result = reconcile(store, each.name, each.connector, plan, settled_before=before, step=step, paused=paused)
    except ConnectorError as error:
        return {**base, "state": "failed", "why": str(error)}
    told = {**base, **_plain(result)}
    log.info("reconciled", connection=each.name, object=plan.kind, differences=len(result.differences))
    if result.equal or not repair:
        return {**told, "state": "equal" if result.equal else "different"}
    done = take_over(
        store, each.name, used, _as_there(store, each.name, plan, result), now=here.clock, run_id=run,
        limits=each.brakes, allow=allow,
    )  # fmt: skip
    if done.refused:
        return {**told, "state": "refused", "why": done.why}
    return {**told, "state": "repaired", "allowed_by": done.allowed_by, "emptied": done.emptied}


def _pulled_at(store: Store, connection: str) -> datetime:
    """When the last pull began that came through; when none did and one object was read all the same, the last of all."""
    came_through = store.runs(job="pull", connection=connection, limit=1, states=("ok", "partial"))
    (run,) = came_through or store.runs(job="pull", connection=connection, limit=1)
    return run.started_at


def _as_there(store: Store, connection: str, plan: ObjectMap, result: Reconciled) -> list[Record]:
    """The differing records as the system holds them; what it does not show any more is deleted."""
    last = store.lookups(connection)
    records = []
    for one in result.differences:
        there = result.found[one.id]
        if there is None or one.what in GONE:
            there = Record(plan.kind, one.id, "reconciled", last.get(plan.kind, one.id) or {}, deleted=True)
        records.append(there)
    return records


def _plain(result: Reconciled) -> dict[str, Any]:
    counts = Counter(one.what for one in result.differences)
    return {
        "records": {"theirs": sum(day.theirs for day in result.days), "ours": sum(day.ours for day in result.days)},
        "days": len(result.days),
        "days_that_differ": [
            {"day": day.day, "theirs": day.theirs, "ours": day.ours,
             "sums": {path: {"theirs": str(theirs), "ours": str(ours)} for path, (theirs, ours) in day.sums.items()}}
            for day in result.days if not day.equal
        ],
        "sums": _sums(result),
        "counts": dict(sorted(counts.items())),
        "differences": [
            {"id": one.id, "what": one.what, "day": one.day, "fields": list(one.fields)} for one in result.differences
        ],
        "recent": result.recent,
        "calls": result.calls,
    }  # fmt: skip


def _sums(result: Reconciled) -> dict[str, dict[str, str]]:
    paths = [path for day in result.days[:1] for path in day.sums]
    return {
        path: {
            "theirs": str(sum(day.sums[path][0] for day in result.days)),
            "ours": str(sum(day.sums[path][1] for day in result.days)),
        }
        for path in paths
    }


_WORDS = {
    "missing": "there, and not here", "deleted": "deleted there, alive here", "differs": "other values there",
    "vanished": "here, and not shown there any more", "left": "the mapping's filter leaves it out now",
}  # fmt: skip


def show_reconciled(found: Sequence[dict[str, Any]], *, most: int = 20) -> None:
    """Print it: a line an object, then what differs, and what to do next."""
    out = console()
    rows = [
        (one["connection"], one["object"], one["state"], one.get("records", {}).get("theirs"),
         one.get("records", {}).get("ours"), len(one.get("differences", ())), one.get("recent"))
        for one in found
    ]  # fmt: skip
    columns = ("connection", "object", "outcome", "records there", "records here", "differences", "changed since")
    out.print(table("reconciled", columns, rows, right=columns[3:]))
    for one in found:
        name = f"{one['connection']} {one['object'] or ''}".strip()
        if "why" in one:
            out.print(f"  {name}: {one['why']}", markup=False)
        for day in one.get("days_that_differ", ())[:most]:
            sums = "".join(
                f"; {path} {sum_['theirs']} there, {sum_['ours']} here" for path, sum_ in day["sums"].items()
            )
            out.print(f"  {name}, created {day['day']}: {day['theirs']} there, {day['ours']} here{sums}", markup=False)
        for record in one.get("differences", ())[:most]:
            fields = f": {', '.join(record['fields'])}" if record["fields"] else ""
            out.print(f"  {name} {record['id']}: {_WORDS[record['what']]}{fields}", markup=False)
        if len(one.get("differences", ())) > most:
            out.print(f"  {name}: … and {len(one['differences']) - most} more (all of them with --json)", markup=False)
    states = {one["state"] for one in found}
    if states & {"different", "refused"}:
        out.print("next: `referee reconcile --repair` takes over what the systems hold")
    elif states <= {"equal"}:
        out.print("every record that the systems list is here, as they hold it")
