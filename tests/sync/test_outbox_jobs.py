"""The outbox with a writer that makes jobs: noted before they can begin, and asked before anything is read back or sent again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import select

from connectors.base import Change, JobWriter, Written, no_job_started
from connectors.errors import RetryLater
from sync.delivery import Delivered, Pace
from sync.outbox import Outbox
from sync.outbox_tables import write_event
from sync.plan import make_plan
from sync.store import Store
from sync.write_maps import Desired
from tests.sync.filed_system import FiledSystem

NOW = datetime(2026, 3, 1, tzinfo=UTC)


class JobSystem(FiledSystem):
    """A system that takes three changes or more as a job. ``lose``: its outcome does not come back at once."""

    most_at_once = 8
    lose = False
    forgets = False

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.jobs: dict[str, dict[str, Written]] = {}
        self.handed: list[int] = []
        self.asked: list[str] = []

    def jobs_for(self, changes: Sequence[Change]) -> int:
        return int(len(changes) >= 3)

    def write(
        self, changes: Sequence[Change], *, started: Callable[[str, Sequence[int]], None] = no_job_started
    ) -> list[Written]:
        self.handed.append(len(changes))
        if not self.jobs_for(changes):
            return super().write(changes)
        job = f"job{len(self.jobs) + 1}"
        started(job, range(len(changes)))
        self.jobs[job] = {result.key: result for result in super().write(changes)}
        return [Written(c.key, "unknown") if self.lose else self.jobs[job][c.key] for c in changes]

    def job_results(self, job: str, changes: Sequence[Change]) -> list[Written]:
        self.asked.append(job)
        told = {} if self.forgets else self.jobs.get(job, {})
        return [told.get(change.key, Written(change.key, "unknown")) for change in changes]


class Desk:
    def __init__(self, store: Store, folder: Path) -> None:
        self.store, self.system = store, JobSystem(folder / "journal")

    def enqueue(self, count: int, **fields: str) -> None:
        rows = [Desired("Commission__c", "Key__c", f"k{n}", {"F": "1", **fields}, None, "") for n in range(count)]
        plan = make_plan(rows, self.system, Outbox(self.store).agreed("crm"), connection="crm", writer=self.system)
        Outbox(self.store).enqueue(plan, at=NOW)

    def apply(self, crashpoint: Callable[[str], None] = lambda step: None, left: int | None = None) -> Delivered:
        outbox = Outbox(self.store, crashpoint=crashpoint)
        return outbox.apply(
            "crm", self.system, self.system, clock=lambda: NOW, pace=Pace(rows_at_once=2), calls_left=lambda: left
        )

    def noted(self) -> list[str | None]:
        with self.store.reading() as db:
            return list(db.scalars(select(write_event.c.batch).where(write_event.c.event == "job")))


@pytest.fixture
def desk(store: Store, tmp_path: Path) -> Desk:
    return Desk(store, tmp_path)


def test_what_the_writer_makes_a_job_of_goes_together(desk: Desk) -> None:
    assert isinstance(desk.system, JobWriter)
    desk.enqueue(10)
    assert desk.apply().done == 10
    assert desk.system.handed == [8, 2] and desk.noted() == ["job1"] * 8


def test_an_outcome_that_did_not_come_back_is_asked_of_the_job(desk: Desk) -> None:
    desk.system.lose = True
    desk.system.fault = lambda change: "rejected" if change.key == "k1" else None
    desk.enqueue(4)
    delivered = desk.apply()
    assert (delivered.settled, delivered.dead, delivered.waiting) == (3, 1, 0)
    assert desk.system.asked == ["job1"] and desk.system.repeated == []


def test_what_a_job_does_not_tell_is_read_back(desk: Desk) -> None:
    desk.system.lose, desk.system.forgets = True, True
    desk.enqueue(4)
    assert desk.apply().settled == 4
    assert len(desk.system.journal) == 4


def test_a_process_that_dies_before_its_job_begins_has_noted_it(desk: Desk) -> None:
    def dies(step: str) -> None:
        if step == "after_job_noted":
            raise KeyboardInterrupt

    desk.enqueue(4)
    with pytest.raises(KeyboardInterrupt):
        desk.apply(dies)
    assert desk.noted() == ["job1"] * 4 and desk.system.journal == []
    assert desk.apply().done == 4  # the job is asked, tells nothing, and nothing is there: sent again
    assert desk.system.asked == ["job1"] and len(desk.system.journal) == 4


def test_a_job_that_cannot_be_asked_now_keeps_its_rows(desk: Desk) -> None:
    desk.system.lose = True
    asks = desk.system.job_results

    def down(job: str, changes: Sequence[Change]) -> list[Written]:
        raise RetryLater("down", retry_after_seconds=60)

    desk.system.job_results = down  # type: ignore[method-assign]
    desk.enqueue(4)
    assert isinstance(desk.apply().stopped, RetryLater)
    assert Outbox(desk.store).counts("crm") == {"attempted": 4}
    desk.system.job_results = asks  # type: ignore[method-assign]
    assert desk.apply().settled == 4 and len(desk.system.journal) == 4


def test_a_row_that_went_by_itself_later_is_not_asked_of_its_old_job(desk: Desk) -> None:
    desk.system.fault = lambda change: "retry"
    desk.enqueue(3)
    desk.apply()
    with desk.store.transaction() as db:
        db.exec_driver_sql("UPDATE intent SET next_at = NULL WHERE key = 'k0'")
    desk.system.fault = lambda change: "lost"
    assert desk.apply().settled == 1
    assert desk.system.asked == []


def test_a_job_that_our_share_of_calls_does_not_allow_waits(desk: Desk) -> None:
    desk.enqueue(8)
    delivered = desk.apply(left=0)
    assert delivered.parked and delivered.waiting == 8 and desk.system.handed == []
