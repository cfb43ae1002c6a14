"""One connection to a Tryton database, with every capability of the contract."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from functools import partial

from connectors.base import Change, Cursor, Description, Page, Probe, Problem, Query, Record, Usage, Written
from connectors.http import Budget, Http, LocalBudget, RetryPolicy
from connectors.tryton.config import TrytonConfig
from connectors.tryton.describe import TrytonDescriber
from connectors.tryton.errors import decide, decide_login
from connectors.tryton.reader import TrytonReader
from connectors.tryton.register import Register
from connectors.tryton.rpc import Rpc, authenticator
from connectors.tryton.writer import TrytonWriter

POLICY = RetryPolicy()


class TrytonConnector:
    """Implements :class:`connectors.base.Connector` over JSON-RPC."""

    Config = TrytonConfig

    def __init__(self, config: TrytonConfig, http: Http) -> None:
        self.http = http
        self._rpc = Rpc(config, http)
        self._describer = TrytonDescriber(self._rpc)
        register = Register(self._rpc, config.user)
        self._reader = TrytonReader(config, self._rpc, self._describer, register)
        self._writer = TrytonWriter(config, self._rpc, self._describer, register)

    def changes(self, query: Query, *, since: Cursor | None) -> Iterator[Page]:
        """See :class:`~connectors.tryton.reader.TrytonReader`."""
        return self._reader.changes(query, since=since)

    def fetch(
        self, kind: str, fields: Sequence[str], keys: Sequence[str], *, key_field: str | None = None
    ) -> Iterator[Record]:
        """See :class:`~connectors.tryton.reader.TrytonReader`."""
        return self._reader.fetch(kind, fields, keys, key_field=key_field)

    def write(self, changes: Sequence[Change]) -> list[Written]:
        """See :class:`~connectors.tryton.writer.TrytonWriter`."""
        return self._writer.write(changes)

    def write_calls(self, changes: Sequence[Change]) -> int:
        """See :class:`~connectors.tryton.writer.TrytonWriter`."""
        return self._writer.write_calls(changes)

    def kinds(self) -> list[str]:
        """See :class:`~connectors.tryton.describe.TrytonDescriber`."""
        return self._describer.kinds()

    def describe(self, kind: str) -> Description | None:
        """See :class:`~connectors.tryton.describe.TrytonDescriber`."""
        return self._describer.describe(kind)

    def usage(self) -> Usage:
        """See :class:`~connectors.tryton.describe.TrytonDescriber`."""
        return self._describer.usage()

    def probe(self) -> Probe:
        """Who we are there, and what a person should mend in the set-up. Raises: ``NeedsOperator`` without a login."""
        problems = []
        if self._rpc.company() is None:
            problems.append(
                Problem(
                    "tryton: company of the integration user",
                    "none",
                    "the company whose invoices are read",
                    "set it in the user's preferences, or set company in the settings",
                )
            )
        return Probe(self._rpc.user(), tuple(problems))


def connect(
    config: TrytonConfig,
    *,
    clock: Callable[[], datetime],
    budget: Budget | None = None,
    policy: RetryPolicy = POLICY,
    sleep: Callable[[float], None] = time.sleep,
) -> TrytonConnector:
    """A connector for these settings; nothing is called yet. ``budget`` is shared by the connection's workers.

    ``clock`` is taken as every plugin takes it, and not needed: windows follow the server's own time.
    """
    calls = partial(
        Http, config.url, system="tryton", policy=policy, timeout_seconds=(5.0, config.timeout_seconds), sleep=sleep,
        allow_loopback=config.allow_loopback,
    )  # fmt: skip
    auth = authenticator(config, calls(decide=decide_login))
    http = calls(decide=decide, auth=auth, budget=budget or LocalBudget(concurrency=config.concurrency))
    return TrytonConnector(config, http)
