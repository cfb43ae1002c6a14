"""Bulk API 2.0: query and ingest jobs, their states, results in parts, and what can go wrong with them.

Source: Bulk API 2.0 and Bulk API Developer Guide ("Query", "Ingest", "Prepare CSV Files", "Limits").
"""

from __future__ import annotations

import base64
import csv
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal

from connectors.salesforce.simulator.answers import Refusal, body_of, not_found
from connectors.salesforce.simulator.evaluate import Evaluator, Getter
from connectors.salesforce.simulator.numbering import new_ids
from connectors.salesforce.simulator.rows import NotThere, Rows
from connectors.salesforce.simulator.schema import NUMBERS, FieldSpec, ObjectSpec
from connectors.salesforce.simulator.soql import SoqlError, parse
from connectors.salesforce.simulator.values import BadJson, FieldError, number_text, stamp_of
from connectors.salesforce.simulator.writes import ManyMatches, Saved, Writes
from connectors.simulation import SimResponse

Lane = Literal["query", "ingest"]
NULL = "#N/A"
NOT_IN_BULK = frozenset({"address", "location", "base64"})
RUNNING = ("UploadComplete", "InProgress")
_ENDS = {"LF": "\n", "CRLF": "\r\n"}
_DELIMITERS = {"COMMA": ",", "SEMICOLON": ";", "TAB": "\t", "PIPE": "|", "CARET": "^", "BACKQUOTE": "`"}
_OUTCOMES = {
    "successfulresults": (["sf__Id", "sf__Created"], "done"),
    "failedresults": (["sf__Id", "sf__Error"], "failed"),
    "unprocessedrecords": ([], "left"),
}
"""Names of resources, in lower case: clients write them in several ways."""
MOST_IN_HEADER, MOST_IN_FIELD, MOST_IN_RECORD = 32_000, 32_000, 400_000
"""Characters of an upload."""
_DELETABLE = ("UploadComplete", "JobComplete", "Failed", "Aborted")
Table = list[list[str]]


@dataclass
class Job:
    """One job; ``lines`` are a query's results, ``rows`` an upload, the other three what became of its rows."""

    id: str
    lane: Lane
    body: Mapping[str, Any]
    made_at: datetime
    state: str
    polls: int
    version: str
    object: str = ""
    message: str = ""
    header: list[str] = field(default_factory=list)
    lines: Table = field(default_factory=list)
    rows: Table | None = None
    done: Table = field(default_factory=list)
    failed: Table = field(default_factory=list)
    left: Table = field(default_factory=list)


class Jobs:
    """The jobs of one org.

    Switches: ``polls`` (status requests that still find a new job at work; ``None``: it never ends), ``fail_with`` (the
    message with which the next jobs fail), ``stops_after`` (rows of an upload that are carried out before its job fails
    or is aborted), ``largest_part`` (rows of a part of results, however many are asked for), ``one_header`` (only the
    first part names its columns), ``short_parts`` (so many parts whose last row is missing), ``most_bytes``, ``lifetime``,
    ``daily_jobs``.
    """

    def __init__(
        self, rows: Rows, evaluator: Evaluator, writes: Writes, now: Callable[[], datetime], journal: Callable[[Saved], None]
    ) -> None:  # fmt: skip
        self.polls: int | None = 1
        self.fail_with: list[str] = []
        self.stops_after: int | None = None
        self.largest_part: int | None = None
        self.one_header = False
        self.short_parts = 0
        self.most_bytes = 150_000_000
        self.lifetime = timedelta(days=7)
        self.daily_jobs = 10_000
        self.made: list[Job] = []
        """jobs that nobody deleted"""
        self._queries = 0
        self._rows, self._evaluator, self._writes, self._now, self._journal = rows, evaluator, writes, now, journal
        self._ids = new_ids("750")

    def left(self) -> dict[str, int]:
        """The day's query jobs, for ``/limits``."""
        return {"Max": self.daily_jobs, "Remaining": max(self.daily_jobs - self._queries, 0)}

    def answer(
        self, method: str, lane: str, rest: Sequence[str], body: bytes, ask: Mapping[str, str], version: str
    ) -> SimResponse:
        """Answer one request to ``/jobs/query`` or ``/jobs/ingest``. Raises: :class:`Refusal`, ``SoqlError``."""
        match (method, lane, *rest):
            case ("POST", "query"):
                return SimResponse(200, self._told(self._query(body_of(body), version)))
            case ("POST", "ingest"):
                return SimResponse(200, self._told(self._ingest(body_of(body), version)))
            case ("GET", _, job_id):
                return SimResponse(200, self._told(self._asked(self._job(lane, job_id))))
            case ("PATCH", _, job_id):
                return SimResponse(
                    200, self._told(self._moved(self._job(lane, job_id), str(body_of(body).get("state"))))
                )
            case ("DELETE", _, job_id):
                job = self._job(lane, job_id)
                if job.state not in _DELETABLE:
                    raise Refusal(400, "INVALIDJOBSTATE", f"Job {job.id} is {job.state} and cannot be deleted")
                self.made.remove(job)
                return SimResponse.empty()
            case ("GET", "query", job_id, "results"):
                return self._part(self._job(lane, job_id), ask, version)
            case ("PUT", "ingest", job_id, "batches"):
                return self._upload(self._job(lane, job_id), body)
            case ("GET", "ingest", job_id, which) if which.lower() in _OUTCOMES:
                return self._results(self._job(lane, job_id), which.lower())
        raise not_found()

    def expire_all(self) -> None:
        """Delete every job and its results."""
        self.made.clear()

    def _job(self, lane: str, job_id: str) -> Job:
        for job in self.made:
            if job.id == job_id and job.lane == lane and self._now() - job.made_at <= self.lifetime:
                return job
        raise not_found()

    def _told(self, job: Job) -> dict[str, Any]:
        body = job.body
        told: dict[str, Any] = {
            "id": job.id, "operation": body.get("operation"), "object": job.object, "createdById": self._rows.user_id,
            "createdDate": stamp_of(job.made_at), "systemModstamp": stamp_of(self._now()), "state": job.state,
            "concurrencyMode": "Parallel", "contentType": "CSV", "apiVersion": float(job.version.removeprefix("v")),
            "lineEnding": body.get("lineEnding", "LF"), "columnDelimiter": body.get("columnDelimiter", "COMMA"),
        }  # fmt: skip
        if job.lane == "ingest":
            told |= {"jobType": "V2Ingest", "contentUrl": f"services/data/{job.version}/jobs/ingest/{job.id}/batches"}
            told |= {"numberRecordsFailed": len(job.failed)}
            if body.get("externalIdFieldName"):
                told["externalIdFieldName"] = body["externalIdFieldName"]
        processed = len(job.lines) if job.lane == "query" else len(job.done) + len(job.failed)
        told |= {"numberRecordsProcessed": processed, "retries": 0, "totalProcessingTime": 0}
        return told | ({"errorMessage": job.message} if job.message else {})

    # -- states

    def _new(self, lane: Lane, body: Mapping[str, Any], name: str, state: str, version: str) -> Job:
        if body.get("columnDelimiter", "COMMA") not in _DELIMITERS or body.get("lineEnding", "LF") not in _ENDS:
            raise Refusal(400, "INVALIDJOB", "Unknown column delimiter or line ending")
        polls = -1 if self.polls is None else self.polls
        job = Job(next(self._ids), lane, dict(body), self._now(), state, polls, version, name)
        self.made.append(job)
        return job

    def _asked(self, job: Job) -> Job:
        """The job as it is now: being asked moves it on."""
        if job.state in RUNNING:
            if job.polls == 0:
                self._work(job)
            else:
                job.state = "InProgress"
                job.polls -= 1
        return job

    def _moved(self, job: Job, state: str) -> Job:
        if state == "UploadComplete" and job.lane == "ingest" and job.state == "Open" and job.rows is not None:
            job.state = "UploadComplete"
            if job.polls == 0:
                self._work(job)  # it does not wait to be asked
        elif state == "Aborted" and job.state in ("Open", *RUNNING):
            if job.lane == "ingest":
                self._carry_out(job, self.stops_after or 0 if job.state in RUNNING else 0)
            job.state = "Aborted"
        else:
            raise Refusal(400, "INVALIDJOBSTATE", f"Job {job.id} is {job.state} and cannot become {state}")
        return job

    def _work(self, job: Job) -> None:
        if self.fail_with:
            job.state, job.message = "Failed", self.fail_with.pop(0)
            if job.lane == "ingest":
                self._carry_out(job, self.stops_after or 0)
            return
        job.state = "JobComplete"
        if job.lane == "query":
            self._run(job)
        else:
            self._carry_out(job, None)

    # -- queries

    def _query(self, body: Mapping[str, Any], version: str) -> Job:
        if body.get("operation") not in ("query", "queryAll") or not isinstance(body.get("query"), str):
            raise Refusal(400, "INVALIDJOB", "operation must be query or queryAll, with a query")
        if not self.left()["Remaining"]:
            raise Refusal(
                400, "LIMIT_EXCEEDED", f"Max bulk v2 query jobs ({self.daily_jobs}) per 24 hrs has been reached"
            )
        query = parse(body["query"])
        if query.count or query.offset:
            raise Refusal(400, "API_ERROR", "This query is not supported by the Bulk API")
        spec = self._evaluator.object_named(query.object)
        if any(found.type in NOT_IN_BULK for found, _ in self._columns(spec, query.fields)):
            raise Refusal(400, "API_ERROR", "Selecting compound data not supported in Bulk Query")
        self._evaluator.run(query, deleted=True)  # refused now, not when it runs
        self._queries += 1
        return self._new("query", body, spec.name, "UploadComplete", version)

    def _columns(self, spec: ObjectSpec, fields: Sequence[str]) -> list[tuple[FieldSpec, Getter]]:
        return [self._evaluator.path(spec, name) for name in fields]

    def _run(self, job: Job) -> None:
        query = parse(job.body["query"])
        spec = self._evaluator.object_named(query.object)
        try:
            rows, _ = self._evaluator.run(query, deleted=job.body["operation"] == "queryAll")
        except SoqlError as error:  # a field was hidden meanwhile
            job.state, job.message = "Failed", f"InvalidBatch : {error.message}"
            return
        columns = self._columns(spec, query.fields)
        job.header = [self._written_as(spec, name) for name in query.fields]
        job.lines = [[_text(found, get(row)) for found, get in columns] for row in rows]

    def _written_as(self, spec: ObjectSpec, path: str) -> str:
        *steps, last = path.split(".")
        names = []
        for step in steps:
            link = spec.relationships[spec.folded[step.lower()]]
            names.append(link.relationship or "")
            spec = self._rows.objects[link.references[0]]
        return ".".join([*names, spec.folded[last.lower()]])

    def _part(self, job: Job, ask: Mapping[str, str], version: str) -> SimResponse:
        if version != job.version:
            raise Refusal(409, "API_ERROR", f"Job {job.id} was made by another version of the API: {job.version}")
        if job.state != "JobComplete":
            raise Refusal(400, "INVALIDJOBSTATE", f"Job {job.id} is {job.state}: there are no results")
        try:
            start = int(base64.b64decode(ask["locator"], validate=True)) if "locator" in ask else 0
        except ValueError:
            raise Refusal(400, "INVALID_QUERY_LOCATOR", "invalid query locator") from None
        size = min(int(ask.get("maxRecords") or 50_000), self.largest_part or 50_000)
        lines = job.lines[start : start + size]
        rest = base64.b64encode(str(start + size).encode()).decode() if start + size < len(job.lines) else "null"
        shown = lines
        if lines and self.short_parts:
            self.short_parts -= 1
            shown = lines[:-1]
        header = [] if self.one_header and start else [job.header]
        headers = {"Sforce-Locator": rest, "Sforce-NumberOfRecords": str(len(lines)), "Content-Type": "text/csv"}
        return SimResponse(200, _csv([*header, *shown], job.body), headers)

    # -- uploads

    def _ingest(self, body: Mapping[str, Any], version: str) -> Job:
        operation, key = body.get("operation"), body.get("externalIdFieldName")
        if operation not in ("insert", "update", "upsert", "delete"):
            raise Refusal(400, "INVALIDJOB", f"Unknown operation {operation}")
        if body.get("contentType", "CSV") != "CSV":
            raise Refusal(400, "INVALIDJOB", "contentType must be CSV")
        try:
            spec = self._evaluator.object_named(str(body.get("object")))
        except SoqlError:
            raise Refusal(400, "INVALIDENTITY", f"Unknown object {body.get('object')}") from None
        if operation == "upsert":
            found = spec.fields.get(str(key))
            if found is None or not (found.external_id or key == "Id"):
                raise Refusal(400, "INVALIDJOB", f"Field {key} is no external id of {spec.name}")
        return self._new("ingest", body, spec.name, "Open", version)

    def _upload(self, job: Job, body: bytes) -> SimResponse:
        if job.state != "Open" or job.rows is not None:
            raise Refusal(400, "INVALIDJOBSTATE", f"Job {job.id} takes no (more) data")
        if len(body) > self.most_bytes:
            raise Refusal(413, "EXCEEDED_MAX_SIZE_REQUEST", "The uploaded data is too large")
        delimiter = _DELIMITERS[job.body.get("columnDelimiter", "COMMA")]
        found = list(csv.reader(io.StringIO(body.decode(), newline=""), delimiter=delimiter, strict=True))
        job.header, job.rows = found[0], found[1:]
        return SimResponse.empty(201)

    def _carry_out(self, job: Job, most: int | None) -> None:
        """The rows up to so many, each by itself; the others are left."""
        spec, rows = self._rows.objects[job.object], job.rows or []
        unknown = [name for name in job.header if name not in spec.fields or not self._evaluator.sees(spec, name)]
        if unknown:
            job.state, job.message = "Failed", f"InvalidBatch : Field name not found : {unknown[0]}"
            most = 0
        elif too_long := _too_long(job.header, rows):
            job.state, job.message = "Failed", f"InvalidBatch : {too_long}"
            most = 0
        key = str(job.body.get("externalIdFieldName") or "Id")
        place = job.header.index(key) if key in job.header else None
        taken: set[str] = set()
        for row in rows[:most]:
            again = place is not None and row[place] in taken
            if place is not None:
                taken.add(row[place])
            try:
                if len(row) != len(job.header):
                    raise FieldError("INVALID_FIELD", "The row has another number of columns than the header")
                if again:
                    raise FieldError("DUPLICATE_VALUE", f"Duplicate external id specified: {row[place or 0]}", (key,))
                saved = self._save(spec, job, dict(zip(job.header, row, strict=True)), key)
            except FieldError as error:
                job.failed.append(["", f"{error.code}:{error.message}:{','.join(error.fields)} --", *row])
            except BadJson as bad:
                job.failed.append(["", f"INVALID_FIELD:Failed to deserialize field. Due to, {bad}: --", *row])
            else:
                self._journal(saved)
                job.done.append([saved.id, str(saved.action == "created").lower(), *row])
        job.left = [] if most is None else rows[most:]

    def _save(self, spec: ObjectSpec, job: Job, given: Mapping[str, str], key: str) -> Saved:
        user, operation = self._rows.user_id, job.body["operation"]
        fields = {name: None if text == NULL else text for name, text in given.items() if text != ""}
        own = fields.pop(key, None) if operation != "insert" else None
        if operation != "insert" and own is None:
            raise FieldError("MISSING_ARGUMENT", f"{key} not specified")
        if operation == "upsert" and key != "Id":
            try:
                return self._writes.upsert(spec, spec.fields[key], str(own), fields, user, allow_duplicates=False)
            except ManyMatches as many:
                raise FieldError("DUPLICATE_EXTERNAL_ID", f"external id matches {len(many.ids)} records") from None
        if operation == "delete":
            return self._writes.delete(spec, str(own), user)
        try:
            return self._writes.save(spec, own, fields, user, allow_duplicates=False)
        except NotThere:
            raise FieldError("INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id") from None

    def _results(self, job: Job, which: str) -> SimResponse:
        if job.state in ("Open", *RUNNING):
            raise Refusal(400, "INVALIDJOBSTATE", f"Job {job.id} is {job.state}: there are no results")
        head, name = _OUTCOMES[which]
        rows: Table = getattr(job, name)
        return SimResponse(200, _csv([[*head, *job.header], *rows], job.body), {"Content-Type": "text/csv"})


def _too_long(header: Sequence[str], rows: Table) -> str:
    """Which of the limits of an upload it exceeds; empty: none."""
    if sum(map(len, header)) > MOST_IN_HEADER:
        return f"The header has more than {MOST_IN_HEADER} characters"
    if any(_length(value) > MOST_IN_FIELD for row in rows for value in row):
        return f"A field has more than {MOST_IN_FIELD} characters"
    if any(sum(map(_length, row)) > MOST_IN_RECORD for row in rows):
        return f"A record has more than {MOST_IN_RECORD} characters"
    return ""


def _length(text: str) -> int:
    return len(text.encode("utf-16-le")) // 2


def _text(found: FieldSpec, value: Any) -> str:
    """A value as results write it: nothing for null, instants with ``Z``, numbers in the vendor's notation."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if found.type in NUMBERS:
        return number_text(value)
    return f"{str(value).removesuffix('+0000')}Z" if found.type == "datetime" else str(value)


def _csv(lines: Table, body: Mapping[str, Any]) -> bytes:
    made = io.StringIO()
    ends, delimiter = _ENDS[body.get("lineEnding", "LF")], _DELIMITERS[body.get("columnDelimiter", "COMMA")]
    csv.writer(made, delimiter=delimiter, lineterminator=ends, quoting=csv.QUOTE_ALL).writerows(lines)
    return made.getvalue().encode()
