"""Rule: what a partner is entitled to or owes by its role and tier, a task each; duties come again every period.

The software opens and tracks these tasks; people do them. A benefit opens on the day from which the partner has it and
is no longer owed when the role or tier ends. Source: NT-11, ON-18..ON-25, CN-12, CN-34, CN-83..CN-94, CN-116, TC-16..TC-18, OP-22, OP-23.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from rules.calendar import DAY, Calendar, add_months, quarter_start
from rules.enrolled import Span, at_tier, both, enrolled, joined, tiers_from
from rules.facts import View
from rules.program import Program
from rules.records import Certification, Enrollment
from rules.tasks import Task
from rules.terms import Entitlement, Terms
from rules.tiers import Step

_MONTHS = {"month": 1, "quarter": 3, "year": 12}


@dataclass(frozen=True, slots=True)
class PartnerFacts:
    """What decides a partner's entitlements, as timelines of views, and the tiers it had."""

    enrollments: Mapping[str, Sequence[View[Enrollment]]]
    certifications: Mapping[str, Sequence[View[Certification]]]
    steps: Sequence[Step] = ()
    revised: Sequence[tuple[date, Sequence[Step]]] = ()
    """Each day on which past tiers were learned to be others, with the steps as known until then."""


@dataclass(frozen=True, slots=True)
class _Owed:
    """A task, and the days for which it is."""

    task: Task
    period: Span


def entitlements_of(program: Program, partner: str, facts: PartnerFacts, as_of: date) -> list[Task]:
    """The tasks of a partner's entitlements that were opened up to and including ``as_of``.

    Those that an enrollment or certification answers are done then; the others wait for a decision ``done``. What the
    partner no longer has is closed on that day. A task that was opened keeps its day when the tiers of the past are
    learned to be others. Raises: nothing.
    """
    seen: list[_Owed] = []
    changed_on = as_of
    for learned_on, steps in facts.revised:
        seen = _carried(seen, _owed(program, partner, facts, steps, learned_on - DAY), changed_on)
        changed_on = learned_on
    return [each.task for each in _carried(seen, _owed(program, partner, facts, facts.steps, as_of), changed_on)]


def _carried(seen: Sequence[_Owed], owed: Sequence[_Owed], learned_on: date) -> list[_Owed]:
    """What is owed as it is known now, under the days on which it was opened before; what is not owed after all is closed."""
    if not seen:
        return list(owed)
    left = {each.task.key: each for each in seen}
    found, others = [], []
    for each in owed:
        found.append(each)
        if left.pop(each.task.key, None) is None:
            others.append(each)
    for each in others:
        task, period = each.task, each.period
        earlier = next((e for e in left.values() if e.task.kind == task.kind and both([period], [e.period])), None)
        if earlier is not None:
            del left[earlier.task.key]
            task.opened_on, task.clauses = earlier.task.opened_on, earlier.task.clauses
            task.done_on = max(task.done_on, task.opened_on) if task.done_on is not None else None
    for each in left.values():
        task = each.task
        if task.done_on is None:
            task.done_on, task.because = learned_on, f"{task.because}; no longer owed from {learned_on} on"
    return [*found, *left.values()]


def _owed(program: Program, partner: str, facts: PartnerFacts, steps: Sequence[Step], as_of: date) -> list[_Owed]:
    """What is owed up to a day by these steps of the tier."""
    return [
        _Owed(_task(program, partner, facts, kind, span, period, as_of), period)
        for kind, spans in sorted(_spans(program, facts, steps).items())
        for span in spans
        for period in _periods(program, kind, span, as_of)
    ]


def _spans(program: Program, facts: PartnerFacts, steps: Sequence[Step]) -> dict[str, list[Span]]:
    """When the partner has each kind of entitlement, over all versions of the terms."""
    found: dict[str, list[Span]] = {}
    versions = program.versions
    for number, terms in enumerate(versions):
        starts = terms.effective_from if number else date.min
        in_force = [Span(starts, versions[number + 1].effective_from if number + 1 < len(versions) else date.max)]
        for term in terms.entitlements:
            spans = both(in_force, enrolled(facts.enrollments, program.calendar, term.roles))
            lowest = _lowest_tier(term, terms)
            if lowest is not None:
                spans = both(spans, at_tier(steps, tiers_from(lowest, program, terms.effective_from)))
            found.setdefault(term.kind, []).extend(spans)
    return {kind: joined(spans) for kind, spans in found.items()}


def _lowest_tier(term: Entitlement, terms: Terms) -> str | None:
    return term.from_tier if term.from_tier_setting is None else str(terms.values[term.from_tier_setting])


def _term(program: Program, kind: str, day: date) -> Entitlement:
    return next(term for term in program.on(day).entitlements if term.kind == kind)


def _periods(program: Program, kind: str, span: Span, as_of: date) -> Iterator[Span]:
    """The span itself, or the part of it in each calendar period, as far as they have begun."""
    opened = span.since
    while opened <= as_of and opened < span.until:
        every = _term(program, kind, opened).every
        if every is None:
            yield Span(opened, span.until)
            return
        next_one = add_months(period_start(opened, every), _MONTHS[every])
        yield Span(opened, next_one)
        opened = next_one


def period_start(day: date, every: str) -> date:
    """The first day of the calendar month, quarter or year."""
    return (
        day.replace(day=1) if every == "month" else quarter_start(day) if every == "quarter" else date(day.year, 1, 1)
    )


def _named(period: Span, every: str) -> str:
    year, month = period.since.year, period.since.month
    return {"month": f"{year}-{month:02}", "quarter": f"{year} Q{(month + 2) // 3}", "year": str(year)}[every]


def _task(
    program: Program, partner: str, facts: PartnerFacts, kind: str, span: Span, period: Span, as_of: date
) -> Task:
    opened = period.since
    terms = program.on(opened)
    term = _term(program, kind, opened)
    per_person = terms.values.get("login_scope") == "person"
    because = (per_person and term.label_per_person) or term.label
    due_on = None
    if term.every is not None:
        due_on, because = period.until - DAY, f"{because}, {_named(period, term.every)}"
    task = Task(program.id, kind, partner, opened, due_on, term.clauses, because)
    answered_on = _answered_on(term, terms, program.calendar, facts, opened)
    task.done_on = answered_on if answered_on is not None and answered_on <= as_of else None
    if span.until <= as_of and (task.done_on is None or task.done_on >= span.until):
        task.done_on, task.because = span.until, f"{because}; no longer owed from {span.until} on"
    return task


def _answered_on(term: Entitlement, terms: Terms, calendar: Calendar, facts: PartnerFacts, opened: date) -> date | None:
    """The first day, not before the opening, on which a fact answers the entitlement."""
    if term.answered_by == "decision":
        return None
    if term.answered_by == "certification":
        views = [view for timeline in facts.certifications.values() for view in timeline if view.fact]
        return min((max(opened, calendar.date_of(view.at)) for view in views), default=None)
    days = []
    for timeline in facts.enrollments.values():
        for number, view in enumerate(timeline):
            known_until = calendar.date_of(timeline[number + 1].at) if number + 1 < len(timeline) else date.max
            if view.fact is None or known_until <= opened or (term.roles and view.fact.role not in term.roles):
                continue
            day = _met_on(term, terms, view.fact)
            if day is not None:
                days.append(max(opened, day, calendar.date_of(view.at)))
    return min(days, default=None)


def _met_on(term: Entitlement, terms: Terms, fact: Enrollment) -> date | None:
    """Since when an enrollment meets what is asked, at the earliest; ``None`` when it does not."""
    if term.answered_by == "agreement":
        return fact.agreement_signed_on
    if term.answered_by == "trained_staff":
        needed = terms.values["min_trained_staff"] if term.staff is None else term.staff
        assert isinstance(needed, int)
        met = (fact.trained_staff or 0) >= needed
    else:
        met = bool(fact.manager if term.answered_by == "manager" else fact.existing_customer)
    return fact.starts_on if met else None
