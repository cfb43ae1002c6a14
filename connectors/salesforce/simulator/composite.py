"""Several reading requests in one, which the daily limit counts once: ``POST /composite``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from connectors.faults import Faults, SimRequest, SimResponse
from connectors.salesforce.simulator.answers import Refusal, body_of
from connectors.salesforce.simulator.soql import SoqlError

MOST_PARTS = 25
MOST_QUERIES = 5
Resource = Callable[[SimRequest, tuple[str, ...], str], SimResponse]


def composite(request: SimRequest, version: str, resource: Resource, faults: Faults) -> dict[str, Any]:
    """Each part answered on its own, in order, by ``resource`` or by a fault that waits for it. Raises: :class:`Refusal` for a body that the vendor refuses whole."""
    parts = body_of(request.body).get("compositeRequest")
    if not isinstance(parts, list) or not parts:
        raise Refusal(400, "JSON_PARSER_ERROR", "Missing required field: compositeRequest")
    if len(parts) > MOST_PARTS:
        raise Refusal(400, "LIMIT_EXCEEDED", f"Limit of {MOST_PARTS} reached for operations in composite API")
    if len({part["referenceId"] for part in parts}) < len(parts):
        raise Refusal(400, "JSON_PARSER_ERROR", "Duplicate reference id provided")
    if sum("/query" in part["url"] for part in parts) > MOST_QUERIES:
        raise Refusal(400, "LIMIT_EXCEEDED", f"Limit of {MOST_QUERIES} reached for query operations in composite API")
    return {"compositeResponse": [_answered(request, part, version, resource, faults) for part in parts]}


def _answered(
    request: SimRequest, part: Mapping[str, Any], version: str, resource: Resource, faults: Faults
) -> dict[str, Any]:
    path, _, query = part["url"].partition("?")
    inner = replace(request, method=part["method"], path=path, raw_query=query, body=b"")
    try:
        if inner.method != "GET" or inner.segments[:3] != ("services", "data", version):
            raise Refusal(405, "METHOD_NOT_ALLOWED", "This simulator reads only, under the version of the whole")
        fault = faults.next_for(inner)
        answer = (fault and fault.response) or resource(inner, inner.segments[3:], version)
        status, body = answer.status, answer.body
    except Refusal as refusal:
        status, body = refusal.status, refusal.body
    except SoqlError as error:
        status, body = 400, [{"message": error.message, "errorCode": error.code}]
    return {"body": body, "httpHeaders": {}, "httpStatusCode": status, "referenceId": part["referenceId"]}
