"""Writing by jobs (Bulk API 2.0): chosen by size, one outcome a record, nothing doubled or lost at any step."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.base import Change, JobWriter, Written
from connectors.errors import RetryLater
from connectors.http import RetryPolicy
from connectors.salesforce import ingest_jobs
from connectors.salesforce.connector import SalesforceConnector
from connectors.salesforce.jobs import USUAL_POLLS
from connectors.salesforce.simulator.schema import long_text
from connectors.simulation import Faults, SimRequest
from tests.connectors.salesforce_org import Org, running

KIND, KEY = "Commission__c", "Sync_Key__c"
STEPS: dict[str, Callable[[SimRequest], bool]] = {
    "make": lambda r: r.method == "POST" and r.path.endswith("/jobs/ingest"),
    "upload": lambda r: r.method == "PUT",
    "begin": lambda r: r.method == "PATCH" and "/jobs/" in r.path,
    "ask": lambda r: r.method == "GET" and "/jobs/ingest/" in r.path and r.path.count("/") == 6,
    "read": lambda r: r.path.endswith("/successfulResults"),
}


def change(number: int, **fields: Any) -> Change:
    return Change(KIND, KEY, f"k{number}", {"Amount__c": Decimal(f"{number}.50"), **fields}, f"P{number % 3}")


def by_jobs(org: Org, **more: Any) -> SalesforceConnector:
    return org.connect(**{"bulk_write_rows": 4, "write_size": 3, **more})


def held(org: Org) -> dict[str, Any]:
    return {row[KEY]: row for row in org.all_rows(KIND)}


def states(results: list[Written]) -> list[str]:
    return [result.state for result in results]


def test_many_records_of_one_object_go_as_a_job_and_few_by_calls() -> None:
    with running() as org:
        connector = by_jobs(org)
        assert isinstance(connector, JobWriter)
        org.jobs.polls = USUAL_POLLS - 1
        for count, jobs in ((3, 0), (4, 1), (9, 1)):
            changes = [change(number) for number in range(count)]
            assert connector.jobs_for(changes) == jobs
            connector.usage()
            foreseen, before = connector.write_calls(changes), org.requests_used
            assert states(connector.write(changes)) == ["done"] * count
            assert org.requests_used - before == foreseen == (8 if jobs else 1)
        assert len(org.jobs.made) == 2


def test_each_record_has_its_own_outcome() -> None:
    with running() as org:
        connector = by_jobs(org)
        connector.write([change(0)])
        changes = [change(number) for number in range(6)]
        changes[2] = change(2, Kind__c="no such kind")
        changes[4] = change(4, Partner__c="001Hs00000000ZZIAA")
        results = connector.write(changes)
        assert states(results) == ["done", "done", "rejected", "done", "rejected", "done"]
        assert [result.created for result in results[:2]] == [False, True]
        assert results[0].external_id == held(org)["k0"]["Id"]
        assert results[2].code == "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST" and "Kind__c" in str(results[2].message)
        assert results[4].code == "MALFORMED_ID"
        assert len(org.jobs.made) == 1


def test_what_is_cleared_what_is_left_and_what_csv_cannot_say() -> None:
    with running() as org:
        connector = by_jobs(org)
        whole = {
            "Because__c": 'say "so",\r\nthen\nleave',
            "Earned_On__c": date(2026, 3, 1),
            "Rate__c": Decimal("0.125000"),
        }
        assert states(connector.write([change(number, **whole) for number in range(5)])) == ["done"] * 5
        assert held(org)["k1"]["Because__c"] == whole["Because__c"] and held(org)["k1"]["Rate__c"] == Decimal("0.125")
        changes = [
            change(0, Because__c=None), change(1, Because__c=""), change(2, Because__c="#N/A"), change(3),
            Change(KIND, KEY, "k4", {"Earned_On__c": date(2026, 3, 2)}),
        ]  # fmt: skip
        assert states(connector.write(changes)) == ["done"] * 5
        rows = held(org)
        assert [rows[f"k{n}"].get("Because__c") for n in range(4)] == [None, None, "#N/A", whole["Because__c"]]
        assert rows["k4"]["Earned_On__c"] == "2026-03-02" and rows["k4"]["Amount__c"] == Decimal("4.50")


def test_texts_longer_than_an_upload_takes_go_by_calls() -> None:
    with running() as org:
        for name in ("One__c", "Two__c"):
            org.add_field(KIND, long_text(name, 131_072))
        changes = [change(number) for number in range(4)]
        changes += [
            change(4, One__c="x" * 32_000),
            change(5, One__c="x" * 32_001),
            change(6, One__c="\U0001f600" * 16_001),
        ]
        assert states(by_jobs(org).write(changes)) == ["done"] * 7
        assert len(org.jobs.made) == 1 and len(org.jobs.made[0].done) == 5
        assert {key: len(row["One__c"]) for key, row in held(org).items() if "One__c" in row} == {
            "k4": 32_000, "k5": 32_001, "k6": 16_001,
        }  # fmt: skip


def test_records_longer_than_an_upload_takes_go_by_calls() -> None:
    with running() as org:
        texts = {f"Text{number:02}__c": "x" * 31_000 for number in range(13)}
        for name in texts:
            org.add_field(KIND, long_text(name, 131_072))
        changes = [*(change(number) for number in range(4)), change(4, **texts)]
        assert states(by_jobs(org).write(changes)) == ["done"] * 5
        assert len(org.jobs.made) == 1 and len(org.jobs.made[0].done) == 4
        assert held(org)["k4"].keys() >= texts.keys()


def test_updates_by_id_go_as_a_job_too() -> None:
    with running() as org:
        leads = [org.insert("Lead", {"LastName": f"Lee {n}", "Company": "Lee"}) for n in range(5)]
        when = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
        org.convert_lead(leads[1])
        results = by_jobs(org).write(
            [Change("Lead", None, one, {"Referral_Rank__c": 2, "Referral_Submitted_At__c": when}) for one in leads]
        )
        assert states(results) == ["done", "rejected", "done", "done", "done"]
        assert results[1].code == "CANNOT_UPDATE_CONVERTED_LEAD" and len(org.jobs.made) == 1
        row = org.get("Lead", leads[0])
        assert row and (row["Referral_Rank__c"], row["Referral_Submitted_At__c"][:19]) == (2, "2026-03-02T09:30:00")


@pytest.mark.parametrize("settings", [{"save_duplicates": True}, {"auto_assign": True}, {"bulk_write_rows": None}])
def test_what_a_job_would_not_honour_goes_by_calls(settings: dict[str, Any]) -> None:
    with running() as org:
        leads = [org.insert("Lead", {"LastName": "Lee", "Company": "Lee"}) for _ in range(5)]
        connector = by_jobs(org, **settings)
        changes = [Change("Lead", None, one, {"Referral_Rank__c": 1}) for one in leads]
        assert connector.jobs_for(changes) == 0 and states(connector.write(changes)) == ["done"] * 5
        assert org.jobs.made == []


def test_an_unknown_column_rejects_only_the_records_that_have_it() -> None:
    with running() as org:
        changes = [change(number) for number in range(5)]
        changes[3] = change(3, Nothing__c="x")
        results = by_jobs(org).write(changes)
        assert states(results) == ["done", "done", "done", "rejected", "done"] and results[3].code == "INVALID_FIELD"
        assert org.jobs.made[0].state == "Failed" and len(held(org)) == 4


def test_a_job_that_is_refused_leaves_the_writing_to_calls() -> None:
    with running() as org:
        org.faults.add(org.error(400, "LIMIT_EXCEEDED", "no more jobs today", match=STEPS["make"]))
        assert states(by_jobs(org).write([change(number) for number in range(5)])) == ["done"] * 5
        assert org.jobs.made == [] and len(held(org)) == 5


def test_a_job_that_ends_half_way_leaves_the_rest_to_the_next_one() -> None:
    with running() as org:
        org.jobs.fail_with, org.jobs.stops_after = ["InternalServerError : retries exhausted"], 4
        changes = [change(number) for number in range(7)]
        results = by_jobs(org).write(changes)
        assert sorted(states(results)) == ["done"] * 4 + ["retry"] * 3
        rest = [one for one, result in zip(changes, results, strict=True) if result.state == "retry"]
        assert states(by_jobs(org).write(rest)) == ["done"] * 3
        assert set(org.journal.count_by_key().values()) == {1} and len(held(org)) == 7


def test_a_job_that_never_ends_is_ended() -> None:
    with running() as org:
        org.jobs.polls, org.jobs.stops_after = None, 2
        results = by_jobs(org, bulk_write_wait_seconds=20).write([change(number) for number in range(5)])
        assert sorted(states(results)) == ["done", "done", "retry", "retry", "retry"]
        assert org.jobs.made[0].state == "Aborted" and sum(org.waits) < 60


def test_a_job_that_ends_while_it_is_ended_is_told_as_it_is() -> None:
    """No document gives the code of that refusal."""
    with running() as org:
        org.jobs.polls = 2
        ended = org.error(400, "API_ERROR", "Aborting already Completed Job not allowed", match=STEPS["begin"], after=1)
        org.faults.add(ended)
        results = by_jobs(org, bulk_write_wait_seconds=2).write([change(number) for number in range(5)])
        assert states(results) == ["done"] * 5 and org.jobs.made[0].state == "JobComplete"


def test_an_upload_is_cut_into_jobs_that_salesforce_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ingest_jobs, "MOST_BYTES", 120)
    with running() as org:
        org.jobs.most_bytes, org.jobs.polls = 120, USUAL_POLLS - 1
        changes = [change(number, Because__c="because " * 3) for number in range(8)]
        connector = by_jobs(org)
        connector.usage()
        foreseen, before = connector.write_calls(changes), org.requests_used
        assert states(connector.write(changes)) == ["done"] * 8
        assert len(org.jobs.made) == connector.jobs_for(changes) > 2
        assert org.requests_used - before == foreseen


def test_rows_that_race_with_another_program_are_sent_once_more() -> None:
    with running() as org:
        org.rules.locked["k2"] = 1
        results = by_jobs(org).write([change(number) for number in range(5)])
        assert states(results) == ["done", "done", "retry", "done", "done"] and results[2].code == "UNABLE_TO_LOCK_ROW"


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("trouble", ["lost", "dropped", 503, "lost for good"])
def test_an_answer_lost_at_any_step_doubles_and_loses_nothing(step: str, trouble: str | int) -> None:
    with running() as org:
        hit = STEPS[step]
        if isinstance(trouble, int):
            org.faults.add(Faults.status(trouble, match=hit))
        else:
            org.faults.add((Faults.drop if trouble == "dropped" else Faults.lose_answer)(
                None if trouble == "lost for good" else 1, hit))  # fmt: skip
        changes = [change(number) for number in range(5)]
        noted: dict[str, list[int]] = {}
        connector = by_jobs(org, policy=RetryPolicy(attempts=2, first_wait_seconds=0))
        try:
            results = connector.write(changes, started=lambda job, places: noted.update({job: list(places)}))
        except RetryLater:
            results = [Written(one.key, "unknown" if noted else "retry") for one in changes]
        there = held(org)
        for one, result in zip(changes, results, strict=True):
            assert result.state != "rejected"
            assert result.state == "unknown" or (result.state == "done") == (one.key in there), result
        org.faults.clear()
        if "unknown" in states(results):
            job, places = noted.popitem()
            some = [changes[place] for place in places]
            again = connector.job_results(job, some)
            assert {one.key for one, result in zip(some, again, strict=True) if result.state == "done"} == set(
                held(org)
            )
        assert states(connector.write(changes)) == ["done"] * 5
        assert set(org.journal.count_by_key().values()) == {1} and len(held(org)) == 5


def test_a_job_that_is_gone_tells_nothing() -> None:
    with running() as org:
        assert states(by_jobs(org).job_results("750Hs0000000009IAA", [change(1)])) == ["unknown"]


def test_a_job_that_never_began_is_ended_and_carried_out_nothing() -> None:
    with running() as org:
        org.faults.add(Faults.drop(None, STEPS["begin"]))
        connector, noted = by_jobs(org, policy=RetryPolicy(attempts=1)), list[str]()
        changes = [change(number) for number in range(5)]
        connector.write(changes, started=lambda job, places: noted.append(job))
        org.faults.clear()
        assert states(connector.job_results(noted[0], changes)) == ["retry"] * 5
        assert org.jobs.made[0].state == "Aborted" and held(org) == {}


VALUES = st.fixed_dictionaries(
    {},
    optional={
        "Amount__c": st.none() | st.decimals(-(10**9), 10**9, places=2),
        "Because__c": st.none() | st.text(st.characters(exclude_categories=["Cs"]), max_size=30) | st.sampled_from(["#N/A", '"', "\r\n", ","]),
        "Earned_On__c": st.none() | st.dates(),
        "State__c": st.none() | st.sampled_from(["accrued", "paid", "no such state"]),
        "Rate__c": st.none() | st.decimals(0, 1, places=6),
    },
)  # fmt: skip


@settings(max_examples=25)
@given(st.lists(st.lists(VALUES, min_size=4, max_size=7), min_size=1, max_size=3))
def test_jobs_and_calls_leave_the_same_behind(writes: list[list[dict[str, Any]]]) -> None:
    with running() as one, running() as other:
        jobs, calls = by_jobs(one), by_jobs(other, bulk_write_rows=None)
        for fields in writes:
            changes = [Change(KIND, KEY, f"k{place}", each) for place, each in enumerate(fields)]
            assert states(jobs.write(changes)) == states(calls.write(changes))
        numbered = {"Id", "Name"}  # by the order of making, which is not the same
        left, right = (
            {row[KEY]: {name: row[name] for name in row.keys() - numbered} for row in org.all_rows(KIND)}
            for org in (one, other)
        )
        assert left == right
        assert one.jobs.made
