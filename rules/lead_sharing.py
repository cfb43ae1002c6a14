"""Rule: the vendor's own leads are offered to partners of a high enough tier, one at a time, each for 24 hours.

Who answers in its turn has the lead and reports what became of it; who does not answer passes it on. A lead taken out
of turn is for a person to decide. Source: CN-107..CN-115, CN-A20, CN-A21, CN-A22.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

from rules.calendar import Calendar
from rules.enrolled import enrolled, tier_on
from rules.facts import View
from rules.program import Program
from rules.records import Enrollment, Partner, SharedLead
from rules.settings import TIERS
from rules.tasks import Task
from rules.terms import LeadSharingTerms
from rules.tiers import Step

Enrollments = Mapping[str, Mapping[str, Sequence[View[Enrollment]]]]
Tiers = Mapping[str, Sequence[Step]]


@dataclass(frozen=True, slots=True)
class LeadHold:
    """A lead was a partner's to answer or to pursue from ``since`` up to ``until`` (``None``: still)."""

    lead: str
    partner: str
    since: datetime
    until: datetime | None


@dataclass(frozen=True, slots=True)
class Shared:
    """A lead that a partner took: its later referral of this company is the vendor's lead (CN-A22)."""

    lead: str
    partner: str
    company: str
    offered_at: datetime


@dataclass(slots=True)
class LeadSharing:
    """What the shared leads of a program call for, and who held each when."""

    tasks: list[Task] = field(default_factory=list)
    holds: list[LeadHold] = field(default_factory=list)
    offered: list[LeadHold] = field(default_factory=list)
    """The holds, and those that were told before it was learned that they were none."""


def shared_leads(program: Program, leads: Mapping[str, Sequence[View[SharedLead]]]) -> list[Shared]:
    """The leads of this program that partners took, in turn or not; a withdrawn one is none."""
    found = []
    for name, timeline in sorted(leads.items()):
        fact = timeline[-1].fact
        if fact is not None and fact.program == program.id and fact.taken_by is not None:
            found.append(Shared(name, fact.taken_by, fact.company, fact.offered_at))
    return found


def lead_sharing_of(
    program: Program,
    leads: Mapping[str, Sequence[View[SharedLead]]],
    enrollments: Enrollments,
    partners: Mapping[str, Sequence[View[Partner]]],
    tiers: Tiers,
    until: datetime,
) -> LeadSharing:
    """Replay the offers of every lead of this program up to an instant. Raises: nothing."""
    found = LeadSharing()
    for name, timeline in sorted(leads.items()):
        first = next(view.fact for view in timeline if view.fact is not None)
        term = program.on(program.calendar.date_of(first.offered_at)).lead_sharing
        if first.program != program.id or term is None:
            continue
        own = LeadSharing()
        _Lead(program, term, name, timeline, enrollments, partners, tiers, until, own).run()
        for number in range(len(timeline) - 1, 0, -1):
            before, learned_at = LeadSharing(), timeline[number].at
            _Lead(program, term, name, timeline[:number], enrollments, partners, tiers, learned_at, before).run()
            _keep(own.tasks, before.tasks, program.calendar.date_of(learned_at))
            known = {(hold.partner, hold.since) for hold in (*own.holds, *own.offered)}
            own.offered += [h for h in before.holds if h.since < learned_at and (h.partner, h.since) not in known]
        found.tasks += own.tasks
        found.holds += own.holds
        found.offered += own.holds + own.offered
    return found


def _keep(tasks: list[Task], before: Sequence[Task], learned_on: date) -> None:
    """What was asked for before more was learned of a lead stays, and is closed on that day when it is asked for no more."""
    keys = {task.key for task in tasks}
    for task in before:
        if task.key not in keys and task.opened_on < learned_on:
            task.done_on = task.done_on or learned_on
            tasks.append(task)


class _Lead:
    """One lead, as it read last; its own instants decide, however late they were learned."""

    def __init__(
        self, program: Program, term: LeadSharingTerms, name: str, timeline: Sequence[View[SharedLead]],
        enrollments: Enrollments, partners: Mapping[str, Sequence[View[Partner]]], tiers: Tiers, until: datetime,
        found: LeadSharing,
    ) -> None:  # fmt: skip
        self._program = program
        self._calendar: Calendar = program.calendar
        self._term = term
        self._name = name
        self._timeline = timeline
        self._enrollments = enrollments
        self._partners = partners
        self._tiers = tiers
        self._found = found
        readings = [(view.at, view.fact) for view in timeline if view.fact is not None]
        self._fact = readings[-1][1]
        self._ends = timeline[-1].at if timeline[-1].fact is None else until
        """When the lead was withdrawn, or when the replay ends."""
        self._is_withdrawn = timeline[-1].fact is None
        self._taken_at = None
        if self._fact.taken_by is not None:
            known_at = next(at for at, fact in readings if fact.taken_by is not None)
            self._taken_at = self._fact.taken_at or known_at
        self._from: dict[str, datetime] = {}
        """When each partner came onto the list."""
        for number, (at, fact) in enumerate(readings):
            for partner in fact.offers:
                self._from.setdefault(partner, at if number else fact.offered_at)
        values = program.on(self._calendar.date_of(self._fact.offered_at)).values
        self._lowest = str(values["lead_share_min_tier"])
        self._one_by_one = values["offer_mode"] == "sequential"
        self._left = list(dict.fromkeys(self._fact.offers))

    def run(self) -> None:
        """Offer the lead to one after the other until it is taken or withdrawn, nobody is left, or the time is up."""
        at = self._fact.offered_at
        while at < self._ends:
            holders = self._turn(at)
            later = min((self._from[partner] for partner in self._left), default=None)
            passes_at = at + timedelta(hours=self._term.answer_hours) if holders else later
            if self._taken_at is not None and (passes_at is None or self._taken_at <= passes_at):
                if holders:
                    self._offer(at, holders, self._taken_at)
                elif self._taken_at > at:
                    self._nobody(at, self._taken_at)
                self._take(self._taken_at, self._fact.taken_by or "", holders)
                return
            if holders:
                self._offer(at, holders, None)
            else:
                self._nobody(at, later)
            if passes_at is None:
                return
            at = passes_at

    def _turn(self, at: datetime) -> list[str]:
        """Whose turn it is: the first of the list, or in parallel all, that are eligible (CN-108, CN-110)."""
        today = self._calendar.date_of(at)
        turn: list[str] = []
        refused: list[str] = []
        for partner in [partner for partner in self._left if self._from[partner] <= at]:
            if turn and self._one_by_one:
                break
            self._left.remove(partner)
            reason = self._ineligible(partner, today)
            if reason is None:
                turn.append(partner)
            else:
                refused.append(f"{partner} {reason}")
        if refused:
            task = self._task("lead_offer_refused", at, self._term.eligibility_clauses)
            task.because = f"not offered: {'; '.join(refused)}"
            task.done_on = task.opened_on
        return turn

    def _ineligible(self, partner: str, today: date) -> str | None:
        if not any(today in span for span in enrolled(self._enrollments.get(partner, {}), self._calendar)):
            return "is not in the program"
        tier = tier_on(self._tiers.get(partner, ()), today)
        if tier is None or TIERS.index(tier) < TIERS.index(self._lowest):
            return f"has tier {tier or 'none'}; allowed: {self._lowest} and above"
        return None

    def _offer(self, at: datetime, holders: Sequence[str], taken_at: datetime | None) -> None:
        """Offer it for the hours that an answer may take, unless it is taken or withdrawn before."""
        passes_at = at + timedelta(hours=self._term.answer_hours)
        task = self._task("lead_offer", at, self._term.match_clauses + self._term.answer_clauses)
        task.due_on = self._calendar.date_of(passes_at)
        task.because = self._offered(holders, passes_at)
        ended_at: datetime | None = None
        if taken_at is not None:
            ended_at = taken_at
        elif passes_at < self._ends:
            ended_at = passes_at
            task.because += "; not answered in time, so it goes to the next"
        elif self._is_withdrawn:
            ended_at = self._ends
        if ended_at is not None:
            task.done_on = self._calendar.date_of(ended_at)
        for holder in holders:
            has_it = taken_at is not None and holder == self._fact.taken_by
            withdrawn_at = self._ends if self._is_withdrawn else None
            self._found.holds.append(LeadHold(self._name, holder, at, withdrawn_at if has_it else ended_at))

    def _offered(self, holders: Sequence[str], passes_at: datetime) -> str:
        """What the offer shows, and where the partner and the lead are apart (CN-109, CN-111)."""
        fact = self._fact
        known = "; ".join(filter(None, (fact.source, fact.country, ", ".join(fact.services or ()))))
        text = f"{fact.company} ({known}) is offered to {', '.join(holders)} until {self._calendar.local(passes_at)}"
        for holder in holders:
            views = self._partners.get(holder, ())
            country = next((view.fact.country for view in reversed(views) if view.fact), None)
            if country and fact.country and country != fact.country:
                text += f"; {holder} is in {country}"
        return text

    def _nobody(self, at: datetime, later: datetime | None) -> None:
        """Nobody is left to offer it to: the vendor decides what to do, until somebody is put on the list or takes it."""
        task = self._task("lead_unanswered", at, self._term.turn_clauses)
        task.because = f"no partner that {self._fact.company} may be offered to is left"
        if later is not None and later < self._ends:
            task.done_on = self._calendar.date_of(later)
        elif self._is_withdrawn:
            task.done_on = self._calendar.date_of(self._ends)

    def _take(self, at: datetime, taker: str, holders: Sequence[str]) -> None:
        """Somebody took it: in its turn, or for a person to decide; then what became of it is asked for."""
        term, company = self._term, self._fact.company
        if taker not in holders:
            turn = f"it was the turn of {', '.join(holders)}" if holders else "it was nobody's turn"
            task = self._task("lead_taken_out_of_turn", at, term.turn_clauses + term.answer_clauses)
            task.because = f"{taker} took {company} at {self._calendar.local(at)}; {turn}"
        else:
            task = self._task("lead_assignment", at, term.handover_clauses)
            task.because = f"{taker} is given all that is known of {company} and is introduced if needed"
        task = self._task("lead_outcome", at, term.outcome_clauses)
        task.because = f"{taker} keeps the vendor updated on {company} and reports won or lost"
        told_at = next((v.at for v in self._timeline if v.fact and v.fact.taken_by and v.fact.outcome), None)
        if told_at is None and self._is_withdrawn:
            told_at = self._ends
        if told_at is not None:
            task.done_on = self._calendar.date_of(max(told_at, at))

    def _task(self, kind: str, at: datetime, clauses: tuple[str, ...]) -> Task:
        task = Task(self._program.id, kind, self._name, self._calendar.date_of(at), None, clauses, "")
        self._found.tasks.append(task)
        return task
