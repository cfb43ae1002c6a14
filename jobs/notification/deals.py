"""What partners are told when a client signs, and when its project begins (CN-46, CN-57..CN-59, TC-9)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from decimal import Decimal

from jobs.notification.event import Event
from jobs.report.expectation import expected_rate
from jobs.report.figures import shown
from jobs.report.first_year import first_year_revenue, first_year_term
from jobs.report.leads import Lead, contract_value
from jobs.report.picture import Picture
from rules.calendar import DAY
from rules.money import EXACT, percent, rounded, text
from rules.records import Contract


def deal_events(picture: Picture, own: Sequence[Lead]) -> Iterator[Event]:
    """A confirmation for each contract of a won lead, and word when its project is under way."""
    calendar = picture.program.calendar
    for lead in own:
        won_at = next((at for at, verdict in lead.verdicts if verdict.won_on is not None), None)
        if won_at is None:
            continue
        for contract in lead.contracts:
            views = picture.timelines("contract")[contract.id]
            known = calendar.date_of(max(won_at, next(view.at for view in views if view.fact is not None)))
            yield from _registered(picture, lead, contract, known)
            begun = next((view.at for view in views if view.fact is not None and view.fact.commenced_on), None)
            if begun is not None:
                fields = {"company": lead.referral.company, "contract": contract.id}
                yield Event("project_started", lead.claim["partner"], contract.id, calendar.date_of(begun), fields)


def _registered(picture: Picture, lead: Lead, contract: Contract, on: date) -> Iterator[Event]:
    """The deal as it was known on the day it was registered, so that the text stays the same afterwards."""
    contract = picture.last_known("contract", contract.id, picture.program.calendar.end_of(on))
    partner, value, money = lead.claim["partner"], contract_value(contract), contract.currency
    term = first_year_term(picture)
    base = first_year_revenue(picture, contract, term, signed_only=True) if term else value
    rate = expected_rate(picture, lead, base, contract.id, on=on)
    if rate is None:
        calculation = "no rate is known yet; you are told when it is"
    elif base is None:
        calculation = f"{percent(rate.rate)} of what is billed"
    else:
        commission = text(rounded(EXACT.multiply(base, rate.rate), money), money)
        calculation = f"{shown(text(base, money))} {money} x {percent(rate.rate)} = {shown(commission)} {money}, as it is billed or paid"
    disputes = picture.program.on(on).disputes
    last = on + timedelta(days=disputes.registration_days) if disputes else None
    yield Event(
        "deal_registered", partner, contract.id, on,
        {
            "company": lead.referral.company,
            "contract": contract.id,
            "kind": contract.kind.replace("_", " "),
            "value": shown(text(value, money)) if value is not None else "not given",
            "currency": money,
            "rate": percent(rate.rate) if rate else "not known",
            "rate_from": rate.source if rate else "nobody has said it",
            "calculation": calculation,
            "duration": _duration(contract),
            "monthly_billing": _monthly(contract, value),
            "dispute_note": f"If something is wrong, tell us by {last}." if last else "",
        },
        due_on=last,
    )  # fmt: skip


def _months(contract: Contract) -> int | None:
    if contract.ends_on is None:
        return None
    starts, ends = contract.starts_on or contract.signed_on, contract.ends_on + DAY
    months = (ends.year - starts.year) * 12 + ends.month - starts.month
    return months if months > 0 and ends.day == starts.day else None


def _duration(contract: Contract) -> str:
    months = _months(contract)
    if months is not None:
        return f"{months} months"
    return f"until {contract.ends_on}" if contract.ends_on else "open-ended"


def _monthly(contract: Contract, value: Decimal | None) -> str:
    """What is billed a month, should the value be spread evenly; a fixed price is billed as agreed."""
    months = _months(contract)
    if value is None or months is None or contract.billing == "once" or contract.kind in ("fixed_price", "project"):
        return "as agreed in the contract"
    amount = rounded(EXACT.divide(value, Decimal(months)), contract.currency)
    return f"{shown(text(amount, contract.currency))} {contract.currency}"
