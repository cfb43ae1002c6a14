"""Asynchronous requests (``Prefer: respond-async``): a job, its task, its result, and idempotency keys.

The work is done at once; only the way of asking for the result is the vendor's.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable

from connectors.netsuite.simulator.answers import Refused
from connectors.simulation import SimRequest, SimResponse

ROOT = "/services/rest/async/v1/job"


class AsyncJobs:
    """Jobs of one account."""

    def __init__(self) -> None:
        self._ids = itertools.count(1)
        self._results: dict[str, SimResponse] = {}
        self._keys: dict[str, str] = {}

    def around(self, request: SimRequest, work: Callable[[SimRequest], SimResponse]) -> SimResponse:
        """Answer a request, as a job when it asks for that. Raises: ``Refused``."""
        if request.path.startswith(ROOT):
            return self._status(request)
        if "respond-async" not in request.headers.get("Prefer", "").lower():
            return work(request)
        key = request.headers.get("X-NetSuite-Idempotency-Key")
        if key in self._keys:
            detail = "The request with this idempotency key was already submitted."
            where = {"Location": f"{request.host_url}{ROOT}/{self._keys[key]}"}
            raise Refused(400, "IDEMPOTENCY_ERROR", detail, title="Conflict", headers=where)
        job = str(next(self._ids))
        if key is not None:
            self._keys[key] = job
        try:
            self._results[job] = work(request)
        except Refused as refused:
            self._results[job] = refused.response
        return SimResponse.empty(
            202,
            {
                "Location": f"{request.host_url}{ROOT}/{job}",
                "Preference-Applied": "respond-async",
            },
        )

    def _status(self, request: SimRequest) -> SimResponse:
        job, *rest = request.segments[5:] or ("",)
        if job not in self._results:
            raise Refused(404, "NONEXISTENT_ID", "The job does not exist.")
        here = f"{request.host_url}{ROOT}/{job}"
        if not rest:
            task = {"links": [{"rel": "self", "href": f"{here}/task"}]}
            return SimResponse.json({"id": job, "completed": True, "progress": "succeeded", "task": task})
        if rest == ["task"]:
            return SimResponse.json(
                {
                    "items": [
                        {
                            "id": "1",
                            "links": [{"rel": "self", "href": f"{here}/task/1"}],
                        }
                    ]
                }
            )
        if rest == ["task", "1"]:
            return SimResponse.json({"id": "1", "completed": True, "progress": "succeeded"})
        return self._results[job]
