"""What a query job of Salesforce gives is mapped by a process beside ours, too: the store ends as if it had not been."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from connectors.salesforce import query_jobs
from connectors.simulation import Faults, SimRequest
from sync import mapping_process
from sync.mapping import load_mapping
from sync.mapping_process import MappingProcess
from sync.pull import Progress, PullResult, pull
from sync.store import Store
from tests.connectors.salesforce_org import Org, running
from tests.sync.empty_store import empty_store

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork a process")

NOW = datetime(2026, 5, 1, tzinfo=UTC)
LEADS = 70
ODD = ["plain", 'a "quoted" one', '","', "two\nlines", "two\r\nlines", "back\\slash", "é and 語", "#N/A", " spaces "]
WHOLE = load_mapping(Path(__file__).parents[2] / "connectors" / "salesforce" / "mapping.yaml")


class LeadsOnly:
    """The shipped mapping's leads."""

    objects = tuple(plan for plan in WHOLE.objects if plan.kind == "Lead")


@pytest.fixture(scope="module")
def org() -> Iterator[Org]:
    with running() as made:
        ids = []
        for number in range(LEADS):
            fields = {
                "LastName": f"Example {number}",
                "Company": f"Invented {number}",
                "Referral_Program__c": "next-technik",
                "Referral_Notes__c": ODD[number % len(ODD)],
                "Field_Technicians__c": number % 7,
                "Website": None if number % 3 else "not a web address",
            }
            ids.append(made.insert("Lead", fields))
            made.wait(number % 2)
        made.delete("Lead", ids[30])
        made.merge(ids[40], ids[41])
        made.wait(3600)
        made.pages.shrink_to, made.jobs.largest_part = 8, 25
        yield made


@pytest.fixture(autouse=True)
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts of a job are several pages."""
    monkeypatch.setattr(query_jobs, "ROWS_OF_PAGE", 5)


@pytest.fixture
def fresh(tmp_path: Path) -> Callable[[str], Store]:
    return lambda name: Store.open(empty_store(tmp_path / f"{name}.db"))


@pytest.fixture
def begun(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The processes that were begun, in their order."""
    numbers: list[int] = []
    begin = MappingProcess.__init__

    def noted(self: MappingProcess, *given: Any) -> None:
        begin(self, *given)
        numbers.append(self.pid)

    monkeypatch.setattr(MappingProcess, "__init__", noted)
    return numbers


def run(store: Store, org: Org, *, beside: bool, by_jobs: bool = True, **options: Any) -> PullResult:
    """A pull of all leads; ``beside``: behind the first ten records with a second process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mapping_process, "RECORDS_BEFORE", 10 if beside else sys.maxsize)
        patch.setattr(mapping_process, "is_possible", lambda: True)
        number = store.start_run("pull", "crm", at=NOW)
        reader = org.connect(page_size=200, bulk_read_rows=0 if by_jobs else None)
        return pull(store, "crm", reader, LeadsOnly(), now=lambda: NOW, run_id=number, allow="Mara Lind", **options)


def rows(store: Store, query: str) -> list[tuple[object, ...]]:
    with store.reading() as connection:
        return [tuple(each) for each in connection.execute(text(query))]


def dump(store: Store) -> dict[str, list[tuple[object, ...]]]:
    names = ("record", "record_version", "fact", "fact_head", "redirect", "quarantine")
    return {name: rows(store, f"SELECT * FROM {name}") for name in names}


def known(store: Store) -> list[list[tuple[object, ...]]]:
    """What is known, in whatever order it came."""
    return [
        rows(store, "SELECT external_id, content_hash, modified_at FROM record ORDER BY 1"),
        rows(store, "SELECT type, fact_id, body FROM fact ORDER BY 1, 2, seq"),
        rows(store, "SELECT loser, winner FROM redirect"),
        rows(store, "SELECT external_id, field, found FROM quarantine ORDER BY 1"),
    ]


def test_the_store_ends_the_same_by_one_process_and_by_two_and_by_pages(
    org: Org, fresh: Callable[[str], Store], begun: list[int]
) -> None:
    alone, beside, paged = fresh("alone"), fresh("beside"), fresh("paged")
    counts = run(alone, org, beside=False).counts()
    assert begun == []
    told = run(beside, org, beside=True).counts()
    assert len(begun) == 1 and told["Lead"]["pages"] > 12
    assert {**told["Lead"], "jobs": []} == {**counts["Lead"], "jobs": []}
    assert dump(beside) == dump(alone)
    run(paged, org, beside=True, by_jobs=False)
    assert known(beside) == known(paged)
    assert len(known(beside)[0]) == LEADS and len(known(beside)[3]) > 20
    for store in (alone, beside, paged):
        store.close()


@pytest.mark.parametrize("place", [4, 9])
def test_a_second_process_that_dies_in_the_middle_of_a_job_is_done_without(
    org: Org, fresh: Callable[[str], Store], begun: list[int], place: int
) -> None:
    whole, hurt = fresh("whole"), fresh("hurt")
    run(whole, org, beside=False)
    numbers: list[int] = []

    def stored(page: Progress) -> None:
        numbers.append(len(rows(hurt, "SELECT 1 FROM record")))
        if page.pages == place:
            os.kill(begun[0], signal.SIGKILL)

    assert run(hurt, org, beside=True, progress=stored).streams[0].state == "ok"
    assert len(begun) == 1 and numbers == sorted(numbers)
    assert dump(hurt) == dump(whole)
    whole.close()
    hurt.close()


class Died(BaseException):
    """The end of a pull at some place."""


@pytest.mark.parametrize("pages", [5, 8, 11])
def test_a_pull_that_ends_in_the_middle_of_a_job_goes_on_with_it(
    org: Org, fresh: Callable[[str], Store], begun: list[int], pages: int
) -> None:
    whole, cut = fresh("whole"), fresh("cut")
    run(whole, org, beside=False)
    made = len(org.jobs.made)

    def dies(page: Progress) -> None:
        if page.pages == pages:
            raise Died

    with pytest.raises(Died):
        run(cut, org, beside=True, progress=dies)
    place = cut.stream("crm", "Lead").cursor
    assert place is not None and '"job"' in place
    held = len(rows(cut, "SELECT 1 FROM record"))
    assert 0 < held < LEADS
    result = run(cut, org, beside=True)
    assert result.streams[0].state == "ok" and len(org.jobs.made) == made + 1 and len(begun) == 2
    assert result.records.new + result.records.deleted == LEADS - held
    assert known(cut) == known(whole)
    whole.close()
    cut.close()


def test_a_job_whose_results_break_off_leaves_the_rest_to_pages_and_another_process(
    org: Org, fresh: Callable[[str], Store], begun: list[int]
) -> None:
    whole, broken = fresh("whole"), fresh("broken")
    run(whole, org, beside=False)

    def of_results(request: SimRequest) -> bool:
        return request.path.endswith("/results")

    headers = {"Sforce-NumberOfRecords": "1", "Sforce-Locator": "null"}
    org.faults.add(Faults.status(200, body=b'"Id"\n"unfinished', headers=headers, match=of_results, after=1))
    result = run(broken, org, beside=True)
    assert result.streams[0].state == "ok" and len(begun) == 2
    assert known(broken) == known(whole)
    assert len(rows(broken, "SELECT 1 FROM record_version")) == LEADS
    whole.close()
    broken.close()
