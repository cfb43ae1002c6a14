"""Rule: co-op marketing funds: a year's amount by tier, spent on approved campaigns, reimbursed against documents.

An approval sets its amount aside; the documents turn it into an entry of kind ``co_op``, which is paid by itself and
stands on no statement. What is not spent goes on to the next quarter and ends with the year. Nothing is
paid without an approval before the spending, for a use that is not listed, or beyond the fund: that is a refusal with
its clauses. Source: CN-6, CN-96..CN-102, CN-106, CN-A23.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from rules.calendar import DAY, add_months, quarter_start
from rules.enrolled import enrolled, tier_on
from rules.facts import View
from rules.ledger import Entry, Ledger
from rules.money import EXACT, ZERO, rounded, text
from rules.program import Program
from rules.records import CoOpRequest, Enrollment
from rules.tasks import Task
from rules.terms import CoOpTerms
from rules.tiers import Step


@dataclass(frozen=True, slots=True)
class Allocation:
    """What came into a partner's fund of the year on a day, in the program's currency."""

    on: date
    tier: str
    amount: Decimal


@dataclass(frozen=True, slots=True)
class Movement:
    """What an approval or its documents did to the fund of ``year``: set aside (negative: freed) and spent."""

    on: date
    year: int
    committed: Decimal
    spent: Decimal


@dataclass(slots=True)
class CoOpFund:
    """A partner's fund: what came in, what happened to it, and its tasks."""

    partner: str
    currency: str
    allocations: list[Allocation] = field(default_factory=list)
    movements: list[Movement] = field(default_factory=list)
    tasks: list[Task] = field(default_factory=list)

    def allocated(self, year: int, on: date) -> Decimal:
        """What came into the fund of a year up to and including a day."""
        return sum((each.amount for each in self.allocations if each.on.year == year and each.on <= on), ZERO)

    def left(self, year: int, on: date) -> Decimal:
        """What of the fund of a year is neither set aside nor spent on a day; nothing once the year is over."""
        if on.year != year:
            return ZERO
        return self.allocated(year, on) - sum((m.committed + m.spent for m in self.movements if m.year == year), ZERO)


@dataclass(frozen=True, slots=True)
class Quarter:
    """One quarter of a fund: carried in, allocated, set aside (negative: freed), spent, expired, and what is left."""

    partner: str
    currency: str
    starts_on: date
    carried: Decimal
    allocated: Decimal
    committed: Decimal
    spent: Decimal
    expired: Decimal

    @property
    def left(self) -> Decimal:
        """What goes on to the next quarter of the year."""
        return self.carried + self.allocated - self.committed - self.spent - self.expired

    def row(self) -> dict[str, Any]:
        """The quarter as the co-op report shows it."""
        figures = ("carried", "allocated", "committed", "spent", "expired", "left")
        return {
            "partner": self.partner,
            "quarter": f"{self.starts_on.year} Q{(self.starts_on.month + 2) // 3}",
            "currency": self.currency,
            **{name: text(getattr(self, name), self.currency) for name in figures},
        }


def co_op_of(
    program: Program,
    partner: str,
    requests: Mapping[str, Sequence[View[CoOpRequest]]],
    enrollments: Mapping[str, Sequence[View[Enrollment]]],
    steps: Sequence[Step],
    ledger: Ledger,
    as_of: date,
) -> CoOpFund:
    """Replay a partner's fund up to and including ``as_of`` and post its reimbursements to the ledger.

    Units: the program's currency. Rounding: a prorated top-up once, half to even. Raises: nothing.
    """
    fund = CoOpFund(partner, program.currency, list(_allocations(program, enrollments, steps, as_of)))
    spans = enrolled(enrollments, program.calendar)
    open_requests: dict[str, _Request] = {}
    events = [(view.at, name, view.fact) for name, timeline in requests.items() for view in timeline]
    for at, name, fact in sorted(events, key=lambda event: event[:2]):
        request = open_requests.get(name)
        if request is None:
            today = program.calendar.date_of(at)
            term = program.on(today).co_op
            if fact is None or term is None or not any(today in span for span in spans):
                continue
            request = open_requests[name] = _Request(program, term, fund, ledger, name, today)
        request.see(at, fact)
    for name in sorted(open_requests):
        fund.tasks += open_requests[name].tasks()
    return fund


def _allocations(
    program: Program, enrollments: Mapping[str, Sequence[View[Enrollment]]], steps: Sequence[Step], as_of: date
) -> Iterator[Allocation]:
    """The year's amount on 1 January or on joining, and what a promotion adds (CN-6, CN-96, CN-A23)."""
    most: dict[int, Decimal] = {}
    for span in enrolled(enrollments, program.calendar):
        days = {span.since, *(step.since for step in steps if step.since in span)}
        last_year = min(as_of, span.until - DAY).year
        days |= {date(year, 1, 1) for year in range(span.since.year + 1, last_year + 1)}
        for day in sorted(days):
            tier = tier_on(steps, day)
            terms = program.on(day)
            if day > as_of or tier is None or terms.tiers is None or terms.co_op is None:
                continue
            amount = next((level.co_op for level in terms.tiers.levels if level.tier == tier), ZERO)
            more = amount - most.get(day.year, ZERO)
            if day.year in most:
                more = _on_promotion(str(terms.values["coop_on_promotion"]), more, day, program.currency)
            most[day.year] = max(amount, most.get(day.year, ZERO))
            if more > 0:
                yield Allocation(day, tier, rounded(more, program.currency))


def _on_promotion(how: str, difference: Decimal, day: date, currency: str) -> Decimal:
    if how == "next_year":
        return ZERO
    if how == "prorate":
        year_ends = date(day.year, 12, 31)
        share = EXACT.divide(Decimal((year_ends - day).days + 1), Decimal(year_ends.timetuple().tm_yday))
        return rounded(EXACT.multiply(difference, share), currency)
    return difference


class _Request:
    """One request of a fund, from its first version on."""

    def __init__(
        self, program: Program, term: CoOpTerms, fund: CoOpFund, ledger: Ledger, name: str, today: date
    ) -> None:
        self._program = program
        self._term = term
        self._fund = fund
        self._ledger = ledger
        self._name = name
        self._year: int | None = None
        self._approved: Decimal = ZERO
        self._used = ZERO
        self._is_spent = False
        self._is_reimbursed = False
        self._entries: list[Entry] = []
        self._approval = self._task("co_op_approval", today, None, term.approval_clauses)
        self._later: dict[str, Task] = {}

    def see(self, at: datetime, fact: CoOpRequest | None) -> None:
        """Take note of how the request reads from an instant on."""
        today = self._program.calendar.date_of(at)
        if fact is None:
            self._use(today, ZERO, spent=self._is_spent)
            self._post(at, today, None)
            for task in (self._approval, *self._later.values()):
                task.done_on = task.done_on or today
            return
        refusals = list(self._inadmissible(fact))
        is_open = fact.approved_on is None and fact.documents_on is None and not refusals
        self._approval.done_on = None if is_open else self._approval.done_on or today
        if self._year is None:
            left = text(self._fund.left(today.year, today), self._fund.currency)
            self._approval.because = (
                f"{text(fact.amount, fact.currency)} {fact.currency} for {fact.use}; {left} of the fund is left"
            )
        if refusals:
            self._use(today, ZERO, spent=self._is_spent)
        else:
            refusals = self._take(today, fact)
        self._post(at, today, fact)
        self._ask(today, fact)
        if refusals:
            self._refuse(today, refusals)

    def tasks(self) -> list[Task]:
        """The request's tasks so far."""
        return [self._approval, *self._later.values()]

    def _inadmissible(self, fact: CoOpRequest) -> Iterator[tuple[tuple[str, ...], str]]:
        """Why nothing can be paid, whatever is left of the fund."""
        term = self._term
        if _plain(fact.use) not in {_plain(each) for name, names in term.uses.items() for each in (name, *names)}:
            yield term.use_clauses, f"found use {fact.use!r}; allowed: {', '.join(term.uses)}"
        if fact.currency != self._fund.currency:
            yield term.allocation_clauses, f"found {fact.currency}; the fund is in {self._fund.currency}"
        if fact.documents_on is not None and (fact.approved_on is None or fact.approved_on > fact.documents_on):
            paid = f"; it was reimbursed all the same on {fact.reimbursed_on}" if fact.reimbursed_on else ""
            yield term.approval_clauses, f"documents of {fact.documents_on} without an approval before spending{paid}"

    def _take(self, today: date, fact: CoOpRequest) -> list[tuple[tuple[str, ...], str]]:
        """Set aside what was approved, then spend what was documented; return what the fund does not cover."""
        if fact.approved_on is None:
            self._use(today, ZERO, spent=self._is_spent)
            return []
        uncovered = []
        day = today
        if self._year is None:
            self._year, self._approved, day = fact.approved_on.year, fact.amount, fact.approved_on
        left = self._used + self._fund.left(self._year, day)
        wanted = min(fact.amount, self._approved)
        if fact.documents_on is not None:
            spent = _spent(fact)
            if spent > wanted:
                because = f"{text(spent, fact.currency)} was spent, {text(wanted, fact.currency)} approved"
                uncovered.append((self._term.approval_clauses, because))
            wanted = min(spent, wanted)
        if wanted > left:
            amounts = f"{text(wanted, fact.currency)} is wanted, {text(left, fact.currency)}"
            clauses = self._term.allocation_clauses + self._term.carry_clauses
            uncovered.append((clauses, f"{amounts} of the fund of {self._year} is left"))
        self._use(today, min(wanted, left), spent=fact.documents_on is not None)
        return uncovered

    def _use(self, today: date, amount: Decimal, *, spent: bool) -> None:
        """The request takes ``amount`` of its year's fund from now on, set aside or spent."""
        if self._year is None or (amount, spent) == (self._used, self._is_spent):
            return
        committed = (ZERO if spent else amount) - (ZERO if self._is_spent else self._used)
        gone = (amount if spent else ZERO) - (self._used if self._is_spent else ZERO)
        self._fund.movements.append(Movement(today, self._year, committed, gone))
        self._used, self._is_spent = amount, spent

    def _post(self, at: datetime, today: date, fact: CoOpRequest | None) -> None:
        """One entry for the documents; what changes later is an entry of the difference."""
        difference = (self._used if self._is_spent else ZERO) - sum((entry.amount for entry in self._entries), ZERO)
        if not difference:
            return
        source = ("co_op_request", self._name)
        first = self._entries[0] if self._entries else None
        earned_on = fact.documents_on if fact and fact.documents_on and first is None else today
        currency = self._fund.currency
        if fact is None:
            because = "the request was withdrawn"
        else:
            because = (
                f"{text(_spent(fact), currency)} {currency} spent on {fact.use}, {text(self._approved, currency)} approved on "
                f"{fact.approved_on}: {text(self._used, currency)} of the fund of {self._year}"
            )
        entry = Entry(
            key=self._ledger.next_key(None, "co_op", source),
            program=self._program.id, partner=self._fund.partner, referral=None, contract=None, kind="co_op",
            source=source, basis=None if fact is None else _spent(fact), rate=None,
            amount=rounded(difference, currency), currency=currency, earned_on=earned_on, posted_at=at, states_on=None,
            releases_on=earned_on, due_on=earned_on + timedelta(days=self._term.reimburse_days),
            corrects=first.key if first else None, clauses=self._term.reimbursement_clauses, because=because,
        )  # fmt: skip
        self._entries.append(self._ledger.post(entry))

    def _ask(self, today: date, fact: CoOpRequest) -> None:
        """The reimbursement within its days, and the campaign's results by the end of the quarter."""
        if not self._entries or fact.documents_on is None:
            return
        term, last = self._term, self._entries[-1]
        if fact.reimbursed_on is not None and not self._is_reimbursed:
            self._is_reimbursed = True
            for entry in self._entries:
                entry.paid_on = fact.reimbursed_on
        pay_by = fact.documents_on + timedelta(days=term.reimburse_days)
        payment = self._later.setdefault(
            "co_op_reimbursement", self._task("co_op_reimbursement", today, pay_by, term.reimbursement_clauses)
        )
        payment.because = last.because
        owes = self._used > 0 and any(entry.paid_on is None for entry in self._entries)
        payment.done_on = None if owes else payment.done_on or today
        ends_on = add_months(quarter_start(fact.documents_on), 3) - DAY
        report = self._later.setdefault("co_op_report", self._task("co_op_report", today, ends_on, term.report_clauses))
        missing = [n for n in ("impressions", "clicks", "leads", "revenue") if getattr(fact.results, n, None) is None]
        report.because = f"results of the campaign ({fact.use})" + (
            f"; missing: {', '.join(missing)}" if missing else ""
        )
        report.done_on = None if missing else report.done_on or today

    def _refuse(self, today: date, refusals: Sequence[tuple[tuple[str, ...], str]]) -> None:
        """A refusal needs nothing more from anybody: it says what is not paid, and why."""
        clauses = tuple(dict.fromkeys(clause for some, _ in refusals for clause in some))
        told = (name for name, task in self._later.items() if task.kind == "co_op_refused" and task.clauses == clauses)
        name = next(told, f"co_op_refused {today}")  # what is refused later by other clauses is said of its own day
        task = self._later.setdefault(name, self._task("co_op_refused", today, None, clauses))
        task.clauses, task.because = clauses, "; ".join(reason for _, reason in refusals)
        task.done_on = task.opened_on

    def _task(self, kind: str, opened: date, due_on: date | None, clauses: tuple[str, ...]) -> Task:
        return Task(self._program.id, kind, self._name, opened, due_on, clauses, "")


def quarters(fund: CoOpFund, as_of: date) -> list[Quarter]:
    """The fund quarter by quarter, from its first allocation to ``as_of``; what a year leaves expires with it (CN-97)."""
    if not fund.allocations:
        return []
    found: list[Quarter] = []
    starts = quarter_start(fund.allocations[0].on)
    left = ZERO
    while starts <= as_of:
        ends = add_months(starts, 3) - DAY
        moved = [each for each in fund.movements if starts <= each.on <= ends]
        quarter = Quarter(
            fund.partner, fund.currency, starts,
            carried=left,
            allocated=sum((each.amount for each in fund.allocations if starts <= each.on <= ends), ZERO),
            committed=sum((each.committed for each in moved), ZERO),
            spent=sum((each.spent for each in moved), ZERO),
            # what an earlier year's request takes less than was set aside for it has expired already
            expired=-sum((each.committed + each.spent for each in moved if each.year != starts.year), ZERO),
        )  # fmt: skip
        if ends.month == 12 and ends < as_of:
            quarter = replace(quarter, expired=quarter.expired + quarter.left)
        found.append(quarter)
        left, starts = quarter.left, ends + DAY
    return found


def _plain(name: str) -> str:
    """A use as it is compared: words in small letters, without plural ``s`` and ``and``."""
    words = re.findall(r"[a-z0-9]+", name.casefold())
    return "_".join(word.removesuffix("s") if len(word) > 3 else word for word in words if word != "and")


def _spent(fact: CoOpRequest) -> Decimal:
    """What was spent; the amount asked for, when nothing else is said."""
    return fact.amount if fact.spent is None else fact.spent
