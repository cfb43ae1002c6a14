"""Asynchronous requests (``Prefer: respond-async``): jobs, their tasks and results, batches, and idempotency keys.

The work is done at once; only the way of asking for the result is the vendor's.
Source: SuiteTalk REST Web Services ("REST Web Services Request Processing", "Sending an Asynchronous Request Using an
Idempotency Key", "Batch Operations"). A key is known for the request, not for what is in it: a second request is refused
whatever its body. Without ``respond-async`` a key has no effect.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote

import orjson

from connectors.netsuite.simulator.answers import Refused
from connectors.simulation import SimRequest, SimResponse

ROOT = "/services/rest/async/v1/job"
MOST_ITEMS = 100
Work = Callable[[SimRequest], SimResponse]


@dataclass
class _Job:
    results: list[SimResponse]
    polls: int


class AsyncJobs:
    """Jobs of one account. ``polls``: status requests that still find a new job at work."""

    def __init__(self) -> None:
        self.polls = 0
        self._ids = itertools.count(1)
        self._jobs: dict[str, _Job] = {}
        self._keys: dict[str, str] = {}

    def around(self, request: SimRequest, work: Work) -> SimResponse:
        """Answer a request, as a job when it asks for that. Raises: ``Refused``."""
        if request.path.startswith(ROOT):
            return self._status(request)
        is_batch = "type=collection" in request.headers.get("Content-Type", "").replace(" ", "").lower()
        if "respond-async" not in request.headers.get("Prefer", "").lower():
            if is_batch:
                raise Refused(400, "INVALID_HEADER", "Batch operations are asynchronous only.", header="Prefer")
            return work(request)
        key = request.headers.get("X-NetSuite-Idempotency-Key")
        if key in self._keys:
            detail = "A request with the same idempotency key is already submitted."
            where = {"Location": f"{request.host_url}{ROOT}/{self._keys[key]}", "Preference-Applied": "respond-async"}
            raise Refused(400, "IDEMPOTENCY_ERROR", detail, title="Conflict", headers=where)
        parts = list(_items(request)) if is_batch else [request]
        job = str(next(self._ids))
        if key is not None:
            self._keys[key] = job
        self._jobs[job] = _Job([_carried_out(part, work) for part in parts], self.polls)
        headers = {"Location": f"{request.host_url}{ROOT}/{job}", "Preference-Applied": "respond-async"}
        return SimResponse.empty(202, headers)

    def _status(self, request: SimRequest) -> SimResponse:
        name, *rest = request.segments[5:] or ("",)
        job = self._jobs.get(name)
        if job is None:
            raise Refused(404, "NONEXISTENT_ID", "The job does not exist.")
        here = f"{request.host_url}{ROOT}/{name}"
        links = [{"rel": "self", "href": f"{here}/task"}]
        if not rest:
            at_work, job.polls = job.polls > 0, max(job.polls - 1, 0)
            state = {"completed": not at_work, "progress": "pending" if at_work else "succeeded"}
            return SimResponse.json({"id": name, **state, "task": {"links": links}})
        if job.polls:
            raise Refused(404, "NONEXISTENT_ID", "The job has no tasks yet.")
        numbers = [str(number) for number in range(1, len(job.results) + 1)]
        if rest == ["task"]:
            return SimResponse.json(
                {"items": [{"id": n, "links": [{"rel": "self", "href": f"{here}/task/{n}"}]} for n in numbers]}
            )
        if len(rest) < 2 or rest[0] != "task" or rest[1] not in numbers:
            raise Refused(404, "NONEXISTENT_ID", "The task does not exist.")
        result = job.results[int(rest[1]) - 1]
        if len(rest) == 2:
            progress = "succeeded" if result.status < 300 else "failed"
            return SimResponse.json({"id": rest[1], "completed": True, "progress": progress})
        return result


def _carried_out(request: SimRequest, work: Work) -> SimResponse:
    try:
        return work(request)
    except Refused as refused:
        return refused.response


def _items(request: SimRequest) -> Iterator[SimRequest]:
    """The requests of a batch, each for one record. Raises: ``Refused``."""
    try:
        items: Any = request.json()["items"]
    except (ValueError, KeyError, TypeError):
        raise Refused(400, "INVALID_CONTENT", "A batch needs a list of items.") from None
    if not isinstance(items, list) or not 1 <= len(items) <= MOST_ITEMS:
        raise Refused(400, "INVALID_CONTENT", f"A batch holds 1 to {MOST_ITEMS} items.")
    for item in items:
        body = dict(item)
        path = request.path.rstrip("/")
        if request.method == "PUT":  # an upsert knows its record by the external id only
            path += f"/eid:{quote(str(body.pop('externalId', '')), safe='')}"
        elif request.method == "PATCH":
            path += f"/{body.pop('id', '')}"
        yield replace(request, path=path, body=orjson.dumps(body))
