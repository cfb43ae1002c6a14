"""When a partner is in a program, in which role and at which tier, as spans of local dates."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from rules.calendar import DAY, Calendar
from rules.facts import View
from rules.program import Program
from rules.records import Enrollment
from rules.settings import TIERS
from rules.tiers import Step


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """Local dates from ``since`` up to but not including ``until``; ``date.max`` there means still."""

    since: date
    until: date

    def __contains__(self, day: date) -> bool:
        return self.since <= day < self.until


def enrolled(
    enrollments: Mapping[str, Sequence[View[Enrollment]]], calendar: Calendar, roles: Collection[str] = ()
) -> list[Span]:
    """The spans in which any of a partner's enrollments held, as known at the time; only in these roles when given.

    A terminated enrollment does not hold, a suspended one does.
    """
    spans = []
    for timeline in enrollments.values():
        for number, view in enumerate(timeline):
            fact = view.fact
            if fact is None or fact.standing == "terminated" or (roles and fact.role not in roles):
                continue
            known_until = calendar.date_of(timeline[number + 1].at) if number + 1 < len(timeline) else date.max
            ends = fact.ends_on + DAY if fact.ends_on is not None and fact.ends_on < date.max else date.max
            spans.append(Span(max(fact.starts_on, calendar.date_of(view.at)), min(known_until, ends)))
    return joined(spans)


def at_tier(steps: Sequence[Step], tiers: Collection[str]) -> list[Span]:
    """The spans in which the tier was one of these."""
    spans = []
    for number, step in enumerate(steps):
        if step.tier in tiers:
            spans.append(Span(step.since, steps[number + 1].since if number + 1 < len(steps) else date.max))
    return joined(spans)


def tiers_from(lowest: str, program: Program, day: date) -> Collection[str]:
    """The tiers that have what ``lowest`` has: all from it on, or itself where tiers are not cumulative (CN-12, TC-A5)."""
    if program.on(day).values.get("tiers_cumulative") is False:
        return {lowest}
    return TIERS[TIERS.index(lowest) :]


def tier_on(steps: Sequence[Step], day: date) -> str | None:
    """The tier on a day."""
    found = None
    for step in steps:
        if step.since > day:
            break
        found = step.tier
    return found


def joined(spans: Iterable[Span]) -> list[Span]:
    """The same dates in as few spans as will do, in order; empty ones are left out."""
    found: list[Span] = []
    for span in sorted(spans):
        if span.since >= span.until:
            continue
        if found and span.since <= found[-1].until:
            found[-1] = Span(found[-1].since, max(found[-1].until, span.until))
        else:
            found.append(span)
    return found


def both(some: Iterable[Span], others: Sequence[Span]) -> list[Span]:
    """The dates that lie in a span of each."""
    return joined(Span(max(a.since, b.since), min(a.until, b.until)) for a in some for b in others)
