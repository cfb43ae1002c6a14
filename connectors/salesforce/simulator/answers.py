"""Refusals in the vendor's shape, and reading a request's body and headers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any


class Refusal(Exception):
    """An answer that is an error: status and the list ``[{message, errorCode, fields?}]``."""

    def __init__(self, status: int, code: str, message: str, fields: tuple[str, ...] | None = None) -> None:
        super().__init__(message)
        self.status = status
        item: dict[str, Any] = {"message": message, "errorCode": code}
        if fields is not None:
            item["fields"] = list(fields)
        self.body: list[Any] = [item]


class Choices(Refusal):
    """Status 300: the addresses of the records that match."""

    def __init__(self, addresses: list[str]) -> None:
        super().__init__(300, "", "")
        self.body = list(addresses)


def not_found(message: str = "The requested resource does not exist") -> Refusal:
    """404 NOT_FOUND."""
    return Refusal(404, "NOT_FOUND", message)


def body_of(content: bytes) -> dict[str, Any]:
    """The JSON object of a request, numbers exact. Raises: :class:`Refusal` JSON_PARSER_ERROR."""
    try:
        parsed = json.loads(content, parse_float=Decimal)
    except ValueError:
        parsed = None
    if not isinstance(parsed, dict):
        raise Refusal(400, "JSON_PARSER_ERROR", "The HTTP entity body must contain a JSON object")
    return parsed


def row_error(code: str, message: str, fields: tuple[str, ...] = ()) -> dict[str, Any]:
    """The result of a record that was not written."""
    return {"success": False, "errors": [{"statusCode": code, "message": message, "fields": list(fields)}]}


def row_done(record_id: str, *, created: bool | None = None) -> dict[str, Any]:
    """The result of a record that was written; ``created`` only for an upsert."""
    done: dict[str, Any] = {"id": record_id, "success": True, "errors": []}
    return done if created is None else done | {"created": created}


def header_flag(headers: Mapping[str, str], name: str, key: str) -> bool:
    """Whether a header like ``allowSave=true`` says so."""
    return f"{key}=true" in headers.get(name, "").replace(" ", "").lower().replace(key.lower(), key)
