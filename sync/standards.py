"""What must hold for a claim to become active, and what for a won claim to earn: each condition with its clauses.

A condition is a term of the program; here each kind is judged from what can be seen of the prospect. Source: NT-7, ON-2,
ON-3, ON-14, CN-48, TC-2, TC-A9, OP-15, OP-18, OP-20, OP-25, OP-26, OP-A7, OP-A8, OP-A12.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

from rules.calendar import Period
from rules.potential import shortfalls
from rules.records import Contract
from rules.terms import (
    AgreementSigned,
    Condition,
    EnrolledAtSignature,
    FirstPlan,
    GoodStanding,
    Introduced,
    MinimumAge,
    NotEngaged,
    Terms,
    TrainedStaff,
)  # fmt: skip
from sync.intake import covers
from sync.snapshot import Candidate, Snapshot, is_of


@dataclass(frozen=True, slots=True)
class Failure:
    """A condition that does not hold: its clauses, why, and whether it may still be mended."""

    clauses: tuple[str, ...]
    because: str
    may_be_mended: bool = False


def failures(seen: Snapshot, claim: Candidate, terms: Terms, today: date, *, is_again: bool) -> list[Failure]:
    """The conditions that a claim fails now. ``is_again``: the partner registers a customer that it had won before."""
    found = []
    for condition in terms.claims.conditions:
        if condition.roles and claim.intake.role not in condition.roles:
            continue
        if (failure := _failure(seen, claim, terms, condition, today, is_again)) is not None:
            found.append(failure)
    return found


def warnings(claim: Candidate, terms: Terms) -> Iterator[str]:
    """What is enough, but worth a word."""
    for condition in terms.claims.conditions:
        if isinstance(condition, TrainedStaff) and claim.intake.role in (condition.roles or (claim.intake.role,)):
            staff = claim.intake.enrollment.trained_staff if claim.intake.enrollment else None
            if staff is not None and staff < condition.warn_below:
                yield f"{claim.referral.partner} has {staff} trained people, fewer than {condition.warn_below}"
    if terms.claims.potential is not None:
        yield from shortfalls(terms.claims.potential, claim.referral.details or {})


def _failure(
    seen: Snapshot, claim: Candidate, terms: Terms, condition: Condition, today: date, is_again: bool
) -> Failure | None:
    enrollments = [e for e in claim.enrollments if not condition.roles or e.role in condition.roles]
    if isinstance(condition, NotEngaged):
        why = None if is_again else _engagement(seen, claim, terms, condition)
        return Failure(condition.clauses, why) if why else None
    if isinstance(condition, GoodStanding):
        enrollment = claim.intake.enrollment
        if enrollment is None or enrollment.standing == "good":
            return None
        return Failure(condition.clauses, f"the partner's standing was {enrollment.standing} at the submission")
    if isinstance(condition, AgreementSigned):
        day = seen.calendar.date_of(claim.approval) if claim.approval else today
        if any(e.agreement_signed_on is not None and e.agreement_signed_on <= day for e in enrollments):
            return None
        return Failure(condition.clauses, "the partner has not signed the program's contract", may_be_mended=True)
    needed = terms.values["min_trained_staff"]
    assert isinstance(needed, int)
    trained = max((e.trained_staff or 0 for e in enrollments), default=0)
    if trained >= needed:
        return None
    return Failure(
        condition.clauses, f"the partner has {trained} trained people of {needed} needed", may_be_mended=True
    )


def _engagement(seen: Snapshot, claim: Candidate, terms: Terms, condition: NotEngaged) -> str | None:
    """Why the vendor was in touch with the prospect already, or ``None``; the records that say so are named."""
    includes = terms.values.get("first_party_includes")
    if isinstance(includes, tuple) and "direct_sales" not in includes:
        return None
    calendar, submitted = seen.calendar, claim.referral.submitted_at
    accounts = seen.accounts_of(claim)
    for opportunity in sorted(seen.now["opportunity"].values(), key=lambda o: (o.created_at, o.id)):
        if opportunity.account not in accounts or opportunity.referral is not None:
            continue
        if opportunity.created_at < submitted and (opportunity.closed_at is None or opportunity.closed_at > submitted):
            since = calendar.local(opportunity.created_at)
            return f"direct sales were first: opportunity {opportunity.id} was open since {since}"
    day = calendar.date_of(submitted)
    if condition.customer_kinds:
        running = _running(seen, accounts, condition.customer_kinds, day)
        if running is not None and condition.customers:
            return f"a customer already: contract {running.id} is signed since {running.signed_on}"
    elif condition.customers:
        for name in sorted(accounts):
            account = seen.now["account"].get(name)
            if account is not None and account.customer_since is not None and account.customer_since < day:
                return f"account {name} is a customer since {account.customer_since}"
    lookback = terms.values.get(condition.lookback) if condition.lookback else None
    if isinstance(lookback, Period):
        first = lookback.before(day)
        for activity in sorted(seen.now["activity"].values(), key=lambda a: (a.at, a.id)):
            recent = activity.at < submitted and calendar.date_of(activity.at) > first
            if activity.account in accounts and activity.two_way and recent:
                return f"in touch already: {activity.kind} {activity.id} on {calendar.date_of(activity.at)}"
    return None


def _running(seen: Snapshot, accounts: set[str], kinds: tuple[str, ...], day: date) -> Contract | None:
    """A contract of these kinds that was signed before a day and still runs on it (E56)."""
    contracts: list[Contract] = sorted(seen.now["contract"].values(), key=lambda c: (c.signed_on, c.id))
    for contract in contracts:
        ends = [each for each in (contract.ends_on, contract.cancelled_on) if each is not None]
        is_running = contract.signed_on < day and all(day <= each for each in ends)
        if contract.account in accounts and is_of(contract, kinds) and is_running:
            return contract
    return None


def money_failures(seen: Snapshot, claim: Candidate, terms: Terms, won_on: date, contract: str | None) -> list[Failure]:
    """The conditions for money alone that a won claim fails."""
    found = []
    for condition in terms.claims.money_conditions:
        if isinstance(condition, Introduced):
            met = [
                i for i in seen.now["introduction"].values()
                if i.referral == claim.id and i.decision_maker and seen.calendar.date_of(i.at) <= won_on
            ]  # fmt: skip
            if not met:
                why = f"no decision maker was introduced by {won_on}; nothing is earned"
                found.append(Failure(condition.clauses, why))
        elif isinstance(condition, EnrolledAtSignature):
            enrollments = [e for e in seen.now["enrollment"].values() if e.partner == claim.referral.partner]
            if not any(covers(e, won_on) for e in enrollments):
                why = f"the partner was not in the program on {won_on}; nothing is earned"
                found.append(Failure(condition.clauses, why))
        elif isinstance(condition, MinimumAge):
            first = Period.parse(condition.length).after(seen.calendar.date_of(claim.referral.submitted_at))
            if won_on < first and not claim.overridden:
                why = f"won on {won_on}, before {first}: too soon after the submission; nothing is earned"
                found.append(Failure(condition.clauses, why))
        elif claim.intake.role in condition.roles:
            other = _other_plan(seen, claim, terms, contract)
            found += [Failure(condition.clauses, other)] if other else []
    return found


def is_upsell(seen: Snapshot, claim: Candidate, terms: Terms) -> bool:
    """Whether the client was a customer before the claim of a partner who is to bring new ones (OP-A5, OP-20)."""
    brings = (c for c in terms.claims.money_conditions if isinstance(c, FirstPlan) and claim.intake.role in c.roles)
    if not any(brings) or claim.overridden:
        return False
    day = seen.calendar.date_of(claim.referral.submitted_at)
    accounts = (seen.now["account"].get(name) for name in seen.accounts_of(claim))
    return any(a is not None and a.customer_since is not None and a.customer_since < day for a in accounts)


def _other_plan(seen: Snapshot, claim: Candidate, terms: Terms, contract: str | None) -> str | None:
    if is_upsell(seen, claim, terms) and not terms.values.get("upsell_reward"):
        return "the client was a customer before; what is sold to it beyond that earns nothing"
    plan = terms.values["affiliate_first_plan"]
    first = seen.now["contract"].get(contract) if contract is not None else None
    if plan == "any" or first is None or first.plan in (None, plan):
        return None
    signed = seen.calendar.start_of(first.signed_on)
    reviews = [r for r in seen.now["review"].values() if r.referral == claim.id and r.outcome == "approved"]
    if any(r.override or r.at >= signed for r in reviews):
        return None
    return f"the client started on plan {first.plan}, not {plan}, and nobody let it pass; nothing is earned"
