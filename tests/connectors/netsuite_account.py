"""A simulated account with a clock that tests move, and a connection to it that never really waits."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from connectors.base import Query, Record
from connectors.http import RetryPolicy
from connectors.netsuite.config import NetSuiteConfig
from connectors.netsuite.connector import POLICY, NetSuiteConnector, connect
from connectors.netsuite.simulator import NetSuiteSimulator
from connectors.simulation import SimRequest

START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


class Account(NetSuiteSimulator):
    """A simulator whose clock stands still until :meth:`wait`."""

    def __init__(self, *, start: datetime = START, **more: Any) -> None:
        self.moment = start
        self.waits: list[float] = []
        super().__init__(now=lambda: self.moment, **more)
        self.login: dict[str, Any] = {"auth": "tba", **self.logins.generate_tokens()}

    def wait(self, seconds: float) -> None:
        """Let time pass in the account."""
        with self.lock:
            self.moment += timedelta(seconds=seconds)

    def connect(self, policy: RetryPolicy = POLICY, **settings: Any) -> NetSuiteConnector:
        """A connection that notes its waits instead of sleeping; token-based unless told otherwise."""
        settings = {"account": self.account, "base_url": self.url, "allow_loopback": True, **self.login, **settings}
        config = NetSuiteConfig.model_validate(settings)
        return connect(config, clock=lambda: self.moment, policy=policy, sleep=self.waits.append)


@contextmanager
def running(**more: Any) -> Iterator[Account]:
    """A running account; at the end, no request may have met a bug of the simulator."""
    with Account(**more) as account:
        yield account
    assert account.crashes == []


def is_data(request: SimRequest) -> bool:
    """Any request but a login."""
    return "/oauth2/" not in request.path


def read(connector: NetSuiteConnector, query: Query, since: str | None = None) -> tuple[list[Record], str]:
    """All records of one read, and the watermark."""
    pages = list(connector.changes(query, since=since))
    assert pages[-1].watermark is not None
    assert all(page.watermark is None for page in pages[:-1])
    return [record for page in pages for record in page.records], pages[-1].watermark
