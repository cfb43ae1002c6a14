"""Reads the rest of a large window by a query job of Bulk API 2.0, with deleted rows (``queryAll``), resumable by its id.

Without ORDER BY, which makes large jobs time out: rows come in the org's own order, and the position is the job's locator
instead of the last row. Whatever goes wrong with a job, nothing is lost: the window is still where it was before the job,
and is read again, by another job or by queries.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice

import structlog

from connectors.base import Query, Record, UnreadRecords
from connectors.errors import ConnectorError, CursorExpired, NeedsOperator, RetryLater
from connectors.http import Answer, Http
from connectors.salesforce import soql
from connectors.salesforce.config import SalesforceConfig
from connectors.salesforce.csv_rows import ResultRows, Results
from connectors.salesforce.cursors import Reading, Window, bounds
from connectors.salesforce.describe import SalesforceDescriber
from connectors.salesforce.errors import NotVisible
from connectors.salesforce.jobs import Job, Jobs
from connectors.salesforce.rows import ROWS_OF_PAGE, RowReader, system_fields

log = structlog.get_logger(__name__)
LAST = "null"
"""The locator of the last part (the word, not an absent header)."""
Given = tuple[Sequence[Record], Window, bool]
LONGEST_QUERY = 90_000
"""Characters of a query in a request's body; Salesforce takes 100,000."""


class JobGone(ConnectorError):
    """The org does not know the job or its results any more: read the window anew."""


class JobFailed(ConnectorError):
    """The job gives no (more) results: read the window by queries."""


class QueryJobs:
    """Query jobs of one connection."""

    def __init__(self, config: SalesforceConfig, http: Http, describer: SalesforceDescriber, jobs: Jobs) -> None:
        self._config = config
        self._http = http
        self._describer = describer
        self._jobs = jobs

    def started(self, query: Query, window: Window, to_come: int) -> Window | None:
        """What is left of the window, read by a new job; ``None`` when it is too little for one, or the org makes none.

        ``to_come``: rows that are left, as the last answer counted them: deciding costs no call.
        Raises: ``RetryLater`` kinds; any other refusal (a limit of jobs, a field that jobs do not give) means queries.
        """
        least = self._config.bulk_read_rows
        if least is None or to_come < least:
            return None
        columns = self._columns(query)
        types = self._describer.bulk_types(query.kind, columns)
        where = [*bounds(window), *([soql.in_parentheses(query.where)] if query.where else [])]
        text = soql.select(columns, query.kind, where)
        if types is None or len(text) > LONGEST_QUERY:
            log.info("query_job_not_possible", kind=query.kind)
            return None
        try:
            job = self._jobs.make("query", {"operation": "queryAll", "query": text})
        except RetryLater:
            raise
        except ConnectorError as refused:
            log.info("query_job_refused", kind=query.kind, code=refused.code)
            return None
        log.info("query_job_made", kind=query.kind, job=job, rows=to_come)
        return window.by(Reading(job))

    def read(self, query: Query, window: Window, reader: RowReader) -> Iterator[Given]:
        """Records that the window's job gives, what is left after them, and whether they are the last.

        Their lines are known to be readable, and are read where the records are looked at.

        Raises: :class:`JobGone`, :class:`JobFailed`, and what concerns the whole connection.
        """
        reading = window.job
        assert reading is not None, "no job reads this window"
        try:
            yield from self._read(query, window, reading, reader)
        except (JobFailed, RetryLater):
            raise
        except (NotVisible, CursorExpired) as error:
            raise JobGone(f"salesforce: job {reading.job} or its results are gone", code=error.code) from error
        except NeedsOperator:
            raise
        except ConnectorError as error:
            raise JobFailed(f"salesforce: the results of job {reading.job} cannot be read", code=error.code) from error

    def _read(self, query: Query, window: Window, reading: Reading, reader: RowReader) -> Iterator[Given]:
        types = self._describer.bulk_types(query.kind, self._columns(query))
        if types is None:
            raise JobFailed(f"salesforce: a field of {query.kind} is not described any more")
        results = Results(types, reader)
        if reading.total is None:
            for job in self._jobs.watch("query", reading.job, self._config.bulk_read_wait_seconds):
                if not job.ended:
                    yield (), window, False  # a place to go on from, and a sign of life
            self._completed(job)
            reading = replace(reading, total=job.processed)
        while True:
            answer = self._part(reading)
            rest, count = answer.headers.get("Sforce-Locator", LAST), answer.headers.get("Sforce-NumberOfRecords", "")
            following = replace(reading, locator=rest, rows=reading.rows + (int(count) if count.isdigit() else 0))
            rows, lines = results.part(answer.content)
            del answer  # not needed beside the next one
            part: list[bytes] = []
            seen = 0
            while more := list(islice(lines, ROWS_OF_PAGE)):
                if part:
                    yield _records(rows, part), window.by(reading), False
                part, seen = more, seen + len(more)
            if not count.isdigit() or seen != int(count):
                raise JobFailed(f"salesforce: job {reading.job} gave {seen} rows where it said {count or 'nothing'}")
            if rest == LAST:
                if following.rows != reading.total:
                    raise JobFailed(f"salesforce: job {reading.job} gave {following.rows} of {reading.total} rows")
                yield _records(rows, part), window.by(None), True
                return
            reading = following
            yield _records(rows, part), window.by(reading), False

    def _completed(self, job: Job) -> None:
        if not job.ended:
            self._jobs.move("query", job.id, "Aborted")
            seconds = self._config.bulk_read_wait_seconds
            raise JobFailed(f"salesforce: job {job.id} had not ended after {seconds} seconds", code="TOO_SLOW")
        if not job.complete:
            raise JobFailed(f"salesforce: job {job.id} ended as {job.state}", code=job.state)

    def _part(self, reading: Reading) -> Answer:
        ask: dict[str, str | int] = {"maxRecords": self._config.bulk_page_size}
        if reading.locator is not None:
            ask["locator"] = reading.locator
        path = f"{self._jobs.path('query', reading.job)}/results"
        return self._http.call("GET", path, query=ask, headers={"Accept": "text/csv"})

    def _columns(self, query: Query) -> tuple[str, ...]:
        return tuple(dict.fromkeys((*system_fields(query.kind), *query.fields)))


def _records(rows: ResultRows, lines: Sequence[bytes]) -> Sequence[Record]:
    rows(lines[:1])  # a field that is missing is told while the window can be read by queries
    return UnreadRecords(lines, rows)
