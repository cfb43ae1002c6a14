"""Bulk API 2.0 jobs: making one, asking how far it is, ending it.

Source: Bulk API 2.0 and Bulk API Developer Guide ("Query", "Ingest"). A job belongs to the org: it goes on while we are
gone, and is found again by its id for seven days.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from connectors.errors import AnswerLost, ConnectorError, NeedsOperator, RetryLater
from connectors.http import Answer, Http
from connectors.salesforce.config import SalesforceConfig

Lane = Literal["query", "ingest"]
FIRST_WAIT_SECONDS = 1.0
LONGEST_WAIT_SECONDS = 60.0
USUAL_POLLS = 4
"""Times that a job is asked about before it has ended: after 1, 3, 7 and 15 seconds."""


@dataclass(frozen=True, slots=True)
class Job:
    """A job as the org tells of it; ``age_seconds`` by the org's clock."""

    id: str
    state: str
    processed: int
    failed: int
    age_seconds: float

    @property
    def ended(self) -> bool:
        """Whether nothing more happens to it."""
        return self.state in ("JobComplete", "Failed", "Aborted")

    @property
    def complete(self) -> bool:
        """Whether it did all that it was asked to."""
        return self.state == "JobComplete"


class Jobs:
    """The jobs of one connection. Raises: ``ConnectorError`` kinds, as ``connectors.http.Http`` does."""

    def __init__(self, config: SalesforceConfig, http: Http, sleep: Callable[[float], None]) -> None:
        self._root = f"{config.version_path}/jobs"
        self._http = http
        self._sleep = sleep

    def path(self, lane: Lane, job: str) -> str:
        """The address of a job."""
        return f"{self._root}/{lane}/{job}"

    def make(self, lane: Lane, body: Mapping[str, Any]) -> str:
        """A new job's id. Asked twice after a lost answer: a job without data, or whose results nobody reads, is nothing."""
        answer = self._http.call("POST", f"{self._root}/{lane}", json={**body, "lineEnding": "LF"})
        return _job(answer).id

    def get(self, lane: Lane, job: str) -> Job:
        """How far it is."""
        return _job(self._http.call("GET", self.path(lane, job)))

    def watch(self, lane: Lane, job: str, most_seconds: float) -> Iterator[Job]:
        """How far it is, again and again: until it has ended, or is older than allowed."""
        waited, wait = 0.0, FIRST_WAIT_SECONDS
        while True:
            self._sleep(wait)
            waited += wait
            found = self.get(lane, job)
            yield found
            if found.ended or max(waited, found.age_seconds) >= most_seconds:
                return
            wait = min(wait * 2, LONGEST_WAIT_SECONDS)

    def move(self, lane: Lane, job: str, state: Literal["UploadComplete", "Aborted"]) -> Job:
        """Let it begin, or end it. A job that is past that already is told as it is: no document says by which code."""
        try:
            return _job(self._http.call("PATCH", self.path(lane, job), json={"state": state}))
        except (RetryLater, NeedsOperator, AnswerLost):
            raise
        except ConnectorError:
            found = self.get(lane, job)
            if not (found.ended or (state == "UploadComplete" and found.state != "Open")):
                raise
            return found


def _job(answer: Answer) -> Job:
    body = answer.json()
    try:
        now, made = answer.received_at, datetime.fromisoformat(str(body["createdDate"]))
        return Job(
            str(body["id"]), str(body["state"]), int(body.get("numberRecordsProcessed") or 0),
            int(body.get("numberRecordsFailed") or 0), 0.0 if now is None else (now - made).total_seconds(),
        )  # fmt: skip
    except (KeyError, TypeError, ValueError) as error:
        raise ConnectorError("salesforce: the answer about a job does not say what became of it") from error
