"""Whole syncs through a proxy that does to requests and answers what networks do: every promise, counted.

python -m pytest -s -m "" tests/faults/test_syncs_through_a_bad_network.py       # -s prints the figures
"""

from __future__ import annotations

import random
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from jobs.config import load_settings
from tests.faults.proxy import TROUBLES, FaultProxy, Trouble, bad_network
from tests.jobs.sync_world import Office, killable, office, write_settings
from tests.jobs.test_sync_faults import standing
from tests.jobs.test_sync_malformed import spoil


def writes(request: bytes) -> bool:
    """Whether a request to Salesforce or NetSuite writes."""
    line = request.partition(b"\r\n")[0]
    return not line.startswith(b"GET ") and not any(part in line for part in (b"/oauth2/", b"/suiteql", b"/composite "))


@contextmanager
def through(
    place: Office, kinds: tuple[Trouble, ...], chance: random.Random, **settings: Any
) -> Iterator[list[FaultProxy]]:
    """Put a proxy in front of both systems; ``settings`` are those of the Salesforce connection."""
    choose = bad_network(kinds, chance, writes)
    crm, erp = place.world.crm, place.world.erp
    ports = [int(system.url.rpartition(":")[2]) for system in (crm, erp)]
    with FaultProxy(ports[0], choose) as one, FaultProxy(ports[1], choose) as other:
        for system, address in ((crm, one.url), (erp, other.url)):
            system.public_url = address
        write_settings(place, settings)
        place.here.settings = load_settings(place.config)
        yield [one, other]
        for proxy, system in ((one, crm), (other, erp)):
            proxy.deliver_late()
            system.public_url = None
    write_settings(place, settings)
    place.here.settings = load_settings(place.config)


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What stands after the same story without any trouble."""
    with office(tmp_path_factory.mktemp("calm")) as place:
        place.morning(24)
        assert place.sync().failed == []
        return standing(place)


def violations(place: Office, calm: dict[str, Any]) -> Counter[str]:
    """What of our promises does not hold after a run, counted."""
    found = standing(place)
    broken = Counter({f"{name} differ from the calm run": found[name] != calm[name] for name in calm})
    for system in (place.world.crm, place.world.erp):
        broken["records made twice"] += sum(count - 1 for count in system.journal.count_by_key().values())
    broken["records refused"] += len(place.here.store.quarantine())
    broken["writes left waiting"] += place.waiting()
    before = sum(len(system.journal.writes()) for system in (place.world.crm, place.world.erp))
    for _ in range(2):
        place.later(minutes=30)
        broken["syncs that fail on a good network"] += len(place.sync().failed)
    broken["writes that our own writes start"] += (
        sum(len(system.journal.writes()) for system in (place.world.crm, place.world.erp)) - before
    )
    return +broken


RUNS: list[tuple[tuple[Trouble, ...], int]] = [(("lose",), 1), (("late",), 1), (TROUBLES, 1)]
LONG: list[tuple[tuple[Trouble, ...], int]] = [((kind,), 1) for kind in TROUBLES if ((kind,), 1) not in RUNS]
SOAK: list[tuple[tuple[Trouble, ...], int]] = [
    *(((kind,), seed) for kind in TROUBLES for seed in (2, 3)),
    *((TROUBLES, seed) for seed in range(2, 9)),
]


@pytest.mark.parametrize(
    ("kinds", "seed"),
    [
        *RUNS,
        *(pytest.param(*run, marks=pytest.mark.slow) for run in LONG),
        *(pytest.param(*run, marks=pytest.mark.soak) for run in SOAK),
    ],
    ids=lambda value: ("all" if len(value) > 1 else value[0]) if isinstance(value, tuple) else str(value),
)
def test_a_sync_over_a_bad_network_ends_as_over_a_good_one(
    tmp_path: Path, calm: dict[str, Any], kinds: tuple[Trouble, ...], seed: int
) -> None:
    end_as_over_a_good_network(tmp_path, calm, kinds, seed)


@pytest.mark.parametrize("seed", [1, *(pytest.param(seed, marks=pytest.mark.soak) for seed in (2, 3))])
def test_jobs_of_salesforce_over_a_bad_network_end_as_calls_over_a_good_one(
    tmp_path: Path, calm: dict[str, Any], seed: int
) -> None:
    place = end_as_over_a_good_network(tmp_path, calm, TROUBLES, seed, bulk_read_rows=0, bulk_write_rows=0)
    assert {job.lane for job in place.world.crm.jobs.made} == {"query", "ingest"}


def end_as_over_a_good_network(
    folder: Path, calm: dict[str, Any], kinds: tuple[Trouble, ...], seed: int, **settings: Any
) -> Office:
    """Sync over a network with these troubles until nothing waits; what came of it must be that of the calm day."""
    with office(folder, **settings) as place:
        place.world.crm.pages.shrink_to = 2 if settings else None
        place.morning(24)
        syncs = 0
        with through(place, kinds, random.Random(seed), **settings) as proxies:
            whole, settled = False, 0
            while not whole:
                syncs += 1
                ran = place.sync()
                settled += sum(each.settled for some in ran.written.values() for each in some)
                whole = ran.failed == [] and place.waiting() == 0
                assert whole or syncs < 20, "never whole"
                place.later(minutes=15)
            hit = sum((proxy.hit for proxy in proxies), Counter())
        place.later(minutes=30)
        assert place.sync().failed == []
        broken = violations(place, calm)
    requests, trouble = hit.total(), hit.total() - hit["none"]
    name = "all kinds" if len(kinds) > 1 else kinds[0]
    print(
        f"\n{name}, seed {seed}: {trouble} of {requests} requests in trouble, {settled} writes settled by reading back, "
        f"{syncs} syncs, {broken.total()} violations"
    )
    assert trouble > 0
    assert broken == {}
    return place


def everything_happens(place: Office, sync: Callable[[], None]) -> None:
    """Weeks in which a record is spoiled and later mended, and a person edits what we push."""
    crm = place.world.crm
    place.morning(12)
    sync()
    place.world.refer("spoiled.example", "Northline", "Spoiled Pty Ltd", "https://spoiled.example")
    spoiled = place.world.ids["spoiled.example"]
    spoil(place, spoiled, {"Company": ["a", "list"]})
    place.morning(24)
    sync()
    assert len(place.here.store.quarantine()) == 1
    lead = place.world.ids["lead Harbour by Northline"]
    crm.update("Lead", lead, {"Referral_Status__c": "withdrawn"})
    place.later(minutes=30)
    sync()
    crm.update("Lead", spoiled, {"Company": "Spoiled Pty Ltd"})
    place.later(minutes=30)
    sync()


@pytest.mark.slow
@pytest.mark.parametrize("seed", [11, *(pytest.param(seed, marks=pytest.mark.soak) for seed in range(12, 16))])
def test_bad_records_edits_and_killed_processes_over_a_bad_network_end_as_on_a_calm_day(
    tmp_path: Path, seed: int
) -> None:
    chance, killed, ran = random.Random(seed), 0, 0
    with office(tmp_path / "calm") as calm, office(tmp_path / "bad") as place, killable() as child:

        def once() -> None:
            assert calm.sync().failed == []

        def until_whole() -> None:
            """Processes that are killed at some step, then one after the other until nothing waits."""
            nonlocal killed, ran
            for point in chance.sample(("after_settle", "after_enqueue", "before_send", "after_send"), 2):
                child.start(place, point)
                killed += child.status() == -signal.SIGKILL
            for _ in range(20):
                ran += 1
                if place.sync().failed == [] and place.waiting() == 0:
                    return
            raise AssertionError("never whole")

        everything_happens(calm, once)
        with through(place, TROUBLES, chance) as proxies:
            everything_happens(place, until_whole)
            hit = sum((proxy.hit for proxy in proxies), Counter())
        broken = violations(place, standing(calm))
        assert place.here.store.quarantine() == calm.here.store.quarantine() == []
    print(
        f"\neverything, seed {seed}: {hit.total() - hit['none']} of {hit.total()} requests in trouble, {killed} processes "
        f"killed, {ran} syncs, {broken.total()} violations"
    )
    assert killed > 0
    assert broken == {}
