"""Logins of a connection: what puts credentials on each attempt and renews them once for all workers."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime, timedelta
from typing import Protocol

RENEW_BEFORE = timedelta(seconds=60)
"""How long before its end a token is renewed; one that lives for less than two minutes, at half of its life."""


class Authenticator(Protocol):
    """Logs requests in."""

    def headers(self, method: str, url: str) -> Mapping[str, str]:
        """Headers of one attempt (each attempt is signed anew); ``url`` holds the query string."""
        ...

    def refresh(self, rejected: Mapping[str, str]) -> None:
        """Renew the login unless ``rejected`` is older than the present one (another worker was first).

        Raises: ``NeedsOperator`` when a person must mend it.
        """
        ...


class BearerTokens:
    """An :class:`Authenticator` for bearer tokens: ``fetch`` logs in, once however many workers ask at a time.

    ``scheme``: the word before the token, where a system has another one.
    """

    def __init__(self, fetch: Callable[[], str], *, scheme: str = "Bearer") -> None:
        self._fetch, self._scheme = fetch, scheme
        self._lock = threading.Lock()
        self._token: str | None = None

    def headers(self, method: str, url: str) -> Mapping[str, str]:
        """The present token, fetched when there is none. Raises: what ``fetch`` raises."""
        with self._lock:
            if self._token is None or self._is_over():
                self._token = self._fetch()
            return {"Authorization": f"{self._scheme} {self._token}"}

    def refresh(self, rejected: Mapping[str, str]) -> None:
        """Forget the rejected token, unless another worker has already renewed it; the next attempt fetches another."""
        with self._lock:
            if rejected.get("Authorization") == f"{self._scheme} {self._token}":
                self._token = None

    def _is_over(self) -> bool:
        """Whether the present token has come to its end."""
        return False


class TimedTokens(BearerTokens):
    """Bearer tokens that end: ``fetch`` gives one and how long it lives; it is renewed a minute before that is over."""

    def __init__(self, fetch: Callable[[], tuple[str, timedelta]], clock: Callable[[], datetime]) -> None:
        super().__init__(self._timed)
        self._fetch_timed, self._clock = fetch, clock
        self._ends: datetime | None = None

    def _timed(self) -> str:
        token, life = self._fetch_timed()
        self._ends = self._clock() + life - min(RENEW_BEFORE, life / 2)
        return token

    def _is_over(self) -> bool:
        return self._ends is None or self._clock() >= self._ends


class RefreshToken(Protocol):
    """A refresh token while its holder exchanges it; nobody else does meanwhile."""

    @property
    def value(self) -> str:
        """The present token."""
        ...

    def replace(self, fresh: str) -> None:
        """Keep the token that came back instead, durably, before anything of the same answer is used."""
        ...


class RefreshTokens(Protocol):
    """Where a connection's refresh token is kept, for all of its processes."""

    def exchanging(self, configured: str) -> AbstractContextManager[RefreshToken]:
        """Hold the present token alone. ``configured``: the one in the settings, which begins a new chain when a
        person has changed it.

        Raises: ``RetryLater`` when others hold it for too long, ``NeedsOperator`` when it cannot be kept or read.
        """
        ...


class RefreshTokensInMemory:
    """Refresh tokens of one process that need not outlive it: for tests and trials."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._begun_with = self.value = ""

    @contextmanager
    def exchanging(self, configured: str) -> Iterator[RefreshTokensInMemory]:
        """Hold the present token alone in this process."""
        with self._lock:
            if configured != self._begun_with:
                self._begun_with = self.value = configured
            yield self

    def replace(self, fresh: str) -> None:
        """Use this one from now on."""
        self.value = fresh
