"""The ledger: append-only, double-entry; a correction is a new entry that points to what it corrects (G-2).

An *entry* is one amount owed to (or taken back from) a partner; its identity and amount never change. What happens to
it, being released, held, stated, paid, is a *posting*: a debit and a credit of the same amount. A balance is the sum
of its postings, and the state of an entry is read from them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Literal

import orjson

from rules.errors import RuleError
from rules.money import ZERO, text

EntryKind = Literal["commission", "bonus", "reversal", "clawback", "true_up", "adjustment", "co_op"]


@dataclass(slots=True)
class Entry:
    """One amount of the ledger, as it was posted.

    Units: ``basis`` and ``amount`` in ``currency`` at its smallest unit, ``rate`` a fraction. ``posted_at`` is the
    instant at which it became known, ``states_on`` the local date that puts it on a statement, ``releases_on`` the
    first date on which the program allows paying it and ``due_on`` the last date by which it must be paid.
    """

    key: str
    program: str
    partner: str
    referral: str | None
    contract: str | None
    kind: EntryKind
    source: tuple[str, str]
    basis: Decimal | None
    rate: Decimal | None
    amount: Decimal
    currency: str
    earned_on: date
    posted_at: datetime
    states_on: date | None
    releases_on: date | None
    due_on: date | None
    corrects: str | None
    clauses: tuple[str, ...]
    because: str
    paid_on: date | None = None
    """When it was paid by itself, outside of any statement (a co-op reimbursement)."""


Event = Literal["accrued", "held", "freed", "released", "suspended", "stated", "disputed", "resumed", "paid"]


@dataclass(frozen=True, slots=True)
class Posting:
    """A debit and a credit of one amount. ``event`` says what happened to the entry."""

    at: datetime
    event: Event
    entry: str
    debit: str
    credit: str
    amount: Decimal
    currency: str
    note: str = ""


_ACCOUNTS = {
    "accrued": ("expense", "accrued"),
    "held": ("accrued", "held"),
    "freed": ("held", "accrued"),
    "released": ("accrued", "payable"),
    "suspended": ("payable", "held"),
    "stated": ("payable", "stated"),
    "disputed": ("stated", "held"),
    "resumed": ("held", "stated"),
    "paid": ("stated", "cash"),
}
"""For each event the account debited and the account credited; all but ``expense`` and ``cash`` are the partner's."""


def posting(entry: Entry, event: Event, at: datetime, note: str = "") -> Posting:
    """Move an entry's amount as the event says."""
    debit, credit = _ACCOUNTS[event]
    return Posting(
        at, event, entry.key, _named(debit, entry), _named(credit, entry), entry.amount, entry.currency, note
    )


def _named(account: str, entry: Entry) -> str:
    return account if account in ("expense", "cash") else f"{account}:{entry.partner}"


@dataclass(slots=True)
class Ledger:
    """The entries of one program in posting order, and what happened to them; its postings follow from both."""

    program: str
    entries: dict[str, Entry] = field(default_factory=dict)
    moves: list[tuple[Entry, Event, datetime, str]] = field(default_factory=list)
    """What happened to entries after their accrual: entry, event, instant, note; in time order for each entry."""
    _numbers: dict[str, int] = field(default_factory=dict)

    def post(self, entry: Entry) -> Entry:
        """Append an entry and its accrual. Raises: ``RuleError`` for a key that is there already."""
        if entry.key in self.entries:
            raise RuleError(f"ledger: entry {entry.key} is posted already; allowed: a new key for each entry")
        self.entries[entry.key] = entry
        return entry

    @property
    def postings(self) -> list[Posting]:
        """The accrual of each entry and its moves, as debits and credits, by instant and entry."""
        made = [posting(entry, "accrued", entry.posted_at) for entry in self.entries.values()]
        made += [posting(*move) for move in self.moves]
        made.sort(key=lambda each: (each.at, each.entry))
        return made

    def next_key(self, referral: str | None, kind: str, source: tuple[str, str]) -> str:
        """``program:referral:kind:source_type:source_id:n`` with n from 1 in posting order; ``-`` for no referral."""
        name = f"{self.program}:{referral or '-'}:{kind}:{source[0]}:{source[1]}"
        number = self._numbers[name] = self._numbers.get(name, 0) + 1
        return f"{name}:{number}"

    def balances(self) -> dict[tuple[str, str], Decimal]:
        """Every account's balance (credits less debits) by account and currency; the sum of each currency is zero."""
        return balances(self.postings)


def balances(postings: Iterable[Posting]) -> dict[tuple[str, str], Decimal]:
    """Balances by account and currency."""
    totals: dict[tuple[str, str], Decimal] = {}
    for each in postings:
        for account, sign in ((each.debit, -1), (each.credit, 1)):
            totals[account, each.currency] = totals.get((account, each.currency), ZERO) + sign * each.amount
    return totals


State = Literal["accrued", "held", "payable", "stated", "paid"]


@dataclass(frozen=True, slots=True)
class Standing:
    """What the postings say about an entry at the end."""

    state: State
    released_on: date | None


def entry_row(entry: Entry, standing: Standing) -> dict[str, Any]:
    """The entry's row of the outcome."""
    released = standing.released_on
    return {
        "key": entry.key,
        "program": entry.program,
        "partner": entry.partner,
        "referral": entry.referral,
        "contract": entry.contract,
        "kind": entry.kind,
        "source": {"type": entry.source[0], "id": entry.source[1]},
        "basis": None if entry.basis is None else text(entry.basis, entry.currency),
        "rate": None if entry.rate is None else format(entry.rate, "f"),
        "amount": text(entry.amount, entry.currency),
        "currency": entry.currency,
        "earned_on": entry.earned_on.isoformat(),
        "released_on": released.isoformat() if released else None,
        "due_on": entry.due_on.isoformat() if released and entry.due_on else None,
        "state": standing.state,
        "corrects": entry.corrects,
        "clauses": list(entry.clauses),
        "because": entry.because,
    }


GENESIS = "0" * 64
"""The hash before the first row of a chain."""


def chained(previous: str, row: dict[str, Any]) -> str:
    """The SHA-256 of a row and the hash before it, as hex: one changed byte breaks every hash after it."""
    content = orjson.dumps(row, option=orjson.OPT_SORT_KEYS)
    return hashlib.sha256(previous.encode() + content).hexdigest()


def broken_links(rows: Iterable[tuple[dict[str, Any], str]]) -> Iterator[int]:
    """Yield the position (from 1) of every row whose stored hash is not what its content and predecessor give."""
    previous = GENESIS
    for number, (row, stored) in enumerate(rows, 1):
        if chained(previous, row) != stored:
            yield number
        previous = stored
