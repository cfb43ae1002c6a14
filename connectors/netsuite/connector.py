"""One connection to a NetSuite account, with every capability of the contract."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from functools import partial

from connectors.base import Change, Cursor, Description, Page, Probe, Problem, Query, Record, Usage, Written
from connectors.http import Answer, Budget, Decision, Http, LocalBudget, RetryPolicy
from connectors.netsuite.auth import ServerClock, authenticator
from connectors.netsuite.config import NetSuiteConfig
from connectors.netsuite.describe import NetSuiteDescriber
from connectors.netsuite.errors import Judge, QueryRefused, decide_login
from connectors.netsuite.queries import Queries
from connectors.netsuite.reader import NetSuiteReader
from connectors.netsuite.statements import select
from connectors.netsuite.writer import NetSuiteWriter

POLICY = RetryPolicy(attempts=10, total_seconds=180.0, first_wait_seconds=1.0, longest_wait_seconds=60.0)
"""Concurrency is shared with every other integration of the account: three short tries are known to be too few."""


class NetSuiteConnector:
    """Implements :class:`connectors.base.Connector` over SuiteTalk REST."""

    Config = NetSuiteConfig

    def __init__(self, config: NetSuiteConfig, http: Http, clock: Callable[[], datetime]) -> None:
        self.http = http
        self._config = config
        self._queries = Queries(http, config.page_size, clock)
        self._describer = NetSuiteDescriber(http)
        self._reader = NetSuiteReader(config, self._queries, self._describer.types)
        self._writer = NetSuiteWriter(config, http, self._describer)

    def changes(self, query: Query, *, since: Cursor | None) -> Iterator[Page]:
        """See :class:`~connectors.netsuite.reader.NetSuiteReader`."""
        return self._reader.changes(query, since=since)

    def fetch(
        self, kind: str, fields: Sequence[str], keys: Sequence[str], *, key_field: str | None = None
    ) -> Iterator[Record]:
        """See :class:`~connectors.netsuite.reader.NetSuiteReader`."""
        return self._reader.fetch(kind, fields, keys, key_field=key_field)

    def write(self, changes: Sequence[Change]) -> list[Written]:
        """See :class:`~connectors.netsuite.writer.NetSuiteWriter`."""
        return self._writer.write(changes)

    def write_calls(self, changes: Sequence[Change]) -> int:
        """See :class:`~connectors.netsuite.writer.NetSuiteWriter`."""
        return self._writer.write_calls(changes)

    def kinds(self) -> list[str]:
        """See :class:`~connectors.netsuite.describe.NetSuiteDescriber`."""
        return self._describer.kinds()

    def describe(self, kind: str) -> Description | None:
        """See :class:`~connectors.netsuite.describe.NetSuiteDescriber`."""
        return self._describer.describe(kind)

    def usage(self) -> Usage:
        """See :class:`~connectors.netsuite.describe.NetSuiteDescriber`."""
        return self._describer.usage()

    def probe(self) -> Probe:
        """Who we are there, and what a person should mend in the set-up. Raises: ``NeedsOperator`` without a login."""
        now = self._queries.server_time(None)
        problems = []
        if now.offset_minutes and self._config.server_zone is None:
            problems.append(
                Problem(
                    "netsuite: time zone of the integration user",
                    f"{now.offset_minutes:+d} minutes from GMT",
                    "GMT",
                    "set the user's time zone to GMT, or set server_zone; otherwise instants before the last clock "
                    "change are an hour off",
                    "warning",
                )
            )
        if self._config.deleted_records:
            try:
                self._queries.page(select({"recordid": None}, "deletedrecord", [], ("recordid",)))
            except QueryRefused:
                problems.append(
                    Problem(
                        "netsuite: permission Lists > Deleted Records",
                        "not granted",
                        "View",
                        "give it to the role, or set deleted_records: false and accept that deletions are not seen",
                    )
                )
        return Probe(f"account {self._config.account}", tuple(problems))


def connect(
    config: NetSuiteConfig,
    *,
    clock: Callable[[], datetime],
    budget: Budget | None = None,
    policy: RetryPolicy = POLICY,
    sleep: Callable[[float], None] = time.sleep,
) -> NetSuiteConnector:
    """A connector for these settings; nothing is called yet. ``budget`` is shared by the connection's workers."""
    server_clock = ServerClock(clock)

    def login_decision(answer: Answer) -> Decision:
        server_clock.observe(answer)
        return decide_login(answer)

    calls = partial(
        Http, config.url, system="netsuite", policy=policy, timeout_seconds=(5.0, config.timeout_seconds), sleep=sleep,
        allow_loopback=config.allow_loopback,
    )  # fmt: skip
    auth = authenticator(config, calls(decide=login_decision), server_clock)
    budget = budget or LocalBudget(concurrency=config.concurrency)
    http = calls(decide=Judge(server_clock.observe), auth=auth, budget=budget)
    return NetSuiteConnector(config, http, server_clock)
