"""Facts over time: what can be seen when, versions, withdrawals, events that have not happened yet."""

import random
from datetime import UTC, date, datetime
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rules.calendar import BEGINNING, Calendar
from rules.facts import Facts, at, read_facts, views

SYDNEY = Calendar("Australia/Sydney")
FOREVER = datetime(2100, 1, 1, tzinfo=UTC)
Row = dict[str, Any]
ACCOUNT: Row = {"type": "account", "id": "a1", "name": "Dune"}
INVOICE: Row = {"type": "invoice", "id": "i1", "account": "a1", "issued_on": "2026-01-10", "currency": "AUD",
                "lines": [{"kind": "saas", "amount": "10.00"}]}  # fmt: skip
PAYMENT: Row = {
    "type": "payment",
    "id": "y1",
    "invoice": "i1",
    "received_on": "2026-01-28",
    "amount": "10.00",
    "currency": "AUD",
}


def read(*rows: Row) -> Facts:
    facts, rejected = read_facts([orjson.dumps(row) for row in rows], file="facts")
    assert not rejected, str(rejected[0])
    return facts


def seen(facts: Facts, kind: str, identity: str, until: datetime = FOREVER) -> list[tuple[datetime, Any]]:
    return [(view.at, view.fact) for view in views(facts.of(kind)[identity], SYDNEY, until)]


def local(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


@pytest.mark.parametrize(
    ("known_at", "visible"),
    [
        (None, "2026-01-28T00:00:00+11:00"),  # a date means its first instant, in the program's time zone
        ("2026-02-05T09:00:00+11:00", "2026-02-05T09:00:00+11:00"),  # known late
        ("2026-01-01T00:00:00Z", "2026-01-28T00:00:00+11:00"),  # announced, not yet true
    ],
)
def test_a_fact_is_seen_once_it_is_both_true_and_known(known_at: str | None, visible: str) -> None:
    row = {**PAYMENT, **({"known_at": known_at} if known_at else {})}
    assert [moment for moment, _ in seen(read(ACCOUNT, INVOICE, row), "payment", "y1")] == [local(visible)]


def test_records_without_a_date_are_known_from_the_beginning() -> None:
    assert seen(read(ACCOUNT), "account", "a1")[0][0] == BEGINNING


def test_the_last_instant_of_the_day_is_seen_and_the_next_is_not() -> None:
    end = SYDNEY.end_of(date(2026, 1, 28))
    late = {**PAYMENT, "known_at": "2026-01-28T23:59:59.999999+11:00"}
    later = {**PAYMENT, "known_at": "2026-01-29T00:00:00+11:00"}
    assert seen(read(ACCOUNT, INVOICE, late), "payment", "y1", end)
    assert not seen(read(ACCOUNT, INVOICE, later), "payment", "y1", end)


def test_an_event_reads_as_absent_before_its_own_date() -> None:
    facts = read(ACCOUNT, {**INVOICE, "voided_on": "2026-03-05"})
    before, after = seen(facts, "invoice", "i1")
    assert before[1].voided_on is None
    assert (after[0], after[1].voided_on) == (local("2026-03-05T00:00:00+11:00"), date(2026, 3, 5))


def test_events_of_one_record_come_one_after_the_other() -> None:
    contract = {"type": "contract", "id": "c1", "account": "a1", "kind": "project", "signed_on": "2026-01-01", "currency": "AUD",
                "commenced_on": "2026-02-01", "completed_on": "2026-05-01", "cancelled_on": "2026-04-01"}  # fmt: skip
    told = [
        (fact.commenced_on is not None, fact.cancelled_on is not None, fact.completed_on is not None)
        for _, fact in seen(read(ACCOUNT, contract), "contract", "c1")
    ]
    assert told == [(False, False, False), (True, False, False), (True, True, False), (True, True, True)]


def test_an_outcome_hides_behind_the_date_that_reports_it() -> None:
    deal = {"type": "opportunity", "id": "o1", "account": "a1", "stage": "x", "created_at": "2026-01-01T00:00:00Z",
            "closed_at": "2026-02-01T00:00:00Z", "outcome": "won"}  # fmt: skip
    open_, closed = seen(read(ACCOUNT, deal), "opportunity", "o1")
    assert (open_[1].outcome, closed[1].outcome) == (None, "won")


def test_a_newer_version_holds_from_its_own_known_at_on() -> None:
    facts = read(ACCOUNT, INVOICE, PAYMENT, {**PAYMENT, "amount": "4.00", "known_at": "2026-02-02T00:00:00Z"})
    timeline = views(facts.of("payment")["y1"], SYDNEY, FOREVER)
    assert [str(view.fact.amount) for view in timeline if view.fact] == ["10.00", "4.00"]
    before, after = at(timeline, local("2026-02-01T23:59:59Z")), at(timeline, local("2026-02-02T00:00:00Z"))
    assert (before and str(before.amount), after and str(after.amount)) == ("10.00", "4.00")


def test_a_record_whose_date_moved_ahead_is_absent_until_then() -> None:
    moved = {**PAYMENT, "known_at": "2026-01-30T09:00:00+11:00", "received_on": "2026-02-03"}
    found = seen(read(ACCOUNT, INVOICE, PAYMENT, moved), "payment", "y1")
    assert [(moment, fact and fact.received_on) for moment, fact in found] == [
        (local("2026-01-28T00:00:00+11:00"), date(2026, 1, 28)),
        (local("2026-01-30T09:00:00+11:00"), None),
        (local("2026-02-03T00:00:00+11:00"), date(2026, 2, 3)),
    ]
    early = {**PAYMENT, "known_at": "2026-01-20T09:00:00+11:00"}
    put_off = {**moved, "known_at": "2026-01-21T09:00:00+11:00"}
    found = seen(read(ACCOUNT, INVOICE, early, put_off), "payment", "y1")
    assert [moment for moment, _ in found] == [local("2026-02-03T00:00:00+11:00")]


def test_a_withdrawal_needs_no_other_fields_and_can_be_taken_back() -> None:
    facts = read(
        ACCOUNT, INVOICE, PAYMENT,
        {"type": "payment", "id": "y1", "known_at": "2026-02-02T00:00:00Z", "deleted": True},
        {**PAYMENT, "known_at": "2026-02-04T00:00:00Z"},
    )  # fmt: skip
    assert [fact is None for _, fact in seen(facts, "payment", "y1")] == [False, True, False]


def test_what_points_at_a_bad_record_is_bad_too_and_nothing_else() -> None:
    rows = [ACCOUNT, {**INVOICE, "currency": "XXZ"}, PAYMENT, {**ACCOUNT, "id": "a2"}]
    facts, rejected = read_facts([orjson.dumps(row) for row in rows], file="facts")
    assert [(bad.line, bad.id) for bad in rejected] == [(2, "i1"), (3, "y1")]
    assert set(facts.of("account")) == {"a1", "a2"}


@pytest.mark.parametrize(
    ("later", "field"),
    [
        ({"amount": "4.00"}, "known_at"),
        ({"amount": 4.5, "known_at": "2026-02-02T00:00:00Z"}, "amount"),
        ({"invoice": "nowhere", "known_at": "2026-02-02T00:00:00Z"}, "invoice"),
        ({"currency": "NZD", "known_at": "2026-02-02T00:00:00Z"}, "currency"),
    ],
)
def test_a_bad_later_version_is_left_out_alone(later: Row, field: str) -> None:
    back = {"type": "payment", "id": "y2", "invoice": "i1", "received_on": "2026-02-03", "amount": "10.00",
            "currency": "AUD", "reverses": "y1"}  # fmt: skip
    rows = [ACCOUNT, INVOICE, PAYMENT, back, {**PAYMENT, **later}]
    facts, rejected = read_facts([orjson.dumps(row) for row in rows], file="facts")
    assert [(bad.line, bad.field) for bad in rejected] == [(5, field)]
    assert [str(fact.amount) for _, fact in seen(facts, "payment", "y1")] == ["10.00"]
    assert set(facts.of("payment")) == {"y1", "y2"}


def test_a_withdrawal_of_what_was_bad_is_bad_too() -> None:
    gone = {"type": "payment", "id": "y1", "known_at": "2026-02-02T00:00:00Z", "deleted": True}
    facts, rejected = read_facts([orjson.dumps(row) for row in (ACCOUNT, PAYMENT, gone)], file="facts")
    assert [(bad.line, bad.field) for bad in rejected] == [(2, "invoice"), (3, "deleted")]
    assert not facts.of("payment")


@pytest.mark.parametrize("wrong", [{"account": "nobody"}, {"account": 5}])
def test_what_points_at_a_record_of_which_only_a_withdrawal_is_left_is_bad_too(wrong: Row) -> None:
    gone: Row = {"deleted": True, "known_at": "2026-03-01T00:00:00Z"}
    back = {**PAYMENT, "id": "y2", "reverses": "y1", "received_on": "2026-02-01"}
    rows = [
        ACCOUNT,
        {**INVOICE, **wrong},
        {"type": "invoice", "id": "i1", **gone},
        PAYMENT,
        {"type": "payment", "id": "y1", **gone},
        back,
    ]
    facts, rejected = read_facts([orjson.dumps(row) for row in rows], file="facts")
    assert sorted({(bad.type, bad.id) for bad in rejected}) == [("invoice", "i1"), ("payment", "y1"), ("payment", "y2")]
    assert len(facts) == 1


def test_blank_lines_count_as_lines_and_are_no_records() -> None:
    _, rejected = read_facts([b"", b"  \n", b"oops"], file="facts")
    assert [bad.line for bad in rejected] == [3]


@settings(derandomize=True, database=None)
@given(st.lists(st.integers(0, 300), min_size=1, max_size=6, unique=True), st.integers(0, 2**32))
def test_the_order_of_lines_is_not_the_order_of_versions(days: list[int], seed: int) -> None:
    first = {**PAYMENT, "amount": "1.00"}
    versions = [
        {
            **PAYMENT,
            "amount": f"{number + 2}.00",
            "known_at": f"{date.fromordinal(date(2026, 2, 1).toordinal() + day)}T00:00:00Z",
        }
        for number, day in enumerate(days)
    ]
    rows = [ACCOUNT, INVOICE, first, *versions]
    shuffled = rows[:]
    random.Random(seed).shuffle(shuffled)
    assert seen(read(*rows), "payment", "y1") == seen(read(*shuffled), "payment", "y1")
    assert len(read(*shuffled)) == len(rows)
