"""A simulated portal with a clock that tests move, and a connection to it that never really waits."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from connectors.base import Query, Record
from connectors.http import RetryPolicy
from connectors.hubspot.config import HubSpotConfig
from connectors.hubspot.connector import DEFAULT_POLICY, HubSpotConnector, connect
from connectors.hubspot.simulator import HubSpotSimulator

START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
TOKEN = {"access_token": "token-of-tests"}
OAUTH: dict[str, Any] = {
    "auth": "oauth", "client_id": "client-of-tests", "client_secret": "secret-of-tests",
    "refresh_token": "refresh-token-of-tests",
}  # fmt: skip


class Portal(HubSpotSimulator):
    """A simulator whose clock stands still until :meth:`wait`, or until a connection waits for it."""

    def __init__(self, **more: Any) -> None:
        self.moment = START
        self.waits: list[float] = []
        super().__init__(now=lambda: self.moment, **more)
        self.limits.burst = self.limits.searches = None  # a clock that stands still would never let them pass

    def wait(self, seconds: float) -> None:
        """Let time pass in the portal."""
        with self.lock:
            self.moment += timedelta(seconds=seconds)

    def slept(self, seconds: float) -> None:
        """What a connection does instead of sleeping."""
        self.waits.append(seconds)
        self.wait(seconds)

    def connect(self, policy: RetryPolicy = DEFAULT_POLICY, **settings: Any) -> HubSpotConnector:
        """A connection that lets the portal's clock run instead of sleeping."""
        login = {} if "auth" in settings else TOKEN
        config = HubSpotConfig.model_validate({"url": self.url, "allow_loopback": True, **login, **settings})
        return connect(config, policy=policy, sleep=self.slept, clock=lambda: self.moment)


@contextmanager
def running(**more: Any) -> Iterator[Portal]:
    """A running portal; at the end, no request may have met a bug of the simulator."""
    with Portal(**more) as portal:
        yield portal
    assert portal.crashes == []


def read(connector: HubSpotConnector, query: Query, since: str | None = None) -> tuple[list[Record], str]:
    """All records of one read, and the watermark."""
    pages = list(connector.changes(query, since=since))
    assert pages[-1].watermark is not None
    assert all(page.watermark is None for page in pages[:-1])
    return [record for page in pages for record in page.records], pages[-1].watermark
