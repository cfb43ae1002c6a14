"""The top referrers of each quarter, by successful referrals, then by value; ties share a rank (TC-19, TC-A10, CN-74)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from decimal import Decimal

from jobs.report.leads import Lead, leads
from jobs.report.picture import Picture, Row
from jobs.report.tables import Asked, Table
from rules.calendar import quarter_start
from rules.money import ZERO, text

PLACES = Table(
    "places",
    ("program", "quarter", "rank", "partner", "name", "successful_referrals", "value", "currency"),
    ("program", "quarter", "rank", "partner"),
)


def leaderboard(picture: Picture, asked: Asked) -> dict[str, list[Row]]:
    """The first places of each quarter that has any; a program without ``top_n`` has none unless a number is asked for."""
    most = asked.top if asked.top is not None else picture.terms.values.get("top_n")
    if not isinstance(most, int):
        return {"places": []}
    found: dict[date, dict[str, list[Lead]]] = {}
    for lead in leads(picture):
        day = _counts_on(picture, lead)
        if day is not None:
            found.setdefault(quarter_start(day), {}).setdefault(lead.claim["partner"], []).append(lead)
    rows = [row for quarter, partners in found.items() for row in _places(picture, quarter, partners, most)]
    return {"places": [row for row in rows if asked.partner in (None, row["partner"])]}


def _counts_on(picture: Picture, lead: Lead) -> date | None:
    """The day a referral is successful: signed and under way where tiers count that, else the day it was won."""
    tiers = picture.terms.tiers
    return lead.successful_on if tiers and tiers.counts == "successful" else lead.won_on


def _places(picture: Picture, quarter: date, partners: dict[str, list[Lead]], most: int) -> Iterator[Row]:
    currency = picture.program.currency
    by_value = picture.terms.values.get("rank_by") == "value"
    scores: dict[str, tuple[Decimal, ...]] = {}
    for partner, own in partners.items():
        value = sum((lead.value for lead in own if lead.value is not None and lead.currency == currency), ZERO)
        count = Decimal(len(own))
        scores[partner] = (value, count) if by_value else (count, value)
    for partner in sorted(scores):
        rank = 1 + sum(other > scores[partner] for other in scores.values())
        if rank <= most:
            yield {
                "program": picture.program.id,
                "quarter": quarter.isoformat(),
                "rank": rank,
                "partner": partner,
                "name": picture.name_of(partner),
                "successful_referrals": len(partners[partner]),
                "value": text(scores[partner][0 if by_value else 1], currency),
                "currency": currency,
            }
