"""Which API calls carried what: every call is noted for whoever listens in the thread that makes it.

Reading listens around each page, writing around each change or batch of changes, so that a record can say later which
call brought it or took it there. Nothing that could be a secret is noted: no query, header or body but the system's own
name for the request.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import replace
from itertools import count

from connectors.base import ApiCall, Written

REQUEST_IDS = ("X-Request-Id", "X-HubSpot-Correlation-Id", "X-N-OperationId", "X-SFDC-Request-Id")
"""Headers in which systems name a request, for their support to find it: HubSpot, NetSuite and Salesforce; the first is common."""

_listening: ContextVar[list[ApiCall] | None] = ContextVar("referee_api_calls", default=None)
_places = count(1)


@contextmanager
def noted() -> Iterator[list[ApiCall]]:
    """The calls that this thread makes meanwhile, in their order; who listened before is told of them too."""
    mine: list[ApiCall] = []
    token = _listening.set(mine)
    try:
        yield mine
    finally:
        _listening.reset(token)
        outer = _listening.get()
        if outer is not None:
            outer.extend(mine)


def note(method: str, path: str, status: int | None, headers: Mapping[str, str]) -> None:
    """Note one attempt; ``status=None``: no answer came. ``headers`` are those of the answer, in any case."""
    listening = _listening.get()
    if listening is not None:
        name = next((found for header in REQUEST_IDS if (found := headers.get(header))), None)
        listening.append(ApiCall(next(_places), method, path, status, name, headers.get("Date")))


def carried(write: Callable[[], Written]) -> Written:
    """The result of one change that is written on its own, with the calls that it took."""
    with noted() as made:
        result = write()
    return replace(result, calls=tuple(made))
