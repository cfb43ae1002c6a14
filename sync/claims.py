"""Claims: whose referral of a prospect stands, at every instant, and why.

For one prospect at a time the history is replayed: at each instant at which something became true or known, every
claim is judged from what could be seen then (``sync.line``). The earliest complete submission by *received* order
holds the prospect; nothing a later claimant does changes that order; a person's decision does, with a reason.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

from rules.calendar import Calendar
from rules.dues import last_day_of
from rules.facts import View
from rules.program import Program
from rules.records import (
    Account,
    Activity,
    Contract,
    Decision,
    Enrollment,
    FraudFinding,
    Introduction,
    Opportunity,
    Partner,
    Referral,
    Review,
)  # fmt: skip
from rules.tasks import TaskLog, Wanted
from sync.intake import Intake, checked, standing_at
from sync.line import REMINDED, Line, Memory, failed_checks, windows_of
from sync.prospects import Prospect, Tie
from sync.snapshot import END, Candidate, Snapshot
from sync.verdicts import Claim, Verdict

ENDED = {"returned", "rejected"}


@dataclass(slots=True)
class ProspectFacts:
    """Everything about one prospect that can move a claim, as timelines of views by record id."""

    referrals: Mapping[str, Sequence[View[Referral]]]
    reviews: Mapping[str, Sequence[View[Review]]]
    decisions: Mapping[str, Sequence[View[Decision]]]
    opportunities: Mapping[str, Sequence[View[Opportunity]]]
    contracts: Mapping[str, Sequence[View[Contract]]]
    enrollments: Mapping[str, Sequence[View[Enrollment]]]
    """Enrollments of the claiming partners in this program."""
    partners: Mapping[str, Sequence[View[Partner]]]
    accounts: Mapping[str, Sequence[View[Account]]] = field(default_factory=dict)
    activities: Mapping[str, Sequence[View[Activity]]] = field(default_factory=dict)
    introductions: Mapping[str, Sequence[View[Introduction]]] = field(default_factory=dict)
    fraud: Mapping[str, Sequence[View[FraudFinding]]] = field(default_factory=dict)
    kin: Sequence[str] = ()
    """Accounts above or below this prospect's account in the corporate tree that others claim."""


@dataclass(frozen=True, slots=True)
class Judged:
    """The claims to a prospect in order of receipt, the tasks they call for, and the dates to come on which a claim
    changes by time alone."""

    claims: list[Claim]
    tasks: TaskLog
    wakes: list[date]


def replay(
    program: Program, prospect: Prospect, ties: Mapping[str, Sequence[Tie]], facts: ProspectFacts, until: datetime
) -> Judged:
    """Judge every claim to one prospect at every instant before ``until``.

    Source: NT-1..NT-9, NT-13, NT-14, ON-2..ON-5, ON-14, ON-22, CN-44, CN-48, TC-22, OP-18..OP-20, G-7, G-9.
    """
    return _Replay(program, prospect, ties, facts).run(until)


class _Replay:
    def __init__(
        self, program: Program, prospect: Prospect, ties: Mapping[str, Sequence[Tie]], facts: ProspectFacts
    ) -> None:
        self._program = program
        self._calendar: Calendar = program.calendar
        self._ties = ties
        self._facts = facts
        self._seen = Snapshot(program, prospect, tuple(facts.kin))
        self._claims: dict[str, Claim] = {}
        self._rank_at: dict[str, datetime] = {}
        self._learned: dict[str, dict[str, datetime]] = {}
        self._part: dict[str, str] = {}
        self._number: dict[str, int] = {}
        self._intakes: dict[str, Intake] = {}
        """What the intake check found of each referral, until anything that it looks at reads otherwise."""
        self._memory = Memory()
        self._changed_at: dict[str, datetime] = {}
        self._tasks = TaskLog(program.id)

    def run(self, until: datetime) -> Judged:
        changes = sorted(self._changes(), key=lambda change: (change[0], change[1], change[2]))
        every = self._timers()
        timers = [timer for timer in every if timer < until]
        index = 0
        while index < len(changes) or timers:
            instant = min([c[0] for c in changes[index : index + 1]] + timers[:1])
            if instant >= until:
                break
            timers = [timer for timer in timers if timer > instant]
            while index < len(changes) and changes[index][0] == instant:
                _, kind, name, view = changes[index]
                self._see(kind, name, view)
                index += 1
            self._judge(instant)
        wakes = [self._calendar.date_of(timer) for timer in every if timer >= until]
        return Judged(sorted(self._claims.values(), key=self._order), self._tasks, wakes)

    def _order(self, claim: Claim) -> tuple[datetime, str]:
        return self._rank_at.get(claim.referral, END), claim.referral

    def _changes(self) -> Iterator[tuple[datetime, str, str, View[Any]]]:
        facts = self._facts
        timelines: tuple[tuple[str, Mapping[str, Sequence[View[Any]]]], ...] = (
            ("account", facts.accounts),
            ("activity", facts.activities),
            ("contract", facts.contracts),
            ("decision", facts.decisions),
            ("enrollment", facts.enrollments),
            ("fraud_finding", facts.fraud),
            ("introduction", facts.introductions),
            ("opportunity", facts.opportunities),
            ("partner", facts.partners),
            ("referral", facts.referrals),
            ("review", facts.reviews),
        )
        for kind, records in timelines:
            for name, views in records.items():
                for view in views:
                    yield view.at, kind, name, view
        for name, ties in self._ties.items():
            for tie in ties:
                yield tie.at, "tie", name, View(tie.at, None)

    def _timers(self) -> list[datetime]:
        """Instants at which a claim changes by the passing of time alone: its expiry, its reminders, a signature to come."""
        instants = {
            self._calendar.start_of(seen.fact.agreement_signed_on)
            for enrollment in self._facts.enrollments.values()
            for seen in enrollment
            if seen.fact is not None and seen.fact.agreement_signed_on is not None
        }
        approvals: dict[str, set[date]] = {}
        for reviews in self._facts.reviews.values():
            for seen in reviews:
                if seen.fact is not None and seen.fact.outcome == "approved":
                    approvals.setdefault(seen.fact.referral, set()).add(self._calendar.date_of(seen.fact.at))
        for decisions in self._facts.decisions.values():
            for said in decisions:
                if said.fact is not None and said.fact.choice == "extend" and said.fact.until is not None:
                    instants.add(self._calendar.end_of(said.fact.until))
        for name, views in self._facts.referrals.items():
            for view in views:
                if view.fact is None:
                    continue
                submitted = self._calendar.date_of(view.fact.submitted_at)
                terms = self._program.on(submitted)
                starts = {submitted, self._calendar.date_of(max(view.fact.submitted_at, view.at))}
                for start in starts | approvals.get(name, set()):
                    for _, length in windows_of(terms, None):
                        last = last_day_of(terms, start, length)
                        instants.add(self._calendar.end_of(last))
                        instants.add(self._calendar.start_of(last - REMINDED))
                    stale = terms.values.get("stale_days")
                    if isinstance(stale, int):
                        instants.add(self._calendar.start_of(start + timedelta(days=stale)))
        return sorted(instants)

    def _see(self, kind: str, name: str, view: View[Any]) -> None:
        if kind == "tie":
            return
        if kind in ("referral", "partner", "enrollment"):
            self._intakes.clear()
        if view.fact is None:
            self._seen.now[kind].pop(name, None)
            return
        self._seen.now[kind][name] = view.fact
        if kind == "referral":
            self._number[name] = view.number
            self._changed_at[name] = view.at

    def _judge(self, instant: datetime) -> None:
        today = self._calendar.date_of(instant)
        wanted: list[Wanted] = []
        candidates = self._candidates(instant)
        verdicts: dict[str, Verdict] = {}
        for name in self._facts.referrals:
            if name not in self._seen.now["referral"] and name in self._claims:
                last = self._claims[name].last
                verdicts[name] = Verdict("withdrawn", None, last.account, (), "the referral was withdrawn")
        valid = []
        for candidate in candidates:
            verdict = self._outside(candidate)
            if verdict is not None:
                verdicts[candidate.id] = verdict
            else:
                valid.append(candidate)
        for group in self._parted(valid, instant):
            line = Line(self._seen, instant, group, self._memory)
            line.judge()
            verdicts |= line.verdicts
            wanted += line.wanted
        for name, verdict in verdicts.items():
            claim = self._claims.get(name)
            if claim is None:
                claim = self._claims[name] = Claim(name, self._seen.now["referral"][name].partner)
            if not claim.verdicts or claim.last != verdict:
                claim.verdicts.append((instant, verdict))
        self._tasks.update(today, wanted)

    def _parted(self, valid: list[Candidate], instant: datetime) -> list[list[Candidate]]:
        """The claims by what was known then to be one company; a later merge never rewrites what was before it."""
        parts: dict[str, list[Candidate]] = {}
        for candidate in valid:
            parts.setdefault(candidate.tie.part if candidate.tie else "", []).append(candidate)
        for part, group in parts.items():
            known = self._learned.setdefault(part, {})
            moved_whole = not known
            for candidate in group:
                before = self._learned.get(self._part.get(candidate.id, part), {})
                if candidate.id not in known:
                    known[candidate.id] = before.get(candidate.id, instant) if moved_whole else instant
            for candidate in group:
                candidate.learned_at = known[candidate.id]
                self._part[candidate.id] = part
        return [parts[part] for part in sorted(parts)]

    def _candidates(self, instant: datetime) -> list[Candidate]:
        found = []
        for name in sorted(self._seen.now["referral"]):
            referral: Referral = self._seen.now["referral"][name]
            partner = self._seen.now["partner"].get(referral.partner)
            if name not in self._intakes:
                day = self._calendar.date_of(referral.submitted_at)
                enrollments = self._enrollments_of(referral, referral.submitted_at)
                self._intakes[name] = checked(referral, partner, enrollments, day, self._program)
            intake = self._intakes[name]
            if not intake.missing and name not in self._rank_at:
                first = self._number[name] == 1
                self._rank_at[name] = referral.submitted_at if first else instant
            reviews = sorted(
                (r for r in self._seen.now["review"].values() if r.referral == name), key=lambda r: (r.at, r.id)
            )
            review = reviews[-1] if reviews else None
            override = review if review and review.outcome == "approved" and review.override else None
            ended = review.outcome if review and review.outcome in ENDED else None
            again_at = None
            if ended == "returned" and self._by_review(referral) and self._changed_at[name] > review.at:  # type: ignore[union-attr]
                ended, review, again_at = None, None, self._changed_at[name]  # sent in again with what was missing
            approved = review if review and review.outcome == "approved" and self._by_review(referral) else None
            failed = failed_checks(approved) if approved and override is None else ()
            if override is not None:
                self._rank_at.setdefault(name, override.at)
            found.append(
                Candidate(
                    name,
                    referral,
                    self._rank_at.get(name, instant),
                    intake,
                    review,
                    approval=approved.at if approved and not failed else None,
                    enrollments=tuple(self._enrollments_of(referral, approved.at if approved else instant)),
                    failed_checks=failed,
                    ended=ended,
                    overridden=override,
                    tie=self._tie_of(name, instant),
                    again_at=again_at,
                )  # fmt: skip
            )
        return found

    def _by_review(self, referral: Referral) -> bool:
        terms = self._program.on(self._calendar.date_of(referral.submitted_at))
        return terms.claims.activation == "review"

    def _enrollments_of(self, referral: Referral, at: datetime) -> Iterator[Enrollment]:
        """The partner's enrollments, each in the standing it had then: leaving later undoes no claim, and what was
        mended after the review needs another one."""
        for name, enrollment in self._seen.now["enrollment"].items():
            if enrollment.partner == referral.partner:
                yield standing_at(self._facts.enrollments[name], at) or enrollment

    def _tie_of(self, name: str, instant: datetime) -> Tie | None:
        found = None
        for tie in self._ties.get(name, ()):
            if tie.at <= instant:
                found = tie
        return found

    def _outside(self, candidate: Candidate) -> Verdict | None:
        """The verdict of a claim that is not in the line at all, or ``None`` when it is."""
        account = self._seen.account_of(candidate)
        intake = candidate.intake
        if candidate.overridden:
            return None
        if intake.inadmissible:
            state = "inadmissible"
        elif intake.missing:
            state = "incomplete"
        else:
            return None
        if candidate.ended:
            state = candidate.ended
        return Verdict(state, None, account, intake.failed, intake.because)
