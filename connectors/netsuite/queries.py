"""Asks SuiteQL: one page or all rows of a statement, always from offset 0, and names the column that is refused."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from connectors.base import FieldType
from connectors.errors import ConnectorError, NeedsOperator, RetryLater
from connectors.http import Answer, Http
from connectors.netsuite.errors import QueryRefused, column_refused
from connectors.netsuite.server_time import QUARTER_SECONDS, ServerTime, measured, stamp
from connectors.netsuite.statements import STAMP_MASK, Clause, Statement, after, select

PATH = "/services/rest/query/v1/suiteql"
MOST_KEYS = 500
"""Values in one IN list; the database behind allows 1000."""
Rows = list[dict[str, Any]]


class Queries:
    """SuiteQL of one connection. ``calls`` counts requests, retries included.

    ``clock`` is the server's clock in UTC, as far as its answers tell it.
    """

    def __init__(self, http: Http, page_size: int, clock: Callable[[], datetime]) -> None:
        self._http = http
        self._page_size = page_size
        self._clock = clock
        self._offset: tuple[int, int] | None = None  # the quarter of an hour in which it was measured, minutes

    @property
    def calls(self) -> int:
        """Requests made so far."""
        return self._http.calls

    @property
    def page_size(self) -> int:
        """Rows of a page."""
        return self._page_size

    def page(self, statement: Statement, size: int | None = None) -> tuple[Rows, bool]:
        """The first rows of a statement (a page of them unless ``size`` is given), and whether there are more."""
        body = self._ask(statement, size or self._page_size).json()
        items = body.get("items") if isinstance(body, dict) else None
        if not isinstance(items, list):
            raise RetryLater("netsuite: SuiteQL answered without items; try again later", retry_after_seconds=60)
        return items, bool(body.get("hasMore"))

    def all(
        self,
        columns: Mapping[str, FieldType | None],
        table: str,
        clauses: Sequence[Clause | None],
        key: Sequence[str],
    ) -> Iterator[dict[str, Any]]:
        """All rows, by pages behind the last ``key`` (unique, and among the columns)."""
        at: Clause | None = None
        more = True
        while more:
            rows, more = self.page(select(columns, table, [*clauses, at], key))
            if not rows:
                return
            at = after(key, [int(rows[-1][name]) for name in key])
            yield from rows

    def server_time(self, zone: ZoneInfo | None) -> ServerTime:
        """What time it is there. Asked once a quarter of an hour (clocks change on one), in between reckoned on.

        Raises: ``NeedsOperator`` when the answer has no ``Date``.
        """
        now = self._clock().astimezone(UTC)
        quarter = int(now.timestamp()) // QUARTER_SECONDS
        if self._offset is None or self._offset[0] != quarter:
            measured = self._measured()
            self._offset = (quarter, measured.offset_minutes)
            return replace(measured, zone=zone)
        offset = self._offset[1]
        return ServerTime(stamp(now.replace(tzinfo=None) + timedelta(minutes=offset)), offset, zone)

    def alive(self) -> None:
        """Ask what is answered at once. Raises: ``RetryLater`` when even that is not."""
        self._measured()

    def _measured(self) -> ServerTime:
        answer = self._ask(Statement(f"SELECT TO_CHAR(SYSDATE, '{STAMP_MASK}') AS now FROM dual"), 1)
        items = answer.json().get("items") or [{}]
        if answer.received_at is None or not items[0].get("now"):
            raise NeedsOperator(
                "netsuite: the server's time cannot be read; is there a proxy that drops the Date header?"
            )
        return measured(items[0]["now"], answer.received_at)

    def _ask(self, statement: Statement, limit: int) -> Answer:
        body: dict[str, Any] = {"q": statement.text}
        if statement.params:
            body["params"] = list(statement.params)
        query = {"limit": limit, "offset": 0}
        # Reading changes nothing, so the POST may be repeated.
        return self._http.call("POST", PATH, query=query, json=body, headers={"Prefer": "transient"}, idempotent=True)

    def blaming(
        self, ask: Callable[[], tuple[Rows, bool]], columns: Mapping[str, FieldType | None], table: str
    ) -> tuple[Rows, bool]:
        """Run ``ask``; when the query fails without a reason, find the column that causes it.

        Raises: ``QueryRefused`` naming the column, or the original error when each column alone is accepted.
        """
        try:
            return ask()
        except QueryRefused as error:
            if error.column or error.table:
                raise
            self._blame(error, columns, table)
            raise
        except RetryLater as error:
            if error.code == "UNEXPECTED_ERROR":
                self._blame(error, columns, table)
            raise

    def _blame(self, error: ConnectorError, columns: Mapping[str, FieldType | None], table: str) -> None:
        for name, kind in columns.items():
            nothing = Clause("1 = 0")
            try:
                self.page(select({name: kind}, table, [nothing], [name]))
            except ConnectorError as alone:
                raise column_refused(
                    table, name, alone.code or error.code, alone.status or error.status or 400
                ) from error
