"""Which claims of a partner count for its tier, since when, and the tiers that follow (CN-A3, TC-15)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime
from typing import Any

from jobs.history import History, first_of
from rules.clawback import is_cancelled_early
from rules.facts import View
from rules.facts import at as as_it_read
from rules.pins import pins_of
from rules.records import Contract
from rules.terms import Terms
from rules.tiers import Mark, TierHistory, tier_history
from sync.verdicts import Claim


def marks_of(history: History, claims: Iterable[Claim]) -> dict[str, list[Mark]]:
    """For each partner, which of its claims count for its tier, since when (CN-A3, TC-15)."""
    marks: dict[str, list[Mark]] = {}
    for claim in claims:
        day = history.program.calendar.date_of(claim.verdicts[0][0])
        terms = history.program.on(day)
        if terms.tiers is None:
            continue
        if claim.referral in history.shared_referrals and not terms.values.get("shared_counts_for_tier"):
            continue
        counts = "successful" if terms.tiers.counts == "successful" else str(terms.values["tier_counts"])
        marks.setdefault(claim.partner, []).extend(_marks(history, claim, counts))
    return marks


def _marks(history: History, claim: Claim, counts: str) -> Iterator[Mark]:
    """Each instant at which a claim begins to count, or counts no more."""
    counted: date | None = None
    moments: list[tuple[datetime, date | None]] = []
    for at, verdict in claim.verdicts:
        moments.append((at, _counts_from(history, claim, verdict, counts, at)))
    if counts in ("won", "successful"):
        later = {at for _, v in claim.verdicts for name in v.contracts for at in _changes_of(history, name)}
        later |= {view.at for t in _fraud(history, claim).values() for view in t}
        for at in sorted(later):
            last = [v for since, v in claim.verdicts if since <= at]
            if last:
                moments.append((at, _counts_from(history, claim, last[-1], counts, at)))
    for at, day in sorted(moments, key=lambda moment: moment[0]):
        if day != counted:
            yield Mark(at, claim.referral, day)
            counted = day


def _counts_from(history: History, claim: Claim, verdict: Any, counts: str, at: datetime) -> date | None:
    """The day since which a claim counts as it stands at an instant, or ``None``."""
    calendar = history.program.calendar
    if counts == "submitted":
        out = ("incomplete", "inadmissible", "superseded", "withdrawn", "conflict")
        waits_behind = verdict.state in ("submitted", "in_review") and verdict.rank != 1
        return None if verdict.state in out or waits_behind else calendar.date_of(claim.verdicts[0][0])
    if counts == "qualified":
        return (
            calendar.date_of(verdict.activated_at) if verdict.activated_at and verdict.state != "superseded" else None
        )
    if verdict.state != "won" or verdict.won_on is None or _is_fraud(history, claim, at):
        return None
    contracts = [
        fact for name in verdict.contracts if (fact := as_it_read(history.views["contract"][name], at)) is not None
    ]
    if counts == "won":
        terms = _kept_terms(history, claim, verdict.won_on)
        gone = [c for c in contracts if _is_reversed(history, terms, c, at)]
        return None if contracts and len(gone) == len(contracts) else verdict.won_on
    if verdict.failed:
        return None
    started = [(max(c.signed_on, c.commenced_on), c.cancelled_on) for c in contracts if c.commenced_on is not None]
    return min((day for day, gone in started if gone is None or day < gone), default=None)


def _kept_terms(history: History, claim: Claim, won_on: date) -> Terms:
    """The terms that a claim's deal keeps; where each invoice has its own, those in force on the day it was won."""
    submitted_on = history.program.calendar.date_of(first_of(history.views["referral"][claim.referral]).submitted_at)
    pins = list(pins_of(history.program, submitted_on, claim.standings, history.views["contract"]))
    return pins[0].terms if len(pins) == 1 else history.program.on(won_on)


def _is_reversed(history: History, terms: Terms, contract: Contract, at: datetime) -> bool:
    """Whether a contract was cancelled so soon that all it earned is taken back."""
    return is_cancelled_early(terms, contract, _issued(history, contract.id, at), history.program.calendar)


def _issued(history: History, contract: str, at: datetime) -> Iterator[date]:
    """The issue dates of a contract's invoices that stand at an instant."""
    for readings in history.invoices_of_contract(contract).values():
        invoice = next((fact for since, fact in reversed(readings) if since <= at), None)
        if invoice is not None and invoice.voided_on is None:
            yield invoice.issued_on


def _is_fraud(history: History, claim: Claim, at: datetime) -> bool:
    return any(as_it_read(timeline, at) is not None for timeline in _fraud(history, claim).values())


def _fraud(history: History, claim: Claim) -> Mapping[str, Sequence[View[Any]]]:
    return history.about_referral.get(claim.referral, {}).get("fraud_finding", {})


def _changes_of(history: History, contract: str) -> Iterator[datetime]:
    own = history.views["contract"][contract]
    yield from (view.at for view in own)
    if any(view.fact and view.fact.cancelled_on for view in own):  # the window may be counted from the first invoice
        yield from (at for readings in history.invoices_of_contract(contract).values() for at, _ in readings)


def tiers_of(history: History, marks: Mapping[str, Sequence[Mark]]) -> dict[str, TierHistory]:
    """The tiers of every partner in the program by now, where the program has tiers."""
    if history.program.on(history.as_of).tiers is None:
        return {}
    return {
        partner: tier_history(
            history.program,
            marks.get(partner, ()),
            history.enrollments[partner].values(),
            history.program.calendar,
            history.as_of,
        )
        for partner in sorted(history.enrollments)
        if any(v.fact and v.fact.starts_on <= history.as_of for t in history.enrollments[partner].values() for v in t)
    }
