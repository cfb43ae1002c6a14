"""What NetSuite's answers mean: by ``o:errorCode`` first, by status second.

The same condition comes with different statuses (concurrency as 429 and as 400), and one status means many
things. Messages carry codes and field names, never the vendor's text, which may hold values.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from typing import Any, Literal
from urllib.parse import urlsplit

from connectors.errors import ConnectorError, NeedsOperator, RecordRejected, WindowTooLarge
from connectors.http import Answer, Decision, Done, Fail, NotJson, Reauthenticate, Retry

Class = Literal["login", "permission", "busy", "retry", "query", "record", "exists", "gone", "config", "slow"]

BY_CODE: dict[str, Class] = {
    "INVALID_LOGIN": "login",
    "INVALID_LOGIN_ATTEMPT": "login",
    "INSUFFICIENT_PERMISSION": "permission",
    "CONCURRENCY_LIMIT_EXCEEDED": "busy",
    "SSS_REQUEST_LIMIT_EXCEEDED": "busy",
    "WS_REQUEST_BLOCKED": "busy",
    "WS_CONCUR_SESSION_DISALLWD": "busy",
    "RCRD_HAS_BEEN_CHANGED": "retry",
    "UNEXPECTED_ERROR": "retry",
    "SSS_SEARCH_TIMEOUT": "slow",
    "SSS_TIME_LIMIT_EXCEEDED": "slow",
    "INVALID_PARAMETER": "query",
    "INVALID_CONTENT": "record",
    "NONEXISTENT_FIELD": "record",
    "INVALID_KEY_OR_REF": "record",
    "USER_ERROR": "record",
    "NONEXISTENT_ID": "gone",
    "RCRD_DSNT_EXIST": "gone",
}
BY_STATUS: dict[int, Class] = {
    302: "config", 400: "record", 401: "login", 403: "permission", 404: "gone", 405: "config", 408: "retry",
    415: "config", 429: "busy",
}  # fmt: skip
LOGIN_BACKOFF_SECONDS = 5.0
"""Wait before a refused login is believed: over the concurrency limit NetSuite may answer as if it were one."""
_EXISTS = re.compile(r"already exists", re.IGNORECASE)
_FIELD = re.compile(r"Field '(\w{1,80})' for record '(\w{1,80})' was not found")
_RECORD = re.compile(r"Record '(\w{1,80})' was not found")
_IDENTIFIER = re.compile(r"Unknown identifier '([\w.]{1,120})'")


class QueryRefused(NeedsOperator):
    """A query that NetSuite does not accept; ``table`` and ``column`` when it says which it does not know."""

    def __init__(
        self, message: str, *, code: str | None, status: int, table: str | None = None, column: str | None = None
    ) -> None:
        super().__init__(message, code=code, status=status)
        self.table = table
        self.column = column


class AlreadyExists(RecordRejected):
    """A record with this key was created meanwhile; the write can be repeated as an update."""


class RecordGone(RecordRejected):
    """There is no such record (any more)."""


class Judge:
    """Decides about answers of one connection; remembers whether logins worked a moment ago."""

    def __init__(self, observe: Callable[[Answer], None] = lambda answer: None) -> None:
        self._observe = observe
        self._lock = threading.Lock()
        self._refused_logins = 0

    def __call__(self, answer: Answer) -> Decision:
        """The decision about one answer."""
        self._observe(answer)
        if answer.status < 300:
            with self._lock:
                self._refused_logins = 0
            return Done()
        problem = problem_of(answer)
        code = problem.get("o:errorCode")
        kind = class_of(answer.status, code, str(problem.get("detail", "")))
        match kind:
            case "login":
                return self._login(code or f"HTTP {answer.status}")
            case "busy" | "retry":
                return Retry(code or f"HTTP {answer.status}")
            case _:
                return Fail(error_of(answer, kind, code, problem))

    def _login(self, why: str) -> Decision:
        with self._lock:
            self._refused_logins += 1
            first = self._refused_logins == 1
        return Retry(why, after_seconds=LOGIN_BACKOFF_SECONDS) if first else Reauthenticate(why)


def class_of(status: int, code: str | None, detail: str = "") -> Class:
    """What an answer means."""
    if code == "USER_ERROR" and _EXISTS.search(detail):
        return "exists"
    return BY_CODE.get(code or "") or BY_STATUS.get(status) or ("retry" if status >= 500 else "record")


def problem_of(answer: Answer) -> dict[str, Any]:
    """The first of ``o:errorDetails``, or nothing when the answer is in another form."""
    try:
        body = answer.json()
    except NotJson:
        return {}
    details = body.get("o:errorDetails") if isinstance(body, dict) else None
    return details[0] if isinstance(details, list) and details and isinstance(details[0], dict) else {}


def error_of(answer: Answer, kind: Class, code: str | None, problem: dict[str, Any]) -> ConnectorError:
    """The error that says what to do next."""
    status, detail = answer.status, str(problem.get("detail", ""))
    # Addresses hold external ids, which may be names: only the part that names the resource is shown.
    place = "/".join(urlsplit(answer.url).path.split("/")[3:6])
    where = f"netsuite: {answer.method} {place}: HTTP {status}{f', {code}' if code else ''}"
    path = problem.get("o:errorPath")
    if isinstance(path, str) and re.fullmatch(r"[\w.\[\]]{1,80}", path):
        where += f" at {path}"
    if kind == "slow":
        return WindowTooLarge(f"{where}; it took too long", code=code, status=status)
    if kind == "query" or (kind == "record" and place.endswith("suiteql")):
        return _query_refused(where, code, status, detail)
    if kind == "permission":
        return NeedsOperator(
            f"{where}; give the integration's role the permission for this record type", code=code, status=status
        )
    if kind == "config":
        return NeedsOperator(f"{where}; check account and base_url (is it this account's own address?)", status=status)
    special = {"exists": AlreadyExists, "gone": RecordGone}.get(kind, RecordRejected)
    return special(where, code=code, status=status)


def _query_refused(where: str, code: str | None, status: int, detail: str) -> QueryRefused:
    if found := _FIELD.search(detail):
        column, table = found[1], found[2]
        return column_refused(table, column, code, status)
    if found := _RECORD.search(detail):
        message = f"netsuite: the role cannot see {found[1]!r}; give it the permission, or take it out of the mapping"
        return QueryRefused(message, code=code, status=status, table=found[1])
    column = found[1] if (found := _IDENTIFIER.search(detail)) else ""
    if column:
        return column_refused(None, column.rpartition(".")[2], code, status)
    return QueryRefused(f"{where}; the query is not accepted", code=code, status=status)


def column_refused(table: str | None, column: str, code: str | None, status: int) -> QueryRefused:
    """The error for a column that cannot be read; it is never left out silently."""
    of = f" of {table!r}" if table else ""
    message = (
        f"netsuite: column {column!r}{of} cannot be read: it does not exist, was removed, or the role may not see it; "
        "give the role access to it, or take it out of the mapping"
    )
    return QueryRefused(message, code=code, status=status, table=table, column=column)


def decide_login(answer: Answer) -> Decision:
    """The decision about an answer of the token endpoint."""
    if answer.status < 300:
        return Done()
    try:
        body = answer.json()
    except NotJson:
        body = {}
    code = str(body.get("error", "")) if isinstance(body, dict) else ""
    if answer.status in (429,) or answer.status >= 500:
        return Retry(f"HTTP {answer.status}")
    known = code if re.fullmatch(r"[a-z_]{1,40}", code) else f"HTTP {answer.status}"
    return Fail(
        NeedsOperator(
            f"netsuite: the login was refused ({known}); check client_id, certificate_id and private_key, that the "
            "certificate is active and mapped to this integration in this account (sandbox refreshes clear it), and "
            "that its algorithm is PS256 or ES256",
            code=known,
            status=answer.status,
        )
    )
