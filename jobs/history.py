"""A program's facts as views over time, with the look-ups that settling needs."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from functools import cached_property
from typing import Any

from jobs.billing import Billing, Record
from rules.deal import PLACE, Event, FxRates
from rules.facts import Facts, Reading, View, comes_true, readings_of, timelines
from rules.program import Program
from rules.records import Contract, Decision, Invoice, changed
from rules.statements import Money
from rules.tasks import Task, names_task
from sync.intake import checked, standing_at
from sync.prospects import Prospects, resolve
from sync.sightings import Sightings

BILLING = {"invoice", "credit_note", "payment", "refund"}
"""Kinds of records that a history keeps as they are until a deal asks for them."""
ANSWERED = {
    "claim_review",
    "conflict",
    "commission_review",
    "rate_missing",
    "rate_out_of_limits",
    "bonus_amount",
    "contract_value_missing",
    "fx_rate_missing",
    "late_partner_invoice",
    "negative_balance",
    "support_review",
    "mediation",
    "reallocation",
    "dispute_decision",
    "appeal_decision",
}
"""Kinds of tasks that only a certain fact or choice answers; ``done`` says nothing about them."""


@dataclass
class History:
    """A program's facts as views over time, with the look-ups that settling needs."""

    program: Program
    as_of: date
    until: datetime
    views: dict[str, dict[str, list[View[Any]]]]
    by_account: dict[str, dict[str, dict[str, list[View[Any]]]]]
    about_referral: dict[str, dict[str, dict[str, list[View[Any]]]]]
    """Reviews, introductions and fraud findings: by referral and type."""
    decisions: dict[str, dict[str, list[View[Decision]]]]
    enrollments: dict[str, dict[str, list[View[Any]]]]
    contracts_named: dict[str, dict[str, list[View[Any]]]]
    billing: Billing
    """Invoices and what moves their money, as they are: their views are made for one deal at a time."""
    renamed: dict[str, tuple[datetime, str, datetime | None]] = field(default_factory=dict)
    """Referrals that named another partner later: since when, which one, and since when no more."""
    shared_referrals: frozenset[str] = frozenset()
    """Referrals of leads that the vendor shared."""
    _unassigned: dict[str, dict[str | None, dict[str, list[Reading]]]] = field(default_factory=dict)
    coming: dict[str, date] = field(default_factory=dict)
    """For an account, contract, referral or partner: the next date on which a record about it reads otherwise by time alone."""

    @cached_property
    def fx(self) -> FxRates:
        """Exchange rates as they were known."""
        return FxRates.of(self.views["fx_rate"])

    @cached_property
    def children(self) -> Mapping[str, list[str]]:
        """The accounts right below each account in the corporate tree."""
        below: dict[str, list[str]] = {}
        for account in self.views["account"]:
            parent = parent_of(self, account)
            if parent is not None:
                below.setdefault(parent, []).append(account)
        return below

    @cached_property
    def of_partner(self) -> Mapping[str, Mapping[str, Mapping[str, list[View[Any]]]]]:
        """Enrollments and certifications: by type and every partner that any version of theirs names."""
        found: dict[str, dict[str, dict[str, list[View[Any]]]]] = {"enrollment": {}, "certification": {}}
        for kind, records in found.items():
            for identity, timeline in self.views[kind].items():
                for partner in {view.fact.partner for view in timeline if view.fact}:
                    records.setdefault(partner, {})[identity] = timeline
        return found

    @classmethod
    def of(
        cls, program: Program, facts: Facts, as_of: date, until: datetime | None = None, billing: Billing | None = None
    ) -> History:
        """Arrange facts for a program; what is not true or known by the end of ``as_of`` (or ``until``) is left out.

        ``billing`` is that of the same facts, where it was made for another program already.
        """
        calendar = program.calendar
        until = until or calendar.end_of(as_of)
        seen: dict[str, dict[str, list[View[Any]]]] = {}
        for kind in facts.versions:
            if kind in BILLING:
                continue
            records = facts.of(kind)
            if kind in ("referral", "enrollment", "shared_lead", "application"):
                records = {
                    name: versions for name, versions in records.items() if versions[0].fact.program == program.id
                }
            seen[kind] = timelines(records, calendar, until)
        history = cls(program, as_of, until, seen, {}, {}, {}, {}, {}, billing or Billing.of(facts))
        history._keep_partners()
        history._arrange()
        return history

    def look_ahead(self, facts: Facts) -> None:
        """Fill ``coming``; only who settles again later needs it."""
        calendar = self.program.calendar
        for kind in facts.versions:
            for versions in facts.of(kind).values():
                day = comes_true(versions, calendar, self.until)
                if day is None:
                    continue
                fact = versions[0].fact
                invoice = getattr(fact, "invoice", None)
                owner = facts.of("invoice")[invoice][0].fact if isinstance(invoice, str) else fact
                if isinstance(owner, Contract):
                    self.coming[owner.id] = min(day, self.coming.get(owner.id, day))
                for name in ("account", "contract", "referral", "partner"):
                    subject = getattr(owner, name, None)
                    if subject is not None:
                        self.coming[subject] = min(day, self.coming.get(subject, day))

    def _keep_partners(self) -> None:
        """A referral, and a place in a program, stay the partner's that was named first: a workflow or a merge of partners in
        the CRM moves no claim and no money (E43, E49)."""
        for kind in ("referral", "enrollment"):
            for identity, timeline in self.views[kind].items():
                first = first_of(timeline).partner
                others = [(view, view.fact) for view in timeline if view.fact and view.fact.partner != first]
                if kind == "referral" and others:
                    last = timeline[-1].fact
                    mended = timeline[-1].at if last is None or last.partner == first else None
                    self.renamed[identity] = (others[0][0].at, others[-1][1].partner, mended)
                for view, fact in others:
                    view.fact = changed(fact, {"partner": first})

    def _arrange(self) -> None:
        for kind in ("opportunity", "contract", "case", "concern", "activity"):
            for identity, timeline in self.views[kind].items():
                for account in {view.fact.account for view in timeline if view.fact}:
                    self.by_account.setdefault(account, {}).setdefault(kind, {})[identity] = timeline
        for identity, timeline in self.views["contract"].items():
            for named in self._referrals_of_contract(timeline):
                self.contracts_named.setdefault(named, {})[identity] = timeline
        for kind in ("review", "introduction", "fraud_finding"):
            for identity, timeline in self.views[kind].items():
                self.about_referral.setdefault(first_of(timeline).referral, {}).setdefault(kind, {})[identity] = (
                    timeline
                )
        for identity, timeline in self.views["enrollment"].items():
            self.enrollments.setdefault(first_of(timeline).partner, {})[identity] = timeline
        for identity, timeline in self.views["decision"].items():
            about = first_of(timeline).about
            for subject in {about, subject_of(about, self.program.id)}:
                self.decisions.setdefault(subject, {})[identity] = timeline

    def _referrals_of_contract(self, timeline: Sequence[View[Any]]) -> set[str]:
        named = {view.fact.referral for view in timeline if view.fact and view.fact.referral}
        for view in timeline:
            deal = self.views["opportunity"].get(view.fact.opportunity) if view.fact and view.fact.opportunity else None
            named |= {each.fact.referral for each in deal or () if each.fact and each.fact.referral}
        return named

    def contract_of(self, known_at: datetime, invoice: Invoice) -> str | None:
        """The contract an invoice belongs to: the one it names, else its account's latest signed before it was issued.

        A contract that becomes known later takes no invoice from one that was known in time.
        """
        if invoice.contract is not None:
            return invoice.contract
        contracts = self.by_account.get(invoice.account, {}).get("contract", {})
        signed = [
            (max(timeline[0].at, known_at), first_of(timeline).signed_on, identity)
            for identity, timeline in contracts.items()
            if first_of(timeline).signed_on <= invoice.issued_on
        ]
        in_time = min((at for at, _, _ in signed), default=None)
        return max(one for one in signed if one[0] == in_time)[2] if signed else None

    def invoice(self, identity: str) -> list[Reading]:
        """How an invoice read over time."""
        return self._readings_of(self.billing.invoices[identity])

    def invoices_of_account(self, account: str, besides: Container[str]) -> dict[str, list[Reading]]:
        """The invoices that belonged to an account at any time, ``besides`` those that are known already."""
        found: dict[str, list[Reading]] = {}
        for record in self.billing.of_account(account):
            name = record[0].fact.id
            if name not in besides:
                readings = self._readings_of(record)
                if any(fact and fact.account == account for _, fact in readings):
                    found[name] = readings
        return found

    def invoices_of_contract(self, contract: str) -> dict[str, list[Reading]]:
        """The invoices that belonged to a contract at any time; while one belongs to something else, it reads as absent."""
        found: dict[str, list[Reading]] = {}
        for record in self.billing.of_contract.get(contract, ()):
            readings = self._readings_of(record)
            if len(record) > 1:
                readings = _apart(readings, self.contract_of).get(contract, [])
            if readings:
                found[record[0].fact.id] = readings
        for account in {view.fact.account for view in self.views["contract"].get(contract, ()) if view.fact}:
            found |= self._unassigned_of(account).get(contract, {})
        return found

    def _unassigned_of(self, account: str) -> dict[str | None, dict[str, list[Reading]]]:
        """By contract, the invoices of an account that name none."""
        if account not in self._unassigned:
            own = self._unassigned[account] = {}
            for record in self.billing.unassigned.get(account, ()):
                for contract, readings in _apart(self._readings_of(record), self.contract_of).items():
                    own.setdefault(contract, {})[record[0].fact.id] = readings
        return self._unassigned[account]

    def events_of(self, invoices: Mapping[str, Sequence[Reading]]) -> list[Event]:
        """What happens to invoices and to what moves their money, in order."""
        events: list[Event] = []
        place, calendar, until = PLACE["invoice"], self.program.calendar, self.until
        for name, readings in invoices.items():
            for at, fact in readings:
                events.append((at, place, name, None, fact))
        for place, by_invoice in self.billing.moves.items():
            for name in invoices if by_invoice else ():
                for record in by_invoice.get(name, ()):
                    readings = readings_of(record, calendar, until)
                    if len(record) > 1:
                        readings = _apart(readings, _invoice_of).get(name, [])
                    for at, fact in readings:
                        events.append((at, place, record[0].fact.id, name, fact))
        events.sort()
        return events

    def _readings_of(self, record: Record) -> list[Reading]:
        return readings_of(record, self.program.calendar, self.until)

    def prospects(self, merges: Iterable[tuple[datetime, str, str]] = ()) -> Prospects:
        """Every referral tied to its prospect; ``merges`` as for ``resolve``."""
        sightings = Sightings()
        sightings.add("account", self.views["account"])
        sightings.add("referral", self.views["referral"])
        return self.prospects_of(sightings, merges)

    def prospects_of(self, sightings: Sightings, merges: Iterable[tuple[datetime, str, str]] = ()) -> Prospects:
        """The same of accounts and referrals that are not among these facts."""
        calendar = self.program.calendar

        def is_complete(referral: Any) -> bool:
            day = calendar.date_of(referral.submitted_at)
            timeline = self.views["partner"].get(referral.partner)
            partner = last_of(timeline) if timeline else None
            enrollments = [
                standing_at(t, referral.submitted_at) for t in self.enrollments.get(referral.partner, {}).values()
            ]
            intake = checked(referral, partner, [e for e in enrollments if e], day, self.program)
            return not intake.failed

        linking = [view for t in self.views["decision"].values() for view in t]
        return resolve(self.program, sightings, linking, is_complete, merges)

    def of_one(self, partner: str) -> History:
        """The same facts with one partner's enrollments only."""
        return replace(self, enrollments={partner: self.enrollments.get(partner, {})})

    def about(self, *subjects: str | None) -> dict[str, list[View[Decision]]]:
        """Decisions about any of these subjects (or about a task on them)."""
        found: dict[str, list[View[Decision]]] = {}
        for subject in subjects:
            if subject is not None:
                found |= self.decisions.get(subject, {})
        return found

    def money(self) -> Money:
        """Partner invoices, payouts and write-offs by statement, as they read at the end."""
        invoices: dict[str, list[Any]] = {}
        payouts: dict[str, list[Any]] = {}
        known_on: dict[tuple[str, str], date] = {}
        for kind, found in (("partner_invoice", invoices), ("payout", payouts)):
            for name, timeline in self.views[kind].items():
                fact = last_of(timeline)
                if fact is not None:
                    found.setdefault(fact.statement, []).append(fact)
                    known_on[kind, name] = self.program.calendar.date_of(timeline[0].at)
        return Money(invoices, payouts, self._decided_balances(), known_on)

    def _decided_balances(self) -> dict[str, tuple[datetime, Decision]]:
        """For each statement whose balance below zero a person wrote off or invoiced, since when that is known (CN-A35)."""
        found: dict[str, tuple[datetime, Decision]] = {}
        for timeline in self.views["decision"].values():
            for view in timeline:
                subject = view.fact and names_task(view.fact.about, self.program.id, "negative_balance")
                if view.fact and subject and view.fact.choice == "done":
                    found[subject] = min(
                        (view.at, view.fact), found.get(subject, (view.at, view.fact)), key=lambda f: f[0]
                    )
        return found

    def tick_off(self, tasks: Iterable[Task]) -> None:
        """Close open tasks that a person reported ``done``; those that a fact or a choice must answer stay open."""
        for task in tasks:
            if task.done_on is None and task.kind not in ANSWERED:
                done = [v.at for t in self.about(task.key).values() for v in t if v.fact and v.fact.choice == "done"]
                task.done_on = self.program.calendar.date_of(min(done)) if done else None


def parent_of(history: History, account: str) -> str | None:
    timeline = history.views["account"].get(account)
    fact = last_of(timeline) if timeline else None
    return fact.parent if fact else None


def subject_of(about: str, program: str) -> str:
    """The subject of a task key of this program, else ``about`` itself."""
    prefix = f"{program}:"
    if not about.startswith(prefix):
        return about
    _, _, rest = about[len(prefix) :].partition(":")
    return rest.rpartition(":")[0] or about


def _invoice_of(_known_at: datetime, fact: Any) -> str:
    return str(fact.invoice)


def _apart(readings: list[Reading], owner_of: Callable[[datetime, Any], str | None]) -> dict[str | None, list[Reading]]:
    """How a record read, by what it belonged to; while it belongs to something else, it reads as absent there.

    ``owner_of`` is given the instant from which the record is seen, and how it reads.
    """
    if not readings:
        return {}
    since = readings[0][0]
    owners = [(fact is not None, owner_of(since, fact) if fact is not None else None) for _, fact in readings]
    names = {owner for is_there, owner in owners if is_there}
    if len(names) == 1:
        return dict.fromkeys(names, readings)
    return {
        name: [
            (at, fact if owner == (True, name) else None) for owner, (at, fact) in zip(owners, readings, strict=True)
        ]
        for name in names
    }


def first_of(timeline: Sequence[View[Any]]) -> Any:
    return next(view.fact for view in timeline if view.fact is not None)


def last_of(timeline: Sequence[View[Any]]) -> Any:
    return timeline[-1].fact
