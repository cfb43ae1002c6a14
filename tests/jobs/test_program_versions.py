"""Terms that change leave what was agreed, computed and posted before as it is."""

from __future__ import annotations

from datetime import date, timedelta
from functools import cache
from importlib.resources import files
from typing import Any

import orjson
import pytest

from jobs.settle import outcome, settle
from rules.errors import ProgramError
from rules.facts import read_facts
from rules.program import Program, parse_program

CHANGED_ON = "2026-07-01"


@cache
def text_of(name: str) -> str:
    return (files("rules") / "programs" / f"{name}.yaml").read_text("utf-8")


def with_version(name: str, *changes: tuple[str, str]) -> Program:
    """A shipped program whose terms change in the middle of 2026."""
    text = text_of(name)
    version = text[text.index("  - effective_from:") :].rstrip()
    version = version.replace(version.splitlines()[0], f"  - effective_from: {CHANGED_ON}", 1)
    for before, after in changes:
        assert before in version, before
        version = version.replace(before, after)
    version = version.replace("&rate ", "&rate2 ").replace("*rate", "*rate2").replace("&recurring ", "&recurring2 ")
    return parse_program(f"{text.rstrip()}\n{version.replace('*recurring', '*recurring2')}\n", f"{name}.yaml")


def settled(program: Program, records: list[dict[str, Any]], day: str) -> dict[str, Any]:
    facts, rejected = read_facts([orjson.dumps(row) for row in records], file="records")
    assert not rejected
    as_of = date.fromisoformat(day)
    return outcome(settle([program], facts, as_of), as_of)


def deal(name: str, approved: str, signed: str) -> list[dict[str, Any]]:
    """One Network: a registration, its approval, its contract over 100,000.00 and the first payment."""
    return [
        {"type": "account", "id": f"a-{name}", "name": f"Larch {name} Mills", "website": f"larch{name}.com"},
        {"type": "referral", "id": f"r-{name}", "program": "one-network", "partner": "p1", "channel": "email",
         "submitted_at": f"{approved}T09:00:00-06:00", "company": f"Larch {name} Mills", "account": f"a-{name}"},
        {"type": "review", "id": f"v-{name}", "referral": f"r-{name}", "at": f"{approved}T10:00:00-06:00",
         "outcome": "approved", "by": "Dana"},
        {"type": "introduction", "id": f"n-{name}", "referral": f"r-{name}", "at": f"{approved}T11:00:00-06:00",
         "name": "Lena Ortiz", "decision_maker": True},
        {"type": "contract", "id": f"c-{name}", "account": f"a-{name}", "kind": "saas", "signed_on": signed,
         "starts_on": signed, "currency": "USD", "lines": [{"kind": "saas", "amount": "100000.00"}]},
        {"type": "invoice", "id": f"i-{name}", "account": f"a-{name}", "contract": f"c-{name}", "issued_on": signed,
         "currency": "USD", "lines": [{"kind": "saas", "amount": "100000.00"}]},
        {"type": "payment", "id": f"y-{name}", "invoice": f"i-{name}", "received_on": signed, "amount": "100000.00",
         "currency": "USD"},
    ]  # fmt: skip


PARTNER: list[dict[str, Any]] = [
    {"type": "partner", "id": "p1", "name": "Alder Advisers"},
    {"type": "enrollment", "id": "e1", "partner": "p1", "program": "one-network", "role": "referral",
     "starts_on": "2025-01-01"},
]  # fmt: skip


def test_a_changed_rate_is_for_deals_that_are_pinned_later_and_moves_nothing_posted() -> None:
    """E32, G-1: a plan that is edited never rates the past anew."""
    program = with_version("one-network", ('fixed: "0.10"', 'fixed: "0.12"'))
    records = [*PARTNER, *deal("one", "2026-05-05", "2026-05-20"), *deal("two", "2026-06-20", "2026-08-01"),
               *deal("three", "2026-07-05", "2026-08-01")]  # fmt: skip
    before = settled(program, records, "2026-06-30")["entries"]
    after = settled(program, records, "2026-09-01")["entries"]
    amounts = {entry["referral"]: entry["amount"] for entry in after}
    assert amounts == {"r-one": "10000.00", "r-two": "10000.00", "r-three": "12000.00"}
    assert [entry["key"] for entry in before] == ["one-network:r-one:commission:contract:c-one:1"]
    assert all(entry["kind"] == "commission" for entry in after)


def test_customers_won_under_a_reward_paid_once_do_not_start_to_earn_again_when_it_becomes_recurring() -> None:
    """E36."""
    recurring = """      - kind: share_of_invoices
        rate: {sources: [fixed], fixed: "0.10", clauses: [ON-1]}
        earned: issued
        scope: contracts
        due: due_days
        clauses: [ON-1]

    statements:"""
    program = with_version(
        "one-network",
        ("    statements:", recurring),
        ("when: {release: full_on_first_receipt}", "when: {true_up: none}"),
    )
    old = deal("old", "2026-05-05", "2026-05-20")
    new = deal("new", "2026-07-05", "2026-08-01")
    later = [
        {"type": "invoice", "id": f"later-{name}", "account": f"a-{name}", "contract": f"c-{name}",
         "issued_on": "2026-09-01", "currency": "USD", "lines": [{"kind": "saas", "amount": "5000.00"}]}
        for name in ("old", "new")
    ]  # fmt: skip
    entries = settled(program, [*PARTNER, *old, *new, *later], "2026-09-30")["entries"]
    assert sorted((entry["referral"], entry["source"]["id"], entry["amount"]) for entry in entries) == [
        ("r-new", "i-new", "10000.00"), ("r-new", "later-new", "500.00"), ("r-old", "c-old", "10000.00"),
    ]  # fmt: skip


def test_a_calendar_that_changes_moves_only_deadlines_to_come() -> None:
    """E24, G-5: holidays that are added in July leave June's deadline, and move August's."""
    closed = "business_calendar: {closed: [2026-06-10, 2026-08-10], clauses: [G-5]}"
    program = with_version(
        "next-technik", ("business_calendar: {weekend: [saturday, sunday], clauses: [G-5, NT-15]}", closed)
    )
    records: list[dict[str, Any]] = [
        {"type": "partner", "id": "p1", "name": "Alder Advisers"},
        {"type": "enrollment", "id": "e1", "partner": "p1", "program": "next-technik", "role": "referral",
         "starts_on": "2025-01-01", "rate": "0.1"},
        {"type": "account", "id": "a1", "name": "Brindle Crane Hire", "website": "brindle.com.au"},
        {"type": "referral", "id": "r1", "program": "next-technik", "partner": "p1", "channel": "portal",
         "submitted_at": "2026-01-05T09:00:00+11:00", "company": "Brindle Crane Hire", "website": "brindle.com.au",
         "details": {"mobile_users": 3, "industry": "other"}},
        {"type": "contract", "id": "c1", "account": "a1", "kind": "saas", "signed_on": "2026-01-20", "currency": "AUD"},
        {"type": "review", "id": "v1", "referral": "r1", "at": "2026-01-22T10:00:00+11:00", "outcome": "approved", "by": "M"},
    ]  # fmt: skip
    for number, day in enumerate(("2026-05-12", "2026-07-14")):
        records.append({"type": "invoice", "id": f"i{number}", "account": "a1", "contract": "c1", "issued_on": day,
                        "currency": "AUD", "lines": [{"kind": "saas", "amount": "100.00"}]})  # fmt: skip
        records.append({"type": "payment", "id": f"y{number}", "invoice": f"i{number}", "received_on": day,
                        "amount": "100.00", "currency": "AUD"})  # fmt: skip
    due = {s["period_from"]: s["due_on"] for s in settled(program, records, "2026-09-01")["statements"]}
    assert due == {"2026-05-01": "2026-06-12", "2026-07-01": "2026-08-17"}


@pytest.mark.parametrize(("value", "rate"), [("100000.00", "0.05"), ("99999.99", "0.03"), ("1000000.50", "0.08")])
def test_a_band_reaches_up_to_the_next_one_which_holds_the_edge(value: str, rate: str) -> None:
    """E58, TC-12, CN-A8: no value falls between two bands, and an edge belongs to one of them."""
    bands = """sources: [decision, enrollment, bands]
          bands:
            - {from_value: "0", rate: "0.03"}
            - {from_value: "100000", rate: "0.05"}
            - {from_value: "1000000", rate: "0.08"}
"""
    text = text_of("technology-consultant").replace("sources: [decision, enrollment, bands]\n", bands, 1)
    program = parse_program(text, "bands.yaml")
    records: list[dict[str, Any]] = [
        {"type": "partner", "id": "p1", "name": "Nadia Kern"},
        {"type": "enrollment", "id": "e1", "partner": "p1", "program": program.id, "role": "independent_consultant",
         "starts_on": "2025-01-01"},
        {"type": "account", "id": "a1", "name": "Pelham Logistics"},
        {"type": "referral", "id": "r1", "program": program.id, "partner": "p1", "channel": "portal", "account": "a1",
         "submitted_at": "2026-01-05T09:00:00-05:00", "company": "Pelham Logistics",
         "details": {"service_type": "other", "needs": "x"}},
        {"type": "review", "id": "v1", "referral": "r1", "at": "2026-01-06T09:00:00-05:00", "outcome": "approved", "by": "I"},
        {"type": "contract", "id": "c1", "account": "a1", "kind": "project", "signed_on": "2026-01-20",
         "commenced_on": "2026-01-21", "currency": "USD", "value": value},
    ]  # fmt: skip
    assert [entry["rate"] for entry in settled(program, records, "2026-02-01")["entries"]] == [rate]


def test_bands_that_share_an_edge_are_refused() -> None:
    """E58."""
    bands = 'sources: [bands]\n          bands: [{from_value: "0", rate: "0.03"}, {from_value: "0", rate: "0.05"}]\n'
    text = text_of("technology-consultant").replace("sources: [decision, enrollment, bands]\n", bands, 1)
    with pytest.raises(ProgramError, match="rising from_value, each only once"):
        parse_program(text, "bands.yaml")


def test_where_invoices_pin_each_goes_by_the_terms_in_force_on_its_issue_date() -> None:
    """G-1 with ``terms_pin_at=invoice_date``: what is issued before the change keeps the old terms, also when it is learned of,
    or paid, after it; a contract that earns as a whole goes by its first invoice."""
    program = with_version(
        "one-network", ('fixed: "0.10"', 'fixed: "0.12"'), ("excluded_lines:\n          [services,", "excluded_lines:\n          [")
    ).changed({"terms_pin_at": "invoice_date"})  # fmt: skip
    records = [*PARTNER, *deal("old", "2026-05-05", "2026-05-20"), *deal("new", "2026-05-06", "2026-07-01")]
    entries = settled(program, records, "2026-09-01")["entries"]
    assert {entry["referral"]: entry["amount"] for entry in entries} == {"r-old": "10000.00", "r-new": "12000.00"}
    collected = program.changed({"release": "as_collected"})
    more = [
        {"type": "invoice", "id": f"more-{day}", "account": "a-old", "contract": "c-old", "issued_on": day, "currency": "USD",
         "known_at": "2026-07-20T09:00:00-05:00",
         "lines": [{"kind": "saas", "amount": "1000.00"}, {"kind": "services", "amount": "500.00"}]}
        for day in ("2026-06-30", "2026-07-01")
    ]  # fmt: skip
    more += [
        {"type": "payment", "id": f"p-{each['issued_on']}", "invoice": each["id"], "received_on": "2026-08-01",
         "amount": "1500.00", "currency": "USD"}
        for each in more
    ]  # fmt: skip
    entries = settled(collected, [*records, *more], "2026-09-01")["entries"]
    assert {entry["source"]["id"]: entry["amount"] for entry in entries} == {
        "y-old": "10000.00", "y-new": "12000.00", "p-2026-06-30": "100.00", "p-2026-07-01": "180.00",
    }  # fmt: skip
    again = settled(collected, [*records, *more], "2026-10-01")["entries"]
    assert [each["key"] for each in again] == [each["key"] for each in entries]


def test_where_invoices_pin_a_recurring_commission_changes_its_terms_with_its_invoices() -> None:
    """G-1 with ``terms_pin_at=invoice_date``, for shares of invoices."""
    program = with_version(
        "code-ninety", ('tier: bronze, from_count: 0, rate: "0.15"', 'tier: bronze, from_count: 0, rate: "0.16"')
    )
    records: list[dict[str, Any]] = [
        {"type": "partner", "id": "p1", "name": "Alder Advisers"},
        {"type": "enrollment", "id": "e1", "partner": "p1", "program": "code-ninety", "role": "consultant", "starts_on": "2025-01-01"},
        {"type": "account", "id": "a1", "name": "Brindle Crane Hire"},
        {"type": "referral", "id": "r1", "program": "code-ninety", "partner": "p1", "channel": "portal", "account": "a1",
         "submitted_at": "2026-05-05T09:00:00+05:00", "company": "Brindle Crane Hire",
         "contact": {"name": "S", "title": "CTO", "email": "s@brindle.pk", "phone": "1"},
         "details": {"description": "x", "estimated_value": "1", "estimated_timeline": "x", "services": ["x"], "decision_timeline": "x"}},
        {"type": "review", "id": "v1", "referral": "r1", "at": "2026-05-06T10:00:00+05:00", "outcome": "approved", "by": "O"},
        {"type": "contract", "id": "c1", "account": "a1", "kind": "retainer", "signed_on": "2026-05-20", "currency": "PKR"},
        *({"type": "invoice", "id": day, "account": "a1", "contract": "c1", "issued_on": day, "currency": "PKR",
           "lines": [{"kind": "retainer", "amount": "1000.00"}]} for day in ("2026-06-30", "2026-07-01")),
    ]  # fmt: skip
    for pin_at, amounts in (("claim_approval", ["150.00", "150.00"]), ("invoice_date", ["150.00", "160.00"])):
        entries = settled(program.changed({"terms_pin_at": pin_at}), records, "2026-09-01")["entries"]
        assert [entry["amount"] for entry in sorted(entries, key=lambda e: e["source"]["id"])] == amounts


def clients(count: int, first: int = 1) -> list[dict[str, Any]]:
    """Code Ninety: so many clients won in spring 2026, one a week."""
    found: list[dict[str, Any]] = []
    for number in range(count):
        name, day = f"{'bcdfghjklmnp'[number]}alt{number}", date(2026, first, 5) + timedelta(weeks=number)
        found += [
            {"type": "account", "id": f"a-{name}", "name": name},
            {"type": "referral", "id": f"r-{name}", "program": "code-ninety", "partner": "p1", "channel": "portal",
             "submitted_at": f"{day}T09:00:00+05:00", "company": name, "account": f"a-{name}",
             "contact": {"name": "S", "title": "CTO", "email": f"s@{name}.pk", "phone": "1"},
             "details": {"description": "x", "estimated_value": "1", "estimated_timeline": "x", "services": ["x"],
                         "decision_timeline": "x"}},
            {"type": "review", "id": f"v-{name}", "referral": f"r-{name}", "at": f"{day}T10:00:00+05:00", "outcome": "approved",
             "by": "O"},
            {"type": "contract", "id": f"c-{name}", "account": f"a-{name}", "kind": "retainer", "currency": "PKR",
             "signed_on": (day + timedelta(days=1)).isoformat()},
        ]  # fmt: skip
    return found


@pytest.mark.parametrize(("number", "before", "after"), [("8", "silver", "silver"), ("4", "bronze", "silver")])
def test_a_tier_table_that_changes_grants_from_then_on_and_takes_no_tier_away(
    number: str, before: str, after: str
) -> None:
    """E32, G-1, CN-8: with six clients a partner is silver from six on and stays it when it takes eight; with five it rises on
    the day from which four are enough. What was posted stays as it was."""
    program = with_version("code-ninety", ("tier: silver, from_count: 6,", f"tier: silver, from_count: {number},"))
    won = clients(6 if before == "silver" else 5)
    first = won[0]["id"]
    partner: list[dict[str, Any]] = [
        {"type": "partner", "id": "p1", "name": "Alder Advisers"},
        {"type": "enrollment", "id": "e1", "partner": "p1", "program": "code-ninety", "role": "consultant", "starts_on": "2025-01-01"},
    ]  # fmt: skip
    bills: list[dict[str, Any]] = [
        {"type": "invoice", "id": day, "account": first, "contract": first.replace("a-", "c-"), "issued_on": day, "currency": "PKR",
         "lines": [{"kind": "retainer", "amount": "1000.00"}]}
        for day in ("2026-06-30", "2026-07-01")
    ]  # fmt: skip
    records = [*partner, *won, *bills]
    posted = settled(program, records, "2026-06-30")
    found = settled(program, records, "2026-08-01")
    rates = {"bronze": "0.15", "silver": "0.18"}
    assert [tier["tier"] for tier in posted["tiers"]] == [before]
    assert [(tier["tier"], tier["since"]) for tier in found["tiers"]] == [
        (after, "2026-02-10" if before == after else CHANGED_ON)
    ]
    assert {entry["source"]["id"]: entry["rate"] for entry in found["entries"]} == {
        "2026-06-30": rates[before], "2026-07-01": rates[after],
    }  # fmt: skip
    amounts = {entry["key"]: entry["amount"] for entry in found["entries"]}
    assert all(amounts[entry["key"]] == entry["amount"] for entry in posted["entries"])
