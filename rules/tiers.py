"""Rule: a partner's tier by the number of its referrals, as it was known at any instant.

A partner rises the day its count reaches a tier; a year whose count does not keep the tier lowers it after a grace. What
was granted is not taken back inside the year when a deal is reversed later: the recount shows, the year's end decides.
A tier given by hand goes before the computed one until it ends. Source: CN-6..CN-13, CN-A1..CN-A6, CN-A18, TC-15, TC-A5; E33, E34, E35.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

from rules.calendar import DAY, Calendar, Period, quarter_end
from rules.facts import View
from rules.program import Program
from rules.records import Enrollment
from rules.terms import Terms, TierLevel

_YEAR_END = (12, 31)
_NEVER = date.max


@dataclass(frozen=True, slots=True)
class Mark:
    """From ``at`` on, the referral ``name`` counts as of ``day``; with no day it counts no more."""

    at: datetime
    name: str
    day: date | None


@dataclass(frozen=True, slots=True)
class Step:
    """From ``since`` on the partner has this tier (``None``: none yet)."""

    since: date
    tier: str | None


@dataclass(frozen=True, slots=True)
class Override:
    """A tier given by hand (``None``: no more), known from ``at``, in force from ``since`` to ``until`` (``None``: without
    end), or until the next one's ``since``."""

    at: datetime
    since: date
    until: date | None
    tier: str | None


@dataclass(slots=True)
class TierHistory:
    """A partner's tiers: for each instant at which something changed, all steps as they were known from then on."""

    starts_on: date
    levels: Sequence[TierLevel]
    known: list[tuple[datetime, list[Step]]]
    overrides: list[Override]
    count: int
    """Referrals that count now: of the current year, or of all time."""
    review_on: date | None
    marks: Sequence[Mark] = ()
    """What counts, and counts no more, in the order in which it was learned."""
    counted: list[tuple[date, str]] = field(default_factory=list)
    _instants: list[datetime] = field(init=False)
    _lowest: Step = field(init=False)
    _places: dict[str | None, int] = field(init=False)

    def __post_init__(self) -> None:
        self._instants = [at for at, _ in self.known]
        self._lowest = Step(self.starts_on, self.levels[0].tier if self.levels[0].from_count == 0 else None)
        self._places = {level.tier: number for number, level in enumerate(self.levels)}

    def on(self, day: date, seen_at: datetime) -> str | None:
        """The tier on a day, as known at an instant."""
        given = self._override(day, seen_at)
        return given.tier if given else self._step(day, seen_at).tier

    def highest(self, first: date, last: date, seen_at: datetime) -> str | None:
        """The highest tier on any day from ``first`` to ``last``, as known at an instant."""
        if self.overrides:  # on a day whose tier was given by hand, a step says nothing
            days = [
                first,
                last,
                *(step.since for step in self._steps(seen_at)),
                *(each.since for each in self.overrides),
            ]
            return max((self.on(day, seen_at) for day in days if first <= day <= last), key=self.place)
        highest = self._lowest.tier
        for step in self._steps(seen_at):
            if step.since > last:
                break
            if step.since <= first or self.place(step.tier) > self.place(highest):
                highest = step.tier
        return highest

    def place(self, tier: str | None) -> int:
        """The tier's place from the lowest, 0; -1 for none."""
        return self._places.get(tier, -1)

    def level(self, tier: str | None) -> TierLevel | None:
        """What the program says of a tier."""
        return next((level for level in self.levels if level.tier == tier), None)

    @property
    def instants(self) -> Sequence[datetime]:
        """The instants at which the tier, or what is known of it, may have changed."""
        return sorted({*self._instants, *(each.at for each in self.overrides)})

    @property
    def steps(self) -> list[Step]:
        """All steps as they are known at the end, those given by hand included."""
        end = datetime.max.replace(tzinfo=self._instants[0].tzinfo) if self._instants else None
        return self.steps_at(end) if end is not None else [Step(self.starts_on, None)]

    def steps_at(self, end: datetime) -> list[Step]:
        """All steps as they are known at an instant, those given by hand included."""
        days = {self.starts_on} | {step.since for step in self._steps(end)}
        for each in self.overrides:
            days |= {each.since} | ({each.until + DAY} if each.until and each.until < date.max else set())
        found: list[Step] = []
        for day in sorted(day for day in days if day >= self.starts_on):
            tier = self.on(day, end)
            if not found or found[-1].tier != tier:
                found.append(Step(day, tier))
        return found

    def revised(self, calendar: Calendar) -> list[tuple[date, list[Step]]]:
        """Each day on which the tiers of days before it were learned to be others, with the steps as known until then."""
        found: list[tuple[date, list[Step]]] = []
        for number in range(1, len(self.known)):
            learned_on = calendar.date_of(self._instants[number])
            before_it, after = self.known[number - 1][1], self.known[number][1]
            if [s for s in before_it if s.since < learned_on] == [s for s in after if s.since < learned_on]:
                continue
            start = calendar.start_of(learned_on)
            if not found or found[-1][0] != learned_on:
                found.append((learned_on, self.steps_at(start - timedelta(microseconds=1))))
        return found

    def row(self, program: str, partner: str, today: date, seen_at: datetime) -> dict[str, Any]:
        """The partner's row of the outcome."""
        given = self._override(today, seen_at)
        now = [step for step in self.steps if step.since <= today]
        tier = now[-1].tier if now else None
        return {
            "program": program,
            "partner": partner,
            "tier": tier,
            "count": self.count,
            "since": now[-1].since.isoformat() if now and tier is not None else None,
            "review_on": _iso(given.until if given else self.review_on),
        }

    def _steps(self, seen_at: datetime) -> list[Step]:
        number = bisect_right(self._instants, seen_at)
        return self.known[number - 1][1] if number else []

    def _step(self, day: date, seen_at: datetime) -> Step:
        found = self._lowest
        for step in self._steps(seen_at):
            if step.since > day:
                break
            found = step
        return found

    def _override(self, day: date, seen_at: datetime) -> Override | None:
        if not self.overrides:
            return None
        known = [each for each in self.overrides if each.at <= seen_at and each.since <= day]
        found = known[-1] if known else None
        if found is None or found.tier is None or (found.until is not None and day > found.until):
            return None
        return found


def tier_history(
    program: Program,
    marks: Iterable[Mark],
    enrollments: Iterable[Sequence[View[Enrollment]]],
    calendar: Calendar,
    today: date,
) -> TierHistory:
    """Replay a partner's tiers up to ``today``, whose terms must have tiers; each day by the version in force on it.

    Units: counts are referrals. Raises: nothing. Source: G-1, CN-A3 (what counts is the caller's), CN-A4, CN-A5, E32, E34.
    """
    terms = program.on(today)
    assert terms.tiers is not None
    timelines = list(enrollments)
    starts = [fact.starts_on for timeline in timelines for fact in [_first(timeline)] if fact]
    starts_on = min(starts, default=today)
    rules = _Rules(program, starts_on, today)
    known: list[tuple[datetime, list[Step]]] = []
    alive: dict[str, date] = {}
    granted: list[tuple[date, int]] = []
    learned = _by_instant(marks)
    for at, group in learned:
        for mark in group:
            alive.pop(mark.name, None)
            if mark.day is not None:
                alive[mark.name] = mark.day
        seen_on = calendar.date_of(at)
        steps = rules.steps(sorted(alive.values()), granted)
        granted += [
            (step.since, rules.place(step.tier))
            for before, step in zip([None, *steps], steps, strict=False)
            if step.since <= seen_on and rules.place(step.tier) > (rules.place(before.tier) if before else rules.lowest)
        ]
        granted = sorted(set(granted))
        known.append((at, steps))
    if not known:
        known = [(calendar.start_of(starts_on), rules.steps([], []))]
    counted = sorted((day, name) for name, day in alive.items() if day <= today)
    count = sum(day.year == today.year or not rules.by_year for day, _ in counted)
    return TierHistory(
        starts_on, terms.tiers.levels, known, _overrides(timelines, calendar), count,
        rules.review_on(sorted(alive.values()), granted), [mark for _, group in learned for mark in group], counted,
    )  # fmt: skip


class _Table:
    """What one version says of tiers, by the tiers of the version in force today."""

    def __init__(self, terms: Terms, names: Sequence[str]) -> None:
        values, levels = terms.values, terms.tiers.levels if terms.tiers else ()
        thresholds: dict[str, int] = {level.tier: level.from_count for level in levels}
        if "platinum_min" in values and "platinum" in thresholds:
            thresholds["platinum"] = int(str(values["platinum_min"]))
        kept = values.get("retention")
        minimums: list[int] = [0, *map(int, kept)] if isinstance(kept, tuple) else [0] * len(levels)
        least: dict[str, int] = dict(zip((level.tier for level in levels), minimums, strict=False))
        self._thresholds = [thresholds.get(name) for name in names]
        self.minimums = [least.get(name, 0) for name in names]
        self.by_year = values.get("tier_period", "calendar_year") == "calendar_year"
        self.kept_by_year = terms.tiers is not None and terms.tiers.kept_by_year
        self.grace = str(values.get("grace", "none"))
        self.one_step_up = values.get("promotion") == "one_step"
        self.one_step_down = values.get("demotion") != "to_earned_tier"
        self.resets = values.get("tier_on_jan_1") == "reset" or (self.by_year and not self.kept_by_year)

    def earned(self, count: int) -> int:
        return max((n for n, least in enumerate(self._thresholds) if least is not None and count >= least), default=-1)


class _Rules:
    """The walk through the years: rises, year ends, grace, falls."""

    def __init__(self, program: Program, starts_on: date, until: date) -> None:
        tiers = program.on(until).tiers
        assert tiers is not None
        self._names = [level.tier for level in tiers.levels]
        self._program = program
        self._tables = {terms.effective_from: _Table(terms, self._names) for terms in program.versions}
        self._starts_on = starts_on
        self._until = until
        self.by_year = self._on(until).by_year
        self.lowest = 0 if tiers.levels[0].from_count == 0 else -1

    def _on(self, day: date) -> _Table:
        return self._tables[self._program.on(day).effective_from]

    def place(self, tier: str | None) -> int:
        return self._names.index(tier) if tier in self._names else -1

    def steps(self, days: list[date], granted: list[tuple[date, int]]) -> list[Step]:
        """Every step up to ``until``, when exactly these days count and what was granted stays granted."""
        return self._walk(days, granted)[0]

    def review_on(self, days: list[date], granted: list[tuple[date, int]]) -> date | None:
        """The date of the next check that can lower the tier."""
        _, tier, deadline = self._walk(days, granted)
        if not self._on(self._until).kept_by_year or tier <= max(self.lowest, 0):
            return None
        return deadline or date(self._until.year, *_YEAR_END)

    def _walk(self, days: list[date], granted: list[tuple[date, int]]) -> tuple[list[Step], int, date | None]:
        tier = self.lowest
        steps = [Step(self._starts_on, self._named(tier))]
        counts: dict[int, int] = {}
        quarters: dict[date, int] = {}
        deadline: date | None = None
        failed_year = 0
        first = min([self._starts_on, *days[:1]])
        events: list[tuple[date, int, int]] = [(day, 1, 0) for day in days if day <= self._until]
        events += [(day, 2, place) for day, place in granted if day <= self._until]
        events += [(date(year, 1, 1), 0, year - 1) for year in range(first.year + 1, self._until.year + 1)]
        events += [(day, 3, 0) for day in self._tables if first < day <= self._until]
        events.sort()

        def move(day: date, place: int) -> None:
            nonlocal tier
            tier = place
            if steps[-1].since == day:
                steps.pop()
            steps.append(Step(day, self._named(tier)))

        def fall(now: date) -> None:
            nonlocal deadline
            if deadline is not None and now > deadline:
                table, earned = self._on(deadline), counts.get(failed_year, 0)
                lower = tier - 1 if table.one_step_down else min(tier - 1, table.earned(earned))
                move(deadline + timedelta(days=1), max(lower, self.lowest))
                deadline = None

        def rise(day: date, table: _Table) -> None:
            nonlocal deadline
            earned = table.earned(counts.get(day.year if table.by_year else 0, 0))
            if earned > tier:
                deadline = None
                move(day, tier + 1 if table.one_step_up else earned)

        for day, kind, value in events:
            fall(day)
            table = self._on(day)
            if kind == 0:
                ended = self._on(day - timedelta(days=1))
                if table.resets and tier > self.lowest:
                    move(day, self.lowest)
                elif ended.kept_by_year and tier > 0 and counts.get(value, 0) < ended.minimums[tier]:
                    failed_year = value
                    deadline = _deadline(ended, day - timedelta(days=1))
                    fall(day)
                continue
            if kind == 2:
                if value > tier:
                    deadline = None
                    move(day, value)
                continue
            if kind == 3:
                rise(day, table)  # a lower number is reached on the day from which it counts
                continue
            for year in {day.year, 0}:
                counts[year] = counts.get(year, 0) + 1
            quarters[quarter_end(day)] = quarters.get(quarter_end(day), 0) + 1
            if deadline is not None and _recovered(table, tier, counts.get(day.year, 0), quarters.get(deadline, 0)):
                deadline = None
            rise(day, table)
        fall(self._until)
        return steps, tier, deadline

    def _named(self, place: int) -> str | None:
        return self._names[place] if place >= 0 else None


def _deadline(table: _Table, year_end: date) -> date:
    """The last day on which a partner that fell short may still recover (CN-A4)."""
    if table.grace == "none":
        return year_end
    if table.grace == "one_quarter":
        return quarter_end(year_end + timedelta(days=1))
    return Period.parse(table.grace).after(year_end)


def _recovered(table: _Table, tier: int, in_year: int, in_quarter: int) -> bool:
    minimum = table.minimums[tier]
    if table.grace == "one_quarter":
        return in_quarter >= -(-minimum // 4)
    return in_year >= minimum


def _by_instant(marks: Iterable[Mark]) -> list[tuple[datetime, list[Mark]]]:
    groups: dict[datetime, list[Mark]] = {}
    for mark in marks:
        groups.setdefault(mark.at, []).append(mark)
    return [(at, sorted(groups[at], key=lambda mark: mark.name)) for at in sorted(groups)]


def _overrides(timelines: Iterable[Sequence[View[Enrollment]]], calendar: Calendar) -> list[Override]:
    found: list[Override] = []
    for timeline in timelines:
        last: tuple[str | None, date | None] = (None, None)
        for view in timeline:
            fact = view.fact
            now = (fact.tier, fact.tier_until) if fact else (None, None)
            if now == last:
                continue
            last = now
            known_on = calendar.date_of(view.at)
            since = max(fact.starts_on, known_on) if fact else known_on
            found.append(Override(view.at, since, now[1], now[0]))
    return sorted(found, key=lambda each: each.at)


def _first(timeline: Sequence[View[Enrollment]]) -> Enrollment | None:
    return next((view.fact for view in timeline if view.fact is not None), None)


def _iso(day: date | None) -> str | None:
    return day.isoformat() if day else None
