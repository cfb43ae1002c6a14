"""Requests for co-op funds and how far each is (CN-97..CN-102)."""

from __future__ import annotations

from typing import Any

from jobs.report.figures import growth
from jobs.report.picture import Picture, Row
from jobs.report.tables import Asked, Table
from rules.money import text
from rules.records import CoOpRequest

REQUESTS = Table(
    "requests",
    ("program", "partner", "request", "use", "state", "requested_on", "approved_on", "documents_on", "reimbursed_on",
     "amount", "spent", "currency", "impressions", "clicks", "leads", "revenue", "return_on_spend"),
    ("program", "partner", "request"),
)  # fmt: skip


def co_op(picture: Picture, asked: Asked) -> dict[str, list[Row]]:
    """Every request of the program's partners, when the program has co-op funds."""
    levels = picture.terms.tiers.levels if picture.terms.tiers else ()
    if not any(level.co_op for level in levels):
        return {"requests": []}
    wanted = picture.partners if asked.partner is None else (asked.partner,)
    requests = picture.facts("co_op_request").values()
    return {"requests": [_row(picture, each) for each in requests if each.partner in wanted]}


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
        "leads": results.leads if results else None,
        "revenue": text(revenue, request.currency) if revenue is not None else None,
        "return_on_spend": growth(revenue, spent) if revenue is not None and spent is not None else None,
    }
