"""Rule: a share of what the customer paid on the won contract, in proportion to what was collected.

Commission of an invoice = rate x net after credits x min(1, collected / gross after credits); every payment posts the
difference to what was posted before, so parts add up to the whole; a credit, refund or chargeback posts the signed
difference on the entries it corrects, at their own rate. Source: NT-14, NT-17, NT-A5, G-6, G-10; E1, E2, E3, E9, E10.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from operator import itemgetter
from typing import Any

from rules.calendar import Calendar, add_months, month_end, next_month
from rules.facts import View
from rules.ledger import Entry, EntryKind, Ledger
from rules.money import EXACT, ROUNDINGS, ZERO, percent, rounded, shares, text
from rules.program import Program
from rules.records import Contract, CreditNote, Enrollment, Invoice, Payment, Refund
from rules.tasks import Wanted
from rules.terms import ShareOfCollections, Terms

_ONE = Decimal(1)
_MONTHS = {"quarterly": 3, "annual": 12}
_STANDING, _ENROLLMENT, _DECISION, _CONTRACT, _INVOICE, _CREDIT_NOTE, _PAYMENT, _REFUND = range(8)
"""What an event is about; at one instant they are seen in this order."""


@dataclass(frozen=True, slots=True)
class Standing:
    """How the deal's claim stands from an instant on: may it earn, since when, and is its money held?"""

    at: datetime
    approved_at: datetime | None
    held: bool


@dataclass(frozen=True, slots=True)
class RateDecision:
    """A person set the rate of this deal."""

    at: datetime
    rate: Decimal
    by: str
    reason: str


@dataclass(frozen=True, slots=True)
class Reallocation:
    """From ``on`` the customer relationship belongs to another partner (``None``: the vendor)."""

    on: date
    partner: str | None


@dataclass(slots=True)
class InvoiceFacts:
    """An invoice and everything that moves what was collected of it, each as views over time."""

    invoice: Sequence[View[Invoice]]
    payments: Mapping[str, Sequence[View[Payment]]] = field(default_factory=dict)
    credits: Mapping[str, Sequence[View[CreditNote]]] = field(default_factory=dict)
    refunds: Mapping[str, Sequence[View[Refund]]] = field(default_factory=dict)


@dataclass(slots=True)
class Deal:
    """A won contract of a claim, with all that decides its commission."""

    program: Program
    referral: str
    partner: str
    submitted_on: date
    contract_id: str
    contract: Sequence[View[Contract]]
    standings: Sequence[Standing]
    enrollments: Mapping[str, Sequence[View[Enrollment]]]
    rate_decisions: Sequence[RateDecision]
    reallocations: Sequence[Reallocation]
    invoices: Mapping[str, InvoiceFacts]


@dataclass(slots=True)
class Outcome:
    """The tasks that the rule calls for at each instant; what it posted is in the ledger."""

    tasks: list[tuple[datetime, tuple[Wanted, ...]]] = field(default_factory=list)


@dataclass(slots=True)
class _Share:
    """What one payment has been given so far, for one beneficiary (``None``: nobody; it is counted, not posted)."""

    payment: str
    partner: str | None
    entry: Entry | None
    amount: Decimal
    basis: Decimal

    @property
    def earned(self) -> bool:
        """Whether the payment earned anything, be it for nobody."""
        return self.entry is not None or self.partner is None


@dataclass(slots=True)
class _InvoiceBook:
    """An invoice as it reads at the instant that is replayed, and what was posted for it."""

    id: str
    invoice: Invoice | None = None
    payments: dict[str, Payment] = field(default_factory=dict)
    credits: dict[str, CreditNote] = field(default_factory=dict)
    refunds: dict[str, Refund] = field(default_factory=dict)
    shares: list[_Share] = field(default_factory=list)
    given: set[str] = field(default_factory=set)
    posted: Decimal = ZERO
    posted_basis: Decimal = ZERO


_Event = tuple[datetime, int, str, _InvoiceBook | None, Any]
"""When, what it is about, its id, the invoice concerned (``None``: the deal itself), and how it reads from then on."""
_when = itemgetter(0, 1, 2)


def share_of_collections(deal: Deal, ledger: Ledger) -> Outcome:
    """Replay a deal and post its commission to the ledger.

    Units: rates are fractions; money in the invoice's currency at its smallest unit. Rounding: once per entry, as the
    program says, on the running total of its invoice. Raises: nothing; a missing rate is a task (NT-A2).
    """
    return _Replay(deal, ledger).run()


class _Replay:
    def __init__(self, deal: Deal, ledger: Ledger) -> None:
        self._deal = deal
        self._ledger = ledger
        self._program = deal.program
        self._calendar: Calendar = deal.program.calendar
        self._books: dict[str, _InvoiceBook] = {}
        self._contract: Contract | None = None
        self._approved_on: date | None = None
        self._rate: Decimal | None = None
        self._rate_from = ""
        self._enrollments: dict[str, Enrollment] = {}
        self._decisions: list[RateDecision] = []
        self._outcome = Outcome()
        self._earning = False
        self._take(deal.program.versions[0])

    def _take(self, terms: Terms) -> None:
        """Go by these terms from now on. What every entry asks of them is read here, once."""
        values = terms.values
        excludes = values["net_excludes"]
        assert isinstance(excludes, tuple)
        self._terms = terms
        self._term: ShareOfCollections = terms.commission[0]
        self._clauses = self._term.clauses + self._term.rate.clauses
        self._rounding = ROUNDINGS[str(values["rounding"])]
        self._by_invoice_date = values.get("terms_pin_at") == "invoice_date"
        self._statement_basis = values["statement_basis"]
        self._is_monthly = values["cadence"] == "monthly"
        self._excludes = frozenset(excludes)
        not_credited = {"shipping"} if "shipping" in excludes else set()
        self._no_credit_lines = frozenset({*self._term.excluded_lines, *not_credited})
        self._no_lines = self._no_credit_lines if "discount" in excludes else self._no_credit_lines | {"discount"}

    def run(self) -> Outcome:
        for at, about, name, book, fact in sorted(self._events(), key=_when):
            if book is None:
                self._see_deal(at, about, name, fact)
            elif about == _PAYMENT:
                self._see_payment(at, book, name, fact)
            else:
                self._see_invoice(at, about, book, name, fact)
        return self._outcome

    def _events(self) -> list[_Event]:
        deal = self._deal
        events: list[_Event] = [(standing.at, _STANDING, "", None, standing) for standing in deal.standings]
        for name, enrollment in deal.enrollments.items():
            events += [(view.at, _ENROLLMENT, name, None, view.fact) for view in enrollment]
        events += [(decision.at, _DECISION, "", None, decision) for decision in deal.rate_decisions]
        events += [(view.at, _CONTRACT, deal.contract_id, None, view.fact) for view in deal.contract]
        pinned = all(version.values.get("terms_pin_at") != "invoice_date" for version in deal.program.versions)
        for name, facts in deal.invoices.items():
            self._books[name] = book = _InvoiceBook(name)
            _add_events(events, book, facts, pinned)
        return events

    def _see_deal(self, at: datetime, about: int, name: str, payload: Any) -> None:
        before = (self._earning, self._rate, self._approved_on)
        if about == _STANDING:
            approved = payload.approved_at
            self._approved_on = self._calendar.date_of(approved) if approved else None
        elif about == _ENROLLMENT:
            self._enrollments.pop(name, None) if payload is None else self._enrollments.__setitem__(name, payload)
        elif about == _DECISION:
            self._decisions.append(payload)
        else:
            self._contract = payload
        self._pin(at)
        self._earning = self._approved_on is not None and self._contract is not None and self._rate is not None
        missing = self._approved_on is not None and self._contract is not None and self._rate is None
        self._want(at, self._rate_missing() if missing and not self._by_invoice_date else ())
        if before != (self._earning, self._rate, self._approved_on) or self._by_invoice_date:
            source, day = ("referral", self._deal.referral), self._calendar.date_of(at)
            for book in sorted(self._books.values(), key=lambda book: book.id):
                if book.payments or book.given or self._by_invoice_date:
                    self._evaluate(at, book, "adjustment", source, day, None)

    def _want(self, at: datetime, wanted: tuple[Wanted, ...]) -> None:
        if wanted or self._outcome.tasks:
            self._outcome.tasks.append((at, wanted))

    def _rate_missing(self) -> tuple[Wanted, ...]:
        sources = ", ".join(self._term.rate.sources)
        because = f"no rate is known for {self._deal.partner} (looked in: {sources}); nothing is paid at a default"
        return (Wanted("rate_missing", self._deal.contract_id, self._term.rate.clauses, because),)

    def _pin(self, at: datetime) -> None:
        """Take the terms and the rate in force at the moment the program pins a deal, once (G-1)."""
        if self._rate is not None or self._approved_on is None or self._contract is None:
            return
        pin_at = self._terms.values.get("terms_pin_at")
        day = {"submission": self._deal.submitted_on, "contract_signed": self._contract.signed_on}.get(
            str(pin_at), self._approved_on
        )
        self._take(self._program.on(day))
        self._rate, self._rate_from = self._rate_on(day, at)

    def _rate_on(self, day: date, now: datetime) -> tuple[Decimal | None, str]:
        for source in self._term.rate.sources:
            if source == "decision" and self._decisions:
                decision = self._decisions[-1]
                return decision.rate, f"set by {decision.by}: {decision.reason}"
            if source == "enrollment" and (found := self._enrolled_rate(day)):
                return found
        return None, ""

    def _enrolled_rate(self, day: date) -> tuple[Decimal, str] | None:
        """The negotiated rate in force on a day; else the one of the submission's enrollment, else the first one known later."""
        for wanted_day in (day, self._deal.submitted_on):
            until = self._calendar.end_of(wanted_day)
            for name in sorted(self._deal.enrollments, key=lambda n: (self._start_of(n), n), reverse=True):
                fact = _reads(self._deal.enrollments[name], until)
                if (
                    fact
                    and fact.rate is not None
                    and fact.starts_on <= wanted_day
                    and not (fact.ends_on and fact.ends_on < wanted_day)
                ):
                    return fact.rate, f"enrollment {name}"
        for name in sorted(self._enrollments):
            fact = self._enrollments[name]
            if fact.rate is not None:
                return fact.rate, f"enrollment {name}"
        return None

    def _start_of(self, name: str) -> date:
        fact = self._deal.enrollments[name][0].fact
        return fact.starts_on if fact else date.min

    def _see_payment(self, at: datetime, book: _InvoiceBook, name: str, fact: Payment | None) -> None:
        was = book.payments.pop(name, None)
        if fact is not None:
            book.payments[name] = fact
        kind: EntryKind = "adjustment"
        day, corrected = None, name
        if fact is not None and fact.reverses is not None:
            kind, day, corrected = "reversal", fact.received_on, fact.reverses
        elif was is not None and was.reverses is not None:
            corrected = was.reverses
        self._evaluate(at, book, kind, ("payment", name), day, corrected)

    def _see_invoice(self, at: datetime, about: int, book: _InvoiceBook, name: str, fact: Any) -> None:
        if about == _INVOICE:
            book.invoice = fact
            voided = fact is not None and fact.voided_on is not None
            self._evaluate(
                at, book, "reversal" if voided else "adjustment", ("invoice", name),
                fact.voided_on if voided else None, None,
            )  # fmt: skip
            return
        held: dict[str, Any] = book.credits if about == _CREDIT_NOTE else book.refunds
        held.pop(name, None)
        day = None
        if fact is not None:
            held[name] = fact
            day = fact.issued_on if about == _CREDIT_NOTE else fact.paid_on
        source = ("credit_note" if about == _CREDIT_NOTE else "refund", name)
        self._evaluate(at, book, "reversal" if fact is not None else "adjustment", source, day, None)

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
        rate = self._rate
        if self._by_invoice_date and book.invoice is not None and self._approved_on and self._contract:
            rate, self._rate_from = self._rate_on(book.invoice.issued_on, at)
            if rate is None:
                self._want(at, self._rate_missing())
        invoice = book.invoice
        if (
            rate is None
            or self._approved_on is None
            or self._contract is None
            or invoice is None
            or invoice.voided_on is not None
        ):
            if book.given:
                self._correct(at, book, rate or ZERO, ZERO, kind, source, day, corrected)
            return
        if not book.payments and not book.given:
            return
        net, gross = self._net_and_gross(book, invoice)
        if book.given:
            basis = self._basis(net, gross, self._collected(book))
            self._correct(at, book, rate, basis, kind, source, day, corrected)
        fresh = [p for p in book.payments.values() if p.reverses is None and p.id not in book.given]
        if len(fresh) > 1:
            fresh.sort(key=lambda p: (p.received_on, p.id))
        for payment in fresh:
            book.given.add(payment.id)
            basis = self._basis(net, gross, self._collected(book))
            amount = rounded(EXACT.multiply(basis, rate), invoice.currency, self._rounding) - book.posted
            if amount:
                self._give(at, book, invoice, payment, rate, basis - book.posted_basis, amount, net, gross)
            else:
                book.shares.append(_Share(payment.id, self._deal.partner, None, ZERO, ZERO))
            book.posted += amount
            book.posted_basis = basis

    def _net_and_gross(self, book: _InvoiceBook, invoice: Invoice) -> tuple[Decimal, Decimal]:
        """What earns of the invoice after credits, and its gross after credits (G-10)."""
        no_lines = self._no_lines
        net = whole = ZERO
        for line in invoice.lines:
            whole += line.amount
            if line.kind not in no_lines:
                net += line.amount
        gross = whole + (invoice.tax or ZERO)
        taxed = "tax" not in self._excludes and invoice.tax
        if book.credits or taxed:
            part = net / whole if whole else ZERO
            if taxed:
                net += EXACT.multiply(taxed, part)
            for credit in book.credits.values():
                gross -= credit.amount + (credit.tax or ZERO)
                if "credit" in self._excludes:
                    net -= self._credited(credit, part)
        return (net if net >= ZERO else ZERO), gross

    def _credited(self, credit: CreditNote, part: Decimal) -> Decimal:
        """What a credit takes from the net: its lines that earn, else its share by the ``part`` of the invoice that earns."""
        if not credit.lines:
            return EXACT.multiply(credit.amount, part)
        earning = sum((line.amount for line in credit.lines if line.kind not in self._no_credit_lines), ZERO)
        mirrored = sum((line.amount for line in credit.lines), ZERO) < 0
        return -earning if mirrored else earning

    def _basis(self, net: Decimal, gross: Decimal, collected: Decimal) -> Decimal:
        if self._terms.values["release"] == "invoice_fully_paid":
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
        if book.refunds and "refund" in self._excludes:
            total -= sum((refund.amount for refund in book.refunds.values()), ZERO)
        return total

    def _give(
        self, at: datetime, book: _InvoiceBook, invoice: Invoice, payment: Payment, rate: Decimal, basis: Decimal,
        amount: Decimal, net: Decimal, gross: Decimal,
    ) -> None:  # fmt: skip
        """Post what a payment earns, to whoever the customer relationship belongs to by then."""
        currency = invoice.currency
        because = (
            f"{percent(rate)} of {text(basis, currency)} {currency}: {text(net, currency)} net of invoice {invoice.id} x "
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
            book.shares.append(_Share(payment.id, to[0], entry, part, basis))
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
            book.shares.append(_Share(payment.id, partner, entry, part, exact))

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
        self, at: datetime, book: _InvoiceBook, rate: Decimal, basis: Decimal, kind: EntryKind,
        source: tuple[str, str], day: date | None, corrected: str | None,
    ) -> None:  # fmt: skip
        """Post the signed difference on the entries it corrects: the payment named, then in proportion."""
        currency = self._currency(book)
        target = rounded(EXACT.multiply(basis, rate), currency, self._rounding) if basis else ZERO
        difference = target - book.posted
        basis_difference = basis - book.posted_basis
        if not difference:
            return
        named = [share for share in book.shares if share.payment == corrected]
        pool = self._pool(book.shares, named, difference)
        if not pool:
            self._give_late(at, book, rate, basis_difference, difference)
        else:
            weights = [abs(share.amount) or _ONE for share in pool]
            amounts = shares(difference, weights, currency)
            for share, part in zip(pool, amounts, strict=True):
                exact = EXACT.divide(EXACT.multiply(basis_difference, part), difference)
                share.amount += part
                share.basis += exact
                if share.entry is not None and part:
                    earned_on = day or self._calendar.date_of(at)
                    self._post_correction(at, book, share, kind, source, earned_on, part, exact, rate)
        book.posted = target
        book.posted_basis = basis

    def _pool(self, given: list[_Share], named: list[_Share], difference: Decimal) -> list[_Share]:
        """The shares that a difference falls on; a payment that earned nothing has nothing to correct."""
        named = [share for share in named if share.earned]
        if named and (difference > 0 or sum((s.amount for s in named), ZERO) >= -difference):
            return [share for share in named if share.amount or difference > 0]
        return [share for share in given if share.amount] or [share for share in given if share.earned]

    def _give_late(self, at: datetime, book: _InvoiceBook, rate: Decimal, basis: Decimal, amount: Decimal) -> None:
        """A credit can be what makes an invoice fully paid: the last payment then earns what it had not."""
        payments = [p for p in book.payments.values() if p.reverses is None]
        if not payments or book.invoice is None or amount <= 0:
            return
        last = max(payments, key=lambda p: (p.received_on, p.id))
        net, gross = self._net_and_gross(book, book.invoice)
        self._give(at, book, book.invoice, last, rate, basis, amount, net, gross)

    def _post_correction(
        self, at: datetime, book: _InvoiceBook, share: _Share, kind: EntryKind, source: tuple[str, str], day: date,
        part: Decimal, basis: Decimal, rate: Decimal,
    ) -> None:  # fmt: skip
        original = share.entry
        assert original is not None
        if part > 0 and kind == "reversal":
            kind = "adjustment"
        own = original.rate if original.rate is not None else rate
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
        releases = next_month(ready)
        deal = self._deal
        return self._ledger.post(
            Entry(
                self._ledger.next_key(deal.referral, kind, source), self._program.id, partner, deal.referral, deal.contract_id,
                kind, source, basis, rate, amount, currency, earned_on, at,
                self._states_on(max(self._calendar.date_of(at), ready), releases), releases, month_end(releases), corrects,
                clauses, because,
            )
        )  # fmt: skip

    def _states_on(self, day: date, releases: date) -> date:
        """The date that puts an entry on a statement: as known, in the customer's own cadence (NT-18, NT-A3, NT-A4)."""
        if self._statement_basis == "payable_in_month":
            day = max(day, releases)
        elif self._statement_basis != "collected_in_month":
            return day
        if self._is_monthly or self._contract is None:
            return day
        months = _MONTHS.get(self._contract.billing or "", 1)
        if months == 1:
            return day
        starts = self._contract.starts_on or self._contract.signed_on
        return _period_end(starts, months, day)


def _add_events(events: list[_Event], book: _InvoiceBook, facts: InvoiceFacts, pinned: bool) -> None:
    """What happens to an invoice. It earns nothing before a payment: known before all, it needs no event of its own."""
    seen_from = facts.invoice[0].at
    is_first = pinned and len(facts.invoice) == 1
    for identity, payment in facts.payments.items():
        for view in payment:
            events.append((view.at, _PAYMENT, identity, book, view.fact))
            is_first = is_first and view.at >= seen_from
    if is_first:
        book.invoice = facts.invoice[0].fact
    else:
        events += [(view.at, _INVOICE, book.id, book, view.fact) for view in facts.invoice]
    if facts.credits:
        events += [(v.at, _CREDIT_NOTE, identity, book, v.fact) for identity, t in facts.credits.items() for v in t]
    if facts.refunds:
        events += [(v.at, _REFUND, identity, book, v.fact) for identity, t in facts.refunds.items() for v in t]


def _period_end(starts: date, months: int, day: date) -> date:
    """The last day of the billing period, counted from ``starts``, that holds ``day``."""
    passed = (day.year - starts.year) * 12 + day.month - starts.month
    index = max(passed // months - 1, 0)
    while add_months(starts, (index + 1) * months) <= day:
        index += 1
    return date.fromordinal(add_months(starts, (index + 1) * months).toordinal() - 1)


def _reads(views: Sequence[View[Enrollment]], until: datetime) -> Enrollment | None:
    found = None
    for view in views:
        if view.at >= until:
            break
        found = view.fact
    return found
