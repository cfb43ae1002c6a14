"""Rule: a share of each invoice of the customer, one entry an invoice.

Earned when the invoice is issued (as long as the client is retained) or when it is fully paid (inside the window);
credits and refunds take back their part at the rate that earned it. Source: CN-17..CN-23, CN-A7, CN-A10..CN-A13,
CN-A33, CN-A34, OP-8, OP-9, OP-21, OP-A1..OP-A4; E1..E11, E21, E33.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import NamedTuple

from rules.accrual import Accrual, Cause, Poster, Target
from rules.calendar import Period, add_months
from rules.deal import PLACE, Deal, Outcome
from rules.dues import BILLED_MONTHS, due_after, due_with_statement
from rules.invoice_book import InvoiceBook
from rules.ledger import Ledger
from rules.money import EXACT, ZERO, percent, text
from rules.net import Net
from rules.pins import Pin
from rules.rates import Found, Rates
from rules.records import Contract, Invoice
from rules.replay import DealReplay
from rules.tasks import Wanted
from rules.terms import ShareOfInvoices


def share_of_invoices(deal: Deal, pin: Pin, term: ShareOfInvoices, ledger: Ledger) -> Outcome:
    """Replay a deal under its pinned terms and post what its invoices earn.

    Units: rates are fractions; money in the invoice's currency, or converted once at the rate of the day it was earned.
    Rounding: once per entry. Raises: nothing; a missing rate, or rate of exchange, is a task.
    """
    return _InvoiceReplay(deal, pin, term, ledger).run()


class Part(NamedTuple):
    """So many of the service days of an invoice."""

    inside: int
    days: int


_WHOLE = Part(1, 1)


@dataclass(frozen=True, slots=True)
class _Window:
    """Invoices from ``first`` on, before ``ends``."""

    first: date
    ends: date


class _InvoiceReplay(DealReplay):
    def __init__(self, deal: Deal, pin: Pin, term: ShareOfInvoices, ledger: Ledger) -> None:
        super().__init__(deal, pin, ledger)
        terms = pin.terms
        self._term = term
        self._rates = Rates(deal, terms, term.rate, pin.on)
        self._net = Net(terms, term.excluded_lines)
        self._poster = Poster(deal, terms, ledger, term.clauses + term.rate.clauses_for(deal.role), self._due)
        self._accruals: dict[str, Accrual] = {}
        self._window_now: _Window | None = None
        self._paid_on: dict[str, date | None] = {}
        """Of each invoice the day of its full payment, as far as it is asked for."""
        self._anchors: dict[str, date] = {}
        self._first_anchor: date | None = None
        """Issue dates of the invoices that may open the window, and the first of them."""
        self._renews = False
        self._first_end = date.max
        """Whether any contract renews another, and when the first of them ends."""
        self._length = Period.parse(term.window) if term.window is not None else None
        self._base = str(terms.values.get("base", "net_of_tax_and_credit"))
        self._in_window_by = str(terms.values.get("in_window_by", "invoice_date"))
        self._only_all = terms.values.get("release") == "all_12_months"
        self._bad_debt_days = terms.values.get("bad_debt_days")
        self.sees_payments = (
            term.earned == "fully_paid" or term.released == "fully_paid" or isinstance(self._bad_debt_days, int)
            or PLACE["refund"] in {event[1] for event in deal.billing}
        )  # fmt: skip
        self._by_value = terms.values.get("accrual_base") == "contract_value"
        self._prorates = terms.values.get("spanning_invoice") == "prorate_by_service_days"
        self._on_payment = term.earned == "fully_paid"
        self._waits_for_payment = term.released == "fully_paid"
        self._retroactive = terms.values.get("rate_applies") == "retroactive_year"

    def timers(self) -> Iterable[date]:
        waits = isinstance(self._bad_debt_days, int) or (self._length is not None and self._only_all)
        for _, place, _, _, fact in self.deal.billing if waits else ():
            if place == PLACE["invoice"] and fact is not None:
                if self._length is not None and self._only_all:
                    yield self._length.after(fact.issued_on)
                if isinstance(self._bad_debt_days, int):
                    yield fact.issued_on + timedelta(days=self._bad_debt_days + 1)

    def evaluate(self, at: datetime, invoice: str | None, contract: str | None) -> None:
        window = self._window_now
        if invoice is None:
            self._note_contracts()
            window = self._window()
        elif self._note(invoice):
            window = self._window()
        is_same = window is self._window_now or window == self._window_now
        self._window_now = window
        if invoice is not None and is_same and self._in_window_by != "12_invoices" and not self._after_end(invoice):
            self._stand(invoice, window, at)
        else:
            for name in sorted({*self._accruals, invoice} if invoice is not None else self._accruals):
                self._stand(name, window, at)
        if self._only_all and window is not None:
            self._release_all(window, at)

    def _stand(self, name: str, window: _Window | None, at: datetime) -> None:
        """Make stand what an invoice has earned by now."""
        book = self.books[name]
        accrual = self._accruals.get(name)
        if accrual is None:
            if book.invoice is None:
                return
            accrual = self._accruals[name] = Accrual(("invoice", name), None)
        own = self._contract(name)
        if accrual.entry is None:
            accrual.contract = own.id if own is not None else None
        clawed = self.clawed_back(own)
        if clawed is not None:
            self._poster.post(accrual, at, None, clawed)
            self.want(name, None)
            return
        target = self._target(book, accrual, own, window, at)
        if accrual.entry is not None:
            self._poster.post(accrual, at, target, self._unpaid(name) if self.kind == "timer" else self.cause)
        elif target is not None:
            self._poster.begin(accrual, at, target)
        self._release(accrual, book, own, at)

    def _note_contracts(self) -> None:
        """Keep what of the contracts says whether an invoice's place among the client's other invoices matters."""
        contracts = self.contracts.values()
        self._renews = any(contract.renews is not None for contract in contracts)
        self._first_end = min((contract.ends_on for contract in contracts if contract.ends_on), default=date.max)

    def _note(self, name: str) -> bool:
        """Keep what the window is made from; whether that has changed."""
        book = self.books[name]
        self._paid_on.pop(name, None)
        if self._term.window is None:
            return False
        before, now = self._anchors.pop(name, None), None
        if book.stands and book.invoice is not None and book.invoice.issued_on >= self.deal.submitted_on:
            opens = self.values["window_anchor"] == "first_invoice_issue_date" or self._paid(name) is not None
            if opens:
                now = self._anchors[name] = book.invoice.issued_on
        first = self._first_anchor
        if now is not None and (first is None or now < first):
            self._first_anchor = now
        elif before is not None and before == first and now != before:
            self._first_anchor = min(self._anchors.values(), default=None)
        return self._first_anchor != first

    def _paid(self, name: str) -> date | None:
        if name not in self._paid_on:
            self._paid_on[name] = self.books[name].paid_in_full_on()
        return self._paid_on[name]

    def _contract(self, name: str) -> Contract | None:
        identity = self.contract_of.get(name)
        return self.contracts.get(identity) if identity is not None else None

    # ---- what should stand

    def _target(
        self, book: InvoiceBook, accrual: Accrual, contract: Contract | None, window: _Window | None, at: datetime
    ) -> Target | None:
        invoice = book.invoice
        if not self.earning or not book.stands or invoice is None or not self._belongs(invoice, contract, at):
            self.want(book.id, None)
            return None
        day = self._earned_on(book)
        shares = self.standing.shares_on(day) if day is not None else 0
        if day is None or not shares or not self._is_in_window(book, day, window) or self._is_bad_debt(book, at):
            self.want(book.id, None)
            return None
        if self._waits_for_payment and accrual.released_on is not None and self._paid(book.id) is None:
            self.want(book.id, None)
            return None  # what released it was taken back (E9)
        rate = self._rate(accrual, invoice, contract, day, at)
        if rate is None:
            return None
        by_value = contract if self._by_value else None
        currency = by_value.currency if by_value is not None else invoice.currency
        if (no_fx := self._poster.exchange(accrual, currency, day, at)) is not None:
            self.want(book.id, Wanted("fx_rate_missing", book.id, self.terms.clauses_of("payout_currency"), no_fx))
            return None
        self.want(book.id, None)
        net, part = self._basis(book, invoice, window)
        words = f"net of invoice {invoice.id}"
        if by_value is not None:
            instalment = self._instalment(by_value)
            if instalment is None:
                why = (
                    f"contract {by_value.id} has no value, or no end to spread it up to; nothing is earned until it has"
                )
                clauses = self.terms.clauses_of("accrual_base")
                self.want(book.id, Wanted("contract_value_missing", by_value.id, clauses, why))
                return None
            billed, _ = self._net.of(invoice, ())
            net = EXACT.divide(EXACT.multiply(instalment, net), billed) if billed else ZERO
            words = f"what invoice {invoice.id} stands for of the value of contract {by_value.id}"
        because = f"{percent(rate.rate)} of {text(net, currency)} {currency}, {words}"
        basis = net
        if part.inside != part.days:
            because += f" x {part.inside} of {part.days} service days inside the window"
            basis = EXACT.divide(EXACT.multiply(net, Decimal(part.inside)), Decimal(part.days))
        if shares > 1:
            because += f", shared equally by {shares} claims"
            basis = EXACT.divide(basis, Decimal(shares))
        return Target(basis, rate.rate, currency, day, f"{because}; rate from {rate.source}")

    def _belongs(self, invoice: Invoice, contract: Contract | None, at: datetime) -> bool:
        """Whether the invoice is one of the claim's under these terms, and the partner still earns on the client (CN-A13,
        CN-A33)."""
        if self.pin.day_of(invoice.issued_on) is None:
            return False
        if self._term.scope == "account":
            return invoice.issued_on >= self.deal.submitted_on
        if contract is None or contract.id not in self.standing.contracts:
            return False
        if self._term.contract_kinds and contract.kind not in self._term.contract_kinds:
            return False
        if contract.cancelled_on is not None and invoice.issued_on > contract.cancelled_on:
            return False
        if self._term.retained and not self._is_retained(invoice, contract):
            return False
        left = self.left_on(at)
        if left is None or invoice.issued_on <= left:
            return True
        after = self.values.get("post_termination")
        if after == "stop":
            return False
        if after == "continue_lifetime":
            return True
        return contract.signed_on <= left and self._is_running(contract, invoice.issued_on)

    def _is_running(self, contract: Contract, day: date) -> bool:
        return contract.ends_on is None or day <= contract.ends_on

    def _after_end(self, name: str) -> bool:
        """Whether the invoice is one whose place among the client's other invoices matters."""
        if not self._term.retained:
            return False
        contract, book = self._contract(name), self.books[name]
        if contract is None or book.invoice is None:
            return False
        return self._renews or self._first_end < book.invoice.issued_on

    def _is_retained(self, invoice: Invoice, contract: Contract) -> bool:
        """Whether the client was kept until this invoice: its contract ran, or the gap in its billing was short."""
        if contract.renews is None and self._is_running(contract, invoice.issued_on):
            return True
        if self.values.get("recurring_until") == "contract_end":
            return False
        gap = self.values["retention_gap_days"]
        assert isinstance(gap, int)
        kept_until: date | None = None
        kept = {c.id for c in self.contracts.values() if c.renews is None}
        for day, name in self._billing():
            own = self._contract(name)
            if own is None:
                continue
            ends = [c.ends_on for c in self.contracts.values() if c.id in kept and c.ends_on and c.ends_on < day]
            last = max([*ends, *([kept_until] if kept_until else [])], default=None)
            runs_on = own.id in kept and self._is_running(own, day)
            is_kept = runs_on or last is None or (day - last).days <= gap
            if is_kept:
                kept_until = day
                kept.add(own.id)
            if name == invoice.id:
                return is_kept
        return False

    def _billing(self) -> list[tuple[date, str]]:
        return sorted(
            (book.invoice.issued_on, name)
            for name, book in self.books.items()
            if book.stands and book.invoice is not None
        )

    def _earned_on(self, book: InvoiceBook) -> date | None:
        """The day of the fact that earns the invoice's commission, or ``None``: not yet."""
        assert book.invoice is not None
        return self._paid(book.id) if self._on_payment else book.invoice.issued_on

    def _rate(
        self, accrual: Accrual, invoice: Invoice, contract: Contract | None, day: date, at: datetime
    ) -> Found | None:
        """The rate that earned it; what was earned keeps it, unless a new tier re-rates its year (CN-A7)."""
        entry, identity = accrual.entry, contract.id if contract else None
        if entry is not None and not (self._retroactive and self.calendar.date_of(at).year == entry.earned_on.year):
            return self._rates.of_posted(accrual.rate, at, identity)
        if self._retroactive:
            day = min(self.calendar.date_of(at), date(day.year, 12, 31))
        won_on = contract.signed_on if contract else self.standing.won_on
        value = contract.value if contract else None
        rates = self._rates
        if self.pin.by_invoice:
            rates = Rates(self.deal, self.terms, self._term.rate, invoice.issued_on)
        found = rates.find(at, day, won_on=won_on, value=value, contract=identity)
        refusal = self._rates.refusal(found, at, identity)
        if found is None:
            self.want(invoice.id, self._rates.missing(identity))
        elif refusal is not None:
            self.want(invoice.id, self._rates.refused(identity, refusal))
        elif entry is not None and found.rate <= accrual.rate:
            return Found(accrual.rate, "the entry it corrects")
        else:
            return found
        return None

    def _basis(self, book: InvoiceBook, invoice: Invoice, window: _Window | None) -> tuple[Decimal, Part]:
        net, _ = self._net.of(invoice, () if self._base in ("net_of_tax", "gross") else book.credits.values())
        if self._base == "gross":
            net += invoice.tax or ZERO
        if book.gave_back:
            _, refunded, _ = book.given_back(self._net, released_on=None)
            net = max(net - refunded, ZERO)
        return net, self._part(invoice, window)

    def _instalment(self, contract: Contract) -> Decimal | None:
        """What of the contract's value one invoice stands for, whatever it bills; ``None``: cannot be told (CN-A11)."""
        if contract.value is None or contract.billing == "once":
            return contract.value
        starts = contract.starts_on or contract.signed_on
        if contract.ends_on is None or contract.ends_on < starts:
            return None
        months = 1
        while add_months(starts, months) <= contract.ends_on:
            months += 1
        billed = min(BILLED_MONTHS.get(contract.billing or "", 1), months)
        return EXACT.divide(EXACT.multiply(contract.value, Decimal(billed)), Decimal(months))

    # ---- the window

    def _window(self) -> _Window | None:
        """The window of invoices that earn, from the anchor as it is known now (OP-A1)."""
        if self._length is None:
            return None
        anchor = str(self.values["window_anchor"])
        first = self.standing.won_on if anchor == "closed_on" else self._first_anchor
        return None if first is None else _Window(first, self._length.after(first))

    def _is_in_window(self, book: InvoiceBook, paid_on: date, window: _Window | None) -> bool:
        if self._term.window is None:
            return True
        invoice = book.invoice
        if window is None or invoice is None:
            return False
        if self._in_window_by == "12_invoices":
            issued = [(b.invoice.issued_on, n) for n, b in self.books.items() if b.stands and b.invoice is not None]
            first = sorted(each for each in issued if each[0] >= window.first)[:12]
            return (invoice.issued_on, invoice.id) in first
        day = invoice.issued_on
        if self._in_window_by == "service_period":
            day = invoice.service_from or invoice.issued_on
        elif self._in_window_by == "payment_date":
            day = paid_on
        spans = invoice.service_to is not None and invoice.service_to >= window.ends
        if spans and self.values.get("spanning_invoice") == "none":
            return False
        return window.first <= day < window.ends

    def _part(self, invoice: Invoice, window: _Window | None) -> Part:
        """The part of an invoice inside the window, by service days where it reaches past its end (OP-A2)."""
        if window is None or not self._prorates:
            return _WHOLE
        first, last = invoice.service_from, invoice.service_to
        if first is None or last is None or last < window.ends or self._in_window_by == "12_invoices":
            return _WHOLE
        return Part(max((window.ends - first).days, 0), (last - first).days + 1)

    def _unpaid(self, invoice: str) -> Cause:
        """What time alone takes back: the commission on an invoice that stayed unpaid too long (CN-A12, E11)."""
        waits = isinstance(self._bad_debt_days, int)
        return Cause("reversal", ("invoice", invoice), None, self.terms.clauses_of("bad_debt_days") if waits else ())

    def _is_bad_debt(self, book: InvoiceBook, at: datetime) -> bool:
        """Whether the invoice stayed unpaid longer than the program waits (CN-A12)."""
        if not isinstance(self._bad_debt_days, int) or book.invoice is None:
            return False
        last = book.invoice.issued_on + timedelta(days=self._bad_debt_days)
        return self.calendar.date_of(at) > last and self._paid(book.id) is None

    # ---- release

    def _release(self, accrual: Accrual, book: InvoiceBook, contract: Contract | None, at: datetime) -> None:
        if accrual.entry is None or accrual.released_on is not None or self._only_all:
            return
        day: date | None = accrual.entry.earned_on
        if self._waits_for_payment:
            day = self._paid(book.id)
        if day is not None:
            self._poster.release(accrual, at, self.payable_from(day, contract))

    def _release_all(self, window: _Window, at: datetime) -> None:
        """Everything at once, when the window is over and each of its invoices is fully paid (OP-A3)."""
        today = self.calendar.date_of(at)
        inside = [
            book for book in self.books.values()
            if book.stands and book.invoice is not None and window.first <= book.invoice.issued_on < window.ends
        ]  # fmt: skip
        paid = [self._paid(book.id) for book in inside]
        if today < window.ends or any(day is None for day in paid):
            return
        released = max([window.ends, *(day for day in paid if day is not None)])
        for accrual in self._accruals.values():
            if accrual.entry is not None:
                self._poster.release(accrual, at, released)

    def _due(self, released: date, stated: date) -> date:
        if self._term.due == "due_days":
            return due_after(self.terms, self.deal.program.calendar_on(released), released)
        return due_with_statement(self.terms, stated)
