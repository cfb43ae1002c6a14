"""What a simulator receives and answers, and what can go wrong in between."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, Self
from urllib.parse import parse_qs, unquote

import orjson
from requests.structures import CaseInsensitiveDict


@dataclass(frozen=True)
class SimRequest:
    """One request as it arrived. ``path`` is still percent-encoded (``%2F`` in a key is no separator)."""

    method: str
    path: str
    raw_query: str
    headers: CaseInsensitiveDict[str]
    body: bytes
    host_url: str

    @cached_property
    def segments(self) -> tuple[str, ...]:
        """The parts of the path, decoded."""
        return tuple(unquote(part) for part in self.path.split("/") if part)

    @cached_property
    def query(self) -> dict[str, list[str]]:
        """The query string, decoded."""
        return parse_qs(self.raw_query, keep_blank_values=True)

    def form(self) -> dict[str, list[str]]:
        """The form-encoded body, decoded."""
        return parse_qs(self.body.decode(), keep_blank_values=True)

    def json(self) -> Any:
        """The JSON body; raises ``ValueError`` when it is none."""
        return orjson.loads(self.body)


@dataclass(frozen=True)
class SimResponse:
    """One answer. A ``body`` that is not bytes is written as JSON."""

    status: int = 200
    body: Any = b""
    headers: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def json(cls, obj: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Self:
        """An answer with a JSON body."""
        return cls(status, orjson.dumps(obj, default=str), {"Content-Type": "application/json", **(headers or {})})

    @classmethod
    def text(
        cls,
        text: str,
        status: int = 200,
        content_type: str = "text/plain; charset=utf-8",
        headers: Mapping[str, str] | None = None,
    ) -> Self:
        """An answer with a text body (HTML, CSV, XML by ``content_type``)."""
        return cls(status, text.encode(), {"Content-Type": content_type, **(headers or {})})

    @classmethod
    def empty(cls, status: int = 204, headers: Mapping[str, str] | None = None) -> Self:
        """An answer without a body."""
        return cls(status, b"", headers or {})


FaultKind = Literal["answer", "lose_answer", "drop", "truncate", "hang"]


@dataclass
class Fault:
    """One thing that goes wrong with matching requests.

    ``answer``: the canned ``response`` instead of the simulator's own. ``lose_answer``: the request is
    carried out, then the connection closes without an answer. ``drop``: it closes before anything is done.
    ``truncate``: half the body arrives. ``hang``: carried out, then silence until the client gives up.
    The first ``after`` matching requests pass; then ``times`` are hit (``None``: all of them).
    """

    match: Callable[[SimRequest], bool] = lambda request: True
    times: int | None = 1
    kind: FaultKind = "answer"
    response: SimResponse | None = None
    after: int = 0


class Faults:
    """The faults waiting to happen: ``simulator.faults.add(Faults.status(503, times=2))``."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: list[Fault] = []

    def add(self, fault: Fault) -> None:
        """Let it happen after the faults that were added before."""
        with self._lock:
            self._waiting.append(fault)

    def clear(self) -> None:
        """Forget all of them."""
        with self._lock:
            self._waiting.clear()

    def next_for(self, request: SimRequest) -> Fault | None:
        """The fault that hits this request, counted as used."""
        with self._lock:
            for fault in [fault for fault in self._waiting if fault.match(request)]:
                if fault.after > 0:
                    fault.after -= 1
                    continue
                if fault.times is not None:
                    fault.times -= 1
                    if fault.times <= 0:
                        self._waiting.remove(fault)
                return fault
        return None

    @staticmethod
    def status(
        status: int,
        *,
        times: int | None = 1,
        match: Callable[[SimRequest], bool] = lambda request: True,
        headers: Mapping[str, str] | None = None,
        body: Any = b"",
        after: int = 0,
    ) -> Fault:
        """Answer with this status instead of carrying the request out."""
        return Fault(match, times, "answer", SimResponse(status, body, headers or {}), after)

    @staticmethod
    def lose_answer(
        times: int | None = 1, match: Callable[[SimRequest], bool] = lambda request: True, after: int = 0
    ) -> Fault:
        """Carry the request out and close without answering."""
        return Fault(match, times, "lose_answer", after=after)

    @staticmethod
    def drop(
        times: int | None = 1, match: Callable[[SimRequest], bool] = lambda request: True, after: int = 0
    ) -> Fault:
        """Close without carrying the request out."""
        return Fault(match, times, "drop", after=after)

    @staticmethod
    def truncate(
        times: int | None = 1, match: Callable[[SimRequest], bool] = lambda request: True, after: int = 0
    ) -> Fault:
        """Carry the request out and send half of the answer's body."""
        return Fault(match, times, "truncate", after=after)

    @staticmethod
    def hang(
        times: int | None = 1, match: Callable[[SimRequest], bool] = lambda request: True, after: int = 0
    ) -> Fault:
        """Carry the request out and stay silent until the client gives up."""
        return Fault(match, times, "hang", after=after)
