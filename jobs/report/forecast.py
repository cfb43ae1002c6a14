"""The forecast of commission: what is signed, what open deals would bring, and that weighted by the program's own history.

A probability is the share of the program's closed deals that were won after they had reached the stage. A stage that no
closed deal reached has none, and nothing is put in its place (CN-68).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal

from jobs.report.expectation import if_won, to_come
from jobs.report.figures import share
from jobs.report.leads import Lead, leads
from jobs.report.picture import Picture, Row
from jobs.report.pipeline import Deal, conversions, deals
from jobs.report.tables import Asked, Table
from rules.calendar import quarter_start
from rules.money import EXACT, ZERO, plain, rounded, text

SCENARIOS = Table(
    "scenarios",
    ("program", "partner", "currency", "position", "scenario", "deals", "value", "commission", "because"),
    ("program", "partner", "currency", "position"),
)
DEALS = Table(
    "deals",
    ("program", "partner", "referral", "opportunity", "contract", "company", "stage", "value", "currency", "rate",
     "rate_from", "probability", "commission_if_won", "weighted_commission", "expected_close", "expected_quarter"),
    ("program", "partner", "referral", "opportunity", "contract"),
)  # fmt: skip


def forecast(picture: Picture, asked: Asked) -> dict[str, list[Row]]:
    """Deals with their commission if won, and three scenarios a partner and currency."""
    history = _probabilities(deals(picture))
    rows = [_open_row(picture, deal, history) for deal in deals(picture, asked.partner) if deal.is_open]
    rows += [row for lead in leads(picture, asked.partner) for row in _signed_rows(picture, lead)]
    found: dict[str, list[Row]] = {"deals": rows, "scenarios": []}
    scopes: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        scopes.setdefault((row["partner"], row["currency"]), []).append(row)
    for (partner, currency), own in scopes.items():
        head = {"program": picture.program.id, "partner": partner, "currency": currency}
        found["scenarios"] += [{**head, **row} for row in _scenarios(own, currency)]
    return found


def _probabilities(every: Sequence[Deal]) -> Mapping[str, Decimal]:
    """For each open stage that closed deals reached: the share of them that was won."""
    shares = {stage: share(won, reached) for stage, (reached, won) in conversions(every).items()}
    return {stage: Decimal(found) for stage, found in shares.items() if found is not None}


def _open_row(picture: Picture, deal: Deal, history: Mapping[str, Decimal]) -> Row:
    lead, sale = deal.lead, deal.opportunity
    rate, commission = if_won(picture, lead, deal.value)
    probability = history.get(deal.stage)
    weighted = None
    if commission is not None and probability is not None:
        weighted = rounded(EXACT.multiply(commission, probability), lead.currency)
    closes = sale.expected_close if sale else None
    return {
        "program": picture.program.id,
        "partner": lead.claim["partner"],
        "referral": lead.id,
        "opportunity": sale.id if sale else None,
        "contract": None,
        "company": lead.referral.company,
        "stage": deal.stage,
        "value": text(deal.value, lead.currency) if deal.value is not None else None,
        "currency": lead.currency,
        "rate": plain(rate.rate) if rate else None,
        "rate_from": rate.source if rate else None,
        "probability": plain(probability) if probability is not None else None,
        "commission_if_won": text(commission, lead.currency) if commission is not None else None,
        "weighted_commission": text(weighted, lead.currency) if weighted is not None else None,
        "expected_close": closes.isoformat() if closes else None,
        "expected_quarter": quarter_start(closes).isoformat() if closes else None,
    }


def _signed_rows(picture: Picture, lead: Lead) -> Iterator[Row]:
    """Contracts that are won and have not earned all of their value yet."""
    for contract in lead.contracts if lead.won_on else ():
        rate, commission = to_come(picture, lead, contract)
        if commission is not None and not commission:
            continue
        shown = text(commission, contract.currency) if commission is not None else None
        yield {
            "program": picture.program.id,
            "partner": lead.claim["partner"],
            "referral": lead.id,
            "opportunity": contract.opportunity,
            "contract": contract.id,
            "company": lead.referral.company,
            "stage": "won",
            "value": text(contract.value, contract.currency) if contract.value is not None else None,
            "currency": contract.currency,
            "rate": plain(rate.rate) if rate else None,
            "rate_from": rate.source if rate else None,
            "probability": "1",
            "commission_if_won": shown,
            "weighted_commission": shown,
            "expected_close": None,
            "expected_quarter": None,
        }


def _scenarios(rows: Sequence[Row], currency: str) -> Iterator[Row]:
    signed = [row for row in rows if row["stage"] == "won"]
    still_open = [row for row in rows if row["stage"] != "won"]
    unknown = sorted({row["stage"] for row in still_open if row["probability"] is None})
    silent = sum(row["commission_if_won"] is None for row in rows)
    told = f"; {silent} without a value or a rate are not in it" if silent else ""
    yield _scenario(1, "signed", signed, "commission_if_won", currency, f"signed contracts, not earned yet{told}")
    if unknown:
        because = (
            f"no closed deal of this program reached {', '.join(unknown)}, so there is no probability to weigh with"
        )
        yield {**_scenario(2, "weighted", rows, "weighted_commission", currency, because), "commission": None}
    else:
        because = f"signed, and open deals by the share that was won after reaching their stage{told}"
        yield _scenario(2, "weighted", rows, "weighted_commission", currency, because)
    yield _scenario(3, "all_won", rows, "commission_if_won", currency, f"signed, and every open deal won{told}")


def _scenario(position: int, name: str, rows: Sequence[Row], amount: str, currency: str, because: str) -> Row:
    return {
        "position": position,
        "scenario": name,
        "deals": len(rows),
        "value": text(sum((Decimal(row["value"]) for row in rows if row["value"]), ZERO), currency),
        "commission": text(sum((Decimal(row[amount]) for row in rows if row[amount]), ZERO), currency),
        "because": because,
    }
