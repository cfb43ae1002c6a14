"""One HTTP path for every connector: retries with limits, login renewal, budgets, and no surprises.

What an answer means is the connector's own knowledge: its ``decide`` function turns each :class:`Answer`
into a :data:`Decision`, and :class:`Http` acts on it. Redirects are never followed, no other host is ever
called, and neither errors nor logs hold headers, bodies or query strings.
"""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.cookiejar import DefaultCookiePolicy
from typing import Any, Self
from urllib.parse import urlsplit

import orjson
import requests
import structlog
from requests.structures import CaseInsensitiveDict
from tenacity import RetryCallState, Retrying, retry_if_result, wait_exponential_jitter, wait_random
from urllib3.exceptions import ConnectTimeoutError, NewConnectionError

from connectors.addresses import GuardedAdapter, checked_base_url, origin, parsed
from connectors.answers import (
    Answer,
    Decide,
    Decision,
    Done,
    Fail,
    NotJson,
    Reauthenticate,
    Retry,
    decide_by_status,
    retry_after_seconds,
)
from connectors.budgets import Budget, LocalBudget, NoBudget
from connectors.errors import AnswerLost, ConnectorError, NeedsOperator, RetryLater, WindowTooLarge
from connectors.logins import Authenticator, BearerTokens

__all__ = [
    "Answer",
    "Authenticator",
    "BearerTokens",
    "Budget",
    "Decide",
    "Decision",
    "Done",
    "Fail",
    "Http",
    "HttpSession",
    "LocalBudget",
    "MaybeDone",
    "NoBudget",
    "NotJson",
    "Reauthenticate",
    "Retry",
    "RetryPolicy",
    "decide_by_status",
]

log = structlog.get_logger(__name__)

LARGEST_ANSWER_BYTES = 256 * 1024 * 1024
Timeout = tuple[float, float] | float

_PERHAPS_DONE = frozenset({500, 502, 504})
"""Answers after which a request may still have been carried out; 408, 429 and 503 refuse it beforehand."""


class MaybeDone(RetryLater, AnswerLost):
    """Attempts are used up, and one of them may have been carried out: repeatable, but nothing to call undone."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How long one call is tried: attempts and total time both end it.

    A system that asks for a longer wait than ``longest_wait_seconds`` is obeyed by raising ``RetryLater``.
    """

    attempts: int = 6
    total_seconds: float = 120.0
    first_wait_seconds: float = 0.5
    longest_wait_seconds: float = 60.0


@dataclass(slots=True)
class _Call:
    """One call and what has become of it so far."""

    request: requests.PreparedRequest
    idempotent: bool
    timeout_seconds: Timeout
    started: float
    single_attempt: bool
    attempts: int = 0
    counted: int = 0
    renewed: bool = False
    perhaps_done: bool = False
    path: str = field(init=False)

    def __post_init__(self) -> None:
        self.path = urlsplit(self.request.url or "").path

    @property
    def name(self) -> str:
        return f"{self.request.method} {self.path}"

    @property
    def reads(self) -> bool:
        return self.request.method in ("GET", "HEAD")


@dataclass(frozen=True, slots=True)
class _Again:
    """An attempt that may be repeated, and the shortest wait that the system asked for."""

    why: str
    status: int | None = None
    asked_seconds: float | None = None


class Http:
    """Calls one system. Safe for a few threads.

    ``decide`` judges each answer. ``sleep`` and ``monotonic`` are the waiting and the clock of retries.
    After a call has used up its attempts, the next calls make a single attempt each until the system answers
    again, so that one that is down is not hammered once per record.
    Raises (all calls): ``RetryLater`` when attempts or time are used up (:class:`MaybeDone` when a write may have
    been carried out), ``AnswerLost`` when a call that may not be repeated got no answer, ``NeedsOperator`` for a
    second rejected login, a forbidden address or an untrusted certificate, ``QuotaSpent`` from the budget,
    ``WindowTooLarge`` for an answer above ``largest_answer_bytes``, and what ``decide`` fails with.
    """

    def __init__(
        self,
        base_url: str,
        *,
        system: str,
        decide: Decide = decide_by_status,
        auth: Authenticator | None = None,
        budget: Budget | None = None,
        policy: RetryPolicy = RetryPolicy(),
        timeout_seconds: tuple[float, float] = (5, 60),
        sleep: Callable[[float], None] = time.sleep,
        monotonic: Callable[[], float] = time.monotonic,
        allow_loopback: bool = False,
        largest_answer_bytes: int = LARGEST_ANSWER_BYTES,
    ) -> None:
        self._base = checked_base_url(base_url, system=system, allow_loopback=allow_loopback)
        self.base_url = base_url.rstrip("/")
        self.system = system
        self.calls = 0
        """Attempts made."""
        self._decide = decide
        self._auth = auth
        self._budget: Budget = budget or NoBudget()
        self._policy = policy
        self._timeout_seconds = timeout_seconds
        self._sleep = sleep
        self._monotonic = monotonic
        self._largest_answer_bytes = largest_answer_bytes
        self._lock = threading.Lock()
        self._down = False
        self._session = HttpSession(self)
        for scheme in ("https://", "http://"):
            self._session.mount(scheme, GuardedAdapter(system, allow_loopback=allow_loopback))

    @property
    def session(self) -> requests.Session:
        """A session for vendor libraries: its requests go through the same loop and raise the same errors."""
        return self._session

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def call(
        self,
        method: str,
        path_or_url: str,
        *,
        query: Mapping[str, Any] | None = None,
        json: Any = None,
        content: bytes | None = None,
        form: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        idempotent: bool = True,
    ) -> Answer:
        """Make one call, retried as the policy allows, and return the answer that ``decide`` calls done.

        ``path_or_url``: a path after the base address, or a full URL of the same host. ``json`` is written by
        orjson, so money must already be text. ``idempotent=False``: never repeated once it may have arrived.
        """
        own = CaseInsensitiveDict({"Accept": "application/json"})
        if json is not None:
            content, own["Content-Type"] = orjson.dumps(json), "application/json"
        own.update(headers or {})
        url = self.base_url + path_or_url if path_or_url.startswith("/") else path_or_url
        request = requests.Request(method, url, headers=own, params=query, data=content if form is None else dict(form))
        return _answer(self.send(self._session.prepare_request(request), idempotent=idempotent))

    def send(
        self, request: requests.PreparedRequest, *, idempotent: bool, timeout_seconds: Timeout | None = None
    ) -> requests.Response:
        """Send a prepared request through the loop (see :meth:`call`)."""
        url = parsed(request.url or "", system=self.system)
        if origin(url) != origin(self._base) or url.auth is not None:
            raise NeedsOperator(f"{self.system}: refused to call {url.host}; this connection is to {self._base.host}")
        timeout_seconds = timeout_seconds or self._timeout_seconds
        call = _Call(request, idempotent, timeout_seconds, self._monotonic(), single_attempt=self._down)
        loop = Retrying(
            retry=retry_if_result(lambda result: isinstance(result, _Again)),
            wait=self._wait,
            stop=lambda state: self._is_over(call, state),
            sleep=self._sleep,
            before_sleep=lambda state: self._log("http_retried", call, _again(state), state.upcoming_sleep),
            retry_error_callback=lambda state: self._give_up(call, state),
        )
        try:
            result = loop(self._try, call)
        except ConnectorError as error:
            if not isinstance(error, RetryLater):
                self._log("http_failed", call, _Again(error.code or type(error).__name__, error.status))
            raise
        assert isinstance(result, requests.Response)  # the loop repeats or raises everything else
        return result

    def _try(self, call: _Call) -> requests.Response | _Again:
        """One counted attempt; a renewed login is replayed within it."""
        while True:
            call.attempts += 1
            credentials = self._auth.headers(call.request.method or "", call.request.url or "") if self._auth else {}
            try:
                response = self._attempt(call, credentials)
            except requests.RequestException as error:
                return self._without_answer(call, error)
            answer = _answer(response)
            decision = self._decide(answer)
            if not isinstance(decision, Retry):
                self._down = False
            match decision:
                case Done():
                    return response
                case Fail(error=failure):
                    raise failure
                case Retry():
                    return self._refused(call, answer, decision)
                case Reauthenticate(why=why):
                    if self._auth is None or call.renewed:
                        raise NeedsOperator(
                            f"{self.system}: {call.name}: the login was refused ({why}); "
                            "check the credentials and permissions of this connection",
                            code=why,
                            status=answer.status,
                        )
                    call.renewed = True
                    self._auth.refresh(credentials)

    def _attempt(self, call: _Call, credentials: Mapping[str, str]) -> requests.Response:
        """One request, one answer, read whole."""
        request = call.request.copy()
        request.headers.update(credentials)
        self._budget.take(1)
        with self._lock:
            self.calls += 1
        with self._budget.slot(), self._session.transmit(request, call.timeout_seconds) as response:
            parts, size = [], 0
            for part in response.iter_content(65536):
                size += len(part)
                if size > self._largest_answer_bytes:
                    limit = f"{self._largest_answer_bytes} bytes"
                    raise WindowTooLarge(
                        f"{self.system}: {call.name} answered more than {limit}; ask for less at a time"
                    )
                parts.append(part)
            response._content = b"".join(parts)  # what Response.content would do, but without a limit
        return response

    def _without_answer(self, call: _Call, error: requests.RequestException) -> _Again:
        why = type(error).__name__
        if _is_untrusted(error):
            message = f"{self.system}: the certificate of {self._base.host} is not trusted; check the address"
            raise NeedsOperator(message, code=why) from error
        call.counted += 1
        if not _is_before_sending(error):
            call.perhaps_done = True
            if not call.idempotent:
                message = f"{self.system}: {call.name}: no answer came ({why}); it may have been carried out"
                raise AnswerLost(message, code=why) from error
        return _Again(why)

    def _refused(self, call: _Call, answer: Answer, decision: Retry) -> _Again:
        call.counted += decision.counts
        if answer.status in _PERHAPS_DONE:
            call.perhaps_done = True
            if not call.idempotent:
                message = (
                    f"{self.system}: {call.name}: HTTP {answer.status} ({decision.why}); it may have been carried out"
                )
                raise AnswerLost(message, code=decision.why, status=answer.status)
        asked = [seconds for seconds in (decision.after_seconds, retry_after_seconds(answer)) if seconds is not None]
        return _Again(decision.why, answer.status, max(asked, default=None))

    def _wait(self, state: RetryCallState) -> float:
        policy, asked = self._policy, _again(state).asked_seconds
        if asked is not None:
            return asked + wait_random(0, policy.first_wait_seconds)(state)
        first, longest = policy.first_wait_seconds, policy.longest_wait_seconds
        return wait_exponential_jitter(first, longest, jitter=first)(state)

    def _is_over(self, call: _Call, state: RetryCallState) -> bool:
        policy, asked = self._policy, _again(state).asked_seconds
        elapsed = self._monotonic() - call.started
        return (
            call.single_attempt
            or call.counted >= policy.attempts
            or elapsed + state.upcoming_sleep > policy.total_seconds
            or (asked is not None and asked > policy.longest_wait_seconds)
        )

    def _give_up(self, call: _Call, state: RetryCallState) -> None:
        self._down = True
        again = _again(state)
        self._log("http_failed", call, again)
        wait = again.asked_seconds if again.asked_seconds is not None else self._policy.longest_wait_seconds
        status = f"HTTP {again.status}, " if again.status and again.why != f"HTTP {again.status}" else ""
        message = f"{self.system}: {call.name}: {status}{again.why}, after {call.attempts} attempts; try again later"
        kind = MaybeDone if call.perhaps_done and not call.reads else RetryLater
        raise kind(message, retry_after_seconds=wait, code=again.why, status=again.status)

    def _log(self, event: str, call: _Call, again: _Again, wait_seconds: float | None = None) -> None:
        log.warning(
            event,
            system=self.system,
            method=call.request.method,
            path=call.path,
            status=again.status,
            code=again.why,
            attempt=call.attempts,
            wait_seconds=None if wait_seconds is None else round(wait_seconds, 3),
        )

    def as_configured(self, url: str) -> str:
        """The URL with the configured scheme: vendor libraries write https, a simulator on loopback speaks http."""
        plain = "http" + url.removeprefix("https")
        if self._base.scheme == "http" and origin(parsed(plain, system=self.system)) == origin(self._base):
            return plain
        return url


class HttpSession(requests.Session):
    """A ``requests`` session whose requests go through :class:`Http`; environment, cookies and redirects are off."""

    def __init__(self, http: Http) -> None:
        super().__init__()
        self._http = http
        self.trust_env = False  # no netrc login, no proxy of the environment: an address is what was configured
        self.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        self.headers["User-Agent"] = "referee"

    def request(self, method: str | bytes, url: str | bytes, *args: Any, **kwargs: Any) -> requests.Response:
        """As ``requests.Session.request``; a POST is taken as not repeatable unless ``idempotent=True`` is given."""
        verb = (method.decode() if isinstance(method, bytes) else method).upper()
        idempotent = kwargs.pop("idempotent", verb != "POST")
        timeout_seconds = kwargs.pop("timeout", None)
        for ours in ("allow_redirects", "proxies", "stream", "verify", "cert"):
            kwargs.pop(ours, None)
        fields = dict(zip(("params", "data", "headers"), args, strict=False)) | kwargs
        address = self._http.as_configured(url.decode() if isinstance(url, bytes) else url)
        prepared = self.prepare_request(requests.Request(verb, address, **fields))
        return self._http.send(prepared, idempotent=idempotent, timeout_seconds=timeout_seconds)

    def send(self, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:
        """As :meth:`request`, for a request that is already prepared."""
        return self._http.send(request, idempotent=request.method != "POST", timeout_seconds=kwargs.get("timeout"))

    def transmit(self, request: requests.PreparedRequest, timeout_seconds: Timeout) -> requests.Response:
        """Send once, as it is; the body is left to be read."""
        return super().send(
            request, timeout=timeout_seconds, allow_redirects=False, stream=True, verify=True, proxies={}
        )


def _answer(response: requests.Response) -> Answer:
    request = response.request
    return Answer(response.status_code, response.headers, response.content, request.url or "", request.method or "")


def _again(state: RetryCallState) -> _Again:
    result = state.outcome.result() if state.outcome else None
    assert isinstance(result, _Again)
    return result


def _is_before_sending(error: requests.RequestException) -> bool:
    """Whether the connection was never made, so that nothing can have been carried out."""
    reason = getattr(error.args[0] if error.args else None, "reason", None)
    return isinstance(error, requests.ConnectTimeout) or isinstance(reason, NewConnectionError | ConnectTimeoutError)


def _is_untrusted(error: BaseException) -> bool:
    reason = getattr(error.args[0] if error.args else None, "reason", None)
    return isinstance(reason, Exception) and any(isinstance(arg, ssl.SSLCertVerificationError) for arg in reason.args)
