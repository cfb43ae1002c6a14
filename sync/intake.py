"""Intake: is a referral complete, and did it come in a way the program allows?"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from rules.facts import View
from rules.program import Program
from rules.records import Enrollment, Partner, Referral
from rules.terms import RequiredField

_HOST = re.compile(
    r"^(?:[a-z][a-z0-9+.-]*:)?(?://)?(?:[^/@\s]*@)?(?P<host>[^\s/:?#@]+\.[^\s/:?#@.]{2,}\.?)(?::\d+)?(?:[/?#]\S*)?$",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Intake:
    """What the intake check found: clauses of missing values, clauses that make it inadmissible, and why."""

    missing: tuple[str, ...]
    inadmissible: tuple[str, ...]
    because: str
    enrollment: Enrollment | None = None
    """The partner's enrollment that covers the submission."""

    @property
    def role(self) -> str | None:
        """The partner's role in the program at the submission."""
        return self.enrollment.role if self.enrollment else None

    @property
    def failed(self) -> tuple[str, ...]:
        """All clauses that failed, admissibility first."""
        return tuple(dict.fromkeys(self.inadmissible + self.missing))


def checked(
    referral: Referral, partner: Partner | None, enrollments: Iterable[Enrollment], day: date, program: Program
) -> Intake:
    """Check one version of a referral as received on a local day.

    Returns clauses, never raises: a referral that lacks something is a claim with a reason (NT-1..NT-5, NT-8, NT-12).
    """
    terms = program.on(day)
    missing: list[str] = []
    inadmissible: list[str] = []
    why: list[str] = []
    channels = terms.values.get("channels")
    if isinstance(channels, tuple) and referral.channel not in channels:
        inadmissible += terms.claims.channel_clauses
        why.append(f"came by {referral.channel}; allowed: {', '.join(channels)}")
    in_force = [enrollment for enrollment in enrollments if covers(enrollment, day)]
    covering = [enrollment for enrollment in in_force if enrollment.role is None or enrollment.role in program.roles]
    if in_force and not covering:
        inadmissible += terms.claims.enrollment_clauses
        why.append(f"the partner is enrolled as {in_force[0].role}; allowed: {', '.join(program.roles)}")
    elif not covering:
        inadmissible += terms.claims.enrollment_clauses
        why.append(f"the partner had no enrollment in the program on {day}")
    for term in terms.claims.required:
        if not any(_is_given(term, _value(referral, partner, path)) for path in term.any_of):
            missing += term.clauses
            allowed = f" (allowed: {', '.join(term.values)})" if term.values else ""
            why.append(f"{term.label} is missing or not usable{allowed}")
    latest = max(covering, key=lambda enrollment: (enrollment.starts_on, enrollment.id), default=None)
    return Intake(tuple(dict.fromkeys(missing)), tuple(dict.fromkeys(inadmissible)), "; ".join(why), latest)


def covers(enrollment: Enrollment, day: date) -> bool:
    """Whether an enrollment is in force on a local day; a terminated one is not."""
    return (
        enrollment.starts_on <= day
        and (enrollment.ends_on is None or day <= enrollment.ends_on)
        and enrollment.standing != "terminated"
    )


def standing_at(timeline: Sequence[View[Enrollment]], submitted_at: datetime) -> Enrollment | None:
    """An enrollment as it read at the submission, or as it first read when it became known later."""
    known = [view.fact for view in timeline if view.at <= submitted_at]
    if known and known[-1] is not None:
        return known[-1]
    return next((view.fact for view in timeline if view.fact is not None and view.at > submitted_at), None)


def _value(referral: Referral, partner: Partner | None, path: str) -> Any:
    if path == "partner.name":
        return partner.name if partner else None
    if path.startswith("details."):
        return (referral.details or {}).get(path.removeprefix("details."))
    value: Any = referral
    for part in path.split("."):
        value = getattr(value, part, None)
    return value


def _is_given(term: RequiredField, value: Any) -> bool:
    if term.check == "count":
        return isinstance(value, int) and not isinstance(value, bool) and value >= 0
    if term.check == "one_of":
        return isinstance(value, str) and value in term.values
    if term.check == "list":
        return isinstance(value, list) and any(isinstance(each, str) and each.strip() for each in value)
    if term.check == "given" and not isinstance(value, str):
        return bool(value) and not isinstance(value, bool)
    if term.check == "website":
        return isinstance(value, str) and _HOST.match(value.strip()) is not None
    return isinstance(value, str) and bool(value.strip())
