"""Writes changes through the collection resources: upserts by external id, updates by id, 200 records a call.

Every write may be repeated: an upsert finds what it made, an update sets the same values again. A record that
fails never fails its neighbours (``allOrNone: false``), not even when Salesforce refuses the whole request for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal
from email.utils import format_datetime
from typing import Any, Literal
from urllib.parse import quote

import orjson

from connectors.base import Change, Written
from connectors.errors import AnswerLost, ConnectorError, RecordRejected, VersionConflict
from connectors.http import Http
from connectors.salesforce import soql
from connectors.salesforce.config import SalesforceConfig
from connectors.salesforce.errors import FieldNotVisible, NotVisible, row_message, row_state

ASSIGNED = frozenset({"Lead", "Case"})
"""Objects whose assignment rules would act on API writes."""


@dataclass(frozen=True, slots=True)
class _Batch:
    """Changes of one object and key field that go together; ``places`` are their places in the caller's list."""

    kind: str
    key_field: str | None
    places: tuple[int, ...]
    single: bool = False


class SalesforceWriter:
    """Implements :class:`connectors.base.Writer`."""

    def __init__(self, config: SalesforceConfig, http: Http) -> None:
        self._config = config
        self._http = http

    def write(self, changes: Sequence[Change]) -> list[Written]:
        """Apply the changes and say what became of each, in order."""
        results = {place: refused for place, change in enumerate(changes) if (refused := _unwritable(change))}
        for batch in _batches(changes, self._config.write_size):
            try:
                batch = _still_to_send(batch, changes, results)
                if batch.places:
                    self._apply(batch, changes, results, again=True)
            except ConnectorError as error:
                if not any(result.state == "done" for result in results.values()):
                    raise
                # What was written before must not be lost with the exception; the next attempt raises it.
                _fill(changes, results, "retry", error)
                break
        return [results[place] for place in range(len(changes))]

    def write_calls(self, changes: Sequence[Change]) -> int:
        """API calls that these changes cost when nothing goes wrong."""
        return len(_batches(changes, self._config.write_size))

    def _apply(self, batch: _Batch, changes: Sequence[Change], results: dict[int, Written], *, again: bool) -> None:
        few = [changes[place] for place in batch.places]
        try:
            answers = self._one(few[0]) if batch.single else self._collection(batch, few)
        except AnswerLost as error:
            for place in batch.places:
                results[place] = _failed(changes[place], "unknown", error)
        except FieldNotVisible as error:
            self._without(error, batch, changes, results)
        except (RecordRejected, VersionConflict, NotVisible) as error:
            self._split(error, batch, changes, results)
        else:
            raced = self._settle(batch, changes, answers, results)
            if raced and again:
                self._apply(replace(batch, places=raced), changes, results, again=False)

    def _settle(
        self, batch: _Batch, changes: Sequence[Change], answers: Sequence[dict[str, Any]], results: dict[int, Written]
    ) -> tuple[int, ...]:
        """Note each record's result; the places of upserts that met another insert of the same key come back."""
        if len(answers) != len(batch.places):
            raise ConnectorError(f"salesforce: {len(batch.places)} records were written, {len(answers)} results came")
        raced = []
        for place, answer in zip(batch.places, answers, strict=True):
            results[place] = _written(changes[place], answer)
            if batch.key_field and results[place].code == "DUPLICATE_VALUE":
                raced.append(place)
        return tuple(raced)

    def _without(
        self, error: FieldNotVisible, batch: _Batch, changes: Sequence[Change], results: dict[int, Written]
    ) -> None:
        """Reject the records that carry the unseen field (the whole request was refused for it) and send the others."""
        guilty = [place for place in batch.places if error.column in changes[place].fields]
        if not guilty:
            raise error
        for place in guilty:
            results[place] = _failed(changes[place], "rejected", error)
        others = tuple(place for place in batch.places if place not in guilty)
        if others:
            self._apply(replace(batch, places=others), changes, results, again=True)

    def _split(
        self, error: ConnectorError, batch: _Batch, changes: Sequence[Change], results: dict[int, Written]
    ) -> None:
        """Find the record for which the whole request was refused by sending halves."""
        if isinstance(error, NotVisible) and not batch.single:
            raise error  # the object or its key field is missing: no half will do better
        if len(batch.places) == 1:
            results[batch.places[0]] = _failed(changes[batch.places[0]], "rejected", error)
            return
        middle = len(batch.places) // 2
        for places in (batch.places[:middle], batch.places[middle:]):
            self._apply(replace(batch, places=places), changes, results, again=True)

    def _collection(self, batch: _Batch, few: Sequence[Change]) -> list[dict[str, Any]]:
        path = f"{self._config.version_path}/composite/sobjects"
        key_name = "id"
        if batch.key_field:
            key_name = soql.name(batch.key_field)
            path += f"/{soql.name(batch.kind)}/{key_name}"
        records = [
            {"attributes": {"type": soql.name(batch.kind)}, **_values(change), key_name: change.key} for change in few
        ]
        answer = self._http.call(
            "PATCH", path, json={"allOrNone": False, "records": records}, headers=self._headers(batch.kind)
        )
        found = answer.json()
        return found if isinstance(found, list) else []

    def _one(self, change: Change) -> list[dict[str, Any]]:
        """One update that must not overwrite what others changed since ``expected_version``."""
        path = f"{self._config.version_path}/sobjects/{soql.name(change.kind)}/{quote(change.key, safe='')}"
        known = datetime.fromisoformat(change.expected_version or "")
        headers = {**self._headers(change.kind), "If-Unmodified-Since": format_datetime(known)}
        self._http.call("PATCH", path, json=_values(change), headers=headers)
        return [{"id": change.key, "success": True, "errors": []}]

    def _headers(self, kind: str) -> dict[str, str]:
        headers = {}
        if kind in ASSIGNED and not self._config.auto_assign:
            headers["Sforce-Auto-Assign"] = "FALSE"
        if self._config.save_duplicates:
            headers["Sforce-Duplicate-Rule-Header"] = "allowSave=true"
        return headers


def _batches(changes: Sequence[Change], size: int) -> list[_Batch]:
    """The calls to make: one object and key field each, records of one parent together, a key once a call.

    A key that comes again goes into a later call, so that its changes happen in the order given.
    """
    seen: dict[tuple[str, str | None, str], int] = {}
    groups: dict[tuple[int, str, str | None], list[int]] = {}
    singles: list[tuple[int, int]] = []
    for place, change in enumerate(changes):
        identity = _identity(change)
        turn = seen[identity] = seen.get(identity, -1) + 1
        if change.expected_version and change.key_field is None:
            singles.append((turn, place))
        else:
            groups.setdefault((turn, change.kind, change.key_field), []).append(place)
    batches = [(turn, _Batch(changes[place].kind, None, (place,), single=True)) for turn, place in singles]
    for (turn, kind, key_field), places in groups.items():
        places.sort(key=lambda place: changes[place].parent or "")  # one parent's rows lock it in one transaction
        for start in range(0, len(places), size):
            batches.append((turn, _Batch(kind, key_field, tuple(places[start : start + size]))))
    return [batch for _, batch in sorted(batches, key=lambda item: item[0])]


def _unwritable(change: Change) -> Written | None:
    """The rejection of a change that JSON cannot carry (half a character, a value of no JSON type)."""
    try:
        orjson.dumps([change.key, _values(change)])
    except TypeError:
        why = "INVALID_TEXT: a value is no valid text or has no JSON form"
        return Written(change.key, "rejected", code="INVALID_TEXT", message=why)
    return None


def _still_to_send(batch: _Batch, changes: Sequence[Change], results: dict[int, Written]) -> _Batch:
    """The batch without what is refused already, and without changes to records whose earlier change is still open:
    repeated later, that one would overtake them."""
    open_ = {_identity(changes[place]) for place, result in results.items() if result.state in ("retry", "unknown")}
    held = [place for place in batch.places if open_ and _identity(changes[place]) in open_]
    for place in held:
        why = "WAITS: an earlier change of this record is not settled yet"
        results[place] = Written(changes[place].key, "retry", code="WAITS", message=why)
    return replace(batch, places=tuple(place for place in batch.places if place not in results))


def _identity(change: Change) -> tuple[str, str | None, str]:
    return change.kind, change.key_field, change.key


def _values(change: Change) -> dict[str, Any]:
    return {soql.name(field): _json(value) for field, value in change.fields.items()}


def _json(value: Any) -> Any:
    if isinstance(value, Decimal):
        return orjson.Fragment(f"{value:f}".encode())  # a JSON number with every digit, never a float
    if isinstance(value, datetime):
        return soql.instant(value)
    return value.isoformat() if isinstance(value, date) else value


def _written(change: Change, answer: dict[str, Any]) -> Written:
    if answer.get("success"):
        return Written(change.key, "done", str(answer.get("id")), answer.get("created", False))
    error = (answer.get("errors") or [{}])[0]
    code = str(error.get("statusCode"))
    return Written(change.key, row_state(error), code=code, message=row_message(error))


def _failed(change: Change, state: Literal["rejected", "retry", "unknown"], error: ConnectorError) -> Written:
    return Written(change.key, state, code=error.code or type(error).__name__, message=str(error))


def _fill(
    changes: Sequence[Change], results: dict[int, Written], state: Literal["retry"], error: ConnectorError
) -> None:
    for place, change in enumerate(changes):
        results.setdefault(place, _failed(change, state, error))
