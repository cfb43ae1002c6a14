"""Which terms a deal keeps: those of one day for good, or for each invoice those in force on its issue date (G-1)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from rules.deal import Standing
from rules.facts import View
from rules.program import Program
from rules.records import Contract
from rules.terms import Terms


@dataclass(frozen=True, slots=True)
class Pin:
    """Terms that a deal is settled by.

    With ``by_invoice`` they are for the invoices issued while they were in force, and for the contracts whose first
    invoice was; then what an invoice or contract earns goes by the agreement of that day, too.
    """

    program: Program
    terms: Terms
    on: date
    """The day whose agreement the deal keeps."""
    by_invoice: bool = False

    def day_of(self, issued_on: date | None) -> date | None:
        """The day whose agreement something has that was first invoiced on ``issued_on``; ``None``: it is not these terms'
        concern, or not invoiced yet."""
        if not self.by_invoice:
            return self.on
        return issued_on if issued_on is not None and self.program.on(issued_on) is self.terms else None


def pins_of(
    program: Program,
    submitted_on: date,
    standings: Iterable[Standing],
    contracts: Mapping[str, Sequence[View[Contract]]],
) -> Iterator[Pin]:
    """The terms that a deal keeps; none while its claim was never approved.

    The terms in force at the approval say, by their ``terms_pin_at``, which these are.
    """
    approved = next((standing for standing in standings if standing.approved_at is not None), None)
    if approved is None or approved.approved_at is None:
        return
    day = program.calendar.date_of(approved.approved_at)
    pin_at = program.on(day).values["terms_pin_at"]
    if pin_at == "invoice_date":
        for terms in program.versions:
            yield Pin(program, terms, day, by_invoice=True)
        return
    if pin_at == "submission":
        day = submitted_on
    elif pin_at == "contract_signed":
        signed = [view.fact.signed_on for name in approved.contracts for view in contracts[name] if view.fact]
        day = min(signed, default=day)
    yield Pin(program, program.on(day), day)
