"""A simulated org with a clock that tests move, and a connection to it that never really waits."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from connectors.base import Query, Record
from connectors.http import RetryPolicy
from connectors.salesforce.config import SalesforceConfig
from connectors.salesforce.connector import DEFAULT_POLICY, SalesforceConnector, connect
from connectors.salesforce.simulator import SalesforceSimulator

START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
CLIENT = {"client_id": "client-of-tests", "client_secret": "secret-of-tests"}


class Org(SalesforceSimulator):
    """A simulator whose clock stands still until :meth:`wait`."""

    def __init__(self, **more: Any) -> None:
        self.moment = START
        self.waits: list[float] = []
        super().__init__(now=lambda: self.moment, **more)

    def wait(self, seconds: float) -> None:
        """Let time pass in the org."""
        with self.lock:
            self.moment += timedelta(seconds=seconds)

    def connect(self, policy: RetryPolicy = DEFAULT_POLICY, **settings: Any) -> SalesforceConnector:
        """A connection that notes its waits instead of sleeping."""
        config = SalesforceConfig.model_validate({"url": self.url, "allow_loopback": True, **CLIENT, **settings})
        return connect(config, policy=policy, sleep=self.waits.append)


@contextmanager
def running(**more: Any) -> Iterator[Org]:
    """A running org; at the end, no request may have met a bug of the simulator."""
    with Org(**more) as org:
        yield org
    assert org.crashes == []


def read(connector: SalesforceConnector, query: Query, since: str | None = None) -> tuple[list[Record], str]:
    """All records of one read, and the watermark."""
    pages = list(connector.changes(query, since=since))
    assert pages[-1].watermark is not None
    assert all(page.watermark is None for page in pages[:-1])
    return [record for page in pages for record in page.records], pages[-1].watermark


def state(records: list[Record], into: dict[str, tuple[bool, Mapping[str, Any]]]) -> None:
    """Apply records as a store does: the last version of each id wins."""
    for record in records:
        into[record.external_id] = (record.deleted, record.fields)
