"""What each answer of a vendor means for the caller, row by row: tried again, another login, or which error is raised."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from requests.structures import CaseInsensitiveDict

from connectors.answers import Answer, Decide, Done, Fail, Reauthenticate, Retry
from connectors.errors import (
    CursorExpired,
    NeedsOperator,
    QuotaSpent,
    RecordRejected,
    RetryLater,
    VersionConflict,
    WindowTooLarge,
)
from connectors.hubspot.errors import Judge as HubSpotJudge
from connectors.hubspot.errors import decide_login as hubspot_login
from connectors.netsuite.errors import AlreadyExists, QueryRefused, RecordGone
from connectors.netsuite.errors import Judge as NetSuiteJudge
from connectors.netsuite.errors import decide_login as netsuite_login
from connectors.salesforce.errors import FieldNotVisible, NotVisible, decide, decide_login

AGAIN, LOGIN, FINE = Retry, Reauthenticate, Done
Row = tuple[int, Any, type[Any]]


def sf(code: str, message: str = "m") -> list[dict[str, str]]:
    return [{"errorCode": code, "message": message}]


def ns(code: str, detail: str = "d") -> dict[str, Any]:
    return {"o:errorDetails": [{"o:errorCode": code, "detail": detail}]}


def hs(category: str, message: str = "m", **more: Any) -> dict[str, Any]:
    return {"status": "error", "category": category, "message": message, **more}


SALESFORCE: list[Row] = [
    (200, {}, FINE), (304, b"", FINE), (401, sf("INVALID_SESSION_ID"), LOGIN), (401, sf("INVALID_AUTH_HEADER"), LOGIN), (401, b"", LOGIN),
    (403, sf("REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded."), QuotaSpent),
    (503, sf("REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded."), QuotaSpent),
    (403, sf("REQUEST_LIMIT_EXCEEDED", "ConcurrentRequests (Concurrent API Requests) Limit exceeded."), AGAIN),
    (503, sf("REQUEST_LIMIT_EXCEEDED", "ConcurrentRequests Limit exceeded."), AGAIN),
    (403, sf("API_DISABLED_FOR_ORG"), NeedsOperator), (403, sf("INSUFFICIENT_ACCESS"), NeedsOperator), (403, b"", NeedsOperator),
    (400, sf("INVALID_TYPE"), NeedsOperator), (400, sf("INVALID_FIELD", "No such column 'X__c' on entity 'Lead'"), FieldNotVisible),
    (400, sf("REQUIRED_FIELD_MISSING"), RecordRejected), (400, sf("STRING_TOO_LONG"), RecordRejected), (400, sf("MALFORMED_ID"), RecordRejected),
    (400, sf("FIELD_CUSTOM_VALIDATION_EXCEPTION"), RecordRejected), (400, sf("INVALID_FIELD_FOR_INSERT_UPDATE"), RecordRejected),
    (400, sf("UNABLE_TO_LOCK_ROW"), AGAIN), (400, sf("DUPLICATE_VALUE"), RecordRejected), (400, sf("DUPLICATES_DETECTED"), RecordRejected),
    (300, ["/one", "/other"], RecordRejected), (404, sf("NOT_FOUND"), NotVisible), (404, sf("ENTITY_IS_DELETED"), RecordRejected),
    (400, sf("QUERY_TIMEOUT"), WindowTooLarge), (400, sf("OPERATION_TOO_LARGE"), WindowTooLarge), (414, b"<html>", WindowTooLarge),
    (403, sf("TXN_SECURITY_METERING_ERROR"), WindowTooLarge), (400, sf("INVALID_QUERY_LOCATOR"), CursorExpired),
    (400, sf("INVALID_QUERY_LOCATOR_EXPIRED"), CursorExpired), (400, sf("LOCATOR_LOCATION_EXCEEDS_SIZE"), CursorExpired),
    (400, sf("INVALID_REPLICATION_DATE"), CursorExpired), (406, b"", AGAIN), (420, b"", AGAIN), (429, b"", AGAIN), (500, b"", AGAIN),
    (502, b"<html>", AGAIN), (503, sf("SERVER_UNAVAILABLE"), AGAIN), (410, sf("UNSUPPORTED_API_VERSION"), NeedsOperator),
    (412, sf("PRECONDITION_FAILED"), VersionConflict),
]  # fmt: skip
SALESFORCE_LOGIN: list[Row] = [
    (200, {}, FINE), (400, {"error": "invalid_grant", "error_description": "expired access/refresh token"}, NeedsOperator),
    (400, {"error": "invalid_client", "error_description": "invalid client credentials"}, NeedsOperator),
    (400, {"error": "inactive_user", "error_description": "user is inactive"}, NeedsOperator),
    (400, {"error": "unknown_error", "error_description": "retry your request"}, AGAIN), (503, b"<html>", AGAIN), (429, b"", AGAIN),
    (400, {"error": "invalid_grant", "error_description": "login rate exceeded"}, RetryLater),
]  # fmt: skip
NETSUITE: list[Row] = [
    (204, b"", FINE), (403, ns("INSUFFICIENT_PERMISSION"), NeedsOperator), (302, b"", NeedsOperator), (405, b"", NeedsOperator),
    (429, ns("CONCURRENCY_LIMIT_EXCEEDED"), AGAIN), (400, ns("CONCURRENCY_LIMIT_EXCEEDED"), AGAIN), (400, ns("SSS_REQUEST_LIMIT_EXCEEDED"), AGAIN),
    (500, ns("WS_REQUEST_BLOCKED"), AGAIN), (429, b"", AGAIN), (400, ns("RCRD_HAS_BEEN_CHANGED"), AGAIN), (409, ns("RCRD_HAS_BEEN_CHANGED"), AGAIN),
    (400, ns("INVALID_CONTENT"), RecordRejected), (400, ns("NONEXISTENT_FIELD"), RecordRejected), (400, ns("INVALID_KEY_OR_REF"), RecordRejected),
    (400, ns("USER_ERROR", "This record is locked by a workflow."), RecordRejected), (400, ns("INVALID_PARAMETER"), QueryRefused),
    (400, ns("USER_ERROR", "This entity already exists."), AlreadyExists), (404, ns("NONEXISTENT_ID"), RecordGone), (404, ns("RCRD_DSNT_EXIST"), RecordGone),
    (500, ns("UNEXPECTED_ERROR"), AGAIN), (502, b"<html>", AGAIN), (503, b"", AGAIN), (504, b"", AGAIN), (400, ns("SSS_TIME_LIMIT_EXCEEDED"), WindowTooLarge),
]  # fmt: skip
NETSUITE_LOGIN: list[Row] = [
    (400, {"error": "invalid_grant"}, NeedsOperator), (400, {"error": "invalid_request"}, NeedsOperator), (401, b"", NeedsOperator),
    (429, b"", AGAIN), (503, b"<html>", AGAIN), (200, {}, FINE),
]  # fmt: skip
HUBSPOT: list[Row] = [
    (200, {}, FINE), (207, {}, FINE), (401, hs("EXPIRED_AUTHENTICATION"), LOGIN), (401, hs("MISSING_SCOPES"), NeedsOperator), (403, hs("MISSING_SCOPES"), NeedsOperator),
    (429, hs("RATE_LIMITS", policyName="SECONDLY"), AGAIN), (429, hs("RATE_LIMITS", policyName="TEN_SECONDLY_ROLLING"), AGAIN),
    (429, hs("RATE_LIMITS", policyName="DAILY"), QuotaSpent), (429, b"", AGAIN), (409, hs("CONFLICT", "Contact already exists. Existing ID: 1"), RecordRejected),
    (400, hs("VALIDATION_ERROR"), RecordRejected), (404, hs("OBJECT_NOT_FOUND"), NeedsOperator), (404, b"", NeedsOperator), (413, b"", WindowTooLarge),
    (414, b"", WindowTooLarge), (423, hs("LOCKED"), AGAIN), (477, b"", AGAIN), (500, b"", AGAIN), (502, b"<html>", AGAIN), (504, b"", AGAIN), (524, b"", AGAIN), (530, b"", AGAIN),
]  # fmt: skip
HUBSPOT_LOGIN: list[Row] = [
    (200, {}, FINE), (400, {"status": "BAD_REFRESH_TOKEN"}, NeedsOperator), (400, {"status": "BAD_CLIENT_ID"}, NeedsOperator), (429, b"", AGAIN), (502, b"<html>", AGAIN),
]  # fmt: skip
CATALOGUES: dict[str, tuple[Decide, list[Row]]] = {
    "salesforce": (decide, SALESFORCE), "salesforce login": (decide_login, SALESFORCE_LOGIN),
    "netsuite": (NetSuiteJudge(), NETSUITE), "netsuite login": (netsuite_login, NETSUITE_LOGIN),
    "hubspot": (HubSpotJudge(lambda used, allowed: None), HUBSPOT), "hubspot login": (hubspot_login, HUBSPOT_LOGIN),
}  # fmt: skip


def means(decide: Decide, status: int, body: Any) -> tuple[type[Any], str]:
    content = body if isinstance(body, bytes) else orjson.dumps(body)
    kind = "text/html" if content.startswith(b"<") else "application/json"
    headers = CaseInsensitiveDict({"Content-Type": kind, "Date": "Mon, 02 Mar 2026 09:00:00 GMT"})
    decision = decide(
        Answer(status, headers, content, "https://system.example/services/data/v62.0/sobjects/Lead", "PATCH")
    )
    return (type(decision.error), str(decision.error)) if isinstance(decision, Fail) else (type(decision), "")


@pytest.mark.parametrize("name", CATALOGUES)
def test_every_answer_of_the_catalogue_means_what_it_should(name: str) -> None:
    decide, rows = CATALOGUES[name]
    wrong = []
    for status, body, meant in rows:
        found, told = means(decide, status, body)
        # An error that is a kind of another would do the other's bidding: only the pairs that callers tell apart are exact.
        exact = meant in (NeedsOperator, RecordRejected, RetryLater)
        others = (
            (QuotaSpent,) if meant is RetryLater else (AlreadyExists, RecordGone) if meant is RecordRejected else ()
        )
        if not issubclass(found, meant) or (exact and found in others):
            wrong.append((status, body, found.__name__, meant.__name__))
        assert "<html>" not in told and "Existing ID" not in told, "the vendor's text stays out of messages"
    assert wrong == []


def test_a_refused_netsuite_login_is_believed_the_second_time() -> None:
    judge = NetSuiteJudge()
    assert [means(judge, 401, ns("INVALID_LOGIN"))[0] for _ in range(2)] == [AGAIN, LOGIN]
