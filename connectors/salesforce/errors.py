"""What an answer of Salesforce means, as tables: error code first, status second.

Messages are our own words with the vendor's code and API names only: the vendor's text can hold the refused value.
Source: REST API Developer Guide ("Status Codes and Error Responses"), SOAP API "Core Data Types: StatusCode".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Literal
from urllib.parse import urlsplit

import orjson

from connectors.answers import Answer, Decision, Done, Fail, Reauthenticate, Retry, retry_after_seconds
from connectors.errors import (
    ConnectorError,
    CursorExpired,
    NeedsOperator,
    QuotaSpent,
    RecordRejected,
    RetryLater,
    VersionConflict,
    WindowTooLarge,
)

PARK_SECONDS = 900.0
"""How long a connection rests when the daily quota is gone: it is a rolling window, so it falls by itself."""
BUSY_SECONDS = 5.0


class FieldNotVisible(NeedsOperator):
    """A field that does not exist for this connection (never made, deleted, or no field-level access)."""

    def __init__(self, message: str, *, column: str | None, status: int | None) -> None:
        super().__init__(message, code="INVALID_FIELD", status=status)
        self.column = column


class NotVisible(NeedsOperator):
    """An object, record or key field that does not exist for this connection."""


_SHRINK = {
    "QUERY_TIMEOUT", "OPERATION_TOO_LARGE", "TXN_SECURITY_METERING_ERROR", "QUERY_TOO_COMPLICATED",
    "EXCEEDED_ID_LIMIT", "EXCEEDED_MAX_SIZE_REQUEST",
}  # fmt: skip
_RETRY = {"UNABLE_TO_LOCK_ROW", "SERVER_UNAVAILABLE", "UNKNOWN_EXCEPTION", "DATABASE_CONNECTION_ERROR"}
_OPERATOR = {
    "API_DISABLED_FOR_ORG": "the org's edition has no API access; enable it",
    "API_CURRENTLY_DISABLED": "API access is switched off in the org; enable it",
    "INVALID_TYPE": "the object does not exist for this user; install the package or give the user access to it",
    "MALFORMED_QUERY": "the query is not SOQL; check `where` and the field names of the mapping",
    "INVALID_QUERY_FILTER_OPERATOR": "a filter compares unlike things; check `where` of the mapping",
    "UNSUPPORTED_API_VERSION": "this API version is retired; raise api_version in the settings",
    "INSUFFICIENT_ACCESS": "the integration user lacks a permission; give it through the permission set",
    "INSUFFICIENT_ACCESS_OR_READONLY": "the integration user may not do this; give it through the permission set",
    "INSUFFICIENT_ACCESS_ON_CROSS_REFERENCE_ENTITY": "the integration user may not use a record that this one names",
}
_RECORD = {
    "REQUIRED_FIELD_MISSING": "a required field is empty",
    "STRING_TOO_LONG": "a text is longer than the field",
    "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST": "a value is not in the restricted picklist",
    "INVALID_FIELD_FOR_INSERT_UPDATE": "a field is read-only for the integration user",
    "FIELD_CUSTOM_VALIDATION_EXCEPTION": "a validation rule of the org refused it",
    "FIELD_INTEGRITY_EXCEPTION": "a value does not fit the field",
    "FIELD_FILTER_VALIDATION_EXCEPTION": "a lookup filter refused the value",
    "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY": "a trigger or flow of the org failed on it",
    "CANNOT_EXECUTE_FLOW_TRIGGER": "a flow of the org failed on it",
    "CANNOT_UPDATE_CONVERTED_LEAD": "the lead is converted and therefore read-only",
    "DUPLICATES_DETECTED": "a duplicate rule of the org refused it",
    "DUPLICATE_VALUE": "a unique field already has this value on another record",
    "DUPLICATE_EXTERNAL_ID": "several records have this key",
    "ENTITY_IS_DELETED": "the record is deleted",
    "INVALID_CROSS_REFERENCE_KEY": "the record, or one that it names, does not exist",
    "INVALID_EMAIL_ADDRESS": "an e-mail address is malformed",
    "INVALID_ID_FIELD": "an id is malformed",
    "MALFORMED_ID": "an id is malformed or belongs to another object",
    "MISSING_ARGUMENT": "its id or key is empty",
    "NUMBER_OUTSIDE_VALID_RANGE": "a number is too large for the field",
    "JSON_PARSER_ERROR": "a value has the wrong type for its field",
}
_ROW_RETRY = _RETRY | {"ALL_OR_NONE_OPERATION_ROLLED_BACK", "REQUEST_LIMIT_EXCEEDED", "TRANSFER_REQUIRES_READ_TIMEOUT"}
_COLUMN = re.compile(r"No such column '([A-Za-z][A-Za-z0-9_.]{0,254})'")
_API_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.]{0,254}")


def decide(answer: Answer) -> Decision:
    """What to do about an answer of the REST API."""
    if 200 <= answer.status < 300 or answer.status == 304:
        html = "html" in answer.headers.get("Content-Type", "").lower()
        return Retry("an HTML page instead of data") if html else Done()
    if answer.status == 401:
        return Reauthenticate("session not accepted")
    code, message = _error_of(answer)
    return _by_code(answer, code, message) or _by_status(answer, code)


def _by_code(answer: Answer, code: str, message: str) -> Decision | None:
    where = _where(answer, code)
    status = answer.status
    if code == "REQUEST_LIMIT_EXCEEDED":
        if "concurrent" in message.lower():  # too many long requests at once: not the daily quota
            return Retry("too many requests at once", retry_after_seconds(answer) or BUSY_SECONDS)
        why = "the org's API requests of the last 24 hours are used up"
        return Fail(QuotaSpent(f"{where}: {why}", retry_after_seconds=PARK_SECONDS, code=code, status=status))
    if code in _RETRY:
        return Retry(code)
    if code in _SHRINK:
        return Fail(WindowTooLarge(f"{where}: too much for one request", code=code, status=status))
    if code.startswith("INVALID_QUERY_LOCATOR") or code in (
        "INVALID_REPLICATION_DATE",
        "LOCATOR_LOCATION_EXCEEDS_SIZE",
    ):
        return Fail(CursorExpired(f"{where}: the position is not accepted any more", code=code, status=status))
    if code == "INVALID_FIELD":
        return Fail(_field_not_visible(answer, where, message))
    if code in _OPERATOR:
        return Fail(NeedsOperator(f"{where}: {_OPERATOR[code]}", code=code, status=status))
    if code in _RECORD:
        return Fail(RecordRejected(f"{where}: {_RECORD[code]}", code=code, status=status))
    return None


def _by_status(answer: Answer, code: str) -> Decision:
    where, status = _where(answer, code), answer.status
    if status == 300:
        return Fail(RecordRejected(f"{where}: several records have this key", code="DUPLICATE_EXTERNAL_ID", status=300))
    if status == 404:
        return Fail(NotVisible(f"{where}: no such object, record or key field for this user", code=code, status=404))
    if status == 410:
        return Fail(NeedsOperator(f"{where}: {_OPERATOR['UNSUPPORTED_API_VERSION']}", code=code, status=410))
    if status == 412:
        return Fail(VersionConflict(f"{where}: the record changed since it was read", code=code, status=412))
    if status in (413, 414, 431):
        return Fail(WindowTooLarge(f"{where}: the request is too long", code=code, status=status))
    if status in (406, 408, 420, 429) or status >= 500:
        return Retry(f"HTTP {status}", retry_after_seconds(answer))
    if status == 403:
        return Fail(NeedsOperator(f"{where}: refused; check the integration user's permissions", code=code, status=403))
    return Fail(ConnectorError(f"{where}: not understood", code=code, status=status))


def decide_login(answer: Answer) -> Decision:
    """What to do about an answer of the token endpoint: a refused login is for a person, never for a loop."""
    if answer.status == 200:
        return Done()
    if answer.status in (408, 420, 429) or answer.status >= 500:
        return Retry(f"HTTP {answer.status}", retry_after_seconds(answer))
    code, why = _error_of(answer)
    if "rate exceeded" in why.lower():  # it comes as invalid_grant, as wrong credentials do
        told = "salesforce: login refused: the user has logged in too often in this hour"
        return Fail(
            RetryLater(told, retry_after_seconds=PARK_SECONDS, code="LOGIN_RATE_EXCEEDED", status=answer.status)
        )
    if code in _LOGIN_RETRY or "retry" in why.lower():
        return Retry(code or f"HTTP {answer.status}")
    advice = _LOGIN.get(code, "check the External Client App, its flows and its run-as user")
    return Fail(
        NeedsOperator(
            f"salesforce: login refused ({code or answer.status}): {advice}", code=code or None, status=answer.status
        )
    )


_LOGIN_RETRY = {"unknown_error", "server_error", "temporarily_unavailable"}
"""A refusal of this hour, not of these credentials: ``unknown_error`` says "retry your request"."""
_LOGIN = {
    "invalid_client_id": "client_id is no consumer key of this org (or the app is younger than 10 minutes)",
    "invalid_client": "client_secret does not belong to client_id",
    "invalid_grant": "the run-as user is inactive or not pre-authorised, or private_key does not match the certificate",
    "unsupported_grant_type": "enable the flow in the app (client credentials, or JWT bearer)",
    "inactive_user": "the run-as user is inactive",
    "invalid_app_access": "the user is not pre-authorised for the app",
}

RowState = Literal["retry", "rejected"]


def row_state(error: Mapping[str, Any]) -> RowState:
    """What to do about a record that a collection call did not write."""
    code, message = str(error.get("statusCode")), str(error.get("message"))
    return "retry" if code in _ROW_RETRY or "UNABLE_TO_LOCK_ROW" in message else "rejected"


def row_message(error: Mapping[str, Any]) -> str:
    """Why a record was not written, for people: our words, the code, and the fields concerned."""
    code = str(error.get("statusCode"))
    names = [str(name) for name in error.get("fields") or () if _API_NAME.fullmatch(str(name))]
    concerned = f" ({', '.join(names)})" if names else ""
    why = _RECORD.get(code) or _OPERATOR.get(code) or ("it is busy" if code in _ROW_RETRY else "Salesforce refused it")
    return f"{code}: {why}{concerned}"


def judge(observed: Callable[[int | None, int | None], None]) -> Callable[[Answer], Decision]:
    """:func:`decide`, telling a budget what the org has counted (``Sforce-Limit-Info``, on good answers)."""

    def decided(answer: Answer) -> Decision:
        used = _USED.search(answer.headers.get("Sforce-Limit-Info", ""))
        if used:
            observed(int(used[1]), int(used[2]))
        return decide(answer)

    return decided


# Searched, not matched whole: where an app has a limit of its own, its part follows.
_USED = re.compile(r"(?<![\w-])api-usage=(\d+)/(\d+)")


def _field_not_visible(answer: Answer, where: str, message: str) -> FieldNotVisible:
    found = _COLUMN.search(message)
    column = found[1] if found else None
    text = (
        f"{where}: {column or 'a field'} does not exist for the integration user; give it field-level access, "
        "create the field, or take it out of the mapping"
    )
    return FieldNotVisible(text, column=column, status=answer.status)


def _error_of(answer: Answer) -> tuple[str, str]:
    """(code, message) of a REST error list or an OAuth error object; empty for HTML and other bodies."""
    try:
        body = orjson.loads(answer.content)
    except orjson.JSONDecodeError:
        return "", ""
    item = body[0] if isinstance(body, list) and body else body
    if not isinstance(item, dict):
        return "", ""
    code = str(item.get("errorCode") or item.get("error") or "")
    message = str(item.get("message") or item.get("error_description") or "")
    return (code if _API_NAME.fullmatch(code) else ""), message


def _where(answer: Answer, code: str) -> str:
    return f"salesforce: {answer.method} {urlsplit(answer.url).path} answered {answer.status} {code}".rstrip()
