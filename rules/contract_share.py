"""Rule: a share of what a contract is worth, once.

Earned at the customer's first receipt, when it is signed and commenced, or when it is completed; released then or at the
first receipt. What is credited, given back or bounced later is corrected at once, or at the end of the first year.
Source: ON-1, ON-17, ON-21, ON-A2..ON-A6, CN-17, CN-19, CN-A10, TC-10..TC-12, TC-23, TC-24, TC-26, TC-A1, TC-A3; E1..E9, E37.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date, datetime
from decimal import Decimal

from rules.accrual import Accrual, Cause, Poster, Target
from rules.calendar import Period
from rules.deal import PLACE, Deal, Outcome
from rules.dues import due_after, due_with_statement, last_day_of
from rules.first_year import FirstYear, first_year
from rules.invoice_book import InvoiceBook
from rules.ledger import Ledger
from rules.money import ZERO, percent, text
from rules.net import Net, all_but
from rules.pins import Pin
from rules.rates import Found, Rates
from rules.records import Contract, Invoice
from rules.replay import TIME, DealReplay
from rules.tasks import Wanted
from rules.terms import ShareOfContract
from rules.waits import Waits

_NOTHING: tuple[Decimal, ...] = (ZERO, ZERO, ZERO, ZERO)


class _NoRate:
    """Nothing can be posted yet: an exchange rate is missing, which is a task."""


def share_of_contract(deal: Deal, pin: Pin, term: ShareOfContract, ledger: Ledger) -> Outcome:
    """Replay a deal under its pinned terms and post what its contracts earn.

    Units: rates are fractions; money in the contract's currency. Rounding: once per entry. Raises: nothing; a missing
    rate or value is a task.
    """
    return _ContractReplay(deal, pin, term, ledger).run()


class _ContractReplay(DealReplay):
    keeps_receipts = True
    adds_up_contracts = True

    def __init__(self, deal: Deal, pin: Pin, term: ShareOfContract, ledger: Ledger) -> None:
        super().__init__(deal, pin, ledger)
        terms = pin.terms
        self._term = term
        self._rates: dict[date, Rates] = {}
        self._net = Net(terms, all_but(term.included_lines) if term.included_lines else ["shipping"])
        self._poster = Poster(deal, terms, ledger, term.clauses + term.rate.clauses_for(deal.role), self._due)
        self._accruals: dict[str, Accrual] = {}
        self._released_by_receipt = term.released == "first_receipt"
        self._earned = str(terms.values.get("earned", term.earned))
        self._releases_at_completion = terms.values.get("release") == "completed"
        self._by_revenue = terms.values.get("commission_base") == "invoiced_revenue"
        self._parts: dict[str, tuple[Decimal, ...]] = {}
        self._sums: dict[str, tuple[Decimal, ...]] = {}
        """Of each invoice, and of each contract: what credits, refunds and reversals took, and what was billed."""
        self._waits = Waits()
        self._seen_at = deal.until
        self._at_receipt: dict[str, Contract] = {}
        self._years: dict[str, FirstYear] = {}
        self._trues_up = term.corrections == "true_up" and terms.values.get("true_up") == "at_first_year_end"

    def timers(self) -> Iterable[date]:
        if not self._trues_up:
            return
        anchor = str(self.values.get("first_year_anchor", "subscription_start"))
        for timeline in self.deal.contracts.values():
            for view in timeline:
                if view.fact is not None:
                    yield FirstYear(view.fact.signed_on).ends_before
                    if view.fact.starts_on is not None:
                        yield FirstYear(view.fact.starts_on).ends_before
        for _, place, _, _, fact in self.deal.billing:
            if fact is None:
                continue
            if place == PLACE["invoice"]:
                if anchor == "first_invoice":
                    yield FirstYear(fact.issued_on).ends_before
                elif fact.service_from:
                    yield FirstYear(fact.service_from).ends_before
            elif anchor == "first_receipt" and place == PLACE["payment"]:
                yield FirstYear(fact.received_on).ends_before

    def quotes(self) -> Iterator[str]:
        yield from super().quotes()
        yield from self.contract_currencies()

    def evaluate(self, at: datetime, invoice: str | None, contract: str | None) -> None:
        self._seen_at = at
        if invoice is not None and (contract is None or not self._matters(invoice, contract, at)):
            return
        if invoice is None:
            for name, waiting in self._waits.invoices(contract):
                if self._counts(name, waiting.contract):
                    self._stand(waiting.contract, at, waiting.cause)
        for name in [contract] if contract is not None else sorted(self.deal.contracts):
            self._stand(name, at, self.cause)

    def _stand(self, name: str, at: datetime, cause: Cause) -> None:
        """Make stand what a contract has earned by now."""
        own = self.contracts.get(name)
        accrual = self._accruals.setdefault(name, Accrual(("contract", name), name))
        if cause is TIME and not self._is_year_end(name, at):
            return
        clawed = self.clawed_back(own)
        if clawed is not None:
            self._poster.post(accrual, at, None, clawed)
            self.want(name, None)
            self.want(f"{name} fx", None)
            return
        target = self._target(name, own, accrual, at)
        is_trued_up = accrual.entry is not None and self._term.corrections == "true_up"
        if is_trued_up and cause is TIME:
            cause = Cause("true_up", ("contract", name), self._years[name].ends_before)
        if isinstance(target, _NoRate):
            self._waits.put_off_contract(name, cause)
            return
        if is_trued_up and target is not None and accrual.posted and self._waits_for_year_end(name, at):
            if target.rate == accrual.rate:
                return
            if accrual.fx is None:
                # Its rate changes now, its basis at the true-up.
                target = target._replace(basis=accrual.posted_basis)
        self._poster.post(accrual, at, target, self._waits.end_for_contract(name, cause))
        self._release(accrual, name, at)

    def _matters(self, invoice: str, contract: str, at: datetime) -> bool:
        """Whether what is known of an invoice now can change what its contract earns; keeps the contract's sums."""
        accrual = self._accruals.get(contract)
        before = self._parts.get(invoice)
        counted = self._counts(invoice, contract)
        if not counted or accrual is None or accrual.entry is None or accrual.released_on is None:
            return True
        if self._term.basis == "value":
            now = self._parts[invoice]
            is_changed = now[:3] != (before or _NOTHING)[:3]
            return is_changed or self._by_revenue or not accrual.posted or self._is_unpaid_again(contract, accrual)
        if self._waits_for_year_end(contract, at):
            return not accrual.posted or self.first_receipt(contract) is None
        book = self.books[invoice]
        return contract not in self._years or book.invoice is None or self._years[contract].holds(book.invoice)

    def _counts(self, invoice: str, contract: str) -> bool:
        """Keep what was taken off, and billed, by an invoice in its contract's sums; whether that could be told (E12)."""
        if self._term.basis != "value":
            return True
        book, own = self.books[invoice], self.contracts.get(contract)
        now = _NOTHING
        missing: list[str] = []
        if book.stands and book.invoice is not None and (book.gave_back or self._by_revenue):
            accrual = self._accruals.get(contract)
            released_on = accrual.released_on if accrual is not None else None
            taken = book.given_back(self._net, released_on=released_on, refunds_until=self._last_refund(accrual))
            now = (*taken, self._billed(book))
            if own is not None:
                if own.currency != book.invoice.currency:
                    now = tuple(self._exchanged(part, book.invoice, own, missing) for part in now)
            elif any(now):
                self._waits.put_off_invoice(invoice, contract, self.cause)
                return False
        if missing:
            self._waits.put_off_invoice(invoice, contract, self.cause, missing[-1])
            return False
        self._waits.end_for_invoice(invoice)
        before = self._parts.get(invoice, _NOTHING)
        self._parts[invoice] = now
        if now != before:
            sums = self._sums.get(contract, _NOTHING)
            self._sums[contract] = tuple(s + n - b for s, n, b in zip(sums, now, before, strict=True))
        return True

    def _exchanged(self, amount: Decimal, invoice: Invoice, contract: Contract, missing: list[str]) -> Decimal:
        """An amount of an invoice in its contract's currency, at the rate of its issue date (E12)."""
        about = f"invoice {invoice.id}"
        return self._in_currency_of(contract, amount, invoice.currency, about, invoice.issued_on, missing)

    def _in_currency_of(
        self, contract: Contract, amount: Decimal, currency: str, about: str, day: date, missing: list[str]
    ) -> Decimal:
        """An amount in a contract's currency; zero where no rate is known, which is then told in ``missing``."""
        found = self.exchanged(amount, about, (currency, contract.currency), day, self._seen_at)
        if found is None:
            missing.append(
                f"no exchange rate from {currency} to {contract.currency} on or before {day} is known, which {about} "
                f"needs for contract {contract.id}; what waits for it is posted once there is one"
            )
            return ZERO
        return found

    def _billed(self, book: InvoiceBook) -> Decimal:
        if not self._by_revenue or book.invoice is None:
            return ZERO
        return self._net.of(book.invoice, book.credits.values())[0]

    # ---- what should stand

    def _target(self, name: str, contract: Contract | None, accrual: Accrual, at: datetime) -> Target | _NoRate | None:
        """What should stand for a contract; ``None``: nothing, or what stands cannot be told for another reason."""
        self.want(name, None)
        self.want(f"{name} fx", None)
        if not self.earning or contract is None or name not in self.standing.contracts:
            return None
        if self._term.contract_kinds and contract.kind not in self._term.contract_kinds:
            return None
        pinned_on, day = self.pinned_on(name), self._earned_on(name, contract)
        if (
            pinned_on is None
            or day is None
            or self._is_off(contract, accrual, day)
            or self._is_unpaid_again(name, accrual)
        ):
            return None
        left = self.left_on(at)
        if left is not None and day > left and self._stops_after(contract, left):
            return None
        missing: list[str] = []
        basis, words = self._basis(name, contract, accrual, missing)
        if why := missing[-1] if missing else self._waits.missing_for(name):
            self.want(f"{name} fx", Wanted("fx_rate_missing", name, self._term.clauses, why))
            if missing or accrual.entry is None:
                return _NoRate()
        if basis is None:
            because = f"contract {name} has neither a value nor lines; nothing is earned until it has"
            self.want(name, Wanted("contract_value_missing", name, self._term.clauses, because))
            return None
        rate = self._rate(name, contract, accrual, basis, (pinned_on, day), at)
        if rate is None:
            return None
        if (no_fx := self._poster.exchange(accrual, contract.currency, day, at)) is not None:
            self.want(name, Wanted("fx_rate_missing", name, self.terms.clauses_of("payout_currency"), no_fx))
            return None
        because = f"{percent(rate.rate)} of {text(basis, contract.currency)} {contract.currency}, {words}"
        return Target(basis, rate.rate, contract.currency, day, f"{because}; rate from {rate.source}")

    def _stops_after(self, contract: Contract, left: date) -> bool:
        """Whether a partner that left earns nothing more on the contract (CN-A33)."""
        after = self.values.get("post_termination")
        return after == "stop" or (after == "continue_for_contract_term" and contract.signed_on > left)

    def _earned_on(self, name: str, contract: Contract) -> date | None:
        """The day of the fact that earns the contract's commission, or ``None``: not yet."""
        if self._earned == "first_receipt":
            return self.first_receipt(name)
        if self._earned == "completion":
            return contract.completed_on
        if self._earned == "signed":
            return contract.signed_on
        if contract.commenced_on is None:
            return None
        day = max(contract.signed_on, contract.commenced_on)
        if self._earned == "completed":
            return max(day, contract.completed_on) if contract.completed_on else None
        return day

    def _is_off(self, contract: Contract, accrual: Accrual, day: date) -> bool:
        """Whether the contract was cancelled before what it earned could be paid (TC-26)."""
        if contract.cancelled_on is None:
            return False
        if self._released_by_receipt:
            return accrual.released_on is None or accrual.released_on > contract.cancelled_on
        return contract.cancelled_on < day

    def _is_unpaid_again(self, name: str, accrual: Accrual) -> bool:
        """Whether the payment that released the commission was taken back, and none is left (TC-24, E9)."""
        return accrual.released_on is not None and self._released_by_receipt and self.first_receipt(name) is None

    def _rate(
        self, name: str, contract: Contract, accrual: Accrual, basis: Decimal, days: tuple[date, date], at: datetime
    ) -> Found | None:
        pinned_on, day = days
        rates = self._rates.get(pinned_on)
        if rates is None:
            rates = self._rates[pinned_on] = Rates(self.deal, self.terms, self._term.rate, pinned_on)
        if accrual.entry is not None:
            return rates.of_posted(accrual.rate, at, name)
        value = contract.value if contract.value is not None else basis
        found = rates.find(at, day, won_on=contract.signed_on, value=value, contract=name)
        refusal = rates.refusal(found, at, name)
        if found is None:
            self.want(name, rates.missing(name))
        elif refusal is not None:
            self.want(name, rates.refused(name, refusal))
            return None
        return found

    def _basis(self, name: str, contract: Contract, accrual: Accrual, missing: list[str]) -> tuple[Decimal | None, str]:
        """What the rate is applied to, and in words; ``None``: the contract does not say. What could not be exchanged for it
        is told in ``missing``."""
        if self._term.basis == "first_year":
            return self._first_year_basis(name, contract, accrual, missing)
        base = str(self.values.get("commission_base", "contract_amount"))
        value, words = self._value(name, contract, base, missing)
        if value is None:
            return None, ""
        if self._term.corrections == "none":
            return value, words
        credited, refunded, lost, _ = self._sums.get(name, _NOTHING)
        if base == "invoiced_revenue":
            credited = ZERO
        return max(value - credited - refunded - lost, ZERO), words

    def _last_refund(self, accrual: Accrual | None) -> date | None:
        """The last day on which a refund still takes commission back; ``None``: any day does (TC-A6)."""
        days = self.values.get("clawback_days")
        if not isinstance(days, int) or accrual is None or accrual.released_on is None:
            return None
        return last_day_of(self.terms, accrual.released_on, Period(days=days))

    def _value(self, name: str, contract: Contract, base: str, missing: list[str]) -> tuple[Decimal | None, str]:
        if base == "invoiced_revenue":
            return self._sums.get(name, _NOTHING)[3], f"invoiced on contract {name}"
        if base == "project_value" and contract.opportunity in self.opportunities:
            deal = self.opportunities[contract.opportunity]
            if deal.amount is not None:
                currency, about = deal.currency or contract.currency, f"opportunity {deal.id}"
                value = self._in_currency_of(contract, deal.amount, currency, about, contract.signed_on, missing)
                return value, f"value of the project of contract {name}"
        if contract.value is not None:
            return contract.value, f"value of contract {name}"
        if contract.lines:
            return sum((line.amount for line in contract.lines), ZERO), f"lines of contract {name}"
        return None, ""

    def _first_year_basis(
        self, name: str, contract: Contract, accrual: Accrual, missing: list[str]
    ) -> tuple[Decimal | None, str]:
        year = self._year(name, contract)
        as_signed = self._at_receipt.setdefault(name, contract) if self.first_receipt(name) else contract
        if self.values.get("first_year_includes_amendments") is False:
            contract = as_signed
        kinds = self._term.included_lines
        inside = [(b, b.invoice) for b in self.books_of(name) if b.invoice is not None and year.holds(b.invoice)]
        billed = [(b, bill) for b, bill in inside if any(line.kind in kinds for line in bill.lines)]
        span = f"first year from {year.starts_on}"
        if contract.lines:
            value, words = year.worth(contract.lines, kinds, self._net), f"{span}, lines of contract {name}"
        elif billed:
            nets = ((self._net.of(bill, ())[0], bill) for _, bill in billed)
            value = sum((self._exchanged(net, bill, contract, missing) for net, bill in nets), ZERO)
            words = f"{span}, {len(billed)} invoices of contract {name}"
        elif contract.value is not None and contract.kind in kinds:
            value, words = contract.value, f"{span}, value of contract {name}"
        else:
            return None, ""
        only_credits = accrual.entry is None and self._trues_up
        taken = ZERO
        for book, bill in inside:
            parts = book.given_back(self._net, released_on=accrual.released_on)
            taken += self._exchanged(parts[0] if only_credits else sum(parts, ZERO), bill, contract, missing)
        return max(value - taken, ZERO), words

    def _year(self, name: str, contract: Contract) -> FirstYear:
        invoices = [book.invoice for book in self.books_of(name) if book.invoice is not None]
        anchor = str(self.values.get("first_year_anchor", "subscription_start"))
        year = first_year(anchor, contract, invoices, self._term.included_lines, self.first_receipt(name))
        self._years[name] = year
        return year

    # ---- release

    def _waits_for_year_end(self, name: str, at: datetime) -> bool:
        """Whether corrections wait for the first year's true-up (ON-A3)."""
        if not self._trues_up or name not in self._years:
            return False
        return self.calendar.date_of(at) < self._years[name].ends_before

    def _is_year_end(self, name: str, at: datetime) -> bool:
        return name in self._years and self.calendar.date_of(at) == self._years[name].ends_before

    def _release(self, accrual: Accrual, name: str, at: datetime) -> None:
        if accrual.entry is None or accrual.released_on is not None:
            return
        day: date | None = accrual.entry.earned_on
        if self._released_by_receipt:
            receipt = self.first_receipt(name)
            day = max(receipt, accrual.entry.earned_on) if receipt else None
        contract = self.contracts.get(name)
        if self._releases_at_completion and day is not None:  # "executed" read as completed (TC-26, TC-A1)
            completed_on = contract.completed_on if contract is not None else None
            day = max(day, completed_on) if completed_on is not None else None
        if day is not None:
            self._poster.release(accrual, at, self.payable_from(day, contract))

    def _due(self, released: date, stated: date) -> date:
        if self._term.due == "due_days":
            return due_after(self.terms, self.deal.program.calendar_on(released), released)
        if self.values.get("fixed_price_release") == "immediate":
            return released
        return due_with_statement(self.terms, stated)
