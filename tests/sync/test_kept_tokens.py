"""Refresh tokens in the store, on both databases: one holder at a time, and no holder who slept undoes another's token."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import count

import pytest
from cryptography.fernet import Fernet

from connectors.errors import RetryLater
from sync.kept_tokens import KeptTokens, kept, reseal
from sync.leases import Lease
from sync.seals import Seals
from sync.store import Store

OLD, NEW = Fernet.generate_key().decode(), Fernet.generate_key().decode()
HOLDERS = count()


class Clock:
    def __init__(self) -> None:
        self.at = datetime(2026, 3, 2, tzinfo=UTC)

    def now(self) -> datetime:
        return self.at

    def sleep(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)


def process(store: Store, clock: Clock, *keys: str) -> KeptTokens:
    """The tokens as one process sees them."""
    holder = f"process {next(HOLDERS)}"

    def take(name: str) -> Lease | None:
        return store.acquire(name, holder, now=clock.at, for_seconds=60)

    return KeptTokens(store, "crm", Seals(keys or [OLD]), take=take, now=clock.now, sleep=clock.sleep)


def present(store: Store, clock: Clock) -> str:
    with process(store, clock).exchanging("T0") as held:
        return held.value


def test_a_holder_who_slept_past_its_lease_does_not_undo_the_next_ones_token(store: Store) -> None:
    clock = Clock()
    with process(store, clock).exchanging("T0") as sleeper:
        with process(store, clock).exchanging("T0") as other:  # waits until the sleeper's minute is over
            assert other.value == "T0"
            other.replace("T1")
        with process(store, clock).exchanging("T0") as third:
            third.replace("T2")
        sleeper.replace("a branch that the system has ended by now")
    assert present(store, clock) == "T2"


def test_the_answer_of_a_holder_who_slept_is_kept_when_nobody_went_further(store: Store) -> None:
    clock = Clock()
    with process(store, clock).exchanging("T0") as sleeper:
        with process(store, clock).exchanging("T0"):
            pass  # was refused: the token had been used
        sleeper.replace("T1")
    assert present(store, clock) == "T1"


def test_a_login_that_others_hold_for_ever_is_tried_later(store: Store) -> None:
    clock = Clock()
    assert store.acquire("login:crm", "somebody", now=clock.at, for_seconds=10_000) is not None
    alone = process(store, clock).exchanging("T0")
    with pytest.raises(RetryLater, match="'crm': found its login held by another process"), alone:
        raise AssertionError("not alone")


def test_every_token_is_sealed_anew_with_the_first_key(store: Store) -> None:
    clock = Clock()
    with process(store, clock).exchanging("T0") as held:
        held.replace("T1")
    both = Seals([NEW, OLD])
    assert [one.key for one in kept(store, both)] == [2]
    assert (reseal(store, both), reseal(store, both)) == (1, 0)
    assert [one.key for one in kept(store, Seals([NEW]))] == [1]
    with process(store, clock, NEW).exchanging("T0") as held:
        assert held.value == "T1"
