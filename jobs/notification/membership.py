"""What partners and applicants are told about their place in the program.

Source: NT-23, ON-18, OP-14, OP-22, CN-8, CN-10, CN-62, CN-111, CN-123, CN-128, TC-15, TC-27, TC-30, TC-34.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import date, timedelta
from itertools import pairwise

from jobs.notification.event import Event
from jobs.report.picture import Picture
from rules.calendar import DAY
from rules.clocks import ACCEPTED
from rules.lead_sharing import lead_sharing_of
from rules.money import percent
from rules.program import last_day_of_notice
from rules.tiers import TierHistory


def membership_events(picture: Picture) -> Iterator[Event]:
    """Everything about membership, in no order."""
    yield from _applications(picture)
    yield from _managers(picture)
    yield from _terms(picture)
    yield from _news(picture)
    yield from _support(picture)
    yield from _offers(picture)
    for partner, history in picture.tiers.items():
        yield from _tiers(picture, partner, history)
    for name, ticket in picture.facts("ticket").items():
        if ticket.partner in picture.partners and ticket.first_response_at is not None:
            on = picture.seen_on("ticket", name, "first_response_at")
            yield Event("ticket_answered", ticket.partner, name, on, {"subject": ticket.subject})


def _applications(picture: Picture) -> Iterator[Event]:
    calendar = picture.program.calendar
    for name, application in picture.facts("application").items():
        to, applicant = f"applicant:{name}", {"applicant": application.name}
        terms = picture.program.on(application.applied_on).applications
        days = terms.review_business_days if terms else None
        answer_by = calendar.business_day_after(application.applied_on, days) if days else None
        received = {**applicant, "answer_by": f"by {answer_by}" if answer_by else "as soon as it is made"}
        yield Event(
            "application_received",
            to,
            name,
            picture.seen_on("application", name, "applied_on"),
            received,
            due_on=answer_by,
        )
        if application.decided_on is not None:
            accepted = (application.outcome or "").casefold() in ACCEPTED
            kind = "application_accepted" if accepted else "application_refused"
            yield Event(kind, to, name, picture.seen_on("application", name, "decided_on"), applicant)


def _managers(picture: Picture) -> Iterator[Event]:
    """Partner and manager are told of each other whenever an enrollment names another manager (ON-18)."""
    for name, views in picture.timelines("enrollment").items():
        before: str | None = None
        for view in views:
            fact = view.fact
            if fact is not None and fact.manager and fact.manager != before:
                on = max(picture.program.calendar.date_of(view.at), fact.starts_on)
                for to in (fact.partner, f"vendor:{fact.manager}"):
                    yield Event("manager_assigned", to, name, on, {"manager": fact.manager, "partner": fact.partner})
            before = fact.manager if fact else None


def _terms(picture: Picture) -> Iterator[Event]:
    """New terms are told to everybody in the program when they are announced, at the latest as many days ahead as the
    terms before them promise (TC-27)."""
    versions = picture.program.versions
    for before, version in zip(versions, versions[1:], strict=False):
        on = version.announced_on or last_day_of_notice(before, version.effective_from) or version.effective_from
        if on > picture.as_of:
            continue
        label = f"{picture.program.id}@{version.effective_from}"
        fields = {"effective_from": version.effective_from.isoformat(), "label": label}
        for partner in _in_program(picture, on):
            yield Event("terms_changing", partner, label, on, fields, due_on=version.effective_from)


def _in_program(picture: Picture, day: date, roles: Collection[str] = ()) -> list[str]:
    """The partners that were in the program (in these roles) on a day, as it was known then."""
    return [who for who, spans in picture.enrolled(roles).items() if any(day in span for span in spans)]


def _news(picture: Picture) -> Iterator[Event]:
    """What the program announces is told to everybody whom it is for and who is in the program on that day (TC-30)."""
    for version in picture.program.versions:
        for each in version.content:
            on = each.announced_on
            if on is None or on > picture.as_of or picture.program.on(on) is not version:
                continue
            fields = {"title": each.label, "text": each.text.strip()}
            for partner in _in_program(picture, on, each.roles):
                yield Event("program_news", partner, each.label, on, fields)


def _support(picture: Picture) -> Iterator[Event]:
    """A review of support is told to the vendor's support and to the partner that gives it (NT-23)."""
    for task in picture.rows["tasks"]:
        if task["kind"] != "support_review":
            continue
        on, account = date.fromisoformat(task["opened_on"]), picture.last_known("account", task["subject"])
        fields = {"account": account.name if account else task["subject"], "because": task["because"]}
        partners = {
            row["partner"]
            for row in picture.rows["support"]
            if row["account"] == task["subject"]
            and row["since"] <= task["opened_on"] <= (row["until"] or task["opened_on"])
        }
        for to in ("vendor:support", *sorted(each for each in partners if each)):
            yield Event("support_review", to, task["subject"], on, fields)


def _offers(picture: Picture) -> Iterator[Event]:
    """Each partner that a lead of the vendor is offered to, as its turn begins (CN-111, CN-112)."""
    shared = picture.timelines("shared_lead")
    if not shared:
        return
    enrollments = picture.owned("enrollment", "partner")
    steps = {partner: history.steps for partner, history in picture.tiers.items()}
    calendar = picture.program.calendar
    found = lead_sharing_of(picture.program, shared, enrollments, picture.timelines("partner"), steps, picture.until)
    for hold in found.offered:
        lead, on = picture.last_known("shared_lead", hold.lead), calendar.date_of(hold.since)
        terms = picture.program.on(on).lead_sharing
        if terms is None:
            continue
        passes_at = hold.since + timedelta(hours=terms.answer_hours)
        fields = {
            "company": lead.company, "source": lead.source, "services": ", ".join(lead.services or ()) or "not given",
            "country": lead.country or "not given", "answer_by": calendar.local(passes_at),
        }  # fmt: skip
        yield Event("lead_offered", hold.partner, hold.lead, on, fields, due_on=calendar.date_of(passes_at))


def _tiers(picture: Picture, partner: str, history: TierHistory) -> Iterator[Event]:
    """Each rise and each fall, from the day on which it holds (CN-8, CN-10, TC-15)."""
    for since, before, tier in _tier_changes(picture, history):
        rises = history.place(tier) > history.place(before)
        level = history.level(tier)
        rate = level.rate if level else None
        fields = {
            "tier": tier, "previous": before or "none",
            "rate_note": f"The commission rate of {tier} is {percent(rate)}." if rate is not None else "",
        }  # fmt: skip
        yield Event("tier_promoted" if rises else "tier_lowered", partner, partner, since, fields)


def _tier_changes(picture: Picture, history: TierHistory) -> list[tuple[date, str | None, str]]:
    """The day, the tier before and the tier after of each change, as it was told: what is learned late of the past adds the
    tiers that were never told, or a fall on the day on which it was learned, and takes nothing back."""
    told: list[tuple[date, str | None, str]] = []
    learned_on: date | None = None
    for until, steps in [*history.revised(picture.program.calendar), (picture.as_of + DAY, history.steps)]:
        changes = [
            (step.since, before.tier, step.tier)
            for before, step in pairwise(steps) if step.since < until and step.tier is not None
        ]  # fmt: skip
        if learned_on is not None:
            past = [each for each in changes if each[0] < learned_on]
            stands = next((step.tier for step in reversed(steps) if step.since < learned_on), None)
            last = told[-1][2] if told else steps[0].tier
            missed = [each for each in past if each[2] not in {tier for _, _, tier in told}] if stands != last else []
            if stands not in (None, last) and not missed:
                missed = [(learned_on, last, stands)]
            changes = [*missed, *changes[len(past) :]]
        told += changes
        learned_on = until
    return told
