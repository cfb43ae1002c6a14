"""What a sync and its plans did, as JSON values and as a short report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import orjson
from rich.markup import escape

from jobs.show import console, show_plan, show_reads, table
from jobs.sync import Synced
from sync.delivery import Delivered
from sync.plan import Plan, way
from sync.store import Store


def sync_report(result: Synced) -> dict[str, Any]:
    """A sync as JSON values."""
    return {
        "pulled": {
            name: {
                "state": pulled.state,
                "calls": pulled.calls,
                **asdict(pulled.records),
                "needs_operator": pulled.needs_operator,
                "read": reads(pulled.counts()),
            }
            for name, pulled in result.pulled.items()
        },
        "drift": {name: drift.to_plain() for name, drift in result.drift.items() if drift.changes},
        "settled": [asdict(one) for one in result.settled],
        "plans": {name: plan.summary() for name, plan in result.plans.items()},
        "written": {name: _written(rounds) for name, rounds in result.written.items()},
        "failed": result.failed,
        "busy": result.busy,
        "refused": result.refused,
        "told": asdict(result.told) if result.told is not None else None,
    }


def reads(counts: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """How each object was read, from the counts of a pull: by pages, or by which jobs; records seen, and API calls."""
    return [
        {
            "object": name,
            "way": way("pages", len(one.get("jobs", ()))),
            "jobs": one.get("jobs", []),
            "pages": one["pages"],
            "records": sum(one["records"][name] for name in ("new", "changed", "unchanged", "deleted", "stale")),
            "calls": one["calls"],
        }
        for name, one in counts.items()
    ]


def last_reads(store: Store, connection: str) -> list[dict[str, Any]]:
    """How each object was read by the last pull that ended; nothing before the first one."""
    runs = [run for run in store.runs(job="pull", connection=connection, limit=2) if run.ended_at is not None]
    return reads(runs[0].counts) if runs else []


def _written(rounds: Sequence[Delivered]) -> dict[str, Any]:
    """What the rounds of one connection did together; what waits is what the last one left."""
    sums = {name: sum(getattr(one, name) for one in rounds) for name in ("done", "settled", "dead", "calls")}
    return {**sums, "waiting": rounds[-1].waiting, "parked": rounds[-1].parked}


def show_sync(result: Synced, *, plan_only: bool = False) -> None:
    """Print what a sync did, what failed, and what to do next."""
    out = console()
    rows = []
    for name, pulled in result.pulled.items():
        seen = pulled.records
        rows.append(
            (name, pulled.state, seen.new, seen.changed, seen.unchanged, seen.deleted, seen.quarantined, pulled.calls)
        )
    if rows:
        columns = ("connection", "state", "new", "changed", "unchanged", "deleted", "refused", "API calls")
        out.print(table("pulled", columns, rows, right=columns[2:]))
    for name, pulled in result.pulled.items():
        show_reads(name, reads(pulled.counts()), out)
    for name, drift in result.drift.items():
        for change in drift.changes:
            what = f"{name}: {change.object}.{change.field}: {change.kind}: {change.found}; {change.means}"
            out.print(f"[yellow]changed there:[/] {escape(what)}")
    for one in result.settled:
        cut = f", {len(one.statements_cut)} statements cut" if one.statements_cut else ""
        out.print(f"settled {one.program}: {one.prospects} prospects, {one.new_entries} new entries{cut}")
    for name, plan in result.plans.items():
        if plan_only or not plan.may_run:
            show_plan(plan.summary(), plan.items, out)
        elif name in result.written:
            done = _written(result.written[name])
            out.print(
                f"wrote to {name}: {done['done'] + done['settled']} records in {done['calls']} API calls; "
                f"{done['dead']} rejected, {done['waiting']} waiting"
            )
    if result.told is not None:
        told = result.told
        out.print(
            f"notifications: {told.new} new, {told.sent} sent in {told.messages} messages, {told.failed} failed, "
            f"{told.skipped} not to be sent"
            + (f"; {told.waiting} waiting" if told.waiting else "")
            + ("; another run is at it" if told.busy else "")
        )
    for name, pulled in result.pulled.items():
        for reason in pulled.refused:
            out.print(f"[red]refused:[/] {name}: {escape(reason)}")
    for reason in result.unmerged:
        out.print(f"[red]refused:[/] {escape(reason)}")
    for name in result.busy:
        out.print(f"[yellow]{name}: another run holds this connection; nothing was done with it[/]")
    for reason in result.failed:
        out.print(f"[red]failed:[/] {escape(reason)}")
    if result.refused:
        out.print("next: look at what was refused; if it is meant, run again with --allow YOUR-NAME")
    elif any(one.dead for rounds in result.written.values() for one in rounds):
        out.print("next: `referee dead-letters list` says what was rejected and why")
    elif result.told is not None and result.told.failed:
        out.print("next: `referee notifications --state failed` says what could not be sent and why")
    elif any(pulled.records.quarantined for pulled in result.pulled.values()):
        out.print("next: `referee status` lists the records that the mapping refused")


def plan_report(plans: Sequence[Plan], store: Store) -> list[Any]:
    """Plans as JSON values, whole, each with how its connection was last read."""
    return [{**orjson.loads(plan.to_json()), "read": last_reads(store, plan.connection)} for plan in plans]


def show_plans(plans: Sequence[Plan], store: Store) -> None:
    """Print plans, how their connections were last read, and what to do next."""
    out = console()
    for plan in plans:
        show_reads(plan.connection, last_reads(store, plan.connection), out)
        show_plan(plan.summary(), plan.items, out)
    if all(plan.empty for plan in plans):
        out.print("nothing to write: every system holds what it should")
    elif all(plan.may_run for plan in plans):
        hashes = "".join(f" --plan {plan.hash[:12]}" for plan in plans if not plan.empty)
        out.print(f"next: `referee apply{hashes}` carries this out, and nothing else", soft_wrap=True)
    else:
        out.print("next: `referee apply --allow YOUR-NAME` carries it out in spite of the brake")
