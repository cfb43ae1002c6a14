"""An invoice as it reads at an instant, with what was paid, credited and given back of it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from types import MappingProxyType
from typing import Any

from rules.money import EXACT, ZERO
from rules.net import Net
from rules.records import CreditNote, Invoice, Payment, Refund

_NONE: Mapping[str, Any] = MappingProxyType({})
"""What most invoices have of most kinds; all share it."""
_WHERE = {"payment": "payments", "credit_note": "credits", "refund": "refunds"}


class InvoiceBook:
    """What is known of one invoice."""

    __slots__ = ("credits", "id", "invoice", "payments", "refunds")

    def __init__(
        self,
        identity: str,
        invoice: Invoice | None = None,
        payments: Mapping[str, Payment] = _NONE,
        credits: Mapping[str, CreditNote] = _NONE,
        refunds: Mapping[str, Refund] = _NONE,
    ) -> None:
        self.id = identity
        self.invoice = invoice
        self.payments = payments
        self.credits = credits
        self.refunds = refunds

    def hold(self, kind: str, name: str, fact: Payment | CreditNote | Refund | None) -> Any:
        """Take note of how a payment, credit note or refund reads now; gives back how it read before."""
        where = _WHERE[kind]
        held = getattr(self, where)
        was = held.pop(name, None) if held else None
        if fact is not None:
            if held is _NONE:
                held = {}
                setattr(self, where, held)
            held[name] = fact
        return was

    @property
    def stands(self) -> bool:
        """Whether there is such an invoice, and it was not voided."""
        return self.invoice is not None and self.invoice.voided_on is None

    @property
    def gave_back(self) -> bool:
        """Whether anything of it was credited, refunded or reversed."""
        if self.credits or self.refunds:
            return True
        return bool(self.payments and [True for payment in self.payments.values() if payment.reverses is not None])

    @property
    def collected(self) -> Decimal:
        """What was paid, less payments that were reversed."""
        return sum((p.amount if p.reverses is None else -p.amount for p in self.payments.values()), ZERO)

    def lost(self, since: date) -> Decimal:
        """What had been collected and was reversed from a day on, unless it was paid again (E8, E9)."""
        flows = self._flows()
        peak = total = sum((amount for day, amount in flows if day < since), ZERO)
        for day, amount in flows:
            if day >= since:
                total += amount
                peak = max(peak, total)
        return max(peak - total, ZERO)

    @property
    def first_receipt(self) -> date | None:
        """The day of the first payment that was not reversed."""
        if len(self.payments) == 1:
            (only,) = self.payments.values()
            return only.received_on if only.reverses is None else None
        gone = {p.reverses for p in self.payments.values() if p.reverses is not None}
        if not gone:
            return min([p.received_on for p in self.payments.values()], default=None)
        days = [p.received_on for p in self.payments.values() if p.reverses is None and p.id not in gone]
        partly = [p.received_on for p in self.payments.values() if p.reverses is None and p.id in gone]
        return min(days, default=min(partly, default=None) if self.collected > 0 else None)

    def paid_in_full_on(self) -> date | None:
        """The day since which what was collected covers the gross after credits, or ``None``."""
        if self.invoice is None or not self.payments:
            return None
        gross = self.invoice.tax or ZERO
        for line in self.invoice.lines:
            gross += line.amount
        if len(self.payments) == 1 and not self.credits:
            (payment,) = self.payments.values()
            return payment.received_on if payment.reverses is None and payment.amount >= gross else None
        steps = [(day, amount, ZERO) for day, amount in self._flows()]
        steps += [(c.issued_on, ZERO, c.amount + (c.tax or ZERO)) for c in self.credits.values()]
        steps.sort(key=lambda step: step[0])
        since, total = None, ZERO
        for number, (day, amount, credit) in enumerate(steps):
            total += amount
            gross -= credit
            if number + 1 < len(steps) and steps[number + 1][0] == day:
                continue
            is_full = total >= gross and total > 0
            since = (since or day) if is_full else None
        return since

    def given_back(
        self, net_of: Net, *, released_on: date | None, refunds_until: date | None = None
    ) -> tuple[Decimal, Decimal, Decimal]:
        """Of the net that earns: what credits took, what refunds (up to a day) took, and what reversed payments took.

        Money given back takes off only what it leaves short of the gross after credits: a refund that pays out a credit
        note takes nothing off a second time (E6). A payment reversed before the release (``None``: not yet) takes nothing.
        """
        if self.invoice is None:
            return ZERO, ZERO, ZERO
        if not self.gave_back:
            return ZERO, ZERO, ZERO
        before, whole = net_of.of(self.invoice, ())
        after, owed = net_of.of(self.invoice, self.credits.values())
        refunds = (r for r in self.refunds.values() if refunds_until is None or r.paid_on <= refunds_until)
        refunded = sum((refund.amount for refund in refunds), ZERO)
        if "refund" not in net_of.excludes:
            refunded = ZERO
        if "credit" not in net_of.excludes:
            after, owed = before, whole
        short = max(owed - self.collected + refunded, ZERO)
        refunded = min(refunded, short)
        lost = min(self.lost(released_on), short - refunded) if released_on is not None else ZERO
        share = before / whole if whole else ZERO
        refund_net = min(EXACT.multiply(refunded, share), after)
        lost_net = min(EXACT.multiply(lost, share), after - refund_net)
        return before - after, refund_net, lost_net

    def _flows(self) -> list[tuple[date, Decimal]]:
        """Payments and their reversals by day; on one day what came in before what was taken back."""
        flows = [(p.received_on, p.reverses is not None, p.amount) for p in self.payments.values()]
        return [(day, -amount if back else amount) for day, back, amount in sorted(flows)]
