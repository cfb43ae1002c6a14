"""A deal: what a claim won, with everything that decides its commission, as timelines of views."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from itertools import zip_longest
from typing import Any, NamedTuple

from rules.facts import View
from rules.program import Program
from rules.records import (
    Contract,
    Enrollment,
    FraudFinding,
    FxRateFact,
    Opportunity,
)
from rules.tasks import Wanted
from rules.tiers import TierHistory


@dataclass(frozen=True, slots=True)
class Standing:
    """How the deal's claim stands from an instant on: may it earn, since when, on which contracts, is its money held?"""

    at: datetime
    approved_at: datetime | None
    held: bool
    won_on: date | None = None
    contracts: tuple[str, ...] = ()
    sharers: tuple[date | None, ...] = ()
    joined_on: date | None = None

    def shares_on(self, day: date) -> int:
        """By how many claims what is earned on a day is shared equally; 0: this one had not joined by then (OP-A10)."""
        if self.joined_on is not None and day < self.joined_on:
            return 0
        return sum(since is None or since <= day for since in self.sharers) or 1 if self.sharers else 1


@dataclass(frozen=True, slots=True)
class RateDecision:
    """A person set the rate or the amount of this deal, as the decision reads from ``at`` on (neither: it was withdrawn);
    ``overrides`` says that it answers a refusal by the limits."""

    id: str
    at: datetime
    rate: Decimal | None
    by: str
    reason: str
    contract: str | None = None
    amount: Decimal | None = None
    overrides: bool = False
    posted: bool = False
    """Whether the rate is for what was posted before, too, as a signed difference."""


@dataclass(frozen=True, slots=True)
class Reallocation:
    """From ``on`` the customer relationship belongs to another partner (``None``: the vendor)."""

    on: date
    partner: str | None


ORDER = (
    "fraud_finding", "enrollment", "contract", "opportunity", "standing", "decision", "fx_rate", "tier", "invoice",
    "credit_note", "payment", "refund", "timer",
)  # fmt: skip
"""At one instant, events of a deal are seen in this order."""
PLACE = {kind: number for number, kind in enumerate(ORDER)}

Event = tuple[datetime, int, str, str | None, Any]
"""When it is seen, what it is about (its place in ``ORDER``), the record's id, the invoice that a payment, credit note or
refund is about, and how the record reads from then on (``None``: it is absent). No two events of a deal are alike in the
first three, so that they are sorted as they are."""


class _KnownRate(NamedTuple):
    """A version of a rate, until another one or its withdrawal took its place."""

    on: date
    at: datetime
    until: datetime | None
    fact: FxRateFact


@dataclass(slots=True)
class FxRates:
    """Exchange rates as they were known, by pair of currencies."""

    by_pair: dict[tuple[str, str], list[_KnownRate]] = field(default_factory=dict)

    @classmethod
    def of(cls, timelines: Mapping[str, Sequence[View[FxRateFact]]]) -> FxRates:
        """All rates, ordered by their day."""
        rates = cls()
        for name in sorted(timelines):
            for view, later in zip_longest(timelines[name], timelines[name][1:]):
                if view.fact is not None:
                    rates.by_pair.setdefault((view.fact.base, view.fact.quote), []).append(
                        _KnownRate(view.fact.on, view.at, later.at if later else None, view.fact)
                    )
        for found in rates.by_pair.values():
            found.sort(key=lambda each: each[:2])
        return rates

    def instants(self, bases: Iterable[str], quotes: Iterable[str]) -> list[datetime]:
        """When rates from some currencies to others became known."""
        ends = set(quotes)
        pairs = [(base, quote) for base in set(bases) for quote in ends if base != quote]
        return sorted({known.at for pair in pairs for known in self.by_pair.get(pair, ())})

    def find(self, base: str, quote: str, day: date, seen_at: datetime) -> FxRateFact | None:
        """The latest rate of a pair on or before a day, of those known at an instant."""
        found = self.by_pair.get((base, quote), [])
        for number in range(bisect_right(found, day, key=lambda each: each.on), 0, -1):
            known = found[number - 1]
            if known.at <= seen_at and (known.until is None or seen_at < known.until):
                return known.fact
        return None


@dataclass(slots=True)
class Deal:
    """What a claim won: its contracts and invoices, and all that decides what they earn."""

    program: Program
    referral: str
    partner: str
    submitted_on: date
    until: datetime
    """What happens at or after it is not seen."""
    contracts: Mapping[str, Sequence[View[Contract]]]
    standings: Sequence[Standing]
    enrollments: Mapping[str, Sequence[View[Enrollment]]]
    rate_decisions: Sequence[RateDecision]
    reallocations: Sequence[Reallocation]
    invoices: Sequence[str]
    """The ids of its invoices, sorted."""
    billing: Sequence[Event]
    """What happens to its invoices, payments, credit notes and refunds, in order."""
    role: str | None = None
    is_upsell: bool = False
    """Whether the client was a customer before the claim of a partner who is to bring new ones."""
    contract_of: Mapping[str, str] = field(default_factory=dict)
    """For each invoice the contract it belongs to at the end, when it belongs to one."""
    owners: Mapping[str, Sequence[tuple[datetime, str | None]]] = field(default_factory=dict)
    """For each invoice that was moved, the contract of the claim it belonged to from each instant on."""
    by_contract: dict[str, list[str]] = field(init=False, default_factory=dict)
    """For each contract the invoices that belonged to it at any time, by id."""
    opportunities: Mapping[str, Sequence[View[Opportunity]]] = field(default_factory=dict)
    fraud: Mapping[str, Sequence[View[FraudFinding]]] = field(default_factory=dict)
    tiers: TierHistory | None = None
    fx: FxRates = field(default_factory=FxRates)

    def __post_init__(self) -> None:
        for name in self.invoices:
            owners = {self.contract_of.get(name)}
            if name in self.owners:
                owners.update(owner for _, owner in self.owners[name])
            for contract in owners:
                if contract is not None:
                    self.by_contract.setdefault(contract, []).append(name)

    def decided(self, contract: str | None, now: datetime) -> list[RateDecision]:
        """What people set for a contract, or for the whole deal, as it reads now, the latest decision last."""
        found = {each.id: each for each in self.rate_decisions if each.at <= now and each.contract in (None, contract)}
        return list(found.values())


@dataclass(slots=True)
class Outcome:
    """The tasks that a rule calls for at each instant; what it posted is in the ledger."""

    tasks: list[tuple[datetime, tuple[Wanted, ...]]] = field(default_factory=list)
    wakes: list[date] = field(default_factory=list)
    """Dates to come on which it changes by time alone."""
