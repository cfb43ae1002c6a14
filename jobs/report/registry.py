"""The registry of leads: One Network's eight fields, as they stand or at the end of each month (ON-6..ON-13, ON-19)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

from jobs.report.first_year import first_year_registered, first_year_revenue
from jobs.report.leads import Lead, leads
from jobs.report.picture import Picture, Row
from jobs.report.tables import Asked, Table
from rules.calendar import month_end, next_month
from rules.money import text

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
    introductions = picture.grouped("introduction", "referral")
    for lead in leads(picture, partner):
        introduced = sorted(introductions.get(lead.id, {}).values(), key=lambda each: (each.at, each.id))
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
    """The first year's revenue of the contract that won the lead, where the program knows one."""
    term = first_year_registered(picture)
    revenue = [] if term is None or lead.won_on is None else [
        (contract, amount) for contract in lead.contracts
        if (amount := first_year_revenue(picture, contract, term)) is not None
    ]  # fmt: skip
    contract, amount = revenue[0] if revenue else (None, None)
    shown = text(amount, contract.currency) if contract and amount is not None else None
    return {"first_year_saas_revenue": shown, "currency": contract.currency if contract else lead.currency}
