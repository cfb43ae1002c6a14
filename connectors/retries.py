"""How long a call is tried: the state of one call, the wait before its next attempt, and when it is over."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import requests
from tenacity import RetryCallState, wait_exponential, wait_random
from urllib3.exceptions import ConnectTimeoutError, NewConnectionError, ReadTimeoutError

Timeout = tuple[float, float] | float
"""Seconds to connect and to wait for data, or one number for both."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How long one call is tried: attempts and total time both end it.

    A system that asks for a longer wait than ``longest_wait_seconds`` is obeyed by raising ``RetryLater``.
    """

    attempts: int = 6
    total_seconds: float = 120.0
    first_wait_seconds: float = 0.5
    longest_wait_seconds: float = 60.0


DEFAULT_POLICY = RetryPolicy()


@dataclass(slots=True)
class Call:
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
    slow: int = 0
    """Attempts that were not answered in time."""
    path: str = field(init=False)

    def __post_init__(self) -> None:
        self.path = urlsplit(self.request.url or "").path

    @property
    def name(self) -> str:
        """Method and path, without the query."""
        return f"{self.request.method} {self.path}"

    @property
    def reads(self) -> bool:
        """Whether it can change nothing, by its method."""
        return self.request.method in ("GET", "HEAD")


@dataclass(frozen=True, slots=True)
class Again:
    """An attempt that may be repeated, and the shortest wait that the system asked for."""

    why: str
    status: int | None = None
    asked_seconds: float | None = None


def again(state: RetryCallState) -> Again:
    """What the last attempt came to, while the loop is asking what to do next."""
    result = state.outcome.result() if state.outcome else None
    assert isinstance(result, Again)
    return result


def wait_seconds(policy: RetryPolicy, state: RetryCallState) -> float:
    """At least what the system asked for, else exponentially longer each time; never the same for two workers."""
    first, asked = policy.first_wait_seconds, again(state).asked_seconds
    apart = wait_random(0, first)(state)
    return apart + (wait_exponential(first, policy.longest_wait_seconds)(state) if asked is None else asked)


def is_over(policy: RetryPolicy, call: Call, state: RetryCallState, elapsed_seconds: float) -> bool:
    """Whether the wait before another attempt is not worth it any more."""
    asked = again(state).asked_seconds
    return (
        call.single_attempt
        or call.counted >= policy.attempts
        or elapsed_seconds + state.upcoming_sleep > policy.total_seconds
        or (asked is not None and asked > policy.longest_wait_seconds)
    )


def is_before_sending(error: requests.RequestException) -> bool:
    """Whether the connection was never made, so that nothing can have been carried out."""
    reason = getattr(error.args[0] if error.args else None, "reason", None)
    return isinstance(error, requests.ConnectTimeout) or isinstance(reason, NewConnectionError | ConnectTimeoutError)


def is_slow(error: requests.RequestException) -> bool:
    """Whether the request arrived and no answer, or not all of one, came in time."""
    reason = error.args[0] if error.args else None
    return isinstance(error, requests.ReadTimeout) or isinstance(reason, ReadTimeoutError)


def is_untrusted(error: requests.RequestException) -> bool:
    """Whether the server's certificate was refused: no retry will mend that."""
    reason = getattr(error.args[0] if error.args else None, "reason", None)
    return isinstance(reason, Exception) and any(isinstance(arg, ssl.SSLCertVerificationError) for arg in reason.args)
