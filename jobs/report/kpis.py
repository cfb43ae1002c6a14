"""Figures of a program, computed from its records and ledger and from nothing else (CN-2, CN-3, CN-89, CN-130, CN-A17).

A year is the calendar year of the report's date up to that date; it is compared with the same part of the year before.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from jobs.report.figures import growth, mean, share
from jobs.report.leads import Lead, by_partner, leads
from jobs.report.picture import Picture, Row
from jobs.report.tables import Asked, Table
from rules.calendar import add_months
from rules.money import ZERO, text
from rules.records import Contract, Enrollment, Invoice

KPIS = Table(
    "kpis",
    ("program", "kpi", "partner", "of", "currency", "value", "unit", "goal", "period_from", "period_to", "clauses",
     "because"),
    ("program", "kpi", "partner", "of", "currency"),
)  # fmt: skip
WIN_RATE_GOAL = "0.2"
"""CN-130."""
TOP_SHARE = 10
"""The top decile is one partner in ten, at least one (CN-3)."""


@dataclass(frozen=True, slots=True)
class Span:
    """Days from ``first`` to ``last``, both included."""

    first: date
    last: date

    def holds(self, day: date | str) -> bool:
        """Whether a day (or its ISO text) is inside."""
        return self.first.isoformat() <= str(day) <= self.last.isoformat()


def kpis(picture: Picture, asked: Asked) -> dict[str, list[Row]]:
    """One row a figure; a partner sees its own figures only."""
    now = Span(date(picture.as_of.year, 1, 1), picture.as_of)
    before = Span(add_months(now.first, -12), add_months(now.last, -12))
    own = leads(picture, asked.partner)
    rows = [*_of_partners(picture, own, now)]
    if asked.partner is None:
        rows += [
            *_enrolled(picture, before.last), *_revenue(picture, own, now, before), *_earnings(picture, now, before),
            *_wins(own), _clients(own, picture.as_of), _satisfaction(),
        ]  # fmt: skip
    blank = {"partner": None, "of": None, "currency": None, "goal": None}
    span = {"period_from": now.first.isoformat(), "period_to": now.last.isoformat()}
    return {"kpis": [{"program": picture.program.id, **blank, **span, **row} for row in rows]}


def _row(kpi: str, value: Any, unit: str, clauses: Sequence[str], because: str, **more: Any) -> Row:
    return {"kpi": kpi, "value": value, "unit": unit, "clauses": list(clauses), "because": because, **more}


def _enrolled(picture: Picture, a_year_ago: date) -> Iterator[Row]:
    """Partners in force, in all and by type, and how many of last year's are still here."""
    enrollments = list(picture.facts("enrollment").values())
    active = [each for each in enrollments if _in_force(each, picture.as_of)]
    now = {each.partner for each in active}
    whole = {"period_from": picture.as_of.isoformat()}
    because = f"enrollments in force and not terminated on {picture.as_of}"
    yield _row("active_partners", str(len(now)), "count", ("CN-2",), because, **whole)
    for role in sorted({each.role for each in active if each.role}):
        of_role = len({each.partner for each in active if each.role == role})
        yield _row("active_partners", str(of_role), "count", ("CN-1", "CN-2"), because, of=role, **whole)
    then = {each.partner for each in _as_of(picture, a_year_ago) if _in_force(each, a_year_ago)}
    kept = len(then & now)
    because = f"{kept} of {len(then)} partners enrolled on {a_year_ago} are on {picture.as_of}"
    yield _row("partner_retention", share(kept, len(then)), "share", ("CN-3",), because)


def _as_of(picture: Picture, day: date) -> Iterator[Enrollment]:
    """The enrollments as they read on an earlier day; one that was learned of later as it read first."""
    until = picture.program.calendar.end_of(day)
    for timeline in picture.timelines("enrollment").values():
        known = [view.fact for view in timeline if view.at < until] or [timeline[0].fact]
        if known[-1] is not None:
            yield known[-1]


def _in_force(enrollment: Enrollment, day: date) -> bool:
    ended = enrollment.ends_on is not None and enrollment.ends_on < day
    return enrollment.starts_on <= day and not ended and enrollment.standing != "terminated"


def _revenue(picture: Picture, own: Sequence[Lead], now: Span, before: Span) -> Iterator[Row]:
    """Invoiced net revenue of referred clients, its share of all, and its growth."""
    referred = _referred(own)
    for currency in sorted({each.currency for each in picture.facts("invoice").values()}):
        mine, before_mine = (_invoiced(picture, currency, span, referred) for span in (now, before))
        every = _invoiced(picture, currency, now, None)
        because = f"net invoiced to clients of won referrals, less credit notes: {text(mine, currency)} {currency}"
        yield _row("referral_revenue", text(mine, currency), "amount", ("CN-2",), because, currency=currency)
        whole = f"{because}, of {text(every, currency)} {currency} in all"
        yield _row("referral_revenue_share", share(mine, every), "share", ("CN-2",), whole, currency=currency)
        than = f"{because}; in the same part of the year before {text(before_mine, currency)}"
        yield _row("referral_revenue_growth", growth(mine, before_mine), "share", ("CN-2",), than, currency=currency)


def _referred(own: Sequence[Lead]) -> dict[str, date]:
    """Accounts of won referrals, each with the day from which its invoices count."""
    found: dict[str, date] = {}
    for lead in own:
        if lead.won_on is not None:
            for account in {lead.claim["account"], *(each.account for each in lead.contracts)} - {None}:
                found[account] = min(lead.won_on, found.get(account, lead.won_on))
    return found


def _invoiced(picture: Picture, currency: str, span: Span, accounts: Mapping[str, date] | None) -> Decimal:
    """Net invoiced in a span; of these accounts from their days on, or of all."""
    amount = ZERO
    for account, invoices in _of_accounts(picture, accounts):
        for name, invoice in invoices.items():
            if invoice.currency != currency or invoice.voided_on is not None:
                continue
            if accounts is not None and invoice.issued_on < accounts[account]:
                continue
            if span.holds(invoice.issued_on):
                amount += sum((line.amount for line in invoice.lines), ZERO)
            credits = picture.grouped("credit_note", "invoice").get(name, {}).values()
            amount -= sum((credit.amount for credit in credits if span.holds(credit.issued_on)), ZERO)
    return amount


def _of_accounts(picture: Picture, accounts: Mapping[str, date] | None) -> Iterable[tuple[str, Mapping[str, Invoice]]]:
    every = picture.grouped("invoice", "account")
    return every.items() if accounts is None else [(name, every.get(name, {})) for name in accounts]


def _earnings(picture: Picture, now: Span, before: Span) -> Iterator[Row]:
    """What partners earned: on average, the best tenth of them, and its growth."""
    for currency in sorted({row["currency"] for row in picture.commissions}):
        mine, past = (_earned(picture, currency, span) for span in (now, before))
        ranked = sorted(mine.values(), reverse=True)
        top = ranked[: max(1, len(ranked) // TOP_SHARE)]
        because = f"partners with entries earned in the period: {len(ranked)}"
        in_money = {"currency": currency}
        yield _row("average_partner_earnings", mean(ranked, currency), "amount", ("CN-3",), because, **in_money)
        best = f"{because}; of these the best {len(top)}"
        yield _row(
            "top_decile_earnings", mean(top, currency) if ranked else None, "amount", ("CN-3",), best, **in_money
        )
        total, total_past = sum(mine.values(), ZERO), sum(past.values(), ZERO)
        than = f"{text(total, currency)} {currency} earned; in the same part of the year before {text(total_past, currency)}"
        yield _row("commission_growth", growth(total, total_past), "share", ("CN-130",), than, **in_money)


def _earned(picture: Picture, currency: str, span: Span) -> dict[str, Decimal]:
    found: dict[str, Decimal] = {}
    for row in picture.commissions:
        if row["currency"] == currency and span.holds(row["earned_on"]):
            found[row["partner"]] = found.get(row["partner"], ZERO) + Decimal(row["amount"])
    return found


def _wins(own: Sequence[Lead]) -> Iterator[Row]:
    won = sum(lead.won_on is not None for lead in own)
    closed = won + sum(lead.stage == "lost" for lead in own)
    because = f"{won} won of {closed} qualified referrals that are won or lost"
    yield _row("win_rate", share(won, closed), "share", ("CN-130",), because, goal=WIN_RATE_GOAL)


def _clients(own: Sequence[Lead], day: date, **more: Any) -> Row:
    """How many of the clients that were won are still clients."""
    won = [lead for lead in own if lead.won_on is not None]
    kept = sum(any(_runs(contract, day) for contract in lead.contracts) for lead in won)
    because = f"{kept} of {len(won)} won clients have a contract that is neither cancelled nor past its end"
    return _row("client_retention", share(kept, len(won)), "share", ("CN-89", "CN-130"), because, **more)


def _runs(contract: Contract, day: date) -> bool:
    return contract.cancelled_on is None and (contract.ends_on is None or contract.ends_on >= day)


def _satisfaction() -> Row:
    return _row(
        "net_promoter_score", None, "count", ("CN-3",), "no record holds it; it is not computed from anything else"
    )


def _of_partners(picture: Picture, own: Sequence[Lead], now: Span) -> Iterator[Row]:
    """Each partner's volume, revenue and client retention (CN-89); its tier progress is on the dashboard."""
    for partner, mine in by_partner(own).items():
        because = f"{len(mine)} referrals in all"
        submitted = [picture.program.calendar.date_of(lead.referral.submitted_at) for lead in mine]
        inside = sum(now.holds(day) for day in submitted)
        yield _row("referral_volume", str(inside), "count", ("CN-89",), because, partner=partner)
        referred = _referred(mine)
        for currency in sorted({lead.currency for lead in mine if lead.won_on}):
            amount = text(_invoiced(picture, currency, now, referred), currency)
            because = "net invoiced to its won clients, less credit notes"
            yield _row("partner_revenue", amount, "amount", ("CN-89",), because, partner=partner, currency=currency)
        yield _clients(mine, picture.as_of, partner=partner)
