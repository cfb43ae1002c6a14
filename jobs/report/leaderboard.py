"""The top referrers of each quarter, by successful referrals, then by value; ties share a rank (TC-19, TC-A10, CN-74)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

from jobs.report.leads import leads
from jobs.report.picture import Picture, Row
from jobs.report.tables import Asked, Table
from rules.calendar import quarter_start
from rules.money import ZERO, text
from rules.recognition import Rank, Success, ranked

PLACES = Table(
    "places",
    ("program", "quarter", "rank", "partner", "name", "successful_referrals", "value", "currency"),
    ("program", "quarter", "rank", "partner"),
)


def leaderboard(picture: Picture, asked: Asked) -> dict[str, list[Row]]:
    """The first places of each quarter that has any: as many as asked for, else ``top_n``, else all."""
    most = asked.top if asked.top is not None else picture.terms.values.get("top_n")
    quarters: dict[date, list[Success]] = {}
    for success in _successes(picture):
        quarters.setdefault(quarter_start(success.on), []).append(success)
    rank_by = str(picture.terms.values.get("rank_by", "successful_referrals"))
    rows = [
        _row(picture, quarter, each)
        for quarter, successes in quarters.items()
        for each in ranked(successes, rank_by)
        if (not isinstance(most, int) or each.rank <= most) and asked.partner in (None, each.partner)
    ]
    return {"places": rows}


def _successes(picture: Picture) -> Iterator[Success]:
    """The referrals that count for the partners' tiers; where there are no tiers, those that were won."""
    own = {lead.id: lead for lead in leads(picture)}
    counted = [(day, own[name]) for history in picture.tiers.values() for day, name in history.counted]
    if picture.terms.tiers is None:
        counted = [(lead.won_on, lead) for lead in own.values() if lead.won_on is not None]
    for day, lead in counted:
        value = lead.value if lead.currency == picture.program.currency else None
        yield Success(lead.claim["partner"], day, value or ZERO)


def _row(picture: Picture, quarter: date, place: Rank) -> Row:
    currency = picture.program.currency
    return {
        "program": picture.program.id,
        "quarter": quarter.isoformat(),
        "rank": place.rank,
        "partner": place.partner,
        "name": picture.name_of(place.partner),
        "successful_referrals": place.count,
        "value": text(place.value, currency),
        "currency": currency,
    }
