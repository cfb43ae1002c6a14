"""Replaying a deal: every record that moves it, in the order things became known, one evaluation after each.

Rules that earn on invoices or contracts say what should stand after each event; what they share is here: the state of
the deal at the instant, and what a change is called in the ledger (its cause).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from rules.accrual import Cause
from rules.calendar import BEGINNING, DAY, Calendar
from rules.clawback import clawback_until, is_cancelled_early
from rules.deal import ORDER, PLACE, Deal, Event, Outcome, Standing
from rules.invoice_book import InvoiceBook
from rules.ledger import Ledger
from rules.money import EXACT
from rules.pins import Pin
from rules.records import Contract, Enrollment, FraudFinding, FxRateFact, Invoice, Opportunity
from rules.tasks import Wanted

TIME = Cause("adjustment", ("timer", ""), None)
"""What changes by the passing of time alone."""
_INVOICE, _PAYMENT = PLACE["invoice"], PLACE["payment"]


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
        self.values = pin.terms.values
        self.ledger = ledger
        self.calendar: Calendar = deal.program.calendar
        self.books: dict[str, InvoiceBook] = {name: InvoiceBook(name) for name in deal.invoices}
        self.contracts: dict[str, Contract] = {}
        self.opportunities: dict[str, Opportunity] = {}
        self.enrollments: dict[str, tuple[datetime, Enrollment]] = {}
        self._may_have_left = False
        """Whether each enrollment was ended, or is to end."""
        self.fraud: FraudFinding | None = None
        self.standing = Standing(BEGINNING, None, False)
        self.outcome = Outcome()
        self.contract_of = dict(deal.contract_of)
        """For each invoice the contract it belongs to at the instant that is replayed."""
        for name in deal.owners:
            self.contract_of.pop(name, None)
        self._first_issued: dict[str, date] = {}
        """For each contract the issue date of the invoice of it that became known first."""
        self._receipts: dict[str, dict[str, date]] = {}
        self._first_receipts: dict[str, date] = {}
        """For each contract the days on which its invoices were first paid on, and the first of them."""
        self._fx: dict[tuple[str, str, str, date], FxRateFact] = {}
        self._wanted: dict[str, Wanted] = {}
        self._changed = False
        self._event: Event = (BEGINNING, 0, "", None, None)

    def run(self) -> Outcome:
        """Replay everything. Raises: nothing; what is missing is a task."""
        for event in self._events():
            self._event = event
            at, place, name, invoice, fact = event
            if place == _INVOICE:
                invoice, contract = name, self._see_invoice(at, name, fact)
            elif invoice is not None:
                contract = self._see_money(place, name, invoice, fact)
            else:
                contract = self._see_deal(at, ORDER[place], name, fact)
            self.evaluate(at, invoice, contract)
            if self._changed:
                self.outcome.tasks.append((at, tuple(self._wanted.values())))
                self._changed = False
        return self.outcome

    def _see_invoice(self, at: datetime, name: str, fact: Invoice | None) -> str | None:
        """Take note of how an invoice reads; the contract it belongs to."""
        self.books[name].invoice = fact
        if name in self.deal.owners:
            self._follow(name, at)
        contract = self.contract_of.get(name)
        if contract is not None:
            if fact is not None and contract not in self._first_issued:
                self._first_issued[contract] = fact.issued_on
            if self.keeps_receipts:
                self._note_receipt(name, contract)
        return contract

    def _see_money(self, place: int, name: str, invoice: str, fact: Any) -> str | None:
        """Take note of what moves the money of an invoice; the contract that one belongs to."""
        self.books[invoice].hold(ORDER[place], name, fact)
        contract = self.contract_of.get(invoice)
        if self.keeps_receipts and place == _PAYMENT and contract is not None:
            self._note_receipt(invoice, contract)
        return contract

    def _see_deal(self, at: datetime, kind: str, name: str, fact: Any) -> str | None:
        """Take note of what is about the deal itself; the contract it is about, if it is about one."""
        if kind == "standing":
            self.standing = fact
        elif kind == "fraud_finding":
            self.fraud = fact
        elif kind == "enrollment":
            self.enrollments.pop(name, None)
            if fact is not None:
                self.enrollments[name] = (at, fact)
            known = [known for _, known in self.enrollments.values()]
            self._may_have_left = all(each.standing == "terminated" or each.ends_on is not None for each in known)
        elif kind in ("contract", "opportunity"):
            now: dict[str, Any] = self.contracts if kind == "contract" else self.opportunities
            now.pop(name, None)
            if fact is not None:
                now[name] = fact
        return name if kind == "contract" else None

    @property
    def kind(self) -> str:
        """What the event that is replayed is about."""
        return ORDER[self._event[1]]

    @property
    def cause(self) -> Cause:
        """What the event that is replayed is called in the ledger, when it changes what was posted."""
        _, _, name, _, fact = self._event
        kind = self.kind
        if kind in ("contract", "opportunity") or (kind in ("payment", "credit_note", "refund") and fact is None):
            return Cause("adjustment", (kind, name), None)
        if kind == "payment":
            return Cause("adjustment" if fact.reverses is None else "reversal", (kind, name), fact.received_on)
        if kind == "credit_note":
            return Cause("reversal", (kind, name), fact.issued_on)
        if kind == "refund":
            return Cause("reversal", (kind, name), fact.paid_on)
        if kind == "invoice":
            voided = fact.voided_on if fact is not None else None
            return Cause("reversal" if voided else "adjustment", (kind, name), voided)
        if kind == "fraud_finding" and fact is not None:
            return Cause("clawback", (kind, name), fact.found_on)
        if kind == "decision":
            return Cause("adjustment", (kind, fact.id), None)
        return TIME if kind == "timer" else Cause("adjustment", ("referral", self.deal.referral), None)

    def _follow(self, invoice: str, at: datetime) -> None:
        """An invoice that was moved leaves its contract before it joins the other one (E55)."""
        now = next((owner for since, owner in reversed(self.deal.owners[invoice]) if since <= at), None)
        before = self.contract_of.get(invoice)
        if now == before:
            return
        if before is not None and self.adds_up_contracts:
            book = self.books[invoice]
            fact, book.invoice = book.invoice, None
            self._note_receipt(invoice, before)
            self.evaluate(at, invoice, before)
            book.invoice = fact
        self.contract_of.pop(invoice, None)
        if now is not None:
            self.contract_of[invoice] = now

    @abstractmethod
    def evaluate(self, at: datetime, invoice: str | None, contract: str | None) -> None:
        """Make stand what should after an event about an invoice, a contract, or (both ``None``) the whole deal."""

    def timers(self) -> Iterable[date]:
        """Local dates at whose start something may change by time alone."""
        return ()

    def quotes(self) -> Iterator[str]:
        """The currencies that amounts are exchanged into."""
        payout = self.values.get("payout_currency", "invoice")
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
        names = self.deal.by_contract.get(contract, ())
        return [
            self.books[name] for name in names if self.books[name].stands and self.contract_of.get(name) == contract
        ]

    def first_receipt(self, contract: str) -> date | None:
        """The day of the customer's first payment on a contract."""
        return self._first_receipts.get(contract)

    def _note_receipt(self, invoice: str, contract: str) -> None:
        """Keep the day of an invoice's first payment, and its contract's."""
        book = self.books[invoice]
        receipts = self._receipts.setdefault(contract, {})
        first, before = self._first_receipts.get(contract), receipts.pop(invoice, None)
        day = book.first_receipt if book.payments and book.stands else None
        if day is not None:
            receipts[invoice] = day
            if first is None or day < first:
                self._first_receipts[contract] = day
        if before is not None and before == first and before != day:
            self._first_receipts.pop(contract)
            if receipts:
                self._first_receipts[contract] = min(receipts.values())

    def payable_from(self, day: date, contract: Contract | None) -> date:
        """The first day on which something released on ``day`` may be paid: after the clawback window, where the program
        waits for its end (CN-A14)."""
        waits = contract is not None and self.values.get("hold_until_clawback_window_ends")
        last = clawback_until(self.terms, contract, self._issued(contract)) if waits and contract else None
        return max(day, last + DAY) if last else day

    def left_on(self, at: datetime) -> date | None:
        """The last day on which the partner was in the program, when it is no more; ``None``: it still is."""
        if not self._may_have_left:
            return None
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

    def _currencies(self) -> set[str]:
        """The currencies of the customer's documents."""
        billed = {fact.currency for _, place, _, _, fact in self.deal.billing if place == _INVOICE and fact}
        deals = {
            v.fact.currency for views in self.deal.opportunities.values() for v in views if v.fact and v.fact.currency
        }
        return billed | deals | self.contract_currencies()

    def contract_currencies(self) -> set[str]:
        """The currencies of the deal's contracts."""
        return {view.fact.currency for views in self.deal.contracts.values() for view in views if view.fact}

    def _events(self) -> list[Event]:
        """Everything in order, and of the dates on which something may change by time alone those that have come."""
        deal, place = self.deal, PLACE
        events: list[Event] = [(standing.at, place["standing"], "", None, standing) for standing in deal.standings]
        decisions = enumerate(deal.rate_decisions)  # of one instant the first that was made comes first
        events += [(each.at, place["decision"], f"{number:06}", None, each) for number, each in decisions]
        for kind, records in (
            ("contract", deal.contracts), ("opportunity", deal.opportunities), ("enrollment", deal.enrollments),
            ("fraud_finding", deal.fraud),
        ):  # fmt: skip
            for name, timeline in records.items():
                events += [(view.at, place[kind], name, None, view.fact) for view in timeline]
        events += [(at, place["fx_rate"], "", None, None) for at in deal.fx.instants(self._currencies(), self.quotes())]
        events += [(at, place["tier"], "", None, None) for at in (deal.tiers.instants if deal.tiers else ())]
        for day in sorted(set(self.timers())):
            if (at := self.calendar.start_of(day)) < deal.until:
                events.append((at, place["timer"], "", None, None))
            else:
                self.outcome.wakes.append(day)
        events += deal.billing if self.sees_payments else [each for each in deal.billing if each[1] != _PAYMENT]
        events.sort()
        return events
