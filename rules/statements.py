"""Statements: cut once, on their own day, from what was known before it; never changed afterwards.

A statement carries in what was left, adds its entries, pays out what reaches the minimum and carries the rest on. A
late fact is an entry on the next open statement. Source: NT-15..NT-18, NT-A3..NT-A6, G-2, G-5; E16, E17, E25.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from operator import attrgetter
from typing import Any, Literal, TypeVar

from rules import write_off
from rules.calendar import Calendar, month_end
from rules.dues import due_after, due_with_statement, period_end, period_start
from rules.facts import View
from rules.ledger import Entry, Ledger, Standing, State
from rules.money import EXACT, ZERO, rounded, text
from rules.program import Program
from rules.records import Decision, Enrollment, Partner, PartnerInvoice, Payout
from rules.tasks import Task
from rules.terms import StatementTerms, Terms
from rules.write_off import Below

M = TypeVar("M", PartnerInvoice, Payout)
HoldKind = Literal["referral", "entry", "contract", "partner", "statement"]


@dataclass(frozen=True, slots=True)
class Hold:
    """What is about the subject waits from ``since`` until ``until`` (``None``: still).

    A hold that came after a statement was cut does not reach what stands on it, unless it is ``disputed``.
    """

    kind: HoldKind
    subject: str
    since: datetime
    until: datetime | None
    disputed: bool = False


class Holds:
    """All holds, by what they are about."""

    def __init__(self, holds: Iterable[Hold]) -> None:
        self._by_subject: dict[tuple[str, str], list[Hold]] = {}
        for hold in holds:
            self._by_subject.setdefault((hold.kind, hold.subject), []).append(hold)

    def __bool__(self) -> bool:
        return bool(self._by_subject)

    def of(self, entry: Entry, statement: str | None = None, cut_at: datetime | None = None) -> list[Hold]:
        """The holds that are about an entry, and about the statement on which it stands since ``cut_at``.

        What is about a statement cannot hold anything before there is one.
        """
        if not self._by_subject:
            return []
        names = [("entry", entry.key), ("partner", entry.partner)]
        names += [("referral", entry.referral)] if entry.referral is not None else []
        names += [("contract", entry.contract)] if entry.contract is not None else []
        found = [hold for name in names for hold in self._by_subject.get(name, ())]
        if statement is not None and cut_at is not None:
            found += [
                replace(hold, since=max(hold.since, cut_at))
                for hold in self._by_subject.get(("statement", statement), ())
                if hold.until is None or hold.until > cut_at
            ]
        return sorted(found, key=lambda hold: (hold.since, hold.kind, hold.subject))


@dataclass(slots=True)
class Statement:
    """One partner's statement of one period in one currency. ``cut_at`` is ``None`` while it is open."""

    program: str
    partner: str
    currency: str
    period_from: date
    period_to: date
    due_on: date
    pay_by: date
    entries: list[Entry]
    opening: Decimal
    withheld: Decimal
    payable: Decimal
    carried_forward: Decimal
    cut_at: datetime | None
    state: Literal["open", "issued", "invoiced", "paid"] = "open"
    paid_at: datetime | None = None
    covers: list[Entry] = field(default_factory=list)
    """Its entries and those of earlier statements whose amount was carried into it."""
    below_for: int = 0
    """How many statements in a row, this one the last, carry on a balance below zero."""

    @property
    def id(self) -> str:
        """``program:partner:period_from:currency``."""
        return f"{self.program}:{self.partner}:{self.period_from.isoformat()}:{self.currency}"

    @property
    def total(self) -> Decimal:
        """The sum of its entries."""
        return sum((entry.amount for entry in self.entries), ZERO)

    def row(self) -> dict[str, Any]:
        """The statement's row of the outcome."""
        money = self.currency
        return {
            "id": self.id,
            "program": self.program,
            "partner": self.partner,
            "period_from": self.period_from.isoformat(),
            "period_to": self.period_to.isoformat(),
            "due_on": self.due_on.isoformat(),
            "pay_by": self.pay_by.isoformat(),
            "currency": money,
            "entries": sorted(entry.key for entry in self.entries),
            "opening": text(self.opening, money),
            "total": text(self.total, money),
            "withheld": text(self.withheld, money),
            "payable": text(self.payable, money),
            "carried_forward": text(self.carried_forward, money),
            "state": self.state,
        }


@dataclass(slots=True)
class Statements:
    """All statements of a program, how each entry stands, and the tasks that they call for."""

    statements: list[Statement]
    standings: dict[str, Standing]
    tasks: list[Task]


@dataclass(frozen=True, slots=True)
class Money:
    """What came back about statements, by their ids: partner invoices, payouts, and what a person decided, since when it is
    known, about a balance below zero."""

    invoices: Mapping[str, Sequence[PartnerInvoice]]
    payouts: Mapping[str, Sequence[Payout]]
    decided: Mapping[str, tuple[datetime, Decision]] = field(default_factory=dict)
    known_on: Mapping[tuple[str, str], date] = field(default_factory=dict)
    """Since which day each is known, by type and id; where it is not said, since its own day."""

    def learned_on(self, fact: PartnerInvoice | Payout) -> date:
        """The day since which it is known."""
        return self.known_on.get((fact.type, fact.id), own_day(fact))

    def in_turn(self, facts: Iterable[M]) -> list[M]:
        """Partner invoices or payouts in the order in which they became known: what is learned later changes nothing of
        what was said of the earlier ones."""
        return sorted(facts, key=lambda fact: (self.learned_on(fact), own_day(fact), fact.id))


def own_day(fact: PartnerInvoice | Payout) -> date:
    """The day on which a partner invoice was received, or a payout was made."""
    return fact.received_on if isinstance(fact, PartnerInvoice) else fact.paid_on


@dataclass(frozen=True, slots=True)
class Resumed:
    """Where a partner's statements go on: the first period not cut yet, what it opens with, whose amounts that is, and the
    statement cut last when it ended below zero."""

    period_from: date
    opening: Decimal
    carried: tuple[Entry, ...] = ()
    below: Statement | None = None


def cut(
    program: Program,
    ledger: Ledger,
    holds: Iterable[Hold],
    partners: Mapping[str, Sequence[View[Partner]]],
    money: Money,
    as_of: date,
    resumed: Mapping[tuple[str, str], Resumed] | None = None,
    enrollments: Mapping[str, Mapping[str, Sequence[View[Enrollment]]]] | None = None,
) -> Statements:
    """Cut every statement up to a date, match invoices and payouts, and post what happened to each entry.

    With ``resumed`` (by partner and currency) the ledger holds only entries that stand on no cut statement yet. What was
    decided about a balance below zero is posted to the ledger (CN-A35).
    ``enrollments`` are each partner's, which tell when it left. Raises: nothing; an invoice that does not fit, or a
    payout without one, is a task (NT-16).
    """
    going_on = resumed or {}
    calendar = program.calendar
    held = Holds(holds)
    accounts: dict[tuple[str, str], list[Entry]] = {name: [] for name in going_on}
    for entry in ledger.entries.values():
        if entry.kind == "co_op":  # its own payout (CN-100)
            continue
        name = (entry.partner, entry.currency)
        if name in accounts:
            accounts[name].append(entry)
        else:
            accounts[name] = [entry]
    result = Statements([], {}, [])
    for (partner, currency), entries in sorted(accounts.items()):
        cutter = _Cutter(
            program, partner, currency, held, partners.get(partner, ()), (enrollments or {}).get(partner, {}), as_of,
            ledger, money.decided,
        )  # fmt: skip
        for statement in cutter.statements(entries, going_on.get((partner, currency))):
            result.statements.append(statement)
            if statement.cut_at is not None and (money.invoices or money.payouts):
                result.tasks += match_money(program, statement, money, calendar)
        result.tasks += cutter.tasks
    _stand(program, ledger, result, held, as_of)
    return result


class _Cutter:
    """Cuts the statements of one partner in one currency."""

    def __init__(
        self, program: Program, partner: str, currency: str, held: Holds, known: Sequence[View[Partner]],
        enrollments: Mapping[str, Sequence[View[Enrollment]]], as_of: date, ledger: Ledger,
        decided: Mapping[str, tuple[datetime, Decision]],
    ) -> None:  # fmt: skip
        self._program = program
        self._partner = partner
        self._currency = currency
        self._held = held
        self._known = known
        self._enrollments = enrollments
        self._as_of = as_of
        self._ledger = ledger
        self._decided = decided
        self.tasks: list[Task] = []

    def statements(self, entries: list[Entry], resumed: Resumed | None) -> Iterator[Statement]:
        """Period by period until nothing is left to state."""
        calendar = self._program.calendar
        waiting = [entry for entry in entries if entry.states_on is not None]
        below_for, asked = 0, None
        if resumed is not None:
            period_from, opening, carried = resumed.period_from, resumed.opening, list(resumed.carried)
            if resumed.below is not None:
                below_for, asked = resumed.below.below_for, self._ask(resumed.below, waiting)
        else:
            day = min((entry.states_on for entry in waiting if entry.states_on is not None), default=None)
            if day is None:
                return
            period_from, opening, carried = period_start(self._program.on(day), day), ZERO, []
        waiting.sort(key=_in_turn)
        kept: list[Entry] = []
        taken = 0
        while period_from <= self._as_of:
            period_to = period_end(self._program.on(period_from), period_from)
            cut_at = calendar.end_of(period_to)
            is_cut = period_to < self._as_of
            seen_at = cut_at if is_cut else calendar.end_of(self._as_of)
            before, taken = taken, bisect_right(waiting, period_to, taken, key=_states_on)
            ripe, kept = kept + waiting[before:taken], []
            if self._held:
                kept = [entry for entry in ripe if _is_held(self._held.of(entry), seen_at)]
                gone = {entry.key for entry in kept}
                ripe = [entry for entry in ripe if entry.key not in gone]
            if ripe or opening:
                statement = self._statement(period_from, period_to, ripe, opening, seen_at)
                statement.cut_at = cut_at if is_cut else None
                statement.state = "issued" if is_cut else "open"
                statement.covers = [*carried, *ripe]
                carried = [] if statement.payable else statement.covers
                opening = statement.carried_forward
                below_for = below_for + 1 if opening < 0 else 0
                statement.below_for = below_for
                if is_cut:
                    if asked is not None and asked.done_on is None:
                        asked.done_on = period_to + timedelta(days=1)  # the next one asks anew
                    asked = None
                    if opening < 0:
                        asked = self._ask(statement, waiting)
                        waiting[taken:] = sorted(waiting[taken:], key=_in_turn)
                yield statement
            if not kept and taken == len(waiting) and not opening:
                return
            period_from = period_to + timedelta(days=1)

    def _statement(
        self, period_from: date, period_to: date, entries: list[Entry], opening: Decimal, seen_at: datetime
    ) -> Statement:
        version = self._program.on(period_from)
        terms, values, currency = version.statements, version.values, self._currency
        balance = opening + sum((entry.amount for entry in entries), ZERO)
        rate = ZERO
        for view in self._known:
            if view.at < seen_at and view.fact is not None:
                rate = view.fact.withholding_rate or ZERO
        tested = balance
        if values.get("threshold_on") == "balance_after_withholding":
            tested -= rounded(EXACT.multiply(balance, rate), currency)
        minimum = terms.minimum
        if minimum and values.get("final_payout_ignores_threshold") and self._has_left(period_to, seen_at):
            minimum = ZERO
        payable = balance if balance > 0 and tested >= minimum else ZERO
        due_on, pay_by = _deadlines(self._program, version, period_to, entries)
        return Statement(
            self._program.id, self._partner, currency, period_from, period_to, due_on=due_on, pay_by=pay_by,
            entries=entries, opening=opening, withheld=rounded(EXACT.multiply(payable, rate), currency),
            payable=payable, carried_forward=balance - payable, cut_at=None,
        )  # fmt: skip

    def _has_left(self, period_to: date, seen_at: datetime) -> bool:
        """Whether the partner is in the program no more at the end of a period (CN-A32)."""
        known = [[view.fact for view in timeline if view.at < seen_at] for timeline in self._enrollments.values()]
        facts = [versions[-1] for versions in known if versions and versions[-1] is not None]
        return bool(facts) and all(
            fact.standing == "terminated" or (fact.ends_on is not None and fact.ends_on <= period_to) for fact in facts
        )

    def _ask(self, statement: Statement, waiting: list[Entry]) -> Task | None:
        """Bring a balance below zero before a person, where the program does; what was decided joins what waits (CN-A35)."""
        s = statement
        below = Below(s.id, s.partner, s.currency, s.period_from, s.period_to, s.carried_forward, s.below_for)
        task = write_off.asked(self._program, below)
        if task is None:
            return None
        self.tasks.append(task)
        starts, decided = s.period_to + timedelta(days=1), self._decided.get(s.id)
        calendar = self._program.calendar
        if decided is None or decided[0] >= calendar.end_of(period_end(self._program.on(starts), starts)):
            return task
        at = max(decided[0], calendar.start_of(starts))
        task.done_on = calendar.date_of(at)
        entry = write_off.settled(self._program, below, at, decided[1])
        if entry.key not in self._ledger.entries:
            waiting.append(self._ledger.post(entry))
        return task


_in_turn = attrgetter("states_on", "posted_at", "key")
_states_on = attrgetter("states_on")
"""Of entries that are to be stated: their order, and their day."""


def _deadlines(program: Program, version: Terms, period_to: date, entries: Sequence[Entry]) -> tuple[date, date]:
    """The last day for sending a statement, and for paying it."""
    terms, calendar = version.statements, program.calendar_on(period_to)
    if terms.pay_by == "end_of_following_month":
        pay_by = month_end(period_to + timedelta(days=1))
    elif terms.pay_by == "first_due_entry":
        latest = due_after(version, calendar, period_to)
        pay_by = max(min((e.due_on for e in entries if e.due_on), default=latest), period_to + timedelta(days=1))
    else:
        pay_by = due_with_statement(version, period_to)
    if terms.due_business_day is not None:
        return calendar.business_day_after(period_to, terms.due_business_day), pay_by
    return pay_by, pay_by


def _is_held(holds: Iterable[Hold], seen_at: datetime) -> bool:
    return any(hold.since < seen_at and (hold.until is None or hold.until >= seen_at) for hold in holds)


def match_money(program: Program, statement: Statement, money: Money, calendar: Calendar) -> list[Task]:
    """Match the partner's invoice and the payouts of a cut statement; say what does not fit (NT-16, NT-A6)."""
    if not statement.payable or not (statement.id in money.invoices or statement.id in money.payouts):
        return []
    version = program.on(statement.period_from)
    terms, values = version.statements, version.values
    tasks: list[Task] = []
    matched_on: date | None = None
    known_on: date | None = None
    needed = terms.needs_partner_invoice and values.get("invoice_match") != "none"
    tolerance = values.get("invoice_tolerance", ZERO)
    assert isinstance(tolerance, Decimal)
    last_day = _invoice_last_day(statement, version)
    unfit: list[PartnerInvoice] = []
    for invoice in money.in_turn(money.invoices.get(statement.id, ())):
        in_time = last_day is None or invoice.received_on <= last_day
        fits = (
            invoice.partner == statement.partner
            and invoice.currency == statement.currency
            and abs(invoice.amount - statement.payable) <= tolerance
        )
        if fits and in_time:
            matched_on, known_on = invoice.received_on, money.learned_on(invoice)
            statement.state = "invoiced"
            break
        unfit.append(invoice)
    if needed:
        tasks += _misfits(program, statement, unfit, terms, matched_on, last_day)
    else:
        matched_on = statement.period_to
    payouts = sorted(money.payouts.get(statement.id, ()), key=lambda payout: (payout.paid_on, payout.id))
    paid = ZERO
    for payout in payouts:
        if payout.currency == statement.currency:
            paid += payout.amount
        if matched_on is not None and paid >= statement.payable - statement.withheld and statement.paid_at is None:
            statement.state = "paid"
            statement.paid_at = max(
                calendar.start_of(max(payout.paid_on, matched_on)), calendar.end_of(statement.period_to)
            )
    if needed and matched_on is not None and matched_on > statement.pay_by and "late_partner_invoice" in values:
        tasks.append(_late(program, version, statement, matched_on))
    first = next(iter(money.in_turn(payouts)), None)
    if first is not None and needed and _was_unmatched(first, money, matched_on, known_on):
        because = f"payout {first.id} was made before a partner invoice of {_shown(statement)} was matched"
        clauses = terms.invoice_clauses
        tasks.append(
            Task(program.id, "payout_without_invoice", statement.id, first.paid_on, None, clauses, because, matched_on)
        )
    return tasks


def _was_unmatched(payout: Payout, money: Money, matched_on: date | None, known_on: date | None) -> bool:
    """Whether a payout was made before a partner invoice was matched, or was known before one was."""
    return matched_on is None or known_on is None or payout.paid_on < matched_on or money.learned_on(payout) < known_on


def astray(program: Program, statements: Iterable[Statement], money: Money) -> list[Task]:
    """Partner invoices and payouts that name no statement on which anything is payable: somebody must look (NT-16)."""
    named_ones = {*money.invoices, *money.payouts}
    if not named_ones:
        return []
    tasks = []
    for name in sorted(named_ones - {s.id for s in statements if s.payable or s.cut_at is None}):
        if not name.startswith(f"{program.id}:"):
            continue
        strays: tuple[tuple[str, Sequence[PartnerInvoice | Payout]], ...] = (
            ("partner_invoice_mismatch", money.in_turn(money.invoices.get(name, ()))),
            ("payout_without_invoice", money.in_turn(money.payouts.get(name, ()))),
        )
        for kind, found in strays:
            if found:
                named, day = ", ".join(each.id for each in found), own_day(found[0])
                because = f"{named}: no statement {name} with anything payable has been issued"
                clauses = program.on(day).statements.invoice_clauses
                tasks.append(Task(program.id, kind, name, day, None, clauses, because))
    return tasks


def _shown(statement: Statement) -> str:
    return f"{text(statement.payable, statement.currency)} {statement.currency}"


def _late(program: Program, version: Terms, statement: Statement, received_on: date) -> Task:
    """A partner invoice that came after the statement was to be paid: it is paid with the next run, or at once (NT-A6)."""
    last, period_to = received_on, statement.period_to
    if version.values["late_partner_invoice"] == "next_run":
        last = statement.pay_by
        while last < received_on:
            starts = period_to + timedelta(days=1)
            period_to = period_end(program.on(starts), starts)
            last = _deadlines(program, program.on(starts), period_to, ())[1]
    because = (
        f"the partner invoice came on {received_on}, after {statement.pay_by}; statement {statement.id} over "
        f"{_shown(statement)} is paid by {last}"
    )
    paid_on = program.calendar.date_of(statement.paid_at) if statement.paid_at is not None else None
    clauses = version.clauses_of("late_partner_invoice")
    return Task(program.id, "late_partner_invoice", statement.id, received_on, last, clauses, because, paid_on)


def _invoice_last_day(statement: Statement, version: Terms) -> date | None:
    days = version.values.get("partner_invoice_expiry_days")
    return statement.period_to + timedelta(days=1 + days) if isinstance(days, int) else None


def _misfits(
    program: Program, statement: Statement, unfit: Iterable[PartnerInvoice], terms: StatementTerms,
    matched_on: date | None, last_day: date | None,
) -> Iterable[Task]:  # fmt: skip
    """One task a day on which invoices came that do not fit, each with the reason; done when one fits."""
    told: dict[date, list[str]] = {}
    for invoice in unfit:
        late = f", which came too late, after {last_day}," if last_day and invoice.received_on > last_day else ""
        told.setdefault(invoice.received_on, []).append(
            f"partner invoice {invoice.id} of {invoice.partner} over {text(invoice.amount, invoice.currency)} "
            f"{invoice.currency}{late} does not fit; the statement's amount is {_shown(statement)}"
        )
    for day, reasons in told.items():
        yield Task(
            program.id, "partner_invoice_mismatch", statement.id, day, None, terms.invoice_clauses, "; ".join(reasons),
            done_on=matched_on,
        )  # fmt: skip


def _stand(program: Program, ledger: Ledger, result: Statements, held: Holds, as_of: date) -> None:
    """Post what happened to each entry in time order, and read how it stands from that."""
    end = program.calendar.end_of(as_of)
    paid: dict[str, datetime] = {e.key: s.paid_at for s in result.statements if s.paid_at is not None for e in s.covers}
    on: dict[str, tuple[datetime, str]] = {}
    for statement in result.statements:
        if statement.cut_at is not None:
            on.update(dict.fromkeys((entry.key for entry in statement.entries), (statement.cut_at, statement.id)))
    moves, standings = ledger.moves, result.standings
    # Entries that nothing happened to but the passing of time stand alike; each such standing is made once.
    alike: dict[tuple[str, date | None], Standing] = {}
    for key, entry in ledger.entries.items():
        cut_at, name = on.get(key, (None, ""))
        free_from: datetime | None = entry.posted_at
        holds = held.of(entry, name or None, cut_at) if held else ()
        if holds:
            free_from = _free_from(program.calendar, ledger, entry, holds, cut_at)
        released = None if free_from is None else _released(program.calendar, ledger, entry, free_from, end)
        state: State = "held" if free_from is None else "payable" if released else "accrued"
        if cut_at is not None:
            state = "stated"
            moves.append((entry, "stated", cut_at, name))
            paid_at = paid[key] if key in paid and paid[key] < end else None
            for since, until in disputed_spans(holds, cut_at, paid_at) if holds else ():
                moves.append((entry, "disputed", since, ""))
                if until is not None:
                    moves.append((entry, "resumed", until, ""))
                state = "held" if until is None else "stated"
            if paid_at is not None:
                state = "paid"
                moves.append((entry, "paid", paid_at, name))
        elif entry.paid_on is not None and released and program.calendar.start_of(entry.paid_on) < end:
            state = "paid"
            moves.append((entry, "stated", program.calendar.start_of(entry.paid_on), ""))
            moves.append((entry, "paid", program.calendar.start_of(entry.paid_on), ""))
        standing = alike.get((state, released))
        if standing is None:
            standing = alike[state, released] = Standing(state, released)
        standings[key] = standing


def disputed_spans(
    holds: Iterable[Hold], cut_at: datetime, paid_at: datetime | None
) -> Iterator[tuple[datetime, datetime | None]]:
    """From when until when a stated entry waits for answers to disputes raised after the cut; what is paid waits no more."""
    for since, until in spans(hold for hold in holds if hold.disputed and hold.since >= cut_at):
        if paid_at is None or until is not None and until <= paid_at:
            yield since, until
        elif since < paid_at:
            yield since, paid_at


def spans(holds: Iterable[Hold]) -> Iterator[tuple[datetime, datetime | None]]:
    """From when until when (``None``: still) any of these holds, which come by their beginning."""
    since: datetime | None = None
    until: datetime | None = None
    for hold in holds:
        if since is not None and (until is None or hold.since < until):
            until = None if until is None or hold.until is None else max(until, hold.until)
            continue
        if since is not None:
            yield since, until
        since, until = hold.since, hold.until
    if since is not None:
        yield since, until


def _free_from(
    calendar: Calendar, ledger: Ledger, entry: Entry, holds: Iterable[Hold], cut_at: datetime | None
) -> datetime | None:
    """Since when an entry is held by nothing (``None``: it still is); a hold that came after its statement holds nothing.

    What was released before it was held is released anew when it is free.
    """
    free_from = entry.posted_at
    for since, until in spans(hold for hold in holds if cut_at is None or hold.since < cut_at):
        if until is not None and until <= entry.posted_at:
            continue
        since = max(since, entry.posted_at)
        released = None
        if entry.releases_on is not None:
            released = max(calendar.start_of(entry.releases_on), free_from)
            if max(released, calendar.start_of(entry.states_on or entry.releases_on)) >= since:
                released = None
        if released is not None:
            ledger.moves.append((entry, "released", released, ""))
        ledger.moves.append((entry, "held" if released is None else "suspended", since, ""))
        if until is None:
            return None
        ledger.moves.append((entry, "freed", until, ""))
        free_from = until
    return free_from


def _released(calendar: Calendar, ledger: Ledger, entry: Entry, free_from: datetime, end: datetime) -> date | None:
    """The date on which an entry became payable, if it did before ``end``."""
    if entry.releases_on is None:
        return None
    starts = calendar.start_of(entry.releases_on)
    instant = max(starts, free_from)
    if instant >= end:
        return None
    ledger.moves.append((entry, "released", instant, ""))
    was_held = free_from > entry.posted_at and free_from > starts
    return calendar.date_of(free_from) if was_held else entry.releases_on
