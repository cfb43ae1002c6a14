"""Job: settle programs, from facts and a date to the outcome: who referred whom, and what they are owed.

Composes claims (``sync``) and rules (``rules``). Pure: no clock, network or database; the same facts give the same
bytes. Claims are settled a prospect at a time; tiers follow from all claims of a partner; then each claim's money.
"""

from __future__ import annotations

import gc
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime
from operator import itemgetter
from typing import Any

import orjson

from jobs.billing import Billing
from jobs.counting import marks_of, tiers_of
from jobs.history import History, first_of, parent_of
from jobs.standing import (
    co_op_funds,
    settle_disputes,
    shared_referrals,
    successes_of,
    tasks_of_partners,
    tasks_of_program,
)  # fmt: skip
from rules.co_op import CoOpFund
from rules.deal import Deal
from rules.earning import earn
from rules.facts import Facts, Reading, Rejected, View, views
from rules.facts import at as as_it_read
from rules.ledger import Ledger, entry_row
from rules.program import Program
from rules.rates import rates_set
from rules.statements import Hold, Statements, astray, cut
from rules.support import Handover, SupportFacts, SupportRow, support_of
from rules.tasks import Task, TaskLog
from rules.tiers import Step, TierHistory
from sync.claims import ProspectFacts, replay
from sync.prospects import Prospect, Prospects
from sync.verdicts import Claim

Views = Mapping[str, Sequence[View[Any]]]
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
    tiers: dict[str, TierHistory] = field(default_factory=dict)
    """The tiers of each partner, where the program has tiers."""
    funds: dict[str, CoOpFund] = field(default_factory=dict)
    """The co-op fund of each partner."""
    wakes: list[date] = field(default_factory=list)
    """Dates to come on which something changes by time alone."""
    until: datetime | None = None
    """The first instant that was not seen, when that is not the end of ``as_of``."""

    def rows(self) -> dict[str, list[dict[str, Any]]]:
        """The program's rows of the outcome, each list sorted by its first fields."""
        standings = self.statements.standings
        return {
            "claims": sorted(
                (c.row(self.program.id) for c in self.claims), key=lambda r: (r["referral"], r["program"])
            ),
            "tiers": self.tier_rows(),
            "entries": sorted(
                (entry_row(entry, standings[key]) for key, entry in self.ledger.entries.items()), key=lambda r: r["key"]
            ),
            "statements": sorted((s.row() for s in self.statements.statements), key=lambda r: r["id"]),
            "support": sorted((s.row() for s in self.support), key=lambda r: (r["account"], r["partner"], r["since"])),
            "tasks": sorted(one_of_each(t.row(self.as_of) for t in self.tasks), key=lambda r: r["key"]),
        }

    def tier_rows(self) -> list[dict[str, Any]]:
        """The partners' tiers, by partner."""
        seen_at = self.program.calendar.end_of(self.as_of)
        return [self.tiers[name].row(self.program.id, name, self.as_of, seen_at) for name in sorted(self.tiers)]

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
    with uncollected():
        billing = Billing.of(facts)
        return [settle_program(program, facts, as_of, billing=billing) for program in programs]


@contextmanager
def uncollected() -> Iterator[None]:
    """Reading, settling and writing make no cycles; the collector would only walk millions of live facts again and again."""
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
    with uncollected():
        return _outcome(settled, as_of, rejected)


def _outcome(settled: Sequence[Settled], as_of: date, rejected: Sequence[Rejected]) -> dict[str, Any]:
    document: dict[str, Any] = {
        "as_of": as_of.isoformat(),
        "programs": sorted(each.program.label_on(as_of) for each in settled),
        **{name: [] for name in LISTS},
    }
    for each in settled:
        for name, rows in each.rows().items():
            document[name] += rows
    keys = {
        "claims": ("referral", "program"),
        "tiers": ("program", "partner"),
        "support": ("account", "partner", "since"),
        "statements": ("id",),
    }
    for name in LISTS[:-1]:
        document[name].sort(key=itemgetter(*keys.get(name, ("key",))))
    document["rejected"] = [
        {"line": bad.line, "type": bad.type, "id": bad.id, "field": bad.field or None, "found": bad.found, "allowed": bad.allowed}
        for bad in rejected
    ]  # fmt: skip
    return document


def as_bytes(document: Mapping[str, Any]) -> bytes:
    """The document as JSON, byte-identical on every machine."""
    return orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def settle_program(
    program: Program, facts: Facts, as_of: date, until: datetime | None = None, billing: Billing | None = None
) -> Settled:
    """Settle one program from all facts that were true and known by the end of ``as_of`` (or before ``until``)."""
    history = History.of(program, facts, as_of, until, billing)
    history.shared_referrals = shared_referrals(history)
    settled = Settled(program, as_of, ledger=Ledger(program.id), until=until)
    prospects = history.prospects()
    for name in sorted(prospects.by_id):
        settle_claims(history, prospects, prospects.by_id[name], settled)
    marks = marks_of(history, settled.claims)
    settled.tiers = tiers_of(history, marks)
    before = len(settled.tasks)
    for claim in settled.claims:
        settle_money(history, claim, settled)
    settled.holds += standing_holds(history)
    settle_standing(history, settled)
    history.tick_off(settled.tasks[before:])
    settled.statements = cut(
        program, settled.ledger, settled.holds, history.views["partner"], history.money(), as_of,
        enrollments=history.enrollments,
    )  # fmt: skip
    settled.statements.tasks += astray(program, settled.statements.statements, history.money())
    history.tick_off(settled.statements.tasks)
    settled.tasks += settled.statements.tasks
    return settled


def settle_standing(history: History, settled: Settled) -> None:
    """What stands beside the deals: duties and benefits, co-op funds, shared leads, disputes."""
    steps: dict[str, Sequence[Step]] = {name: tier.steps for name, tier in settled.tiers.items()}
    settled.tasks += tasks_of_partners(history, settled.tiers)
    for fund in co_op_funds(history, steps, settled.ledger):
        settled.funds[fund.partner] = fund
        settled.tasks += fund.tasks
    successes = successes_of(history, settled.tiers, settled.claims)
    settled.tasks += tasks_of_program(history, settled.tiers, successes)
    disputes = settle_disputes(history, settled.claims, settled.ledger, settled.holds)
    settled.holds += disputes.holds
    settled.tasks += disputes.tasks


def settle_claims(
    history: History, prospects: Prospects, prospect: Prospect, settled: Settled, kin: Sequence[str] | None = None
) -> None:
    """Judge the claims to one prospect and append them, with their tasks, to ``settled``.

    ``kin`` are claimed accounts of the same corporate tree; looked up among ``prospects`` when not given.
    """
    program, until = history.program, history.until
    accounts = [account for _, account in prospect.accounts]
    contracts: dict[str, Sequence[View[Any]]] = {}
    opportunities: dict[str, Sequence[View[Any]]] = {}
    activities: dict[str, Sequence[View[Any]]] = {}
    for account in accounts:
        at_account = history.by_account.get(account, {})
        contracts |= at_account.get("contract", {})
        opportunities |= at_account.get("opportunity", {})
        activities |= at_account.get("activity", {})
    for referral in prospect.referrals:
        contracts |= history.contracts_named.get(referral, {})
    for timeline in contracts.values():
        for view in timeline:
            if view.fact and view.fact.opportunity in history.views["opportunity"]:
                opportunities[view.fact.opportunity] = history.views["opportunity"][view.fact.opportunity]
    accounts += sorted({v.fact.account for t in contracts.values() for v in t if v.fact} - set(accounts))
    partners = {first_of(history.views["referral"][r]).partner for r in prospect.referrals}

    def about(kind: str) -> dict[str, Sequence[View[Any]]]:
        return {k: v for r in prospect.referrals for k, v in history.about_referral.get(r, {}).get(kind, {}).items()}

    judged = replay(
        program,
        prospect,
        {name: prospects.ties[name] for name in prospect.referrals},
        ProspectFacts(
            referrals={name: history.views["referral"][name] for name in prospect.referrals},
            reviews=about("review"),
            decisions=history.about(*prospect.referrals, *accounts),
            opportunities=opportunities,
            contracts=contracts,
            enrollments={k: v for p in partners for k, v in history.enrollments.get(p, {}).items()},
            partners={p: history.views["partner"][p] for p in partners if p in history.views["partner"]},
            accounts={a: history.views["account"][a] for a in accounts if a in history.views["account"]},
            activities=activities,
            introductions=about("introduction"),
            fraud=about("fraud_finding"),
            kin=_kin(history, prospects, prospect) if kin is None else kin,
        ),
        until,
    )
    settled.claims += judged.claims
    settled.wakes += judged.wakes
    tasks = [*judged.tasks.tasks, *_renamed(history, prospect)]
    history.tick_off(tasks)
    settled.tasks += tasks


def _renamed(history: History, prospect: Prospect) -> Iterator[Task]:
    """A person is told when a referral names another partner than the one that submitted it (E43, E49)."""
    date_of = history.program.calendar.date_of
    for name in prospect.referrals:
        if name in history.renamed:
            at, other, mended = history.renamed[name]
            own, clauses = (
                first_of(history.views["referral"][name]).partner,
                history.program.on(date_of(at)).claims.enrollment_clauses,
            )
            because = (
                f"submitted by {own}, the referral names {other} since {date_of(at)}; claim and money stay with {own}: mend the "
                f"record, or register it for {other}"
            )
            done = date_of(mended) if mended else None
            yield Task(history.program.id, "partner_changed", name, date_of(at), None, clauses, because, done)


def settle_money(history: History, claim: Claim, settled: Settled) -> None:
    """The money and the support of one claim."""
    settled.holds += _holds(claim)
    if all(verdict.won_on is None for _, verdict in claim.verdicts):
        return
    terms = history.program.on(history.program.calendar.date_of(claim.verdicts[0][0]))
    if claim.referral in history.shared_referrals and terms.values.get("shared_lead_rate") == "none":
        return
    reallocations = _support(history, claim, settled)
    deal = _deal(history, claim, settled.tiers.get(claim.partner))
    deal.reallocations = reallocations
    for found in earn(deal, settled.ledger):
        log = TaskLog(history.program.id)
        for at, wanted in found.tasks:
            log.update(history.program.calendar.date_of(at), wanted)
        settled.tasks += log.tasks
        settled.wakes += found.wakes


def _deal(history: History, claim: Claim, tiers: TierHistory | None) -> Deal:
    """What a claim won, with all that decides what it earns."""
    contracts = list(dict.fromkeys(name for _, v in claim.verdicts for name in v.contracts))
    accounts = list(dict.fromkeys(v.account for _, v in claim.verdicts if v.account is not None))
    referral = first_of(history.views["referral"][claim.referral])
    none: dict[str, Any] = {}
    invoices: dict[str, list[Reading]] = {}
    contract_of: dict[str, str] = {}
    owners: dict[str, list[tuple[datetime, str | None]]] = {}
    by_account = any(getattr(t, "scope", "") == "account" for v in history.program.versions for t in v.commission)
    for contract in contracts:
        own = history.invoices_of_contract(contract)
        for name in own.keys() & contract_of.keys():
            owners[name] = _owners(history, name, contracts)
        invoices |= own
        contract_of |= dict.fromkeys(own, contract)
    for account in accounts if by_account else ():
        invoices |= history.invoices_of_account(account, besides=invoices)
    for name, moves in owners.items():
        invoices[name] = history.invoice(name)
        contract_of.pop(name)
        if moves[-1][1] is not None:
            contract_of[name] = moves[-1][1]
    opportunities = {
        view.fact.opportunity: history.views["opportunity"][view.fact.opportunity]
        for contract in contracts
        for view in history.views["contract"][contract]
        if view.fact and view.fact.opportunity in history.views["opportunity"]
    }
    roles = [verdict.role for _, verdict in claim.verdicts if verdict.role is not None]
    whole = (claim.referral, *accounts)
    return Deal(
        program=history.program,
        referral=claim.referral,
        partner=claim.partner,
        submitted_on=history.program.calendar.date_of(referral.submitted_at),
        until=history.until,
        contracts={name: history.views["contract"][name] for name in contracts},
        standings=claim.standings,
        enrollments=history.enrollments.get(claim.partner, {}),
        rate_decisions=list(
            rates_set(history.about(*contracts, *whole).values(), history.program.id, contracts, whole)
        ),
        reallocations=(),
        invoices=sorted(invoices),
        billing=history.events_of(invoices),
        role=roles[-1] if roles else None,
        is_upsell=claim.last.is_upsell,
        contract_of=contract_of,
        owners=owners,
        opportunities=opportunities,
        fraud=history.about_referral.get(claim.referral, none).get("fraud_finding", none),
        tiers=tiers,
        fx=history.fx,
    )


def _owners(history: History, invoice: str, contracts: Sequence[str]) -> list[tuple[datetime, str | None]]:
    """The contracts of a claim that an invoice belonged to, each from its instant on."""
    readings = history.invoice(invoice)
    found = [(at, history.contract_of(readings[0][0], fact) if fact is not None else None) for at, fact in readings]
    return [(at, owner if owner in contracts else None) for at, owner in found]


def standing_holds(history: History) -> Iterator[Hold]:
    """A partner's money waits while it is not in good standing, where the program asks for that (TC-2, TC-A9)."""
    terms = history.program.on(history.as_of)
    if not any(condition.kind == "good_standing" for condition in terms.claims.conditions):
        return
    for partner in sorted(history.enrollments):
        instants = sorted({view.at for t in history.enrollments[partner].values() for view in t})
        since: datetime | None = None
        for at in instants:
            facts = [f for t in history.enrollments[partner].values() if (f := as_it_read(t, at)) is not None]
            is_bad = bool(facts) and all(fact.standing == "suspended" for fact in facts)
            if is_bad and since is None:
                since = at
            elif not is_bad and since is not None:
                yield Hold("partner", partner, since, at)
                since = None
        if since is not None:
            yield Hold("partner", partner, since, None)


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
            yield Hold("referral", claim.referral, since, at)
            since = None
    if since is not None:
        yield Hold("referral", claim.referral, since, None)


def _kin(history: History, prospects: Prospects, prospect: Prospect) -> list[str]:
    """Accounts of the same corporate tree that have claims of their own (NT-A10)."""
    values = history.program.versions[-1].values
    if values.get("parent_subsidiary") != "separate_with_warning":
        return []
    own = {account for _, account in prospect.accounts}
    near = {parent_of(history, account) for account in own}
    near |= {child for account in own for child in history.children.get(account, ())}
    return sorted(
        account
        for account in near - own
        if account and f"account:{account}" in prospects.by_id and f"account:{account}" != prospect.id
    )


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
