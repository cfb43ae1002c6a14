"""Writes many records of one object by jobs of Bulk API 2.0: upserts by external id, updates by id.

A job is made, its id is noted by the caller, then the records are uploaded, and only the last step lets it begin. So at
every moment it is known what can have been carried out: nothing before that step, and after it the job itself tells.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import structlog

from connectors.base import Change, Written
from connectors.batches import Batch, failed
from connectors.errors import AnswerLost, ConnectorError, NeedsOperator, QuotaSpent, RetryLater
from connectors.http import Http
from connectors.salesforce import soql
from connectors.salesforce.config import SalesforceConfig
from connectors.salesforce.csv_rows import NotCsv, fits, table, upload
from connectors.salesforce.errors import NotVisible, row_message, row_state
from connectors.salesforce.jobs import USUAL_POLLS, Jobs

log = structlog.get_logger(__name__)
MOST_BYTES = 100_000_000
"""Of one upload: Salesforce takes 150 MB after its own base64, which makes them half as much again."""
CALLS_OF_JOB = 3 + USUAL_POLLS + 1
"""Make, upload and begin; ask how far it is; read its results."""
_ERROR = re.compile(r"(?P<code>[A-Z][A-Z_]{2,80})(?::(?P<message>.*?))?(?::(?P<fields>[\w., ]*) --)?\Z", re.DOTALL)
Which = Literal["successfulResults", "failedResults", "unprocessedrecords"]


class JobNotTaken(ConnectorError):
    """The org makes no such job, or the job carried out nothing: the records are still to be written."""


@dataclass(frozen=True, slots=True)
class Upload:
    """One job's file: the changes at these places of the caller's list, as CSV."""

    kind: str
    key_field: str | None
    places: tuple[int, ...]
    content: bytes


class IngestJobs:
    """Jobs that write. Raises (all): what concerns the whole connection."""

    def __init__(self, config: SalesforceConfig, http: Http, jobs: Jobs) -> None:
        self._wait_seconds = config.bulk_write_wait_seconds
        self._http = http
        self._jobs = jobs

    def uploads(self, batch: Batch, changes: Sequence[Change]) -> tuple[list[Upload], Batch]:
        """The files for a batch, and what CSV cannot say of it."""
        fit = {place: fits([changes[place].key, *changes[place].fields.values()]) for place in batch.places}
        fitting, others = [place for place in fit if fit[place]], tuple(place for place in fit if not fit[place])
        rows = [(changes[place].key, changes[place].fields) for place in fitting]
        files = upload(_key_name(batch.key_field), rows, MOST_BYTES) if rows else ()
        return [
            Upload(batch.kind, batch.key_field, tuple(fitting[start:end]), content) for start, end, content in files
        ], replace(batch, places=others)

    def carry_out(self, upload: Upload, changes: Sequence[Change], started: Callable[[str], None]) -> list[Written]:
        """Write these changes, which are those of the upload, by a job. Raises: :class:`JobNotTaken`."""
        body = {"object": soql.name(upload.kind), "contentType": "CSV", "operation": "update"}
        if upload.key_field:
            body |= {"operation": "upsert", "externalIdFieldName": soql.name(upload.key_field)}
        try:
            job = self._jobs.make("ingest", body)
        except RetryLater:
            raise
        except ConnectorError as refused:
            log.info("write_job_refused", kind=upload.kind, code=refused.code)
            raise JobNotTaken(f"salesforce: no job for {upload.kind}", code=refused.code) from refused
        started(job)
        log.info("write_job_made", kind=upload.kind, job=job, rows=len(changes))
        if not self._uploaded(job, upload.content):
            why = "UPLOAD_LOST: the records did not arrive for certain; their job was ended before it began"
            return [Written(change.key, "retry", code="UPLOAD_LOST", message=why) for change in changes]
        try:
            if self._jobs.move("ingest", job, "UploadComplete").state == "Open":  # it has no records after all
                return self.results_of(job, changes)
            return self._outcome(job, changes, upload.key_field)
        except (JobNotTaken, NeedsOperator):
            raise
        except ConnectorError as error:
            return [failed(change, "unknown", error) for change in changes]

    def results_of(self, job: str, changes: Sequence[Change]) -> list[Written]:
        """What an earlier job did with these changes: one that never began is ended, one at work is waited for."""
        try:
            if self._jobs.get("ingest", job).state == "Open" and self._jobs.move("ingest", job, "Aborted").ended:
                why = "NOT_BEGUN: its job was made but never began"
                return [Written(change.key, "retry", code="NOT_BEGUN", message=why) for change in changes]
            return self._outcome(job, changes, changes[0].key_field)
        except JobNotTaken as error:
            return [failed(change, "retry", error) for change in changes]
        except (NotVisible, NotCsv) as error:  # deleted, or older than seven days; or not to be read
            return [failed(change, "unknown", error) for change in changes]

    def _uploaded(self, job: str, content: bytes) -> bool:
        """Whether the records are there for certain. If not, the job is ended before it can begin: it takes one upload."""
        path = f"{self._jobs.path('ingest', job)}/batches"
        headers = {"Content-Type": "text/csv; charset=UTF-8"}
        try:
            self._http.call("PUT", path, content=content, headers=headers, idempotent=False)
        except (QuotaSpent, NeedsOperator):
            raise
        except (AnswerLost, RetryLater):
            self._jobs.move("ingest", job, "Aborted")
            return False
        except ConnectorError as refused:
            self._jobs.move("ingest", job, "Aborted")
            raise JobNotTaken("salesforce: the job does not take the records", code=refused.code) from refused
        return True

    def _outcome(self, job: str, changes: Sequence[Change], key_field: str | None) -> list[Written]:
        """What became of the changes of a job that has begun. Raises: :class:`JobNotTaken`."""
        *_, found = self._jobs.watch("ingest", job, self._wait_seconds)
        if not found.ended:
            log.warning("write_job_too_slow", job=job)
            found = self._jobs.move("ingest", job, "Aborted")
        if found.state == "Failed" and found.processed == 0:
            raise JobNotTaken(f"salesforce: job {job} failed before its first record", code="JOB_FAILED")
        told: dict[str, Written] = {}
        key_name = _key_name(key_field)
        if not found.complete or found.processed > found.failed:
            told |= {row[key_name]: _done(row, key_name) for row in self._rows(job, "successfulResults")}
        if not found.complete or found.failed:
            told |= {row[key_name]: _refused(row, key_name) for row in self._rows(job, "failedResults")}
        if not found.complete:
            told |= {row[key_name]: _left(row, key_name) for row in self._rows(job, "unprocessedrecords")}
        silent = "NOT_TOLD: the job does not say what became of the record"
        return [
            told.get(change.key) or Written(change.key, "unknown", code="NOT_TOLD", message=silent)
            for change in changes
        ]

    def _rows(self, job: str, which: Which) -> list[dict[str, str]]:
        path = f"{self._jobs.path('ingest', job)}/{which}"
        lines = table(self._http.call("GET", path, headers={"Accept": "text/csv"}).content)
        header = next(lines, [])
        return [dict(zip(header, line, strict=False)) for line in lines]


def _key_name(key_field: str | None) -> str:
    return soql.name(key_field) if key_field else "Id"


def _done(row: Mapping[str, str], key_name: str) -> Written:
    return Written(row[key_name], "done", row.get("sf__Id"), row.get("sf__Created") == "true")


def _refused(row: Mapping[str, str], key_name: str) -> Written:
    error = _error(row.get("sf__Error", ""))
    return Written(row[key_name], row_state(error), code=error["statusCode"], message=row_message(error))


def _left(row: Mapping[str, str], key_name: str) -> Written:
    why = "NOT_PROCESSED: its job ended before it came to this record"
    return Written(row[key_name], "retry", code="NOT_PROCESSED", message=why)


def _error(text: str) -> dict[str, Any]:
    """``CODE:message:Field1,Field2 --`` as the error object of a collection."""
    found = _ERROR.match(text.strip())
    if found is None:
        return {"statusCode": "UNKNOWN_ERROR", "message": ""}
    names = [name.strip() for name in (found["fields"] or "").split(",") if name.strip()]
    return {"statusCode": found["code"], "message": found["message"] or "", "fields": names}
