"""Writes records one call each: an upsert looks its key up first, since Tryton has no upsert of its own.

A batch is what has its keys looked up together; a record comes once in it, so that what was looked up stays true.

A create may not be repeated blindly. When its answer is lost the result is ``unknown``, and the next write of that key
finds what was made: by the key field, or through the register (see ``register``) where the model has none. There a create that
a network delivered twice is found after its batch, and the copy is deleted: the one thing that is ever deleted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from functools import partial
from typing import Any

import structlog

from connectors.base import Change, Written
from connectors.batches import Batch, batches, failed, write_in_order
from connectors.calls import carried
from connectors.errors import (
    AnswerLost,
    ConnectorError,
    NeedsOperator,
    QuotaSpent,
    RecordRejected,
    RetryLater,
    VersionConflict,
)
from connectors.tryton.config import TrytonConfig
from connectors.tryton.describe import TrytonDescriber
from connectors.tryton.documents import id_of
from connectors.tryton.errors import RecordGone
from connectors.tryton.kinds import Kind, Link, kind_of
from connectors.tryton.reader import is_storable
from connectors.tryton.register import Entry, Register
from connectors.tryton.rpc import Rpc
from connectors.tryton.values import plain

log = structlog.get_logger(__name__)


class TrytonWriter:
    """Implements :class:`connectors.base.Writer`."""

    def __init__(self, config: TrytonConfig, rpc: Rpc, describer: TrytonDescriber, register: Register) -> None:
        self._config = config
        self._rpc = rpc
        self._describer = describer
        self._register = register
        self._linked: dict[tuple[str, str, str], Mapping[str, Any]] = {}

    def write_calls(self, changes: Sequence[Change]) -> int:
        """A call a batch to look keys up and a call a record; of models with a register at most three a record, and six a batch."""
        calls = 0
        linked = set()
        for batch in batches(changes, self._config.page_size):
            ours = kind_of(batch.kind)
            registered = ours.registered and batch.key_field is not None
            calls += len(batch.places) * (3 if registered else 1)
            calls += 0 if batch.key_field is None else 6 if registered else 1
            for place in batch.places:
                for name, value in changes[place].fields.items():
                    if name in ours.links and (at := _at(ours.links[name], value)) not in self._linked:
                        linked.add(at)
        return calls + len(linked)

    def write(self, changes: Sequence[Change]) -> list[Written]:
        """Apply the changes; see :class:`connectors.base.Writer`."""

        def send(batch: Batch, results: dict[int, Written]) -> None:
            self._carry_out(batch, changes, results)

        return write_in_order(changes, batches(changes, self._config.page_size), {}, send)

    def _carry_out(self, batch: Batch, changes: Sequence[Change], results: dict[int, Written]) -> None:
        ours = kind_of(batch.kind)
        if batch.key_field is not None and batch.key_field not in ours.keys:
            allowed = ", ".join(sorted(ours.keys)) or "none; use `id`"
            raise NeedsOperator(f"tryton: {batch.kind}.{batch.key_field} is no key for upserts; allowed: {allowed}")
        if self._describer.specs(batch.kind) is None:
            raise NeedsOperator(f"tryton: the integration user cannot see {batch.kind}; give it a group that can")
        keys = [change.key for place in batch.places if is_storable((change := changes[place]).key) and change.key]
        entries: dict[str, Entry] = {}
        found: dict[str, list[int]] = {}
        if batch.key_field is not None and ours.registered:
            entries = self._register.by_keys(keys)
        elif batch.key_field is not None:
            found = self._found(batch.kind, batch.key_field, keys)
        for place in batch.places:
            results[place] = carried(partial(self._written, ours, changes[place], entries, found))
        if ours.registered and any(results[place].created for place in batch.places):
            self._delete_copies(batch, results)

    def _delete_copies(self, batch: Batch, results: dict[int, Written]) -> None:
        """Delete what a network made twice; what cannot be is found again when the records are compared next."""
        try:
            copies = self._register.doubled()
            for number, entry in copies.items():
                try:
                    self._rpc.call("commission", "delete", [number])
                except RecordGone:
                    continue  # an earlier try did it
                log.warning("commission_copy_deleted", copy=number, kept=entry.commission)
                for place in batch.places:
                    if results[place].external_id == str(entry.commission):
                        told = f"the request came twice there; the second commission, {number}, was deleted"
                        results[place] = replace(results[place], message=told)
        except ConnectorError as error:
            log.warning("commission_copies_not_deleted", code=error.code)

    def _written(
        self, ours: Kind, change: Change, entries: Mapping[str, Entry], found: Mapping[str, list[int]]
    ) -> Written:
        try:
            values = self._values(ours, change)
            if change.key_field is None:
                return self._update(change, _id(change.key), values)
            if ours.registered:
                return self._registered(change, values, entries)
            return self._upsert(change, values, found)
        except QuotaSpent:
            raise
        except AnswerLost as error:
            return failed(change, "unknown", error)
        except RetryLater as error:
            return failed(change, "retry", error)
        except (RecordRejected, VersionConflict) as error:
            return failed(change, "rejected", error)

    def _found(self, kind: str, key_field: str, keys: Sequence[str]) -> dict[str, list[int]]:
        found: dict[str, list[int]] = {}
        wanted = list(dict.fromkeys(keys))
        rows = self._rpc.search_read(
            kind, [[key_field, "in", wanted]], 2 * self._config.page_size, [("id", "ASC")], [key_field]
        )
        for row in rows:
            found.setdefault(row[key_field], []).append(row["id"])
        return found

    def _upsert(self, change: Change, values: dict[str, Any], found: Mapping[str, list[int]]) -> Written:
        assert change.key_field is not None
        ids = found.get(change.key, [])
        if len(ids) > 1:
            raise RecordRejected(
                f"tryton: {len(ids)} records of {change.kind} have this {change.key_field}; make it unique there",
                code="DUPLICATE_KEY",
            )
        if ids:
            return self._update(change, ids[0], values)
        made = self._create(change.kind, {change.key_field: change.key, **values})
        return Written(change.key, "done", str(made), created=True)

    def _registered(self, change: Change, values: dict[str, Any], entries: Mapping[str, Entry]) -> Written:
        """Upsert a record whose key stands in the register."""
        reason = values.pop("reason", None)
        entry = entries.get(change.key)
        if entry is not None and entry.commission is not None:
            if values:
                self._write(change, entry.commission, values)
            if "reason" in change.fields:
                self._register.link(entry, entry.commission, reason)
            return Written(change.key, "done", str(entry.commission), created=False)
        agent = values.get("agent")
        if agent is None:
            raise RecordRejected(f"tryton: a new {change.kind} needs an agent", code="REQUIRED")
        made = None
        if entry is None:
            entry = self._register.open(change.key, agent)
        elif entry.commission is None:
            made = self._register.orphan(entry)
        if made is None:
            made = self._create(change.kind, values)
        else:
            self._write(change, made, values)
        self._register.link(entry, made, reason)
        return Written(change.key, "done", str(made), created=True)

    def _update(self, change: Change, number: int, values: dict[str, Any]) -> Written:
        self._write(change, number, values)
        return Written(change.key, "done", str(number), created=False)

    def _write(self, change: Change, number: int, values: dict[str, Any]) -> None:
        stamp = {"_timestamp": {f"{change.kind},{number}": change.expected_version}} if change.expected_version else {}
        self._rpc.call(change.kind, "write", [number], values, context=stamp)

    def _create(self, kind: str, values: dict[str, Any]) -> int:
        [number] = self._rpc.call(kind, "create", [values], idempotent=False)
        return int(number)

    def _values(self, ours: Kind, change: Change) -> dict[str, Any]:
        """The values as Tryton takes them. Raises: ``RecordRejected`` for one that it never will."""
        if change.key_field is not None:
            _check_text(change.key_field, change.key)
            if not change.key:
                raise RecordRejected(f"tryton: {change.key_field} must not be empty", code="REQUIRED")
        specs = self._describer.specs(change.kind) or {}
        values: dict[str, Any] = {}
        for name, value in change.fields.items():
            if isinstance(value, str):
                _check_text(name, value)
            if link := ours.links.get(name):
                values[link.field] = None if value is None else self._record(link, value)["id"]
            elif name in ours.computed:
                if not ours.computed[name].writable or change.key_field is None:
                    message = f"tryton: {change.kind}.{name} is put together and cannot be written here"
                    raise RecordRejected(message, code="READ_ONLY")
                if name == "reason":
                    values[name] = value
            elif name not in specs:
                raise RecordRejected(f"tryton: {change.kind} has no field {name!r}", code="NO_SUCH_FIELD")
            else:
                values[name] = _written(name, value, str(specs[name]["type"]))
        if "currency_code" in change.fields and ours.registered:
            self._check_currency(change, values.get("agent"))
        return values

    def _record(self, link: Link, value: Any) -> Mapping[str, Any]:
        """The one record that has this code; remembered."""
        at = _at(link, value)
        if at not in self._linked:
            more = ["currency.code"] if link.model == "commission.agent" else []
            own = [["type_", "=", "agent"]] if link.model == "commission.agent" else []
            rows = self._rpc.search_read(link.model, [[link.code, "=", at[2]], *own], 2, [("id", "ASC")], ["id", *more])
            if len(rows) != 1:
                count = "no record" if not rows else "more than one record"
                raise RecordRejected(
                    f"tryton: {count} of {link.model} with this {link.code}; exactly one is needed",
                    code="REFERENCE_NOT_FOUND" if not rows else "REFERENCE_NOT_UNIQUE",
                )
            self._linked[at] = plain(rows[0])
        return self._linked[at]

    def _check_currency(self, change: Change, agent: int | None) -> None:
        """A commission is in its agent's currency, whatever we mean: another one must not be written as if it were."""
        domain: list[Any]
        if agent is not None:
            held = next((row for row in self._linked.values() if row["id"] == agent and "currency" in row), None)
            if held is None:
                domain = [["id", "=", agent]]
                [held] = plain(self._rpc.search_read("commission.agent", domain, 1, [("id", "ASC")], ["currency.code"]))
            if held["currency"]["code"] == change.fields["currency_code"]:
                return
        raise RecordRejected(
            "tryton: the amount is in another currency than the agent's; give the partner an agent in that currency",
            code="CURRENCY",
        )


def _at(link: Link, value: Any) -> tuple[str, str, str]:
    return link.model, link.code, str(value)


def _check_text(name: str, text: str) -> None:
    if not is_storable(text):
        message = f"tryton: {name} holds a NUL or half of a surrogate pair, which no database keeps"
        raise RecordRejected(message, code="INVALID_TEXT")


def _id(key: str) -> int:
    if not (key.isascii() and key.isdigit()) or int(key) >= 2**31:
        raise RecordRejected("tryton: an id is a number; this one is not", code="INVALID_ID")
    return int(key)


def _written(name: str, value: Any, kind: str) -> Any:
    """A value as the field's type wants it. Raises: ``RecordRejected`` naming field and type."""
    if value is None:
        return None
    try:
        match kind:
            case "numeric" | "float":
                return _number(value) if kind == "numeric" else float(_number(value))
            case "integer" | "biginteger":
                return int(_number(value))
            case "date":
                return value if isinstance(value, date) else date.fromisoformat(str(value))
            case "datetime" | "timestamp":
                return value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
            case "many2one" | "one2one":
                return int(id_of(value))
    except (ValueError, TypeError, InvalidOperation):
        raise RecordRejected(f"tryton: {name} takes a {kind}; found something else", code="INVALID_VALUE") from None
    return value


def _number(value: Any) -> Decimal:
    if isinstance(value, bool | float):
        raise ValueError(value)
    number = value if isinstance(value, Decimal) else Decimal(str(value))
    if not number.is_finite():
        raise ValueError(value)
    return number
