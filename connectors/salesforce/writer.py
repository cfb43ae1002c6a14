"""Writes changes: upserts by external id, updates by id; 200 records a call, and very many of one object as a job.

Every write may be repeated: an upsert finds what it made, an update sets the same values again. A record that
fails never fails its neighbours (``allOrNone: false``), not even when Salesforce refuses the whole request for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal
from email.utils import format_datetime
from typing import Any
from urllib.parse import quote

import orjson

from connectors.base import Change, Written, no_job_started
from connectors.batches import Batch, batches, failed, halves, without, write_in_order
from connectors.calls import noted
from connectors.errors import AnswerLost, ConnectorError, RecordRejected, VersionConflict
from connectors.http import Http
from connectors.salesforce import soql
from connectors.salesforce.config import SalesforceConfig
from connectors.salesforce.errors import FieldNotVisible, NotVisible, row_message, row_state
from connectors.salesforce.ingest_jobs import CALLS_OF_JOB, IngestJobs, JobNotTaken, Upload
from connectors.salesforce.jobs import Jobs

ROWS_OF_JOB = 10_000
"""Records of one job: Salesforce works through an upload in batches of so many, and so many are read back when it is lost."""
ASSIGNED = frozenset({"Lead", "Case"})
"""Objects whose assignment rules would act on API writes."""


class SalesforceWriter:
    """Implements :class:`connectors.base.Writer`."""

    def __init__(self, config: SalesforceConfig, http: Http, jobs: Jobs) -> None:
        self._config = config
        self._http = http
        self._jobs = IngestJobs(config, http, jobs)

    @property
    def most_at_once(self) -> int:
        """Records of one job; without jobs, those of a call."""
        never = self._config.bulk_write_rows is None or self._config.save_duplicates
        return self._config.write_size if never else ROWS_OF_JOB

    def write(
        self, changes: Sequence[Change], *, started: Callable[[str, Sequence[int]], None] = no_job_started
    ) -> list[Written]:
        """Apply the changes and say what became of each, in order."""
        refused = {place: result for place, change in enumerate(changes) if (result := _unwritable(change))}

        def send(batch: Batch, results: dict[int, Written]) -> None:
            if self._by_job(batch):
                self._as_job(batch, changes, results, started)
            else:
                self._as_calls(batch, changes, results)

        return write_in_order(changes, self._batches(changes), refused, send)

    def write_calls(self, changes: Sequence[Change]) -> int:
        """API calls that these changes cost when nothing goes wrong, and a job is asked about as often as is usual."""
        count = 0
        for batch in self._batches(changes):
            uploads, others = self._jobs.uploads(batch, changes) if self._by_job(batch) else ([], batch)
            count += len(uploads) * CALLS_OF_JOB + -(-len(others.places) // self._config.write_size)
        return count

    def jobs_for(self, changes: Sequence[Change]) -> int:
        """How many jobs these changes would be written by."""
        batches = [batch for batch in self._batches(changes) if self._by_job(batch)]
        return sum(len(self._jobs.uploads(batch, changes)[0]) for batch in batches)

    def job_results(self, job: str, changes: Sequence[Change]) -> list[Written]:
        """What an earlier job did with these changes."""
        return self._jobs.results_of(job, changes)

    def _batches(self, changes: Sequence[Change]) -> list[Batch]:
        return batches(changes, self.most_at_once, goes_alone=_keeps_a_version)

    def _by_job(self, batch: Batch) -> bool:
        """Whether a job carries the batch; it could not say that duplicates or assignment rules are to be let through."""
        least = self._config.bulk_write_rows
        special = self._config.save_duplicates or (batch.kind in ASSIGNED and self._config.auto_assign)
        return least is not None and len(batch.places) >= least and not batch.single and not special

    def _as_calls(self, batch: Batch, changes: Sequence[Change], results: dict[int, Written]) -> None:
        for part in batch.parts(self._config.write_size):
            with _carrying(part.places, results):
                self._apply(part, changes, results, again=True)

    def _as_job(
        self,
        batch: Batch,
        changes: Sequence[Change],
        results: dict[int, Written],
        started: Callable[[str, Sequence[int]], None],
    ) -> None:
        """The batch as one job or more; what a job cannot say, or does not take, goes by calls."""
        uploads, others = self._jobs.uploads(batch, changes)
        for upload in uploads:
            part = replace(batch, places=upload.places)
            try:
                with _carrying(upload.places, results):
                    self._upload(part, upload, changes, results, started)
            except JobNotTaken:
                self._as_calls(part, changes, results)
        self._as_calls(others, changes, results)

    def _upload(
        self,
        batch: Batch,
        upload: Upload,
        changes: Sequence[Change],
        results: dict[int, Written],
        started: Callable[[str, Sequence[int]], None],
    ) -> None:
        """One job; its upserts that met another insert of the same key are sent once more, by calls."""
        some = [changes[place] for place in upload.places]
        written = self._jobs.carry_out(upload, some, lambda job: started(job, upload.places))
        results.update(zip(upload.places, written, strict=True))
        raced = tuple(place for place in upload.places if results[place].code == "DUPLICATE_VALUE")
        if raced and batch.key_field:
            for again in replace(batch, places=raced).parts(self._config.write_size):
                self._apply(again, changes, results, again=False)

    def _apply(self, batch: Batch, changes: Sequence[Change], results: dict[int, Written], *, again: bool) -> None:
        few = [changes[place] for place in batch.places]
        try:
            answers = self._one(few[0]) if batch.single else self._collection(batch, few)
        except AnswerLost as error:
            for place in batch.places:
                results[place] = failed(changes[place], "unknown", error)
        except FieldNotVisible as error:
            self._without(error, batch, changes, results)
        except (RecordRejected, VersionConflict, NotVisible) as error:
            self._split(error, batch, changes, results)
        else:
            raced = self._settle(batch, changes, answers, results)
            if raced and again:
                self._apply(replace(batch, places=raced), changes, results, again=False)

    def _settle(
        self, batch: Batch, changes: Sequence[Change], answers: Sequence[dict[str, Any]], results: dict[int, Written]
    ) -> tuple[int, ...]:
        """Note each record's result; the places of upserts that met another insert of the same key come back."""
        if len(answers) != len(batch.places):
            raise ConnectorError(f"salesforce: {len(batch.places)} records were written, {len(answers)} results came")
        raced = []
        for place, answer in zip(batch.places, answers, strict=True):
            results[place] = _written(changes[place], answer)
            if batch.key_field and results[place].code == "DUPLICATE_VALUE":
                raced.append(place)
        return tuple(raced)

    def _without(
        self, error: FieldNotVisible, batch: Batch, changes: Sequence[Change], results: dict[int, Written]
    ) -> None:
        """Reject the records that carry the unseen field (the whole request was refused for it) and send the others."""
        guilty = [place for place in batch.places if error.column in changes[place].fields]
        if not guilty:
            raise error
        others = without(batch, guilty, changes, results, error)
        if others.places:
            self._apply(others, changes, results, again=True)

    def _split(
        self, error: ConnectorError, batch: Batch, changes: Sequence[Change], results: dict[int, Written]
    ) -> None:
        """Find the record for which the whole request was refused by sending halves."""
        if isinstance(error, NotVisible) and not batch.single:
            raise error  # the object or its key field is missing: no half will do better
        for half in halves(batch, changes, results, error):
            self._apply(half, changes, results, again=True)

    def _collection(self, batch: Batch, few: Sequence[Change]) -> list[dict[str, Any]]:
        path = f"{self._config.version_path}/composite/sobjects"
        key_name = "id"
        if batch.key_field:
            key_name = soql.name(batch.key_field)
            path += f"/{soql.name(batch.kind)}/{key_name}"
        records = [
            {"attributes": {"type": soql.name(batch.kind)}, **_values(change), key_name: change.key} for change in few
        ]
        answer = self._http.call(
            "PATCH", path, json={"allOrNone": False, "records": records}, headers=self._headers(batch.kind)
        )
        found = answer.json()
        return found if isinstance(found, list) else []

    def _one(self, change: Change) -> list[dict[str, Any]]:
        """One update that must not overwrite what others changed since ``expected_version``."""
        path = f"{self._config.version_path}/sobjects/{soql.name(change.kind)}/{quote(change.key, safe='')}"
        known = datetime.fromisoformat(change.expected_version or "")
        headers = {**self._headers(change.kind), "If-Unmodified-Since": format_datetime(known)}
        self._http.call("PATCH", path, json=_values(change), headers=headers)
        return [{"id": change.key, "success": True, "errors": []}]

    def _headers(self, kind: str) -> dict[str, str]:
        headers = {}
        if kind in ASSIGNED and not self._config.auto_assign:
            headers["Sforce-Auto-Assign"] = "FALSE"
        if self._config.save_duplicates:
            headers["Sforce-Duplicate-Rule-Header"] = "allowSave=true"
        return headers


@contextmanager
def _carrying(places: Sequence[int], results: dict[int, Written]) -> Iterator[None]:
    """Give the results at these places the calls that are made meanwhile."""
    with noted() as made:
        yield
    for place in places:
        results[place] = replace(results[place], calls=tuple(made))


def _keeps_a_version(change: Change) -> bool:
    """Whether a change must not overwrite what others did since: only a call of its own can say so."""
    return bool(change.expected_version) and change.key_field is None


def _unwritable(change: Change) -> Written | None:
    """The rejection of a change that JSON cannot carry (half a character, a value of no JSON type)."""
    try:
        orjson.dumps([change.key, _values(change)])
    except TypeError:
        why = "INVALID_TEXT: a value is no valid text or has no JSON form"
        return Written(change.key, "rejected", code="INVALID_TEXT", message=why)
    return None


def _values(change: Change) -> dict[str, Any]:
    return {soql.name(field): _json(value) for field, value in change.fields.items()}


def _json(value: Any) -> Any:
    if isinstance(value, Decimal):
        return orjson.Fragment(f"{value:f}".encode())  # a JSON number with every digit, never a float
    if isinstance(value, datetime):
        return soql.instant(value)
    return value.isoformat() if isinstance(value, date) else value


def _written(change: Change, answer: dict[str, Any]) -> Written:
    if answer.get("success"):
        return Written(change.key, "done", str(answer.get("id")), answer.get("created", False))
    error = (answer.get("errors") or [{}])[0]
    code = str(error.get("statusCode"))
    return Written(change.key, row_state(error), code=code, message=row_message(error))
