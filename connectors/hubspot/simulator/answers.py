"""Refusals in the vendor's shape, and reading a request's body."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from connectors.faults import SimRequest


class Refusal(Exception):
    """An answer that is an error: ``{status, message, correlationId, category, context?, errors?}``."""

    def __init__(self, status: int, category: str | None, message: str, **more: Any) -> None:
        super().__init__(message)
        self.status = status
        self.body = error_body(category, message, **more)


class NoSuchPage(Exception):
    """404 without a body of the API: a path or version that there is none of."""


class PropertyError(Exception):
    """A value that a property does not take; ``code`` is the vendor's."""

    def __init__(self, code: str, name: str, message: str) -> None:
        super().__init__(message)
        self.code, self.name, self.message = code, name, message


def error_body(category: str | None, message: str, **more: Any) -> dict[str, Any]:
    """The body of a refusal."""
    body: dict[str, Any] = {"status": "error", "message": message, "correlationId": str(uuid.uuid4())}
    return body | more | ({"category": category} if category else {})


def invalid_values(errors: Sequence[PropertyError]) -> Refusal:
    """400 for values that properties do not take, all named, as many times as they occur."""
    listed = [{"isValid": False, "message": error.message, "error": error.code, "name": error.name} for error in errors]
    details = [
        {"message": error.message, "code": error.code, "context": {"propertyName": [error.name]}} for error in errors
    ]
    return Refusal(400, "VALIDATION_ERROR", f"Property values were not valid: {json.dumps(listed)}", errors=details)


def row_error(category: str, message: str, context: Mapping[str, Sequence[str]], **more: Any) -> dict[str, Any]:
    """What became of one input of a batch that was not carried out."""
    return {"status": "error", "category": category, "message": message, "context": dict(context), **more}


def not_found(ids: Sequence[str]) -> Refusal:
    """404 for records that are not there."""
    return Refusal(404, "OBJECT_NOT_FOUND", "Object not found.", context={"ids": list(ids)})


def bad_request(message: str) -> Refusal:
    """400 for a request that is not as it must be."""
    return Refusal(400, "VALIDATION_ERROR", message)


def body_of(request: SimRequest) -> dict[str, Any]:
    """The JSON object of a request. Raises: :class:`Refusal`."""
    try:
        parsed = request.json()
    except ValueError:
        parsed = None
    if not isinstance(parsed, dict):
        raise bad_request("Invalid input JSON: a JSON object is needed")
    return parsed
