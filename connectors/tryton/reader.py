"""Reads models by (stamp, id): as created, as changed, with changed parts, and which records are gone.

Pages follow the last record's position, so records that move between pages do not matter. ``cursors`` says what a
window is, ``documents`` what is put together.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import msgspec

from connectors.base import Cursor, Page, Query, Record
from connectors.errors import NeedsOperator
from connectors.halving import in_halves
from connectors.tryton.config import TrytonConfig
from connectors.tryton.cursors import PHASES, Ids, Phase, Window, first_window, next_window, window_of
from connectors.tryton.describe import Specs, TrytonDescriber
from connectors.tryton.documents import Documents, id_of
from connectors.tryton.errors import RecordGone
from connectors.tryton.kinds import kind_of
from connectors.tryton.register import Entry, Register
from connectors.tryton.rpc import Rows, Rpc
from connectors.tryton.values import instant_of, plain

MANY = ("one2many", "many2many")
_SYSTEM = ("create_date", "write_date", "_timestamp")
_STAMPS: Mapping[Phase, str] = {"created": "create_date", "written": "write_date"}
_LARGEST_ID = 2**31 - 1
_BROKEN = "broken reference"


@dataclass(frozen=True, slots=True)
class _Reading:
    """What is read of one model. ``names`` are Tryton's own, dotted ones too; ``parts`` are lists read into."""

    kind: str
    fields: tuple[str, ...]
    names: tuple[str, ...]
    computed: tuple[str, ...]
    parts: tuple[str, ...]
    flags: frozenset[str]
    where: tuple[Any, ...] = ()


class TrytonReader:
    """Implements :class:`connectors.base.Reader`."""

    def __init__(self, config: TrytonConfig, rpc: Rpc, describer: TrytonDescriber, register: Register) -> None:
        self._config = config
        self._rpc = rpc
        self._describer = describer
        self._register = register
        self._documents = Documents(rpc, register)

    def changes(self, query: Query, *, since: Cursor | None) -> Iterator[Page]:
        """Pages of records in the order of their stamps, then records with changed parts, then deleted ones.

        The last page holds the watermark and no records.
        """
        calls = self._rpc.calls
        reading = self._reading(query.kind, query.fields, query.where)
        # The header is cut to whole seconds: records of this second are before the next one.
        now = self._rpc.server_time() + timedelta(seconds=1)
        window = self._window(since, now)
        for phase in self._phases(reading, window):
            window = window if window.phase == phase else window.then(phase)
            if phase == "ids":
                window = replace(window, ids=str(Ids.of(self._all_ids(query.kind))), compared=window.high)
                continue
            for records, behind in self._phase(reading, window):
                window = behind
                yield Page(records, window.cursor, calls=self._rpc.calls - calls)
                calls = self._rpc.calls
        done = window.then("done").cursor
        yield Page((), done, done, self._rpc.calls - calls)

    def _window(self, since: Cursor | None, now: Any) -> Window:
        if since is None:
            return first_window(now)
        window = window_of(since)
        if window.phase != "done":
            return window
        return next_window(window, now, timedelta(seconds=self._config.overlap_seconds))

    def _phases(self, reading: _Reading, window: Window) -> list[Phase]:
        """What is left to read, in order."""
        phases: list[Phase] = ["created", "written"]
        if window.low is not None and reading.parts:
            phases.append("touched")
        if self._config.deleted_records:
            if window.ids is None:
                phases.insert(0, "ids")
            elif window.low is not None and self._is_due(window):
                phases.append("gone")
        started = window.at is not None or window.id > 0
        at = PHASES.index(window.phase)
        return [phase for phase in phases if PHASES.index(phase) >= at or (phase == "ids" and not started)]

    def _is_due(self, window: Window) -> bool:
        compared, high = instant_of(window.compared), instant_of(window.high)
        return compared is None or high is None or high - compared >= timedelta(hours=self._config.deleted_hours)

    def _phase(self, reading: _Reading, window: Window) -> Iterator[tuple[tuple[Record, ...], Window]]:
        """Pages of one phase, each with the place behind it."""
        if window.phase == "gone":
            yield from self._gone(reading.kind, window)
            return
        stamp = _STAMPS.get(window.phase)

        def read(
            part: Window, _last: bool, size: Callable[[], int]
        ) -> Iterator[tuple[tuple[tuple[Record, ...], list[int]], Window]]:
            more = True
            while more:
                rows, whole, more = self._page_with_broken(reading, part, size())
                records = tuple(self._records(reading, whole))
                if rows:
                    at = plain(rows[-1][stamp]) if stamp else None
                    part = replace(part, at=at, id=rows[-1]["id"])
                yield (records, [row["id"] for row in rows]), part

        parts = in_halves(
            window, read, lambda part: part.halves() if stamp is not None else None, size=self._config.page_size,
            told=lambda part: (
                f"tryton: {reading.kind}: one record alone is not answered within timeout_seconds: "
                f"{self._config.timeout_seconds:g} (of {part.low or 'the beginning'} to {part.high}, behind id {part.id}); raise "
                "it, here and on the server, or take fields that reach into other records out of the mapping"
            ),
            alive=self._rpc.server_time,
        )  # fmt: skip
        for (records, numbers), part, _ in parts:
            if numbers:
                ids = str(Ids.parsed(window.ids).also(numbers)) if window.ids is not None else None
                window = replace(window, at=part.at, id=part.id, ids=ids)
                yield records, window

    def _page_with_broken(self, reading: _Reading, window: Window, size: int) -> tuple[Rows, Rows, bool]:
        """The next rows of a phase, the same as whole as they can be read, and whether more may follow."""
        try:
            rows, more = self._page(reading, window, size)
            return rows, rows, more
        except RecordGone:
            # One row refers to a record that is not there (SQLite lets that be), and the page is refused for it.
            rows, more = self._page(replace(reading, names=_SYSTEM), window, size)
            return rows, [one for row in rows for one in self._alone(reading, row["id"])], more

    def _alone(self, reading: _Reading, number: int) -> Rows:
        """One row by itself; one that refers to what is not there comes without anything it refers to."""
        domain, order = [["id", "=", number]], [("id", "ASC")]
        try:
            return self._rpc.search_read(reading.kind, domain, 1, order, reading.names)
        except RecordGone:
            own = [name for name in reading.names if "." not in name]
            rows = self._rpc.search_read(reading.kind, domain, 1, order, own)
            heads = {name.partition(".")[0]: None for name in reading.names if "." in name}
            return [{**row, **heads, _BROKEN: True} for row in rows]

    def _page(self, reading: _Reading, window: Window, size: int) -> tuple[Rows, bool]:
        """The next rows of a phase as Tryton gives them, and whether more may follow."""
        stamp = _STAMPS.get(window.phase)
        domain: list[Any] = [*reading.where]
        order = [("id", "ASC")]
        if stamp is None:
            low = instant_of(window.low)
            changed = [
                [f"{part}.{name}", ">=", low] for part in reading.parts for name in ("write_date", "create_date")
            ]
            domain += [["OR", *changed], ["id", ">", window.id]]
        else:
            order.insert(0, (stamp, "ASC"))
            domain.append([stamp, "<", instant_of(window.high)])
            if window.phase == "created":
                domain.append(["write_date", "=", None])
            if window.at is not None:
                at = instant_of(window.at)
                domain.append(["OR", [stamp, ">", at], [[stamp, "=", at], ["id", ">", window.id]]])
            elif window.low is not None:
                domain.append([stamp, ">=", instant_of(window.low)])
        rows = self._rpc.search_read(reading.kind, domain, size, order, reading.names)
        return rows, len(rows) == size

    def _gone(self, kind: str, window: Window) -> Iterator[tuple[tuple[Record, ...], Window]]:
        """Records whose ids were there and are not any more. There is no trace of when."""
        there = Ids.of(self._all_ids(kind))
        gone = list(Ids.parsed(window.ids or "").without(there))
        window = replace(window, ids=str(there), compared=window.high)
        records = tuple(Record(kind, str(number), "deleted", {}, deleted=True) for number in gone)
        size = self._config.page_size
        for start in range(0, len(records), size):
            last = start + size >= len(records)
            # Until the last page is out, the ids stay as they were: a resumed read compares again.
            at = window if last else replace(window, ids=str(there.also(gone)), compared=None)
            yield records[start : start + size], at
        if not records:
            yield (), window

    def _all_ids(self, kind: str) -> Iterator[int]:
        last, size = 0, self._config.page_size
        while True:
            found = self._rpc.call(kind, "search", [["id", ">", last]], 0, size, [("id", "ASC")])
            yield from found
            if len(found) < size:
                return
            last = found[-1]

    def fetch(
        self, kind: str, fields: Sequence[str], keys: Sequence[str], *, key_field: str | None = None
    ) -> Iterator[Record]:
        """Records by id, or by a key field; a copy that a network made of a commission comes under the same key."""
        wanted = list(dict.fromkeys(keys))
        name: str = key_field or "id"
        values: list[Any] = wanted
        if key_field is None:
            values = [int(key) for key in wanted if key.isascii() and key.isdigit() and int(key) <= _LARGEST_ID]
        reading = self._reading(kind, (*fields, name) if key_field else tuple(fields), None)
        copies: dict[int, Entry] = {}
        if key_field is not None and kind_of(kind).registered and key_field in kind_of(kind).computed:
            copies = {number: one for number, one in self._register.doubled().items() if one.key in wanted}
            name, values = "id", [*self._registered(wanted), *copies]
        else:
            values = [value for value in values if not isinstance(value, str) or is_storable(value)]
        size = self._config.page_size
        for start in range(0, len(values), size):
            few = values[start : start + size]
            domain = [[name, "in", few]]
            rows = self._rpc.search_read(kind, domain, size, [("id", "ASC")], reading.names)
            while rows:
                for record in self._records(reading, rows):
                    copy = copies.get(int(record.external_id))
                    yield (
                        record
                        if copy is None
                        else msgspec.structs.replace(record, fields={**record.fields, str(key_field): copy.key})
                    )
                more = [*domain, ["id", ">", rows[-1]["id"]]]
                rows = (
                    self._rpc.search_read(kind, more, size, [("id", "ASC")], reading.names) if len(rows) == size else []
                )

    def _registered(self, keys: Sequence[str]) -> list[int]:
        found: list[int] = []
        size = self._config.page_size
        storable = [key for key in keys if is_storable(key)]
        for start in range(0, len(storable), size):
            entries = self._register.by_keys(storable[start : start + size]).values()
            found += [entry.commission for entry in entries if entry.commission is not None]
        return found

    def _reading(self, kind: str, fields: Sequence[str], where: str | None) -> _Reading:
        specs = self._describer.specs(kind)
        if specs is None:
            raise NeedsOperator(
                f"tryton: there is no model {kind!r} that the integration user may read; give it a group that may, or "
                "take it out of the mapping"
            )
        ours = kind_of(kind)
        asked = tuple(dict.fromkeys(fields))
        computed = tuple(dict.fromkeys(name for path in asked if (name := path.partition(".")[0]) in ours.computed))
        names = [path for path in asked if path.partition(".")[0] not in (*ours.computed, *ours.links)]
        names += [need for name in computed for need in ours.computed[name].needs]
        names += [f"{link.field}.{link.code}" for name, link in ours.links.items() if name in asked]
        names += [ours.replaced] if ours.replaced is not None and ours.replaced in specs else []
        for path in names:
            _check(kind, path, specs)
        parts = tuple(
            dict.fromkeys(
                head for path in names if (head := path.partition(".")[0]) != path
                and specs[head]["type"] in MANY and specs[head].get("searchable", True)
            )
        )  # fmt: skip
        flags = frozenset(name for name in names if name in specs and specs[name]["type"] == "boolean")
        return _Reading(kind, asked, (*_SYSTEM, *dict.fromkeys(names)), computed, parts, flags, own_filter(where))

    def _records(self, reading: _Reading, raw: Rows) -> Iterator[Record]:
        rows = [plain(row) for row in raw]
        self._documents.complete(reading.computed, [row for row in rows if _BROKEN not in row])
        ours = kind_of(reading.kind)
        deep = {path.partition(".")[0] for path in reading.fields if "." in path}
        for row in rows:
            fields: dict[str, Any] = {"id": row["id"]}
            for path in reading.fields:
                head = path.partition(".")[0]
                if link := ours.links.get(head):
                    fields[head] = _at(row[link.field], link.code)
                elif head in reading.computed or head in deep:
                    fields[head] = row.get(head)
                elif head in reading.flags:
                    fields[head] = bool(row[head])  # SQLite answers 0 and 1
                else:
                    fields[head] = _ids(row.get(head))
            into = id_of(row.get(ours.replaced)) if ours.replaced else None
            yield Record(
                reading.kind,
                str(row["id"]),
                str(row["_timestamp"]),
                fields,
                deleted=into is not None,
                merged_into=str(into) if into is not None else None,
                created_at=instant_of(row["create_date"]),
                modified_at=instant_of(row["write_date"] or row["create_date"]),
            )


def own_filter(where: str | None) -> tuple[Any, ...]:
    """The mapping's own filter: a Tryton domain as JSON. Raises: ``NeedsOperator``."""
    if where is None or not where.strip():
        return ()
    try:
        domain = json.loads(where)
    except ValueError:
        domain = None
    if not isinstance(domain, list):
        raise NeedsOperator(
            'tryton: the mapping\'s `where` is not a domain; write JSON such as \'[["type", "=", "out"]]\''
        )
    return (domain,)


def is_storable(text: str) -> bool:
    """Whether a database can hold this text: no NUL, and no half of a surrogate pair."""
    return "\0" not in text and not any("\ud800" <= letter <= "\udfff" for letter in text)


def _check(kind: str, path: str, specs: Specs) -> None:
    head = path.partition(".")[0]
    if head not in specs:
        raise NeedsOperator(
            f"tryton: {kind} has no field {head!r} that the integration user may read; its modules may not be activated. "
            "Take it out of the mapping, or give access to it",
            code="NO_SUCH_FIELD",
        )


def _ids(value: Any) -> Any:
    """A related record by its id alone, which is what a plain name asks for."""
    return [id_of(one) for one in value] if isinstance(value, list) else id_of(value)


def _at(value: Any, path: str) -> Any:
    for name in path.split("."):
        value = value[name] if isinstance(value, dict) else None
    return value
