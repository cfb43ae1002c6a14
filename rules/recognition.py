"""Rule: the partners with the most successful referrals are recognised each quarter and invited each year.

Ties share a rank, so more than ``top_n`` partners can be among the first. Source: TC-19, TC-20, TC-21, TC-A10.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from rules.calendar import add_months, quarter_start
from rules.money import ZERO
from rules.program import Program
from rules.tasks import Task


@dataclass(frozen=True, slots=True)
class Success:
    """A successful referral: its partner, the day on which it became one, its value in the program's currency.

    That is known from ``known_on`` up to but not including ``known_until``.
    """

    partner: str
    on: date
    value: Decimal
    known_on: date = date.min
    known_until: date = date.max


@dataclass(frozen=True, slots=True)
class Rank:
    """A partner's place; 1 is the best, equals share one."""

    rank: int
    partner: str
    count: int
    value: Decimal


def ranked(successes: Iterable[Success], rank_by: str) -> list[Rank]:
    """Partners by how many referrals were successful and then their value, or by value and then how many."""
    totals: dict[str, tuple[int, Decimal]] = {}
    for each in successes:
        count, value = totals.get(each.partner, (0, ZERO))
        totals[each.partner] = (count + 1, value + each.value)

    def merit(partner: str) -> tuple[Decimal, Decimal]:
        count, value = totals[partner]
        return (value, Decimal(count)) if rank_by == "value" else (Decimal(count), value)

    merits = sorted((merit(partner) for partner in totals), reverse=True)
    ranks = [Rank(1 + merits.index(merit(partner)), partner, *totals[partner]) for partner in totals]
    return sorted(ranks, key=lambda each: (each.rank, each.partner))


def recognition_tasks(program: Program, successes: Sequence[Success], as_of: date) -> list[Task]:
    """What is owed to the best of each quarter and year that ended before ``as_of``, opened on the day after its end.

    Who is among the best no more when other successes are learned of later is owed it no longer: the task is closed.
    """
    tasks = []
    for months, starts in ((3, quarter_start), (12, _year_start)):
        for start in sorted({starts(each.on) for each in successes}):
            opened = add_months(start, months)
            term, values = program.on(start).recognition, program.on(start).values
            if term is None or opened > as_of:
                continue
            named = f"{start.year} Q{(start.month + 2) // 3}" if months == 3 else str(start.year)
            owed = (
                (
                    ("public_recognition", "public recognition in the community", term.quarter_clauses),
                    ("new_opportunities", "special access to new project opportunities", term.opportunity_clauses),
                )
                if months == 3
                else (("annual_event", "invitation to the annual events as a guest", term.year_clauses),)
            )
            own = [each for each in successes if start <= each.on < opened]
            for best, lost_on in _best_of(own, opened, as_of, str(values["rank_by"]), int(str(values["top_n"]))):
                for kind, label, clauses in owed:
                    because = f"{label}: rank {best.rank} of {named} with {best.count} successful referrals"
                    if lost_on is not None:
                        because += f"; no longer owed from {lost_on} on, when others were known to be better"
                    tasks.append(Task(program.id, kind, best.partner, opened, None, clauses, because, lost_on))
    return tasks


def _best_of(
    successes: Sequence[Success], opened: date, as_of: date, rank_by: str, top_n: int
) -> list[tuple[Rank, date | None]]:
    """Who is, or once was, among the best as known from ``opened`` on; with the day since which it is so no more."""
    learned = {day for each in successes for day in (each.known_on, each.known_until) if opened < day <= as_of}
    found: dict[str, tuple[Rank, date | None]] = {}
    for day in sorted({opened, *learned}):
        best = ranked((each for each in successes if each.known_on <= day < each.known_until), rank_by)
        now = {each.partner: each for each in best if each.rank <= top_n}
        for partner, (rank, lost_on) in found.items():
            found[partner] = (rank, lost_on or day)
        found |= {partner: (rank, None) for partner, rank in now.items()}
    return sorted(found.values(), key=lambda each: (each[0].rank, each[0].partner))


def _year_start(day: date) -> date:
    return date(day.year, 1, 1)
