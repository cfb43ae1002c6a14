"""Disputes: in time or refused, decided in seven days, appealed, money held meanwhile, differences posted (CN-35..CN-38, CN-A25)."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rules.disputes import Disputable, Disputes, disputes_of
from rules.ledger import Entry, Ledger
from rules.program import Program, load_program
from rules.tasks import Task
from tests.rules.seen import enrollment, partner, seen

CN = load_program("code-ninety")
MONTHLY = load_program("code-ninety", {"payout": "monthly"})
APRIL = "code-ninety:p1:2026-04-01:PKR"
ENTRY = "code-ninety:r1:commission:invoice:i1:1"
CONTRACT = {
    "type": "contract",
    "id": "c1",
    "account": "a1",
    "kind": "retainer",
    "signed_on": "2026-03-10",
    "currency": "PKR",
}


def dispute(subject: str, raised_on: str, **fields: Any) -> dict[str, Any]:
    body = {"type": "dispute", "id": "d1", "partner": "p1", "subject": subject, "raised_on": raised_on}
    return {**body, "reason": "an hour is missing", **fields}


def follow(
    records: list[dict[str, Any]], as_of: str, program: Program = MONTHLY, stated_on: str | None = None
) -> tuple[Disputes, list[Entry]]:
    own = [
        partner("p1"),
        partner("p2"),
        enrollment(program, "p1", role="agency"),
        {"type": "account", "id": "a1", "name": "Zarrin"},
    ]
    views = seen(program, [*own, CONTRACT, *records], as_of)
    ledger = Ledger(program.id)
    day = date(2026, 3, 31)
    ledger.post(
        Entry(
            key=ENTRY, program=program.id, partner="p1", referral="r1", contract="c1", kind="commission", source=("invoice", "i1"),
            basis=Decimal("1000.00"), rate=Decimal("0.15"), amount=Decimal("150.00"), currency="PKR", earned_on=day,
            posted_at=datetime(2026, 3, 30, 19, tzinfo=UTC), states_on=day, releases_on=day, due_on=None, corrects=None,
            clauses=("CN-22",), because="15% of 1000.00 PKR",
        )
    )  # fmt: skip
    stated = {ENTRY: date.fromisoformat(stated_on)} if stated_on else {}
    disputable = Disputable(program, ledger.entries, stated, views["contract"], {"c1": ("p1", "r1")})
    found = disputes_of(program, views["dispute"], disputable, {"p1": views["enrollment"]}, ledger)
    return found, [entry for entry in ledger.entries.values() if entry.key != ENTRY]


def only(found: Disputes, kind: str) -> Task:
    [task] = [task for task in found.tasks if task.kind == kind]
    return task


def kinds(found: Disputes) -> list[str]:
    return [task.kind for task in found.tasks]


def held(found: Disputes) -> list[tuple[str, str, str, str | None]]:
    """What is held, with the local days between which it is."""
    return [
        (hold.kind, hold.subject, CN.calendar.date_of(hold.since).isoformat(),
         CN.calendar.date_of(hold.until).isoformat() if hold.until else None)
        for hold in found.holds
    ]  # fmt: skip


def test_cn_v4_the_last_day_is_the_thirtieth_and_the_answers_are_due_in_seven_and_fourteen_days() -> None:
    found, _ = follow([dispute(APRIL, "2026-05-31")], "2026-05-31")
    task = only(found, "dispute_decision")
    assert (task.subject, task.opened_on, task.due_on) == ("d1", date(2026, 5, 31), date(2026, 6, 7))
    assert task.row(date(2026, 6, 8))["state"] == "late"
    record = dispute(APRIL, "2026-05-31", outcome="rejected", decided_on="2026-06-03", appealed_on="2026-06-10")
    found, _ = follow([record], "2026-06-10")
    assert only(found, "dispute_decision").done_on == date(2026, 6, 3)
    task = only(found, "appeal_decision")
    assert (task.opened_on, task.due_on, task.done_on) == (date(2026, 6, 10), date(2026, 6, 24), None)


def test_cn_35_a_day_later_is_too_late_and_refused_with_its_clause() -> None:
    record = dispute(APRIL, "2026-06-01", outcome="upheld", adjustment="100.00", decided_on="2026-06-02")
    found, posted = follow([record], "2026-06-30")
    task = only(found, "dispute_refused")
    assert (task.row(date(2026, 6, 30))["state"], task.clauses) == ("done", ("CN-35",))
    assert "the last day is 2026-05-31" in task.because
    assert (kinds(found), found.holds, posted) == (["dispute_refused"], [], [])


@pytest.mark.parametrize(("raised_on", "kind"), [("2026-03-17", "dispute_decision"), ("2026-03-18", "dispute_refused")])
def test_cn_38_a_registered_deal_is_disputed_within_seven_days(raised_on: str, kind: str) -> None:
    found, _ = follow([dispute("c1", raised_on)], "2026-03-20")
    assert kinds(found) == [kind]
    assert ("CN-38" in found.tasks[0].clauses) is (kind == "dispute_refused")
    assert held(found) == ([("contract", "c1", raised_on, None)] if kind == "dispute_decision" else [])


def test_cn_a25_missing_the_deal_window_does_not_bar_the_invoice_window() -> None:
    late = dispute("c1", "2026-04-05")
    found, _ = follow([late, {**dispute(ENTRY, "2026-04-05"), "id": "d2"}], "2026-04-05", stated_on="2026-04-01")
    assert [(task.kind, task.subject) for task in found.tasks] == [
        ("dispute_refused", "d1"),
        ("dispute_decision", "d2"),
    ]


@pytest.mark.parametrize(
    ("stated_on", "raised_on", "kind"),
    [
        (None, "2027-01-01", "dispute_decision"), ("2026-04-01", "2026-05-01", "dispute_decision"),
        ("2026-04-01", "2026-05-02", "dispute_refused"), ("2026-04-01", "2026-03-31", "dispute_decision"),
    ],
)  # fmt: skip
def test_an_entry_is_disputed_until_thirty_days_after_its_statement(
    stated_on: str | None, raised_on: str, kind: str
) -> None:
    found, _ = follow([dispute(ENTRY, raised_on)], "2027-01-01", stated_on=stated_on)
    assert kinds(found) == [kind]


def test_money_is_held_until_the_decision_and_again_from_a_timely_appeal_to_the_final_one() -> None:
    record = dispute(
        ENTRY, "2026-04-02", outcome="rejected", decided_on="2026-04-05", appealed_on="2026-04-19",
        final_outcome="rejected", final_on="2026-05-02",
    )  # fmt: skip
    assert held(follow([record], "2026-04-04")[0]) == [("entry", ENTRY, "2026-04-02", None)]
    assert held(follow([record], "2026-04-18")[0]) == [("entry", ENTRY, "2026-04-02", "2026-04-05")]
    assert held(follow([record], "2026-05-02")[0]) == [
        ("entry", ENTRY, "2026-04-02", "2026-04-05"),
        ("entry", ENTRY, "2026-04-19", "2026-05-02"),
    ]
    assert all(hold.disputed for hold in follow([record], "2026-05-02")[0].holds)


def test_cn_a25_an_appeal_is_lodged_within_fourteen_days_or_refused() -> None:
    record = dispute(
        ENTRY, "2026-04-02", outcome="rejected", decided_on="2026-04-05", appealed_on="2026-04-20",
        final_outcome="upheld", final_on="2026-04-22", adjustment="30.00",
    )  # fmt: skip
    found, posted = follow([record], "2026-05-02")
    assert kinds(found) == ["dispute_decision", "dispute_refused"]
    assert set(only(found, "dispute_refused").clauses) == {"CN-37", "CN-A25"}
    assert (len(found.holds), posted) == (1, [])


def test_cn_36_what_is_decided_becomes_an_entry_of_the_difference() -> None:
    record = dispute(ENTRY, "2026-04-02", outcome="adjusted", adjustment="-25.50", decided_on="2026-04-06")
    assert follow([record], "2026-04-05")[1] == []
    _, [entry] = follow([record], "2026-04-06")
    assert (entry.key, entry.kind, entry.amount) == (
        "code-ninety:r1:adjustment:dispute:d1:1",
        "adjustment",
        Decimal("-25.50"),
    )
    assert (entry.earned_on, entry.releases_on, entry.states_on) == (date(2026, 4, 6),) * 3
    assert (entry.corrects, entry.contract, entry.source) == (ENTRY, "c1", ("dispute", "d1"))
    assert entry.clauses == ("CN-36",)


@pytest.mark.parametrize(
    ("first", "final", "amounts"),
    [
        ("rejected", "upheld", [("2026-04-15", "40.00")]), ("rejected", "rejected", []), ("rejected", "adjusted", [("2026-04-15", "40.00")]),
        ("adjusted", "rejected", [("2026-04-06", "40.00")]), ("adjusted", "upheld", [("2026-04-06", "40.00")]),
    ],
)  # fmt: skip
def test_cn_37_a_final_decision_replaces_the_first_and_a_rejected_appeal_leaves_it(
    first: str, final: str, amounts: list[tuple[str, str]]
) -> None:
    record = dispute(
        ENTRY, "2026-04-02", outcome=first, adjustment="40.00", decided_on="2026-04-06", appealed_on="2026-04-10",
        final_outcome=final, final_on="2026-04-15",
    )  # fmt: skip
    _, posted = follow([record], "2026-04-30")
    assert [(entry.earned_on.isoformat(), str(entry.amount)) for entry in posted] == amounts


def test_cn_37_another_amount_in_the_end_is_the_difference_to_the_first() -> None:
    first = dispute(
        ENTRY, "2026-04-02", outcome="adjusted", adjustment="40.00", decided_on="2026-04-06", appealed_on="2026-04-10"
    )
    last = {
        **first,
        "adjustment": "65.00",
        "final_outcome": "adjusted",
        "final_on": "2026-04-15",
        "known_at": "2026-04-15T08:00:00Z",
    }
    _, posted = follow([first, last], "2026-04-30")
    assert [(entry.key[-1], entry.earned_on.isoformat(), str(entry.amount)) for entry in posted] == [
        ("1", "2026-04-06", "40.00"), ("2", "2026-04-15", "25.00"),
    ]  # fmt: skip
    assert "40.00 PKR was adjusted before" in posted[1].because


def test_a_withdrawn_dispute_frees_what_it_held_and_takes_back_what_it_gave() -> None:
    record = dispute(ENTRY, "2026-04-02", outcome="adjusted", adjustment="40.00", decided_on="2026-04-06")
    gone = {"type": "dispute", "id": "d1", "deleted": True, "known_at": "2026-04-04T09:00:00Z"}
    found, posted = follow([record, gone], "2026-04-30")
    assert (held(found), posted) == ([("entry", ENTRY, "2026-04-02", "2026-04-04")], [])
    assert only(found, "dispute_decision").done_on == date(2026, 4, 4)
    _, posted = follow([record, {**gone, "known_at": "2026-04-20T09:00:00Z"}], "2026-04-30")
    assert [str(entry.amount) for entry in posted] == ["40.00", "-40.00"]


@pytest.mark.parametrize(
    ("subject", "told"),
    [
        ("code-ninety:p2:2026-04-01:PKR", "is p2's, not p1's"), ("a1", "allowed: a statement, an entry or a contract"),
        ("code-ninety:r9:commission:invoice:i9:1", "allowed: a statement, an entry or a contract"),
    ],
)  # fmt: skip
def test_what_is_not_the_partners_or_cannot_be_disputed_is_refused(subject: str, told: str) -> None:
    found, _ = follow([dispute(subject, "2026-05-02")], "2026-05-02")
    assert told in only(found, "dispute_refused").because
    assert found.holds == []


@pytest.mark.parametrize("subject", ["next-technik:p1:2026-04-01:AUD", "optimetriks:r1:commission:invoice:i1:1"])
def test_disputes_about_other_programs_are_none_of_ours(subject: str) -> None:
    assert follow([dispute(subject, "2026-05-02")], "2026-05-02") == (Disputes(), [])


def test_a_statement_of_a_quarter_is_disputed_from_its_end_on() -> None:
    april_to_june = "code-ninety:p1:2026-04-01:PKR"
    assert kinds(follow([dispute(april_to_june, "2026-07-31")], "2026-08-01", CN)[0]) == ["dispute_decision"]
    assert kinds(follow([dispute(april_to_june, "2026-08-01")], "2026-08-01", CN)[0]) == ["dispute_refused"]


OUTCOMES = st.sampled_from(["upheld", "adjusted", "rejected"])
AMOUNTS = st.integers(-10_000, 10_000).map(lambda units: str(Decimal(units).scaleb(-2)))


@settings(derandomize=True, database=None, max_examples=100)
@given(OUTCOMES, OUTCOMES, AMOUNTS, AMOUNTS, st.integers(0, 9), st.integers(0, 20), st.integers(0, 20))
def test_what_was_posted_is_what_the_last_decision_says(
    first: str, final: str, amount: str, other: str, decides: int, appeals: int, ends: int
) -> None:
    decided_on = date(2026, 4, 2) + timedelta(days=decides)
    appealed_on = decided_on + timedelta(days=appeals)
    final_on = appealed_on + timedelta(days=ends)
    record = dispute(ENTRY, "2026-04-02", outcome=first, adjustment=amount, decided_on=decided_on.isoformat())
    record["appealed_on"] = appealed_on.isoformat()
    last = {**record, "adjustment": other, "final_outcome": final, "final_on": final_on.isoformat()}
    last["known_at"] = f"{final_on.isoformat()}T08:00:00Z"
    _, posted = follow([record, last], "2026-12-31")
    total = sum((entry.amount for entry in posted), Decimal(0))
    by_first = Decimal(amount) if first != "rejected" else Decimal(0)
    in_time = appeals <= 14
    if in_time and final != "rejected":
        assert total == Decimal(other)
    elif in_time:
        assert total == by_first
    assert all(entry.amount for entry in posted)
