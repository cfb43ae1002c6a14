"""Rule: a balance below zero is carried on, invoiced to the partner after some statements, or written off (CN-A35, E17).

Nothing is forgiven or claimed by itself: the last cut statement's task asks an approver, and a decision ``done`` about it, made
before the next statement is cut, becomes an adjustment of the open period.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal

from rules.dues import due_for, payable_from
from rules.ledger import Entry
from rules.money import text
from rules.program import Program
from rules.records import Decision
from rules.tasks import Task


@dataclass(frozen=True, slots=True)
class Below:
    """A cut statement that ended below zero: ``carried`` is what it carries on, the ``below_for``-th time in a row."""

    statement: str
    partner: str
    currency: str
    period_from: date
    period_to: date
    carried: Decimal
    below_for: int


def asked(program: Program, below: Below) -> Task | None:
    """The task that brings the balance before a person; ``None`` where it is only carried on, or not yet for long enough."""
    version = program.on(below.period_from)
    how = version.values.get("negative_balance", "carry_forward")
    after = version.values.get("negative_balance_periods", 1) if how == "invoice_partner" else 1
    assert isinstance(after, int)
    if how == "carry_forward" or below.below_for < after:
        return None
    asks = "invoice the partner for it" if how == "invoice_partner" else "approve writing it off"
    shown = f"{text(below.carried, below.currency)} {below.currency}"
    so_long = f", the {below.below_for} statements in a row below zero" if below.below_for > 1 else ""
    because = f"the balance of statement {below.statement} is {shown}{so_long}; {asks}"
    day, clauses = below.period_to + timedelta(days=1), version.clauses_of("negative_balance")
    return Task(program.id, "negative_balance", below.statement, day, None, clauses, because)


def settled(program: Program, below: Below, at: datetime, decision: Decision) -> Entry:
    """The entry that brings the balance to zero, once a person wrote it off or invoiced the partner for it.

    Units: ``carried`` in ``currency``, below zero. Raises: nothing.
    """
    terms = program.on(below.period_from)
    day = program.calendar.date_of(at)
    released = payable_from(terms, day)
    is_invoiced = terms.values.get("negative_balance") == "invoice_partner"
    what = "invoiced to the partner" if is_invoiced else "written off"
    shown = f"{text(below.carried, below.currency)} {below.currency}"
    because = f"{shown} of statement {below.statement} is {what} by {decision.by}: {decision.reason}"
    return Entry(
        f"{program.id}:-:adjustment:decision:{decision.id}:1", program.id, below.partner, None, None, "adjustment",
        ("decision", decision.id), None, None, -below.carried, below.currency, day, at, day, released,
        due_for(terms, program.calendar, released), None, terms.clauses_of("negative_balance"), because,
    )  # fmt: skip
