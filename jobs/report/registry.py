"""The registry of leads: One Network's eight fields, as they stand or at the end of each month (ON-6..ON-13, ON-19)."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import date
from decimal import Decimal
from typing import Any

from jobs.report.figures import total
from jobs.report.leads import Lead, contract_value, leads
from jobs.report.picture import Picture, Row
from jobs.report.tables import Asked, Table
from rules.calendar import month_end, next_month
from rules.first_year import first_year
from rules.money import ZERO, text
from rules.records import Contract
from rules.terms import ShareOfContract

LEADS = Table(
    "leads",
    ("as_of", "program", "referral", "account", "company", "lead_status", "registered_at", "partner", "account_owner",
     "introduced_contacts", "deal_status", "deal_close_date", "first_year_saas_revenue", "currency"),
    ("as_of", "program", "referral"),
)  # fmt: skip


def registry(picture: Picture, asked: Asked) -> dict[str, list[Row]]:
    """One row a lead and day: the day asked for and, when monthly snapshots are, each month's end before it."""
    days = [*(_month_ends(picture) if asked.monthly else ()), picture.as_of]
    return {"leads": [row for day in days for row in _rows(picture.on(day), asked.partner)]}


def _month_ends(picture: Picture) -> Iterator[date]:
    calendar = picture.program.calendar
    known = [calendar.date_of(claim.verdicts[0][0]) for claim in picture.claims.values()]
    day = month_end(min(known, default=picture.as_of))
    while day < picture.as_of:
        yield day
        day = month_end(next_month(day))


def _rows(picture: Picture, partner: str | None) -> Iterator[Row]:
    introductions: dict[str, list[Any]] = {}
    for introduction in picture.facts("introduction").values():
        introductions.setdefault(introduction.referral, []).append(introduction)
    for lead in leads(picture, partner):
        introduced = sorted(introductions.get(lead.id, ()), key=lambda each: (each.at, each.id))
        yield {
            "as_of": picture.as_of.isoformat(),
            "program": picture.program.id,
            "referral": lead.id,
            "account": lead.claim["account"],
            "company": lead.referral.company,
            "lead_status": lead.claim["state"],
            "registered_at": picture.program.calendar.local(lead.referral.submitted_at),
            "partner": lead.claim["partner"],
            "account_owner": lead.account.owner if lead.account else None,
            "introduced_contacts": [
                {
                    "name": each.name,
                    "title": each.title,
                    "email": each.email,
                    "decision_maker": each.decision_maker,
                    "relation": each.relation,
                    "at": picture.program.calendar.local(each.at),
                }
                for each in introduced
            ],
            "deal_status": _deal_status(lead),
            "deal_close_date": _close_date(picture, lead),
            **_first_year(picture, lead),
        }


def _deal_status(lead: Lead) -> str | None:
    if lead.won_on is not None:
        return "won"
    sale = lead.opportunity
    return (sale.outcome or "open") if sale else None


def _close_date(picture: Picture, lead: Lead) -> str | None:
    """The signature, else the day the sale was closed; while it is open, the day expected."""
    if lead.won_on is not None:
        return lead.won_on.isoformat()
    sale = lead.opportunity
    if sale is None:
        return None
    closed = picture.program.calendar.date_of(sale.closed_at) if sale.closed_at else sale.expected_close
    return closed.isoformat() if closed else None


def _first_year(picture: Picture, lead: Lead) -> Row:
    """The first year's revenue on which the ledger stands; before anything was earned, what the contract says."""
    terms = [t for t in picture.terms.commission if isinstance(t, ShareOfContract) and t.basis == "first_year"]
    if not terms or lead.won_on is None:
        return {"first_year_saas_revenue": None, "currency": lead.currency}
    bases = [row for row in lead.entries if row["basis"] is not None]
    if bases:
        amount, currency = total(bases, "basis"), bases[0]["currency"]
        return {"first_year_saas_revenue": text(amount, currency), "currency": currency}
    kinds = terms[0].included_lines
    signed = [(each, contracted_first_year(picture, each, kinds)) for each in lead.contracts]
    found = next(((each, amount) for each, amount in signed if amount is not None), None)
    if found is None:
        return {"first_year_saas_revenue": None, "currency": lead.currency}
    return {"first_year_saas_revenue": text(found[1], found[0].currency), "currency": found[0].currency}


def contracted_first_year(picture: Picture, contract: Contract, kinds: Collection[str]) -> Decimal | None:
    """What a contract promises for its first year in these kinds of lines; ``None`` when it does not say."""
    anchor = str(picture.terms.values.get("first_year_anchor", "subscription_start"))
    invoices = [each for each in picture.facts("invoice").values() if each.contract == contract.id]
    year = first_year(anchor, contract, invoices, kinds, None)
    if contract.lines:
        return sum((year.part_of(line) for line in contract.lines if line.kind in kinds), ZERO)
    return contract_value(contract) if contract.kind in kinds else None
