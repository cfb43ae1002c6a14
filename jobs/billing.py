"""Invoices and what moves their money, found by what they belong to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from rules.deal import PLACE
from rules.facts import Facts, Version

Record = list[Version]
"""All versions of one record."""
MOVES = {PLACE[kind]: kind for kind in ("credit_note", "payment", "refund")}
"""What moves the money of an invoice, by its place among a deal's events."""


@dataclass(slots=True)
class Billing:
    """Every invoice, payment, credit note and refund by what it belongs to; the same for all programs.

    A record stands under everything that any version of it names. How it reads is worked out only when a deal asks for it:
    a program looks at the documents of its own customers.
    """

    invoices: Mapping[str, Record]
    of_contract: dict[str, list[Record]] = field(default_factory=dict)
    """The invoices that name a contract."""
    unassigned: dict[str, list[Record]] = field(default_factory=dict)
    """By account, the invoices that name no contract."""
    moves: dict[int, dict[str, list[Record]]] = field(default_factory=dict)
    """Payments, credit notes and refunds: by their place among a deal's events, and by invoice."""
    _of_account: dict[str, list[Record]] | None = None

    @classmethod
    def of(cls, facts: Facts) -> Billing:
        """Arrange facts; they must not change afterwards."""
        billing = cls(facts.of("invoice"))
        for record in billing.invoices.values():
            for version in record:
                fact = version.fact
                if fact is None:
                    continue
                found, owner = billing.of_contract, fact.contract
                if owner is None:
                    found, owner = billing.unassigned, fact.account
                _put(found, owner, record)
        for place, kind in MOVES.items():
            by_invoice = billing.moves[place] = {}
            for record in facts.of(kind).values():
                for version in record:
                    if version.fact is not None:
                        _put(by_invoice, version.fact.invoice, record)
        return billing

    def of_account(self, account: str) -> list[Record]:
        """The invoices that name an account."""
        if self._of_account is None:
            self._of_account = {}
            for record in self.invoices.values():
                for version in record:
                    if version.fact is not None:
                        _put(self._of_account, version.fact.account, record)
        return self._of_account.get(account, [])


def _put(found: dict[str, list[Record]], owner: str, record: Record) -> None:
    """Add a record to what an owner has, once."""
    own = found.get(owner)
    if own is None:
        found[owner] = [record]
    elif own[-1] is not record:
        own.append(record)
