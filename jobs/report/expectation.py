"""What a deal may earn before it has earned: an expectation for forecasts, never an entry (CN-24, CN-57, CN-68, CN-A11)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from jobs.report.figures import total
from jobs.report.first_year import first_year_revenue, first_year_term
from jobs.report.leads import Lead, contract_value
from jobs.report.picture import Picture
from rules.money import EXACT, ZERO, rounded
from rules.rates import reads
from rules.records import Contract
from rules.terms import RateTerm, ShareOfCollections, ShareOfContract, ShareOfInvoices

Sharing = ShareOfCollections | ShareOfInvoices | ShareOfContract


@dataclass(frozen=True, slots=True)
class Rate:
    """A rate (a fraction) as it stands today, and where it comes from."""

    rate: Decimal
    source: str


def expected_rate(
    picture: Picture, partner: str, value: Decimal | None, *about: str, on: date | None = None
) -> Rate | None:
    """The rate that a deal signed on a day (on ``as_of``) would have, as known by its end; ``None``: nobody said it.

    Looked for in the order of the program's sources. ``about`` are ids that a decision on the rate may name: the
    referral and its contracts.
    """
    day = on or picture.as_of
    for term in _terms(picture, day):
        for source in term.rate.sources:
            found = _from(picture, term.rate, source, partner, value, about, day)
            if found is not None:
                return found if source == "decision" else _uplifted(picture, term.rate, partner, found, day)
    return None


def if_won(picture: Picture, lead: Lead, value: Decimal | None) -> tuple[Rate | None, Decimal | None]:
    """The rate and the commission of an open deal of this value, should it be won."""
    rate = expected_rate(picture, lead.claim["partner"], value, lead.id)
    if rate is None or value is None:
        return rate, None
    return rate, rounded(EXACT.multiply(value, rate.rate), lead.currency)


def to_come(picture: Picture, lead: Lead, contract: Contract) -> tuple[Rate | None, Decimal | None]:
    """What a signed contract may still earn: its value less what its entries stand on, at their latest rate."""
    rows = [row for row in lead.entries if row["contract"] == contract.id and row["kind"] != "bonus"]
    rates = sorted((row["earned_on"], row["key"], row["rate"]) for row in rows if row["rate"] is not None)
    value = worth(picture, contract)
    rate = (
        Rate(Decimal(rates[-1][2]), f"entry {rates[-1][1]}")
        if rates
        else expected_rate(picture, lead.claim["partner"], value, lead.id, contract.id)
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


def _uplifted(picture: Picture, term: RateTerm, partner: str, found: Rate, day: date) -> Rate:
    """The rate with what the partner's tier adds (TC-A5)."""
    history, tier = picture.tiers.get(partner), picture.tier_of(partner, day)
    if not term.uplift_tiers or history is None or tier is None:
        return found
    values = picture.program.on(day).values
    names = [level.tier for level in history.levels[: history.place(tier) + 1]]
    for name in reversed(names if values.get("tiers_cumulative") else names[-1:]):
        uplift = values.get(f"tier_uplift.{name}")
        if isinstance(uplift, Decimal) and uplift:
            return Rate(found.rate + uplift, f"{found.source} + tier {name}")
    return found


def _from(
    picture: Picture,
    term: RateTerm,
    source: str,
    partner: str,
    value: Decimal | None,
    about: tuple[str, ...],
    day: date,
) -> Rate | None:
    until = picture.program.calendar.end_of(day)
    if source == "decision":
        known = [each for name in about for each in picture.rate_decisions.get(name, ()) if each[0] < until]
        last = max(known, key=lambda each: (each[0], each[1].id))[1] if known else None
        return Rate(last.rate, f"set by {last.by}") if last and last.rate is not None else None
    if source == "tier":
        history, tier = picture.tiers.get(partner), picture.tier_of(partner, day)
        level = history.level(tier) if history else None
        return Rate(level.rate, f"tier {tier}") if level and level.rate is not None else None
    if source == "bands":
        bands = [band for band in term.bands if value is not None and band.from_value <= value]
        return Rate(bands[-1].rate, f"band from {bands[-1].from_value}") if bands else None
    if source == "fixed":
        return Rate(term.fixed, "the program") if term.fixed is not None else None
    for name, views in sorted(picture.owned("enrollment", "partner").get(partner, {}).items()):
        enrollment = reads(views, until)
        if enrollment is not None and source == "enrollment" and enrollment.rate is not None:
            return Rate(enrollment.rate, f"enrollment {name}")
        if enrollment is not None and source == "role" and enrollment.role in term.by_role:
            return Rate(term.by_role[enrollment.role], f"role {enrollment.role}")
    return None
