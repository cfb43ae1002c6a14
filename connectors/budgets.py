"""Budgets: our share of the calls that a system allows, and how many may run at a time."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Protocol

from connectors.errors import QuotaSpent


class Budget(Protocol):
    """Our share of a system's quota, shared by every worker of a connection."""

    def take(self, calls: int = 1) -> None:
        """Count calls about to be made. Raises: ``QuotaSpent`` when our share is used up."""
        ...

    def slot(self) -> AbstractContextManager[None]:
        """Hold one of the concurrent requests that the system allows."""
        ...

    def observed(self, used: int | None, allowed: int | None) -> None:
        """Note what the system itself counts."""
        ...


class NoBudget:
    """No limit of our own."""

    def take(self, calls: int = 1) -> None:
        """Allow everything."""

    def slot(self) -> AbstractContextManager[None]:
        """Allow everything at once."""
        return nullcontext()

    def observed(self, used: int | None, allowed: int | None) -> None:
        """Ignore it."""


class LocalBudget:
    """A budget of one process: ``share`` (a fraction, 0-1) of what the system allows, ``concurrency`` at a time.

    Until the system has said how much it allows, nothing is refused. ``retry_after_seconds`` goes into ``QuotaSpent``.
    """

    def __init__(self, share: float = 0.8, concurrency: int = 4, retry_after_seconds: float = 900.0) -> None:
        self._share = share
        self._slots = threading.BoundedSemaphore(concurrency)
        self._retry_after_seconds = retry_after_seconds
        self._lock = threading.Lock()
        self._used = 0
        self._allowed: int | None = None

    def take(self, calls: int = 1) -> None:
        """Count the calls, or raise ``QuotaSpent`` when they would exceed the share."""
        with self._lock:
            limit = None if self._allowed is None else int(self._allowed * self._share)
            if limit is not None and self._used + calls > limit:
                message = f"API calls used: {self._used} of {self._allowed}; our share is {self._share:.0%}"
                raise QuotaSpent(message, retry_after_seconds=self._retry_after_seconds)
            self._used += calls

    @contextmanager
    def slot(self) -> Iterator[None]:
        """Wait for a free place."""
        with self._slots:
            yield

    def observed(self, used: int | None, allowed: int | None) -> None:
        """Take over the system's own count: it also sees the calls of other programs."""
        with self._lock:
            self._used = self._used if used is None else used
            self._allowed = self._allowed if allowed is None else allowed
