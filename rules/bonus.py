"""Rule: an amount that a person chooses within limits, once for each contract whose revenue goes above a threshold.

Source: TC-13, TC-14, TC-A3, TC-A4; E38 (never paid twice when the threshold is crossed again).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date, datetime
from decimal import Decimal

from rules.accrual import Accrual, Poster, Target
from rules.deal import Deal, Outcome, RateDecision
from rules.dues import due_after
from rules.invoice_book import InvoiceBook
from rules.ledger import Ledger
from rules.money import ZERO, text
from rules.net import Net
from rules.pins import Pin
from rules.records import Contract, CreditNote, Invoice
from rules.replay import DealReplay
from rules.tasks import Wanted
from rules.terms import MilestoneBonus


def milestone_bonus(deal: Deal, pin: Pin, term: MilestoneBonus, ledger: Ledger) -> Outcome:
    """Replay a deal and post the bonus of each contract once its amount is known.

    Units: threshold and amounts in ``term.currency``. Rounding: none, the amount is a person's choice. Raises: nothing;
    an amount nobody chose yet, or one outside the limits, is a task.
    """
    return _BonusReplay(deal, pin, term, ledger).run()


class _BonusReplay(DealReplay):
    keeps_receipts = True
    adds_up_contracts = True

    def __init__(self, deal: Deal, pin: Pin, term: MilestoneBonus, ledger: Ledger) -> None:
        super().__init__(deal, pin, ledger)
        terms = pin.terms
        self._term = term
        self._net = Net(terms, ("shipping",))
        self._poster = Poster(deal, terms, ledger, term.clauses + term.amount_clauses, self._due)
        self._bonuses: dict[str, Accrual] = {}
        self._parts: dict[str, Decimal] = {}
        self._sums: dict[str, Decimal] = {}
        """The revenue of each invoice and of each contract, in the bonus's currency."""
        self._by_contract_amount = terms.values.get("bonus_base") == "contract_amount"
        self._crossed: dict[str, tuple[date, Decimal]] = {}
        self._fell: set[str] = set()
        """Contracts of which an invoice counts less than it did, since that was last looked into."""
        self._uncounted: dict[str, tuple[str, str]] = {}
        """Invoices that cannot be compared with the threshold yet: their contract, and why."""

    def quotes(self) -> Iterator[str]:
        yield self._term.currency

    def evaluate(self, at: datetime, invoice: str | None, contract: str | None) -> None:
        if invoice is not None:
            if contract is not None and self.kind not in ("payment", "refund"):  # these change no revenue
                self._count(invoice, contract, at)
            if contract is None or not self._matters(invoice, contract):
                return
        if invoice is None:
            for name, (owner, _) in sorted(self._uncounted.items()):
                self._count(name, owner, at)
        for name in [contract] if contract is not None else sorted(self.deal.contracts):
            own = self.contracts.get(name)
            bonus = self._bonuses.setdefault(name, Accrual(("contract", name), name, "bonus"))
            self._poster.post(bonus, at, self._target(name, own, bonus, at), self.cause)
            receipt = self.first_receipt(name)
            if bonus.entry is not None and receipt is not None:
                self._poster.release(bonus, at, max(receipt, bonus.entry.earned_on))

    def _count(self, invoice: str, contract: str, at: datetime) -> None:
        """Keep the revenue of an invoice in that of its contract."""
        book = self.books[invoice]
        now: Decimal | None = ZERO
        self._uncounted.pop(invoice, None)
        if book.stands and book.invoice is not None:
            now = self._revenue_of(book, book.invoice, book.credits.values(), at)
            if now is None:
                bill = book.invoice
                self._uncounted[invoice] = (contract, self._no_fx(f"invoice {invoice}", bill.currency, bill.issued_on))
        if now is not None:
            more = now - self._parts.get(invoice, ZERO)
            self._sums[contract] = self._sums.get(contract, ZERO) + more
            self._parts[invoice] = now
            if more < 0:
                self._fell.add(contract)

    def _revenue_of(
        self, book: InvoiceBook, invoice: Invoice, credits: Iterable[CreditNote], at: datetime
    ) -> Decimal | None:
        """What an invoice brought in, less some of its credits, in the bonus's currency; ``None`` without a rate."""
        net, _ = self._net.of(invoice, credits)
        currencies = (invoice.currency, self._term.currency)
        return self.exchanged(net, f"invoice {book.id}", currencies, invoice.issued_on, at)

    def _matters(self, invoice: str, contract: str) -> bool:
        """Whether what is known of an invoice now can change the bonus of its contract."""
        bonus = self._bonuses.get(contract)
        is_done = bonus is not None and bonus.entry is not None and bonus.released_on is not None
        if self.values.get("bonus_reversible") is True:
            return True
        if is_done:
            return False
        above = self._sums.get(contract, ZERO) > self._term.above
        return above or invoice in self._uncounted or contract in self._crossed or self._by_contract_amount

    def _no_fx(self, about: str, currency: str, day: date) -> str:
        return (
            f"no exchange rate from {currency} to {self._term.currency} on or before {day} is known, which {about} needs "
            "to be compared with the bonus's threshold"
        )

    def _target(self, name: str, contract: Contract | None, bonus: Accrual, at: datetime) -> Target | None:
        self.want(name, None)
        if not self.earning or contract is None or name not in self.standing.contracts or contract.commenced_on is None:
            return None
        if self.pinned_on(name) is None:
            return None
        revenue, day, no_fx = self._revenue(name, contract, at)
        is_above = revenue > self._term.above
        if no_fx and not is_above and name not in self._crossed:
            self.want(name, Wanted("fx_rate_missing", name, self._term.clauses, no_fx))
            return None
        self._look_back(name, bonus, at, is_above=is_above)
        if is_above and day is not None:
            self._crossed.setdefault(name, (max(day, contract.signed_on, contract.commenced_on), revenue))
        if name not in self._crossed or (not is_above and self._is_reversible):
            return None
        earned_on, crossing = self._crossed[name]
        if bonus.entry is not None:
            return Target(crossing, ZERO, self._term.currency, earned_on, "", bonus.entry.amount)
        above = f"{text(self._term.above, self._term.currency)} {self._term.currency}"
        crossed = (
            f"revenue of contract {name} is {text(crossing, self._term.currency)} {self._term.currency}, above {above}"
        )
        chosen = self._chosen(name, at)
        limits = f"{text(self._term.lowest, self._term.currency)} to {text(self._term.highest, self._term.currency)}"
        clauses = self._term.clauses + self._term.amount_clauses
        if chosen is None or chosen.amount is None:
            because = f"{crossed}; a person chooses the bonus, {limits} {self._term.currency}"
            self.want(name, Wanted("bonus_amount", name, clauses, because))
            return None
        if not self._term.lowest <= chosen.amount <= self._term.highest:
            found = text(chosen.amount, self._term.currency)
            because = f"{crossed}; {found} set by {chosen.by} is outside {limits} {self._term.currency}"
            self.want(name, Wanted("bonus_amount", name, clauses, because))
            return None
        because = f"{crossed}; set by {chosen.by}: {chosen.reason}"
        return Target(crossing, ZERO, self._term.currency, earned_on, because, chosen.amount)

    @property
    def _is_reversible(self) -> bool:
        return self.values.get("bonus_reversible") is True

    def _look_back(self, name: str, bonus: Accrual, at: datetime, *, is_above: bool) -> None:
        """Forget a crossing that is not so, while no bonus was granted for it.

        A credit of a later day leaves it, however long a person takes to choose the amount (E38); an invoice that was
        voided, withdrawn or corrected does not.
        """
        if name not in self._crossed or bonus.entry is not None:
            return
        if not (self._by_contract_amount or self._is_reversible):
            if name not in self._fell:
                return
            self._fell.discard(name)
            is_above = self._was_above(name, self._crossed[name][0], at)
        if not is_above:
            del self._crossed[name]

    def _was_above(self, name: str, day: date, at: datetime) -> bool:
        """Whether the invoices that were issued up to a day, less the credits up to it, are above the threshold."""
        total = ZERO
        for book in self.books_of(name):
            if book.stands and book.invoice is not None and book.invoice.issued_on <= day:
                credits = [each for each in book.credits.values() if each.issued_on <= day]
                total += self._revenue_of(book, book.invoice, credits, at) or ZERO
        return total > self._term.above

    def _chosen(self, name: str, at: datetime) -> RateDecision | None:
        made = [each for each in self.deal.decided(name, at) if each.amount is not None]
        return made[-1] if made else None

    def _revenue(self, name: str, contract: Contract, at: datetime) -> tuple[Decimal, date | None, str]:
        """The revenue that is compared with the threshold, in the bonus's currency, the day on which it went above, and why
        some of it cannot be told."""
        if self._by_contract_amount:
            value = (
                contract.value if contract.value is not None else sum((x.amount for x in contract.lines or ()), ZERO)
            )
            about, currencies = f"contract {name}", (contract.currency, self._term.currency)
            found = self.exchanged(value, about, currencies, contract.signed_on, at)
            if found is None:
                return ZERO, None, self._no_fx(about, contract.currency, contract.signed_on)
            return found, contract.signed_on, ""
        total = self._sums.get(name, ZERO)
        if total <= self._term.above:
            return total, None, next((why for owner, why in self._uncounted.values() if owner == name), "")
        rising = ZERO
        for book in sorted(self.books_of(name), key=lambda b: (b.invoice.issued_on if b.invoice else date.max, b.id)):
            rising += self._parts.get(book.id, ZERO)
            if rising > self._term.above and book.invoice is not None:
                return total, book.invoice.issued_on, ""
        return total, None, ""

    def _due(self, released: date, stated: date) -> date:
        return due_after(self.terms, self.deal.program.calendar_on(released), released)
