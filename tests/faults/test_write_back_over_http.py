"""Write-back over real connections: answers lost, requests dropped, the process killed while a request is under way."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.http import RetryPolicy
from connectors.salesforce.config import SalesforceConfig
from connectors.salesforce.connector import SalesforceConnector, connect
from connectors.simulation import Fault, Faults, SimRequest
from sync.delivery import Pace
from sync.outbox import Outbox
from sync.plan import Plan, make_plan
from sync.store import Store
from sync.write_maps import Desired
from tests.connectors.salesforce_org import CLIENT, Org, running
from tests.sync.empty_store import empty_store

ROOT = Path(__file__).parents[2]
NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
FIELDS = {"State__c": "accrued", "Due_On__c": "2026-04-01"}
ROWS = [
    Desired("Commission__c", "Sync_Key__c", f"np|{n}/a.b", {"Amount__c": f"{n}.50", **FIELDS}, f"P{n % 3}", "3 % of it")
    for n in range(9)
]


def connected(url: str) -> SalesforceConnector:
    config = SalesforceConfig.model_validate({"url": url, "allow_loopback": True, "write_size": 3, **CLIENT})
    policy = RetryPolicy(attempts=2, total_seconds=5, first_wait_seconds=0)
    return connect(config, policy=policy, sleep=lambda seconds: None)


def planned(outbox: Outbox, connector: SalesforceConnector) -> Plan:
    return make_plan(
        ROWS, connector, outbox.agreed("crm"), connection="crm", writer=connector, usage=connector.usage(),
        descriptions={"Commission__c": connector.describe("Commission__c")}, parked=outbox.parked("crm"),
    )  # fmt: skip


def write_back(store: Store, url: str, now: datetime = NOW) -> None:
    connector, outbox, pace = connected(url), Outbox(store), Pace(rows_at_once=3)
    if outbox.apply("crm", connector, connector, clock=lambda: now, pace=pace).stopped is None:
        outbox.enqueue(planned(outbox, connector), at=now)
        outbox.apply("crm", connector, connector, clock=lambda: now, pace=pace)


def assert_written_once(org: Org, store: Store) -> None:
    assert set(org.journal.count_by_key().values()) == {1}
    held = {row["Sync_Key__c"]: (row["Amount__c"], row["State__c"]) for row in org.all_rows("Commission__c")}
    assert held == {row.key: (Decimal(row.fields["Amount__c"]), "accrued") for row in ROWS}
    # The connection itself may send an upsert again; that must not have changed anything.
    effects = {(write.key, *sorted(map(str, write.fields.items()))) for write in org.journal.writes("Commission__c")}
    assert len(effects) == len(ROWS)
    assert planned(Outbox(store), connected(org.url)).empty


def writes(request: SimRequest) -> bool:
    return request.method != "GET" and "/sobjects" in request.path


@pytest.mark.parametrize("nth", [1, 2, 3])
@pytest.mark.parametrize("kind", ["lose_answer", "drop"])
def test_a_process_killed_while_a_request_is_under_way(tmp_path: Path, nth: int, kind: str) -> None:
    url = empty_store(tmp_path / "referee.db")
    store = Store.open(url)
    with running() as org:
        child = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.test_write_back_over_http", url, org.url], cwd=ROOT
        )

        def kills(request: SimRequest) -> bool:
            if writes(request):
                os.kill(child.pid, signal.SIGKILL)
            return writes(request)

        passing = 0

        def nth_write(request: SimRequest) -> bool:
            nonlocal passing
            passing += writes(request)
            return passing == nth and kills(request)

        org.faults.add(Fault(nth_write, kind="lose_answer" if kind == "lose_answer" else "drop"))
        assert child.wait(timeout=120) == -signal.SIGKILL
        write_back(store, org.url)
        assert_written_once(org, store)
        assert len(org.journal.writes("Commission__c")) == len(ROWS)
    store.close()


@settings(max_examples=12)
@given(st.lists(st.sampled_from(["lose_answer", "drop", "busy", "truncate"]), max_size=6), st.integers(0, 3))
def test_any_storm_ends_with_everything_written_once(faults: list[str], after: int) -> None:
    with tempfile.TemporaryDirectory() as place, running() as org:
        store = Store.open(empty_store(Path(place) / "referee.db"))
        for name in faults:
            org.faults.add(
                {
                    "lose_answer": Faults.lose_answer(1, writes, after=after),
                    "drop": Faults.drop(1, writes, after=after),
                    "truncate": Faults.truncate(1, writes, after=after),
                    "busy": Faults.status(503, times=1, match=writes, after=after),
                }[name]
            )
        for hour in range(10):
            write_back(store, org.url, NOW + timedelta(hours=hour))
        assert_written_once(org, store)
        store.close()


if __name__ == "__main__":
    opened = Store.open(sys.argv[1])
    write_back(opened, sys.argv[2])
