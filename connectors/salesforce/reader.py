"""Reads objects by (SystemModstamp, Id) windows over queryAll, so that deletes and merges are seen too.

A run reads ``[last - overlap, server's Date - lag)``; the ``Date`` is that of the first page, so that no call is spent
on asking for the time. Stamps are whole seconds and are set before the commit, hence ties, lag and overlap; pages
follow the vendor's locator and, when that is lost, the last row's position. Where the first page says that many rows
are still to come, a query job reads them (``query_jobs``).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta

import structlog

from connectors.base import Cursor, Page, Query, Record
from connectors.errors import ConnectorError, CursorExpired
from connectors.halving import in_halves
from connectors.http import Answer, Http
from connectors.salesforce import soql
from connectors.salesforce.config import SalesforceConfig
from connectors.salesforce.cursors import Window, bounds, done, moment_of, stamp_of, window_of
from connectors.salesforce.ids import full_id
from connectors.salesforce.query_jobs import JobFailed, JobGone, QueryJobs
from connectors.salesforce.rows import RowReader, Rows, Unread, merged, parts_of, system_fields

log = structlog.get_logger(__name__)
ORDER = ("SystemModstamp", "Id")
MOST_KEYS = 200
"""Keys in one IN list: well inside the address limit also when keys are long."""
MOST_RESTARTS = 5
"""Times that a read may restart without a single new row."""
MOST_JOBS = 2
"""Query jobs that one read may make: the second when the org has lost the first."""


@dataclass(frozen=True, slots=True)
class _Part:
    """Rows of one answer. ``last``: none follow; ``to_come``: rows of further answers, on the last part of an answer."""

    rows: Unread
    last: bool
    answer: Answer
    to_come: int | None = None


class SalesforceReader:
    """Implements :class:`connectors.base.Reader`."""

    def __init__(self, config: SalesforceConfig, http: Http, query_jobs: QueryJobs) -> None:
        self._config = config
        self._http = http
        self._query_jobs = query_jobs

    def changes(self, query: Query, *, since: Cursor | None) -> Iterator[Page]:
        """Pages of changed records, oldest change first; what a query job gives comes in the org's own order.

        While a job is at work, pages without records say so: each is a place to go on from.
        """
        calls = self._http.calls
        window = window_of(since, timedelta(seconds=self._config.overlap_seconds))
        if window.high is None and self._config.covered_check:
            window = window.until(self._covered(query.kind))
        reader = RowReader(query.kind, query.fields)
        left = window

        def halves(rest: Window) -> tuple[Window, Window] | None:
            nonlocal left
            if rest.high is None:
                left = rest = rest.until(self._high(self._http.call("GET", "/services/data")))
            return rest.halves()

        parts = in_halves(
            window,
            lambda rest, is_last, _size: self._window(query, reader, rest, is_last),
            halves,
            told=lambda rest: f"salesforce: {query.kind}: a window of one second is too large: {rest.told()}",
            alive=lambda: self._http.call("GET", "/services/data"),
        )
        for (records, last), rest, is_last in parts:
            assert rest.high is not None  # known from the first page on
            if left.high is None:
                left = left.until(rest.high)
            finished = last and is_last
            job = rest.job or (left.job if last else None)  # behind its last rows a job is over
            if rest.at is not None and rest.id is not None:
                left = left.after(rest.at, rest.id)
            left = left.by(rest.job)
            cursor = done(rest.high) if finished else left.text()
            calls, before = self._http.calls, calls
            watermark = cursor if finished else None
            yield Page(records, cursor, watermark, calls - before, None if job is None else job.job)

    def fetch(
        self, kind: str, fields: Sequence[str], keys: Sequence[str], *, key_field: str | None = None
    ) -> Iterator[Record]:
        """The records with these ids, or with these values of ``key_field``, that are there now."""
        asked = tuple(dict.fromkeys((*fields, key_field) if key_field else fields))
        reader = RowReader(kind, asked)
        column = key_field or "Id"
        if key_field is None:
            keys = [found for key in keys if (found := full_id(key))]  # one malformed id would refuse the whole query
        yield from self._among(reader, kind, asked, column, keys)

    def reread(self, query: Query, ids: Sequence[str]) -> Iterator[Record]:
        """These records as they are now, deleted and merged ones too, as far as they meet the filter."""
        reader = RowReader(query.kind, query.fields)
        own = [soql.in_parentheses(query.where)] if query.where else []
        keys = [found for key in ids if (found := full_id(key))]
        yield from self._among(reader, query.kind, query.fields, "Id", keys, own, deleted=True)

    def _among(
        self,
        reader: RowReader,
        kind: str,
        fields: Sequence[str],
        column: str,
        keys: Sequence[str],
        own: Sequence[str] = (),
        *,
        deleted: bool = False,
    ) -> Iterator[Record]:
        """The records whose column is one of these keys and that meet ``own`` conditions, in as few queries as fit."""
        used = sum(soql.encoded_length(condition) + 5 for condition in own)
        for few in self._packed(keys):
            condition = f"{soql.name(column)} IN ({','.join(map(soql.literal, few))})"
            parts = [
                self._all(reader, soql.select(chunk, kind, [condition, *own]), deleted=deleted)
                for chunk in self._chunks(kind, fields, soql.encoded_length(condition) + used)
            ]
            yield from reader.records(merged(parts[0], parts[1:]))

    # -- windows

    def _high(self, answer: Answer) -> str:
        """The end of the window, by the server's clock: what is younger may not be committed yet."""
        asked_at = answer.asked_at
        if asked_at is None:
            raise ConnectorError("salesforce: an answer came without a Date header, so the time there is not known")
        return stamp_of(asked_at - timedelta(seconds=self._config.lag_seconds))

    def _covered(self, kind: str) -> str:
        """The end of the window by how far the org says that changes are complete, if that is earlier."""
        answer = self._http.call("GET", "/services/data")
        high = self._high(answer)
        path = f"{self._config.version_path}/sobjects/{soql.name(kind)}/updated"
        end = moment_of(high) + timedelta(seconds=self._config.lag_seconds)
        start = end - timedelta(minutes=30)
        body = self._http.call("GET", path, query={"start": start.isoformat(), "end": end.isoformat()}).json()
        covered = moment_of(str(body["latestDateCovered"])).replace(microsecond=0)
        return min(high, stamp_of(covered))

    def _window(
        self, query: Query, reader: RowReader, window: Window, whole: bool
    ) -> Iterator[tuple[tuple[Sequence[Record], bool], Window]]:
        """Pages of one window: records and whether they are the last, and what is left after them (with its end).

        ``whole``: it is all that is left, so that a query job may read it.
        """
        restarts, jobs = 0, MOST_JOBS if whole else 0
        while True:
            is_open = window.high is None
            try:
                if window.job is not None:
                    for records, rest, last in self._query_jobs.read(query, window, reader):
                        yield (records, last), rest
                    return
                for part in self._pages(query, reader, window):
                    rows, high = part.rows, window.high or self._high(part.answer)
                    if window.high is None:
                        window = window.until(high)
                    position = _last_position(reader, rows, high)
                    if position:
                        restarts, window = 0, window.after(*position)
                    if rows or part.last:
                        yield (reader.handed(rows, below=high if is_open else None), part.last), window
                    if part.to_come and jobs and (started := self._query_jobs.started(query, window, part.to_come)):
                        jobs, window = jobs - 1, started
                        yield ((), False), window
                        break
                else:
                    return
            except JobGone as gone:
                log.info("query_job_gone", kind=query.kind, code=gone.code)
                jobs, window = min(jobs, 1), window.by(None)
            except JobFailed as failed:
                log.warning("query_job_failed", kind=query.kind, code=failed.code)
                jobs, window = 0, window.by(None)
            except CursorExpired:
                restarts += 1
                if restarts > MOST_RESTARTS:
                    raise

    def _pages(self, query: Query, reader: RowReader, window: Window) -> Iterator[_Part]:
        """The rows of a window in parts."""
        conditions = [*bounds(window), *([soql.in_parentheses(query.where)] if query.where else [])]
        used = sum(soql.encoded_length(condition) + 5 for condition in conditions)
        first, *others = self._chunks(query.kind, query.fields, used)
        seen = 0
        for raw, last, answer, total in self._follow(reader, soql.select(first, query.kind, conditions, ORDER)):
            seen += len(raw)
            if others and raw:
                rows = reader.rows(raw)
                span = _span(rows)
                found = [
                    self._all(reader, soql.select(chunk, query.kind, span, ORDER), deleted=True) for chunk in others
                ]
                raw = merged(rows, found)
            parts = parts_of(raw)
            part = next(parts)
            for following in parts:
                yield _Part(part, False, answer)
                part = following
            yield _Part(part, last, answer, max(total - seen, 0))

    # -- calls

    def _follow(
        self, reader: RowReader, query: str, *, deleted: bool = True
    ) -> Iterator[tuple[Unread, bool, Answer, int]]:
        """Answers to one query, to the one that names no next one: an empty answer is no end. Each says how many rows
        there are in all."""
        resource = "queryAll" if deleted else "query"
        answer = self._get(f"{self._config.version_path}/{resource}", query)
        while True:
            rows, rest, total = reader.body(answer)
            yield rows, not rest, answer, total
            if not rest:
                return
            answer = self._get(rest)

    def _all(self, reader: RowReader, query: str, *, deleted: bool = False) -> Rows:
        return [row for raw, *_ in self._follow(reader, query, deleted=deleted) for row in reader.rows(raw)]

    def _get(self, path: str, query: str | None = None) -> Answer:
        headers = {"Sforce-Query-Options": f"batchSize={self._config.page_size}"}
        return self._http.call("GET", path, query={"q": query} if query else None, headers=headers)

    def _chunks(self, kind: str, fields: Sequence[str], used: int) -> list[tuple[str, ...]]:
        """The fields in as many queries as the address limit asks for; each repeats the system fields."""
        always = system_fields(kind)
        asked = [soql.name(field) for field in dict.fromkeys(fields) if field not in always]
        room = self._config.longest_query - used - 200 - sum(len(field) + 3 for field in always)
        chunks: list[list[str]] = [[]]
        left = room
        for field in asked:
            cost = len(field) + 3  # the comma is encoded
            if left < cost and chunks[-1]:
                chunks.append([])
                left = room
            chunks[-1].append(field)
            left -= cost
        return [(*always, *chunk) for chunk in chunks]

    def _packed(self, keys: Sequence[str]) -> Iterator[list[str]]:
        few: list[str] = []
        length = 0
        for key in dict.fromkeys(keys):
            if not soql.is_text(key):
                continue  # half a character: no record can have this key
            cost = soql.encoded_length(soql.literal(key)) + 3
            if few and (len(few) == MOST_KEYS or length + cost > self._config.longest_query // 2):
                yield few
                few, length = [], 0
            few.append(key)
            length += cost
        if few:
            yield few


def _span(rows: Rows) -> list[str]:
    """Conditions that cover these rows, for the rest of their fields."""
    stamps = sorted(row["SystemModstamp"] for row in rows)
    low, high = (soql.instant(moment_of(stamp)) for stamp in (stamps[0], stamps[-1]))
    return [f"SystemModstamp >= {low}", f"SystemModstamp <= {high}"]


def _last_position(reader: RowReader, rows: Unread, high: str) -> tuple[str, str] | None:
    """The last row that still lies in the window: one that was changed since shows a later stamp out of order."""
    for unread in reversed(rows):
        (row,) = reader.rows([unread])
        if row["SystemModstamp"] < high:
            return row["SystemModstamp"], row["Id"]
    return None
