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
    """A successful referral: its partner, the day on which it became one, its value in the program's currency."""

    partner: str
    on: date
    value: Decimal


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
    """What is owed to the best of each quarter and year that ended before ``as_of``, opened on the day after its end."""
    tasks = []
    for months, starts in ((3, quarter_start), (12, _year_start)):
        for start in sorted({starts(each.on) for each in successes}):
            opened = add_months(start, months)
            term, values = program.on(start).recognition, program.on(start).values
            if term is None or opened > as_of:
                continue
            best = ranked((each for each in successes if start <= each.on < opened), str(values["rank_by"]))
            named = f"{start.year} Q{(start.month + 2) // 3}" if months == 3 else str(start.year)
            owed = (
                (
                    ("public_recognition", "public recognition in the community", term.quarter_clauses),
                    ("new_opportunities", "special access to new project opportunities", term.opportunity_clauses),
                )
                if months == 3
                else (("annual_event", "invitation to the annual events as a guest", term.year_clauses),)
            )
            for each in best:
                if each.rank > int(str(values["top_n"])):
                    continue
                for kind, label, clauses in owed:
                    because = f"{label}: rank {each.rank} of {named} with {each.count} successful referrals"
                    tasks.append(Task(program.id, kind, each.partner, opened, None, clauses, because))
    return tasks


def _year_start(day: date) -> date:
    return date(day.year, 1, 1)
