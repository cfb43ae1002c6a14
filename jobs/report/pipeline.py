"""The pipeline: every qualified deal with its stage, and what became of those that are closed (CN-66, CN-67)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from jobs.report.expectation import if_won
from jobs.report.figures import mean, mean_days, share
from jobs.report.leads import OPEN_STAGES, STAGES, Lead, leads, stage_of
from jobs.report.picture import Picture, Row
from jobs.report.tables import Asked, Table
from rules.calendar import quarter_start
from rules.money import ZERO, plain, text
from rules.records import Opportunity

DEALS = Table(
    "deals",
    ("program", "partner", "referral", "opportunity", "company", "account", "stage", "value", "currency", "value_from",
     "expected_close", "closed_on", "sales_owner", "rate", "rate_from", "commission_if_won"),
    ("program", "partner", "referral", "opportunity"),
)  # fmt: skip
STAGE_ROWS = Table(
    "stages",
    ("program", "partner", "currency", "stage", "position", "deals", "value", "reached", "won_of_reached",
     "lost_of_reached", "conversion"),
    ("program", "partner", "currency", "position"),
)  # fmt: skip
ANALYTICS = Table(
    "analytics",
    ("program", "partner", "currency", "open_deals", "open_value", "average_deal", "cycle_days", "win_rate",
     "forecast_accuracy"),
    ("program", "partner", "currency"),
)  # fmt: skip
TREND = Table(
    "trend",
    ("program", "partner", "currency", "quarter", "submitted", "won", "lost", "won_value"),
    ("program", "partner", "currency", "quarter"),
)  # fmt: skip


@dataclass(frozen=True)
class Deal:
    """One sale of a qualified lead; ``furthest`` is the last open stage it was seen in (as a place among the stages)."""

    lead: Lead
    opportunity: Opportunity | None
    stage: str
    value: Decimal | None
    value_from: str | None
    furthest: int
    closed_on: date | None

    @property
    def is_open(self) -> bool:
        """Whether it is neither won nor lost."""
        return self.stage in OPEN_STAGES


def deals(picture: Picture, partner: str | None = None) -> list[Deal]:
    """Every sale of every qualified lead; a qualified lead without a sale in the CRM is one deal in discovery."""
    return [deal for lead in leads(picture, partner) for deal in _deals_of(picture, lead)]


def _deals_of(picture: Picture, lead: Lead) -> Iterator[Deal]:
    if lead.stage is None:
        return
    winning = lead.contracts[0].opportunity if lead.contracts else None
    sales: Sequence[Opportunity | None] = lead.opportunities or (None,)
    main = next((each for each in lead.opportunities if each.id == winning), lead.opportunity)
    for sale in sales:
        stage = lead.stage if sale is main else stage_of(sale) if sale else lead.stage
        if stage in OPEN_STAGES and lead.status == "lost":
            stage = "lost"
        value: Decimal | None = None
        value_from = None
        if stage == "won" and sale is main and lead.value is not None:
            value, value_from = lead.value, "contract"
        elif sale is not None and sale.amount is not None:
            value, value_from = lead.amount_of(sale), "opportunity"
        elif lead.expected_value is not None and sale is main:
            value, value_from = lead.expected_value, "estimate"
        closed = lead.won_on if stage == "won" and sale is main else None
        if closed is None and sale is not None and sale.closed_at is not None:
            closed = picture.program.calendar.date_of(sale.closed_at)
        if closed is None and stage == "lost":
            closed = picture.program.calendar.date_of(lead.verdicts[-1][0])
        yield Deal(lead, sale, stage, value, value_from, _furthest(picture, sale, stage), closed)


def _furthest(picture: Picture, sale: Opportunity | None, stage: str) -> int:
    if stage == "won":
        return len(OPEN_STAGES) - 1
    seen = [
        stage_of(view.fact) for view in picture.timelines("opportunity").get(sale.id if sale else "", ()) if view.fact
    ]
    return max((OPEN_STAGES.index(each) for each in (*seen, stage) if each in OPEN_STAGES), default=0)


def pipeline(picture: Picture, asked: Asked) -> dict[str, list[Row]]:
    """Deals, stages, analytics and trend: of the whole program (``partner`` is null) and of each partner."""
    every = deals(picture, asked.partner)
    own = leads(picture, asked.partner)
    scopes: dict[str | None, tuple[list[Deal], list[Lead]]] = {} if asked.partner is not None else {None: (every, own)}
    for lead in own:
        scopes.setdefault(lead.claim["partner"], ([], []))[1].append(lead)
    for deal in every:
        scopes[deal.lead.claim["partner"]][0].append(deal)
    found: dict[str, list[Row]] = {
        "deals": [_deal_row(picture, deal) for deal in every], "stages": [], "analytics": [], "trend": [],
    }  # fmt: skip
    for scope, (inside, inquired) in scopes.items():
        for currency in sorted({deal.lead.currency for deal in inside}):
            same = [deal for deal in inside if deal.lead.currency == currency]
            head = {"program": picture.program.id, "partner": scope, "currency": currency}
            found["stages"] += [{**head, **row} for row in stage_rows(same, currency)]
            found["analytics"].append({**head, **_analytics(picture, same, currency)})
            of_currency = [lead for lead in inquired if lead.currency == currency]
            found["trend"] += [{**head, **row} for row in _trend(picture, of_currency, same, currency)]
    return found


def stage_rows(every: Sequence[Deal], currency: str) -> Iterator[Row]:
    """Each stage: what is in it now, and of the closed deals that reached it, how many were won."""
    history = conversions(every)
    for position, stage in enumerate(STAGES, 1):
        inside = [deal for deal in every if deal.stage == stage]
        reached, won = history.get(stage, (None, None))
        yield {
            "stage": stage,
            "position": position,
            "deals": len(inside),
            "value": text(sum((deal.value for deal in inside if deal.value is not None), ZERO), currency),
            "reached": reached,
            "won_of_reached": won,
            "lost_of_reached": reached - won if reached is not None and won is not None else None,
            "conversion": share(won, reached) if reached is not None and won is not None else None,
        }


def conversions(every: Sequence[Deal]) -> dict[str, tuple[int, int]]:
    """For each open stage: how many closed deals had reached it, and how many of those were won."""
    closed = [deal for deal in every if not deal.is_open]
    found = {}
    for place, stage in enumerate(OPEN_STAGES):
        reached = [deal for deal in closed if deal.furthest >= place]
        found[stage] = (len(reached), sum(deal.stage == "won" for deal in reached))
    return found


def _analytics(picture: Picture, every: Sequence[Deal], currency: str) -> Row:
    won = [deal for deal in every if deal.stage == "won"]
    is_open = [deal for deal in every if deal.is_open]
    return {
        "open_deals": len(is_open),
        "open_value": text(sum((deal.value for deal in is_open if deal.value is not None), ZERO), currency),
        "average_deal": mean((deal.value for deal in won if deal.value is not None), currency),
        "cycle_days": mean_days((deal.closed_on - _started(picture, deal)).days for deal in won if deal.closed_on),
        "win_rate": share(len(won), len(every) - len(is_open)),
        "forecast_accuracy": _accuracy(won),
    }


def _started(picture: Picture, deal: Deal) -> date:
    started = deal.opportunity.created_at if deal.opportunity else deal.lead.referral.submitted_at
    return picture.program.calendar.date_of(started)


def _accuracy(won: Sequence[Deal]) -> str | None:
    """One less the share by which the sales' amounts missed the contracts' values, of deals that have both."""
    both = [
        (amount, deal.value)
        for deal in won
        if deal.opportunity and deal.value_from == "contract" and deal.value
        if (amount := deal.lead.amount_of(deal.opportunity)) is not None
    ]
    actual = sum((value for _, value in both), ZERO)
    missed = sum((abs(amount - value) for amount, value in both), ZERO)
    return share(max(ZERO, actual - missed), actual)


def _trend(picture: Picture, own: Sequence[Lead], every: Sequence[Deal], currency: str) -> Iterator[Row]:
    local = picture.program.calendar.date_of
    submitted = [quarter_start(local(lead.referral.submitted_at)) for lead in own]
    closed = [(quarter_start(deal.closed_on), deal) for deal in every if deal.closed_on and not deal.is_open]
    for quarter in sorted({*submitted, *(day for day, _ in closed)}):
        then = [deal for day, deal in closed if day == quarter]
        won = [deal for deal in then if deal.stage == "won"]
        yield {
            "quarter": quarter.isoformat(),
            "submitted": submitted.count(quarter),
            "won": len(won),
            "lost": len(then) - len(won),
            "won_value": text(sum((deal.value for deal in won if deal.value is not None), ZERO), currency),
        }


def _deal_row(picture: Picture, deal: Deal) -> Row:
    lead, sale = deal.lead, deal.opportunity
    rate, commission = if_won(picture, lead, deal.value)
    return {
        "program": picture.program.id,
        "partner": lead.claim["partner"],
        "referral": lead.id,
        "opportunity": sale.id if sale else None,
        "company": lead.referral.company,
        "account": lead.claim["account"],
        "stage": deal.stage,
        "value": text(deal.value, lead.currency) if deal.value is not None else None,
        "currency": lead.currency,
        "value_from": deal.value_from,
        "expected_close": sale.expected_close.isoformat() if sale and sale.expected_close else None,
        "closed_on": deal.closed_on.isoformat() if deal.closed_on and not deal.is_open else None,
        "sales_owner": lead.account.owner if lead.account else None,
        "rate": plain(rate.rate) if rate and deal.is_open else None,
        "rate_from": rate.source if rate and deal.is_open else None,
        "commission_if_won": text(commission, lead.currency) if commission is not None and deal.is_open else None,
    }
