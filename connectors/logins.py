"""Logins of a connection: what puts credentials on each attempt and renews them once for all workers."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol


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
    """An :class:`Authenticator` for bearer tokens: ``fetch`` logs in, once however many workers ask at a time."""

    def __init__(self, fetch: Callable[[], str]) -> None:
        self._fetch = fetch
        self._lock = threading.Lock()
        self._token: str | None = None

    def headers(self, method: str, url: str) -> Mapping[str, str]:
        """The present token, fetched when there is none yet."""
        with self._lock:
            if self._token is None:
                self._token = self._fetch()
            return {"Authorization": f"Bearer {self._token}"}

    def refresh(self, rejected: Mapping[str, str]) -> None:
        """Forget the token when it is the rejected one; the next attempt fetches another."""
        with self._lock:
            if rejected.get("Authorization") == f"Bearer {self._token}":
                self._token = None


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
