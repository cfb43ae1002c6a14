"""Rule: the rate of a deal, from a person's decision, the partner's own agreement, its tier, bands, or the program.

Looked for in the order of the program's ``sources``; none of them gives one: a task, never a default. A rate outside the
hard limits is refused until a person says otherwise. Source: NT-A2, CN-4, CN-A7, CN-A8, TC-12, TC-A2, TC-A5, OP-8, OP-9, ON-1.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import NamedTuple

from rules.deal import Deal, RateDecision
from rules.facts import View
from rules.money import ZERO, percent
from rules.records import Decision, Enrollment
from rules.tasks import Wanted, names_task
from rules.terms import RateTerm, Terms

_TICK = timedelta(microseconds=1)


class Found(NamedTuple):
    """A rate (a fraction) and where it comes from, in words."""

    rate: Decimal
    source: str


class Rates:
    """Finds the rate of one deal. ``pinned_on`` is the day whose agreement and terms the deal keeps."""

    def __init__(self, deal: Deal, terms: Terms, term: RateTerm, pinned_on: date) -> None:
        self._deal = deal
        self._terms = terms
        self._term = term
        self._pinned_on = pinned_on
        self._agreed_until = deal.program.calendar.end_of(pinned_on)
        levels = terms.tiers.levels if terms.tiers is not None else ()
        self._by_tier: dict[str | None, Found] = {
            each.tier: Found(each.rate, f"tier {each.tier}") for each in levels if each.rate is not None
        }
        self._sources = term.sources
        self._only_new_deals = terms.values.get("rate_applies") == "new_deals_only"
        self._keeps_higher = terms.values.get("downgrade_applies") == "new_deals_only"
        self._falls_back = bool(term.bands) or any(source in term.sources for source in ("tier", "role", "fixed"))
        self._enrolled: dict[bool, Found | None] = {}

    def find(
        self,
        now: datetime,
        day: date,
        *,
        won_on: date | None,
        value: Decimal | None = None,
        contract: str | None = None,
    ) -> Found | None:
        """The rate for something earned on ``day``, as known ``now``; ``None``: nobody has said it."""
        found = self._base(now, day, won_on, value, contract)
        if found is None or not self._term.uplift_tiers or found.source.startswith("set by"):
            return found
        uplift, tier = self._uplift(now, day, won_on)
        return Found(found.rate + uplift, f"{found.source} + {percent(uplift)} for tier {tier}") if uplift else found

    def of_posted(self, rate: Decimal, now: datetime, contract: str | None) -> Found:
        """The rate of what was posted at ``rate``: it keeps it, unless a person set another for what was posted, too."""
        decided = [each for each in self._deal.decided(contract, now) if each.rate is not None]
        if decided and decided[-1].posted and decided[-1].rate is not None:
            found = Found(decided[-1].rate, f"set by {decided[-1].by}: {decided[-1].reason}")
            if self.refusal(found, now, contract) is None:
                return found
        return Found(rate, "the entry it corrects")

    def refusal(self, found: Found | None, now: datetime, contract: str | None) -> str | None:
        """Why a rate may not be used, or ``None``: it is outside the hard limits and nobody overrode them."""
        if found is None or not self._term.limits:
            return None
        limits = self._terms.values["rate_hard_limits"]
        assert isinstance(limits, tuple)
        low, high = Decimal(limits[0]), Decimal(limits[1])
        if low <= found.rate <= high:
            return None
        decisions = [each for each in self._deal.decided(contract, now) if each.rate is not None]
        if decisions and decisions[-1].overrides and decisions[-1].rate == found.rate:
            return None
        return f"{percent(found.rate)} ({found.source}) is outside the limits of {percent(low)} to {percent(high)}"

    def missing(self, contract: str | None) -> Wanted:
        """The task for a deal whose rate nobody has said."""
        sources = ", ".join(self._term.sources)
        because = f"no rate is known for {self._deal.partner} (looked in: {sources}); nothing is paid at a default"
        return Wanted("rate_missing", contract or self._deal.referral, self._term.clauses, because)

    def refused(self, contract: str | None, why: str) -> Wanted:
        """The task for a rate outside the hard limits."""
        because = f"{why}; nothing is earned until a person sets another"
        return Wanted("rate_out_of_limits", contract or self._deal.referral, self._term.limit_clauses, because)

    def _base(
        self, now: datetime, day: date, won_on: date | None, value: Decimal | None, contract: str | None
    ) -> Found | None:
        for source in self._sources:
            found = None
            if source == "decision":
                found = self._decided(now, contract)
            elif source == "enrollment":
                found = self._of_enrollment(now)
            elif source == "tier":
                found = self._of_tier(now, day, won_on)
            elif source == "bands":
                found = self._of_bands(value)
            elif source == "role":
                found = self._of_role()
            elif self._term.fixed is not None:
                found = Found(self._term.fixed, "the program")
            if found is not None:
                return found
        return None

    def _decided(self, now: datetime, contract: str | None) -> Found | None:
        if not self._deal.rate_decisions:
            return None
        for decision in reversed(self._deal.decided(contract, now)):
            if decision.rate is not None:
                return Found(decision.rate, f"set by {decision.by}: {decision.reason}")
        return None

    def _of_enrollment(self, now: datetime) -> Found | None:
        """The negotiated rate in force on the pinned day, else on the submission's; else, where nothing else could give
        one, the first that becomes known later."""
        is_settled = self._agreed_until <= now
        if is_settled and True in self._enrolled and (self._enrolled[True] is not None or self._falls_back):
            return self._enrolled[True]
        found = self._in_force(now)
        if found is None and not self._falls_back:
            found = self._learned_later(now)
        self._enrolled[is_settled] = found
        return found

    def _in_force(self, now: datetime) -> Found | None:
        timelines = self._deal.enrollments
        for day in (self._pinned_on, self._deal.submitted_on):
            until = min(now + _TICK, self._deal.program.calendar.end_of(day))
            for name in sorted(timelines, key=lambda each: (_start_of(timelines, each), each), reverse=True):
                fact = _reads(timelines[name], until)
                if (
                    fact
                    and fact.rate is not None
                    and fact.starts_on <= day
                    and not (fact.ends_on and fact.ends_on < day)
                ):
                    return Found(fact.rate, f"enrollment {name}")
        return None

    def _learned_later(self, now: datetime) -> Found | None:
        for name in sorted(self._deal.enrollments):
            fact = _reads(self._deal.enrollments[name], now + _TICK)
            if fact and fact.rate is not None:
                return Found(fact.rate, f"enrollment {name}")
        return None

    def _of_tier(self, now: datetime, day: date, won_on: date | None) -> Found | None:
        """The tier's rate on the day; who dropped keeps the higher rate on deals that ran already (CN-A7)."""
        tiers = self._deal.tiers
        if tiers is None or not self._by_tier:
            return None
        started = won_on or day
        if self._only_new_deals:
            tier = tiers.on(min(started, day), now)
        elif self._keeps_higher and started < day:
            tier = tiers.highest(started, day, now)
        else:
            tier = tiers.on(day, now)
        return self._by_tier.get(tier)

    def _of_role(self) -> Found | None:
        """The rate of the partner's role, or the one on up-sell to who was a customer before (OP-8, OP-9, OP-A5)."""
        upsell = self._terms.values.get("upsell_reward")
        if self._deal.is_upsell and isinstance(upsell, Decimal):
            return Found(upsell, "up-sell to a customer")
        rate = self._term.by_role.get(self._deal.role or "")
        return Found(rate, f"role {self._deal.role}") if rate is not None else None

    def _of_bands(self, value: Decimal | None) -> Found | None:
        """The rate of the band that holds a value; a band reaches up to the next one's start, which it does not hold."""
        found = None
        for band in self._term.bands:
            if value is not None and band.from_value <= value:
                found = Found(band.rate, f"the band from {band.from_value}")
        return found

    def _uplift(self, now: datetime, day: date, won_on: date | None) -> tuple[Decimal, str]:
        """What the tier adds to the rate, and from which tier (TC-A5)."""
        tiers = self._deal.tiers
        if tiers is None:
            return ZERO, ""
        applies = self._terms.values.get("tier_rate_applies", "next_referral")
        if applies == "next_referral":
            tier = tiers.on(self._deal.submitted_on - timedelta(days=1), now)
        else:
            tier = tiers.on(day, now)
        names = [level.tier for level in tiers.levels[: tiers.place(tier) + 1]]
        if not self._terms.values.get("tiers_cumulative"):
            names = names[-1:]
        for name in reversed(names):
            uplift = self._terms.values.get(f"tier_uplift.{name}")
            if isinstance(uplift, Decimal) and uplift:
                return uplift, name
        return ZERO, ""


def _reads(views: Sequence[View[Enrollment]], until: datetime) -> Enrollment | None:
    """An enrollment as it read just before an instant."""
    found = None
    for view in views:
        if view.at >= until:
            break
        found = view.fact
    return found


def _start_of(timelines: Mapping[str, Sequence[View[Enrollment]]], name: str) -> date:
    fact = timelines[name][0].fact
    return fact.starts_on if fact else date.min


RATE_TASKS = ("rate_missing", "rate_out_of_limits", "bonus_amount")
"""Tasks that a decision ``set`` answers."""


def rates_set(
    decisions: Iterable[Sequence[View[Decision]]], program: str, contracts: Collection[str], whole: Collection[str]
) -> Iterator[RateDecision]:
    """Rates and amounts that people set for some contracts, or for the whole deal (its referral or account), each as it
    reads over time."""
    timelines = [(next(view.fact for view in views if view.fact is not None), views) for views in decisions]
    for first, views in sorted(timelines, key=lambda each: (each[1][0].at, each[0].id)):
        task = next((kind for kind in RATE_TASKS if names_task(first.about, program, kind)), None)
        named = names_task(first.about, program, task) if task else first.about
        if named not in (*contracts, *whole):
            continue
        contract = named if named in contracts else None
        for view in views:
            is_set = view.fact is not None and view.fact.choice == "set"
            said = view.fact if view.fact is not None else first
            yield RateDecision(
                first.id, view.at, said.rate if is_set else None, said.by, said.reason, contract,
                said.amount if is_set else None, overrides=task == "rate_out_of_limits",
                posted=isinstance(said.detail, dict) and said.detail.get("posted") is True,
            )  # fmt: skip
