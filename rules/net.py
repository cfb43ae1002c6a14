"""What of an invoice earns: its net and its gross after credits (G-6, G-10)."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from decimal import Decimal
from typing import get_args

from rules.money import EXACT, ZERO
from rules.records import CreditNote, Invoice, LineKind
from rules.terms import Terms


def all_but(kinds: Collection[str]) -> list[str]:
    """Every kind of line but these; a discount is none of its own: it is taken off whatever earns (G-10)."""
    return [kind for kind in get_args(LineKind) if kind not in kinds and kind != "discount"]


class Net:
    """Reads invoices as the settings and a term say: which line kinds earn, and what is taken off."""

    def __init__(self, terms: Terms, excluded_lines: Collection[str]) -> None:
        excludes = terms.values["net_excludes"]
        assert isinstance(excludes, tuple)
        self.excludes = frozenset(excludes)
        not_credited = self.excludes & {"shipping", "hardware"}
        self._no_credit_lines = frozenset({*excluded_lines, *not_credited})
        self._no_lines = self._no_credit_lines if "discount" in excludes else self._no_credit_lines | {"discount"}

    @property
    def takes_off_discounts(self) -> bool:
        """Whether discounts, whose amounts are below zero, lower the base."""
        return "discount" not in self._no_lines

    def of(self, invoice: Invoice, credits: Iterable[CreditNote]) -> tuple[Decimal, Decimal]:
        """What earns of the invoice after credits, never below zero, and its gross after credits."""
        no_lines = self._no_lines
        net = whole = ZERO
        for line in invoice.lines:
            whole += line.amount
            if line.kind not in no_lines:
                net += line.amount
        gross = whole + (invoice.tax or ZERO)
        taxed = "tax" not in self.excludes and invoice.tax
        if credits or taxed:
            part = net / whole if whole else ZERO
            if taxed:
                net += EXACT.multiply(invoice.tax or ZERO, part)
            for credit in credits:
                gross -= credit.amount + (credit.tax or ZERO)
                if "credit" in self.excludes:
                    net -= self.credited(credit, part)
        return (net if net >= ZERO else ZERO), gross

    def credited(self, credit: CreditNote, part: Decimal) -> Decimal:
        """What a credit takes from the net: its lines that earn, else its share by the ``part`` of the invoice that earns."""
        if not credit.lines:
            return EXACT.multiply(credit.amount, part)
        earning = sum((line.amount for line in credit.lines if line.kind not in self._no_credit_lines), ZERO)
        mirrored = sum((line.amount for line in credit.lines), ZERO) < 0
        return -earning if mirrored else earning
