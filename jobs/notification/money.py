"""What partners are told about statements, payouts and disputes (NT-15, NT-16, CN-30, CN-36, CN-37, CN-62)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from decimal import Decimal

from jobs.notification.event import Event
from jobs.report.figures import shown
from jobs.report.picture import Picture, Row
from rules.calendar import DAY
from rules.money import text


def money_events(picture: Picture) -> Iterator[Event]:
    """Statements as they are cut, payouts as they are made, disputes as they are decided."""
    statements = {row["id"]: row for row in picture.rows["statements"]}
    for row in statements.values():
        if row["state"] != "open":
            yield _ready(picture, row)
    for name, payout in picture.facts("payout").items():
        if payout.statement in statements:
            on = picture.seen_on("payout", name, "paid_on")
            amount = shown(text(payout.amount, payout.currency))
            fields = {"statement": payout.statement, "amount": amount, "currency": payout.currency}
            yield Event("payout_made", statements[payout.statement]["partner"], name, on, fields)
    yield from _disputes(picture)


def _ready(picture: Picture, row: Row) -> Event:
    terms = picture.program.on(date.fromisoformat(row["period_from"])).statements
    asks = terms.needs_partner_invoice and Decimal(row["payable"])
    next_step = (
        f"Please send an invoice of exactly {shown(row['payable'])} {row['currency']} that names this statement; "
        f"it is paid by {row['pay_by']}."
        if asks
        else f"It is paid by {row['pay_by']}."
        if Decimal(row["payable"])
        else "Nothing is paid now."
    )
    fields = {name: row[name] for name in ("period_from", "period_to", "currency", "pay_by")}
    amounts = {name: shown(row[name]) for name in ("payable", "carried_forward")}
    return Event(
        "statement_ready", row["partner"], row["id"], date.fromisoformat(row["period_to"]) + DAY,
        {**fields, **amounts, "statement": row["id"], "entries": str(len(row["entries"])), "next_step": next_step},
        due_on=date.fromisoformat(row["pay_by"]),
    )  # fmt: skip


def _disputes(picture: Picture) -> Iterator[Event]:
    if picture.terms.disputes is None:
        return
    days = picture.terms.values.get("appeal_within_days")
    for name, dispute in picture.facts("dispute").items():
        if dispute.partner not in picture.partners or not _is_ours(picture, dispute.subject):
            continue
        if dispute.decided_on is not None:
            last = dispute.decided_on + timedelta(days=days) if isinstance(days, int) else None
            adjusted = f"The adjustment is {dispute.adjustment}." if dispute.adjustment else ""
            fields = {
                "subject": dispute.subject, "outcome": dispute.outcome or "decided", "adjustment": adjusted,
                "appeal_note": f"You may appeal by {last}." if last else "",
            }  # fmt: skip
            on = picture.seen_on("dispute", name, "decided_on")
            yield Event("dispute_decided", dispute.partner, name, on, fields, due_on=last)
        if dispute.final_on is not None:
            fields = {"subject": dispute.subject, "outcome": dispute.final_outcome or "decided"}
            on = picture.seen_on("dispute", name, "final_on")
            yield Event("dispute_final", dispute.partner, name, on, fields)


def _is_ours(picture: Picture, subject: str) -> bool:
    """Whether a dispute is about this program: a statement or entry of it, or a contract that earns in it."""
    if subject.startswith(f"{picture.program.id}:"):
        return True
    return any(row["contract"] == subject for row in picture.rows["entries"])
