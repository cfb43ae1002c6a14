"""What an answer of HubSpot means, as tables: category and code first, status second.

Messages are our own words with the vendor's codes and property names only: the vendor's text repeats refused values.
Source: "API usage guidelines" (limits, policies, error handling), "Error handling", answers recorded by others.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any, Literal
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from connectors.answers import Answer, Decision, Done, Fail, NotJson, Reauthenticate, Retry, retry_after_seconds
from connectors.errors import ConnectorError, NeedsOperator, QuotaSpent, RecordRejected, RefreshRefused, WindowTooLarge

PARK_SECONDS = 3600.0
"""How long a connection rests when the day's calls are gone and the portal's midnight is not known."""
BURST_SECONDS = 10.0
SECOND = 1.0


class NotVisible(NeedsOperator):
    """An object that does not exist for this connection, or whose scope the app lacks."""


class PropertyNotVisible(RecordRejected):
    """A whole request refused for properties that do not exist there; ``names`` are theirs."""

    def __init__(self, message: str, *, names: frozenset[str], status: int) -> None:
        super().__init__(message, code="PROPERTY_DOESNT_EXIST", status=status)
        self.names = names


RECORD = {
    "PROPERTY_DOESNT_EXIST": "a property does not exist in this portal",
    "INVALID_OPTION": "a value is no option of the property",
    "INVALID_EMAIL": "an e-mail address is malformed",
    "INVALID_INTEGER": "a value is no whole number",
    "INVALID_LONG": "a value is no number",
    "INVALID_NUMBER": "a value is no number",
    "INVALID_BOOLEAN": "a value is neither true nor false",
    "INVALID_DATE": "a value is no date",
    "INVALID_LENGTH": "a text is longer than HubSpot keeps",
    "READ_ONLY_VALUE": "a property is read-only: HubSpot computes it",
    "REQUIRED_FIELD": "a required property is empty",
    "VALIDATION_RULE": "a validation rule of the portal refused it",
    "CONFLICT": "another record has a value that must be unique",
    "OBJECT_NOT_FOUND": "the record does not exist, was archived, or is of another object",
    "OBJECT_ALREADY_EXISTS": "another record has a value that must be unique",
    "VALIDATION_ERROR": "HubSpot refused its values",
}
_ROW_RETRY = {"RATE_LIMITS", "RATE_LIMIT", "INTERNAL_ERROR", "LOCKED", "TIMEOUT"}
_MANY_RESULTS = re.compile(r"10,?000|paging|total results", re.IGNORECASE)
_NO_OBJECT = re.compile(r"infer object type", re.IGNORECASE)
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.\-]{0,254}")
_CODE = re.compile(r"[A-Z][A-Z0-9_]{0,80}")
_LOGIN = {
    "BAD_REFRESH_TOKEN": "refresh_token is not of this app, or the app was uninstalled from the portal",
    "BAD_CLIENT_ID": "client_id is of no app",
    "BAD_CLIENT_SECRET": "client_secret does not belong to client_id",
    "invalid_grant": "refresh_token is not of this app, or the app was uninstalled from the portal",
    "invalid_client": "client_secret does not belong to client_id",
}
_TOKEN_REFUSED = frozenset({"BAD_REFRESH_TOKEN", "invalid_grant"})


class Judge:
    """Decides about answers; keeps the portal's zone, in which the day of its quota ends, and feeds the budget."""

    def __init__(self, observed: Callable[[int | None, int | None], None]) -> None:
        self._observed = observed
        self._zone: ZoneInfo | None = None

    def learn_zone(self, name: str) -> None:
        """Take over the portal's time zone; one that this machine does not know stays unknown."""
        try:
            self._zone = ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError):
            self._zone = None

    def __call__(self, answer: Answer) -> Decision:
        """What to do about an answer of the API."""
        self._note_usage(answer)
        if 200 <= answer.status < 300:
            html = "html" in answer.headers.get("Content-Type", "").lower()
            return Retry("an HTML page instead of data") if html else Done()
        if answer.status == 429:
            return self._limited(answer)
        return decide(answer)

    def _note_usage(self, answer: Answer) -> None:
        allowed = answer.headers.get("X-HubSpot-RateLimit-Daily", "")
        left = answer.headers.get("X-HubSpot-RateLimit-Daily-Remaining", "")
        if allowed.isdigit() and left.isdigit():
            self._observed(int(allowed) - int(left), int(allowed))

    def _limited(self, answer: Answer) -> Decision:
        """A limit of a second or ten is waited for; one of a day parks the connection until the portal's midnight."""
        policy = str(body_of(answer).get("policyName", ""))
        if policy == "DAILY":
            why = f"{_where(answer, policy)}: the calls of this day are used up"
            seconds = self._until_midnight(answer.received_at)
            return Fail(QuotaSpent(why, retry_after_seconds=seconds, code=policy, status=429))
        if policy == "SECONDLY":
            return Retry("SECONDLY", SECOND, counts=False)
        if policy == "TEN_SECONDLY_ROLLING":
            return Retry(policy, BURST_SECONDS, counts=False)
        return Retry(policy if _CODE.fullmatch(policy) else "HTTP 429", retry_after_seconds(answer))

    def _until_midnight(self, now: datetime | None) -> float:
        if now is None or self._zone is None:
            return PARK_SECONDS
        local = now.astimezone(self._zone)
        midnight = datetime.combine(local.date() + timedelta(days=1), datetime.min.time(), self._zone)
        return max((midnight - now).total_seconds(), SECOND)


def decide(answer: Answer) -> Decision:
    """What to do about a refusal that is no rate limit."""
    body, status = body_of(answer), answer.status
    category = category_of(body)
    where = _where(answer, category)
    if category == "MISSING_SCOPES":
        return Fail(NeedsOperator(f"{where}: {_scopes(body)}", code=category, status=status))
    if status == 401:
        return Reauthenticate(category or "HTTP 401")
    if status == 403:
        return Fail(NeedsOperator(f"{where}: refused; check the scopes of the app", code=category or None, status=403))
    if status in (413, 414, 431):
        return Fail(WindowTooLarge(f"{where}: the request is too long", code=category or None, status=status))
    if status in (408, 423, 477) or status >= 500:
        return Retry(category or f"HTTP {status}", retry_after_seconds(answer))
    if status == 404 and not body:
        why = "no such resource; api_version may be retired, raise it in the settings"
        return Fail(NeedsOperator(f"{where}: {why}", status=404))
    if status == 404 or _NO_OBJECT.search(str(body.get("message", ""))):
        return Fail(NotVisible(f"{where}: no such object for this app", code=category or None, status=status))
    if status in (400, 409):
        return Fail(_refused(answer, body, where, category))
    return Fail(ConnectorError(f"{where}: not understood", code=category or None, status=status))


def _refused(answer: Answer, body: Mapping[str, Any], where: str, category: str) -> ConnectorError:
    if answer.url.partition("?")[0].endswith("/search"):
        if _MANY_RESULTS.search(str(body.get("message", ""))):
            return WindowTooLarge(f"{where}: a search ends at 10,000 results", code=category or None, status=400)
        hint = "check `where` of the mapping: a JSON list of filters with propertyName, operator and value"
        return NeedsOperator(f"{where}: the search is not accepted; {hint}", code=category or None, status=400)
    code = next(iter(_codes(body)), category)
    missing = frozenset(_names(body, "PROPERTY_DOESNT_EXIST"))
    if missing:
        listed = ", ".join(sorted(missing))
        return PropertyNotVisible(f"{where}: {listed} does not exist in this portal", names=missing, status=400)
    return RecordRejected(f"{where}: {explained(body, code)}", code=code or "VALIDATION_ERROR", status=answer.status)


def decide_login(answer: Answer) -> Decision:
    """What to do about an answer of the token endpoint: a refused login is for a person, never for a loop."""
    if answer.status == 200:
        return Done()
    if answer.status in (408, 429) or answer.status >= 500:
        return Retry(f"HTTP {answer.status}", retry_after_seconds(answer))
    body = body_of(answer)
    said = str(body.get("status") or body.get("error") or "")
    code = said if said in _LOGIN else category_of(body)
    advice = _LOGIN.get(code, "check client_id, client_secret and refresh_token")
    message = f"hubspot: login refused ({code or f'HTTP {answer.status}'}): {advice}"
    kind = RefreshRefused if code in _TOKEN_REFUSED else NeedsOperator
    return Fail(kind(message, code=code or None, status=answer.status))


# -- rows of a batch


def row_state(error: Mapping[str, Any]) -> Literal["retry", "rejected"]:
    """What to do about a record that a batch did not write."""
    return "retry" if category_of(error) in _ROW_RETRY else "rejected"


def row_code(error: Mapping[str, Any]) -> str:
    """The code of a record's refusal: of its first detail, else its category."""
    return next(iter(_codes(error)), category_of(error)) or "VALIDATION_ERROR"


def explained(error: Mapping[str, Any], code: str) -> str:
    """Why a record was not written, for people: our words, the code, and the properties concerned."""
    names = sorted(set(_names(error)))
    concerned = f" ({', '.join(names)})" if names else ""
    why = RECORD.get(code) or ("it is busy" if code in _ROW_RETRY else "HubSpot refused it")
    return f"{code}: {why}{concerned}"


def body_of(answer: Answer) -> Mapping[str, Any]:
    """The answer's JSON object; empty for HTML and other bodies."""
    try:
        body = answer.json()
    except NotJson:
        return {}
    return body if isinstance(body, dict) else {}


def category_of(error: Mapping[str, Any]) -> str:
    """The category of an error, when it is one of the vendor's words."""
    category = str(error.get("category") or error.get("errorType") or "")
    return category if _CODE.fullmatch(category) else ""


def _details(error: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for detail in error.get("errors") or ():
        if isinstance(detail, dict):
            yield detail


def _codes(error: Mapping[str, Any]) -> Iterator[str]:
    for detail in _details(error):
        code = str(detail.get("code", ""))
        if _CODE.fullmatch(code):
            yield code


def _names(error: Mapping[str, Any], code: str | None = None) -> Iterator[str]:
    """Names of the properties that an error is about."""
    for detail in (error, *_details(error)):
        context = detail.get("context")
        if isinstance(context, dict) and (code is None or detail.get("code") == code):
            found = context.get("propertyName") or ()
            yield from (name for name in found if isinstance(name, str) and _NAME.fullmatch(name))


def _scopes(body: Mapping[str, Any]) -> str:
    context = body.get("context")
    found = context.get("requiredGranularScopes") if isinstance(context, dict) else None
    named = [scope for scope in found or () if isinstance(scope, str) and _NAME.fullmatch(scope)]
    return f"the app lacks a scope ({', '.join(named) or 'which one, the answer does not say'}); add it and reinstall"


def _where(answer: Answer, code: str) -> str:
    return f"hubspot: {answer.method} {urlsplit(answer.url).path} answered {answer.status} {code}".rstrip()
