"""A process that writes back is killed with SIGKILL at each step; the next one finishes, and nothing is written twice."""

from __future__ import annotations

import os
import signal
from datetime import UTC, datetime
from pathlib import Path

import pytest

from connectors.base import Change
from sync.delivery import Delivered, Pace, nothing_happens
from sync.outbox import Outbox
from sync.plan import make_plan
from sync.store import Store
from sync.write_maps import Desired
from tests.sync.filed_system import Fault, FiledSystem
from tests.sync.processes import ended

STEPS = ("after_enqueue", "before_send", "after_send", "before_ack_commit", "after_ack_commit")
ROWS = [Desired("Commission__c", "Key__c", f"k{n}", {"Amount__c": f"{n}.50"}, f"P{n % 2}", "") for n in range(7)]
NOW = datetime(2026, 3, 1, tzinfo=UTC)


def write_back(url: str, journal: str, kill_at: str = "", nth: int = 1) -> Delivered:
    """One run, as a job does it: settle and send what an earlier run left, plan, enqueue, send."""
    seen = 0

    def crashpoint(step: str) -> None:
        nonlocal seen
        seen += step == kill_at
        if step == kill_at and seen == nth:
            os.kill(os.getpid(), signal.SIGKILL)

    def fault(change: Change) -> Fault:
        return "lost" if change.key in ("k3", "k4") and change.key not in journaled else None

    store, system = Store.open(url), FiledSystem(Path(journal), fault)
    journaled = {line["key"] for line in system.journal}
    outbox = Outbox(store, crashpoint=crashpoint if kill_at else nothing_happens)
    pace = Pace(rows_at_once=3)
    outbox.apply("crm", system, system, clock=lambda: NOW, pace=pace)
    plan = make_plan(ROWS, system, outbox.agreed("crm"), connection="crm", writer=system)
    outbox.enqueue(plan, at=NOW)
    delivered = outbox.apply("crm", system, system, clock=lambda: NOW, pace=pace)
    store.close()
    return delivered


@pytest.mark.parametrize("step", STEPS)
def test_a_killed_process_is_finished_by_the_next(store_url: str, tmp_path: Path, step: str) -> None:
    journal = str(tmp_path / "journal")
    nth = 1 if step == "after_enqueue" else 2
    assert ended(write_back, store_url, journal, step, nth) == -signal.SIGKILL
    assert write_back(store_url, journal).waiting == 0
    system = FiledSystem(Path(journal))
    assert sorted(system.created()) == [("Commission__c", row.key) for row in ROWS]
    assert len(system.journal) == len(ROWS) and system.repeated == []
    store = Store.open(store_url)
    rest = make_plan(ROWS, system, Outbox(store).agreed("crm"), connection="crm", writer=system)
    assert rest.empty and Outbox(store).counts("crm") == {"done": len(ROWS)}
    store.close()
