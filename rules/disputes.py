"""Rule: a partner may dispute a statement, an entry or a registered deal in time; while it waits, the money is held.

A dispute is decided within a week and may be appealed; a final decision replaces the first. What a decision changes is
an entry of the difference, never an edit. One raised too late is refused with its clause.
Source: CN-35, CN-36, CN-37, CN-38, CN-A25, CN-V4.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, Literal

from rules.calendar import DAY, Period
from rules.dues import due_for, last_day_of, period_end
from rules.enrolled import enrolled
from rules.facts import View
from rules.ledger import Entry, Ledger
from rules.money import ZERO, rounded, text
from rules.program import Program
from rules.records import Contract, Dispute, Enrollment
from rules.statements import Hold
from rules.tasks import Task
from rules.terms import DisputeTerms, Terms

_STATEMENT = re.compile(r"^(?P<program>[^:]+):(?P<partner>.+):(?P<day>\d{4}-\d{2}-\d{2}):(?P<currency>[A-Z]{3})$")


@dataclass(frozen=True, slots=True)
class Subject:
    """What a dispute is about: whose it is, and from which day on the time for disputing it runs.

    ``partner`` is ``None`` for a contract that belongs to no claim; ``opened_on`` for an entry not yet on a statement.
    """

    kind: Literal["statement", "contract", "entry"]
    partner: str | None
    opened_on: date | None
    currency: str
    known_on: date
    """Since which day it is known."""
    referral: str | None = None
    contract: str | None = None


@dataclass(slots=True)
class Disputable:
    """Where the subjects of a program's disputes are looked up."""

    program: Program
    entries: Mapping[str, Entry]
    stated_on: Mapping[str, date]
    """For each entry on a statement that was cut, the day of the cut."""
    contracts: Mapping[str, Sequence[View[Contract]]]
    claimed: Mapping[str, tuple[str, str]]
    """For each contract of a claim, its partner and referral."""

    def subject(self, text: str) -> Subject | None:
        """What a dispute's text names in this program, or ``None``."""
        entry = self.entries.get(text)
        if entry is not None:
            stated_on, known_on = self.stated_on.get(text), self.program.calendar.date_of(entry.posted_at)
            return Subject("entry", entry.partner, stated_on, entry.currency, known_on, entry.referral, entry.contract)
        statement = _STATEMENT.match(text)
        if statement is not None and statement["program"] == self.program.id:
            starts = date.fromisoformat(statement["day"])
            cut_on = period_end(self.program.on(starts), starts) + DAY
            return Subject("statement", statement["partner"], cut_on, statement["currency"], date.min)
        timeline = self.contracts.get(text)
        if timeline is None:
            return None
        signed = next(view for view in timeline if view.fact is not None)
        partner, referral = self.claimed.get(text, (None, None))
        assert signed.fact is not None
        registered_on = self.program.calendar.date_of(signed.at)
        return Subject("contract", partner, registered_on, signed.fact.currency, registered_on, referral, text)


@dataclass(slots=True)
class Disputes:
    """What the disputes of a program call for, and what waits because of them."""

    tasks: list[Task] = field(default_factory=list)
    holds: list[Hold] = field(default_factory=list)


def disputes_of(
    program: Program,
    disputes: Mapping[str, Sequence[View[Dispute]]],
    disputable: Disputable,
    enrollments: Mapping[str, Mapping[str, Sequence[View[Enrollment]]]],
    ledger: Ledger,
) -> Disputes:
    """Replay every dispute about something of this program and post what was decided to the ledger.

    Units: the subject's currency. Raises: nothing; a dispute that cannot be taken is a task ``dispute_refused``.
    """
    found = Disputes()
    for name, timeline in sorted(disputes.items(), key=lambda each: (each[1][0].at, each[0])):
        fact = _last(timeline)
        terms = program.on(fact.raised_on)
        subject = disputable.subject(fact.subject)
        in_program = any(
            fact.raised_on in span for span in enrolled(enrollments.get(fact.partner, {}), program.calendar)
        )
        is_ours = in_program if subject is None or subject.kind == "contract" else True
        if terms.disputes is None or not is_ours:
            continue
        if subject is None and _is_elsewhere(fact.subject, program):
            continue
        _Dispute(program, terms, terms.disputes, name, timeline, subject, ledger, found).run()
    return found


def _is_elsewhere(subject: str, program: Program) -> bool:
    """Whether the text is the id of something that another program made."""
    return ":" in subject and not subject.startswith(f"{program.id}:")


class _Dispute:
    def __init__(
        self, program: Program, terms: Terms, term: DisputeTerms, name: str, timeline: Sequence[View[Dispute]],
        subject: Subject | None, ledger: Ledger, found: Disputes,
    ) -> None:  # fmt: skip
        self._program = program
        self._terms = terms
        self._term = term
        self._name = name
        self._timeline = timeline
        self._fact = _last(timeline)
        self._subject = subject
        self._ledger = ledger
        self._found = found
        self._posted = ZERO

    def run(self) -> None:
        """Refuse the dispute, or follow it to its end."""
        refusal = self._refusal()
        if refusal is not None:
            self._refuse(self._timeline[0].at, *refusal)
            return
        raised_at, fact = self._timeline[0].at, self._fact
        if self._subject is not None and self._subject.known_on > self._program.calendar.date_of(raised_at):
            self._refuse(raised_at, *self._unknown())  # as it was then; now that the subject is known, it is taken
        decided_at = self._first("decided_on")
        due_on = fact.raised_on + timedelta(days=self._term.decision_days)
        because = f"{fact.partner} disputes {fact.subject}: {fact.reason}"
        self._follow("dispute_decision", raised_at, decided_at, due_on, self._term.decision_clauses, because)
        appealed_at = self._appealed_at(decided_at)
        final_at = self._first("final_on") if appealed_at is not None else None
        if appealed_at is not None and fact.appealed_on is not None:
            due_on = fact.appealed_on + timedelta(days=self._term.final_days)
            because = f"{fact.partner} appeals the decision of {fact.decided_on} about {fact.subject}"
            self._follow("appeal_decision", appealed_at, final_at, due_on, self._term.final_clauses, because)
        self._post(final_at)

    def _refusal(self) -> tuple[tuple[str, ...], str] | None:
        """Why the dispute cannot be taken: nothing of the partner's, or too late (CN-35, CN-38)."""
        fact, term, subject = self._fact, self._term, self._subject
        if subject is None:
            return self._unknown()
        of_contract = subject.kind == "contract"
        clauses = term.registration_clauses if of_contract else term.statement_clauses
        if subject.partner not in (None, fact.partner):
            return clauses, f"{fact.subject} is {subject.partner}'s, not {fact.partner}'s"
        if subject.opened_on is None:
            return None
        days = term.registration_days if of_contract else term.statement_days
        last = last_day_of(self._terms, subject.opened_on, Period(days=days))
        if fact.raised_on <= last:
            return None
        since = "was registered" if of_contract else "was stated"
        return (
            clauses,
            f"raised on {fact.raised_on}; {fact.subject} {since} on {subject.opened_on}, the last day is {last}",
        )

    def _unknown(self) -> tuple[tuple[str, ...], str]:
        allowed = "a statement, an entry or a contract of this program"
        return self._term.statement_clauses, f"found subject {self._fact.subject}; allowed: {allowed}"

    def _refuse(self, at: datetime, clauses: tuple[str, ...], because: str) -> None:
        day = self._program.calendar.date_of(at)
        self._found.tasks.append(
            Task(self._program.id, "dispute_refused", self._name, day, None, clauses, because, done_on=day)
        )

    def _appealed_at(self, decided_at: datetime | None) -> datetime | None:
        """When a timely appeal became known; a later one is refused (CN-37, CN-A25)."""
        fact, at = self._fact, self._first("appealed_on")
        if at is None or decided_at is None or fact.decided_on is None or fact.appealed_on is None:
            return None
        days = self._terms.values["appeal_within_days"]
        assert isinstance(days, int)
        last = last_day_of(self._terms, fact.decided_on, Period(days=days))
        if fact.appealed_on <= last:
            return max(at, decided_at)
        clauses = self._term.final_clauses + self._terms.clauses_of("appeal_within_days")
        self._refuse(
            at, clauses, f"appealed on {fact.appealed_on}; decided on {fact.decided_on}, the last day is {last}"
        )
        return None

    def _first(self, event: str) -> datetime | None:
        """When an event of the dispute became known."""
        return next((v.at for v in self._timeline if v.fact and getattr(v.fact, event) is not None), None)

    def _follow(
        self, kind: str, since: datetime, answered_at: datetime | None, due_on: date, clauses: tuple[str, ...], because: str
    ) -> None:  # fmt: skip
        """A task until it is answered, or withdrawn, and the money that waits for it."""
        if answered_at is None and self._timeline[-1].fact is None:
            answered_at = self._timeline[-1].at
        calendar = self._program.calendar
        task = Task(self._program.id, kind, self._name, calendar.date_of(since), due_on, clauses, because)
        task.done_on = None if answered_at is None else calendar.date_of(answered_at)
        self._found.tasks.append(task)
        assert self._subject is not None
        if since != answered_at:
            self._found.holds.append(Hold(self._subject.kind, self._fact.subject, since, answered_at, disputed=True))

    def _post(self, final_at: datetime | None) -> None:
        """Post what each reading of the dispute changes: first decided, then finally (CN-36, CN-37)."""
        first_result = ZERO
        for view in self._timeline:
            fact = view.fact
            if fact is None:
                self._adjust(view.at, None, ZERO, self._term.decision_clauses, "the dispute was withdrawn")
                continue
            if fact.decided_on is None:
                continue
            is_final = final_at is not None and view.at >= final_at and fact.final_on is not None
            if not is_final:
                first_result = _result(fact.outcome, fact.adjustment)
            amount = first_result
            if is_final and fact.final_outcome != "rejected":
                amount = _result(fact.final_outcome, fact.adjustment)
            outcome, day = (fact.final_outcome, fact.final_on) if is_final else (fact.outcome, fact.decided_on)
            clauses = self._term.final_clauses if is_final else self._term.decision_clauses
            because = f"dispute of {fact.subject} {'finally ' if is_final else ''}{outcome} on {day}: {fact.reason}"
            self._adjust(view.at, day, amount, clauses, because)

    def _adjust(self, at: datetime, day: date | None, amount: Decimal, clauses: tuple[str, ...], because: str) -> None:
        """Post the difference between what stands now and what was posted before."""
        subject, calendar = self._subject, self._program.calendar
        assert subject is not None
        difference = rounded(amount, subject.currency) - self._posted
        if not difference:
            return
        today = calendar.date_of(at)
        earned_on = day or today
        if self._posted:
            because += f"; {text(self._posted, subject.currency)} {subject.currency} was adjusted before"
        source = ("dispute", self._name)
        self._ledger.post(
            Entry(
                key=self._ledger.next_key(subject.referral, "adjustment", source), program=self._program.id,
                partner=self._fact.partner, referral=subject.referral, contract=subject.contract, kind="adjustment",
                source=source, basis=None, rate=None, amount=difference, currency=subject.currency, earned_on=earned_on,
                posted_at=at, states_on=today, releases_on=earned_on, due_on=due_for(self._terms, calendar, earned_on),
                corrects=self._fact.subject if subject.kind == "entry" else None, clauses=clauses, because=because,
            )
        )  # fmt: skip
        self._posted += difference


def _result(outcome: str | None, adjustment: Decimal | None) -> Decimal:
    return adjustment if adjustment is not None and outcome in ("upheld", "adjusted") else ZERO


def _last(timeline: Sequence[View[Any]]) -> Any:
    return next(view.fact for view in reversed(timeline) if view.fact is not None)
