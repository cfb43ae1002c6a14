"""Dates of a program: windows, months, business days, local midnight (G-4, G-5, E22, E23)."""

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rules.calendar import Calendar, Period, add_months, month_end, month_start, quarter_start
from rules.errors import RuleError

STEADY = settings(derandomize=True, database=None)
DAYS = st.dates(date(1900, 1, 1), date(2200, 12, 31))
ZONES = st.sampled_from(
    ["Australia/Sydney", "America/Chicago", "Asia/Karachi", "America/New_York", "UTC", "Pacific/Apia"]
)


@pytest.mark.parametrize(
    ("day", "months", "expected"),
    [
        ("2024-02-29", 12, "2025-02-28"), ("2024-02-29", 48, "2028-02-29"), ("2026-11-30", 3, "2027-02-28"),
        ("2026-08-31", 6, "2027-02-28"), ("2026-01-31", 1, "2026-02-28"), ("2026-03-31", -1, "2026-02-28"),
        ("2026-01-15", -1, "2025-12-15"), ("2025-03-15", 12, "2026-03-15"),
    ],
)  # fmt: skip
def test_adding_months_keeps_to_the_last_day(day: str, months: int, expected: str) -> None:
    assert add_months(date.fromisoformat(day), months) == date.fromisoformat(expected)


@STEADY
@given(DAYS, st.integers(-600, 600))
def test_months_move_the_month_and_never_skip_one(day: date, months: int) -> None:
    moved = add_months(day, months)
    assert (moved.year * 12 + moved.month) - (day.year * 12 + day.month) == months
    assert moved.day == min(day.day, month_end(moved).day)
    assert month_start(moved) <= moved <= month_end(moved)
    assert quarter_start(moved).month in (1, 4, 7, 10)


def test_dates_beyond_the_calendar_are_refused() -> None:
    with pytest.raises(RuleError, match="years 1 to 9999"):
        add_months(date(9999, 12, 1), 1)


@pytest.mark.parametrize(
    ("text", "after"),
    [
        ("P12M", "2027-01-31"),
        ("P1Y", "2027-01-31"),
        ("P60D", "2026-04-01"),
        ("P2W", "2026-02-14"),
        ("P1M1D", "2026-03-01"),
    ],
)
def test_lengths(text: str, after: str) -> None:
    assert Period.parse(text).after(date(2026, 1, 31)) == date.fromisoformat(after)


@pytest.mark.parametrize("text", ["", "P", "12M", "PT5H", "P-1M", "P1.5M", "p1m", "P1D1M"])
def test_other_spellings_of_a_length_are_refused(text: str) -> None:
    with pytest.raises(RuleError, match="P12M"):
        Period.parse(text)


@STEADY
@given(DAYS, ZONES)
def test_a_local_day_is_half_open_and_days_join_without_gaps(day: date, zone: str) -> None:
    calendar = Calendar(zone)
    start, end = calendar.start_of(day), calendar.end_of(day)
    assert start.tzinfo is UTC
    assert end == calendar.start_of(day + timedelta(days=1))
    if start < end:  # Apia never had 30 December 2011
        assert calendar.date_of(start) == day
        assert calendar.date_of(end - timedelta(microseconds=1)) == day
        assert calendar.date_of(start - timedelta(microseconds=1)) < day


def test_daylight_saving_changes_no_date() -> None:
    calendar = Calendar("Australia/Sydney")
    assert calendar.end_of(date(2026, 4, 5)) - calendar.start_of(date(2026, 4, 5)) == timedelta(hours=25)
    assert calendar.end_of(date(2026, 10, 4)) - calendar.start_of(date(2026, 10, 4)) == timedelta(hours=23)
    assert calendar.date_of(datetime(2026, 1, 31, 12, 59, 59, tzinfo=UTC)) == date(2026, 1, 31)
    assert calendar.date_of(datetime(2026, 1, 31, 13, 0, 0, tzinfo=UTC)) == date(2026, 2, 1)


@pytest.mark.parametrize(("month_ends", "due"), [("2026-10-31", "2026-11-13"), ("2026-07-31", "2026-08-14")])
def test_the_tenth_business_day(month_ends: str, due: str) -> None:
    """NT-V1."""
    assert Calendar("Australia/Sydney").business_day_after(date.fromisoformat(month_ends), 10) == date.fromisoformat(
        due
    )


def test_holidays_move_a_business_day() -> None:
    plain = Calendar("Australia/Sydney")
    public = Calendar("Australia/Sydney", country="AU", subdivision="NSW")
    own = Calendar("Australia/Sydney", closed=frozenset({date(2026, 11, 13)}))
    assert plain.business_day_after(date(2025, 12, 31), 1) == date(2026, 1, 1)
    assert public.business_day_after(date(2025, 12, 31), 1) == date(2026, 1, 2)
    assert own.business_day_after(date(2026, 10, 31), 10) == date(2026, 11, 16)
    assert not Calendar("Asia/Karachi", weekend=frozenset({4, 5})).is_business_day(date(2026, 11, 13))


@pytest.mark.parametrize(
    ("how", "expected"),
    [("none", "2026-05-09"), ("next_business_day", "2026-05-11"), ("previous_business_day", "2026-05-08")],
)
def test_a_closed_day_rolls_as_told(how: str, expected: str) -> None:
    assert Calendar("UTC").roll(date(2026, 5, 9), how) == date.fromisoformat(expected)


@STEADY
@given(DAYS, st.integers(1, 30))
def test_business_days_are_counted_one_by_one(day: date, count: int) -> None:
    calendar = Calendar("UTC")
    reached = calendar.business_day_after(day, count)
    between = [day + timedelta(days=n) for n in range(1, (reached - day).days + 1)]
    assert sum(calendar.is_business_day(each) for each in between) == count
    assert calendar.is_business_day(reached)


def test_a_calendar_that_cannot_be_is_refused() -> None:
    with pytest.raises(RuleError, match="Australia/Sydney"):
        Calendar("Australia/Melburn")
    with pytest.raises(RuleError, match="at most six"):
        Calendar("UTC", weekend=frozenset(range(7)))
    with pytest.raises(RuleError, match="calendar list"):
        Calendar("UTC", country="XX").is_business_day(date(2026, 1, 1))
