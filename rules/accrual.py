"""Posting what should stand as differences to what does: the first time an entry, later its signed corrections (G-2).

An *accrual* is everything posted for one source of one contract. A rule says what should stand now (a target) and what
made it so (a cause); here the difference becomes an entry that points to the one it corrects, at that one's rate and
exchange rate. What is not released yet waits, and its corrections wait with it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import NamedTuple

from rules.calendar import Calendar
from rules.deal import Deal
from rules.ledger import Entry, EntryKind, Ledger
from rules.money import EXACT, ROUNDINGS, ZERO, percent, rounded, text
from rules.records import FxRateFact
from rules.terms import Terms


class Cause(NamedTuple):
    """What changed a target: the kind of correction it makes, the record behind it, and that record's own date
    (``None``: the day on which it became known)."""

    kind: EntryKind
    source: tuple[str, str]
    day: date | None
    clauses: tuple[str, ...] = ()
    """The clauses that ask for the correction; none: those of what it corrects."""


class Target(NamedTuple):
    """What should stand for an accrual: ``basis`` exact, in the currency of the customer's document."""

    basis: Decimal
    rate: Decimal
    currency: str
    earned_on: date
    because: str
    amount: Decimal | None = None
    """A fixed amount instead of rate x basis."""


@dataclass(slots=True)
class Accrual:
    """What was posted for one source of one contract."""

    source: tuple[str, str]
    contract: str | None
    kind: EntryKind = "commission"
    entry: Entry | None = None
    rate: Decimal = ZERO
    fx: FxRateFact | None = None
    posted: Decimal = ZERO
    posted_basis: Decimal = ZERO
    released_on: date | None = None
    waiting: tuple[Entry, ...] = ()
    """Entries that wait for the release."""


class Poster:
    """Posts the entries of one deal under its terms. ``due`` gives the last day for paying what is released on a day,
    and shown on a statement on another."""

    def __init__(
        self, deal: Deal, terms: Terms, ledger: Ledger, clauses: tuple[str, ...], due: Callable[[date, date], date]
    ) -> None:
        self._deal = deal
        self._program = deal.program.id
        self._ledger = ledger
        self._clauses = tuple(dict.fromkeys(clauses))
        self._due = due
        self._calendar: Calendar = deal.program.calendar
        self._rounding = ROUNDINGS[str(terms.values["rounding"])]
        currency = terms.values.get("payout_currency", "invoice")
        self._payout_currency = None if currency == "invoice" else str(currency)

    def exchange(self, accrual: Accrual, currency: str, day: date, at: datetime) -> str | None:
        """Pin the rate of exchange of an accrual; why it cannot be, or ``None`` (CN-A30, E12)."""
        target = self._payout_currency
        if accrual.entry is not None or target is None or currency == target:
            return None
        accrual.fx = self._deal.fx.find(currency, target, day, at)
        if accrual.fx is None:
            return f"no exchange rate from {currency} to {target} on or before {day} is known"
        return None

    def post(self, accrual: Accrual, at: datetime, target: Target | None, cause: Cause) -> None:
        """Make a target stand; ``None``: nothing should. Posts nothing when nothing changed."""
        if accrual.entry is None:
            if target is not None:
                self.begin(accrual, at, target)
            return
        rate = accrual.rate if target is None or target.amount is not None else target.rate
        basis = ZERO if target is None else self._converted(accrual, target.basis)
        currency = accrual.entry.currency
        if target is not None and target.amount is not None:
            amount = target.amount
        else:
            amount = rounded(EXACT.multiply(basis, rate), currency, self._rounding)
        difference, moved = amount - accrual.posted, basis - accrual.posted_basis
        if not difference:
            return
        kind = cause.kind
        if kind == "reversal" and difference > 0:
            kind = "adjustment"
        day = cause.day or self._calendar.date_of(at)
        what = f"{cause.source[0].replace('_', ' ')} {cause.source[1]}"
        if kind == "true_up":
            because = (
                f"at the end of the first year {accrual.entry.key} stands on "
                f"{text(rounded(basis, currency), currency)} {currency}: {target.because if target else 'nothing'}"
            )
        elif accrual.entry.rate is None:
            because = f"{what}: {text(amount, currency)} {currency} of {accrual.entry.key} is left"
        elif rate != accrual.rate:
            because = f"{what}: {accrual.entry.key} is at {percent(rate)} now, no more at {percent(accrual.rate)}"
        else:
            because = (
                f"{what} changes what {accrual.entry.key} stands on by {text(rounded(moved, currency), currency)} {currency}; "
                f"{percent(rate)} of it"
            )
        shown = rate if accrual.entry.rate is not None else None
        entry = self._entry(
            accrual, at, kind, cause.source, moved, shown, difference, currency, day, because, cause.clauses
        )
        accrual.posted, accrual.posted_basis, accrual.rate = amount, basis, rate
        self._place(accrual, entry, at)

    def release(self, accrual: Accrual, at: datetime, day: date) -> None:
        """What an accrual earned may be paid from ``day`` on; only the first time counts."""
        if accrual.released_on is not None:
            return
        accrual.released_on = day
        waiting, accrual.waiting = accrual.waiting, ()
        for entry in waiting:
            self._place(accrual, entry, at)

    def begin(self, accrual: Accrual, at: datetime, target: Target) -> None:
        """Post what stands first; no cause corrects anything yet."""
        basis = self._converted(accrual, target.basis)
        currency = accrual.fx.quote if accrual.fx else target.currency
        amount = target.amount
        if amount is None:
            amount = rounded(EXACT.multiply(basis, target.rate), currency, self._rounding)
        if not amount:
            return
        because = target.because
        if accrual.fx is not None:
            fx = accrual.fx
            because += (
                f"; {text(rounded(target.basis, target.currency), target.currency)} {target.currency} = "
                f"{text(rounded(basis, currency), currency)} {currency} at {fx.rate} of {fx.on} ({fx.source})"
            )
        accrual.rate, accrual.posted, accrual.posted_basis = target.rate, amount, basis
        accrual.entry = self._entry(
            accrual, at, accrual.kind, accrual.source, basis, None if target.amount is not None else target.rate,
            amount, currency, target.earned_on, because,
        )  # fmt: skip
        self._place(accrual, accrual.entry, at)

    def _converted(self, accrual: Accrual, basis: Decimal) -> Decimal:
        return EXACT.multiply(basis, accrual.fx.rate) if accrual.fx else basis

    def _entry(
        self, accrual: Accrual, at: datetime, kind: EntryKind, source: tuple[str, str], basis: Decimal,
        rate: Decimal | None, amount: Decimal, currency: str, day: date, because: str, clauses: tuple[str, ...] = (),
    ) -> Entry:  # fmt: skip
        deal = self._deal
        return self._ledger.post(
            Entry(
                self._ledger.next_key(deal.referral, kind, source), self._program, deal.partner, deal.referral,
                accrual.contract, kind, source, rounded(basis, currency), rate, amount, currency, day, at, None, None,
                None, accrual.entry.key if accrual.entry else None, clauses or self._clauses, because,
            )
        )  # fmt: skip

    def _place(self, accrual: Accrual, entry: Entry, at: datetime) -> None:
        """Put an entry on the statement of the day on which it is both released and known."""
        if accrual.released_on is None:
            accrual.waiting += (entry,)
            return
        released = accrual.released_on if accrual.released_on > entry.earned_on else entry.earned_on
        known = self._calendar.date_of(at)
        stated = released if released > known else known
        entry.releases_on, entry.states_on = released, stated
        entry.due_on = self._due(released, stated)
