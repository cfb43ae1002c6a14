"""Local dates, windows, and business days of a program (G-4, G-5).

Instants are UTC; every deadline is a local date of the program's time zone. A deadline N days or months after D
includes the whole last day; a duration from D is half-open; adding months clamps to the month's last day.
"""

from __future__ import annotations

import re
from calendar import monthrange
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from rules.errors import RuleError

DAY = timedelta(days=1)
BEGINNING = datetime(1, 1, 2, tzinfo=UTC)
"""The instant of facts known from the beginning."""

_PERIOD = re.compile(r"P(?:(\d+)Y)?(?:(\d+)M)?(?:(\d+)W)?(?:(\d+)D)?$")


@dataclass(frozen=True, slots=True)
class Period:
    """A length in whole months and days, written as an ISO 8601 duration: ``P12M``, ``P60D``, ``P1Y``."""

    months: int = 0
    days: int = 0

    @classmethod
    def parse(cls, text: str) -> Period:
        """Read ``PnYnMnWnD``. Raises: ``RuleError`` with what is allowed."""
        match = _PERIOD.match(text)
        if not match or text == "P":
            raise RuleError(f"period: found {text!r}; allowed: an ISO 8601 length such as P12M, P60D or P1Y")
        years, months, weeks, days = (int(part or 0) for part in match.groups())
        return cls(years * 12 + months, weeks * 7 + days)

    def after(self, day: date) -> date:
        """The day this long after ``day``; months first (clamped), then days."""
        return add_months(day, self.months) + timedelta(days=self.days)

    def before(self, day: date) -> date:
        """The day this long before ``day``."""
        return add_months(day, -self.months) - timedelta(days=self.days)

    def __str__(self) -> str:
        return (
            "P" + (f"{self.months}M" if self.months else "") + (f"{self.days}D" if self.days or not self.months else "")
        )


@lru_cache(maxsize=65536)
def add_months(day: date, months: int) -> date:
    """Add calendar months; a day that the month does not have becomes its last day (29 Feb + 12 months = 28 Feb).

    Raises: ``RuleError`` when the result is outside the years 1 to 9999.
    """
    index = day.year * 12 + day.month - 1 + months
    year, month = divmod(index, 12)
    if not 1 <= year <= 9999:
        raise RuleError(f"date: found {day} and {months} months; allowed: results in the years 1 to 9999")
    return date(year, month + 1, min(day.day, monthrange(year, month + 1)[1]))


def month_start(day: date) -> date:
    """The first day of the month."""
    return day.replace(day=1)


@lru_cache(maxsize=4096)
def month_end(day: date) -> date:
    """The last day of the month."""
    return day.replace(day=monthrange(day.year, day.month)[1])


@lru_cache(maxsize=4096)
def next_month(day: date) -> date:
    """The first day of the month after."""
    return add_months(day.replace(day=1), 1)


def quarter_start(day: date) -> date:
    """The first day of the calendar quarter."""
    return date(day.year, day.month - (day.month - 1) % 3, 1)


@lru_cache(maxsize=4096)
def quarter_end(day: date) -> date:
    """The last day of the calendar quarter."""
    return month_end(add_months(quarter_start(day), 2))


@dataclass(frozen=True)
class Calendar:
    """The days of one program: its time zone, weekend and holidays.

    ``weekend`` holds weekdays (Monday = 0); ``holidays`` are extra closed days, from a country's calendar or a list.
    """

    time_zone: str
    weekend: frozenset[int] = frozenset({5, 6})
    country: str | None = None
    subdivision: str | None = None
    closed: frozenset[date] = frozenset()
    _zone: ZoneInfo = field(init=False, repr=False, compare=False)
    _starts: dict[date, datetime] = field(init=False, repr=False, compare=False, default_factory=dict)
    _days: dict[datetime, date] = field(init=False, repr=False, compare=False, default_factory=dict)
    _counted: dict[tuple[date, int], date] = field(init=False, repr=False, compare=False, default_factory=dict)
    _closed_of_year: dict[int, Collection[date]] = field(init=False, repr=False, compare=False, default_factory=dict)

    def __post_init__(self) -> None:
        try:
            object.__setattr__(self, "_zone", ZoneInfo(self.time_zone))
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise RuleError(
                f"time_zone: found {self.time_zone!r}; allowed: an IANA name such as Australia/Sydney"
            ) from None
        if len(self.weekend) >= 7:
            raise RuleError("weekend: found all seven days; allowed: at most six, so that business days exist")

    def date_of(self, instant: datetime) -> date:
        """The local date of an instant; the first or last one there is for an instant that is beyond it here."""
        day = self._days.get(instant)
        if day is not None:
            return day
        try:
            return instant.astimezone(self._zone).date()
        except OverflowError:
            return date.max if instant.year > 1 else date.min

    def local(self, instant: datetime) -> str:
        """An instant as people of the program read it, whatever offset it came with."""
        return instant.astimezone(self._zone).isoformat()

    def start_of(self, day: date) -> datetime:
        """The first instant of a local date, in UTC; where midnight is skipped by DST, the first that exists."""
        start = self._starts.get(day)
        if start is None:
            start = datetime(day.year, day.month, day.day, tzinfo=self._zone).astimezone(UTC)
            self._starts[day] = start
            self._days[start] = start.astimezone(self._zone).date()
        return start

    def end_of(self, day: date) -> datetime:
        """The first instant after a local date."""
        return self.start_of(day + DAY) if day < date.max else datetime.max.replace(tzinfo=UTC)

    def is_business_day(self, day: date) -> bool:
        """Whether the program works on that day."""
        return (
            day.weekday() not in self.weekend and day not in self.closed and day not in self._public_holidays(day.year)
        )

    def business_day_after(self, day: date, count: int) -> date:
        """The ``count``-th business day after ``day`` (1 = the next one)."""
        found = self._counted.get((day, count))
        if found is None:
            found, left = day, count
            while left:
                found += DAY
                left -= self.is_business_day(found)
            self._counted[day, count] = found
        return found

    def roll(self, day: date, how: str) -> date:
        """Move a closed day as told: ``none``, ``next_business_day`` or ``previous_business_day``."""
        step = {"none": 0, "next_business_day": 1, "previous_business_day": -1}[how]
        while step and not self.is_business_day(day):
            day += step * DAY
        return day

    def _public_holidays(self, year: int) -> Collection[date]:
        if self.country is None:
            return ()
        if year not in self._closed_of_year:
            self._closed_of_year[year] = _country_holidays(self.country, self.subdivision, year)
        return self._closed_of_year[year]


@lru_cache(maxsize=256)
def _country_holidays(country: str, subdivision: str | None, year: int) -> frozenset[date]:
    import holidays  # imported on use: it costs start-up time that most programs do not need

    try:
        return frozenset(holidays.country_holidays(country, subdiv=subdivision, years=year))
    except NotImplementedError:
        raise RuleError(
            f"holidays: found {country!r} {subdivision or ''}; allowed: a country (and subdivision) of the calendar list"
        ) from None
