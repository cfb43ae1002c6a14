"""Job: one sync: pull what changed, settle it, plan what to write back, write it.

Every step can be killed and run again: pages land with their cursor, settling is one transaction a program, writes are
journaled before they are tried. One run at a time a connection, by a lease that fences a stale holder off.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

import structlog

from connectors.base import Usage
from connectors.errors import ConnectorError
from jobs.clock import Clock
from jobs.connections import Open
from jobs.hinted import follow_hints
from jobs.leasing import Held
from jobs.mapping_again import map_records_again
from jobs.report.dashboard import lead_rows
from jobs.stored import STORED, Brought, StoredRows, bring_up_to_date
from jobs.stored_pictures import stored_pictures
from rules.program import Program
from sync import mapping_versions, runs
from sync.contained import contained
from sync.delivery import Delivered
from sync.drift import Drift, paused_fields, watch
from sync.links import follow_links
from sync.outbox import Outbox
from sync.plan import Plan, make_plan
from sync.pull import Progress, PullResult, pull
from sync.redirects import follow_redirects, restore_unmerged
from sync.sameness import types_of
from sync.store import Store
from sync.wanted import Wanted
from sync.write_maps import WriteReject, policies_of

if TYPE_CHECKING:
    from jobs.notifying import Notifier, Told

log = structlog.get_logger("referee.sync")


def _nothing(_name: str) -> None:
    """The crash point of everyday runs."""


@dataclass(slots=True)
class Synced:
    """What a sync did. ``failed`` are the reasons why it is not whole; empty: nothing failed."""

    drift: dict[str, Drift] = field(default_factory=dict)
    unmerged: list[str] = field(default_factory=list)
    """What a brake held when merges were taken back."""
    pulled: dict[str, PullResult] = field(default_factory=dict)
    settled: list[Brought] = field(default_factory=list)
    plans: dict[str, Plan] = field(default_factory=dict)
    written: dict[str, list[Delivered]] = field(default_factory=dict)
    failed: list[str] = field(default_factory=list)
    busy: list[str] = field(default_factory=list)
    told: Told | None = None

    @property
    def refused(self) -> list[str]:
        """What brakes held: deletions and emptied fields that were not taken in, and plans."""
        pulled = [f"{name}: {reason}" for name, one in self.pulled.items() for reason in one.refused]
        return (
            pulled
            + self.unmerged
            + [f"{name}: {'; '.join(plan.refused)}" for name, plan in self.plans.items() if not plan.may_run]
        )


def sync(
    store: Store,
    programs: Sequence[Program],
    connections: Sequence[Open],
    clock: Clock,
    *,
    write: bool = True,
    allow: str | None = None,
    progress: Callable[[str, Progress], None] | None = None,
    crashpoint: Callable[[str], None] = _nothing,
    notifier: Notifier | None = None,
    every: Callable[[], Sequence[Open]] | None = None,
) -> Synced:
    """Run once over these connections (``every`` opens all that there are, when they are not all); at the end the ``notifier`` takes in what is new to tell, and sends it with
    ``write``. Raises: ``StoreUnavailable``, ``LeaseLost``; the rest is in the result."""
    result, held = Synced(), Held(store, clock)
    mine = []
    for each in connections:
        lease = held.take(f"connection:{each.name}")
        if lease is None:
            result.busy.append(each.name)
            continue
        mine.append((each, lease))
    try:
        for each, lease in mine:
            _pull(store.under(lease), each, clock, result, held, allow, progress, crashpoint)
        result.unmerged = follow_merges(store, every or (lambda: connections), clock, allow=allow)
        result.settled = settle_stored(store, programs, clock(), step=held.renew)
        crashpoint("after_settle")
        for each, lease in mine:
            if each.mapping.writes and each.settings.write:
                _write_back(store.under(lease), programs, each, clock, result, held, write, allow, crashpoint)
    finally:
        held.release()
    if notifier is not None:
        tell(notifier, result, send=write, crashpoint=crashpoint)
    return result


def tell(notifier: Notifier, result: Synced, *, send: bool, crashpoint: Callable[[str], None] = _nothing) -> None:
    """Take in and send what is to be told; what keeps it from being sent is among what failed."""
    result.told = notifier.run(send=send, crashpoint=crashpoint)
    if result.told.stopped is not None:
        result.failed.append(f"notifications: {result.told.stopped}")


def _pull(
    store: Store,
    each: Open,
    clock: Clock,
    result: Synced,
    held: Held,
    allow: str | None,
    progress: Callable[[str, Progress], None] | None,
    crashpoint: Callable[[str], None],
) -> None:
    def stored(page: Progress) -> None:
        held.renew()
        if progress is not None:
            progress(each.name, page)

    drift = result.drift[each.name] = _watch(store, each, clock)
    run = store.start_run("pull", each.name, at=clock())
    with store.transaction() as db:
        mapping_versions.use(db, each.name, each.mapping, run, clock())
    reserve = each.settings.write_reserve if each.mapping.writes and each.settings.write else 0.0
    with each.budget.keeping(reserve):
        pulled = pull(
            store, each.name, each.connector, each.mapping, now=clock, run_id=run, paused=drift.paused,
            hidden=drift.hidden, limits=each.brakes, allow=allow, progress=stored, crashpoint=crashpoint,
        )  # fmt: skip
    note = pulled.needs_operator or "; ".join(pulled.refused) or (f"let past the brakes by {allow}" if allow else None)
    store.finish_run(run, pulled.state, pulled.counts(), at=clock(), note=note)
    result.pulled[each.name] = pulled
    log.info(
        "pulled",
        connection=each.name,
        state=pulled.state,
        calls=pulled.calls,
        new=pulled.records.new,
        changed=pulled.records.changed,
    )
    for stream in pulled.streams:
        if stream.state == "failed" and not stream.refused:
            result.failed.append(f"{each.name}: {stream.kind}: {stream.why}")
    try:
        follow_hints(store, each, clock, allow=allow)  # what is too young for the reads above
    except ConnectorError as error:
        log.info("hints_not_followed", connection=each.name, code=error.code)


def _watch(store: Store, each: Open, clock: Clock) -> Drift:
    """What changed in how the system describes itself, kept for `referee status`; what is paused stays so meanwhile."""
    try:
        drift = watch(store, each.name, each.connector, each.mapping.objects, each.mapping.writes, at=clock())
    except ConnectorError as error:
        log.info("not_described", connection=each.name, code=error.code)
        return Drift(paused=paused_fields(store, each.name))
    last = store.runs(job="describe", connection=each.name, limit=1)
    if drift.changes or (last and last[0].counts["drift"]):
        run = store.start_run("describe", each.name, at=clock())
        state: runs.State = "partial" if any(change.pauses for change in drift.changes) else "ok"
        store.finish_run(run, state, {"drift": drift.to_plain()}, at=clock())
    for change in drift.changes:
        log.warning("drifted", connection=each.name, object=change.object, field=change.field, kind=change.kind)
    return drift


def follow_merges(
    store: Store, every: Callable[[], Sequence[Open]], clock: Clock, *, allow: str | None = None
) -> list[str]:
    """Facts of any system that name a merged account name its survivor, until the merge is taken back.

    ``every`` opens all connections: records of any of them may then have to be mapped again. Returns what the brake on emptied fields held then, in words: it is tried again the next time.
    """
    now, held = clock(), list[str]()

    def again(records: Mapping[int, set[str]]) -> bool:
        connections = every()
        names = {each.name for each in connections}
        if any(one.connection not in names for one in store.streams() if one.id in records):
            return False  # their mapping is not at hand
        held.extend(map_records_again(store, connections, records, clock, allow=allow))
        log.info("merges_taken_back", records=sum(map(len, records.values())), held=len(held))
        return not held

    restore_unmerged(store, again, at=now)
    with store.transaction() as db:
        moved = follow_links(db, at=now, run_id=0) + follow_redirects(db, at=now, run_id=0)
    if moved:
        log.info("redirects_followed", facts=moved)
    return held


def settle_stored(
    store: Store, programs: Sequence[Program], now: datetime, *, step: Callable[[], None] = lambda: None
) -> list[Brought]:
    """Bring the stored outcome of each program up to date, one transaction each; ``step`` is called before each."""
    brought = []
    for program in programs:
        step()
        with store.transaction() as db:
            done = bring_up_to_date(db, program, now)
        brought.append(done)
        log.info("settled", program=program.id, prospects=done.prospects, entries=done.new_entries)
    return brought


def plan_for(
    store: Store,
    programs: Sequence[Program],
    each: Open,
    now: datetime,
    *,
    allow: str | None = None,
    whole: bool = True,
    step: Callable[[], None] = lambda: None,
) -> Plan:
    """What would be written to one connection now; ``step`` is called between its parts. Raises: ``ConnectorError`` kinds."""
    rejects: list[WriteReject] = []
    with store.reading() as db:
        rows: dict[str, Iterable[dict[str, Any]]] = {name: StoredRows(db, programs, name) for name in STORED}
        if any(part.rows == "leads" for part in each.mapping.writes):
            rows["leads"] = [row for picture in stored_pictures(store, programs, now) for row in lead_rows(picture)]
        wanted = Wanted.of_rows(each.mapping.writes, rows, rejects)
    outbox = Outbox(store)
    frozen = {part.object: part.frozen for part in each.mapping.writes if part.frozen is not None}
    return make_plan(
        wanted, each.connector, outbox.agreed(each.name), connection=each.name, writer=each.connector,
        usage=_usage(each), descriptions=each.descriptions(), limits=each.brakes, parked=outbox.parked(each.name),
        frozen=frozen, rejects=rejects, allow=allow, whole=whole, step=step,
        history=outbox.history(each.name, policies_of(each.mapping.writes), now=now, loops=each.loops),
    )  # fmt: skip


def _usage(each: Open) -> Usage:
    with contained(each.name, "its usage"):
        usage: Usage = each.connector.usage()
    return usage


def _write_back(
    store: Store,
    programs: Sequence[Program],
    each: Open,
    clock: Clock,
    result: Synced,
    held: Held,
    write: bool,
    allow: str | None,
    crashpoint: Callable[[str], None],
    approved: Sequence[str] = (),
) -> None:
    if write and Outbox(store).waits(each.name, unanswered=True):
        _deliver(store, each, clock, result, held, crashpoint, send=False)
    try:
        plan = plan_for(store, programs, each, clock(), allow=allow, step=held.renew)
    except ConnectorError as error:
        result.failed.append(f"{each.name}: plan: {error}")
        return
    plan = plan.if_approved(approved) if approved else plan
    result.plans[each.name] = plan
    if write:
        apply_plan(store, each, plan, clock, result, held, crashpoint)


def apply_all(
    store: Store,
    programs: Sequence[Program],
    connections: Sequence[Open],
    clock: Clock,
    *,
    allow: str | None = None,
    approved: Sequence[str] = (),
) -> Synced:
    """Plan and write without pulling, under each connection's lease; with ``approved``, only plans of these hashes."""
    result = Synced()
    for each in connections:
        held = Held(store, clock)
        lease = held.take(f"connection:{each.name}")
        if lease is None:
            result.busy.append(each.name)
            continue
        try:
            _write_back(store.under(lease), programs, each, clock, result, held, True, allow, _nothing, approved)
        finally:
            held.release()
    return result


def apply_plan(
    store: Store, each: Open, plan: Plan, clock: Clock, result: Synced, held: Held, crashpoint: Callable[[str], None]
) -> None:
    """Keep a plan's writes in the outbox and send what is due. A plan that a brake refuses sends nothing."""
    if plan.may_run:
        Outbox(store, crashpoint=crashpoint).enqueue(plan, at=clock())
        _deliver(store, each, clock, result, held, crashpoint)


def _deliver(
    store: Store,
    each: Open,
    clock: Clock,
    result: Synced,
    held: Held,
    crashpoint: Callable[[str], None],
    *,
    send: bool = True,
) -> None:
    """Settle what an earlier run left without an answer, and (``send``) send what is due."""
    types = {name: types_of(shape) for name, shape in each.descriptions().items()}
    outbox = Outbox(store, crashpoint=crashpoint)
    run = store.start_run("write", each.name, at=clock()) if outbox.waits(each.name) else None
    delivered = outbox.apply(
        each.name, each.connector, each.connector, clock=clock, calls_left=each.calls_left, types=types, run_id=run,
        send=send, fence=held.renew_within,
    )  # fmt: skip
    if run is not None:
        counts = {name: getattr(delivered, name) for name in ("done", "settled", "dead", "waiting", "calls")}
        state: runs.State = (
            "failed" if delivered.stopped else "partial" if delivered.dead or delivered.waiting else "ok"
        )
        store.finish_run(run, state, counts, at=clock(), note=str(delivered.stopped) if delivered.stopped else None)
    result.written.setdefault(each.name, []).append(delivered)
    log.info("written", connection=each.name, done=delivered.done, dead=delivered.dead, waiting=delivered.waiting)
    if delivered.stopped is not None:
        result.failed.append(f"{each.name}: write: {delivered.stopped}")
