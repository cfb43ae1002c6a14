"""Answers of a system, and the decisions that a connector takes about them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

import msgspec
import orjson

from connectors.errors import ConnectorError

_EXACT = msgspec.json.Decoder(float_hook=Decimal)
"""As fast as orjson, which only knows binary floats."""

UNREADABLE = (ValueError, msgspec.DecodeError, RecursionError)
"""What JSON parsers raise."""


def exact_json(text: bytes | msgspec.Raw) -> Any:
    """JSON with ``Decimal`` for numbers with a fraction. Raises: one of :data:`UNREADABLE`."""
    try:
        return _EXACT.decode(text)
    except msgspec.DecodeError:
        # Half a character (a lone surrogate) is JSON all the same: what it means is decided where it is mapped.
        return json.loads(bytes(text), parse_float=Decimal, parse_constant=_refuse_constant)


class NotJson(ConnectorError, ValueError):
    """The answer's body is not the JSON it should be (a proxy's HTML page, a cut-off body)."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer of a system; ``content`` is decoded (gunzipped) but otherwise as sent.

    ``took_seconds``: from sending the request to the head of the answer.
    """

    status: int
    headers: Mapping[str, str]
    content: bytes
    url: str
    method: str
    took_seconds: float = 0.0

    def json(self, *, exact: bool = False) -> Any:
        """The body as JSON; with ``exact``, numbers with a fraction are ``Decimal`` (money), else ``float``.

        Raises: :class:`NotJson` (also a ``ValueError``), naming status and content type only.
        """
        try:
            return exact_json(self.content) if exact else orjson.loads(self.content)
        except UNREADABLE as error:
            kind = self.headers.get("Content-Type", "no content type")
            where = f"{self.method} {urlsplit(self.url).path}"
            raise NotJson(f"{where} answered {self.status} with {kind}, not JSON", status=self.status) from error

    @property
    def received_at(self) -> datetime | None:
        """The system's own clock when it answered (``Date`` header), in UTC."""
        return _http_date(self.headers.get("Date"))

    @property
    def asked_at(self) -> datetime | None:
        """The system's own clock when the request reached it, or up to a second later (``Date`` has whole seconds)."""
        received = self.received_at
        return None if received is None else received - timedelta(seconds=int(self.took_seconds))


@dataclass(frozen=True, slots=True)
class Done:
    """The answer is good; hand it to the caller."""


@dataclass(frozen=True, slots=True)
class Retry:
    """Nothing was done; try again, after ``after_seconds`` at the earliest.

    ``counts=False``: the system is only busy, so the attempt is not counted; total time still ends it.
    """

    why: str
    after_seconds: float | None = None
    counts: bool = True


@dataclass(frozen=True, slots=True)
class Reauthenticate:
    """The login is no longer accepted; renew it and replay once."""

    why: str


@dataclass(frozen=True, slots=True)
class Fail:
    """Trying again would not help; raise this."""

    error: ConnectorError


Decision = Done | Retry | Reauthenticate | Fail
Decide = Callable[[Answer], Decision]


def decide_by_status(answer: Answer) -> Decision:
    """What a status code means by the HTTP standard (RFC 9110, 6585), for systems that add nothing of their own."""
    status = answer.status
    if 200 <= status < 300:
        return Done()
    if status == 401:
        return Reauthenticate("HTTP 401")
    if status in (408, 425, 429) or (status >= 500 and status != 501):
        return Retry(f"HTTP {status}")
    return Fail(ConnectorError(f"{answer.method} {urlsplit(answer.url).path} answered {status}", status=status))


def retry_after_seconds(answer: Answer) -> float | None:
    """How long the system asks us to wait (``Retry-After``: seconds, or a date measured by its own clock)."""
    asked = answer.headers.get("Retry-After", "").strip()
    if asked.isascii() and asked.isdigit():
        return float(asked)
    until, now = _http_date(asked), answer.received_at
    return max(0.0, (until - now).total_seconds()) if until and now else None


def _http_date(text: str | None) -> datetime | None:
    try:
        moment = parsedate_to_datetime(text or "")
    except ValueError:
        return None
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")
