"""Writes changes in batches: upserts by a unique property, updates by id, then the associations asked for.

Every write may be repeated: an upsert finds what it made, an update sets the same values again, a default association
is there or not. HubSpot refuses a whole batch for one bad record; that record is found by sending halves.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import orjson

from connectors.base import Change, Written
from connectors.batches import Batch, batches, failed, halves, without, write_in_order
from connectors.errors import AnswerLost, ConnectorError, RecordRejected
from connectors.http import Http
from connectors.hubspot.config import HubSpotConfig
from connectors.hubspot.errors import PropertyNotVisible, body_of, explained, row_code, row_state
from connectors.hubspot.kinds import associated_kind
from connectors.hubspot.paths import Paths
from connectors.hubspot.values import text_of

_RACES = frozenset({"CONFLICT", "OBJECT_ALREADY_EXISTS"})


@dataclass(frozen=True, slots=True)
class _Link:
    """An association that a written record is to have."""

    place: int
    from_id: str
    to_id: str


class HubSpotWriter:
    """Implements :class:`connectors.base.Writer`."""

    def __init__(self, config: HubSpotConfig, http: Http) -> None:
        self._config = config
        self._http = http
        self._paths = Paths(config.api_version)

    def write(self, changes: Sequence[Change]) -> list[Written]:
        """Apply the changes and say what became of each, in order."""
        refused = {place: result for place, change in enumerate(changes) if (result := _unwritable(change))}

        def send(batch: Batch, results: dict[int, Written]) -> None:
            self._carry_out(batch, changes, results)

        return write_in_order(changes, batches(changes, self._config.write_size), refused, send)

    def write_calls(self, changes: Sequence[Change]) -> int:
        """API calls that these changes cost when nothing goes wrong: one a batch, one more for each kind of association."""
        calls = 0
        for batch in batches(changes, self._config.write_size):
            others = {associated_kind(name) for place in batch.places for name in changes[place].fields}
            calls += 1 + len(others - {None})
        return calls

    def _carry_out(self, batch: Batch, changes: Sequence[Change], results: dict[int, Written]) -> None:
        """Write records, then their associations; a record that lacks one when the connection fails is not done."""
        open_ = {place for place in batch.places if _links(changes[place])}
        try:
            self._apply(batch, changes, results, again=True)
            for other, links in self._wanted(batch, changes, results).items():
                self._link(batch.kind, other, links, changes, results)
        except ConnectorError as error:
            for place in open_:
                if place in results and results[place].state == "done":
                    results[place] = failed(changes[place], "retry", error)
            raise

    # -- records

    def _apply(self, batch: Batch, changes: Sequence[Change], results: dict[int, Written], *, again: bool) -> None:
        try:
            body = self._sent(batch, changes)
        except AnswerLost as error:
            for place in batch.places:
                results[place] = failed(changes[place], "unknown", error)
        except PropertyNotVisible as error:
            self._without(error, batch, changes, results)
        except RecordRejected as error:
            self._split(error, batch, changes, results)
        else:
            raced = _settle(batch, changes, body, results)
            if raced and again:
                self._apply(replace(batch, places=raced), changes, results, again=False)

    def _sent(self, batch: Batch, changes: Sequence[Change]) -> Mapping[str, Any]:
        inputs = []
        for number, place in enumerate(batch.places):
            change = changes[place]
            one: dict[str, Any] = {"id": change.key, "objectWriteTraceId": str(number), "properties": _values(change)}
            if batch.key_field is not None:
                one["idProperty"] = batch.key_field
            inputs.append(one)
        action = "update" if batch.key_field is None else "upsert"
        # A batch is no POST that makes something new each time: the keys are in it.
        answer = self._http.call(
            "POST", self._paths.objects(batch.kind, "batch", action), json={"inputs": inputs}, idempotent=True
        )
        return body_of(answer)

    def _without(
        self, error: PropertyNotVisible, batch: Batch, changes: Sequence[Change], results: dict[int, Written]
    ) -> None:
        """Reject the records that carry the unseen properties (the whole batch was refused for them), send the others."""
        guilty = [place for place in batch.places if error.names & changes[place].fields.keys()]
        if not guilty:
            self._split(error, batch, changes, results)
            return
        others = without(batch, guilty, changes, results, error)
        if others.places:
            self._apply(others, changes, results, again=True)

    def _split(
        self, error: RecordRejected, batch: Batch, changes: Sequence[Change], results: dict[int, Written]
    ) -> None:
        """Find the record for which the whole batch was refused by sending halves."""
        for half in halves(batch, changes, results, error):
            self._apply(half, changes, results, again=True)

    # -- associations

    def _wanted(
        self, batch: Batch, changes: Sequence[Change], results: Mapping[int, Written]
    ) -> dict[str, list[_Link]]:
        """The associations of what was written, by the object at the other end."""
        by_kind: dict[str, list[_Link]] = {}
        for place in batch.places:
            written = results[place]
            if written.state == "done" and written.external_id is not None:
                for other, key in _links(changes[place]).items():
                    by_kind.setdefault(other, []).append(_Link(place, written.external_id, key))
        return by_kind

    def _link(
        self, kind: str, other: str, links: Sequence[_Link], changes: Sequence[Change], results: dict[int, Written]
    ) -> None:
        path = self._paths.associations(kind, other, "batch", "associate", "default")
        inputs = [{"from": {"id": link.from_id}, "to": {"id": link.to_id}} for link in links]
        try:
            body = body_of(self._http.call("POST", path, json={"inputs": inputs}, idempotent=True))
        except AnswerLost as error:
            for link in links:
                results[link.place] = failed(changes[link.place], "unknown", error)
            return
        except RecordRejected as error:
            if len(links) == 1:
                results[links[0].place] = failed(changes[links[0].place], "rejected", error)
                return
            middle = len(links) // 2
            for few in (links[:middle], links[middle:]):
                self._link(kind, other, few, changes, results)
            return
        there = {(str(one["from"]["id"]), str(one["to"]["id"])) for one in body.get("results") or ()}
        for link in links:
            if (link.from_id, link.to_id) not in there:
                message = f"OBJECT_NOT_FOUND: there is no {other} record to associate with, or it was archived"
                change = changes[link.place]
                results[link.place] = Written(change.key, "rejected", code="OBJECT_NOT_FOUND", message=message)


def _settle(
    batch: Batch, changes: Sequence[Change], body: Mapping[str, Any], results: dict[int, Written]
) -> tuple[int, ...]:
    """Note each record's result; the places of upserts that met another insert of the same key come back.

    A row names its input by the trace id that we gave, or by its key. One that is named by nothing is ``unknown``.
    """
    raced: list[int] = []
    by_trace = {str(number): place for number, place in enumerate(batch.places)}
    by_key = {changes[place].key: place for place in batch.places}
    open_ = set(batch.places)
    for row in body.get("results") or ():
        key = row["id"] if batch.key_field is None else row["properties"].get(batch.key_field)
        place = by_trace.get(str(row.get("objectWriteTraceId")), by_key.get(str(key)))
        if place is not None:
            open_.discard(place)
            results[place] = Written(changes[place].key, "done", str(row["id"]), bool(row.get("new", False)))
    for error in body.get("errors") or ():
        for place in _named(error, by_trace, by_key) & open_:
            open_.discard(place)
            code = row_code(error)
            change = changes[place]
            results[place] = Written(change.key, row_state(error), code=code, message=explained(error, code))
            if batch.key_field is not None and code in _RACES:
                raced.append(place)
    for place in open_:
        message = "NO_RESULT: HubSpot's answer does not say what became of it"
        results[place] = Written(changes[place].key, "unknown", code="NO_RESULT", message=message)
    return tuple(raced)


def _named(error: Mapping[str, Any], by_trace: Mapping[str, int], by_key: Mapping[str, int]) -> set[int]:
    """The places of the inputs that an error is about."""
    context = error.get("context")
    if not isinstance(context, dict):
        return set()
    traces, ids = context.get("objectWriteTraceId") or (), context.get("ids") or context.get("id") or ()
    found = {by_trace[str(trace)] for trace in traces if str(trace) in by_trace}
    return found or {by_key[str(key)] for key in ids if str(key) in by_key}


def _unwritable(change: Change) -> Written | None:
    """The rejection of a change that HubSpot cannot be sent: half a character, a value without text, a malformed id."""
    code, why = "", ""
    try:
        orjson.dumps([change.key, _values(change)])
    except TypeError:
        code, why = "INVALID_TEXT", "a value is no valid text or has no text form"
    if change.key_field is None and not (change.key.isascii() and change.key.isdigit()):
        code, why = "INVALID_ID", "a record id is a number; this one is not"
    elif not change.key.strip():
        code, why = "INVALID_ID", "its key is empty"
    elif any(associated_kind(name) and value is None for name, value in change.fields.items()):
        code, why = "ASSOCIATION_KEPT", "an association is added, never removed; take it off in HubSpot"
    return Written(change.key, "rejected", code=code, message=f"{code}: {why}") if code else None


def _values(change: Change) -> dict[str, str]:
    return {name: text_of(value) for name, value in change.fields.items() if associated_kind(name) is None}


def _links(change: Change) -> dict[str, str]:
    """The associations asked for: object → record id."""
    return {other: str(value) for name, value in change.fields.items() if (other := associated_kind(name)) is not None}
