"""Job: early pulls: what hints name is read from its system at once, instead of at the next time of the schedule.

An early pull reads and settles; it writes nothing back, so that our own writes, which come back as hints, start nothing.
It leaves half of the day's calls to the polls, and after each one the connection rests for its ``hint_pause``.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog

from connectors.errors import ConnectorError
from jobs.clock import Clock
from jobs.hinted import follow_hints
from jobs.installation import Installation
from jobs.leasing import take
from jobs.sync import follow_merges, settle_stored
from sync import hints
from sync.pull import PullResult

log = structlog.get_logger("referee.early")


@dataclass(frozen=True, slots=True)
class Early:
    """What an early pull did. ``again``: hints wait that another one can follow; ``pulled`` is ``None`` without any."""

    pulled: PullResult | None = None
    again: bool = False


def pull_early(here: Installation, name: str) -> Early:
    """Follow the hints of one connection and settle what they changed. Nothing that fails here is lost: polls come.

    Raises: ``StoreUnavailable``, ``LeaseLost``, ``UserError`` for settings.
    """
    (each,) = here.open([name])
    lease = take(here.store, f"connection:{name}", here.clock)
    if lease is None:
        return Early(again=True)  # a sync is under way; it may have begun before the change
    try:
        followed = follow_hints(here.store.under(lease), each, here.clock)
        if followed is None:
            return Early()
        if followed.news:
            follow_merges(here.store, here.open, here.clock)
            settle_stored(here.store, here.programs, here.clock())
    except ConnectorError as error:
        log.info("early_pull_failed", connection=name, code=error.code)
        return Early()
    finally:
        here.store.release(lease)
    waiting = hints.waiting(here.store, name, limit=len(followed.left) + 1)
    return Early(followed.pulled, again=any(hint not in followed.left for hint in waiting))


class EarlyPulls:
    """When early pulls of one connection are due: at once after a hint, but not before the pause after the last is over.

    ``pull`` runs one. Safe to wake from any thread. The first is due at the start:
    hints of an earlier process may wait.
    """

    def __init__(self, pull: Callable[[], Early], pause: timedelta, clock: Clock) -> None:
        self._pull, self._pause, self._clock = pull, pause, clock
        self._wanted, self._ended = True, False
        self._last: datetime | None = None
        self._changed = threading.Condition()

    def wake(self) -> None:
        """A hint has come."""
        with self._changed:
            self._wanted = True
            self._changed.notify_all()

    def step(self) -> bool:
        """Run the early pull if one is due; returns whether it was."""
        with self._changed:
            if self._ended or self._wait() != timedelta(0):
                return False
            self._wanted = False
        early = self._pull()
        with self._changed:
            if early.pulled is not None or early.again:
                self._last = self._clock()
            self._wanted = self._wanted or early.again
        return True

    def run(self) -> None:
        """Run early pulls until :meth:`end`."""
        while not self._ended:
            if not self.step():
                with self._changed:
                    wait = self._wait()
                    if not self._ended and wait != timedelta(0):
                        self._changed.wait(None if wait is None else wait.total_seconds())

    def end(self) -> None:
        """Let :meth:`run` return after the pull that it is at."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def _wait(self) -> timedelta | None:
        """Until the next early pull; ``None`` when none is wanted. A clock that was put back makes nobody wait longer."""
        if not self._wanted:
            return None
        if self._last is None:
            return timedelta(0)
        return min(max(self._last + self._pause - self._clock(), timedelta(0)), self._pause)
