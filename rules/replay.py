"""Replaying a deal: every record that moves it, in the order things became known, one evaluation after each.

Rules that earn on invoices or contracts say what should stand after each event; what they share is here: the state of
the deal at the instant, and what a change is called in the ledger (its cause).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from datetime import date, datetime
from decimal import Decimal
from operator import itemgetter
from typing import Any

from rules.accrual import Cause
from rules.calendar import BEGINNING, DAY, Calendar
from rules.clawback import clawback_until, is_cancelled_early
from rules.deal import Deal, Outcome, Standing
from rules.invoice_book import InvoiceBook
from rules.ledger import Ledger
from rules.money import EXACT
from rules.pins import Pin
from rules.records import Contract, Enrollment, FraudFinding, FxRateFact, Opportunity
from rules.tasks import Wanted

ORDER = (
    "fraud_finding", "enrollment", "contract", "opportunity", "standing", "decision", "fx_rate", "tier", "invoice",
    "credit_note", "payment", "refund", "timer",
)  # fmt: skip
"""At one instant, events are seen in this order."""
_PLACE = {kind: number for number, kind in enumerate(ORDER)}
TIME = Cause("adjustment", ("timer", ""), None)
"""What changes by the passing of time alone."""
_ABOUT_INVOICES = {"credit_note": "credits", "payment": "payments", "refund": "refunds"}


class DealReplay(ABC):
    """The state of a deal at each instant; a rule says in ``evaluate`` what follows from it."""

    sees_payments = True
    """Whether what the customer paid matters to the rule."""
    keeps_receipts = False
    """Whether the rule asks for the first receipt of a contract."""
    adds_up_contracts = False
    """Whether the rule keeps sums of a contract's invoices, which an invoice leaves when it is moved."""

    def __init__(self, deal: Deal, pin: Pin, ledger: Ledger) -> None:
        self.deal = deal
        self.pin = pin
        self.terms = pin.terms
        self.ledger = ledger
        self.calendar: Calendar = deal.program.calendar
        self.books: dict[str, InvoiceBook] = {}
        self.contracts: dict[str, Contract] = {}
        self.opportunities: dict[str, Opportunity] = {}
        self.enrollments: dict[str, tuple[datetime, Enrollment]] = {}
        self.fraud: FraudFinding | None = None
        self.standing = Standing(BEGINNING, None, False)
        self.outcome = Outcome()
        self.contract_of: dict[str, str] = {n: c for n, c in deal.contract_of.items() if n not in deal.owners}
        """For each invoice the contract it belongs to at the instant that is replayed."""
        self._first_issued: dict[str, date] = {}
        """For each contract the issue date of the invoice of it that became known first."""
        self._by_contract: dict[str, list[str]] = {}
        for name in sorted(deal.invoices):
            for contract in {deal.contract_of.get(name), *(owner for _, owner in deal.owners.get(name, ()))}:
                if contract is not None:
                    self._by_contract.setdefault(contract, []).append(name)
        self._receipts: dict[str, dict[str, date]] = {}
        self._fx: dict[tuple[str, str, str, date], FxRateFact] = {}
        self._wanted: dict[str, Wanted] = {}
        self._changed = False
        self._anything = Cause("adjustment", ("referral", deal.referral), None)
        """What an event is called that has no name of its own in the ledger."""

    def run(self) -> Outcome:
        """Replay everything. Raises: nothing; what is missing is a task."""
        events = sorted(self._events(), key=itemgetter(0, 1, 2))
        for at, place, name, owner, fact in events:
            kind = ORDER[place]
            cause = self._see(kind, name, owner, fact, at)
            if kind == "invoice" and name in self.deal.owners:
                self._follow(name, at, cause)
            invoice = owner or (name if kind == "invoice" else None)
            contract = self.contract_of.get(invoice) if invoice else name if kind == "contract" else None
            if kind == "invoice" and contract is not None and fact is not None:
                self._first_issued.setdefault(contract, fact.issued_on)
            if self.keeps_receipts and kind in ("payment", "invoice"):
                self._note_receipt(str(invoice))
            self.evaluate(at, invoice, contract, cause)
            if self._changed:
                self.outcome.tasks.append((at, tuple(self._wanted.values())))
                self._changed = False
        return self.outcome

    def _follow(self, invoice: str, at: datetime, cause: Cause) -> None:
        """An invoice that was moved leaves its contract before it joins the other one (E55)."""
        now = next((owner for since, owner in reversed(self.deal.owners[invoice]) if since <= at), None)
        before = self.contract_of.get(invoice)
        if now == before:
            return
        if before is not None and self.adds_up_contracts:
            book = self.books[invoice]
            fact, book.invoice = book.invoice, None
            self._note_receipt(invoice)
            self.evaluate(at, invoice, before, cause)
            book.invoice = fact
        self.contract_of.pop(invoice, None)
        if now is not None:
            self.contract_of[invoice] = now

    @abstractmethod
    def evaluate(self, at: datetime, invoice: str | None, contract: str | None, cause: Cause) -> None:
        """Make stand what should after an event about an invoice, a contract, or (both ``None``) the whole deal."""

    def timers(self) -> Iterable[date]:
        """Local dates at whose start something may change by time alone."""
        return ()

    def quotes(self) -> Iterator[str]:
        """The currencies that amounts are exchanged into."""
        payout = self.terms.values.get("payout_currency", "invoice")
        if payout != "invoice":
            yield str(payout)

    def exchanged(
        self, amount: Decimal, about: str, currencies: tuple[str, str], day: date, at: datetime
    ) -> Decimal | None:
        """An amount of a document in another currency, exact, at the rate of a day as it was known when it was first asked
        for; ``None``: none is known yet (E12)."""
        base, quote = currencies
        if base == quote or not amount:
            return amount
        fx = self._fx.get((about, base, quote, day)) or self.deal.fx.find(base, quote, day, at)
        if fx is None:
            return None
        self._fx[about, base, quote, day] = fx
        return EXACT.multiply(amount, fx.rate)

    def want(self, about: str, task: Wanted | None) -> None:
        """What is wanted of a person about something; ``None``: nothing any more."""
        if self._wanted.get(about) == task:
            return
        self._changed = True
        if task is None:
            del self._wanted[about]
        else:
            self._wanted[about] = task

    def pinned_on(self, contract: str) -> date | None:
        """The day whose agreement a contract has under these terms; ``None``: others are for it, or it waits for its first
        invoice (G-1)."""
        return self.pin.day_of(self._first_issued.get(contract))

    @property
    def earning(self) -> bool:
        """Whether the claim may earn now."""
        return self.standing.approved_at is not None

    def clawed_back(self, contract: Contract | None) -> Cause | None:
        """Why all that a contract earned is taken back: fraud at any time, or an early cancellation (CN-39..CN-41)."""
        if self.fraud is not None and self.terms.claims.fraud_clauses:
            clauses = self.terms.claims.fraud_clauses
            return Cause("clawback", ("fraud_finding", self.fraud.id), self.fraud.found_on, clauses)
        if contract is None or self.terms.clawback is None or contract.cancelled_on is None:
            return None
        if not is_cancelled_early(self.terms, contract, self._issued(contract), self.calendar):
            return None
        return Cause("clawback", ("contract", contract.id), contract.cancelled_on, self.terms.clawback.clauses)

    def _issued(self, contract: Contract) -> Iterator[date]:
        """The issue dates of a contract's invoices that stand."""
        return (book.invoice.issued_on for book in self.books_of(contract.id) if book.invoice)

    def books_of(self, contract: str) -> list[InvoiceBook]:
        """The invoices of a contract that stand, by id."""
        names = self._by_contract.get(contract, ())
        return [
            self.books[name] for name in names if self.books[name].stands and self.contract_of.get(name) == contract
        ]

    def first_receipt(self, contract: str) -> date | None:
        """The day of the customer's first payment on a contract."""
        return min(self._receipts.get(contract, {}).values(), default=None)

    def _note_receipt(self, invoice: str) -> None:
        contract = self.contract_of.get(invoice)
        if contract is None:
            return
        book = self.books[invoice]
        day = book.first_receipt if book.stands else None
        receipts = self._receipts.setdefault(contract, {})
        if day is None:
            receipts.pop(invoice, None)
        else:
            receipts[invoice] = day

    def payable_from(self, day: date, contract: Contract | None) -> date:
        """The first day on which something released on ``day`` may be paid: after the clawback window, where the program
        waits for its end (CN-A14)."""
        waits = contract is not None and self.terms.values.get("hold_until_clawback_window_ends")
        last = clawback_until(self.terms, contract, self._issued(contract)) if waits and contract else None
        return max(day, last + DAY) if last else day

    def left_on(self, at: datetime) -> date | None:
        """The last day on which the partner was in the program, when it is no more; ``None``: it still is."""
        today = self.calendar.date_of(at)
        lasts: list[date] = []
        for known_at, fact in self.enrollments.values():
            if fact.standing == "terminated":
                told = self.calendar.date_of(known_at)
                lasts.append(min(fact.ends_on or told, told) if fact.starts_on <= told else told)
            elif fact.ends_on is not None and fact.ends_on < today:
                lasts.append(fact.ends_on)
            else:
                return None
        return max(lasts, default=None)

    def _see(self, kind: str, name: str, owner: str | None, fact: Any, at: datetime) -> Cause:
        """Take note of an event; what it is called when it changes what was posted."""
        if kind in _ABOUT_INVOICES:
            return self._see_money(kind, name, str(owner), fact)
        if kind == "standing":
            self.standing = fact
        elif kind == "fraud_finding":
            self.fraud = fact
            return Cause("clawback", ("fraud_finding", name), fact.found_on) if fact else self._anything
        elif kind == "enrollment":
            self.enrollments.pop(name, None)
            if fact is not None:
                self.enrollments[name] = (at, fact)
        elif kind in ("contract", "opportunity"):
            now: dict[str, Any] = self.contracts if kind == "contract" else self.opportunities
            now.pop(name, None)
            if fact is not None:
                now[name] = fact
            return Cause("adjustment", (kind, name), None)
        elif kind == "invoice":
            self.books[name].invoice = fact
            voided = fact.voided_on if fact is not None else None
            return Cause("reversal" if voided else "adjustment", ("invoice", name), voided)
        elif kind == "decision":
            return Cause("adjustment", ("decision", fact.id), None)
        elif kind == "timer":
            return TIME
        return self._anything

    def _see_money(self, kind: str, name: str, invoice: str, fact: Any) -> Cause:
        held: dict[str, Any] = getattr(self.books[invoice], _ABOUT_INVOICES[kind])
        held.pop(name, None)
        if fact is None:
            return Cause("adjustment", (kind, name), None)
        held[name] = fact
        if kind == "credit_note":
            return Cause("reversal", (kind, name), fact.issued_on)
        if kind == "refund":
            return Cause("reversal", (kind, name), fact.paid_on)
        return Cause("reversal" if fact.reverses is not None else "adjustment", (kind, name), fact.received_on)

    def _currencies(self) -> set[str]:
        """The currencies of the customer's documents."""
        billed = {seen.fact.currency for facts in self.deal.invoices.values() for seen in facts.invoice if seen.fact}
        deals = {
            v.fact.currency for views in self.deal.opportunities.values() for v in views if v.fact and v.fact.currency
        }
        return billed | deals | self.contract_currencies()

    def contract_currencies(self) -> set[str]:
        """The currencies of the deal's contracts."""
        return {view.fact.currency for views in self.deal.contracts.values() for view in views if view.fact}

    def _events(self) -> Iterator[tuple[datetime, int, str, str | None, Any]]:
        deal = self.deal
        place = _PLACE
        for standing in deal.standings:
            yield standing.at, place["standing"], "", None, standing
        for decision in deal.rate_decisions:
            yield decision.at, place["decision"], "", None, decision
        for kind, records in (
            ("contract", deal.contracts), ("opportunity", deal.opportunities), ("enrollment", deal.enrollments),
            ("fraud_finding", deal.fraud),
        ):  # fmt: skip
            for name, timeline in records.items():
                for view in timeline:
                    yield view.at, place[kind], name, None, view.fact
        for at in deal.fx.instants(self._currencies(), self.quotes()):
            yield at, place["fx_rate"], "", None, None
        for instant in deal.tiers.instants if deal.tiers else ():
            yield instant, place["tier"], "", None, None
        for name, facts in deal.invoices.items():
            self.books[name] = InvoiceBook(name)
            for invoice in facts.invoice:
                yield invoice.at, place["invoice"], name, None, invoice.fact
            for kind, moves in (
                ("credit_note", facts.credits),
                ("payment", facts.payments if self.sees_payments else {}),
                ("refund", facts.refunds),
            ):
                for identity, views in moves.items():
                    for each in views:
                        yield each.at, place[kind], identity, name, each.fact
        for day in sorted(set(self.timers())):
            if (at := self.calendar.start_of(day)) < deal.until:
                yield at, place["timer"], "", None, None
            else:
                self.outcome.wakes.append(day)
