"""Support: who is the customer's first-level contact, and when that must be looked at again.

When a professional-services partner's referral is approved, the partner supports that customer: its representative
becomes the primary support contact, billing stays as it is. Too many first-level cases, or a failed mediation, bring
the question of who owns the relationship before a person. Source: NT-19..NT-26, NT-A7, NT-A8.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from rules.calendar import BEGINNING, Calendar, Period
from rules.deal import Reallocation
from rules.facts import View
from rules.program import Program
from rules.records import Case, Certification, Concern, Contract, Decision, Enrollment, Partner
from rules.tasks import TaskLog, Wanted, names_task
from rules.terms import SupportTerms, Terms


@dataclass(slots=True)
class SupportRow:
    """The desired primary support contact of an account from ``since`` until ``until``."""

    account: str
    partner: str
    name: str | None
    email: str | None
    phone: str | None
    since: date
    until: date | None
    reason: str

    def row(self) -> dict[str, Any]:
        """The row of the outcome."""
        return {
            "account": self.account,
            "partner": self.partner,
            "name": self.name,
            "email": self.email,
            "phone": self.phone,
            "since": self.since.isoformat(),
            "until": self.until.isoformat() if self.until else None,
            "reason": self.reason,
        }


@dataclass(slots=True)
class Handover:
    """A won and approved referral of an account, as the support rule needs it."""

    account: str
    referral: str
    partner: str
    approved_at: datetime
    signed_on: date
    contract: Sequence[View[Contract]]


@dataclass(slots=True)
class SupportFacts:
    """What moves the support of one account, as timelines of views."""

    cases: Mapping[str, Sequence[View[Case]]] = field(default_factory=dict)
    concerns: Mapping[str, Sequence[View[Concern]]] = field(default_factory=dict)
    decisions: Mapping[str, Sequence[View[Decision]]] = field(default_factory=dict)
    certifications: Mapping[str, Sequence[View[Certification]]] = field(default_factory=dict)
    enrollments: Mapping[str, Sequence[View[Enrollment]]] = field(default_factory=dict)
    partners: Mapping[str, Sequence[View[Partner]]] = field(default_factory=dict)


@dataclass(slots=True)
class Support:
    """The support rows of an account, its tasks, and when the relationship moved."""

    rows: list[SupportRow] = field(default_factory=list)
    reallocations: list[Reallocation] = field(default_factory=list)


def support_of(program: Program, handover: Handover, facts: SupportFacts, tasks: TaskLog, until: datetime) -> Support:
    """Replay the support of one account. Raises: nothing."""
    terms = program.on(program.calendar.date_of(handover.approved_at))
    if terms.support is None:
        return Support()
    return _Replay(program, terms, terms.support, handover, facts, tasks).run(until)


class _Replay:
    def __init__(
        self,
        program: Program,
        terms: Terms,
        term: SupportTerms,
        handover: Handover,
        facts: SupportFacts,
        tasks: TaskLog,
    ) -> None:
        self._program = program
        self._calendar: Calendar = program.calendar
        self._terms = terms
        self._term = term
        self._handover = handover
        self._facts = facts
        self._tasks = tasks
        self._window = Period.parse(term.case_window)
        self._now: dict[str, dict[str, Any]] = {
            k: {} for k in ("case", "concern", "decision", "certification", "enrollment", "partner", "contract")
        }
        self._support = Support()
        self._row: SupportRow | None = None
        self._manager: str | None = None
        self._starts = max(handover.approved_at, program.calendar.start_of(handover.signed_on))
        self._counting_from = BEGINNING
        self._crossed: tuple[date, str] | None = None
        self._certify: tuple[date, date | None, str] | None = None
        self._answered: set[str] = set()
        self._decided: set[str] = set()

    def run(self, until: datetime) -> Support:
        events: list[tuple[datetime, str, str, Any]] = [(self._starts, "~handover", "", None)]
        facts = self._facts
        timelines: tuple[tuple[str, Mapping[str, Sequence[View[Any]]]], ...] = (
            ("case", facts.cases),
            ("certification", facts.certifications),
            ("concern", facts.concerns),
            ("contract", {"": self._handover.contract}),
            ("enrollment", facts.enrollments),
            ("partner", facts.partners),
            ("~~decision", facts.decisions),
        )
        for kind, records in timelines:
            for name, views in records.items():
                events += [(view.at, kind, name, view.fact) for view in views]
        events.sort(key=lambda event: event[:3])
        for at, kind, name, fact in events:
            if at < until:
                self._see(at, kind.lstrip("~"), name, fact)
        return self._support

    def _see(self, at: datetime, kind: str, name: str, fact: Any) -> None:
        today = self._calendar.date_of(at)
        if kind == "handover":
            self._hand_over(today)
        elif fact is None:
            self._now[kind].pop(name, None)
        else:
            self._now[kind][name] = fact
            if kind == "decision" and name not in self._decided:
                self._decide(today, at, name, fact)
            if kind == "contract" and self._row and self._row.partner == self._handover.partner:
                self._name_representative(self._row)
        if at >= self._starts and self._manager is not None:
            self._count_cases(today)
        if at >= self._starts:
            self._tasks.update(today, self._wanted(today))

    def _hand_over(self, today: date) -> None:
        """The partner becomes the first contact when its role says so (NT-19, NT-20)."""
        roles = {
            e.role for e in self._now["enrollment"].values()
            if e.partner == self._handover.partner and e.starts_on <= today and not (e.ends_on and e.ends_on < today)
        }  # fmt: skip
        if not roles & set(self._term.roles):
            return
        self._manager = self._handover.partner
        clauses = ", ".join(self._term.handover_clauses)
        self._row = SupportRow(
            self._handover.account, self._manager, None, None, None, today, None,
            f"partner-managed since the referral {self._handover.referral} was approved ({clauses})",
        )  # fmt: skip
        self._name_representative(self._row)
        self._support.rows.append(self._row)

    def _name_representative(self, row: SupportRow) -> None:
        """The representative named at contract finalisation, else the partner's own details."""
        contract: Contract | None = self._now["contract"].get("")
        partner: Partner | None = self._now["partner"].get(row.partner)
        named = contract.support_contact if contract else None
        if named is not None:
            row.name, row.email, row.phone = named.name, named.email, named.phone
        elif partner is not None:
            row.name, row.email, row.phone = partner.name, partner.email, partner.phone

    def _count_cases(self, today: date) -> None:
        """More first-level cases than the limit in the rolling window: a person decides (NT-23, NT-A7)."""
        if self._crossed is not None:
            return
        raised_by = self._terms.values["case_count"]
        oldest = self._window.before(today)
        counted = [
            case for case in self._now["case"].values()
            if case.level in self._term.counted_levels
            and case.opened_at >= self._counting_from
            and oldest <= self._calendar.date_of(case.opened_at) <= today
            and raised_by in ("combined", case.raised_by)
        ]  # fmt: skip
        if len(counted) > self._term.case_limit:
            self._crossed = (
                today,
                f"{len(counted)} first-level cases between {oldest} and {today}, more than {self._term.case_limit}: "
                + ", ".join(sorted(case.id for case in counted)),
            )

    def _decide(self, today: date, at: datetime, name: str, decision: Decision) -> None:
        """Certification, reallocation or no action (NT-24, NT-26)."""
        about = decision.about
        kinds = ("support_review", "mediation", "reallocation")
        subject = next((s for k in kinds if (s := names_task(about, self._program.id, k))), about)
        if subject != self._handover.account or at < self._starts:
            return
        if decision.choice == "certify" and self._crossed is not None:
            self._certify = (today, decision.until, decision.reason)
        elif decision.choice == "reallocate":
            self._reallocate(today, decision)
        elif decision.choice != "no_action" or self._crossed is None:
            return
        self._decided.add(name)
        self._crossed = None
        self._counting_from = at

    def _reallocate(self, today: date, decision: Decision) -> None:
        if self._row is not None:
            self._row.until = today
            self._row = None
        self._answered |= set(self._now["concern"])
        self._certify = None
        self._manager = decision.partner
        self._support.reallocations.append(Reallocation(today, decision.partner))
        if decision.partner is None:
            return
        partner: Partner | None = self._now["partner"].get(decision.partner)
        contact = decision.contact
        self._row = SupportRow(
            self._handover.account,
            decision.partner,
            contact.name if contact else partner.name if partner else None,
            contact.email if contact else partner.email if partner else None,
            contact.phone if contact else partner.phone if partner else None,
            today,
            None,
            f"reallocated by {decision.by}: {decision.reason}",
        )
        self._support.rows.append(self._row)

    def _wanted(self, today: date) -> Iterable[Wanted]:
        term, account = self._term, self._handover.account
        if self._crossed is not None:
            yield Wanted("support_review", account, term.case_clauses + term.remedy_clauses, self._crossed[1])
        yield from self._wanted_of_concerns()
        if self._manager is not None:
            yield from self._wanted_of_capability(self._manager)

    def _wanted_of_concerns(self) -> Iterable[Wanted]:
        term, account = self._term, self._handover.account
        for name in sorted(self._now["concern"]):
            concern: Concern = self._now["concern"][name]
            if name in self._answered:
                continue
            if concern.mediation not in ("resolved", "failed"):
                yield Wanted("mediation", account, term.mediation_clauses, f"concern {name} about {concern.partner}")
            elif concern.mediation == "failed" and self._manager is not None:
                because = f"mediation of concern {name} failed; the relationship is reallocated to the vendor or another partner"
                yield Wanted("reallocation", account, term.reallocation_clauses, because)

    def _wanted_of_capability(self, manager: str) -> Iterable[Wanted]:
        """The manager must be able to give first-level support: certified, or asked to become so (NT-22, NT-24)."""
        done = [c.completed_on for c in self._now["certification"].values() if c.partner == manager]
        if self._certify is not None:
            asked_on, due_on, reason = self._certify
            if not any(day >= asked_on for day in done):
                yield Wanted("certification", manager, self._term.remedy_clauses, f"required: {reason}", due_on)
            return
        attested = any(e.certified for e in self._now["enrollment"].values() if e.partner == manager)
        if not attested and not done:
            because = f"{manager} gives first-level support; its capability is not attested"
            yield Wanted("capability_attestation", manager, self._term.capability_clauses, because)
