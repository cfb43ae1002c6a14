"""Co-op funds: allocated by tier, approved before spending, reimbursed against documents, gone with the year (CN-96..CN-106)."""

from collections.abc import Sequence
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rules.co_op import CoOpFund, co_op_of, quarters
from rules.ledger import Ledger, Standing, entry_row
from rules.program import Program, load_program
from rules.statements import Money, cut
from rules.tasks import Task
from rules.tiers import Step
from tests.rules.seen import enrollment, partner, seen

CN = load_program("code-ninety")
SILVER = [(date(2026, 1, 1), "silver")]
ON_PROMOTION = {
    how: load_program("code-ninety", {"coop_on_promotion": how})
    for how in ("top_up_difference", "prorate", "next_year")
}
Steps = Sequence[tuple[date, str | None]]


def request(name: str = "q1", **fields: Any) -> dict[str, Any]:
    body = {
        "type": "co_op_request",
        "id": name,
        "partner": "p1",
        "requested_on": "2026-02-01",
        "use": "digital_marketing",
    }
    return {**body, "amount": "60000.00", "currency": "PKR", **fields}


def fund_of(
    records: list[dict[str, Any]], as_of: str, steps: Steps = SILVER, program: Program = CN, **joined: Any
) -> tuple[CoOpFund, Ledger]:
    views = seen(program, [partner("p1"), enrollment(program, "p1", role="agency", **joined), *records], as_of)
    ledger = Ledger(program.id)
    day = date.fromisoformat(as_of)
    fund = co_op_of(
        program, "p1", views["co_op_request"], views["enrollment"], [Step(*step) for step in steps], ledger, day
    )
    return fund, ledger


def task(fund: CoOpFund, kind: str, subject: str = "q1") -> Task | None:
    found = [each for each in fund.tasks if (each.kind, each.subject) == (kind, subject)]
    assert len(found) <= 1
    return found[0] if found else None


def amounts(ledger: Ledger) -> dict[str, str]:
    return {key: str(entry.amount) for key, entry in ledger.entries.items()}


@pytest.mark.parametrize(
    ("tier", "amount"), [("bronze", None), ("silver", "100000"), ("gold", "300000"), ("platinum", "500000")]
)
def test_cn_96_a_fund_is_allocated_by_tier_at_the_start_of_each_calendar_year(tier: str, amount: str | None) -> None:
    fund, _ = fund_of([], "2027-01-01", [(date(2026, 1, 1), tier)])
    assert [(each.on, str(each.amount)) for each in fund.allocations] == (
        [] if amount is None else [(date(2026, 1, 1), f"{amount}.00"), (date(2027, 1, 1), f"{amount}.00")]
    )


@pytest.mark.parametrize(
    ("how", "added"),
    [("top_up_difference", "200000.00"), ("prorate", "100821.92"), ("next_year", None)],
)
def test_cn_a23_a_promotion_in_mid_year_adds_what_the_setting_says(how: str, added: str | None) -> None:
    program = ON_PROMOTION[how]
    steps = [*SILVER, (date(2026, 7, 1), "gold")]
    fund, _ = fund_of([], "2027-01-01", steps, program)
    middle = [("2026-07-01", added)] if added else []
    assert [(each.on.isoformat(), str(each.amount)) for each in fund.allocations] == [
        ("2026-01-01", "100000.00"), *middle, ("2027-01-01", "300000.00"),
    ]  # fmt: skip


def test_a_tier_lost_and_reached_again_within_a_year_adds_nothing() -> None:
    steps = [(date(2026, 1, 1), "gold"), (date(2026, 7, 1), "silver"), (date(2026, 9, 1), "gold")]
    fund, _ = fund_of([], "2026-12-31", steps)
    assert [str(each.amount) for each in fund.allocations] == ["300000.00"]


def test_cn_100_a_reimbursement_is_due_thirty_days_after_its_documents_and_is_paid_by_itself() -> None:
    record = request(approved_on="2026-02-03", documents_on="2026-03-10", spent="55000.00", reimbursed_on="2026-04-01")
    fund, ledger = fund_of([record], "2026-03-31")
    [entry] = ledger.entries.values()
    row = entry_row(entry, Standing("payable", entry.releases_on))
    assert (row["key"], row["kind"], row["referral"], row["contract"]) == (
        "code-ninety:-:co_op:co_op_request:q1:1", "co_op", None, None,
    )  # fmt: skip
    assert (row["amount"], row["earned_on"], row["released_on"], row["due_on"]) == (
        "55000.00", "2026-03-10", "2026-03-10", "2026-04-09",
    )  # fmt: skip
    assert entry.states_on is None
    payment = task(fund, "co_op_reimbursement")
    assert payment is not None
    assert (payment.opened_on, payment.due_on, payment.done_on) == (date(2026, 3, 10), date(2026, 4, 9), None)
    fund, ledger = fund_of([record], "2026-04-01")
    payment = task(fund, "co_op_reimbursement")
    assert payment is not None
    assert payment.done_on == date(2026, 4, 1)
    result = cut(CN, ledger, [], {}, Money({}, {}), date(2026, 4, 1))
    assert result.statements == []
    assert [standing.state for standing in result.standings.values()] == ["paid"]
    assert [event for _, event, _, _ in ledger.moves] == ["released", "stated", "paid"]


def test_cn_99_a_request_waits_for_approval_and_tells_what_is_left() -> None:
    fund, ledger = fund_of([request(approved_on="2026-02-20")], "2026-02-10")
    waiting = task(fund, "co_op_approval")
    assert waiting is not None
    assert (waiting.opened_on, waiting.done_on) == (date(2026, 2, 1), None)
    assert "100000.00 of the fund is left" in waiting.because
    assert {"CN-99", "CN-106"} <= set(waiting.clauses)
    approved = task(fund_of([request(approved_on="2026-02-20")], "2026-02-20")[0], "co_op_approval")
    assert approved is not None
    assert approved.done_on == date(2026, 2, 20)
    assert ledger.entries == {}


@pytest.mark.parametrize("approved_on", [None, "2026-03-11"])
def test_cn_99_what_was_spent_before_an_approval_is_refused(approved_on: str | None) -> None:
    fund, ledger = fund_of([request(approved_on=approved_on, documents_on="2026-03-10")], "2026-04-30")
    assert ledger.entries == {}
    refused = task(fund, "co_op_refused")
    assert refused is not None
    assert "CN-99" in refused.clauses
    assert refused.row(date(2026, 4, 30))["state"] == "done"
    assert "without an approval before spending" in refused.because


@pytest.mark.parametrize("use", ["Gifts", "travel", "sales bonus"])
def test_cn_98_a_use_that_is_not_listed_is_refused_even_when_approved(use: str) -> None:
    fund, ledger = fund_of([request(use=use, approved_on="2026-02-03", documents_on="2026-03-10")], "2026-04-30")
    refused = task(fund, "co_op_refused")
    assert refused is not None
    assert "CN-98" in refused.clauses
    assert "joint_campaigns" in refused.because
    assert ledger.entries == {}


@pytest.mark.parametrize(
    "use",
    ["joint_campaign", "Event sponsorship", "co-branded materials", "digital_marketing", "training and enablement", "webinar", "Social"],
)  # fmt: skip
def test_cn_98_and_cn_104_listed_uses_are_known_by_their_names_and_kinds(use: str) -> None:
    _, ledger = fund_of([request(use=use, approved_on="2026-02-03", documents_on="2026-03-10")], "2026-04-30")
    assert list(amounts(ledger).values()) == ["60000.00"]


def test_another_currency_than_the_funds_is_refused() -> None:
    fund, ledger = fund_of(
        [request(currency="USD", amount="100.00", approved_on="2026-02-03", documents_on="2026-02-09")], "2026-03-01"
    )
    assert task(fund, "co_op_refused") is not None
    assert ledger.entries == {}


def test_what_is_above_the_fund_is_refused_and_the_rest_is_paid() -> None:
    records = [
        request("q1", approved_on="2026-02-03", documents_on="2026-03-10"),
        request("q2", requested_on="2026-02-05", approved_on="2026-02-06", documents_on="2026-02-20"),
    ]
    fund, ledger = fund_of(records, "2026-04-30")
    assert amounts(ledger) == {
        "code-ninety:-:co_op:co_op_request:q2:1": "40000.00",
        "code-ninety:-:co_op:co_op_request:q1:1": "60000.00",
    }
    refused = task(fund, "co_op_refused", "q2")
    assert refused is not None
    assert "60000.00 is wanted, 40000.00 of the fund of 2026 is left" in refused.because
    assert "CN-97" in refused.clauses


def test_a_partner_without_a_fund_is_refused() -> None:
    fund, ledger = fund_of([request(approved_on="2026-02-03")], "2026-02-28", [(date(2026, 1, 1), "bronze")])
    refused = task(fund, "co_op_refused")
    assert refused is not None
    assert "CN-96" in refused.clauses
    assert ledger.entries == {}


def test_more_than_was_approved_is_not_reimbursed() -> None:
    record = request(approved_on="2026-02-03", documents_on="2026-03-10", spent="70000.00")
    fund, ledger = fund_of([record], "2026-04-30")
    assert list(amounts(ledger).values()) == ["60000.00"]
    refused = task(fund, "co_op_refused")
    assert refused is not None
    assert "70000.00 was spent, 60000.00 approved" in refused.because


def test_cn_97_unused_funds_go_to_the_next_quarter_and_expire_with_the_year() -> None:
    record = request(approved_on="2026-04-03", documents_on="2026-05-10", spent="25000.00")
    fund, _ = fund_of([record], "2027-01-01")
    shown = [(row["quarter"], row["carried"], row["allocated"], row["spent"], row["expired"], row["left"])
             for row in (quarter.row() for quarter in quarters(fund, date(2027, 1, 1)))]  # fmt: skip
    assert shown == [
        ("2026 Q1", "0.00", "100000.00", "0.00", "0.00", "100000.00"),
        ("2026 Q2", "100000.00", "0.00", "25000.00", "0.00", "75000.00"),
        ("2026 Q3", "75000.00", "0.00", "0.00", "0.00", "75000.00"),
        ("2026 Q4", "75000.00", "0.00", "0.00", "75000.00", "0.00"),
        ("2027 Q1", "0.00", "100000.00", "0.00", "0.00", "100000.00"),
    ]


def test_what_was_approved_before_the_year_ended_is_still_reimbursed_after_it() -> None:
    record = request(requested_on="2026-12-01", approved_on="2026-12-10", documents_on="2027-01-15", spent="50000.00")
    fund, ledger = fund_of([record], "2027-03-31")
    assert list(amounts(ledger).values()) == ["50000.00"]
    last = quarters(fund, date(2027, 3, 31))[-1]
    assert (last.spent, last.committed, last.expired, last.left) == tuple(
        map(Decimal, ("50000.00", "-60000.00", "10000.00", "100000.00"))
    )


def test_cn_102_the_results_of_a_campaign_are_due_by_the_end_of_the_quarter() -> None:
    record = request(approved_on="2026-02-03", documents_on="2026-02-10", results={"impressions": 1000, "clicks": 20})
    report = task(fund_of([record], "2026-03-31")[0], "co_op_report")
    assert report is not None
    assert (report.due_on, report.done_on) == (date(2026, 3, 31), None)
    assert "missing: leads, revenue" in report.because
    results = {"impressions": 1000, "clicks": 20, "leads": 3, "revenue": "900000.00"}
    later = {**record, "known_at": "2026-03-05T10:00:00Z", "results": results}
    report = task(fund_of([record, later], "2026-03-31")[0], "co_op_report")
    assert report is not None
    assert report.done_on == date(2026, 3, 5)


def test_a_corrected_amount_is_an_entry_of_the_difference() -> None:
    first = request(approved_on="2026-02-03", documents_on="2026-02-10", spent="50000.00")
    later = {**first, "known_at": "2026-03-05T10:00:00Z", "spent": "45000.00"}
    gone = {"type": "co_op_request", "id": "q1", "deleted": True, "known_at": "2026-03-20T10:00:00Z"}
    _, ledger = fund_of([first, later, gone], "2026-04-30")
    assert list(amounts(ledger).values()) == ["50000.00", "-5000.00", "-45000.00"]
    assert [entry.corrects for entry in ledger.entries.values()] == [
        None,
        *["code-ninety:-:co_op:co_op_request:q1:1"] * 2,
    ]


def test_who_is_not_in_the_program_has_no_fund_and_no_tasks() -> None:
    fund, ledger = fund_of(
        [request(approved_on="2026-02-03", documents_on="2026-02-10")], "2026-04-30", starts_on="2026-03-01"
    )
    assert fund.tasks == []
    assert ledger.entries == {}


DAYS = st.integers(0, 800).map(lambda days: date(2026, 1, 1) + timedelta(days=days))
AMOUNTS = st.integers(1, 15_000_000).map(lambda units: str(Decimal(units).scaleb(-2)))
TIERS = st.lists(st.tuples(DAYS, st.sampled_from(["bronze", "silver", "gold", "platinum"])), max_size=4)


@st.composite
def requests(draw: st.DrawFn) -> list[dict[str, Any]]:
    made = []
    for number in range(draw(st.integers(0, 5))):
        first, second, third = sorted(draw(st.tuples(DAYS, DAYS, DAYS)))
        record = request(f"q{number}", requested_on=first.isoformat(), amount=draw(AMOUNTS), spent=draw(AMOUNTS))
        record["approved_on"], record["documents_on"] = second.isoformat(), third.isoformat()
        if draw(st.booleans()):
            record["known_at"] = f"{draw(DAYS).isoformat()}T12:00:00Z"
        made.append(record)
    return made


@settings(derandomize=True, database=None, max_examples=150)
@given(requests(), TIERS, st.sampled_from(sorted(ON_PROMOTION)), DAYS)
def test_a_fund_is_never_below_nothing_and_adds_up(
    records: list[dict[str, Any]], tiers: list[tuple[date, str]], how: str, as_of: date
) -> None:
    program = ON_PROMOTION[how]
    steps = [(date(2026, 1, 1), "silver"), *sorted(dict(tiers).items())]
    fund, ledger = fund_of(records, as_of.isoformat(), steps, program)
    found = quarters(fund, as_of)
    assert all(quarter.left >= 0 for quarter in found)
    paid = sum((entry.amount for entry in ledger.entries.values()), Decimal(0))
    assert paid == sum((quarter.spent for quarter in found), Decimal(0))
    allocated = sum((each.amount for each in fund.allocations), Decimal(0))
    out = sum((quarter.committed + quarter.spent + quarter.expired for quarter in found), Decimal(0))
    assert allocated == out + (found[-1].left if found else Decimal(0))
    assert paid <= allocated
