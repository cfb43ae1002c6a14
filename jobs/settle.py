"""Job: settle programs, from facts and a date to the outcome: who referred whom, and what they are owed.

Composes claims (``sync``) and rules (``rules``). Pure: no clock, network or database; the same facts give the same
bytes. A prospect is settled on its own, so a changed fact costs no more than its prospect and its partner's statements.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import cached_property
from typing import Any

import orjson

from rules.commission import Deal, InvoiceFacts, RateDecision, share_of_collections
from rules.commission import Standing as DealStanding
from rules.facts import Facts, Rejected, View, comes_true, timelines, views
from rules.ledger import Ledger, entry_row
from rules.program import Program
from rules.records import Decision
from rules.statements import Hold, Money, Statements, astray, cut
from rules.support import Handover, SupportFacts, SupportRow, support_of
from rules.tasks import Task, TaskLog, Wanted, names_task
from sync.claims import ProspectFacts, replay
from sync.intake import checked, standing_at
from sync.prospects import Prospect, Prospects, resolve
from sync.verdicts import Claim

Views = Mapping[str, Sequence[View[Any]]]
ANSWERED = {
    "claim_review",
    "conflict",
    "commission_review",
    "rate_missing",
    "support_review",
    "mediation",
    "reallocation",
}
"""Kinds of tasks that only a certain fact or choice answers; ``done`` says nothing about them."""
LISTS = ("claims", "tiers", "entries", "statements", "support", "tasks", "rejected")


@dataclass(slots=True)
class Settled:
    """One program settled: what the outcome's rows are made from."""

    program: Program
    as_of: date
    claims: list[Claim] = field(default_factory=list)
    ledger: Ledger = field(default_factory=lambda: Ledger(""))
    statements: Statements = field(default_factory=lambda: Statements([], {}, []))
    support: list[SupportRow] = field(default_factory=list)
    tasks: list[Task] = field(default_factory=list)
    holds: list[Hold] = field(default_factory=list)

    def rows(self) -> dict[str, list[dict[str, Any]]]:
        """The program's rows of the outcome, each list sorted by its first fields."""
        standings = self.statements.standings
        return {
            "claims": sorted(
                (c.row(self.program.id) for c in self.claims), key=lambda r: (r["referral"], r["program"])
            ),
            "tiers": [],
            "entries": sorted(
                (entry_row(entry, standings[key]) for key, entry in self.ledger.entries.items()), key=lambda r: r["key"]
            ),
            "statements": sorted((s.row() for s in self.statements.statements), key=lambda r: r["id"]),
            "support": sorted((s.row() for s in self.support), key=lambda r: (r["account"], r["partner"], r["since"])),
            "tasks": sorted(one_of_each(t.row(self.as_of) for t in self.tasks), key=lambda r: r["key"]),
        }

    def rows_of_prospect(self) -> Iterator[tuple[str, str, dict[str, Any]]]:
        """Rows that the store keeps for a prospect: (list, key, row)."""
        for claim in self.claims:
            yield "claims", claim.referral, claim.row(self.program.id)
        for support in self.support:
            row = support.row()
            yield "support", f"{row['account']}:{row['partner']}:{row['since']}", row
        for task in self.tasks:
            yield "tasks", task.key, task.row(self.as_of)


def one_of_each(tasks: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Tasks by key: what several customers ask of one partner on one day is one task, open while any of them asks."""
    found: dict[str, dict[str, Any]] = {}
    for task in sorted(tasks, key=lambda task: (task["key"], task["state"] == "done", task["because"])):
        found.setdefault(task["key"], task)
    return list(found.values())


def settle(programs: Iterable[Program], facts: Facts, as_of: date) -> list[Settled]:
    """Settle each program on its own. Raises: nothing that a valid record can cause."""
    with _uncollected():
        return [settle_program(program, facts, as_of) for program in programs]


@contextmanager
def _uncollected() -> Iterator[None]:
    """Settling makes no cycles; the collector would only walk millions of live facts again and again."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.freeze()
            gc.unfreeze()  # what was made is old by now: the collector need not walk it all once more as new
            gc.enable()


def outcome(settled: Sequence[Settled], as_of: date, rejected: Sequence[Rejected] = ()) -> dict[str, Any]:
    """The outcome document of one or more settled programs."""
    document: dict[str, Any] = {
        "as_of": as_of.isoformat(),
        "programs": sorted(each.program.label_on(as_of) for each in settled),
        **{name: [] for name in LISTS},
    }
    for each in settled:
        for name, rows in each.rows().items():
            document[name] += rows
    keys = {"claims": ("referral", "program"), "support": ("account", "partner", "since"), "statements": ("id",)}
    for name in LISTS[:-1]:
        names = keys.get(name, ("key",))
        document[name].sort(key=lambda row, names=names: tuple(row[n] for n in names))
    document["rejected"] = [
        {"line": bad.line, "type": bad.type, "id": bad.id, "field": bad.field or None, "found": bad.found, "allowed": bad.allowed}
        for bad in rejected
    ]  # fmt: skip
    return document


def as_bytes(document: Mapping[str, Any]) -> bytes:
    """The document as JSON, byte-identical on every machine."""
    return orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def settle_program(program: Program, facts: Facts, as_of: date) -> Settled:
    """Settle one program from all facts that were true and known by the end of ``as_of``."""
    history = History.of(program, facts, as_of)
    settled = Settled(program, as_of, ledger=Ledger(program.id))
    prospects = history.prospects()
    for name in sorted(prospects.by_id):
        settle_prospect(history, prospects, prospects.by_id[name], settled)
    settled.tasks += history.standing_tasks()
    settled.statements = cut(program, settled.ledger, settled.holds, history.views["partner"], history.money(), as_of)
    settled.statements.tasks += astray(program, settled.statements.statements, history.money())
    history.tick_off(settled.statements.tasks)
    settled.tasks += settled.statements.tasks
    return settled


@dataclass
class History:
    """A program's facts as views over time, with the look-ups that settling needs."""

    program: Program
    as_of: date
    until: datetime
    views: dict[str, dict[str, list[View[Any]]]]
    by_account: dict[str, dict[str, dict[str, list[View[Any]]]]]
    reviews: dict[str, dict[str, list[View[Any]]]]
    decisions: dict[str, dict[str, list[View[Decision]]]]
    enrollments: dict[str, dict[str, list[View[Any]]]]
    contracts_named: dict[str, dict[str, list[View[Any]]]]
    by_contract: dict[str, dict[str, list[View[Any]]]]
    by_invoice: dict[str, dict[str, dict[str, list[View[Any]]]]]
    """Payments, credit notes and refunds: by type and invoice."""
    coming: dict[str, date] = field(default_factory=dict)
    """For an account, referral or partner: the next date on which a record about it reads otherwise by time alone."""

    @cached_property
    def children(self) -> Mapping[str, list[str]]:
        """The accounts right below each account in the corporate tree."""
        below: dict[str, list[str]] = {}
        for account in self.views["account"]:
            parent = _parent(self, account)
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
    def of(cls, program: Program, facts: Facts, as_of: date, until: datetime | None = None) -> History:
        """Arrange facts for a program; what is not true or known by the end of ``as_of`` (or ``until``) is left out."""
        calendar = program.calendar
        until = until or calendar.end_of(as_of)
        seen: dict[str, dict[str, list[View[Any]]]] = {}
        for kind in facts.versions:
            records = facts.of(kind)
            if kind in ("referral", "enrollment"):
                records = {
                    name: versions for name, versions in records.items() if versions[0].fact.program == program.id
                }
            seen[kind] = timelines(records, calendar, until)
        history = cls(program, as_of, until, seen, {}, {}, {}, {}, {}, {}, {})
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
                for name in ("account", "referral", "partner"):
                    subject = getattr(owner, name, None)
                    if subject is not None:
                        self.coming[subject] = min(day, self.coming.get(subject, day))

    def _arrange(self) -> None:
        for kind in ("opportunity", "contract", "case", "concern"):
            for identity, timeline in self.views[kind].items():
                for account in {view.fact.account for view in timeline if view.fact}:
                    self.by_account.setdefault(account, {}).setdefault(kind, {})[identity] = timeline
        for identity, timeline in self.views["contract"].items():
            for named in self._referrals_of_contract(timeline):
                self.contracts_named.setdefault(named, {})[identity] = timeline
        for identity, timeline in self.views["review"].items():
            self.reviews.setdefault(_first(timeline).referral, {})[identity] = timeline
        for identity, timeline in self.views["enrollment"].items():
            self.enrollments.setdefault(_first(timeline).partner, {})[identity] = timeline
        for identity, timeline in self.views["decision"].items():
            about = _first(timeline).about
            for subject in {about, subject_of(about, self.program.id)}:
                self.decisions.setdefault(subject, {})[identity] = timeline
        for kind in ("payment", "credit_note", "refund"):
            self.by_invoice[kind] = _by_owner(self.views[kind], _invoice_of)
        self.by_contract = _by_owner(self.views["invoice"], self._contract_of)

    def _referrals_of_contract(self, timeline: Sequence[View[Any]]) -> set[str]:
        named = {view.fact.referral for view in timeline if view.fact and view.fact.referral}
        for view in timeline:
            deal = self.views["opportunity"].get(view.fact.opportunity) if view.fact and view.fact.opportunity else None
            named |= {each.fact.referral for each in deal or () if each.fact and each.fact.referral}
        return named

    def _contract_of(self, known_at: datetime, view: View[Any]) -> str | None:
        """The contract an invoice belongs to: the one it names, else its account's latest signed before it was issued.

        A contract that becomes known later takes no invoice from one that was known in time.
        """
        invoice: Any = view.fact
        if invoice.contract is not None:
            return str(invoice.contract)
        contracts = self.by_account.get(invoice.account, {}).get("contract", {})
        signed = [
            (max(timeline[0].at, known_at), _first(timeline).signed_on, identity)
            for identity, timeline in contracts.items()
            if _first(timeline).signed_on <= invoice.issued_on
        ]
        in_time = min((at for at, _, _ in signed), default=None)
        return max(one for one in signed if one[0] == in_time)[2] if signed else None

    def prospects(self, merges: Iterable[tuple[datetime, str, str]] = ()) -> Prospects:
        """Every referral tied to its prospect; ``merges`` as for ``resolve``."""
        calendar = self.program.calendar

        def is_complete(referral: Any) -> bool:
            day = calendar.date_of(referral.submitted_at)
            timeline = self.views["partner"].get(referral.partner)
            partner = _last(timeline) if timeline else None
            enrollments = [
                standing_at(t, referral.submitted_at) for t in self.enrollments.get(referral.partner, {}).values()
            ]
            intake = checked(referral, partner, [e for e in enrollments if e], day, self.program.on(day))
            return not intake.failed

        linking = [view for t in self.views["decision"].values() for view in t]
        return resolve(self.program, self.views["referral"], self.views["account"], linking, is_complete, merges)

    def about(self, *subjects: str | None) -> dict[str, list[View[Decision]]]:
        """Decisions about any of these subjects (or about a task on them)."""
        found: dict[str, list[View[Decision]]] = {}
        for subject in subjects:
            if subject is not None:
                found |= self.decisions.get(subject, {})
        return found

    def money(self) -> Money:
        """Partner invoices and payouts by statement, as they read at the end."""
        invoices: dict[str, list[Any]] = {}
        payouts: dict[str, list[Any]] = {}
        for kind, found in (("partner_invoice", invoices), ("payout", payouts)):
            for timeline in self.views[kind].values():
                fact = _last(timeline)
                if fact is not None:
                    found.setdefault(fact.statement, []).append(fact)
        return Money(invoices, payouts)

    def standing_tasks(self) -> list[Task]:
        """Entitlements of each enrollment (NT-11), closed by a decision ``done``."""
        log = TaskLog(self.program.id)
        tasks: list[Task] = []
        calendar = self.program.calendar
        for partner in sorted(self.enrollments):
            starts = [(t[0].at, _first(t)) for t in self.enrollments[partner].values() if t[0].fact]
            if not starts:
                continue
            opened = min(max(fact.starts_on, calendar.date_of(at)) for at, fact in starts)
            if opened > self.as_of:
                continue
            roles = {fact.role for _, fact in starts}
            terms = self.program.on(opened)
            per_person = terms.values.get("login_scope") == "person"
            for term in terms.entitlements:
                if term.roles and not roles & set(term.roles):
                    continue
                label = (per_person and term.label_per_person) or term.label
                log.update(opened, [Wanted(term.kind, partner, term.clauses, label)])
                task = log.tasks.pop()
                log = TaskLog(self.program.id)
                tasks.append(task)
        self.tick_off(tasks)
        return tasks

    def tick_off(self, tasks: Iterable[Task]) -> None:
        """Close open tasks that a person reported ``done``; those that a fact or a choice must answer stay open."""
        for task in tasks:
            if task.done_on is None and task.kind not in ANSWERED:
                done = [v.at for t in self.about(task.key).values() for v in t if v.fact and v.fact.choice == "done"]
                task.done_on = self.program.calendar.date_of(min(done)) if done else None


def settle_prospect(
    history: History, prospects: Prospects, prospect: Prospect, settled: Settled, kin: Sequence[str] | None = None
) -> None:
    """Settle one prospect: its claims, the deals they won, its support; append to ``settled``.

    ``kin`` are claimed accounts of the same corporate tree; looked up among ``prospects`` when not given.
    """
    program, until = history.program, history.until
    accounts = [account for _, account in prospect.accounts]
    contracts: dict[str, Sequence[View[Any]]] = {}
    opportunities: dict[str, Sequence[View[Any]]] = {}
    for account in accounts:
        contracts |= history.by_account.get(account, {}).get("contract", {})
        opportunities |= history.by_account.get(account, {}).get("opportunity", {})
    for referral in prospect.referrals:
        contracts |= history.contracts_named.get(referral, {})
    for timeline in contracts.values():
        for view in timeline:
            if view.fact and view.fact.opportunity in history.views["opportunity"]:
                opportunities[view.fact.opportunity] = history.views["opportunity"][view.fact.opportunity]
    accounts += sorted({v.fact.account for t in contracts.values() for v in t if v.fact} - set(accounts))
    partners = {_first(history.views["referral"][r]).partner for r in prospect.referrals}
    decisions = history.about(*prospect.referrals, *accounts)
    claims, tasks = replay(
        program,
        prospect,
        {name: prospects.ties[name] for name in prospect.referrals},
        ProspectFacts(
            referrals={name: history.views["referral"][name] for name in prospect.referrals},
            reviews={k: v for name in prospect.referrals for k, v in history.reviews.get(name, {}).items()},
            decisions=decisions,
            opportunities=opportunities,
            contracts=contracts,
            enrollments={k: v for p in partners for k, v in history.enrollments.get(p, {}).items()},
            partners={p: history.views["partner"][p] for p in partners if p in history.views["partner"]},
            kin=_kin(history, prospects, prospect) if kin is None else kin,
        ),
        until,
    )
    settled.claims += claims
    before = len(settled.tasks)
    settled.tasks += tasks.tasks
    for claim in claims:
        _settle_claim(history, claim, settled)
    history.tick_off(settled.tasks[before:])


def _settle_claim(history: History, claim: Claim, settled: Settled) -> None:
    """The money and the support of one claim."""
    contracts = list(dict.fromkeys(v.contract for _, v in claim.verdicts if v.contract is not None))
    settled.holds += _holds(claim)
    if not contracts:
        return
    reallocations = _support(history, claim, settled)
    payments, credits, refunds = (history.by_invoice[kind] for kind in ("payment", "credit_note", "refund"))
    none: dict[str, Any] = {}
    for contract in contracts:
        standings = [
            DealStanding(at, verdict.approved_at if verdict.contract == contract else None, verdict.held)
            for at, verdict in claim.verdicts
        ]
        referral = _first(history.views["referral"][claim.referral])
        deal = Deal(
            program=history.program,
            referral=claim.referral,
            partner=claim.partner,
            submitted_on=history.program.calendar.date_of(referral.submitted_at),
            contract_id=contract,
            contract=history.views["contract"][contract],
            standings=standings,
            enrollments=history.enrollments.get(claim.partner, {}),
            rate_decisions=list(_rates(history, contract, claim.referral)),
            reallocations=reallocations,
            invoices={
                name: InvoiceFacts(timeline, payments.get(name, none), credits.get(name, none), refunds.get(name, none))
                for name, timeline in history.by_contract.get(contract, none).items()
            },
        )
        found = share_of_collections(deal, settled.ledger)
        log = TaskLog(history.program.id)
        for at, wanted in found.tasks:
            log.update(history.program.calendar.date_of(at), wanted)
        settled.tasks += log.tasks


def _support(history: History, claim: Claim, settled: Settled) -> list[Any]:
    won = [(at, v) for at, v in claim.verdicts if v.approved_at is not None and v.contract is not None and v.account]
    if not won:
        return []
    verdict = won[0][1]
    assert verdict.account is not None and verdict.approved_at is not None and verdict.won_on is not None
    account = verdict.account
    at_account = history.by_account.get(account, {})
    handover = Handover(
        account, claim.referral, claim.partner, max(verdict.approved_at, won[0][0]), verdict.won_on,
        history.views["contract"][str(verdict.contract)],
    )  # fmt: skip
    decisions = history.about(account)
    decided = {view.fact.partner for t in decisions.values() for view in t if view.fact and view.fact.partner}
    managers = sorted({claim.partner, *decided})  # nobody else's records can move the support of this account
    facts = SupportFacts(
        cases=at_account.get("case", {}),
        concerns=at_account.get("concern", {}),
        decisions=decisions,
        certifications={k: v for p in managers for k, v in history.of_partner["certification"].get(p, {}).items()},
        enrollments={k: v for p in managers for k, v in history.of_partner["enrollment"].get(p, {}).items()},
        partners={p: history.views["partner"][p] for p in managers if p in history.views["partner"]},
    )
    log = TaskLog(history.program.id)
    support = support_of(history.program, handover, facts, log, history.until)
    lost = next((at for at, v in claim.verdicts if at > won[0][0] and v.approved_at is None), None)
    for row in support.rows:
        if lost is not None and row.until is None:
            row.until = history.program.calendar.date_of(lost)
    settled.support += support.rows
    settled.tasks += log.tasks
    return support.reallocations


def _holds(claim: Claim) -> Iterator[Hold]:
    since: datetime | None = None
    for at, verdict in claim.verdicts:
        if verdict.held and since is None:
            since = at
        elif not verdict.held and since is not None:
            yield Hold(claim.referral, since, at)
            since = None
    if since is not None:
        yield Hold(claim.referral, since, None)


def _rates(history: History, contract: str, referral: str) -> Iterator[RateDecision]:
    found = history.about(contract, referral)
    for timeline in sorted(found.values(), key=lambda t: (t[0].at, _first(t).id)):
        decision = _first(timeline)
        named = names_task(decision.about, history.program.id, "rate_missing") or decision.about
        if decision.choice == "set" and decision.rate is not None and named in (contract, referral):
            yield RateDecision(timeline[0].at, decision.rate, decision.by, decision.reason)


def _kin(history: History, prospects: Prospects, prospect: Prospect) -> list[str]:
    """Accounts of the same corporate tree that have claims of their own (NT-A10)."""
    values = history.program.versions[-1].values
    if values.get("parent_subsidiary") != "separate_with_warning":
        return []
    own = {account for _, account in prospect.accounts}
    near = {_parent(history, account) for account in own}
    near |= {child for account in own for child in history.children.get(account, ())}
    return sorted(
        account
        for account in near - own
        if account and f"account:{account}" in prospects.by_id and f"account:{account}" != prospect.id
    )


def _parent(history: History, account: str) -> str | None:
    timeline = history.views["account"].get(account)
    fact = _last(timeline) if timeline else None
    return fact.parent if fact else None


def unknown_statements(settled: Settled, facts: Facts, file: str) -> list[Rejected]:
    """Payouts and partner invoices that name a statement of this program that never was."""
    known = {statement.id for statement in settled.statements.statements}
    until = settled.program.calendar.end_of(settled.as_of)
    bad = []
    for kind in ("partner_invoice", "payout"):
        for identity, versions in facts.of(kind).items():
            timeline = views(versions, settled.program.calendar, until)
            if not timeline or timeline[-1].fact is None:
                continue
            statement = timeline[-1].fact.statement
            if statement.startswith(f"{settled.program.id}:") and statement not in known:
                allowed = (
                    "the id of a statement of this program that exists by then (program:partner:period_from:currency)"
                )
                bad.append(Rejected(file, versions[-1].line, kind, identity, "statement", f'"{statement}"', allowed))
    return bad


def subject_of(about: str, program: str) -> str:
    """The subject of a task key of this program, else ``about`` itself."""
    prefix = f"{program}:"
    if not about.startswith(prefix):
        return about
    _, _, rest = about[len(prefix) :].partition(":")
    return rest.rpartition(":")[0] or about


def _invoice_of(_known_at: datetime, view: View[Any]) -> str:
    fact: Any = view.fact
    return str(fact.invoice)


def _by_owner(
    records: Mapping[str, list[View[Any]]], owner_of: Callable[[datetime, View[Any]], str | None]
) -> dict[str, dict[str, list[View[Any]]]]:
    """Records by what they belong to; ``owner_of`` is given the instant of a record's first view, and the view.

    While a record belongs to something else, it reads as absent there.
    """
    found: dict[str, dict[str, list[View[Any]]]] = {}
    for identity, timeline in records.items():
        if len(timeline) > 1:
            for each, own in _apart(timeline, owner_of).items():
                if each is not None:
                    found.setdefault(each, {})[identity] = own
            continue
        view = timeline[0]
        owner = owner_of(view.at, view)
        if owner in found:
            found[owner][identity] = timeline
        elif owner is not None:
            found[owner] = {identity: timeline}
    return found


def _apart(
    timeline: list[View[Any]], owner_of: Callable[[datetime, View[Any]], str | None]
) -> dict[str | None, list[View[Any]]]:
    since = timeline[0].at
    owners = [(view.fact is not None, owner_of(since, view) if view.fact is not None else None) for view in timeline]
    names = {owner for is_there, owner in owners if is_there}
    if len(names) == 1:
        return dict.fromkeys(names, timeline)
    return {
        name: [
            view if owner == (True, name) else View(view.at, None, view.number)
            for owner, view in zip(owners, timeline, strict=True)
        ]
        for name in names
    }


def _first(timeline: Sequence[View[Any]]) -> Any:
    return next(view.fact for view in timeline if view.fact is not None)


def _last(timeline: Sequence[View[Any]]) -> Any:
    return timeline[-1].fact
