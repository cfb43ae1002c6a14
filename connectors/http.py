"""One HTTP path for every connector: retries with limits, login renewal, budgets, and no surprises.

What an answer means is the connector's own knowledge: its ``decide`` function turns each :class:`Answer`
into a :data:`Decision`, and :class:`Http` acts on it. Redirects are never followed, no other host is ever
called, and neither errors nor logs hold headers, bodies or query strings.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, Self
from urllib.parse import urlencode

import orjson
import requests
import structlog
from requests.structures import CaseInsensitiveDict
from tenacity import RetryCallState, Retrying, retry_if_result

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
from connectors.calls import note
from connectors.errors import AnswerLost, ConnectorError, NeedsOperator, RecordRejected, RetryLater, WindowTooLarge
from connectors.halving import may_ask_less
from connectors.logins import Authenticator, BearerTokens, TimedTokens
from connectors.retries import (
    DEFAULT_POLICY,
    Again,
    Call,
    RetryPolicy,
    Timeout,
    again,
    is_before_sending,
    is_over,
    is_slow,
    is_untrusted,
    wait_seconds,
)
from connectors.sessions import HttpSession

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
    "TimedTokens",
    "decide_by_status",
]

log = structlog.get_logger(__name__)

LARGEST_ANSWER_BYTES = 256 * 1024 * 1024

_TOO_SLOW = frozenset({408, 504, 524})
"""Answers that say that the work took too long, also those of what stands in front of a system."""
_PERHAPS_DONE = frozenset({500, 502, 504})
"""Answers after which a request may still have been carried out; 408, 429 and 503 refuse it beforehand."""


class MaybeDone(RetryLater, AnswerLost):
    """Attempts are used up, and one of them may have been carried out: repeatable, but nothing to call undone."""


class Http:
    """Calls one system. Safe for a few threads.

    ``decide`` judges each answer. ``sleep`` and ``monotonic`` are the waiting and the clock of retries.
    ``ca_file``: a PEM file of the certificates to trust instead of the public ones; checking has no off switch.
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
        policy: RetryPolicy = DEFAULT_POLICY,
        timeout_seconds: tuple[float, float] = (5, 60),
        sleep: Callable[[float], None] = time.sleep,
        monotonic: Callable[[], float] = time.monotonic,
        allow_loopback: bool = False,
        largest_answer_bytes: int = LARGEST_ANSWER_BYTES,
        ca_file: str | None = None,
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
        self._session = HttpSession(self, ca_file)
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
        if {".", ".."} & set(path_or_url.partition("?")[0].split("/")):  # they would be resolved, to another resource
            raise NeedsOperator(
                f"{self.system}: a name in the address is '.' or '..'; use the object's own name or key"
            )
        own = CaseInsensitiveDict({"Accept": "application/json"})
        if json is not None:
            content, own["Content-Type"] = self._written(json), "application/json"
        own.update(headers or {})
        url = self.base_url + path_or_url if path_or_url.startswith("/") else path_or_url
        request = requests.Request(method, url, headers=own, data=content if form is None else dict(form))
        prepared = self._session.prepare_request(request)
        given = {name: value for name, value in (query or {}).items() if value is not None}
        if given:  # encoded once: requests goes through each character of a long query three times more
            prepared.url = f"{prepared.url}{'&' if '?' in (prepared.url or '') else '?'}{urlencode(given, doseq=True)}"
        return _answer(self.send(prepared, idempotent=idempotent))

    def _written(self, json: Any) -> bytes:
        try:
            return orjson.dumps(json)
        except orjson.JSONEncodeError as error:  # a lone surrogate, a number beyond 64 bits, a type that is no JSON
            message = f"{self.system}: the body cannot be written as JSON ({error})"
            raise RecordRejected(message, code="NOT_JSON") from error

    def send(
        self, request: requests.PreparedRequest, *, idempotent: bool, timeout_seconds: Timeout | None = None
    ) -> requests.Response:
        """Send a prepared request through the loop (see :meth:`call`)."""
        url = parsed((request.url or "").partition("?")[0], system=self.system)
        if origin(url) != origin(self._base) or url.auth is not None:
            raise NeedsOperator(f"{self.system}: refused to call {url.host}; this connection is to {self._base.host}")
        timeout_seconds = timeout_seconds or self._timeout_seconds
        call = Call(request, idempotent, timeout_seconds, self._monotonic(), single_attempt=self._down)
        loop = Retrying(
            retry=retry_if_result(lambda result: isinstance(result, Again)),
            wait=lambda state: wait_seconds(self._policy, state),
            stop=lambda state: is_over(self._policy, call, state, self._monotonic() - call.started),
            sleep=self._sleep,
            before_sleep=lambda state: self._log("http_retried", call, again(state), state.upcoming_sleep),
            retry_error_callback=lambda state: self._give_up(call, state),
        )
        try:
            result = loop(self._try, call)
        except ConnectorError as error:
            if not isinstance(error, RetryLater):
                self._log("http_failed", call, Again(error.code or type(error).__name__, error.status))
            raise
        finally:
            loop.iter_state.reset()  # it would keep the loop, and with it the request, for the cycle collector
        assert isinstance(result, requests.Response)  # the loop repeats or raises everything else
        return result

    def _try(self, call: Call) -> requests.Response | Again:
        """One counted attempt; a renewed login is replayed within it."""
        while True:
            call.attempts += 1
            credentials = self._auth.headers(call.request.method or "", call.request.url or "") if self._auth else {}
            try:
                response = self._attempt(call, credentials)
            except requests.RequestException as error:
                note(call.request.method or "", call.path, None, {})
                return self._without_answer(call, error)
            note(call.request.method or "", call.path, response.status_code, response.headers)
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

    def _attempt(self, call: Call, credentials: Mapping[str, str]) -> requests.Response:
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

    def _without_answer(self, call: Call, error: requests.RequestException) -> Again:
        why = type(error).__name__
        if is_untrusted(error):
            message = f"{self.system}: the certificate of {self._base.host} is not trusted; check the address"
            raise NeedsOperator(message, code=why) from error
        call.counted += 1
        if is_slow(error):
            self._ask_less(call, why, None)
        if not is_before_sending(error):
            call.perhaps_done = True
            if not call.idempotent:
                message = f"{self.system}: {call.name}: no answer came ({why}); it may have been carried out"
                raise AnswerLost(message, code=why) from error
        return Again(why)

    def _refused(self, call: Call, answer: Answer, decision: Retry) -> Again:
        call.counted += decision.counts
        if answer.status in _TOO_SLOW:
            self._ask_less(call, decision.why, answer.status)
        if answer.status in _PERHAPS_DONE:
            call.perhaps_done = True
            if not call.idempotent:
                message = (
                    f"{self.system}: {call.name}: HTTP {answer.status} ({decision.why}); it may have been carried out"
                )
                raise AnswerLost(message, code=decision.why, status=answer.status)
        asked = [seconds for seconds in (decision.after_seconds, retry_after_seconds(answer)) if seconds is not None]
        return Again(decision.why, answer.status, max(asked, default=None))

    def _ask_less(self, call: Call, why: str, status: int | None) -> None:
        """Give up after the second answer that did not come in time, where the caller can ask for less."""
        call.slow += 1
        if call.slow > 1 and may_ask_less():
            message = f"{self.system}: {call.name}: no answer in time ({why}), {call.slow} times"
            raise WindowTooLarge(message, code=why, status=status)

    def _give_up(self, call: Call, state: RetryCallState) -> None:
        self._down = True
        last = again(state)
        self._log("http_failed", call, last)
        wait = last.asked_seconds if last.asked_seconds is not None else self._policy.longest_wait_seconds
        status = f"HTTP {last.status}, " if last.status and last.why != f"HTTP {last.status}" else ""
        message = f"{self.system}: {call.name}: {status}{last.why}, after {call.attempts} attempts; try again later"
        kind = MaybeDone if call.perhaps_done and not call.reads else RetryLater
        raise kind(message, retry_after_seconds=wait, code=last.why, status=last.status)

    def _log(self, event: str, call: Call, again: Again, wait_seconds: float | None = None) -> None:
        # What failed for good is raised, and told by whoever catches it; some failures are expected answers.
        (log.warning if event == "http_retried" else log.info)(
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


def _answer(response: requests.Response) -> Answer:
    request = response.request
    return Answer(
        response.status_code, response.headers, response.content, request.url or "", request.method or "",
        response.elapsed.total_seconds(),
    )  # fmt: skip
