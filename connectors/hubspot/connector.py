"""One connection to a HubSpot portal, with every capability of the contract."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from functools import partial

from connectors.base import Change, Cursor, Description, Page, Query, Record, Usage, Written
from connectors.http import Budget, Http, LocalBudget, RetryPolicy
from connectors.hubspot.auth import authenticator
from connectors.hubspot.config import HubSpotConfig
from connectors.hubspot.describe import HubSpotDescriber
from connectors.hubspot.errors import Judge, decide_login
from connectors.hubspot.reader import HubSpotReader
from connectors.hubspot.writer import HubSpotWriter
from connectors.logins import RefreshTokens

DEFAULT_POLICY = RetryPolicy()


class HubSpotConnector:
    """Implements :class:`connectors.base.Connector` over the CRM API."""

    Config = HubSpotConfig

    def __init__(self, config: HubSpotConfig, http: Http, judge: Judge) -> None:
        self.http = http
        self._describer = HubSpotDescriber(config, http, judge.learn_zone)
        self._reader = HubSpotReader(config, http, self._describer)
        self._writer = HubSpotWriter(config, http)

    def changes(self, query: Query, *, since: Cursor | None) -> Iterator[Page]:
        """See :class:`~connectors.hubspot.reader.HubSpotReader`."""
        return self._reader.changes(query, since=since)

    def fetch(
        self, kind: str, fields: Sequence[str], keys: Sequence[str], *, key_field: str | None = None
    ) -> Iterator[Record]:
        """See :class:`~connectors.hubspot.reader.HubSpotReader`."""
        return self._reader.fetch(kind, fields, keys, key_field=key_field)

    def hinted_as(self, kind: str) -> Sequence[str]:
        """See :class:`~connectors.hubspot.describe.HubSpotDescriber`."""
        return self._describer.hinted_as(kind)

    def reread(self, query: Query, ids: Sequence[str]) -> Iterator[Record]:
        """See :class:`~connectors.hubspot.reader.HubSpotReader`."""
        return self._reader.reread(query, ids)

    def write(self, changes: Sequence[Change]) -> list[Written]:
        """See :class:`~connectors.hubspot.writer.HubSpotWriter`."""
        return self._writer.write(changes)

    def write_calls(self, changes: Sequence[Change]) -> int:
        """See :class:`~connectors.hubspot.writer.HubSpotWriter`."""
        return self._writer.write_calls(changes)

    def kinds(self) -> list[str]:
        """See :class:`~connectors.hubspot.describe.HubSpotDescriber`."""
        return self._describer.kinds()

    def describe(self, kind: str) -> Description | None:
        """See :class:`~connectors.hubspot.describe.HubSpotDescriber`."""
        return self._describer.describe(kind)

    def usage(self) -> Usage:
        """See :class:`~connectors.hubspot.describe.HubSpotDescriber`."""
        return self._describer.usage()


def connect(
    config: HubSpotConfig,
    *,
    budget: Budget | None = None,
    clock: Callable[[], datetime] | None = None,
    policy: RetryPolicy = DEFAULT_POLICY,
    sleep: Callable[[float], None] = time.sleep,
    refresh_tokens: RefreshTokens | None = None,
) -> HubSpotConnector:
    """A connector for these settings; nothing is called yet. ``budget`` is shared by the connection's workers.

    ``clock`` only tells when an OAuth token is to be renewed; windows are dated by the portal's own clock.
    ``refresh_tokens``: where refresh tokens are kept for every process; in memory unless given.
    """
    budget = budget or LocalBudget(config.quota_share)
    clock = clock or (lambda: datetime.now(UTC))
    judge = Judge(budget.observed)
    calls = partial(
        Http, config.url, system="hubspot", policy=policy, timeout_seconds=(5.0, config.timeout_seconds), sleep=sleep,
        allow_loopback=config.allow_loopback,
    )  # fmt: skip
    auth = authenticator(config, calls(decide=decide_login), clock, refresh_tokens)
    http = calls(decide=judge, auth=auth, budget=budget)
    return HubSpotConnector(config, http, judge)
