"""What stands beside the deals is given its part of the facts: shared leads, each partner's tasks and funds."""

from datetime import date
from typing import Any

import orjson

from jobs.history import History
from jobs.standing import co_op_funds, shared_referrals, tasks_of_partners, tasks_of_program
from rules.facts import read_facts
from rules.ledger import Ledger
from rules.program import load_program
from rules.tiers import Step, TierHistory

CN = load_program("code-ninety")
NEW_YEAR = date(2026, 1, 1)
TIERS = CN.on(NEW_YEAR).tiers
assert TIERS is not None
SILVER = TierHistory(
    NEW_YEAR, TIERS.levels, [(CN.calendar.start_of(NEW_YEAR), [Step(NEW_YEAR, "silver")])], [], count=6, review_on=None
)
RECORDS: list[dict[str, Any]] = [
    {"type": "partner", "id": "p1", "name": "Sahil Works"},
    {"type": "partner", "id": "p2", "name": "Karwan Labs"},
    *(
        {"type": "enrollment", "id": f"e-{p}", "partner": p, "program": "code-ninety", "role": "agency", "starts_on": "2026-01-01"}
        for p in ("p1", "p2")
    ),
    {"type": "shared_lead", "id": "l1", "program": "code-ninety", "offered_at": "2026-03-02T10:00:00+05:00", "source": "website",
     "company": "Sitara Foods", "offers": ["p1", "p2"], "taken_by": "p1", "taken_at": "2026-03-02T18:00:00+05:00"},
    *(
        {"type": "ticket", "id": f"t-{p}", "partner": p, "opened_at": "2026-03-01T22:00:00+05:00", "subject": "Login"}
        for p in ("p1", "p2")
    ),
    {"type": "application", "id": "a1", "program": "code-ninety", "applied_on": "2026-03-05", "name": "Quince Labs"},
    {"type": "application", "id": "a2", "program": "optimetriks", "applied_on": "2026-03-05", "name": "Quince Labs"},
    {"type": "co_op_request", "id": "q1", "partner": "p1", "requested_on": "2026-02-01", "use": "webinar", "amount": "60000.00",
     "currency": "PKR", "approved_on": "2026-02-03", "documents_on": "2026-03-10"},
]  # fmt: skip


def referral(name: str, partner: str, submitted_at: str, company: str) -> dict[str, Any]:
    body = {"type": "referral", "id": name, "program": "code-ninety", "partner": partner, "channel": "portal"}
    return {**body, "submitted_at": submitted_at, "company": company}


def history(*more: dict[str, Any], as_of: str = "2026-03-31") -> History:
    facts, rejected = read_facts([orjson.dumps(record) for record in (*RECORDS, *more)], file="records.jsonl")
    assert not rejected
    return History.of(CN, facts, date.fromisoformat(as_of))


def test_cn_a22_a_referral_of_a_lead_that_the_partner_took_is_a_shared_one() -> None:
    referrals = [
        referral("shared", "p1", "2026-03-05T10:00:00+05:00", "Sitara Foods (Pvt) Ltd"),
        referral("before", "p1", "2026-03-01T10:00:00+05:00", "Sitara Foods"),
        referral("others", "p2", "2026-03-05T10:00:00+05:00", "Sitara Foods"),
        referral("another", "p1", "2026-03-05T10:00:00+05:00", "Falak Textiles"),
    ]
    assert shared_referrals(history(*referrals)) == {"shared"}
    assert shared_referrals(history(*referrals, as_of="2026-03-01")) == frozenset()


def test_each_partner_has_its_own_tickets_and_duties() -> None:
    tasks = tasks_of_partners(history(), {"p2": SILVER})
    named = {(task.kind, task.subject) for task in tasks}
    assert {("ticket_response", "t-p1"), ("ticket_response", "t-p2"), ("sales_training", "p1")} <= named
    assert [subject for kind, subject in sorted(named) if kind == "silver_benefits"] == ["p2"]


def test_applications_and_shared_leads_are_the_programs_own() -> None:
    tasks = tasks_of_program(history(), {"p1": SILVER}, [])
    assert {(task.kind, task.subject) for task in tasks} == {
        ("application_review", "a1"), ("lead_offer", "l1"), ("lead_assignment", "l1"), ("lead_outcome", "l1"),
    }  # fmt: skip


def test_a_fund_is_the_partners_own_and_posts_to_the_ledger() -> None:
    ledger = Ledger(CN.id)
    funds = co_op_funds(history(), {"p1": SILVER.steps, "p2": SILVER.steps}, ledger)
    assert [(fund.partner, {task.subject for task in fund.tasks}) for fund in funds] == [("p1", {"q1"}), ("p2", set())]
    assert [(entry.partner, str(entry.amount)) for entry in ledger.entries.values()] == [("p1", "60000.00")]
