"""The API budget of a connection, shared by every process that works on the store.

Calls are reserved in blocks, so that a call does not cost a transaction: at most one block per process is lost when
it dies. In a new window they are reserved one by one until a system that counts has told its count: days need not begin there
where they begin here, and some have no beginning. Neither our calls nor, by our doing, those of everybody go past our share of what the system allows in a window:
the rest is for others. Within it, some can be kept for what comes later in the same window (:meth:`ApiBudget.keeping`).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil
from typing import TYPE_CHECKING

from connectors.errors import QuotaSpent, RetryLater
from sync.bulk import is_sqlite, rows, run_each
from sync.tables import instant, micros

if TYPE_CHECKING:
    from sync.store import Store


@dataclass(frozen=True, slots=True)
class Spending:
    """Where a connection stands in its window: calls made or reserved by us, used by everybody, allowed."""

    window_start: datetime
    spent: int
    used: int | None
    allowed: int | None


class ApiBudget:
    """One connection's budget as this process sees it. It fits ``connectors.http.Budget``.

    ``share`` is the part of the allowed calls that is ours (0 to 1); ``allowed`` is used until the system says how
    many it allows. ``slots`` bounds concurrent calls over all processes (``None``: no bound); a slot whose process
    died comes back after ``slot_seconds``.
    """

    def __init__(
        self,
        store: Store,
        connection: str,
        *,
        now: Callable[[], datetime],
        sleep: Callable[[float], None],
        share: float = 1.0,
        allowed: int | None = None,
        window_seconds: float = 86_400.0,
        slots: int | None = None,
        slot_seconds: float = 120.0,
        block: int = 20,
    ) -> None:
        self._store = store
        self._connection = connection
        self._now = now
        self._sleep = sleep
        self._share = share
        self._allowed = allowed
        self._window = timedelta(seconds=window_seconds)
        self._slots = slots
        self._slot_time = timedelta(seconds=slot_seconds)
        self._block = block
        self._lock = threading.Lock()
        self._reserved = 0
        self._reserved_until: datetime | None = None
        self._observed: tuple[int | None, int | None] = (None, None)
        self._unlimited = False
        """Whether the present block was reserved before anybody knew a limit."""
        self._kept = 0.0

    def take(self, calls: int = 1) -> None:
        """Account for calls about to be made.

        Raises: ``QuotaSpent`` when our share, or what the system has left, is used up; says when the window ends.
        """
        with self._lock:
            now = self._now()
            if self._reserved_until is not None and now >= self._reserved_until:
                self._reserved, self._observed = 0, (None, self._observed[1])
            if self._reserved < calls:
                self._reserve(calls, now)
            self._reserved -= calls

    def observed(self, used: int | None, allowed: int | None) -> None:
        """Note the system's own count; it is stored with the next reservation, which comes at once when it is the first."""
        with self._lock:
            self._observed = (used, allowed)
            if self._unlimited and allowed is not None:
                assert self._reserved_until is not None
                start = micros(self._reserved_until - self._window)
                with self._store.transaction(durable=False) as connection:
                    run_each(connection, _GIVE_BACK, [(self._reserved, self._reserved, self._connection, start)])
                self._reserved, self._unlimited = 0, False

    def give_back(self) -> None:
        """Give back what was reserved and is not used, and store what the system last said: for when a process ends."""
        with self._lock:
            self._hand_back()

    @contextmanager
    def keeping(self, part: float) -> Iterator[None]:
        """Inside, only what is left of our share without this part of it (0 to 1) may be used: for reading, so that
        what it leads to can still be written."""
        with self._lock:
            self._hand_back()  # it was reserved when nothing was kept
            self._kept = part
        try:
            yield
        finally:
            with self._lock:
                self._kept = 0.0

    @contextmanager
    def slot(self) -> Iterator[None]:
        """Hold one of the connection's concurrent calls; waits while all are taken."""
        if self._slots is None:
            yield
            return
        number, token = self._enter(self._slots)
        try:
            yield
        finally:
            with self._store.transaction(durable=False) as connection:
                run_each(connection, _LEAVE, [(self._connection, number, token)])

    def spending(self) -> Spending:
        """Where the connection stands; what this process has reserved and not made yet is not spent."""
        with self._store.reading() as connection:
            found = rows(connection, _SPENDING, self._connection)
        if not found:
            return Spending(self._now(), 0, None, self._allowed)
        start, spent, used, allowed = found[0]
        with self._lock:
            still = self._reserved if self._reserved_until is not None and self._now() < self._reserved_until else 0
        return Spending(instant(start), spent - still, None if used is None else max(used - still, 0), allowed)

    def _hand_back(self) -> None:
        left, (used, allowed) = self._reserved, self._observed
        if self._reserved_until is None or (not left and used is None and allowed is None):
            return
        start = micros(self._reserved_until - self._window)
        with self._store.transaction(durable=False) as connection:
            run_each(connection, _GIVE_BACK, [(left, left, self._connection, start)])
            run_each(connection, _TOLD, [(used, allowed, self._connection, start)])
        self._reserved, self._observed = 0, (None, None)

    def _reserve(self, calls: int, now: datetime) -> None:
        used, allowed = self._observed
        with self._store.transaction(durable=False) as connection:
            run_each(connection, _ENSURE, [(self._connection, micros(now))])
            lock = "" if is_sqlite(connection) else " FOR UPDATE"
            ((start, spent, stored_used, stored_allowed),) = rows(connection, _SPENDING + lock, self._connection)
            if instant(start) + self._window <= now:
                start, spent, stored_used = micros(now), 0, None
            used = stored_used if used is None else used
            allowed = stored_allowed if allowed is None else allowed
            limit = allowed if allowed is not None else self._allowed
            ends = instant(start) + self._window
            untold = used is None and allowed is not None
            wanted = self._affordable(calls, spent, used, limit, calls if untold else max(calls, self._block))
            spent += wanted or 0
            used = None if used is None else used + (wanted or 0)  # until the system says again
            run_each(connection, _SPEND, [(start, spent, used, allowed, self._connection)])
        self._observed = (None, None)
        self._unlimited = limit is None
        if wanted is None:
            assert limit is not None
            raise QuotaSpent(
                f"connection {self._connection!r}: found {spent} calls of ours and {used or 0} of everybody in this "
                f"window; allowed: {self._ours(limit)} of {limit}{self._keeping()}; it goes on at {ends:%Y-%m-%d %H:%M} UTC",
                retry_after_seconds=max((ends - now).total_seconds(), 1.0),
            )
        self._reserved += wanted
        self._reserved_until = ends

    def _affordable(self, calls: int, spent: int, used: int | None, limit: int | None, block: int) -> int | None:
        """How many calls to reserve: a block where there is room for one; ``None`` when not even these calls fit."""
        if limit is None:
            return block
        left = self._ours(limit) - max(spent, used or 0)
        return min(block, left) if left >= calls else None

    def _ours(self, limit: int) -> int:
        return int(limit * self._share * (1 - self._kept))

    def _keeping(self) -> str:
        return f" while {self._kept:.0%} of our share is kept for writing" if self._kept else ""

    def _enter(self, slots: int) -> tuple[int, int]:
        waited = 0.0
        while waited <= self._slot_time.total_seconds():
            now = self._now()
            with self._store.transaction(durable=False) as connection:
                run_each(connection, _SLOT, [(self._connection, number) for number in range(slots)])
                skip = "" if is_sqlite(connection) else " FOR UPDATE SKIP LOCKED"
                free = rows(connection, _FREE + skip, self._connection, slots, micros(now))
                if free:
                    number, token = free[0]
                    until = micros(now + self._slot_time)
                    run_each(connection, _ENTER, [(token + 1, until, self._connection, number)])
                    return number, token + 1
            self._sleep(_PAUSE_SECONDS)
            waited += _PAUSE_SECONDS
        raise RetryLater(
            f"connection {self._connection!r}: found all {slots} concurrent calls taken for {ceil(waited)} seconds",
            retry_after_seconds=self._slot_time.total_seconds(),
        )


_PAUSE_SECONDS = 0.05
_SPENDING = "SELECT window_start, spent, used, allowed FROM api_budget WHERE connection = ?"
_ENSURE = (
    "INSERT INTO api_budget (connection, window_start, spent) VALUES (?, ?, 0) ON CONFLICT (connection) DO NOTHING"
)
_SPEND = "UPDATE api_budget SET window_start = ?, spent = ?, used = ?, allowed = ? WHERE connection = ?"
_GIVE_BACK = "UPDATE api_budget SET spent = spent - ?, used = used - ? WHERE connection = ? AND window_start = ?"
_TOLD = "UPDATE api_budget SET used = COALESCE(?, used), allowed = COALESCE(?, allowed) WHERE connection = ? AND window_start = ?"
_SLOT = "INSERT INTO api_slot (connection, number, token, expires_at) VALUES (?, ?, 0, 0) ON CONFLICT (connection, number) DO NOTHING"
_FREE = (
    "SELECT number, token FROM api_slot WHERE connection = ? AND number < ? AND expires_at <= ? ORDER BY number LIMIT 1"
)
_ENTER = "UPDATE api_slot SET token = ?, expires_at = ? WHERE connection = ? AND number = ?"
_LEAVE = "UPDATE api_slot SET expires_at = 0 WHERE connection = ? AND number = ? AND token = ?"
