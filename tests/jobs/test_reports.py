"""What each report says: tables of values, and that nothing but the facts decides."""

import csv
import io
import random
import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from jobs.cli import app
from jobs.derivation.html import as_html
from jobs.problems import UserError
from jobs.report.catalogue import REPORTS
from jobs.report.leads import stage_of, status_of
from jobs.report.picture import Picture
from jobs.report.tables import Asked
from jobs.report_file import where_option
from jobs.scenarios import FOLDER, load_scenario
from jobs.settle import as_bytes
from jobs.sheets import cell, csv_text, read_cell
from rules.errors import RecordError
from rules.records import Opportunity, parse
from tests.jobs.report_world import handmade, report, scenarios, settled

Row = dict[str, Any]
NT = load_scenario(FOLDER / "next-technik" / "nt_15_statement_by_tenth_business_day.yaml").records


def only(rows: list[Row], **given: Any) -> Row:
    (found,) = [row for row in rows if all(row[name] == value for name, value in given.items())]
    return found


def partner(name: str, program: str, **more: Any) -> list[Row]:
    return [
        {"type": "partner", "id": name, "name": f"{name.upper()} Advisers"},
        {
            "type": "enrollment",
            "id": f"e-{name}",
            "partner": name,
            "program": program,
            "starts_on": "2025-01-01",
            **more,
        },
    ]


def referral(name: str, program: str, who: str, at: str, **more: Any) -> Row:
    return {"type": "referral", "id": name, "program": program, "partner": who, "submitted_at": at, "channel": "portal",
            "company": f"{name.upper()} Works", **more}  # fmt: skip


def sale(name: str, account: str, stage: str, **more: Any) -> Row:
    return {"type": "opportunity", "id": name, "account": account, "stage": stage, "created_at": "2026-01-10T10:00:00Z",
            **more}  # fmt: skip


def contract(name: str, account: str, signed_on: str, value: str, **more: Any) -> Row:
    return {"type": "contract", "id": name, "account": account, "kind": "saas", "signed_on": signed_on,
            "currency": "USD", "value": value, **more}  # fmt: skip


def account(name: str, **more: Any) -> Row:
    return {"type": "account", "id": name, "name": f"{name.upper()} Works", **more}


# One Network: two leads of p1, one of p2; the first is won with a contract of three years.
ON = [
    *partner("p1", "one-network"), *partner("p2", "one-network"),
    account("a1", owner="Robin Vale"), account("a2"), account("a3"),
    referral("r1", "one-network", "p1", "2026-01-05T16:00:00Z", account="a1"),
    referral("r2", "one-network", "p1", "2026-02-05T16:00:00Z", account="a2"),
    referral("r3", "one-network", "p2", "2026-02-06T16:00:00Z", account="a3"),
    {"type": "introduction", "id": "n1", "referral": "r1", "at": "2026-01-20T16:00:00Z", "name": "Kim Ash",
     "title": "COO", "email": "kim@a1.example", "decision_maker": True, "relation": "employee"},
    contract("c1", "a1", "2026-03-10", "390000.00", starts_on="2026-04-01", lines=[
        {"kind": "saas", "amount": "120000.00", "from": "2026-04-01", "to": "2027-03-31"},
        {"kind": "saas", "amount": "130000.00", "from": "2027-04-01", "to": "2028-03-31"},
        {"kind": "saas", "amount": "140000.00", "from": "2028-04-01", "to": "2029-03-31"},
        {"kind": "services", "amount": "50000.00"}]),
    sale("o2", "a2", "Negotiation", referral="r2", amount="80000.00", currency="USD", expected_close="2026-08-01"),
    sale("o3", "a3", "Qualification", referral="r3", closed_at="2026-04-15T16:00:00Z", outcome="lost"),
]  # fmt: skip
ON_CLAIMS = [
    {"referral": "r1", "partner": "p1", "account": "a1", "contracts": ["c1"], "through": [
        ("2026-01-05T16:00:00+00:00", "submitted", None), ("2026-01-12T16:00:00+00:00", "active", None),
        ("2026-03-10T06:00:00+00:00", "won", "2026-03-10")]},
    {"referral": "r2", "partner": "p1", "account": "a2", "through": [
        ("2026-02-05T16:00:00+00:00", "submitted", None), ("2026-02-12T16:00:00+00:00", "active", None)]},
    {"referral": "r3", "partner": "p2", "account": "a3", "through": [
        ("2026-02-06T16:00:00+00:00", "submitted", None), ("2026-02-12T16:00:00+00:00", "active", None)]},
]  # fmt: skip


def one_network(**more: Any) -> Picture:
    return handmade("one-network", ON, "2026-05-31", ON_CLAIMS, **more)


@pytest.mark.parametrize("release", ["full_on_first_receipt", "as_collected"])
def test_registry_has_the_eight_fields_as_they_stand(release: str) -> None:
    """ON-6, ON-7, ON-8, ON-9, ON-10, ON-11, ON-12, ON-13; whichever way of ON-A3 the commission is paid."""
    rows = report("registry", one_network(release=release))["leads"]
    assert only(rows, referral="r1") == {
        "as_of": "2026-05-31", "program": "one-network", "referral": "r1", "account": "a1", "company": "R1 Works",
        "lead_status": "won", "registered_at": "2026-01-05T10:00:00-06:00", "partner": "p1",
        "account_owner": "Robin Vale",
        "introduced_contacts": [{"name": "Kim Ash", "title": "COO", "email": "kim@a1.example", "decision_maker": True,
                                 "relation": "employee", "at": "2026-01-20T10:00:00-06:00"}],
        "deal_status": "won", "deal_close_date": "2026-03-10", "first_year_saas_revenue": "120000.00",
        "currency": "USD",
    }  # fmt: skip
    open_lead, lost = only(rows, referral="r2"), only(rows, referral="r3")
    assert (open_lead["lead_status"], open_lead["deal_status"]) == ("active", "open")
    assert open_lead["deal_close_date"] == "2026-08-01" and open_lead["first_year_saas_revenue"] is None
    assert (lost["deal_status"], lost["deal_close_date"]) == ("lost", "2026-04-15")


def test_registry_revenue_is_net_of_credits_and_comes_from_invoices_when_the_contract_has_no_lines() -> None:
    april, may, march, after = (
        {"type": "invoice", "id": f"i{day[2:7]}", "account": "a1", "contract": "c1", "issued_on": day, "service_from": day,
         "currency": "USD", "tax": "800.00",
         "lines": [{"kind": "saas", "amount": "10000.00"}, {"kind": "services", "amount": "2000.00"}]}
        for day in ("2026-04-01", "2026-05-01", "2027-03-31", "2027-04-01")
    )  # fmt: skip
    credit = {"type": "credit_note", "id": "k1", "invoice": may["id"], "issued_on": "2026-05-20", "amount": "1200.00",
              "currency": "USD"}  # fmt: skip

    def revenue(as_of: str, *records: Row) -> str:
        row = only(report("registry", handmade("one-network", records, as_of, ON_CLAIMS))["leads"], referral="r1")
        return str(row["first_year_saas_revenue"])

    silent = [{**row, "lines": None} if row["id"] == "c1" else row for row in ON]
    assert revenue("2026-03-31", *silent) == "390000.00"  # nothing is billed yet: its value
    assert revenue("2026-04-30", *silent, april) == "10000.00"
    assert revenue("2027-06-30", *silent, april, march, after) == "20000.00"  # the year ends on 31 March 2027
    assert revenue("2026-05-31", *silent, april, may, credit) == "19000.00"  # of 1,200 credited, 10/12 are SaaS
    assert revenue("2026-05-31", *ON, may, credit) == "119000.00"
    less = {**april, "lines": [{"kind": "saas", "amount": "10000.00"}, {"kind": "discount", "amount": "-500.00"}]}
    assert revenue("2026-04-30", *silent, less) == "9500.00"  # as the commission has it


def test_registry_keeps_each_months_end_as_it_was_known_then() -> None:
    """ON-19."""
    rows = report("registry", one_network(), monthly=True)["leads"]
    story = [(row["as_of"], row["lead_status"], row["deal_status"]) for row in rows if row["referral"] == "r1"]
    assert story == [
        ("2026-01-31", "active", None), ("2026-02-28", "active", None), ("2026-03-31", "won", "won"),
        ("2026-04-30", "won", "won"), ("2026-05-31", "won", "won"),
    ]  # fmt: skip
    contacts = [len(row["introduced_contacts"]) for row in rows if row["referral"] == "r1"]
    assert contacts == [1] * 5
    assert [row["as_of"] for row in rows if row["referral"] == "r3"][0] == "2026-02-28"


def test_a_partner_sees_own_rows_only() -> None:
    assert {row["partner"] for row in report("registry", one_network(), partner="p2")["leads"]} == {"p2"}
    for name in REPORTS:
        document = report(name, one_network(), partner="p2")
        assert b'"p1"' not in as_bytes(document) and b"R1 Works" not in as_bytes(document), name


# Code Ninety: p1 is silver; one retainer won and partly billed, one in negotiation, one lost in proposal, one waiting.
DETAILS = {"description": "rebuild", "estimated_value": "900000.00", "estimated_timeline": "6 months",
           "services": ["staff augmentation"], "decision_timeline": "Q3", "industry": "retail"}  # fmt: skip
CN = [
    *partner("p1", "code-ninety", role="agency"), *partner("p2", "code-ninety", role="reseller"),
    *(account(f"a{number}", owner="Robin Vale") for number in (1, 2, 3)),
    *(referral(f"r{number}", "code-ninety", "p1", f"2026-0{number}-05T09:00:00+05:00", details=DETAILS)
      for number in (1, 2, 3, 4)),
    sale("o1", "a1", "Closed Won", referral="r1", amount="10000000.00", currency="PKR",
         closed_at="2026-02-01T05:00:00Z", outcome="won"),
    sale("o2", "a2", "Negotiation/Review", referral="r2", amount="2000000.00", currency="PKR", expected_close="2026-09-15"),
    sale("o3", "a3", "Proposal/Price Quote", referral="r3", amount="3000000.00", currency="PKR"),
    sale("o3", "a3", "Closed Lost", referral="r3", amount="3000000.00", currency="PKR", known_at="2026-05-02T05:00:00Z",
         closed_at="2026-05-02T05:00:00Z", outcome="lost"),
    {**contract("c1", "a1", "2026-02-01", "12000000.00", opportunity="o1"), "currency": "PKR", "kind": "retainer"},
    {"type": "invoice", "id": "i1", "account": "a1", "contract": "c1", "issued_on": "2026-03-01", "currency": "PKR",
     "lines": [{"kind": "retainer", "amount": "1000000.00"}]},
    {"type": "invoice", "id": "i9", "account": "a3", "issued_on": "2026-03-01", "currency": "PKR",
     "lines": [{"kind": "services", "amount": "3000000.00"}]},
    {"type": "credit_note", "id": "k1", "invoice": "i1", "issued_on": "2026-03-20", "amount": "200000.00", "currency": "PKR"},
    {"type": "payout", "id": "y1", "statement": "code-ninety:p1:2026-01-01:PKR", "paid_on": "2026-04-10",
     "amount": "144000.00", "currency": "PKR"},
    {"type": "co_op_request", "id": "q1", "partner": "p1", "requested_on": "2026-03-01", "use": "event sponsorship",
     "amount": "80000.00", "currency": "PKR", "approved_on": "2026-03-05", "spent": "75000.00",
     "documents_on": "2026-04-01", "results": {"impressions": 1000, "clicks": 50, "leads": 4, "revenue": "150000.00"}},
]  # fmt: skip
CN_CLAIMS = [
    {"referral": "r1", "partner": "p1", "account": "a1", "through": [
        ("2026-01-05T04:00:00+00:00", "submitted", None), ("2026-01-06T04:00:00+00:00", "active", None),
        ("2026-01-31T19:00:00+00:00", "won", "2026-02-01")]},
    {"referral": "r2", "partner": "p1", "account": "a2", "through": [("2026-02-05T04:00:00+00:00", "active", None)]},
    {"referral": "r3", "partner": "p1", "account": "a3", "through": [("2026-03-05T04:00:00+00:00", "active", None)]},
    {"referral": "r4", "partner": "p1", "through": [("2026-04-05T04:00:00+00:00", "submitted", None)]},
]  # fmt: skip
CN_ENTRIES = [
    {"partner": "p1", "referral": "r1", "contract": "c1", "basis": "1000000.00", "rate": "0.18", "amount": "180000.00",
     "currency": "PKR", "earned_on": "2026-03-01", "state": "paid"},
    {"partner": "p1", "referral": "r1", "contract": "c1", "basis": "-200000.00", "rate": "0.18", "amount": "-36000.00",
     "currency": "PKR", "earned_on": "2026-03-20", "state": "paid", "kind": "reversal"},
    {"partner": "p1", "referral": "r1", "contract": "c1", "basis": "1000000.00", "rate": "0.18", "amount": "180000.00",
     "currency": "PKR", "earned_on": "2026-04-01", "state": "payable"},
    {"partner": "p1", "referral": "r1", "contract": "c1", "basis": "1000000.00", "rate": "0.15", "amount": "150000.00",
     "currency": "PKR", "earned_on": "2025-12-01", "state": "accrued"},
]  # fmt: skip
CN_STATEMENTS = [
    {"partner": "p1", "currency": "PKR", "period_from": "2026-01-01", "period_to": "2026-03-31", "payable": "144000.00",
     "due_on": "2026-04-15", "pay_by": "2026-04-15", "state": "paid"},
    {"partner": "p1", "currency": "PKR", "period_from": "2026-04-01", "period_to": "2026-06-30", "payable": "180000.00",
     "due_on": "2026-07-15", "pay_by": "2026-07-15", "state": "open"},
]  # fmt: skip
SILVER = [{"partner": "p1", "tier": "silver", "count": 4, "since": "2025-06-01", "review_on": "2026-12-31"},
          {"partner": "p2", "tier": "bronze", "count": 0, "since": "2025-01-01"}]  # fmt: skip


def code_ninety() -> Picture:
    return handmade("code-ninety", CN, "2026-06-15", CN_CLAIMS, CN_ENTRIES, CN_STATEMENTS, SILVER)


def test_dashboard_counts_leads_money_and_what_the_tier_needs() -> None:
    """CN-60, CN-15, CN-33, CN-69, CN-73, CN-89, TC-28."""
    row = only(report("dashboard", code_ninety())["partners"], partner="p1")
    assert {name: row[name] for name in row if row[name] is not None} == {
        "program": "code-ninety", "partner": "p1", "name": "P1 Advisers", "currency": "PKR",
        "submitted": 4, "qualified": 3, "won": 1, "lost": 1, "open": 2, "conversion": "0.25", "win_rate": "0.5",
        "pending_commission": "330000.00", "ytd_earnings": "324000.00", "total_earnings": "474000.00",
        "accrued": "150000.00", "held": "0.00", "payable": "180000.00", "stated": "0.00", "paid": "144000.00",
        "next_payout": "180000.00", "next_payout_by": "2026-07-15",
        "average_deal": "12000000.00", "commission_per_deal": "474000.00",
        "tier": "silver", "tier_since": "2025-06-01", "tier_count": 4, "next_tier": "gold", "referrals_to_next": 12,
        "keeps_tier_with": 6, "referrals_to_keep": 2, "falls_to": "bronze", "review_on": "2026-12-31",
    }  # fmt: skip


def test_dashboard_shows_each_lead_with_status_and_stage() -> None:
    """CN-54, CN-64, CN-65, CN-A26, TC-33."""
    rows = report("dashboard", code_ninety())["leads"]
    assert [(row["referral"], row["status"], row["stage"], row["value"]) for row in rows] == [
        ("r1", "won", "won", "12000000.00"),
        ("r2", "proposal", "negotiation", "2000000.00"),
        ("r3", "lost", "lost", "3000000.00"),
        ("r4", "submitted", None, "900000.00"),
    ]
    assert rows[0]["services"] == ["staff augmentation"] and rows[0]["industry"] == "retail"


def test_dashboard_shows_commission_by_deal_and_payouts() -> None:
    """CN-57, CN-58, CN-70, CN-71."""
    document = report("dashboard", code_ninety())
    deal = only(document["deals"], contract="c1")
    assert (deal["commission"], deal["paid"], deal["pending"], deal["rate"]) == (
        "474000.00", "144000.00", "330000.00", "0.18",
    )  # fmt: skip
    assert [(row["state"], row["payable"], row["paid_on"], row["paid"]) for row in document["payouts"]] == [
        ("paid", "144000.00", "2026-04-10", "144000.00"),
        ("open", "180000.00", None, "0.00"),
    ]


def test_pipeline_counts_stages_and_what_became_of_those_that_reached_them() -> None:
    """CN-66, CN-67."""
    document = report("pipeline", code_ninety())
    stages = [row for row in document["stages"] if row["partner"] is None]
    assert [(row["stage"], row["deals"], row["value"], row["conversion"]) for row in stages] == [
        ("discovery", 0, "0.00", "0.5"),
        ("proposal", 0, "0.00", "0.5"),
        ("negotiation", 1, "2000000.00", "1"),  # the lost deal never reached it
        ("won", 1, "12000000.00", None),
        ("lost", 1, "3000000.00", None),
    ]
    negotiated = only(document["deals"], referral="r2")
    assert negotiated["commission_if_won"] == "360000.00" and negotiated["rate_from"] == "tier silver"
    assert negotiated["expected_close"] == "2026-09-15" and negotiated["sales_owner"] == "Robin Vale"
    figures = only(document["analytics"], partner="p1")
    assert (figures["win_rate"], figures["average_deal"], figures["cycle_days"]) == ("0.5", "12000000.00", "22")
    assert figures["forecast_accuracy"] == "0.8333"  # 10M forecast, 12M signed
    assert [
        (row["quarter"], row["submitted"], row["won"], row["lost"]) for row in document["trend"] if row["partner"]
    ] == [
        ("2026-01-01", 3, 1, 0),
        ("2026-04-01", 1, 0, 1),
    ]


def test_amounts_of_two_currencies_are_never_added() -> None:
    foreign = {**contract("c9", "a1", "2026-03-01", "500.00", referral="r1"), "currency": "EUR"}
    sold = [{**row, "amount": "900.00", "currency": "EUR"} if row["id"] == "o1" else row for row in CN]
    picture = handmade("code-ninety", [*sold, foreign], "2026-06-15", CN_CLAIMS, CN_ENTRIES, tiers=SILVER)
    assert only(report("dashboard", picture)["partners"], partner="p1")["average_deal"] == "12000000.00"
    won = only(report("pipeline", picture)["deals"], referral="r1")
    assert (won["value"], won["currency"]) == ("12000000.00", "PKR")
    assert only(report("pipeline", picture)["analytics"], partner="p1")["forecast_accuracy"] is None


def test_forecast_weighs_with_the_programs_own_history() -> None:
    """CN-68."""
    document = report("forecast", code_ninety())
    shown = {row["scenario"]: row["commission"] for row in document["scenarios"]}
    # signed: (12M - 2.8M billed) x 18%; the deal in negotiation: 2M x 18%, and all that reached negotiation was won
    assert shown == {"signed": "1656000.00", "weighted": "2016000.00", "all_won": "2016000.00"}
    assert only(document["deals"], referral="r2")["probability"] == "1"


def test_forecast_makes_no_probability_up() -> None:
    claims = [claim for claim in CN_CLAIMS if claim["referral"] == "r2"]
    document = report("forecast", handmade("code-ninety", CN, "2026-06-15", claims, tiers=SILVER))
    assert only(document["deals"], referral="r2")["probability"] is None
    weighted = only(document["scenarios"], scenario="weighted")
    assert weighted["commission"] is None and "no closed deal" in weighted["because"]


def test_kpis_come_from_the_ledger_and_the_invoices() -> None:
    """CN-2, CN-3, CN-130, CN-A17: nothing is taken from a text."""
    rows = report("kpis", code_ninety())["kpis"]
    figures = {(row["kpi"], row["partner"], row["of"]): row["value"] for row in rows}
    assert figures["active_partners", None, None] == "2"
    assert figures["active_partners", None, "agency"] == "1"
    assert figures["referral_revenue", None, None] == "800000.00"
    assert figures["referral_revenue_share", None, None] == "0.2105"  # of 3.8M
    assert figures["referral_revenue_growth", None, None] is None
    assert figures["average_partner_earnings", None, None] == "324000.00"
    assert figures["win_rate", None, None] == "0.5"
    assert figures["client_retention", None, None] == "1"
    assert figures["net_promoter_score", None, None] is None
    assert figures["partner_revenue", "p1", None] == "800000.00"
    assert only(rows, kpi="win_rate")["goal"] == "0.2"
    assert {row["partner"] for row in report("kpis", code_ninety(), partner="p1")["kpis"]} == {"p1"}


def test_co_op_shows_the_fund_by_quarter_and_how_far_each_request_is() -> None:
    """CN-97, CN-101, CN-105."""
    document = report("co-op", code_ninety())
    (row,) = document["requests"]
    assert (row["state"], row["spent"], row["leads"], row["return_on_spend"]) == ("documented", "75000.00", 4, "1")
    figures = ("quarter", "carried", "allocated", "committed", "spent", "expired", "left")
    funds = [tuple(each[name] for name in figures) for each in document["funds"] if each["partner"] == "p1"]
    assert funds[-2:] == [
        ("2026 Q1", "0.00", "100000.00", "80000.00", "0.00", "0.00", "20000.00"),
        ("2026 Q2", "20000.00", "0.00", "-80000.00", "75000.00", "0.00", "25000.00"),
    ]
    assert report("co-op", one_network()) | {"as_of": "", "programs": []} == {
        "report": "co-op", "as_of": "", "programs": [], "funds": [], "requests": [],
    }  # fmt: skip


def test_co_op_returns_are_computed_and_the_texts_percentages_do_not_follow_from_its_figures() -> None:
    """CN-X15: four campaigns of the text. It says 180, 600, 240 and 440 %; its own figures give a hundred times as much."""
    told = [("18000000", "100000", "1.8"), ("6000000", "50000", "6"), ("12000000", "150000", "2.4"), ("22000000", "100000", "4.4")]  # fmt: skip
    requests = [
        {"type": "co_op_request", "id": f"q{number}", "partner": "p1", "requested_on": "2026-03-01", "use": "webinar",
         "amount": cost, "spent": cost, "currency": "PKR", "approved_on": "2026-03-01", "documents_on": "2026-04-01",
         "results": {"revenue": revenue}}
        for number, (revenue, cost, _) in enumerate(told)
    ]  # fmt: skip
    rows = report("co-op", settled("code-ninety", [*partner("p1", "code-ninety"), *requests], "2026-06-15"))["requests"]
    ours = [row["return_on_spend"] for row in rows]
    assert ours == [
        "179",
        "119",
        "79",
        "219",
    ]  # (revenue - spent) / spent: revenue is 180, 120, 80 and 220 times the cost
    assert not any(found == said for found, (_, _, said) in zip(ours, told, strict=True))


def test_co_op_rates_are_of_what_was_sent_and_no_count_is_made_of_a_rate() -> None:
    """CN-X16, CN-X17."""
    # 5,000 mails; 8 % opened are 400; 2 % clicked are 100 of those sent (of those opened 8, fewer than the 20 leads)
    mails = {"impressions": 5000, "clicks": 100, "leads": 20}
    request = {"type": "co_op_request", "id": "q1", "partner": "p1", "requested_on": "2026-03-01", "use": "email",
               "amount": "50000", "spent": "50000", "currency": "PKR", "approved_on": "2026-03-01",
               "documents_on": "2026-04-01", "results": mails}  # fmt: skip
    picture = settled("code-ninety", [*partner("p1", "code-ninety"), request], "2026-06-15")
    (row,) = report("co-op", picture)["requests"]
    assert (row["click_rate"], row["leads"]) == ("0.02", 20)
    assert Decimal(row["click_rate"]) * 5000 == 100 and Decimal("0.08") * 5000 == 400
    # three webinars of 150 at 25 % would be 112.5 leads: only a whole number can be stated
    assert 3 * 150 * Decimal("0.25") == Decimal("112.5")
    for leads in (112.5, "112.5"):
        with pytest.raises(RecordError):
            parse(orjson.dumps({**request, "results": {"leads": leads}}))
    assert parse(orjson.dumps({**request, "results": {"leads": 112}})) is not None


def test_kpis_count_partners_of_every_type_and_in_all() -> None:
    """CN-X14: 85 agencies, 65 consultants, 35 resellers and 15 technology partners are 200."""
    by_role = {"agency": 85, "consultant": 65, "reseller": 35, "technology": 15}
    records = [row for role, count in by_role.items() for n in range(count) for row in partner(f"{role}-{n}", "code-ninety", role=role)]  # fmt: skip
    rows = report("kpis", handmade("code-ninety", records, "2026-06-15", []))["kpis"]
    counts = {row["of"]: row["value"] for row in rows if row["kpi"] == "active_partners"}
    assert counts == {None: "200", **{role: str(count) for role, count in by_role.items()}}


def test_kpis_partner_retention_is_of_those_who_were_partners_then() -> None:
    """CN-3: who left before the year is not lost in it; who left in it is. One in two roles counts in each, once in all."""
    records = [
        *partner("old", "code-ninety", role="agency"), *partner("stays", "code-ninety", role="agency"),
        *partner("left", "code-ninety", role="agency"),
        {**partner("stays", "code-ninety", role="reseller")[1], "id": "e-more"},
        {**partner("old", "code-ninety", role="agency", standing="terminated")[1], "known_at": "2025-03-01T00:00:00+05:00"},
        {**partner("left", "code-ninety", role="agency", standing="terminated")[1], "known_at": "2026-03-01T00:00:00+05:00"},
    ]  # fmt: skip
    rows = report("kpis", handmade("code-ninety", records, "2026-06-15", []))["kpis"]
    assert only(rows, kpi="partner_retention")["value"] == "0.5"
    counts = {row["of"]: row["value"] for row in rows if row["kpi"] == "active_partners"}
    assert counts == {None: "1", "agency": "1", "reseller": "1"}


def test_a_lead_shows_all_that_was_submitted() -> None:
    """CN-42, CN-52, CN-65."""
    person = {"name": "Kim Ash", "title": "COO", "email": "kim@a9.example", "phone": "1"}
    details = {**DETAILS, "documents": ["https://a9.example/brief.pdf"], "budget_range": "1 to 2 million"}
    records = [*partner("p1", "code-ninety"),
               referral("r9", "code-ninety", "p1", "2026-01-05T09:00:00+05:00", contact=person, details=details)]  # fmt: skip
    (row,) = report("dashboard", settled("code-ninety", records, "2026-01-31"))["leads"]
    assert row["contact"] == person and row["details"] == details
    found = report(
        "dashboard", settled("code-ninety", records, "2026-01-31"), where=where_option(["details~=BRIEF.pdf"])
    )
    assert [each["referral"] for each in found["leads"]] == ["r9"]


def test_the_portal_shows_quick_actions_help_and_what_is_only_announced() -> None:
    """CN-61, CN-78, CN-80, CN-81, CN-82, CN-84."""
    rows = report("portal", code_ninety())["content"]
    actions = [row["label"] for row in rows if row["topic"] == "quick_actions"]
    assert actions == ["Submit a lead", "View the pipeline", "Download reports", "Message the account manager"]
    assert [(row["label"], row["state"]) for row in rows if row["state"] != "offered"] == [("Mobile app", "planned")]
    assert "2025" in only(rows, label="Mobile app")["text"] and only(rows, label="Mobile app")["clauses"] == ["CN-82"]
    assert "no portal of web pages" in only(rows, clauses=["CN-81"])["text"]
    assert {row["label"] for row in rows if row["topic"] == "help_centre"} == {
        "Questions and answers", "How-to guides", "Video tutorials", "Troubleshooting", "Search",
    }  # fmt: skip
    found = report("portal", code_ninety(), where=where_option(["text~=hubspot"]))["content"]
    assert [row["clauses"] for row in found] == [["CN-78"]]
    assert only(report("dashboard", settled("code-ninety", [*partner("p1", "code-ninety", manager="Robin Vale")], "2026-01-31"))["partners"])["manager"] == "Robin Vale"  # fmt: skip


def test_the_form_of_a_lead_says_what_must_and_what_may_be_given() -> None:
    """CN-52, CN-63."""
    rows = report("portal", code_ninety())["form"]
    assert [row["required"] for row in rows] == [True] * 10 + [False] * 7
    industry = only(rows, label="client's industry")
    assert industry["fields"] == ["details.industry"] and "retail" in industry["values"]
    services = only(report("portal", settled("technology-consultant", [*partner("p1", "technology-consultant")], "2026-01-31"))["form"], label="service type")  # fmt: skip
    assert services["check"] == "one_of" and "cybersecurity" in services["values"]


def test_a_profile_is_as_the_partner_last_said() -> None:
    """CN-75, CN-28: payment details are not among the records."""
    moved = {"type": "partner", "id": "p1", "name": "P1 Advisers Ltd", "email": "new@p1.example", "country": "PK",
             "known_at": "2026-02-01T00:00:00+05:00"}  # fmt: skip
    records = [*partner("p1", "code-ninety", role="agency"), *partner("p2", "code-ninety"), moved,
               {"type": "certification", "id": "k1", "partner": "p1", "completed_on": "2026-01-05", "name": "Silver"}]  # fmt: skip
    before = only(report("portal", settled("code-ninety", records, "2026-01-31"))["profiles"], partner="p1")
    (after,) = report("portal", settled("code-ninety", records, "2026-02-28"), partner="p1")["profiles"]
    assert (before["name"], before["email"]) == ("P1 Advisers", None)
    assert (after["name"], after["email"], after["role"], after["certifications"]) == ("P1 Advisers Ltd", "new@p1.example", "agency", ["Silver"])  # fmt: skip
    assert after["payment_method"] is None


def test_what_a_policy_leaves_blank_stays_blank_until_somebody_writes_it() -> None:
    """OP-A11, OP-10."""
    rows = report("portal", settled("optimetriks", partner("p1", "optimetriks", role="affiliate"), "2026-01-31"), partner="p1")["content"]  # fmt: skip
    assert [(row["label"], row["text"]) for row in rows if row["topic"] == "support"] == [
        ("Support for affiliates", "")
    ]
    assert [row["label"] for row in rows if row["topic"] == "plan"] == ["Starter", "Pro", "Enterprise"]


def test_an_explanation_is_a_page_that_fits_a_telephone() -> None:
    """CN-81: no width is fixed, and the page asks for the device's own."""
    page = as_html("why", [])
    assert 'name="viewport" content="width=device-width"' in page
    assert "max-width" in page and not re.search(r"[;{]width:\s*\d", page)


def test_benchmark_compares_with_three_or_more_and_names_nobody() -> None:
    """CN-74."""
    names = ["p1", "p2", "p3"]
    records = [row for name in names for row in partner(name, "code-ninety")]
    records += [referral(f"r{n}", "code-ninety", name, f"2026-01-0{n + 1}T09:00:00+05:00")
                for n, name in enumerate(["p1", "p1", "p1", "p2"])]  # fmt: skip
    claims = [{"referral": row["id"], "partner": row["partner"], "through": [("2026-01-06T00:00:00+00:00", "active", None)]}
              for row in records if row["type"] == "referral"]  # fmt: skip
    tiers = [{"partner": name, "tier": "bronze", "count": 0, "since": "2025-01-01"} for name in names]
    full = report("benchmark", handmade("code-ninety", records, "2026-06-15", claims, tiers=tiers), partner="p1")
    row = only(full["metrics"], metric="submitted")
    assert (row["value"], row["tier_average"], row["difference"], row["partners"]) == ("3", "1.3333", "1.2501", 3)
    apart = [*tiers[:2], {**tiers[2], "tier": "silver"}]
    few = report("benchmark", handmade("code-ninety", records, "2026-06-15", claims, tiers=apart))
    assert all(row["tier_average"] is None and row["partners"] is None for row in few["metrics"])


def consultants() -> list[Row]:
    """p1 and p2: two projects each of the same value; p3: two of less; p4: one; p5's is signed but has not begun."""
    program = "technology-consultant"
    deals = [("p1", "50000.00"), ("p1", "50000.00"), ("p2", "60000.00"), ("p2", "40000.00"), ("p3", "10000.00"),
             ("p3", "20000.00"), ("p4", "190000.00"), ("p5", "90000.00")]  # fmt: skip
    records = [row for name in ("p1", "p2", "p3", "p4", "p5") for row in partner(name, program, rate="0.05")]
    for number, (who, value) in enumerate(deals):
        begun = {} if who == "p5" else {"commenced_on": "2026-02-20"}
        records += [
            account(f"a{number}"),
            referral(f"r{number}", program, who, "2026-01-05T15:00:00Z", account=f"a{number}",
                     details={"service_type": "cybersecurity", "needs": "an audit"}),
            {"type": "review", "id": f"v{number}", "referral": f"r{number}", "at": "2026-01-07T15:00:00Z",
             "outcome": "approved", "by": "Morgan"},
            {**contract(f"c{number}", f"a{number}", "2026-02-01", value, referral=f"r{number}"), "kind": "project", **begun},
        ]  # fmt: skip
    return records


def test_leaderboard_ranks_by_successful_referrals_then_value_and_ties_share() -> None:
    """TC-19, TC-A10."""
    picture = settled("technology-consultant", consultants(), "2026-06-30")
    places = report("leaderboard", picture)["places"]
    assert [(row["rank"], row["partner"], row["successful_referrals"], row["value"]) for row in places] == [
        (1, "p1", 2, "100000.00"), (1, "p2", 2, "100000.00"), (3, "p3", 2, "30000.00"),
    ]  # fmt: skip
    assert {row["quarter"] for row in places} == {"2026-01-01"}
    assert [row["partner"] for row in report("leaderboard", picture, top=9)["places"]] == ["p1", "p2", "p3", "p4"]
    by_value = settled("technology-consultant", consultants(), "2026-06-30", rank_by="value")
    assert [row["partner"] for row in report("leaderboard", by_value)["places"]] == ["p4", "p1", "p2"]
    assert report("leaderboard", picture, partner="p3")["places"] == [places[2]]


def test_a_program_without_a_number_of_places_shows_them_all() -> None:
    """CN-74."""
    picture = settled("next-technik", NT, "2026-06-30")
    assert [row["rank"] for row in report("leaderboard", picture)["places"]] == [1]
    assert [row["rank"] for row in report("leaderboard", picture, top=3)["places"]] == [1]


@pytest.mark.parametrize(
    ("stage", "outcome", "stands"),
    [
        ("Prospecting", None, "discovery"), ("Value Proposition", None, "discovery"), ("Needs Analysis", None, "discovery"),
        ("Proposal/Price Quote", None, "proposal"), ("Negotiation/Review", None, "negotiation"),
        ("Contract sent", None, "negotiation"), ("Closed Won", "won", "won"), ("Negotiation", "lost", "lost"),
    ],
)  # fmt: skip
def test_stages_of_a_crm_become_the_pipelines(stage: str, outcome: str | None, stands: str) -> None:
    closing = {"closed_at": "2026-02-01T00:00:00Z", "outcome": outcome} if outcome else {}
    deal = parse(orjson.dumps(sale("o1", "a1", stage, **closing)))
    assert isinstance(deal, Opportunity) and stage_of(deal) == stands


@pytest.mark.parametrize(
    ("state", "stage", "status"),
    [
        ("incomplete", None, "submitted"), ("conflict", "Proposal", "submitted"), ("active", None, "qualified"),
        ("active", "Discovery", "engaged"), ("active", "Negotiation", "proposal"), ("won", "Discovery", "won"),
        ("expired", None, "lost"), ("returned", None, "lost"), ("superseded", None, "lost"), ("withdrawn", None, "lost"),
    ],
)  # fmt: skip
def test_statuses_that_partners_see(state: str, stage: str | None, status: str) -> None:
    deal = parse(orjson.dumps(sale("o1", "a1", stage))) if stage else None
    assert deal is None or isinstance(deal, Opportunity)
    assert status_of(state, deal, is_won=state == "won") == status


def test_what_was_won_stays_won_while_a_person_decides_whose_it_is() -> None:
    """CN-54, CN-60: the counts of a partner's leads add up."""
    asked = {"details": {"service_type": "other", "needs": "an audit"}, "account": "a1"}
    records = [
        *partner("p1", "technology-consultant"), *partner("p2", "technology-consultant"), account("a1"),
        referral("r1", "technology-consultant", "p1", "2026-01-05T10:00:00Z", **asked),
        {"type": "review", "id": "v1", "referral": "r1", "at": "2026-01-06T10:00:00Z", "outcome": "approved", "by": "Ines"},
        referral("r2", "technology-consultant", "p2", "2026-01-03T10:00:00Z", known_at="2026-02-20T10:00:00Z", **asked),
        contract("c1", "a1", "2026-01-20", "80000.00"),
    ]  # fmt: skip
    document = report("dashboard", settled("technology-consultant", records, "2026-03-01"))
    lead = only(document["leads"], referral="r1")
    assert (lead["state"], lead["status"], lead["stage"]) == ("conflict", "won", "won")
    row = only(document["partners"], partner="p1")
    assert (row["submitted"], row["won"], row["lost"], row["open"]) == (1, 1, 0, 0)


def test_a_tier_given_by_hand_shows_although_the_table_of_the_program_ends_below_it() -> None:
    """CN-A18, TC-15."""
    records = partner("p1", "technology-consultant", tier="platinum")
    row = only(report("dashboard", settled("technology-consultant", records, "2026-03-01"))["partners"], partner="p1")
    assert (row["tier"], row["next_tier"], row["referrals_to_next"]) == ("platinum", None, None)


@pytest.mark.parametrize("name", REPORTS)
def test_every_row_has_the_columns_of_its_list_and_each_is_documented(name: str) -> None:
    page = (Path(__file__).parents[2] / "docs" / "reports.md").read_text("utf-8")
    section = page.partition(f"\n## {name}\n")[2].partition("\n## ")[0]
    for picture in (one_network(), code_ninety(), settled("next-technik", NT, "2026-06-30")):
        rows = REPORTS[name].rows_of(picture, Asked(monthly=True))
        assert set(rows) == {table.name for table in REPORTS[name].tables}
        for table in REPORTS[name].tables:
            assert all(set(row) == set(table.columns) for row in rows[table.name]), table.name
    for table in REPORTS[name].tables:
        assert f"**{table.name}**" in section
        assert [column for column in table.columns if f"`{column}`" not in section] == []


@pytest.mark.parametrize("path", scenarios(2), ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_every_worked_example_can_be_reported_and_a_partner_sees_own_rows_only(path: Path) -> None:
    scene = load_scenario(path)
    picture = settled(scene.program, scene.records, str(scene.steps[-1].as_of), **scene.settings)
    for name in REPORTS:
        for who in (None, *picture.partners):
            document = report(name, picture, partner=who, monthly=True, top=2)
            rows = [row for table in REPORTS[name].tables for row in document[table.name]]
            seen = {row["partner"] for row in rows if "partner" in row}  # the form and the content are everybody's
            assert who is None or seen <= {who}, name


@pytest.mark.parametrize("name", REPORTS)
def test_rows_do_not_depend_on_the_order_of_lines(name: str) -> None:
    expected = as_bytes(report(name, settled("next-technik", NT, "2026-06-30"), monthly=True))
    for seed in range(5):
        shuffled = list(NT)
        random.Random(seed).shuffle(shuffled)
        assert as_bytes(report(name, settled("next-technik", shuffled, "2026-06-30"), monthly=True)) == expected


@pytest.mark.parametrize("name", REPORTS)
def test_csv_reads_back_to_the_same_values(name: str) -> None:
    """CN-72."""
    document = report(name, code_ninety())
    for table in REPORTS[name].tables:
        heading, *lines = csv.reader(io.StringIO(csv_text(table.columns, document[table.name])))
        assert tuple(heading) == table.columns
        read = [dict(zip(heading, map(read_cell, line), strict=True)) for line in lines]
        assert read == [
            {column: "" if value is None else value if isinstance(value, str) else orjson.dumps(value).decode()
             for column, value in row.items()} for row in document[table.name]
        ]  # fmt: skip


@given(st.text())
@settings(max_examples=500)
def test_no_cell_starts_a_formula_and_every_cell_reads_back(text: str) -> None:
    made = cell(text)
    assert read_cell(made) == text
    assert not made.lstrip().startswith(("=", "+", "-", "@")) or made.replace(".", "").lstrip("-").isdigit()


def test_negative_amounts_stay_numbers() -> None:
    assert cell("-48.00") == "-48.00"
    assert cell("-48.00+cmd|' /C calc'!A0").startswith("'")


@pytest.mark.parametrize(
    ("conditions", "found"),
    [
        (["status=won"], ["r1"]),
        (["submitted_on>=2026-02-01", "submitted_on<=2026-03-31"], ["r2", "r3"]),
        (["value>=3000000"], ["r1", "r3"]),  # as numbers: "900000.00" is less
        (["services=staff augmentation"], ["r1", "r2", "r3", "r4"]),
        (["contract_kinds=retainer"], ["r1"]),
        (["stage="], ["r4"]),
        (["tier=silver", "industry=retail", "status=lost"], ["r3"]),
        (["tier=gold"], []),
    ],
)
def test_a_report_leaves_the_rows_asked_for(conditions: list[str], found: list[str]) -> None:
    """CN-64, CN-72."""
    rows = report("dashboard", code_ninety(), where=where_option(conditions))["leads"]
    assert [row["referral"] for row in rows] == found


@pytest.fixture
def records(tmp_path: Path) -> str:
    path = tmp_path / "records.jsonl"
    program = "technology-consultant"
    more = [
        {"type": "enrollment", "id": "tc1", "partner": "p1", "program": program, "starts_on": "2025-01-01"},
        referral("tc2", program, "p1", "2026-01-05T15:00:00Z", details={"service_type": "other", "needs": "an audit"}),
    ]
    path.write_bytes(b"\n".join(map(orjson.dumps, [*NT, *more])))
    return str(path)


def test_the_command_reports_on_every_program_that_the_records_mention(records: str) -> None:
    run = CliRunner()
    common = ["report", "dashboard", "--records", records, "--as-of", "2026-06-30"]
    document = orjson.loads(run.invoke(app, [*common, "--json"]).stdout)
    assert document["programs"] == ["next-technik@2023-07-20", "technology-consultant@2024-01-01"]
    assert {row["program"] for row in document["leads"]} == {"next-technik", "technology-consultant"}
    one = orjson.loads(run.invoke(app, [*common, "-p", "next-technik", "--set", "stale_days=90"]).stdout)
    assert one["programs"] == ["next-technik@2023-07-20"]
    sheet = run.invoke(app, [*common, "--format", "csv", "--list", "leads", "--where", "status=won"]).stdout
    assert sheet.splitlines()[0].startswith("program,partner,referral") and "next-technik" in sheet
    short = run.invoke(app, [*common, "--format", "csv", "--list", "leads", "--columns", "referral, status"]).stdout
    assert short.splitlines()[0] == "referral,status"
    pdf = [run.invoke(app, [*common, "--format", "pdf", "--list", "leads"]).stdout_bytes for _ in range(2)]
    assert pdf[0].startswith(b"%PDF-") and pdf[0] == pdf[1]
    table = run.invoke(app, [*common, "--format", "table", "--list", "partners"]).stdout
    assert "partners (" in table and "leads (" not in table


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["kpi"], "report: found 'kpi'; allowed: registry, dashboard"),
        (["kpis", "--list", "leads"], "--list: found 'leads'; allowed for kpis: kpis"),
        (["kpis", "--format", "xml"], "--format: found 'xml'; allowed: json, csv, pdf, table"),
        (["kpis", "--columns", "kpi,worth"], "--columns: found 'worth'; allowed for kpis: program, kpi"),
        (["kpis", "--partner", "nobody"], "--partner: found 'nobody'; allowed: the id of a partner record"),
        (["kpis", "--where", "kpi"], "--where: found 'kpi'; allowed: COLUMN=VALUE"),
        (["kpis", "--where", "nothing=1"], "--where: found 'nothing'; allowed for kpis: because"),
        (["kpis", "--set", "stale_days=1"], "--set: found with 2 programs"),
    ],
)
def test_the_command_refuses_what_cannot_be(records: str, arguments: list[str], told: str) -> None:
    done = CliRunner().invoke(app, ["report", *arguments, "--records", records, "--as-of", "2026-06-30"])
    assert isinstance(done.exception, UserError) and done.exception.exit_code == 2
    assert told in str(done.exception) and done.stdout == ""
