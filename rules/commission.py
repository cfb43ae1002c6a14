"""Rule: a share of what the customer paid on the won contract, in proportion to what was collected.

Commission of an invoice = rate x net after credits x min(1, collected / gross after credits); every payment posts the
difference to what was posted before, so parts add up to the whole; a credit, refund or chargeback posts the signed
difference on the entries it corrects, at their own rate. Source: NT-14, NT-17, NT-A5, G-6, G-10; E1, E2, E3, E9, E10.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from rules.calendar import Calendar, add_months, month_end, month_start
from rules.facts import View
from rules.ledger import Entry, EntryKind, Ledger
from rules.money import EXACT, ROUNDINGS, ZERO, percent, rounded, shares, text
from rules.records import Contract, CreditNote, Enrollment, Invoice, Payment, Refund
from rules.tasks import Wanted
from rules.terms import Program, ShareOfCollections, Terms

_ONE = Decimal(1)
_ORDER = {"standing": 0, "enrollment": 1, "decision": 2, "contract": 3, "invoice": 4, "credit_note": 5, "payment": 6, "refund": 7}


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
    """What the rule posted, what is held from when to when, and the tasks it calls for at each instant."""

    entries: list[Entry] = field(default_factory=list)
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
        self._books = {name: _InvoiceBook(name) for name in sorted(deal.invoices)}
        self._contract: Contract | None = None
        self._approved_on: date | None = None
        self._terms: Terms = deal.program.versions[0]
        self._term: ShareOfCollections = self._terms.commission[0]
        self._rate: Decimal | None = None
        self._rate_from = ""
        self._enrollments: dict[str, Enrollment] = {}
        self._decisions: list[RateDecision] = []
        self._outcome = Outcome()
        self._earning = False
        self._rounding = ROUNDINGS["half_even"]

    def run(self) -> Outcome:
        for at, _, kind, name, payload in sorted(self._events(), key=lambda event: event[:4]):
            if kind in ("standing", "enrollment", "decision", "contract"):
                self._see_deal(at, kind, name, payload)
            else:
                self._see_invoice(at, kind, name, payload)
        return self._outcome

    def _events(self) -> Iterable[tuple[datetime, int, str, str, Any]]:
        deal = self._deal
        for standing in deal.standings:
            yield standing.at, _ORDER["standing"], "standing", "", standing
        for name, views in deal.enrollments.items():
            for view in views:
                yield view.at, _ORDER["enrollment"], "enrollment", name, view.fact
        for decision in deal.rate_decisions:
            yield decision.at, _ORDER["decision"], "decision", "", decision
        for contract in deal.contract:
            yield contract.at, _ORDER["contract"], "contract", deal.contract_id, contract.fact
        for name, facts in deal.invoices.items():
            for invoice in facts.invoice:
                yield invoice.at, 4, "invoice", name, (name, invoice.fact)
            for identity, credits in facts.credits.items():
                for credit in credits:
                    yield credit.at, 5, "credit_note", identity, (name, credit.fact)
            for identity, payments in facts.payments.items():
                for payment in payments:
                    yield payment.at, 6, "payment", identity, (name, payment.fact)
            for identity, refunds in facts.refunds.items():
                for refund in refunds:
                    yield refund.at, 7, "refund", identity, (name, refund.fact)

    def _see_deal(self, at: datetime, kind: str, name: str, payload: Any) -> None:
        before = (self._earning, self._rate, self._approved_on)
        if kind == "standing":
            approved = payload.approved_at
            self._approved_on = self._calendar.date_of(approved) if approved else None
        elif kind == "enrollment":
            self._enrollments.pop(name, None) if payload is None else self._enrollments.__setitem__(name, payload)
        elif kind == "decision":
            self._decisions.append(payload)
        else:
            self._contract = payload
        self._pin(at)
        self._earning = self._approved_on is not None and self._contract is not None and self._rate is not None
        missing = self._approved_on is not None and self._contract is not None and self._rate is None
        self._want(at, self._rate_missing() if missing and not self._by_invoice_date() else ())
        if before != (self._earning, self._rate, self._approved_on) or self._by_invoice_date():
            source = ("referral", self._deal.referral)
            for book in self._books.values():
                self._evaluate(at, book, "adjustment", source, self._calendar.date_of(at), None)

    def _want(self, at: datetime, wanted: tuple[Wanted, ...]) -> None:
        if wanted or self._outcome.tasks:
            self._outcome.tasks.append((at, wanted))

    def _rate_missing(self) -> tuple[Wanted, ...]:
        sources = ", ".join(self._term.rate.sources)
        because = f"no rate is known for {self._deal.partner} (looked in: {sources}); nothing is paid at a default"
        return (Wanted("rate_missing", self._deal.contract_id, self._term.rate.clauses, because),)

    def _by_invoice_date(self) -> bool:
        return self._terms.values.get("terms_pin_at") == "invoice_date"

    def _pin(self, at: datetime) -> None:
        """Take the terms and the rate in force at the moment the program pins a deal, once (G-1)."""
        if self._rate is not None or self._approved_on is None or self._contract is None:
            return
        pin_at = self._terms.values.get("terms_pin_at")
        day = {"submission": self._deal.submitted_on, "contract_signed": self._contract.signed_on}.get(
            str(pin_at), self._approved_on
        )
        self._terms = self._program.on(day)
        self._term = self._terms.commission[0]
        self._rounding = ROUNDINGS[str(self._terms.values["rounding"])]
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
                if fact and fact.rate is not None and fact.starts_on <= wanted_day and not (fact.ends_on and fact.ends_on < wanted_day):
                    return fact.rate, f"enrollment {name}"
        for name in sorted(self._enrollments):
            fact = self._enrollments[name]
            if fact.rate is not None:
                return fact.rate, f"enrollment {name}"
        return None

    def _start_of(self, name: str) -> date:
        fact = self._deal.enrollments[name][0].fact
        return fact.starts_on if fact else date.min

    def _see_invoice(self, at: datetime, kind: str, name: str, payload: tuple[str, Any]) -> None:
        book = self._books[payload[0]]
        fact = payload[1]
        if kind == "payment":
            was = book.payments.pop(name, None)
            if fact is not None:
                book.payments[name] = fact
            entry_kind: EntryKind = "adjustment"
            source, day, corrected = ("payment", name), None, name
            if fact is not None and fact.reverses is not None:
                entry_kind, day, corrected = "reversal", fact.received_on, fact.reverses
            elif was is not None and was.reverses is not None:
                corrected = was.reverses
            self._evaluate(at, book, entry_kind, source, day, corrected)
            return
        if kind == "invoice":
            book.invoice = fact
            voided = fact is not None and fact.voided_on is not None
            self._evaluate(
                at, book, "reversal" if voided else "adjustment", ("invoice", name),
                fact.voided_on if voided else None, None,
            )  # fmt: skip
            return
        held: dict[str, Any] = book.credits if kind == "credit_note" else book.refunds
        held.pop(name, None)
        day = None
        if fact is not None:
            held[name] = fact
            day = fact.issued_on if kind == "credit_note" else fact.paid_on
        self._evaluate(at, book, "reversal" if fact is not None else "adjustment", (kind, name), day, None)

    def _evaluate(
        self, at: datetime, book: _InvoiceBook, kind: EntryKind, source: tuple[str, str], day: date | None,
        corrected: str | None,
    ) -> None:
        """Post the difference between what the invoice should have earned by now and what it has.

        ``day`` is the own date of the fact behind a correction; ``None``: the day on which it became known.
        """
        rate = self._rate
        if self._by_invoice_date() and book.invoice is not None and self._approved_on and self._contract:
            rate, self._rate_from = self._rate_on(book.invoice.issued_on, at)
            if rate is None:
                self._want(at, self._rate_missing())
        earning = rate is not None and self._approved_on is not None and self._contract is not None
        invoice = book.invoice
        counts = earning and invoice is not None and invoice.voided_on is None
        if not book.given and not (counts and book.payments):
            return
        net, gross = self._net_and_gross(book) if counts and invoice is not None else (ZERO, _ONE)
        if book.given:
            known = [p for p in book.payments.values() if p.id in book.given]
            basis = self._basis(net, gross, self._collected(book, known)) if counts else ZERO
            self._correct(at, book, rate or ZERO, basis, kind, source, day, corrected)
        if not counts or rate is None or invoice is None:
            return
        fresh = [p for p in book.payments.values() if p.reverses is None and p.id not in book.given]
        if len(fresh) > 1:
            fresh.sort(key=lambda p: (p.received_on, p.id))
        for payment in fresh:
            book.given.add(payment.id)
            known = [p for p in book.payments.values() if p.id in book.given]
            collected = self._collected(book, known)
            basis = self._basis(net, gross, collected)
            amount = rounded(EXACT.multiply(basis, rate), invoice.currency, self._rounding) - book.posted
            part = basis - book.posted_basis
            if amount:
                self._give(at, book, payment, rate, part, amount, net, gross)
            else:
                book.shares.append(_Share(payment.id, self._deal.partner, None, ZERO, ZERO))
            book.posted += amount
            book.posted_basis = basis

    def _net_and_gross(self, book: _InvoiceBook) -> tuple[Decimal, Decimal]:
        """What earns of the invoice after credits, and its gross after credits (G-10)."""
        invoice = book.invoice
        assert invoice is not None
        excludes = self._terms.values["net_excludes"]
        assert isinstance(excludes, tuple)
        dropped = self._term.excluded_lines
        net = whole = ZERO
        for line in invoice.lines:
            whole += line.amount
            kind = line.kind
            if kind in dropped or (kind == "shipping" and "shipping" in excludes):
                continue
            if kind == "discount" and "discount" not in excludes:
                continue
            net += line.amount
        gross = whole + (invoice.tax or ZERO)
        part = net / whole if whole else ZERO
        if "tax" not in excludes and invoice.tax:
            net += EXACT.multiply(invoice.tax, part)
        for credit in book.credits.values():
            gross -= credit.amount + (credit.tax or ZERO)
            if "credit" not in excludes:
                continue
            if credit.lines:
                mirrored = sum((line.amount for line in credit.lines), ZERO) < 0
                earning = sum(
                    (line.amount for line in credit.lines
                     if line.kind not in dropped and not (line.kind == "shipping" and "shipping" in excludes)), ZERO
                )  # fmt: skip
                net -= -earning if mirrored else earning
            else:
                net -= EXACT.multiply(credit.amount, part)
        return max(net, ZERO), gross

    def _basis(self, net: Decimal, gross: Decimal, collected: Decimal) -> Decimal:
        if self._terms.values["release"] == "invoice_fully_paid":
            return net if collected >= gross else ZERO
        if gross <= 0 or collected >= gross:
            return net
        if collected <= 0:
            return ZERO
        return EXACT.divide(EXACT.multiply(net, collected), gross)

    def _collected(self, book: _InvoiceBook, payments: Iterable[Payment]) -> Decimal:
        known = {p.id for p in payments}
        total = ZERO
        for payment in payments:
            total += payment.amount if payment.reverses is None else ZERO
        for payment in book.payments.values():
            if payment.reverses in known:
                total -= payment.amount
        excludes = self._terms.values["net_excludes"]
        assert isinstance(excludes, tuple)
        if book.refunds and "refund" in excludes:
            total -= sum((refund.amount for refund in book.refunds.values()), ZERO)
        return total

    def _give(
        self, at: datetime, book: _InvoiceBook, payment: Payment, rate: Decimal, basis: Decimal, amount: Decimal,
        net: Decimal, gross: Decimal,
    ) -> None:  # fmt: skip
        """Post what a payment earns, to whoever the customer relationship belongs to by then."""
        invoice = book.invoice
        assert invoice is not None
        currency = invoice.currency
        because = (
            f"{percent(rate)} of {text(basis, currency)} {currency}: {text(net, currency)} net of invoice {invoice.id} x "
            f"{text(payment.amount, currency)} paid of {text(gross, currency)} gross; rate from {self._rate_from}"
        )
        to = self._beneficiaries(payment.received_on)
        weights = [_ONE] * len(to)
        parts = zip(to, shares(amount, weights, currency), shares(rounded(basis, currency), weights, currency), strict=True)
        exact = EXACT.divide(basis, Decimal(len(to)))
        for partner, part, shown in parts:
            entry = None
            if partner is not None and part:
                whose = "" if len(to) == 1 else f"; {partner}'s equal share after reallocation"
                entry = self._post(
                    at, partner, invoice, "commission", ("payment", payment.id), shown, rate, part,
                    payment.received_on, None, because + whose,
                )  # fmt: skip
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

    def _give_late(
        self, at: datetime, book: _InvoiceBook, rate: Decimal, basis: Decimal, amount: Decimal
    ) -> None:
        """A credit can be what makes an invoice fully paid: the last payment then earns what it had not."""
        payments = [p for p in book.payments.values() if p.reverses is None]
        if not payments or book.invoice is None or amount <= 0:
            return
        last = max(payments, key=lambda p: (p.received_on, p.id))
        net, gross = self._net_and_gross(book)
        self._give(at, book, last, rate, basis, amount, net, gross)

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
            at, original.partner, book.invoice or currency, kind, source, rounded(basis, currency), own, part, day,
            original.key, because, original.clauses,
        )  # fmt: skip

    def _currency(self, book: _InvoiceBook) -> str:
        for share in book.shares:
            if share.entry is not None:
                return share.entry.currency
        return book.invoice.currency if book.invoice else self._program.currency

    def _post(
        self, at: datetime, partner: str, invoice: Invoice | str, kind: EntryKind, source: tuple[str, str],
        basis: Decimal, rate: Decimal, amount: Decimal, earned_on: date, corrects: str | None, because: str,
        clauses: tuple[str, ...] | None = None,
    ) -> Entry:  # fmt: skip
        known_on = self._calendar.date_of(at)
        ready = max(earned_on, self._approved_on or earned_on)
        releases = add_months(month_start(ready), 1)
        key = self._ledger.next_key(self._deal.referral, kind, source)
        entry = Entry(
            key, self._program.id, partner, self._deal.referral, self._deal.contract_id, kind, source, basis, rate, amount,
            invoice if isinstance(invoice, str) else invoice.currency, earned_on, at,
            self._states_on(max(known_on, ready), releases), releases, month_end(releases), corrects,
            clauses or self._term.clauses + self._term.rate.clauses, because,
        )  # fmt: skip
        self._ledger.post(entry)
        self._outcome.entries.append(entry)
        return entry

    def _states_on(self, day: date, releases: date) -> date:
        """The date that puts an entry on a statement: as known, in the customer's own cadence (NT-18, NT-A3, NT-A4)."""
        basis = self._terms.values["statement_basis"]
        if basis == "payable_in_month":
            day = max(day, releases)
        elif basis != "collected_in_month":
            return day
        if self._terms.values["cadence"] == "monthly" or self._contract is None:
            return day
        months = {"quarterly": 3, "annual": 12}.get(self._contract.billing or "", 1)
        if months == 1:
            return day
        starts = self._contract.starts_on or self._contract.signed_on
        return _period_end(starts, months, day)


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
