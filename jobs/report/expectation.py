"""What a deal may earn before it has earned: an expectation for forecasts, never an entry (CN-24, CN-57, CN-68, CN-A11)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from decimal import Decimal

from jobs.report.figures import total
from jobs.report.first_year import first_year_revenue, first_year_term
from jobs.report.leads import Lead, contract_value
from jobs.report.picture import Picture
from rules.deal import Deal
from rules.money import EXACT, ZERO, rounded
from rules.rates import Found, Rates, rates_set
from rules.records import Contract
from rules.terms import ShareOfCollections, ShareOfContract, ShareOfInvoices

_TICK = timedelta(microseconds=1)
Sharing = ShareOfCollections | ShareOfInvoices | ShareOfContract


def expected_rate(
    picture: Picture, lead: Lead, value: Decimal | None, contract: str | None = None, on: date | None = None
) -> Found | None:
    """The rate that a deal signed on a day (on ``as_of``) would have, as known by its end; ``None``: nobody said it."""
    day = on or picture.as_of
    now = picture.program.calendar.end_of(day) - _TICK
    deal = _deal(picture, lead, contract)
    for term in _terms(picture, day):
        rates = Rates(deal, picture.program.on(day), term.rate, day)
        found = rates.find(now, day, won_on=day, value=value, contract=contract)
        if found is not None:
            return found
    return None


def _deal(picture: Picture, lead: Lead, contract: str | None) -> Deal:
    """What decides the rate of a deal to come."""
    program, partner = picture.program, lead.claim["partner"]
    contracts = [contract] if contract is not None else []
    whole = [name for name in (lead.id, lead.claim["account"]) if name is not None]
    decisions = [views for name in (*whole, *contracts) for views in picture.decisions.get(name, ())]
    roles = [verdict.role for _, verdict in lead.verdicts if verdict.role is not None]
    return Deal(
        program, lead.id, partner, program.calendar.date_of(lead.referral.submitted_at), picture.until, contracts={},
        standings=(), enrollments=picture.owned("enrollment", "partner").get(partner, {}),
        rate_decisions=list(rates_set(decisions, program.id, contracts, whole)), reallocations=(), invoices=(), billing=(),
        role=roles[-1] if roles else None, is_upsell=any(verdict.is_upsell for _, verdict in lead.verdicts),
        tiers=picture.tiers.get(partner),
    )  # fmt: skip


def if_won(picture: Picture, lead: Lead, value: Decimal | None) -> tuple[Found | None, Decimal | None]:
    """The rate and the commission of an open deal of this value, should it be won."""
    rate = expected_rate(picture, lead, value)
    if rate is None or value is None:
        return rate, None
    return rate, rounded(EXACT.multiply(value, rate.rate), lead.currency)


def to_come(picture: Picture, lead: Lead, contract: Contract) -> tuple[Found | None, Decimal | None]:
    """What a signed contract may still earn: its value less what its entries stand on, at their latest rate."""
    rows = [row for row in lead.entries if row["contract"] == contract.id and row["kind"] != "bonus"]
    rates = sorted((row["earned_on"], row["key"], row["rate"]) for row in rows if row["rate"] is not None)
    value = worth(picture, contract)
    rate = (
        Found(Decimal(rates[-1][2]), f"entry {rates[-1][1]}")
        if rates
        else expected_rate(picture, lead, value, contract.id)
    )
    if rate is None or value is None:
        return rate, None
    if contract.cancelled_on is not None or any(row["currency"] != contract.currency for row in rows):
        return rate, ZERO
    left = max(ZERO, value - total(rows, "basis"))
    return rate, rounded(EXACT.multiply(left, rate.rate), contract.currency)


def worth(picture: Picture, contract: Contract) -> Decimal | None:
    """What of a contract's value commission is expected on: its first year's where the program pays on that."""
    term = first_year_term(picture)
    if term is None:
        return contract_value(contract)
    signed = first_year_revenue(picture, contract, term, signed_only=True)
    return first_year_revenue(picture, contract, term) if signed is None else signed


def _terms(picture: Picture, day: date) -> Iterator[Sharing]:
    for term in picture.program.on(day).in_force():
        if isinstance(term, Sharing):
            yield term
