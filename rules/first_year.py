"""A contract's first year, and what it is worth (ON-1, ON-13, ON-A2, ON-A4; G-6)."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from rules.calendar import add_months
from rules.money import EXACT, ZERO
from rules.net import Net
from rules.records import Contract, ContractLine, Invoice


@dataclass(frozen=True, slots=True)
class FirstYear:
    """Twelve months from ``starts_on``, half-open: its last day is the day before ``ends_before``."""

    starts_on: date

    @property
    def ends_before(self) -> date:
        """The first day after the first year."""
        return add_months(self.starts_on, 12)

    def holds(self, invoice: Invoice) -> bool:
        """Whether an invoice's service starts in the first year; without service dates its issue date counts."""
        day = invoice.service_from or invoice.issued_on
        return self.starts_on <= day < self.ends_before

    def worth(self, lines: Iterable[ContractLine], kinds: Collection[str], net: Net) -> Decimal:
        """What a contract's lines of these kinds are worth in the first year, less its discounts (ON-A4, G-10)."""
        counted = {*kinds, "discount"} if net.takes_off_discounts else kinds
        return max(sum((self._part_of(line) for line in lines if line.kind in counted), ZERO), ZERO)

    def _part_of(self, line: ContractLine) -> Decimal:
        """What of a contract line falls into the first year: by service days where it reaches past the end."""
        if line.from_ is None:
            return line.amount
        if not self.starts_on <= line.from_ < self.ends_before:
            return ZERO
        if line.to is None or line.to < self.ends_before:
            return line.amount
        days = (line.to - line.from_).days + 1
        inside = (self.ends_before - line.from_).days
        return EXACT.divide(EXACT.multiply(line.amount, Decimal(inside)), Decimal(days))


def first_year(
    anchor: str, contract: Contract, invoices: Iterable[Invoice], kinds: Collection[str], first_receipt: date | None
) -> FirstYear:
    """The first year of a contract, counted from what the setting ``first_year_anchor`` says."""
    own = [invoice for invoice in invoices if any(line.kind in kinds for line in invoice.lines)]
    issued = sorted(invoice.issued_on for invoice in own)
    services = sorted(invoice.service_from for invoice in own if invoice.service_from)
    if anchor == "signature":
        return FirstYear(contract.signed_on)
    if anchor == "first_receipt" and first_receipt is not None:
        return FirstYear(first_receipt)
    if anchor == "first_invoice" and issued:
        return FirstYear(issued[0])
    if contract.starts_on is not None:
        return FirstYear(contract.starts_on)
    return FirstYear(services[0] if services else contract.signed_on)
