"""Co-op funds by quarter, and the requests for them with how far each is (CN-6, CN-96..CN-102, CN-X15..CN-X17).

Of rates nothing is made a count of: half a lead is none (CN-X16). Clicks are of what was sent, not of what was opened (CN-X17).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from jobs.report.figures import growth, share
from jobs.report.picture import Picture, Row
from jobs.report.tables import Asked, Table
from rules.co_op import co_op_of, quarters
from rules.ledger import Ledger
from rules.money import text
from rules.records import CoOpRequest

FUNDS = Table(
    "funds",
    ("program", "partner", "quarter", "currency", "carried", "allocated", "committed", "spent", "expired", "left"),
    ("program", "partner", "quarter"),
)
REQUESTS = Table(
    "requests",
    ("program", "partner", "request", "use", "state", "requested_on", "approved_on", "documents_on", "reimbursed_on",
     "amount", "spent", "currency", "impressions", "clicks", "click_rate", "leads", "revenue", "return_on_spend"),
    ("program", "partner", "request"),
)  # fmt: skip


def co_op(picture: Picture, asked: Asked) -> dict[str, list[Row]]:
    """Every partner's fund and requests, or one's, when the program has co-op funds."""
    found: dict[str, list[Row]] = {"funds": [], "requests": []}
    if picture.terms.co_op is None:
        return found
    for partner in picture.partners if asked.partner is None else (asked.partner,):
        found["funds"] += _fund_rows(picture, partner)
        requests = picture.grouped("co_op_request", "partner").get(partner, {})
        found["requests"] += [_row(picture, each) for each in requests.values()]
    return found


def _fund_rows(picture: Picture, partner: str) -> Iterator[Row]:
    """The fund quarter by quarter, replayed by the rule that also posts its reimbursements."""
    history = picture.tiers.get(partner)
    fund = co_op_of(
        picture.program,
        partner,
        picture.owned("co_op_request", "partner").get(partner, {}),
        picture.owned("enrollment", "partner").get(partner, {}),
        history.steps if history else (),
        Ledger(picture.program.id),
        picture.as_of,
    )
    for quarter in quarters(fund, picture.as_of):
        yield {"program": picture.program.id, **quarter.row()}


def state_of(request: CoOpRequest) -> str:
    """``requested``, ``approved``, ``documented`` (invoice and documents are in) or ``reimbursed``."""
    if request.reimbursed_on is not None:
        return "reimbursed"
    if request.documents_on is not None:
        return "documented"
    return "approved" if request.approved_on is not None else "requested"


def _row(picture: Picture, request: CoOpRequest) -> Row:
    results = request.results
    revenue = results.revenue if results else None
    spent = request.spent
    days: dict[str, Any] = {
        name: day.isoformat() if (day := getattr(request, name)) else None
        for name in ("requested_on", "approved_on", "documents_on", "reimbursed_on")
    }
    return {
        "program": picture.program.id,
        "partner": request.partner,
        "request": request.id,
        "use": request.use,
        "state": state_of(request),
        **days,
        "amount": text(request.amount, request.currency),
        "spent": text(spent, request.currency) if spent is not None else None,
        "currency": request.currency,
        "impressions": results.impressions if results else None,
        "clicks": results.clicks if results else None,
        "click_rate": share(results.clicks or 0, results.impressions or 0)
        if results and results.clicks is not None
        else None,
        "leads": results.leads if results else None,
        "revenue": text(revenue, request.currency) if revenue is not None else None,
        "return_on_spend": growth(revenue, spent) if revenue is not None and spent is not None else None,
    }
