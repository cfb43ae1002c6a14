"""What Tryton's answers mean: by status first, by the kind of exception second, by its English message third.

Exceptions of the application come with status 200. Logins and contexts ask for English, so that a message can be told
by its words; only the labels of field and model are taken out of it, never a value.
"""

from __future__ import annotations

import re
from typing import Any, Literal, NoReturn

from connectors.errors import ConnectorError, NeedsOperator, RecordRejected, VersionConflict, WindowTooLarge
from connectors.http import Answer, Decision, Done, Fail, NotJson, Reauthenticate, Retry

Kind = Literal["record", "gone", "conflict", "permission", "warning", "server", "config"]

_FAILED = re.compile(rb'^\s*\{\s*"id"\s*:\s*[^,{]{1,24},\s*"error"\s*:')
_NO_LOGIN = re.compile(r"LoginException")
_TOO_LONG = re.compile(r"statement timeout|QueryCanceled", re.IGNORECASE)
_PASSING = re.compile(
    r"database is locked|deadlock|could not serialize|connection|terminating|timeout|too many clients", re.IGNORECASE
)
"""Words of database errors that pass by themselves; the transaction was rolled back."""

_FIELD = r'field "(?P<field>[^"]{1,80})" in (?:record ".*" of )?"(?P<model>[^"]{1,80})"'
_PATTERNS: tuple[tuple[Kind, str, str], ...] = (
    ("permission", "NOT_ALLOWED", r'^You are not allowed to access "(?P<model>[^"]{1,80})"'),
    ("permission", "NOT_ALLOWED", r'^You are not allowed to search on the "(?P<model>[^"]{1,80})" resource'),
    ("permission", "NOT_ALLOWED", r'^You are not allowed to (?:read|write|create|delete) records? .*'
                                  r' of "(?P<model>[^"]{1,80})" because'),
    ("record", "READ_ONLY", r'^You are not allowed to modify the ' + _FIELD),
    ("record", "READ_ONLY", r'^You are not allowed to (?:modify|delete)'),
    ("gone", "NOT_FOUND", r'^You are trying to (?:read|write to|delete) records .* of "(?P<model>[^"]{1,80})" that don'),
    ("record", "REQUIRED", r'^A value is required for ' + _FIELD),
    ("record", "INVALID_VALUE", r'^The value ".*" for ' + _FIELD + r' is not valid according to its domain'),
    ("record", "TOO_LONG", r'^The value ".*" for ' + _FIELD + r' is too long'),
    ("record", "INVALID_CHARACTERS", r'^The value ".*" for ' + _FIELD + r' contains some invalid chars'),
    ("record", "INVALID_CHOICE", r'^The value ".*" for ' + _FIELD + r' is not one of the allowed options'),
    ("record", "REFERENCE_NOT_FOUND", r'^The value ".*" for ' + _FIELD + r' does not exist'),
    ("record", "TOO_MANY_DIGITS", r'^The number of digits in the value ".*" for ' + _FIELD),
    ("record", "DUPLICATE_KEY", r'(?:must be unique|already exists)'),
)  # fmt: skip
_MESSAGES = [(kind, code, re.compile(pattern, re.DOTALL)) for kind, code, pattern in _PATTERNS]


class RecordGone(RecordRejected):
    """There is no such record (any more)."""


class Fault(ConnectorError):
    """An exception of the application, before it is known which call met it; :func:`raise_for` says what to do next."""

    def __init__(self, kind: Kind, code: str, what: str, status: int) -> None:
        super().__init__(what, code=code, status=status)
        self.kind = kind


def decide(answer: Answer) -> Decision:
    """The decision about one answer."""
    status = answer.status
    if status == 200:
        return _of_exception(answer) if _FAILED.match(answer.content[:120]) else Done()
    match status:
        case 401:
            return Reauthenticate("HTTP 401")
        case 403:
            return Fail(Fault("config", "FORBIDDEN", "the method may not be called from outside", status))
        case 404:
            return Fail(
                Fault("config", "NO_SUCH_DATABASE", "there is no such database; check url and database", status)
            )
        case 413:
            return Fail(Fault("config", "TOO_LARGE", "page_size is above the server's records_limit; lower it", status))
        case 408 | 425 | 429:
            return Retry(f"HTTP {status}", counts=status != 429)
        case _ if status >= 500 and status != 501:
            return Retry(f"HTTP {status}")
        case _:
            return Fail(Fault("config", f"HTTP {status}", "this is not what Tryton answers; check url", status))


def decide_login(answer: Answer) -> Decision:
    """The decision about an answer to a login: a refused password is never tried again."""
    if answer.status == 401:
        message = "tryton: the login was refused; check user and password of this connection"
        return Fail(NeedsOperator(message, code="LOGIN_REFUSED", status=401))
    return decide(answer)


def _of_exception(answer: Answer) -> Decision:
    try:
        error = answer.json().get("error")
    except (NotJson, AttributeError):
        return Retry("NOT_JSON")
    name, detail = (*error, None, None)[:2] if isinstance(error, list) else (None, None)
    parts = [part for part in detail if isinstance(part, str)] if isinstance(detail, list) else [str(detail or "")]
    if name == "UserError":
        return Fail(_user_error(parts[0] if parts else ""))
    if name == "UserWarning":
        # Its first part is the warning's own name, which a person can switch off for the integration user.
        named = parts[0] if parts and re.fullmatch(r"[\w., -]{1,80}", parts[0]) else "a warning"
        return Fail(Fault("warning", "USER_WARNING", f"Tryton asks a person to confirm {named}", 200))
    if name == "ConcurrencyException":
        return Fail(Fault("conflict", "RECORD_CHANGED", "the record changed since it was read", 200))
    if name == "RateLimitException":
        return Retry("RATE_LIMIT", counts=False)
    if name is not None and _NO_LOGIN.match(str(name)):
        return Fail(NeedsOperator("tryton: the login asks for more than a password", code="LOGIN_REFUSED"))
    if _TOO_LONG.search(str(name)):
        return Fail(WindowTooLarge("tryton: the database ended a query that took too long", code="QUERY_CANCELED"))
    if _PASSING.search(str(name)):
        return Retry("DATABASE")
    return Fail(Fault("server", "SERVER_ERROR", "the server failed without saying why; its log does", 200))


def _user_error(message: str) -> Fault:
    for kind, code, pattern in _MESSAGES:
        if found := pattern.search(message):
            labels = found.groupdict()
            of = " of ".join(repr(labels[part]) for part in ("field", "model") if labels.get(part))
            return Fault(kind, code, f"{code}{f' ({of})' if of else ''}", 200)
    return Fault("record", "USER_ERROR", "USER_ERROR", 200)


def raise_for(fault: Fault, call: str) -> NoReturn:
    """Raise what the caller does next about a fault that met ``call``."""
    where, code, status = f"tryton: {call}: {fault}", fault.code, fault.status
    match fault.kind:
        case "permission":
            message = f"{where}; give the integration user a group that may do this"
            raise NeedsOperator(message, code=code, status=status) from None
        case "config":
            raise NeedsOperator(where, code=code, status=status) from None
        case "conflict":
            raise VersionConflict(where, code=code, status=status) from None
        case "gone":
            raise RecordGone(where, code=code, status=status) from None
        case _:
            raise RecordRejected(where, code=code, status=status) from None


def result_of(answer: Answer) -> Any:
    """What the call returned. Raises: ``NotJson``."""
    body = answer.json()
    return body.get("result") if isinstance(body, dict) else body
