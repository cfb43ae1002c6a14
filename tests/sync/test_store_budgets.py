"""The API budget is one for all processes, and ends before the system's own does."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from itertools import count

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connectors.errors import QuotaSpent, RetryLater
from sync.budgets import ApiBudget
from sync.store import Store

NUMBERS = count()


class Clock:
    def __init__(self) -> None:
        self.at = datetime(2026, 1, 1, tzinfo=UTC)
        self.slept = 0.0

    def now(self) -> datetime:
        return self.at

    def sleep(self, seconds: float) -> None:
        self.slept += seconds


def spend(budget: ApiBudget) -> int:
    calls = 0
    try:
        while True:
            budget.take()
            calls += 1
    except QuotaSpent:
        return calls


@pytest.mark.parametrize("workers", [1, 3])
def test_workers_share_what_is_ours(store: Store, workers: int) -> None:
    clock = Clock()
    budgets = [
        ApiBudget(
            store,
            "crm",
            now=clock.now,
            sleep=clock.sleep,
            share=0.5,
            allowed=200,
            block=7,
        )
        for _ in range(workers)
    ]
    assert sum(map(spend, budgets)) == 100


def test_what_others_used_counts_and_a_new_window_starts_over(store: Store) -> None:
    clock = Clock()
    budget = ApiBudget(store, "crm", now=clock.now, sleep=clock.sleep, block=10)
    budget.take()
    budget.observed(used=985, allowed=1000)
    assert spend(budget) <= 9 + 15
    budget.observed(used=1000, allowed=1000)
    clock.at += timedelta(hours=23)
    with pytest.raises(QuotaSpent) as caught:
        budget.take()
    assert caught.value.retry_after_seconds == 3600
    clock.at += timedelta(hours=1)
    budget.take()
    assert budget.spending().spent == 1
    other = ApiBudget(store, "crm", now=clock.now, sleep=clock.sleep)
    assert other.spending().spent == 1, "one by one until the system has told its count"
    budget.observed(used=40, allowed=1000)
    budget.take()
    assert other.spending().spent == 11, "what another process has reserved cannot be had"


def test_a_day_that_begins_nowhere_is_not_overspent_when_ours_begins_anew(store: Store) -> None:
    """Salesforce counts the last 24 hours: when our window ends, calls of its last hour still count there."""
    clock, made = Clock(), [datetime(2025, 12, 31, 1, tzinfo=UTC)]
    budget = ApiBudget(store, "crm", now=clock.now, sleep=clock.sleep, share=0.5)
    most = 0
    for hours in (0, 23, 1, 1, 22, 2):
        clock.at += timedelta(hours=hours)
        with suppress(QuotaSpent):
            for _ in range(200):
                budget.take()
                made.append(clock.at)
                used = sum(at > clock.at - timedelta(days=1) for at in made)
                budget.observed(used, 100)
                most = max(most, used)
            pytest.fail("nothing was refused")
    assert most <= 51, "one call in a new window asks how it stands"


def test_a_process_that_ends_gives_back_what_it_did_not_use(store: Store) -> None:
    clock, used = Clock(), 0
    for _ in range(30):
        budget = ApiBudget(store, "crm", now=clock.now, sleep=clock.sleep, share=0.5)
        with suppress(QuotaSpent):
            for _ in range(7):
                budget.take()
                used += 1
                budget.observed(used, 100)
        budget.give_back()
        spending = budget.spending()
        assert (spending.spent, spending.used) == (used, used)
        budget.give_back()
        assert budget.spending() == spending
    assert used == 50
    early, late = (ApiBudget(store, "erp", now=clock.now, sleep=clock.sleep) for _ in range(2))
    early.take()
    clock.at += timedelta(days=1)
    late.take()
    early.give_back()
    assert late.spending().spent == 1, "what was reserved in a window that is over is no part of the next one"


def test_a_small_limit_counts_as_soon_as_the_system_has_said_it(store: Store) -> None:
    clock = Clock()
    budget = ApiBudget(store, "crm", now=clock.now, sleep=clock.sleep, block=20)
    budget.take()
    budget.observed(used=1, allowed=8)
    assert spend(budget) == 7


def test_without_any_limit_calls_are_counted(store: Store) -> None:
    clock = Clock()
    budget = ApiBudget(store, "crm", now=clock.now, sleep=clock.sleep, block=1)
    for _ in range(5):
        budget.take()
    assert budget.spending().spent == 5


def test_slots_bound_concurrent_calls_and_come_back_from_the_dead(store: Store) -> None:
    clock = Clock()
    budget = ApiBudget(store, "erp", now=clock.now, sleep=clock.sleep, slots=2, slot_seconds=30)
    with budget.slot():
        left_behind = budget.slot()
        left_behind.__enter__()
        with pytest.raises(RetryLater, match="concurrent"), budget.slot():
            pass
        clock.at += timedelta(seconds=31)
        with budget.slot():
            pass
    assert clock.slept > 0


@given(
    allowed=st.integers(1, 300),
    share=st.floats(0.05, 1),
    kept=st.floats(0, 0.95),
    others=st.integers(0, 300),
    block=st.integers(1, 30),
)
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_reading_leaves_its_part_to_writing_and_both_leave_the_rest_to_others(
    store: Store, allowed: int, share: float, kept: float, others: int, block: int
) -> None:
    clock = Clock()
    budget = ApiBudget(store, f"crm {next(NUMBERS)}", now=clock.now, sleep=clock.sleep, share=share, block=block)
    budget.observed(used=others, allowed=allowed)
    with budget.keeping(kept):
        read = spend(budget)
    written = spend(budget)
    assert read == max(int(allowed * share * (1 - kept)) - others, 0)
    assert read + written <= max(int(allowed * share) - others, 0) <= read + written + block - 1
    clock.at += timedelta(days=1)
    assert spend(budget) == int(allowed * share)  # the next window begins anew


def test_who_reads_too_much_is_told_what_is_kept_and_until_when(store: Store) -> None:
    clock = Clock()
    budget = ApiBudget(store, "crm", now=clock.now, sleep=clock.sleep, share=0.5, allowed=100, block=1)
    with budget.keeping(0.2), pytest.raises(QuotaSpent) as caught:
        for _ in range(41):
            budget.take()
    assert "allowed: 40 of 100 while 20% of our share is kept for writing; it goes on at 2026-01-02 00:00" in str(
        caught.value
    )
