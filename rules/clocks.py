"""Rule: answers that are due within hours or business days: tickets, applications, notice of changed terms.

Hours run by the clock; what is due is the local date on which they end, and that whole day is in time (G-4).
Source: CN-77, CN-95, CN-122, CN-A24, ON-26, OP-13, OP-24, TC-27, TC-34.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any

from rules.enrolled import Span, both, enrolled, tier_on
from rules.facts import View
from rules.program import Program, last_day_of_notice
from rules.records import Application, Enrollment, Ticket
from rules.tasks import Task
from rules.terms import Terms
from rules.tiers import Step

ACCEPTED = ("accepted", "approved")
"""Outcomes of an application that make the applicant a partner."""


def ticket_tasks(
    program: Program,
    tickets: Mapping[str, Sequence[View[Ticket]]],
    enrollments: Mapping[str, Sequence[View[Enrollment]]],
    steps_at: Callable[[datetime], Sequence[Step]],
) -> list[Task]:
    """One task for each ticket of a partner that was in the program then, until it has a first response.

    The hours are those of the partner's tier when the ticket was opened, as the tier was known when the ticket was
    (CN-95): ``steps_at`` gives its steps as known at an instant. Raises: nothing.
    """
    calendar = program.calendar
    tasks = []
    for name, timeline in sorted(tickets.items()):
        ticket = _first(timeline)
        day = calendar.date_of(ticket.opened_at)
        terms = program.on(day)
        if terms.tickets is None or not _on(enrolled(enrollments, calendar, terms.tickets.roles), day):
            continue
        hours = _sla_hours(terms, tier_on(steps_at(timeline[0].at), day))
        limit = None if hours is None else ticket.opened_at + timedelta(hours=hours)
        because = f"ticket {ticket.subject!r} waits for a first response"
        if limit is not None:
            because += f" within {hours} h, until {calendar.local(limit)}"
        due_on = limit and calendar.date_of(limit)
        opened = calendar.date_of(timeline[0].at)
        task = Task(program.id, "ticket_response", name, opened, due_on, terms.tickets.clauses, because)
        for view in timeline:
            answered_at = view.fact and (view.fact.first_response_at or view.fact.closed_at)
            if view.fact is None or answered_at:
                task.done_on = calendar.date_of(view.at)
                if answered_at and limit is not None and answered_at > limit:
                    task.because += f"; answered after it, at {calendar.local(answered_at)}"
                break
        tasks.append(task)
    return tasks


def _sla_hours(terms: Terms, tier: str | None) -> int | None:
    if terms.tiers is None:
        return None
    levels: dict[str, int | None] = {level.tier: level.sla_hours for level in terms.tiers.levels}
    return levels.get(tier or terms.tiers.levels[0].tier)


def application_tasks(program: Program, applications: Mapping[str, Sequence[View[Application]]]) -> list[Task]:
    """The review of each application to this program, and the welcome of who was accepted (CN-122, CN-123, ON-26, OP-24).

    Raises: nothing; an application that leaves out what is asked for is reviewed all the same, and says so.
    """
    calendar = program.calendar
    tasks = []
    for name, timeline in sorted(applications.items()):
        application = _first(timeline)
        term = program.on(application.applied_on).applications
        if application.program != program.id or term is None:
            continue
        missing = [each for each in term.asks if not (application.details or {}).get(each)]
        because = f"application of {application.name}: fit, references and decision"
        if missing:
            because += f"; not given: {', '.join(missing)} ({', '.join(term.asks_clauses)})"
        due_on = term.review_business_days and calendar.business_day_after(
            application.applied_on, term.review_business_days
        )
        review = Task(
            program.id, "application_review", name, calendar.date_of(timeline[0].at), due_on or None,
            term.review_clauses, because,
        )  # fmt: skip
        tasks.append(review)
        for view in timeline:
            if view.fact is None or view.fact.decided_on is not None:
                review.done_on = calendar.date_of(view.at)
                if view.fact and (view.fact.outcome or "").casefold() in ACCEPTED and term.welcome_clauses:
                    because = f"{view.fact.name} was accepted: welcome package, portal access, agreement and onboarding"
                    tasks.append(Task(program.id, "welcome", name, review.done_on, None, term.welcome_clauses, because))
                break
    return tasks


def notice_tasks(
    program: Program, partner: str, enrollments: Mapping[str, Sequence[View[Enrollment]]], as_of: date
) -> list[Task]:
    """Each partner is told of new terms as long before their start as the terms before them promise (TC-27, TC-34).

    The task opens as long again before its last day; a version with ``announced_on`` needs none. Raises: nothing.
    """
    tasks = []
    in_program = enrolled(enrollments, program.calendar)
    for before, version in zip(program.versions, program.versions[1:], strict=False):
        last = last_day_of_notice(before, version.effective_from)
        if last is None or version.announced_on is not None:
            continue
        opens = last - (version.effective_from - last)
        for span in both([Span(opens, last + timedelta(days=1))], in_program):
            if span.since > as_of:
                continue
            because = f"the terms change on {version.effective_from}; {partner} is told at the latest on {last}"
            clauses = before.clauses_of("notice_days")
            tasks.append(Task(program.id, "notice_of_terms", partner, span.since, last, clauses, because))
    return tasks


def _on(spans: Sequence[Span], day: date) -> bool:
    return any(day in span for span in spans)


def _first(timeline: Sequence[View[Any]]) -> Any:
    return next(view.fact for view in timeline if view.fact is not None)
