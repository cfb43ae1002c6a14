"""Writes records one call each: upserts by external id, and updates by id.

A PUT on an external id may be repeated at will, so a lost answer is settled by sending the same PUT again. Rows
of one ``parent`` (or one key) go one after the other; others share ``concurrency`` lanes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from functools import partial
from typing import Any
from urllib.parse import quote

import orjson

from connectors.base import Change, FieldType, Written
from connectors.calls import carried
from connectors.errors import AnswerLost, NeedsOperator, QuotaSpent, RecordRejected, RetryLater
from connectors.http import Http
from connectors.netsuite.config import NetSuiteConfig
from connectors.netsuite.describe import NetSuiteDescriber
from connectors.netsuite.errors import AlreadyExists
from connectors.netsuite.kinds import Kind, kind_of

RECORDS = "/services/rest/record/v1"
_KEYS = frozenset({"externalid", "eid"})


class NetSuiteWriter:
    """Implements :class:`connectors.base.Writer`."""

    def __init__(self, config: NetSuiteConfig, http: Http, describer: NetSuiteDescriber) -> None:
        self._http = http
        self._describer = describer
        self._lanes = config.concurrency

    def write_calls(self, changes: Sequence[Change]) -> int:
        """One call a record."""
        return len(changes)

    def write(self, changes: Sequence[Change]) -> list[Written]:
        """Apply the changes; see :class:`connectors.base.Writer`."""
        results: dict[int, Written] = {}
        chains: dict[tuple[str, str], list[int]] = {}
        for number, change in enumerate(changes):
            chains.setdefault((change.kind, change.parent or change.key), []).append(number)

        def carry_out(chain: Sequence[int]) -> None:
            for number in chain:
                results[number] = carried(partial(self._written, changes[number]))

        for name in {change.kind for change in changes}:
            self._describer.rest_names(kind_of(name))  # asked for once, before lanes part
        if self._lanes == 1 or len(chains) <= 1:
            for chain in chains.values():
                carry_out(chain)
        else:
            with ThreadPoolExecutor(self._lanes) as lanes:
                for finished in [lanes.submit(carry_out, chain) for chain in chains.values()]:
                    finished.result()
        return [results[number] for number in range(len(changes))]

    def _written(self, change: Change) -> Written:
        kind = kind_of(change.kind)
        try:
            method, path = _address(kind, change)
            body = self._body(kind, change.fields)
        except RecordRejected as error:
            return Written(change.key, "rejected", code=error.code, message=str(error))
        try:
            return self._sent(change, method, path, body)
        except AlreadyExists:
            # Someone created it between NetSuite's look and its insert; the same PUT is an update now.
            return self._again(change, method, path, body)
        except RecordRejected as error:
            return Written(change.key, "rejected", code=error.code, message=str(error))

    def _again(self, change: Change, method: str, path: str, body: bytes) -> Written:
        try:
            return self._sent(change, method, path, body)
        except RecordRejected as error:
            return Written(change.key, "rejected", code=error.code, message=str(error))

    def _sent(self, change: Change, method: str, path: str, body: bytes) -> Written:
        try:
            answer = self._http.call(
                method, path, content=body, headers={"Content-Type": "application/json"}, idempotent=True
            )
        except QuotaSpent:
            raise
        except AnswerLost as error:
            return Written(change.key, "unknown", code=error.code, message=str(error))
        except RetryLater as error:
            return Written(change.key, "retry", code=error.code, message=str(error))
        location = answer.headers.get("Location", "")
        record_id = location.rstrip("/").rpartition("/")[2] or (None if change.key_field else change.key)
        return Written(change.key, "done", external_id=record_id)

    def _body(self, kind: Kind, fields: Mapping[str, Any]) -> bytes:
        names, types = self._describer.rest_names(kind), self._describer.types(kind)
        body = {}
        for name, value in fields.items():
            lower = name.lower()
            # A name that the catalogue does not list is sent as it is: NetSuite then says what is wrong with it.
            body[names.get(lower, name)] = _written_value(name, value, types.get(lower))
        try:
            return orjson.dumps(body)
        except TypeError:
            message = "netsuite: a value cannot be written as JSON (half a surrogate pair, or a type that JSON lacks)"
            raise RecordRejected(message, code="INVALID_TEXT") from None


def _address(kind: Kind, change: Change) -> tuple[str, str]:
    place = f"{RECORDS}/{quote(kind.rest, safe='')}"
    if change.key_field is None:
        if not (change.key.isascii() and change.key.isdigit()):
            raise RecordRejected("netsuite: an internal id is a number; this one is not", code="INVALID_ID")
        return "PATCH", f"{place}/{change.key}"
    if change.key_field.lower() not in _KEYS:
        raise NeedsOperator(f"netsuite: {change.key_field!r} is no key; upserts go by externalid")
    if not change.key:
        raise RecordRejected("netsuite: an external id must not be empty", code="INVALID_ID")
    try:
        return "PUT", f"{place}/eid:{quote(change.key, safe='')}"
    except UnicodeEncodeError:
        raise RecordRejected("netsuite: an external id holds half a surrogate pair", code="INVALID_TEXT") from None


def _written_value(name: str, value: Any, kind: FieldType | None) -> Any:
    """A value as the record API wants it: real numbers (exact, from text), booleans, references as objects."""
    if value is None:
        return None
    if kind == "reference" and not isinstance(value, Mapping):
        text = str(value)
        return {"externalId": text[4:]} if text.startswith("eid:") else {"id": text}
    if kind in ("decimal", "money", "integer") or isinstance(value, Decimal):
        return _number(name, value)
    if kind == "boolean" and value in ("T", "F"):
        return value == "T"
    if isinstance(value, datetime | date):
        return value.isoformat()
    return value


def _number(name: str, value: Any) -> orjson.Fragment:
    try:
        exact = value if isinstance(value, Decimal) else Decimal(str(value))
        if not exact.is_finite() or isinstance(value, bool | float):
            raise InvalidOperation
    except InvalidOperation:
        raise RecordRejected(
            f"netsuite: {name} takes an exact number; found something else", code="INVALID_NUMBER"
        ) from None
    return orjson.Fragment(format(exact, "f"))
