"""Whole syncs that read and write Salesforce by jobs (Bulk API 2.0) end as those by calls do, killed anywhere or not."""

from __future__ import annotations

import os
import signal
from collections import Counter
from pathlib import Path

import pytest

from connectors.simulation import Fault, SimRequest
from tests.jobs.sync_world import Killable, Office, differences, office

BY_JOBS = {"bulk_read_rows": 0, "bulk_write_rows": 0}
DAYS = (1, 20, 24, 31, 48)
READING = ["POST /jobs/query", "GET /jobs/query/", "GET /results", "after_fetch", "after_commit"]
WRITING = [
    "PUT /batches", "after_job_noted", "PATCH /jobs/ingest/", "GET /jobs/ingest/", "GET /successfulResults",
    "POST /jobs/ingest", "after_send", "before_ack_commit",
]  # fmt: skip
"""Where processes die, day by day: with a request under way (its answer is lost), or at a crash point."""


def small(place: Office) -> Office:
    """Pages and parts so small that a few records take several."""
    place.world.crm.pages.shrink_to, place.world.crm.jobs.largest_part = 2, 3
    return place


def lanes(place: Office) -> Counter[str]:
    return Counter(job.lane for job in place.world.crm.jobs.made)


def settle(*places: Office) -> None:
    """Sync until nothing waits."""
    for place in places:
        assert place.sync().failed == []
    while any(place.waiting() for place in places):
        for place in places:
            place.later(minutes=1)
            assert place.sync().failed == []


def test_days_by_jobs_end_as_days_by_calls(tmp_path: Path) -> None:
    with office(tmp_path / "calls") as calls, office(tmp_path / "jobs", **BY_JOBS) as jobs:
        for day in (1, 24, 40):
            for place in (small(calls), small(jobs)):
                place.morning(day)
            settle(calls, jobs)
            if wrong := differences(jobs.dump(), calls.dump()):
                pytest.fail(f"day {day}:\n{wrong}")
        assert jobs.journals() == calls.journals() and jobs.doubled() == 0
        assert lanes(calls) == {} and all(lanes(jobs)[lane] > 2 for lane in ("query", "ingest"))


def test_the_plan_says_what_goes_by_a_job(tmp_path: Path, child: Killable) -> None:
    with office(tmp_path, **{**BY_JOBS, "bulk_write_rows": 2}) as place:
        place.morning(24)
        ran = child.referee(place, "sync", "--plan-only", "--json")
        costs = {cost["object"]: cost for cost in ran.json["plans"]["crm"]["costs"]}
        assert {cost["way"] for cost in costs.values()} == {"1 bulk job"}
        assert ran.json["plans"]["crm"]["calls"] == sum(cost["calls"] for cost in costs.values())
        assert {cost["way"] for cost in ran.json["plans"]["erp"]["costs"]} == {"calls"}
        shown, told = child.referee(place, "plan").out, costs["Lead"]
        assert f"Lead: {told['rows']} records by 1 bulk job: {told['calls']} API calls" in shown
        assert [cost["way"] for cost in child.referee(place, "plan", "--json").json[0]["costs"]]


def test_how_each_object_was_read_is_told_with_its_jobs_records_and_calls(tmp_path: Path, child: Killable) -> None:
    with office(tmp_path, bulk_read_rows=5) as place:
        small(place).morning(24)
        ran = child.referee(place, "sync", "--plan-only", "--json")
        read = {one["object"]: one for one in ran.json["pulled"]["crm"]["read"]}
        made = {job.id for job in place.world.crm.jobs.made}
        assert {job for one in read.values() for job in one["jobs"]} == made != set()
        account, case = read["Account"], read["Case"]
        assert (account["way"], account["records"]) == ("1 bulk job", len(place.world.crm.all_rows("Account")))
        assert (case["way"], case["jobs"], case["records"], case["calls"]) == ("pages", [], 0, 1)
        assert sum(one["calls"] for one in read.values()) == ran.json["pulled"]["crm"]["calls"]
        shown = child.referee(place, "plan").out
        assert f"read crm Account: {account['records']} records by 1 bulk job {account['jobs'][0]}: " in shown
        assert child.referee(place, "plan", "--json").json[0]["read"] == ran.json["pulled"]["crm"]["read"]
        place.later(hours=1)
        shown = child.referee(place, "sync", "--plan-only").out
        assert "read crm: nothing new in " in shown and "bulk job 7" not in shown


def kill(way: str, child: Killable, place: Office) -> bool:
    """Let one process sync the place and die in this way; false when it came through."""
    method, _, path = way.partition(" ")
    if not path:
        return child.run(place, way)
    child.start(place)

    def kills(request: SimRequest) -> bool:
        hit = request.method == method and path in request.path
        if hit:
            os.kill(child.pid, signal.SIGKILL)
        return hit

    place.world.crm.faults.add(Fault(kills, kind="lose_answer"))
    killed = child.wait()
    place.world.crm.faults.clear()
    return killed


def test_a_kill_anywhere_in_a_job_doubles_and_loses_nothing(tmp_path: Path, child: Killable) -> None:
    deaths = Counter[str]()
    with office(tmp_path / "whole") as whole, office(tmp_path / "killed", **BY_JOBS) as killed:
        reading, writing = list(READING), list(WRITING)
        for day in DAYS:
            for place in (small(whole), small(killed)):
                place.morning(day)
            for way in (reading.pop(0), *writing[:2]):
                deaths[way] += kill(way, child, killed)
            del writing[:2]
            settle(whole, killed)
            if wrong := differences(killed.dump(), whole.dump()):
                pytest.fail(f"day {day}:\n{wrong}")
        assert killed.journals() == whole.journals() and killed.doubled() == 0
    print(f"survived {deaths.total()} kills: {dict(deaths)}; jobs: {dict(lanes(killed))}")
    assert all(deaths[way] for way in (*READING, *WRITING)), deaths
