"""Rule: a balance below zero that an approver writes off becomes an adjustment of the open period (CN-A35, E17).

Nothing is forgiven by itself: the statement's task asks, a decision ``done`` about it answers.
"""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal

from rules.dues import due_for, payable_from
from rules.ledger import Entry
from rules.money import text
from rules.program import Program
from rules.records import Decision


def write_off(
    program: Program, statement: str, partner: str, currency: str, period_from: date, carried: Decimal, at: datetime,
    decision: Decision,
) -> Entry | None:  # fmt: skip
    """The entry that brings a statement's ``carried`` balance to zero, or ``None`` when the program carries it on.

    Units: ``carried`` in ``currency``, below zero. Raises: nothing.
    """
    terms = program.on(period_from)
    if terms.values.get("negative_balance") != "write_off" or carried >= 0:
        return None
    day = program.calendar.date_of(at)
    released = payable_from(terms, day)
    because = f"{text(carried, currency)} {currency} of statement {statement} is written off by {decision.by}: {decision.reason}"
    return Entry(
        f"{program.id}:-:adjustment:decision:{decision.id}:1", program.id, partner, None, None, "adjustment",
        ("decision", decision.id), None, None, -carried, currency, day, at, day, released,
        due_for(terms, program.calendar, released), None, terms.clauses_of("negative_balance"), because,
    )  # fmt: skip
