"""What stands beside the deals of a program: entitlements, tickets, applications, shared leads, co-op funds, disputes.

Gives each rule its part of the facts. Pure, as settling is; used by ``jobs/settle.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from jobs.history import History, first_of, last_of
from rules.calendar import DAY
from rules.clocks import application_tasks, notice_tasks, ticket_tasks
from rules.co_op import CoOpFund, co_op_of
from rules.disputes import Disputable, Disputes, disputes_of
from rules.entitlements import PartnerFacts, entitlements_of
from rules.facts import View
from rules.lead_sharing import lead_sharing_of, shared_leads
from rules.ledger import Ledger
from rules.money import ZERO
from rules.program import Program
from rules.recognition import Success, recognition_tasks
from rules.statements import Hold, Money, Statements, cut
from rules.tasks import Task
from rules.tiers import Mark, Step, TierHistory
from sync.identity import Name, name_of
from sync.verdicts import Claim

PartnerSteps = Mapping[str, Sequence[Step]]
"""The steps of each partner's tier."""
Tiers = Mapping[str, TierHistory]
"""The tiers of each partner, where the program has tiers."""


def shared_referrals(history: History) -> frozenset[str]:
    """Referrals of a company by the partner that took it as a shared lead, submitted since it was offered (CN-A22)."""
    taken = shared_leads(history.program, history.views["shared_lead"])
    if not taken:
        return frozenset()
    leads: dict[tuple[str, Name], datetime] = {}
    for lead in taken:
        key = (lead.partner, name_of(lead.company))
        leads[key] = min(lead.offered_at, leads.get(key, lead.offered_at))
    found = set()
    for name, timeline in history.views["referral"].items():
        referral = first_of(timeline)
        offered_at = leads.get((referral.partner, name_of(referral.company)))
        if offered_at is not None and referral.submitted_at >= offered_at:
            found.add(name)
    return frozenset(found)


def tasks_of_partners(history: History, tiers: Tiers) -> list[Task]:
    """Each partner's entitlements and duties, its tickets, and the notice it is given of changed terms."""
    program, as_of = history.program, history.as_of
    tickets, certifications = _by_partner(history, "ticket"), _by_partner(history, "certification")
    tasks: list[Task] = []
    for partner, enrollments in sorted(history.enrollments.items()):
        tier = tiers.get(partner)
        steps, revised = (tier.steps, tier.revised(program.calendar)) if tier else ([], [])
        facts = PartnerFacts(enrollments, certifications.get(partner, {}), steps, revised)
        tasks += entitlements_of(program, partner, facts, as_of)
        tasks += ticket_tasks(program, tickets.get(partner, {}), enrollments, tier.steps_at if tier else _no_tier)
        tasks += notice_tasks(program, partner, enrollments, as_of)
    return tasks


def _no_tier(_at: datetime) -> Sequence[Step]:
    return ()


def co_op_funds(history: History, steps: PartnerSteps, ledger: Ledger) -> list[CoOpFund]:
    """The co-op fund of each partner of the program; reimbursements are posted to the ledger."""
    requests = _by_partner(history, "co_op_request")
    return [
        co_op_of(
            history.program,
            partner,
            requests.get(partner, {}),
            enrollments,
            steps.get(partner, ()),
            ledger,
            history.as_of,
        )
        for partner, enrollments in sorted(history.enrollments.items())
        if any(terms.co_op is not None for terms in history.program.versions)
    ]


def tasks_of_program(history: History, tiers: Tiers, successes: Sequence[Success]) -> list[Task]:
    """Applications, shared leads, and the recognition of the best."""
    program, views = history.program, history.views
    steps = {name: tier.steps for name, tier in tiers.items()}
    leads = lead_sharing_of(program, views["shared_lead"], history.enrollments, views["partner"], steps, history.until)
    tasks = application_tasks(program, views["application"]) + leads.tasks
    return tasks + recognition_tasks(program, successes, history.as_of)


def successes_of(history: History, tiers: Tiers, claims: Iterable[Claim]) -> list[Success]:
    """The successful referrals, with the value of their contracts in the program's currency (TC-A10)."""
    contracts = {claim.referral: claim.verdicts[-1][1].contracts for claim in claims}
    return successes(history.program, tiers, lambda referral: worth_of(history, contracts.get(referral, ())))


def successes(program: Program, tiers: Tiers, worth: Callable[[str], Decimal]) -> list[Success]:
    """The successful referrals of all partners: each day that one counts as of, with the days on which that was known."""
    found = []
    date_of = program.calendar.date_of
    for partner, tier in sorted(tiers.items()):
        by_referral: dict[str, list[Mark]] = {}
        for mark in tier.marks:
            by_referral.setdefault(mark.name, []).append(mark)
        for referral, marks in sorted(by_referral.items()):
            for number, mark in enumerate(marks):
                known_until = date_of(marks[number + 1].at) if number + 1 < len(marks) else date.max
                if mark.day is not None and date_of(mark.at) < known_until:
                    found.append(Success(partner, mark.day, worth(referral), date_of(mark.at), known_until))
    return found


def worth_of(history: History, contracts: Iterable[str]) -> Decimal:
    """What contracts are worth together, in the program's currency."""
    return sum((_value(history, name) for name in contracts), ZERO)


def _value(history: History, contract: str) -> Decimal:
    fact = last_of(history.views["contract"][contract])
    same = fact is not None and fact.value is not None and fact.currency == history.program.currency
    return Decimal(fact.value) if same else ZERO


def _trial_cut(history: History, ledger: Ledger, holds: Iterable[Hold]) -> Statements:
    """The statements as they would be cut by now; nothing of the ledger is touched."""
    copy = Ledger(history.program.id, dict(ledger.entries))
    partners, money = history.views["partner"], Money({}, {})
    return cut(history.program, copy, holds, partners, money, history.as_of, enrollments=history.enrollments)


def settle_disputes(history: History, claims: Iterable[Claim], ledger: Ledger, holds: Iterable[Hold]) -> Disputes:
    """The disputes of a program; what they adjust is posted to the ledger.

    Which statement an entry stands on is read from a trial cut without the disputes: one raised before the cut is in time
    whatever it holds.
    """
    program, views = history.program, history.views
    if not views["dispute"] or all(terms.disputes is None for terms in program.versions):
        return Disputes()
    trial = _trial_cut(history, ledger, holds)
    stated_on = {
        entry.key: statement.period_to + DAY
        for statement in trial.statements
        if statement.cut_at is not None
        for entry in statement.entries
    }
    claimed = {
        contract: (claim.partner, claim.referral)
        for claim in claims
        for _, verdict in claim.verdicts
        for contract in verdict.contracts
    }
    disputable = Disputable(program, ledger.entries, stated_on, views["contract"], claimed)
    return disputes_of(program, views["dispute"], disputable, history.enrollments, ledger)


def _by_partner(history: History, kind: str) -> dict[str, dict[str, list[View[Any]]]]:
    found: dict[str, dict[str, list[View[Any]]]] = {}
    for name, timeline in history.views[kind].items():
        found.setdefault(first_of(timeline).partner, {})[name] = timeline
    return found
