"""One holder at a time, also when the holder sleeps past the end of its lease, or two processes reach for it at once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from sync.leases import LeaseLost
from sync.store import Store

ROOT = Path(__file__).parents[2]
T0 = datetime(2026, 1, 1, tzinfo=UTC)
PARTNER = {"type": "partner", "id": "P", "name": "the stale holder"}


def after(seconds: float) -> datetime:
    return T0 + timedelta(seconds=seconds)


def test_a_held_lease_is_nobody_elses_until_it_ends(store: Store) -> None:
    first = store.acquire("pull:crm", "a", now=T0, for_seconds=60)
    assert first is not None
    assert store.acquire("pull:crm", "b", now=after(59), for_seconds=60) is None
    assert store.acquire("pull:erp", "b", now=after(1), for_seconds=60) is not None
    second = store.acquire("pull:crm", "b", now=after(60), for_seconds=60)
    assert second is not None and second.token > first.token


def test_renewing_and_giving_back(store: Store) -> None:
    lease = store.acquire("pull:crm", "a", now=T0, for_seconds=60)
    assert lease is not None
    lease = store.renew(lease, now=after(50), for_seconds=60)
    assert store.acquire("pull:crm", "b", now=after(100), for_seconds=60) is None
    store.release(lease)
    assert store.acquire("pull:crm", "b", now=after(101), for_seconds=60) is not None
    with pytest.raises(LeaseLost):
        store.renew(lease, now=after(102), for_seconds=60)


def test_stale_holder_gives_nothing_back_and_writes_nothing(store: Store) -> None:
    stale = store.acquire("pull:crm", "a", now=T0, for_seconds=1)
    assert stale is not None
    store.acquire("pull:crm", "b", now=after(2), for_seconds=60)
    store.release(stale)
    assert store.acquire("pull:crm", "c", now=after(3), for_seconds=60) is None
    with pytest.raises(LeaseLost):
        store.under(stale).put_facts([PARTNER], known_at=T0, run_id=1)
    assert list(store.facts()) == []


HOLDER = """
import sys
from datetime import UTC, datetime
from sync.leases import LeaseLost
from sync.store import Store

store = Store.open(sys.argv[1])
lease = store.acquire("pull:crm", "child", now=datetime(2026, 1, 1, tzinfo=UTC), for_seconds=60)
print("held" if lease else "refused", flush=True)
sys.stdin.readline()
try:
    store.under(lease).put_facts([{"type": "partner", "id": "P"}], known_at=datetime.now(UTC), run_id=1)
    print("wrote", flush=True)
except LeaseLost:
    print("fenced", flush=True)
"""


def holder(url: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", HOLDER, url],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def test_stopped_holder_is_fenced_when_it_wakes(store: Store, store_url: str) -> None:
    with holder(store_url) as child:
        assert child.stdin and child.stdout
        assert child.stdout.readline() == "held\n"
        os.kill(child.pid, signal.SIGSTOP)
        taken = store.acquire("pull:crm", "parent", now=after(61), for_seconds=60)
        assert taken is not None
        os.kill(child.pid, signal.SIGCONT)
        child.stdin.write("go on\n")
        child.stdin.flush()
        assert child.stdout.readline() == "fenced\n"
    assert list(store.facts()) == []
    store.under(taken).put_facts([PARTNER], known_at=T0, run_id=1)
    assert len(list(store.facts())) == 1


def test_of_processes_that_reach_at_once_one_holds(store_url: str) -> None:
    children = [holder(store_url) for _ in range(3)]
    answers = [child.communicate("go on\n")[0].splitlines()[0] for child in children]
    assert sorted(answers) == ["held", "refused", "refused"]
