"""Rule: a contract that is cancelled soon takes back what it earned, and is no referral for the tier (CN-39, CN-40).

One reading of the window for both: what it is counted from, which date of a cancellation counts, which contracts it is for.
Source: CN-A3, CN-A14, CN-A15.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date

from rules.calendar import Calendar, Period
from rules.dues import last_day_of
from rules.records import Contract
from rules.terms import Terms


def clawback_until(terms: Terms, contract: Contract, issued: Iterable[date]) -> date | None:
    """The last day on which a cancellation takes back what the contract earned; ``None``: none does.

    ``issued`` are the issue dates of the contract's invoices that stand; read only where the first of them counts.
    """
    if terms.clawback is None:
        return None
    one_time = contract.kind in ("fixed_price", "project")
    if terms.values.get("clawback_applies_to") == ("recurring" if one_time else "one_time"):
        return None
    anchor: date | None = contract.signed_on
    if terms.values.get("clawback_anchor") == "start":
        anchor = contract.starts_on or contract.signed_on
    elif terms.values.get("clawback_anchor") == "first_invoice":
        anchor = min(issued, default=None)
    return None if anchor is None else last_day_of(terms, anchor, Period(days=terms.clawback.within_days))


def is_cancelled_early(terms: Terms, contract: Contract, issued: Iterable[date], calendar: Calendar) -> bool:
    """Whether a contract was cancelled inside its clawback window."""
    last, cancelled = clawback_until(terms, contract, issued), _cancelled_on(terms, contract, calendar)
    return last is not None and cancelled is not None and cancelled <= last


def _cancelled_on(terms: Terms, contract: Contract, calendar: Calendar) -> date | None:
    """The date of a cancellation that counts: when it takes effect, or when it was told."""
    if contract.cancelled_on is None or terms.values.get("cancel_date") != "notice":
        return contract.cancelled_on
    told = calendar.date_of(contract.known_at) if contract.known_at else contract.cancelled_on
    return min(told, contract.cancelled_on)
