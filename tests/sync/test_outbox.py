"""The outbox, one promise a test: what waits, what is sent, what is not repeated, what a person can do."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Connection

from connectors.base import Change, Description, Field, Record, Written
from connectors.errors import (
    AnswerLost,
    ConnectorError,
    NeedsOperator,
    QuotaSpent,
    RecordRejected,
)
from sync.brakes import Limits
from sync.dead_letters import failure_of
from sync.delivery import Delivered, Pace
from sync.outbox import NotADeadLetter, Outbox, PlanRefused
from sync.plan import Plan, make_plan
from sync.plan_items import shape_of
from sync.store import Store
from sync.write_maps import Desired
from tests.sync.filed_system import FiledSystem

NOW = datetime(2026, 3, 1, 9, tzinfo=UTC)


def wanted(key: str, parent: str | None = None, **fields: Any) -> Desired:
    return Desired("Commission__c", "Key__c", key, fields, parent, "a row of the ledger")


class Desk:
    """One connection with its outbox, at a moment that the test moves."""

    def __init__(self, store: Store, folder: Path) -> None:
        self.store, self.system, self.outbox, self.now = store, FiledSystem(folder / "journal"), Outbox(store), NOW

    def plan(self, *desired: Desired, **options: Any) -> Plan:
        return make_plan(
            desired, self.system, self.outbox.agreed("crm"), connection="crm", writer=self.system,
            parked=self.outbox.parked("crm"), **options,
        )  # fmt: skip

    def enqueue(self, *desired: Desired, **options: Any) -> Any:
        return self.outbox.enqueue(self.plan(*desired, **options), at=self.now)

    def apply(self, **options: Any) -> Delivered:
        return self.outbox.apply("crm", self.system, self.system, clock=lambda: self.now, **options)

    def held(self) -> dict[str, dict[str, Any]]:
        """What the system holds, by key."""
        return {
            str(record.pop("Key__c")): record
            for record in (dict(held) for (kind, _), held in self.system.records.items() if kind == "Commission__c")
        }


@pytest.fixture
def desk(store: Store, tmp_path: Path) -> Desk:
    return Desk(store, tmp_path)


def test_a_plan_of_many_parts_is_kept_and_written_whole(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, size in (
        ("plan.TOGETHER", 2),
        ("long_lists.PART", 2),
        ("long_lists.SHORT", 4),
        ("outbox.ROWS_PER_STATEMENT", 3),
    ):
        monkeypatch.setattr(f"sync.{name}", size)
    rows = [wanted(f"k{n}", f"P{n % 3}", Amount=f"{n}.00") for n in range(20)]
    assert desk.enqueue(*rows).queued == 20
    newer = [wanted(f"k{n}", f"P{n % 3}", Amount=f"{n}.50") for n in range(10)]
    kept = desk.enqueue(*newer, *rows[10:15], whole=True)
    assert (kept.queued, kept.waiting, kept.superseded) == (10, 5, 15)
    assert desk.apply().done == 15
    assert {key: held["Amount"] for key, held in desk.held().items()} == {
        one.key: one.fields["Amount"] for one in [*newer, *rows[10:15]]
    }
    assert desk.plan(*newer, *rows[10:15]).empty


def test_a_plan_is_written_once_and_the_next_plan_is_empty(desk: Desk) -> None:
    rows = [wanted("a", "P2", Amount="10.00"), wanted("b", "P1", Amount="2", Note=None), wanted("c", "P2", Amount="3")]
    plan = desk.plan(*rows)
    assert desk.outbox.enqueue(plan, at=NOW).queued == 3
    assert desk.outbox.enqueue(plan, at=NOW).waiting == 3
    delivered = desk.apply()
    assert (delivered.done, delivered.calls, delivered.waiting, delivered.stopped) == (3, 1, 0, None)
    assert [line["key"] for line in desk.system.journal] == ["b", "a", "c"]  # rows of one parent together
    assert desk.plan(*rows).empty
    assert desk.apply().calls == 0


def test_a_refused_plan_writes_nothing_until_it_is_allowed(desk: Desk) -> None:
    plan = desk.plan(wanted("a", F="1"), default_limits=Limits(max_creates=0))
    with pytest.raises(PlanRefused, match="1 records to create"):
        desk.outbox.enqueue(plan, at=NOW)
    assert desk.outbox.counts("crm") == {}
    assert desk.outbox.enqueue(plan.allow("Mara Lind"), at=NOW).queued == 1


def test_a_newer_write_takes_the_place_of_one_that_waits(desk: Desk) -> None:
    desk.enqueue(wanted("a", F="1"))
    result = desk.enqueue(wanted("a", F="2"))
    assert (result.queued, result.superseded) == (1, 1)
    desk.apply()
    assert desk.held() == {"a": {"F": "2"}} and len(desk.system.journal) == 1


def test_a_write_that_is_not_needed_any_more_is_dropped(desk: Desk) -> None:
    desk.enqueue(wanted("a", F="1"), wanted("b", F="1"))
    desk.apply()
    desk.enqueue(wanted("a", F="2"), wanted("b", F="1"), wanted("c", F="1"), wanted("d", F="1"))
    desk.enqueue(wanted("a", F="1"), wanted("d", F="1"), whole=True)
    desk.apply()
    assert desk.held() == {"a": {"F": "1"}, "b": {"F": "1"}, "d": {"F": "1"}}
    assert len(desk.system.journal) == 3


def test_objects_go_in_the_order_of_the_plan_and_records_of_one_parent_together_whenever_they_came(desk: Desk) -> None:
    """Partners before the commissions that name them; writes under one parent lock the same record."""

    def account(key: str) -> Desired:
        return Desired("Account", "Key__c", key, {"Name": key}, "Z", "")

    first = [account("a1"), wanted("c1", "P1", Amount="1"), wanted("c2", "P2", Amount="2")]
    desk.enqueue(*first)
    desk.enqueue(*first, account("a2"), wanted("c3", "P1", Amount="3"))
    desk.apply()
    accounts = [("Account", "a1"), ("Account", "a2")]
    assert desk.system.created() == [*accounts, *(("Commission__c", key) for key in ("c1", "c3", "c2"))]


def test_enqueueing_belongs_to_the_callers_transaction(desk: Desk) -> None:
    with pytest.raises(ZeroDivisionError), desk.store.transaction() as db:
        desk.outbox.enqueue(desk.plan(wanted("a", F="1")), at=NOW, within=db)
        raise ZeroDivisionError
    assert desk.outbox.counts("crm") == {}


@pytest.mark.parametrize(("fault", "settled"), [("lost", 1), ("dropped", 0)])
def test_an_answer_that_never_came_is_settled_by_reading_back(desk: Desk, fault: str, settled: int) -> None:
    faults = [fault]
    desk.system.fault = lambda change: faults.pop() if faults else None
    desk.enqueue(wanted("a", F="1.50"))
    delivered = desk.apply()
    assert (delivered.settled, delivered.done) == (settled, 1 - settled)
    assert len(desk.system.journal) == 1 and desk.held() == {"a": {"F": "1.50"}}


def test_a_locked_row_waits_longer_each_time_and_then_asks_a_person(desk: Desk) -> None:
    desk.system.fault = lambda change: "retry" if change.key == "a" else None
    desk.enqueue(wanted("a", F="1"), wanted("b", F="1"))
    waits = []
    for _ in range(3):
        delivered = desk.apply(pace=Pace(attempts=4, first_wait_seconds=10))
        assert delivered.next_at is not None and desk.apply().again == 0
        waits.append((delivered.next_at - desk.now).total_seconds())
        desk.now = delivered.next_at
    assert all(5 * 2**n <= wait <= 10 * 2**n for n, wait in enumerate(waits))
    assert desk.apply(pace=Pace(attempts=4)).dead == 1
    (letter,) = desk.outbox.dead_letters("crm")
    assert (letter.failure, letter.attempts, letter.ref.key) == ("lock", 4, "a")
    assert desk.held() == {"b": {"F": "1"}}


def test_a_rejected_write_is_kept_for_a_person_and_never_repeated_by_itself(desk: Desk) -> None:
    """E57: parked with the exact error of the system; other writes go through."""
    desk.system.fault = lambda change: "rejected" if change.fields.get("F") == "bad" else None
    rows = [wanted("a", F="bad", G="1"), wanted("b", F="good")]
    desk.enqueue(*rows)
    delivered = desk.apply()
    assert (delivered.done, delivered.dead) == (1, 1)
    again = desk.plan(*rows)
    assert again.empty and "FIELD_CUSTOM_VALIDATION_EXCEPTION" in again.items[0].reason
    assert desk.outbox.enqueue(again, at=desk.now).queued == 0
    (letter,) = desk.outbox.dead_letters("crm", "data")
    assert letter.hint.startswith("the system does not accept") and letter.fields == {"F": "bad", "G": "1"}
    assert desk.apply().calls == 0


def test_a_dead_letter_is_retried_released_or_edited(desk: Desk) -> None:
    broken = True
    desk.system.fault = lambda change: "rejected" if broken and change.fields["F"] == "bad" else None
    desk.enqueue(wanted("a", F="bad"), wanted("b", F="bad"), wanted("c", F="bad"))
    desk.apply()
    first, *_ = (letter.id for letter in desk.outbox.dead_letters("crm"))
    desk.outbox.edit(first, {"F": "good"}, by="Mara Lind", at=NOW)
    assert desk.apply().done == 1 and desk.held() == {"a": {"F": "good"}}
    with pytest.raises(NotADeadLetter):
        desk.outbox.edit(first, {"F": "x"}, by="Mara Lind", at=NOW)
    assert desk.outbox.retry([letter.id for letter in desk.outbox.dead_letters("crm")][:1], at=NOW) == 1
    assert desk.apply().dead == 1
    broken = False
    assert desk.outbox.release("crm", "permission", at=NOW) == 0
    assert desk.outbox.release("crm", "data", at=NOW) == 2
    assert desk.apply().done == 2 and desk.outbox.dead_letters("crm") == []


def test_a_changed_wish_takes_the_place_of_a_dead_letter(desk: Desk) -> None:
    """E57: what changed here is tried again."""
    desk.system.fault = lambda change: "rejected" if change.fields["F"] == "bad" else None
    desk.enqueue(wanted("a", F="bad"))
    desk.apply()
    desk.enqueue(wanted("a", F="good"))
    assert desk.apply().done == 1 and desk.outbox.dead_letters("crm") == []


@pytest.mark.parametrize("error", [NeedsOperator("log in again"), QuotaSpent("no calls left", retry_after_seconds=60)])
def test_trouble_with_the_connection_ends_the_run_and_keeps_every_write(desk: Desk, error: ConnectorError) -> None:
    faults: list[Any] = [None, None, error]
    desk.system.fault = lambda change: faults.pop(0) if faults else None
    desk.enqueue(*(wanted(key, F="1") for key in "abcd"))
    runs = []
    for _ in range(20):
        runs.append(desk.apply(pace=Pace(attempts=3)))
        faults = [error]
    assert all(run.stopped is error for run in runs) and sum(run.settled for run in runs) == 2
    faults = []
    delivered = desk.apply()
    assert delivered.stopped is None and delivered.done == 2
    assert sorted(desk.held()) == list("abcd") and len(desk.system.journal) == 4


def test_calls_stay_within_our_share(desk: Desk) -> None:
    desk.enqueue(*(wanted(f"k{number}", F="1") for number in range(10)))
    left = 2
    delivered = desk.apply(calls_left=lambda: left - desk.system.calls)
    assert (delivered.calls, delivered.done, delivered.waiting, delivered.parked) == (2, 6, 4, True)
    left = 10
    assert desk.apply(calls_left=lambda: left - desk.system.calls).done == 4


def test_one_bad_row_that_fails_its_batch_is_found_and_its_neighbours_get_through(desk: Desk) -> None:
    class Strict(FiledSystem):
        def write(self, changes: Any) -> list[Written]:
            if any(change.fields["F"] == "bad" for change in changes):
                raise RecordRejected("two rows conflict", code="CONFLICT")
            return super().write(changes)

    strict = Strict(desk.system.path)
    desk.enqueue(*(wanted(f"k{number}", F="bad" if number == 3 else "1") for number in range(6)))
    delivered = desk.outbox.apply("crm", strict, strict, clock=lambda: NOW)
    assert (delivered.done, delivered.dead) == (5, 1)
    assert desk.outbox.dead_letters("crm")[0].ref.key == "k3"


def test_a_writer_that_raises_a_lost_answer_is_read_back_too(desk: Desk) -> None:
    lost: list[ConnectorError] = [AnswerLost("timed out")]
    desk.system.fault = lambda change: lost.pop() if lost and change.key == "b" else None
    desk.enqueue(wanted("a", F="1"), wanted("b", F="1"))
    delivered = desk.apply()
    assert (delivered.settled, delivered.done) == (1, 1) and len(desk.system.journal) == 2


def test_a_writer_that_breaks_after_it_wrote_is_read_back_and_nothing_is_sent_while_that_breaks_too(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An answer in another form than the connector knows: what was carried out is not known, and not tried again blindly."""
    written, read = desk.system.write, desk.system.fetch

    def breaks_afterwards(changes: Sequence[Change]) -> list[Written]:
        return [{"key": one.key}["code"] for one in written(changes)]

    def breaks(*arguments: Any, **named: Any) -> Iterator[Record]:
        raise TypeError("of theirs")

    desk.enqueue(wanted("a", F="1"))
    monkeypatch.setattr(desk.system, "write", breaks_afterwards)
    monkeypatch.setattr(desk.system, "fetch", breaks)
    for _ in range(2):
        stopped = desk.apply().stopped
        assert stopped is not None and stopped.code == "BROKEN" and "of theirs" not in str(stopped)
        desk.now += timedelta(hours=1)
    assert len(desk.system.journal) == 1
    monkeypatch.setattr(desk.system, "fetch", read)
    assert desk.apply().settled == 1
    assert len(desk.system.journal) == 1 and desk.system.repeated == []


def test_trouble_with_one_object_does_not_hold_up_the_others(desk: Desk) -> None:
    gone = ConnectorError("no field F", code="UNKNOWN_FIELD")
    desk.system.fault = lambda change: gone if change.kind == "Commission__c" else None
    desk.system.by_hand("Account", "A1", {"Support": "x"})
    desk.enqueue(wanted("a", F="1"), Desired("Account", None, "A1", {"Support": "y"}, None, ""))
    delivered = desk.apply(pace=Pace(attempts=1))
    assert (delivered.done, delivered.stopped) == (1, None)
    assert desk.outbox.dead_letters("crm", "schema")[0].ref.object == "Commission__c"


class Stale(Exception):
    """Somebody else holds the lease."""


@pytest.mark.parametrize("lost_after", [0, 1])
def test_a_stale_holder_records_nothing(desk: Desk, lost_after: int) -> None:
    checks = 0

    def fence(db: Connection) -> None:
        nonlocal checks
        checks += 1
        if checks > lost_after:
            raise Stale

    desk.enqueue(wanted("a", F="1"))
    with pytest.raises(Stale):
        desk.apply(fence=fence)
    assert len(desk.system.journal) == lost_after
    assert desk.outbox.counts("crm") == ({"attempted": 1} if lost_after else {"pending": 1})
    assert desk.apply().stopped is None and len(desk.system.journal) == 1


def test_our_own_write_is_no_change_but_a_hand_edit_is(desk: Desk) -> None:
    desk.enqueue(wanted("a", F="1.50", G="x"))
    desk.apply()
    ((_, number),) = desk.system.records
    echo: Callable[..., bool] = desk.outbox.is_echo
    assert echo("crm", "Commission__c", {"F": 1.5, "G": "x"}, external_id=number)
    assert echo("crm", "Commission__c", {"F": 1.5}, external_id="unknown-yet", key="a")
    assert not echo("crm", "Commission__c", {"F": 1.6}, external_id=number)
    assert not echo("crm", "Commission__c", {"F": 1.5, "Owner": "me"}, external_id=number)
    assert not echo("crm", "Commission__c", {}, external_id=number)
    assert not echo("other", "Commission__c", {"F": 1.5}, external_id=number)


def test_a_write_that_is_on_its_way_is_an_echo_already(desk: Desk) -> None:
    class Gone(BaseException):
        pass

    def crash(step: str) -> None:
        if step == "after_send":
            raise Gone

    desk.enqueue(wanted("a", F="1"))
    with pytest.raises(Gone):
        Outbox(desk.store, crashpoint=crash).apply("crm", desk.system, desk.system, clock=lambda: NOW)
    assert desk.outbox.is_echo("crm", "Commission__c", {"F": "1"}, external_id="x", key="a")


def test_a_hand_edit_is_reported_and_set_right(desk: Desk) -> None:
    desk.enqueue(wanted("a", F="1"))
    desk.apply()
    ((_, number),) = desk.system.records
    desk.system.by_hand("Commission__c", number, {"F": "9"})
    plan = desk.plan(wanted("a", F="1"))
    (change,) = plan.items[0].changes
    assert (change.before, change.after, change.overwrites) == (9.0, "1", True)
    desk.outbox.enqueue(plan, at=desk.now + timedelta(days=1))
    assert desk.apply().done == 1 and desk.plan(wanted("a", F="1")).empty


def test_what_was_found_equal_counts_as_agreed(desk: Desk) -> None:
    desk.system.by_hand("Account", "A1", {"Support": "Kim"})
    row = Desired("Account", None, "A1", {"Support": "Kim"}, None, "")
    assert desk.enqueue(row).queued == 0
    desk.system.by_hand("Account", "A1", {"Support": "Lou"})
    assert desk.plan(row).items[0].changes[0].overwrites


def test_a_record_deleted_by_hand_is_made_again_and_says_so(desk: Desk) -> None:
    desk.enqueue(wanted("a", F="1"))
    desk.apply()
    ((_, number),) = desk.system.records
    desk.system.by_hand("Commission__c", number, None)
    plan = desk.plan(wanted("a", F="1"))
    assert plan.items[0].action == "create" and "gone" in plan.items[0].reason


@pytest.mark.parametrize(
    ("code", "failure"),
    [
        ("FIELD_CUSTOM_VALIDATION_EXCEPTION", "data"),
        ("REQUIRED_FIELD_MISSING", "data"),
        ("DUPLICATES_DETECTED", "data"),
        ("INSUFFICIENT_ACCESS_ON_CROSS_REFERENCE_ENTITY", "permission"),
        ("MISSING_SCOPES", "permission"),
        ("INVALID_FIELD", "schema"),
        ("INVALID_FIELD_FOR_INSERT_UPDATE", "permission"),
        ("PROPERTY_DOESNT_EXIST", "schema"),
        ("INVALID_CROSS_REFERENCE_KEY", "parent"),
        ("INVALID_KEY_OR_REF", "parent"),
        ("UNABLE_TO_LOCK_ROW", "lock"),
        ("STORAGE_LIMIT_EXCEEDED", "limit"),
        (None, "data"),
    ],
)
def test_rejections_are_sorted_by_what_to_do(code: str | None, failure: str) -> None:
    assert failure_of(code) == failure


@given(st.none() | st.text())
def test_every_rejection_has_a_kind(code: str | None) -> None:
    assert failure_of(code) in {"data", "permission", "parent", "lock", "limit", "schema"}


def test_changes_reach_the_writer_as_planned(desk: Desk) -> None:
    seen: list[Change] = []
    desk.system.fault = lambda change: seen.append(change)
    desk.enqueue(wanted("a", "P1", F="1", G=None))
    desk.apply()
    assert seen == [Change("Commission__c", "Key__c", "a", {"F": "1"}, "P1")]


def test_a_write_without_an_outcome_gives_way_to_a_newer_one(desk: Desk) -> None:
    faults: list[Any] = [NeedsOperator("log in again")]
    desk.system.fault = lambda change: faults.pop() if faults else None
    desk.enqueue(wanted("a", F="1"))
    assert desk.apply().stopped is not None
    assert desk.enqueue(wanted("a", F="2")).queued == 1
    assert desk.apply().done == 1
    assert desk.outbox.counts("crm") == {"done": 1, "superseded": 1}
    assert desk.held() == {"a": {"F": "2"}} and len(desk.system.journal) == 1


@pytest.mark.parametrize("code", ["INSUFFICIENT_ACCESS_OR_READONLY", "CANNOT_FIND_PARENT_REFERENCE"])
def test_a_cause_that_was_mended_there_lets_all_its_dead_letters_go(desk: Desk, code: str) -> None:
    mended = False
    desk.system.fault = lambda change: None if mended else RecordRejected("no", code=code)
    desk.enqueue(*(wanted(key, F="1") for key in "abc"))
    assert desk.apply().dead == 3
    tried = desk.system.calls
    for _ in range(4):  # within a day nothing is tried
        desk.now += timedelta(hours=5)
        assert desk.apply().calls == 0
    for _ in range(3):  # then one of them a day
        desk.now += timedelta(days=1)
        delivered = desk.apply()
        assert (delivered.dead, delivered.done, delivered.calls) == (1, 0, 1)
        assert desk.apply().calls == 0
    mended = True
    desk.now += timedelta(days=1)
    assert desk.apply().done == 3
    assert sorted(desk.held()) == list("abc") and desk.outbox.dead_letters("crm") == [] and tried > 0


def test_values_that_are_not_accepted_are_not_tried_again_however_long(desk: Desk) -> None:
    desk.system.fault = lambda change: "rejected"
    desk.enqueue(wanted("a", F="bad"))
    desk.apply()
    desk.now += timedelta(days=400)
    assert desk.apply().calls == 0


def test_a_probe_lets_only_those_go_that_failed_as_it_did(desk: Desk) -> None:
    codes = {"a": "INSUFFICIENT_ACCESS", "b": "INSUFFICIENT_ACCESS", "c": "FIELD_CUSTOM_VALIDATION_EXCEPTION"}
    desk.system.fault = lambda change: RecordRejected("no", code=codes[change.key]) if change.key in codes else None
    desk.enqueue(*(wanted(key, F="1") for key in "abc"))
    desk.apply()
    del codes["a"], codes["b"]
    desk.now += timedelta(days=1)
    assert desk.apply().done == 2
    assert [letter.ref.key for letter in desk.outbox.dead_letters("crm")] == ["c"]


@given(before=st.integers(1, 80), after=st.integers(1, 80), writable=st.booleans())
def test_a_field_that_is_described_anew_lets_a_rejected_write_be_planned_again(
    before: int, after: int, writable: bool
) -> None:
    """The description is compared for the fields of the write only; another field's change releases nothing."""

    def described(length: int, other: int) -> Description:
        fields = {
            "F": Field("F", "F", "string", length=length, creatable=True, updatable=True),
            "G": Field("G", "G", "string", length=other, updatable=writable),
        }
        return Description("Commission__c", "Commission", fields)

    shape = shape_of(described(before, 1), ["F"])
    assert (shape_of(described(after, 2), ["F"]) == shape) == (before == after)


def test_a_permission_that_is_seen_there_releases_at_once(desk: Desk) -> None:
    """E57: what changed there is tried again."""

    def described(length: int) -> dict[str, Description | None]:
        fields = {name: Field(name, name, "string", length=length) for name in ("F", "Key__c")}
        return {"Commission__c": Description("Commission__c", "Commission", fields)}

    desk.system.fault = lambda change: "rejected"
    desk.enqueue(wanted("a", F="long"), descriptions=described(2))
    desk.apply()
    assert desk.plan(wanted("a", F="long"), descriptions=described(2)).empty
    desk.system.fault = lambda change: None
    result = desk.enqueue(wanted("a", F="long"), descriptions=described(9))
    assert (result.queued, result.superseded) == (1, 1)
    assert desk.apply().done == 1 and desk.outbox.dead_letters("crm") == []
