"""What partners and the vendor are told about claims: requests, reviews, conflicts, statuses, summaries.

Source: NT-9, NT-14, ON-18, ON-20, CN-44, CN-54..CN-56, TC-8, TC-9, TC-30, TC-32.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal

from jobs.notification.event import Event
from jobs.report.leads import QUALIFIED, STATUSES, Lead, by_partner, statuses, told
from jobs.report.picture import Picture, Row
from rules.calendar import add_months, next_month
from rules.money import ZERO, text
from rules.records import Decision, Review
from sync.verdicts import Verdict

ACTIVE = ("qualified", "engaged", "proposal")
WEEK = timedelta(days=7)
Statuses = list[tuple[datetime, str, str]]
Earned = dict[tuple[str, str], list[Row]]
"""Entries by partner and the month (`YYYY-MM`) in which they were earned."""


def claim_events(picture: Picture, own: Sequence[Lead]) -> Iterator[Event]:
    """Everything about claims, in no order."""
    through = {lead.id: statuses(picture, lead) for lead in own}
    for lead in own:
        yield from _requested(picture, lead)
        yield from _statuses(picture, lead, through[lead.id])
    yield from _reviews(picture)
    yield from _assignments(picture)
    yield from _conflicts(picture, own)
    earned: Earned = {}
    for row in picture.commissions:
        earned.setdefault((row["partner"], row["earned_on"][:7]), []).append(row)
    for partner, mine in by_partner(own).items():
        yield from _weekly(picture, partner, mine, through)
        yield from _monthly(picture, partner, mine, through, earned)


def _requested(picture: Picture, lead: Lead) -> Iterator[Event]:
    """The registration goes to the program manager of the partner, else to the program's office (ON-20)."""
    received = picture.program.calendar.date_of(lead.verdicts[0][0])
    enrollments = picture.grouped("enrollment", "partner").get(lead.claim["partner"], {}).values()
    managers = [each.manager for each in enrollments if each.manager]
    yield Event(
        "registration_requested", f"vendor:{managers[0] if managers else 'program_manager'}", lead.id, received,
        {
            "company": lead.referral.company,
            "referral": lead.id,
            "received_at": picture.program.calendar.local(lead.referral.submitted_at),
            "partner": lead.claim["partner"],
        },
    )  # fmt: skip


def _statuses(picture: Picture, lead: Lead, through: Statuses) -> Iterator[Event]:
    for (_, previous, _), (at, status, because) in zip(through, through[1:], strict=False):
        fields = {"company": lead.referral.company, "status": status, "previous": previous, "because": because}
        day = picture.program.calendar.date_of(at)
        yield Event(f"status_{status}", lead.claim["partner"], lead.id, day, fields, text="status_changed")


def _reviews(picture: Picture) -> Iterator[Event]:
    """The decision on a referral, and why when it was not approved (CN-44, CN-56); another outcome of the same review is told
    when it becomes known, a review that was withdrawn is not told."""
    claims = {row["referral"]: row for row in picture.rows["claims"]}
    for name in picture.facts("review"):
        views, outcome = picture.timelines("review")[name], None
        for view in views:
            review = view.fact
            claim = claims.get(review.referral) if review is not None else None
            if review is None or claim is None or review.outcome == outcome:
                continue
            outcome = review.outcome
            yield from _decided(picture, review, view.at, claim["partner"])


def _decided(picture: Picture, review: Review, at: datetime, to: str) -> Iterator[Event]:
    on = picture.program.calendar.date_of(at)
    company = picture.last_known("referral", review.referral).company
    then = _verdict_at(picture, review.referral, at)
    if review.outcome == "approved" and then is not None and then.state in QUALIFIED:
        note = f"Note: {review.reason}" if review.reason else ""
        yield Event("review_approved", to, review.referral, on, {"company": company, "note": note})
        yield Event("project_assigned", to, review.referral, on, {"company": company, "by": review.by})
    else:  # an approval alone does not lift a condition that failed
        approved = review.outcome == "approved"
        reason = told(then) if approved and then is not None else review.reason or "none was given"
        fields = {"company": company, "outcome": "not accepted" if approved else review.outcome, "reason": reason}
        yield Event("review_refused", to, review.referral, on, fields)


def _assignments(picture: Picture) -> Iterator[Event]:
    """Who takes an accepted referral over, once a decision on its assignment names somebody (TC-8, TC-32)."""
    partners = {row["referral"]: row["partner"] for row in picture.rows["claims"]}
    tasks = {row["key"]: row["subject"] for row in picture.rows["tasks"] if row["kind"] == "assignment"}
    for name, decision in picture.facts("decision").items():
        referral = tasks.get(decision.about, "")
        if referral in partners and decision.choice == "done" and decision.contact is not None:
            on = picture.program.calendar.date_of(picture.timelines("decision")[name][0].at)
            fields = {
                "company": picture.last_known("referral", referral).company,
                "consultant": decision.contact.name,
            }
            yield Event("consultant_named", partners[referral], referral, on, fields)


def _verdict_at(picture: Picture, referral: str, instant: datetime) -> Verdict | None:
    """How a claim stood right after an instant."""
    known = [verdict for at, verdict in picture.verdicts(referral) if at <= instant]
    return known[-1] if known else None


def _conflicts(picture: Picture, own: Sequence[Lead]) -> Iterator[Event]:
    """A conflict is told to the approver when it opens, and its decision to every claimant (NT-9)."""
    for task in picture.rows["tasks"]:
        if task["kind"] != "conflict":
            continue
        opened = date.fromisoformat(task["opened_on"])
        claimants = _claimants(own, task["subject"])
        company = claimants[0].referral.company if claimants else task["subject"]
        yield Event("conflict_opened", "vendor:approver", task["subject"], opened, {"company": company, "because": task["because"]})  # fmt: skip
        for name, decision in picture.facts("decision").items():
            if decision.choice == "award" and _is_about(decision, task, claimants):
                on = picture.program.calendar.date_of(picture.timelines("decision")[name][0].at)
                for partner in sorted({lead.claim["partner"] for lead in claimants}):
                    award = "it is yours" if decision.partner == partner else "it is another partner's"
                    fields = {"company": company, "award": award, "reason": decision.reason}
                    yield Event("conflict_decided", partner, task["subject"], on, fields)


def _claimants(own: Sequence[Lead], subject: str) -> list[Lead]:
    """Ranked claims to the prospect that a conflict is about: its account, or one of its referrals."""
    found = [lead for lead in own if lead.claim["account"] == subject and lead.claim["rank"] is not None]
    if found:
        return sorted(found, key=lambda lead: lead.claim["rank"])
    named = next((lead for lead in own if lead.id == subject), None)
    company = named.referral.company.casefold() if named else None
    return [lead for lead in own if lead.referral.company.casefold() == company or lead.id == subject]


def _is_about(decision: Decision, task: Row, claimants: Sequence[Lead]) -> bool:
    return decision.about in (task["key"], task["subject"], *(lead.id for lead in claimants))


def _weekly(picture: Picture, partner: str, own: Sequence[Lead], through: dict[str, Statuses]) -> Iterator[Event]:
    """On each Monday on which the partner is in the program its active referrals (CN-55)."""
    for monday in _days(picture, partner, own, monthly=False):
        told = []
        for lead in own:
            status = _status_on(picture, through[lead.id], monday)
            if status in ACTIVE:
                told.append(f"- {lead.referral.company}: {status}")
        if told:
            fields = {"count": str(len(told)), "leads": "\n".join(sorted(told))}
            yield Event("weekly_update", partner, partner, monday, fields)


def _monthly(
    picture: Picture, partner: str, own: Sequence[Lead], through: dict[str, Statuses], earned: Earned
) -> Iterator[Event]:
    """On the first of each month how many referrals are where, and what was earned in the month before (CN-55)."""
    for first in _days(picture, partner, own, monthly=True):
        then = [_status_on(picture, through[lead.id], first) for lead in own]
        counts = {status: str(then.count(status)) for status in STATUSES}
        last_month = add_months(first, -1)
        fields = {
            **counts,
            "month": last_month.isoformat()[:7],
            "earned": _earned(picture, earned.get((partner, last_month.isoformat()[:7]), ()), last_month),
        }
        yield Event("monthly_summary", partner, partner, first, fields)


def _days(picture: Picture, partner: str, own: Sequence[Lead], *, monthly: bool) -> Iterator[date]:
    """Mondays, or firsts of the month, after the first referral up to the end, while the partner is in the program."""
    spans = picture.enrolled().get(partner, ())
    day = picture.program.calendar.date_of(min(lead.verdicts[0][0] for lead in own))
    day = next_month(day) if monthly else day + timedelta(days=7 - day.weekday())
    while day <= picture.as_of:
        if any(day in span for span in spans):
            yield day
        day = next_month(day) if monthly else day + WEEK


def _status_on(picture: Picture, through: Statuses, day: date) -> str | None:
    """A lead's status as the day begins."""
    starts = picture.program.calendar.start_of(day)
    place = bisect_right([at for at, _, _ in through], starts)
    return through[place - 1][1] if place else None


def _earned(picture: Picture, entries: Sequence[Row], month: date) -> str:
    """What of a month's entries was known by its end, a currency each."""
    until = picture.program.calendar.start_of(next_month(month))
    sums: dict[str, Decimal] = {}
    for row in entries:
        if picture.posted_at[row["key"]] < until:
            sums[row["currency"]] = sums.get(row["currency"], ZERO) + Decimal(row["amount"])
    return ", ".join(f"{text(sums[money], money)} {money}" for money in sorted(sums)) or "nothing"
