"""One connection to a Salesforce org, with every capability of the contract."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial

from connectors.base import Change, Cursor, Description, Heard, Page, Query, Record, Usage, Written, no_job_started
from connectors.http import Budget, Http, LocalBudget, RetryPolicy
from connectors.salesforce.auth import tokens
from connectors.salesforce.config import SalesforceConfig
from connectors.salesforce.describe import SalesforceDescriber, SeenUsage
from connectors.salesforce.errors import decide_login, judge
from connectors.salesforce.events import LISTEN_SECONDS, ChangeEvents, decide_told
from connectors.salesforce.jobs import Jobs
from connectors.salesforce.query_jobs import QueryJobs
from connectors.salesforce.reader import SalesforceReader
from connectors.salesforce.writer import SalesforceWriter

DEFAULT_POLICY = RetryPolicy()


class SalesforceConnector:
    """Implements :class:`connectors.base.Connector` over the REST API and, for many rows, Bulk API 2.0."""

    Config = SalesforceConfig

    def __init__(
        self,
        config: SalesforceConfig,
        http: Http,
        seen: SeenUsage,
        sleep: Callable[[float], None] = time.sleep,
        held: Http | None = None,
    ) -> None:
        self.http = http
        jobs = Jobs(config, http, sleep)
        self._describer = SalesforceDescriber(config, http, seen)
        self._reader = SalesforceReader(config, http, QueryJobs(config, http, self._describer, jobs))
        self._writer = SalesforceWriter(config, http, jobs)
        self._events = ChangeEvents(config, held or http, sleep)

    def changes(self, query: Query, *, since: Cursor | None) -> Iterator[Page]:
        """See :class:`~connectors.salesforce.reader.SalesforceReader`."""
        return self._reader.changes(query, since=since)

    def fetch(
        self, kind: str, fields: Sequence[str], keys: Sequence[str], *, key_field: str | None = None
    ) -> Iterator[Record]:
        """See :class:`~connectors.salesforce.reader.SalesforceReader`."""
        return self._reader.fetch(kind, fields, keys, key_field=key_field)

    def hinted_as(self, kind: str) -> Sequence[str]:
        """Change events call objects by their API names."""
        return (kind,)

    def reread(self, query: Query, ids: Sequence[str]) -> Iterator[Record]:
        """See :class:`~connectors.salesforce.reader.SalesforceReader`."""
        return self._reader.reread(query, ids)

    def listen(self, since: Cursor | None) -> Iterator[Heard]:
        """See :class:`~connectors.salesforce.events.ChangeEvents`."""
        return self._events.listen(since)

    def write(
        self, changes: Sequence[Change], *, started: Callable[[str, Sequence[int]], None] = no_job_started
    ) -> list[Written]:
        """See :class:`~connectors.salesforce.writer.SalesforceWriter`."""
        return self._writer.write(changes, started=started)

    @property
    def most_at_once(self) -> int:
        """See :class:`~connectors.salesforce.writer.SalesforceWriter`."""
        return self._writer.most_at_once

    def jobs_for(self, changes: Sequence[Change]) -> int:
        """See :class:`~connectors.salesforce.writer.SalesforceWriter`."""
        return self._writer.jobs_for(changes)

    def job_results(self, job: str, changes: Sequence[Change]) -> list[Written]:
        """See :class:`~connectors.salesforce.writer.SalesforceWriter`."""
        return self._writer.job_results(job, changes)

    def write_calls(self, changes: Sequence[Change]) -> int:
        """See :class:`~connectors.salesforce.writer.SalesforceWriter`."""
        return self._writer.write_calls(changes)

    def kinds(self) -> list[str]:
        """See :class:`~connectors.salesforce.describe.SalesforceDescriber`."""
        return self._describer.kinds()

    def describe(self, kind: str) -> Description | None:
        """See :class:`~connectors.salesforce.describe.SalesforceDescriber`."""
        return self._describer.describe(kind)

    def describe_many(self, kinds: Sequence[str]) -> dict[str, Description | None]:
        """See :class:`~connectors.salesforce.describe.SalesforceDescriber`."""
        return self._describer.describe_many(kinds)

    def usage(self) -> Usage:
        """See :class:`~connectors.salesforce.describe.SalesforceDescriber`."""
        return self._describer.usage()


def connect(
    config: SalesforceConfig,
    *,
    budget: Budget | None = None,
    clock: object = None,
    policy: RetryPolicy = DEFAULT_POLICY,
    sleep: Callable[[float], None] = time.sleep,
) -> SalesforceConnector:
    """A connector for these settings; nothing is called yet. ``budget`` is shared by the connection's workers.

    ``clock`` is not used: windows and assertions are dated by the org's own clock.
    """
    budget = budget or LocalBudget(config.quota_share)
    seen = SeenUsage(budget.observed)
    calls = partial(
        Http, config.url, system="salesforce", policy=policy, timeout_seconds=(5.0, config.timeout_seconds), sleep=sleep,
        allow_loopback=config.allow_loopback,
    )  # fmt: skip
    auth = tokens(config, calls(decide=decide_login))
    http = calls(decide=judge(seen), auth=auth, budget=budget)
    held = calls(
        decide=decide_told, auth=auth, timeout_seconds=(5.0, LISTEN_SECONDS)
    )  # events count for no daily quota
    return SalesforceConnector(config, http, seen, sleep, held)
