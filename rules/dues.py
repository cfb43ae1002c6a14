"""When what was released must be paid at the latest."""

from __future__ import annotations

from datetime import date, timedelta
from functools import lru_cache

from rules.calendar import DAY, Calendar, Period, month_end, month_start, next_month, quarter_end, quarter_start
from rules.terms import Terms

BILLED_MONTHS = {"quarterly": 3, "annual": 12}
"""Months that one invoice of a contract stands for, by its ``billing``; others stand for one."""


def last_day_of(terms: Terms, start: date, length: Period) -> date:
    """The last day of a window of this length; inclusive unless the program says otherwise (G-4)."""
    last = length.after(start)
    return last if terms.values.get("window_end") == "inclusive" else last - DAY


def due_after(terms: Terms, calendar: Calendar, released_on: date) -> date:
    """So many days after the release, moved off a closed day when the program says so (ON-17, ON-A5, OP-21)."""
    days = terms.values["due_days"]
    assert isinstance(days, int)
    return calendar.roll(released_on + timedelta(days=days), str(terms.values.get("due_roll", "none")))


def period_start(terms: Terms, day: date) -> date:
    """The first day of the statement period that holds a day."""
    return month_start(day) if terms.states_monthly else quarter_start(day)


def period_end(terms: Terms, day: date) -> date:
    """The last day of the statement period that holds a day (CN-25, CN-A9)."""
    return month_end(day) if terms.states_monthly else quarter_end(day)


def due_with_statement(terms: Terms, day: date) -> date:
    """The day on which the statement of the period that holds a day is paid at the latest (CN-26)."""
    return _after_period(terms.states_monthly, day, terms.statements.due_days or 0)


@lru_cache(maxsize=4096)
def _after_period(is_monthly: bool, day: date, days: int) -> date:
    return (month_end(day) if is_monthly else quarter_end(day)) + timedelta(days=days)


def payable_from(terms: Terms, day: date) -> date:
    """The first date on which the program allows paying what is earned on a day, by its first term."""
    waits = any(getattr(term, "released", "") == "first_of_following_month" for term in terms.in_force())
    return next_month(day) if waits else day


def due_for(terms: Terms, calendar: Calendar, released_on: date) -> date:
    """The last date for paying what is released on a day, by the program's first term (for what no term earned)."""
    due = next((getattr(term, "due", "") for term in terms.in_force()), "")
    if due == "due_days":
        return due_after(terms, calendar, released_on)
    return month_end(released_on) if due == "end_of_release_month" else due_with_statement(terms, released_on)
