"""Rule: a share of what the customer paid on the won contract, in proportion to what was collected.

Commission of an invoice = rate x net after credits x min(1, collected / gross after credits); every payment posts the
difference to what was posted before, so parts add up to the whole; a credit, refund or chargeback posts the signed
difference on the entries it corrects, at their own rate. Source: NT-14, NT-17, NT-A5, G-6, G-10; E1, E2, E3, E9, E10.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from rules.calendar import Calendar, add_months, month_end, next_month
from rules.deal import ORDER, PLACE, Deal, Event, Outcome
from rules.dues import BILLED_MONTHS, due_after
from rules.first_year import first_year
from rules.invoice_book import InvoiceBook
from rules.ledger import Entry, EntryKind, Ledger
from rules.money import EXACT, ROUNDINGS, ZERO, percent, rounded, shares, text
from rules.net import Net
from rules.pins import Pin
from rules.rates import Rates
from rules.records import Contract, Invoice, Payment
from rules.tasks import Wanted
from rules.terms import ShareOfCollections

_ONE = Decimal(1)
_STANDING, _ENROLLMENT, _DECISION, _CONTRACT = range(4)
_INVOICE, _CREDIT_NOTE, _PAYMENT = PLACE["invoice"], PLACE["credit_note"], PLACE["payment"]
"""What an event is about; at one instant they are seen in this order."""


@dataclass(slots=True)
class _Share:
    """What one payment has been given so far, for one beneficiary (``None``: nobody; it is counted, not posted)."""

    payment: str
    partner: str | None
    entry: Entry | None
    rate: Decimal
    amount: Decimal
    basis: Decimal
    given: Decimal
    """What it was given first, on which a difference falls when nothing of it stands any more."""

    @property
    def earned(self) -> bool:
        """Whether the payment earned anything, be it for nobody."""
        return self.entry is not None or self.partner is None


class _InvoiceBook(InvoiceBook):
    """An invoice as it reads at the instant that is replayed, and what was posted for it."""

    __slots__ = ("basis_before", "given", "owed_before", "posted", "posted_basis", "rate", "shares")

    def __init__(self, identity: str) -> None:
        super().__init__(identity)
        self.shares: list[_Share] = []
        self.given: set[str] = set()
        """Payments that were given their share."""
        self.posted = self.posted_basis = ZERO
        self.rate = self.owed_before = self.basis_before = ZERO
        """The rate of what was posted last; what stood before at another one is ``owed_before`` on ``basis_before``."""

    def owed(self, basis: Decimal) -> Decimal:
        """What the invoice has earned, exact, when it stands on a basis."""
        return self.owed_before + EXACT.multiply(basis - self.basis_before, self.rate)

    def go_on_at(self, rate: Decimal) -> None:
        """What comes from now on has this rate; what stands keeps its own."""
        if not self.shares:
            self.rate = rate
        elif rate != self.rate:
            self.owed_before, self.basis_before = self.owed(self.posted_basis), self.posted_basis
            self.rate = rate


def share_of_collections(deal: Deal, contract: str, pin: Pin, term: ShareOfCollections, ledger: Ledger) -> Outcome:
    """Replay one contract of a deal under its pinned terms and post its commission to the ledger.

    Units: rates are fractions; money in the invoice's currency at its smallest unit. Rounding: once per entry, as the
    program says, on the running total of its invoice. Raises: nothing; a missing rate is a task (NT-A2).
    """
    return _Replay(deal, contract, pin, term, ledger).run()


class _Replay:
    def __init__(self, deal: Deal, contract: str, pin: Pin, term: ShareOfCollections, ledger: Ledger) -> None:
        terms, values = pin.terms, pin.terms.values
        self._deal = deal
        self._contract_id = contract
        self._ledger = ledger
        self._program = deal.program
        self._calendar: Calendar = deal.program.calendar
        self._terms = terms
        self._term = term
        self._pin = pin
        self._rates = Rates(deal, terms, term.rate, pin.on)
        self._clauses = tuple(dict.fromkeys(term.clauses + term.rate.clauses_for(deal.role)))
        self._rounding = ROUNDINGS[str(values["rounding"])]
        self._statement_basis = values["statement_basis"]
        self._is_monthly = values["cadence"] == "monthly"
        self._at_receipt = term.released == "receipt"
        self._in_days = term.due == "due_days"
        self._only_fully_paid = values["release"] == "invoice_fully_paid"
        self._net = Net(terms, term.excluded_lines)
        self._books = {name: _InvoiceBook(name) for name in deal.invoices if deal.contract_of.get(name) == contract}
        self._contract: Contract | None = None
        self._reviewed_on: date | None = None
        self._approved_on: date | None = None
        self._rate: Decimal | None = None
        self._rate_from = ""
        self._outcome = Outcome()
        self._earning = False

    def run(self) -> Outcome:
        books = self._books
        for at, about, name, invoice, fact in self._events():
            if about == _PAYMENT and invoice is not None:
                self._see_payment(at, books[invoice], name, fact)
            elif about == _INVOICE:
                self._see_invoice(at, books[name], fact)
            elif invoice is not None:
                self._see_given_back(at, about, books[invoice], name, fact)
            else:
                self._see_deal(at, about, fact)
        return self._outcome

    def _events(self) -> list[Event]:
        deal, owned = self._deal, self._contract_id
        events: list[Event] = [(standing.at, _STANDING, "", None, standing) for standing in deal.standings]
        for name, enrollment in deal.enrollments.items():
            events += [(view.at, _ENROLLMENT, name, None, view.fact) for view in enrollment]
        decisions = enumerate(deal.rate_decisions)  # of one instant the first that was made comes first
        events += [(each.at, _DECISION, f"{number:06}", None, each) for number, each in decisions]
        events += [(view.at, _CONTRACT, owned, None, view.fact) for view in deal.contracts[owned]]
        events += [event for event in deal.billing if (event[3] or event[2]) in self._books]
        events.sort()
        return events

    def _see_deal(self, at: datetime, about: int, payload: Any) -> None:
        before = (self._earning, self._rate, self._approved_on)
        if about == _STANDING:
            approved = payload.approved_at if self._contract_id in payload.contracts else None
            self._reviewed_on = self._calendar.date_of(approved) if approved else None
        elif about == _CONTRACT:
            self._contract = payload
        self._approved_on = self._may_earn_from()
        may_earn = self._approved_on is not None and self._contract is not None
        if may_earn and (self._rate is None or about == _DECISION):
            self._rate, wanted = self._find_rate(at, self._rates)
            self._want(at, () if self._pin.by_invoice else wanted)
        elif self._rate is not None or not may_earn:
            self._want(at, ())
        self._earning = may_earn and self._rate is not None
        if about == _DECISION and may_earn and payload.posted and payload.rate is not None:
            for book in sorted(self._books.values(), key=lambda book: book.id):
                self._rate_again(at, book, payload.id)
        if before != (self._earning, self._rate, self._approved_on) or self._pin.by_invoice:
            source, day = ("referral", self._deal.referral), self._calendar.date_of(at)
            for book in sorted(self._books.values(), key=lambda book: book.id):
                if book.payments or book.given or self._pin.by_invoice:
                    self._evaluate(at, book, "adjustment", source, day, None)

    def _rate_again(self, at: datetime, book: _InvoiceBook, decision: str) -> None:
        """A person set a rate for what was posted, too: each entry gets the difference (G-9)."""
        pool = [share for share in book.shares if share.earned and share.basis]
        rate = self._rates.of_posted(book.rate, at, self._contract_id).rate
        if not pool or all(share.rate == rate for share in pool):
            return
        currency = self._currency(book)
        difference = rounded(EXACT.multiply(book.posted_basis, rate), currency, self._rounding) - book.posted
        weights = [abs(EXACT.multiply(share.basis, rate - share.rate)) for share in pool]
        for share, part in zip(pool, shares(difference, weights, currency), strict=True):
            share.amount, share.rate = share.amount + part, rate
            if share.entry is not None and part:
                source, today = ("decision", decision), self._calendar.date_of(at)
                self._post_correction(at, book, share, "adjustment", source, today, part, ZERO)
        book.posted, book.rate, book.owed_before, book.basis_before = book.posted + difference, rate, ZERO, ZERO

    def _may_earn_from(self) -> date | None:
        """The day of the approval, or of what earns the commission where that is later (TC-10, TC-26, TC-A1)."""
        contract, how = self._contract, self._terms.values.get("earned")
        if self._reviewed_on is None or contract is None or how is None:
            return self._reviewed_on
        days = [self._reviewed_on, contract.signed_on]
        if how != "signed":
            days.append(contract.commenced_on or date.max)
        if how == "completed" or self._terms.values.get("release") == "completed":
            days.append(contract.completed_on or date.max)
        return max(days) if max(days) < date.max else None

    def _find_rate(self, at: datetime, rates: Rates) -> tuple[Decimal | None, tuple[Wanted, ...]]:
        contract = self._contract
        assert contract is not None
        found = rates.find(
            at, self._pin.on, won_on=contract.signed_on, value=contract.value, contract=self._contract_id
        )
        if found is None:
            return None, (rates.missing(self._contract_id),)
        if (refusal := rates.refusal(found, at, self._contract_id)) is not None:
            return None, (rates.refused(self._contract_id, refusal),)
        self._rate_from = found.source
        return found.rate, ()

    def _want(self, at: datetime, wanted: tuple[Wanted, ...]) -> None:
        if wanted or self._outcome.tasks:
            self._outcome.tasks.append((at, wanted))

    def _see_payment(self, at: datetime, book: _InvoiceBook, name: str, fact: Payment | None) -> None:
        was = book.hold("payment", name, fact)
        kind: EntryKind = "adjustment"
        day, corrected = None, name
        if fact is not None and fact.reverses is not None:
            kind, day, corrected = "reversal", fact.received_on, fact.reverses
        elif was is not None and was.reverses is not None:
            corrected = was.reverses
        self._evaluate(at, book, kind, ("payment", name), day, corrected)

    def _see_invoice(self, at: datetime, book: _InvoiceBook, fact: Invoice | None) -> None:
        book.invoice = fact
        if book.payments or book.given:  # without either it earns nothing yet
            voided = fact.voided_on if fact is not None else None
            self._evaluate(at, book, "reversal" if voided else "adjustment", ("invoice", book.id), voided, None)

    def _see_given_back(self, at: datetime, about: int, book: _InvoiceBook, name: str, fact: Any) -> None:
        kind = ORDER[about]
        book.hold(kind, name, fact)
        day = None
        if fact is not None:
            day = fact.issued_on if about == _CREDIT_NOTE else fact.paid_on
        self._evaluate(at, book, "reversal" if fact is not None else "adjustment", (kind, name), day, None)

    def _evaluate(
        self,
        at: datetime,
        book: _InvoiceBook,
        kind: EntryKind,
        source: tuple[str, str],
        day: date | None,
        corrected: str | None,
    ) -> None:
        """Post the difference between what the invoice should have earned by now and what it has.

        ``day`` is the own date of the fact behind a correction; ``None``: the day on which it became known.
        """
        invoice = book.invoice
        if (
            self._approved_on is None
            or self._contract is None
            or invoice is None
            or invoice.voided_on is not None
            or self._pin.day_of(invoice.issued_on) is None
            or not self._is_in_first_year(invoice)
        ):
            if book.given:
                self._correct(at, book, ZERO, kind, source, day, corrected)
            return
        if not book.payments and not book.given:
            return
        net, gross = self._net.of(invoice, book.credits.values())
        if book.given:
            if not any(share.earned for share in book.shares) and (rate := self._rate_of(at, invoice)) is not None:
                book.go_on_at(rate)
            self._correct(at, book, self._basis(net, gross, self._collected(book)), kind, source, day, corrected)
        fresh = [p for p in book.payments.values() if p.reverses is None and p.id not in book.given]
        rate = self._rate_of(at, invoice) if fresh else None
        if rate is None:
            return
        book.go_on_at(rate)
        if len(fresh) > 1:
            fresh.sort(key=lambda p: (p.received_on, p.id))
        for payment in fresh:
            book.given.add(payment.id)
            basis = self._basis(net, gross, self._collected(book))
            amount = rounded(book.owed(basis), invoice.currency, self._rounding) - book.posted
            if amount:
                moved = basis - book.posted_basis if book.posted_basis else basis
                self._give(at, book, invoice, payment, moved, amount, net, gross)
            else:
                book.shares.append(_Share(payment.id, self._deal.partner, None, rate, ZERO, ZERO, ZERO))
            book.posted += amount
            book.posted_basis = basis

    def _rate_of(self, at: datetime, invoice: Invoice) -> Decimal | None:
        """The rate of what an invoice earns from now on; ``None``: not known, or refused."""
        if not self._pin.by_invoice:
            return self._rate
        rate, wanted = self._find_rate(at, Rates(self._deal, self._terms, self._term.rate, invoice.issued_on))
        if wanted:
            self._want(at, wanted)
        return rate

    def _is_in_first_year(self, invoice: Invoice) -> bool:
        """Whether the invoice is one that earns, where only the contract's first year does (ON-1, ON-A3, ON-21)."""
        if not self._term.first_year_only or self._contract is None:
            return True
        earning = {line.kind for book in self._books.values() if book.invoice for line in book.invoice.lines}
        earning -= set(self._term.excluded_lines)
        receipts = [p.received_on for book in self._books.values() for p in book.payments.values()]
        year = first_year(
            str(self._terms.values["first_year_anchor"]), self._contract,
            [book.invoice for book in self._books.values() if book.invoice], earning, min(receipts, default=None),
        )  # fmt: skip
        return year.holds(invoice)

    def _basis(self, net: Decimal, gross: Decimal, collected: Decimal) -> Decimal:
        if self._only_fully_paid:
            return net if collected >= gross else ZERO
        if gross <= 0 or collected >= gross:
            return net
        if collected <= 0:
            return ZERO
        return EXACT.divide(EXACT.multiply(net, collected), gross)

    def _collected(self, book: _InvoiceBook) -> Decimal:
        """What the payments that were given their share brought, less what was taken back of them."""
        total = ZERO
        for payment in book.payments.values():
            if payment.reverses is None:
                if payment.id in book.given:
                    total += payment.amount
            elif payment.reverses in book.given and payment.reverses in book.payments:
                total -= payment.amount
        if book.refunds and "refund" in self._net.excludes:
            total -= sum((refund.amount for refund in book.refunds.values()), ZERO)
        return total

    def _give(
        self, at: datetime, book: _InvoiceBook, invoice: Invoice, payment: Payment, basis: Decimal, amount: Decimal,
        net: Decimal, gross: Decimal,
    ) -> None:  # fmt: skip
        """Post what a payment earns, to whoever the customer relationship belongs to by then."""
        currency, rate = invoice.currency, book.rate
        whole = text(net, currency)
        part_of_it = whole if basis is net else text(basis, currency)
        because = (
            f"{percent(rate)} of {part_of_it} {currency}: {whole} net of invoice {invoice.id} x "
            f"{text(payment.amount, currency)} paid of {text(gross, currency)} gross; rate from {self._rate_from}"
        )
        source = ("payment", payment.id)
        day = payment.received_on
        to = self._beneficiaries(day) if self._deal.reallocations else [self._deal.partner]
        if len(to) == 1:
            entry, part, shown = None, rounded(amount, currency), rounded(basis, currency)
            if to[0] is not None and part:
                entry = self._post(
                    at, to[0], currency, "commission", source, shown, rate, part, day, None, because, self._clauses
                )
            book.shares.append(_Share(payment.id, to[0], entry, rate, part, basis, basis))
            return
        weights = [_ONE] * len(to)
        parts = zip(
            to, shares(amount, weights, currency), shares(rounded(basis, currency), weights, currency), strict=True
        )
        exact = EXACT.divide(basis, Decimal(len(to)))
        for partner, part, shown in parts:
            entry = None
            if partner is not None and part:
                why = f"{because}; {partner}'s equal share after reallocation"
                entry = self._post(
                    at, partner, currency, "commission", source, shown, rate, part, day, None, why, self._clauses
                )
            book.shares.append(_Share(payment.id, partner, entry, rate, part, exact, exact))

    def _beneficiaries(self, day: date) -> list[str | None]:
        """Who earns on money received on a day (NT-A8)."""
        owner: str | None = self._deal.partner
        moved = [r for r in self._deal.reallocations if r.on < day]
        how = self._terms.values["commission_on_reallocation"]
        if not moved or how == "continue_to_referrer":
            return [owner]
        if how == "stop":
            return [None]
        if how == "move_to_new_owner":
            return [moved[-1].partner]
        return [owner, moved[-1].partner]

    def _correct(
        self, at: datetime, book: _InvoiceBook, basis: Decimal, kind: EntryKind, source: tuple[str, str],
        day: date | None, corrected: str | None,
    ) -> None:  # fmt: skip
        """Post the signed difference on the entries it corrects: the payment named, then in proportion."""
        currency = self._currency(book)
        moved_basis = basis - book.posted_basis
        pool, owed = self._pool(book, corrected, basis)
        difference = rounded(owed, currency, self._rounding) - book.posted
        if not difference:
            return
        if not pool:
            self._give_late(at, book, moved_basis, difference)
        else:
            weights = [abs(share.amount) for share in pool]
            if not any(weights):
                weights = [EXACT.multiply(share.given, share.rate) or _ONE for share in pool]
            amounts = shares(difference, weights, currency)
            moved = [(share, part) for share, part in zip(pool, amounts, strict=True) if part]
            whole = sum((share.basis for share, _ in moved), ZERO)
            for share, part in moved:
                of, among = (share.basis, whole) if whole else (part, difference)
                exact = EXACT.divide(EXACT.multiply(moved_basis, of), among)
                share.amount += part
                share.basis += exact
                if share.entry is not None:
                    earned_on = day or self._calendar.date_of(at)
                    self._post_correction(at, book, share, kind, source, earned_on, part, exact)
        book.posted, book.posted_basis = book.posted + difference, basis
        if owed != book.owed(basis):  # it fell on payments at another rate than the last one's
            book.owed_before, book.basis_before = owed, basis

    def _pool(self, book: _InvoiceBook, corrected: str | None, basis: Decimal) -> tuple[list[_Share], Decimal]:
        """The shares that a difference falls on, and what the invoice has earned with it, exact.

        A payment that earned nothing has nothing to correct.
        """
        given, rises = book.shares, basis > book.posted_basis
        named = [share for share in given if share.payment == corrected and share.earned]
        if named:
            owed = _owed(book, named, basis)
            taken = book.posted - rounded(owed, self._currency(book), self._rounding)
            if rises or sum((s.amount for s in named), ZERO) >= taken:
                return [share for share in named if share.amount or rises], owed
        pool = [share for share in given if share.amount] or [share for share in given if share.earned]
        return pool, _owed(book, pool, basis)

    def _give_late(self, at: datetime, book: _InvoiceBook, basis: Decimal, amount: Decimal) -> None:
        """A credit can be what makes an invoice fully paid: the last payment then earns what it had not."""
        payments = [p for p in book.payments.values() if p.reverses is None]
        if not payments or book.invoice is None or amount <= 0:
            return
        last = max(payments, key=lambda p: (p.received_on, p.id))
        net, gross = self._net.of(book.invoice, book.credits.values())
        self._give(at, book, book.invoice, last, basis, amount, net, gross)

    def _post_correction(
        self, at: datetime, book: _InvoiceBook, share: _Share, kind: EntryKind, source: tuple[str, str], day: date,
        part: Decimal, basis: Decimal,
    ) -> None:  # fmt: skip
        original, own = share.entry, share.rate
        assert original is not None
        if part > 0 and kind == "reversal":
            kind = "adjustment"
        currency = original.currency
        because = (
            f"{source[0].replace('_', ' ')} {source[1]} changes what {original.key} stands on by "
            f"{text(basis, currency)} {currency}; {percent(own)} of it"
        )
        self._post(
            at, original.partner, book.invoice.currency if book.invoice else currency, kind, source, rounded(basis, currency), own, part, day,
            original.key, because, original.clauses,
        )  # fmt: skip

    def _currency(self, book: _InvoiceBook) -> str:
        for share in book.shares:
            if share.entry is not None:
                return share.entry.currency
        return book.invoice.currency if book.invoice else self._program.currency

    def _post(
        self, at: datetime, partner: str, currency: str, kind: EntryKind, source: tuple[str, str], basis: Decimal,
        rate: Decimal, amount: Decimal, earned_on: date, corrects: str | None, because: str, clauses: tuple[str, ...],
    ) -> Entry:  # fmt: skip
        ready = self._approved_on if self._approved_on is not None and self._approved_on > earned_on else earned_on
        releases = ready if self._at_receipt else next_month(ready)
        if self._in_days:
            due = due_after(self._terms, self._program.calendar_on(releases), releases)
        else:
            due = month_end(releases)
        known = self._calendar.date_of(at)
        deal = self._deal
        return self._ledger.post(
            Entry(
                self._ledger.next_key(deal.referral, kind, source), self._ledger.program, partner, deal.referral, self._contract_id,
                kind, source, basis, rate, amount, currency, earned_on, at,
                self._states_on(earned_on, known if known > ready else ready, releases), releases, due, corrects,
                clauses, because,
            )
        )  # fmt: skip

    def _states_on(self, earned_on: date, day: date, releases: date) -> date:
        """The date that puts an entry on a statement: the last of the customer's billing period in which it was earned (NT-18,
        NT-A3, NT-A4), or ``day`` on which it was known and approved, where that period's statement was cut by then.
        """
        period_of = earned_on
        if self._statement_basis == "payable_in_month":
            day = max(day, releases)
            period_of = earned_on if self._term.released == "receipt" else next_month(earned_on)
        elif self._statement_basis != "collected_in_month":
            return day
        if self._is_monthly or self._contract is None:
            return day
        months = BILLED_MONTHS.get(self._contract.billing or "", 1)
        if months == 1:
            return day
        return max(day, _period_end(self._contract.starts_on or self._contract.signed_on, months, period_of))


def _owed(book: _InvoiceBook, pool: list[_Share], basis: Decimal) -> Decimal:
    """What the invoice has earned, exact, when the difference to what it stands on falls on some shares, at their rates."""
    stood = [(share.basis, share.rate) for share in pool if share.basis] or [(s.given, s.rate) for s in pool]
    whole = sum((part for part, _ in stood), ZERO)
    if not whole or all(rate == book.rate for _, rate in stood):
        return book.owed(basis)
    earned = sum((EXACT.multiply(part, rate) for part, rate in stood), ZERO)
    moved = EXACT.divide(EXACT.multiply(basis - book.posted_basis, earned), whole)
    return book.owed(book.posted_basis) + moved


def _period_end(starts: date, months: int, day: date) -> date:
    """The last day of the billing period, counted from ``starts``, that holds ``day``."""
    passed = (day.year - starts.year) * 12 + day.month - starts.month
    index = max(passed // months - 1, 0)
    while add_months(starts, (index + 1) * months) <= day:
        index += 1
    return date.fromordinal(add_months(starts, (index + 1) * months).toordinal() - 1)
