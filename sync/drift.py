"""Drift: what a system says of itself now, beside what it said when a mapping first read it.

A field that vanished, was hidden from us or became another type is *paused*: it is not asked for any more, records that
we hold keep its last value, and new records that would need it wait. Everything else goes on. When it is back, the object
is read once more, so that nothing is missing. Picklist values are compared in both directions, and only told.

A field that was never described (a misspelled one) is no drift: the read says what is wrong with it, as before.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import Connection, select

from connectors.base import Cursor, Describer, Description, Field, Page, Query, Reader, Record
from sync import tables
from sync.arrivals import Mapped
from sync.contained import contained
from sync.drift_tables import described_field
from sync.mapping_check import unfit
from sync.object_maps import Mapped as MappedRecord
from sync.object_maps import ObjectMap
from sync.raw_rows import Lookups, Use
from sync.record_shapes import ANY
from sync.refusal import Reject
from sync.related import came_with, described
from sync.store import Store
from sync.write_maps import WriteField, WriteMap

Kind = Literal["vanished", "retyped", "read only", "back", "new value", "lost value"]
_NUMBERS = frozenset({"money", "decimal"})
MOST_NAMED = 12
"""Values of a picklist that one message names."""


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that is not as it was: where, what, and what it means for us."""

    object: str
    field: str
    kind: Kind
    found: str
    means: str
    pauses: bool = False
    """Whether the field is not used until it is as it was, or the mapping says something else."""


@dataclass(frozen=True, slots=True)
class Drift:
    """All changes of one connection. ``paused``: fields that are not read, by object, with the reason; ``hidden``:
    objects that the connection does not see any more."""

    changes: tuple[Change, ...] = ()
    paused: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    hidden: frozenset[str] = frozenset()

    def to_plain(self) -> list[dict[str, str]]:
        """As JSON values."""
        return [
            {"object": c.object, "field": c.field, "kind": c.kind, "found": c.found, "means": c.means}
            for c in self.changes
        ]


@dataclass(frozen=True, slots=True)
class _Known:
    """A field as it was first described."""

    type: str
    values: tuple[str, ...]
    paused_because: str | None


def watch(
    store: Store,
    connection: str,
    describer: Describer,
    reads: Sequence[ObjectMap],
    writes: Sequence[WriteMap],
    *,
    at: datetime,
) -> Drift:
    """Compare the described fields that the mapping uses with how they were first described, and keep the outcome.

    Fields that are back make their object be read once more. Raises: ``ConnectorError`` kinds.
    """
    paths: dict[str, list[str]] = {}
    for kind, name in _used(reads, writes):
        paths.setdefault(kind, []).append(name)
    for kind in (*(plan.kind for plan in reads), *(part.object for part in writes)):
        paths.setdefault(kind, [])
    with contained(connection, "its objects and fields"):
        seen = described(describer, paths)
    with store.transaction() as db:
        known = _known(db, connection)
        uses = {plan.kind: _uses(plan, reads) for plan in reads}
        changes = [change for kind, some in uses.items() for change in _of_reads(kind, some, seen[kind], known)]
        changes += [change for part in writes for change in _of_writes(part, seen[part.object], known)]
        changes = list({(change.object, change.field, change.kind): change for change in changes}.values())
        paused = {(change.object, change.field): change for change in changes if change.pauses}
        _remember(db, connection, reads, writes, seen, known)
        _remember_values(db, connection, uses, writes, seen, known)
        for (kind, name), was in known.items():
            change = paused.get((kind, name))
            because = f"{change.kind}: {change.found}" if change else None
            if because == was.paused_because:
                continue
            _pause(db, connection, kind, name, because, at)
            if because is None:
                changes.append(Change(kind, name, "back", "as it was", "the object is read once more"))
                _read_again(db, connection, kind)
    by_object: dict[str, dict[str, str]] = {}
    for (kind, name), change in paused.items():
        by_object.setdefault(kind, {})[name] = f"{change.kind}: {change.found}"
    hidden = frozenset(kind for kind, found in seen.items() if found is None and kind in by_object)
    return Drift(tuple(changes), by_object, hidden)


def paused_fields(store: Store, connection: str) -> dict[str, dict[str, str]]:
    """Fields that are paused, by object, with the reason: for when the system cannot be asked."""
    d = described_field.c
    with store.reading() as db:
        query = select(d.object, d.field, d.paused_because).where(
            d.connection == connection, d.paused_because.is_not(None)
        )
        found: dict[str, dict[str, str]] = {}
        for row in db.execute(query):
            found.setdefault(row.object, {})[row.field] = row.paused_because
        return found


class PausedMap:
    """An object's map without its paused fields: they are not asked for, and records that need one and lack it wait."""

    def __init__(self, plan: ObjectMap, paused: Mapping[str, str]) -> None:
        self._plan, self.paused = plan, paused
        self._needed = {use.path: use.target for use in plan.uses if use.path in paused and use.target}
        self.kind, self.hash, self.query_hash = plan.kind, plan.hash, plan.query_hash
        names = tuple(name for name in plan.query.fields if name not in paused)
        self.query = Query(plan.query.kind, names, plan.query.where)

    def carried(self, record: Record, last: Mapping[str, Any] | None) -> Record:
        """The record with the last known values of the fields that were not asked for."""
        if (record.deleted and not record.fields) or last is None:
            return record
        fresh = dict(record.fields)
        for name in self.paused:
            _keep(fresh, last, name)
        fields = {name: fresh[name] for name in (*last, *fresh) if name in fresh}  # in the order in which they are held
        return Record(
            record.kind, record.external_id, record.version, fields, record.deleted, record.merged_into,
            record.created_at, record.modified_at,
        )  # fmt: skip

    def facts(self, records: Sequence[Record], lookups: Lookups) -> Sequence[Mapped]:
        """Facts as the whole map makes them; a record that never had a paused field waits."""
        whole = iter(self._plan.facts([one for one in records if self._lacks(one) is None], lookups))
        return [next(whole) if (name := self._lacks(one)) is None else self._waits(one, name) for one in records]

    def _lacks(self, record: Record) -> str | None:
        if record.deleted and not record.fields:
            return None
        return next((name for name in self._needed if not came_with(record.fields, name)), None)

    def _waits(self, record: Record, name: str) -> Mapped:
        allowed = (
            f"{name}, as it was: {self.paused[name]}. Mend it there or in the mapping; this record is then read again"
        )
        return MappedRecord(record.external_id, (), Reject("missing", self._needed[name], "nothing", allowed))


def by_the_rest(plan: ObjectMap, paused: Mapping[str, Mapping[str, str]]) -> ObjectMap | PausedMap:
    """An object's map, without its fields that are ``paused`` (fields by object, with the reason)."""
    return PausedMap(plan, paused[plan.kind]) if plan.kind in paused else plan


class PausedReader:
    """A reader that does not ask for the paused fields of one object: its records come with the last known values of them."""

    def __init__(self, reader: Reader, plan: PausedMap, last: Lookups) -> None:
        self._reader, self._plan, self._last = reader, plan, last

    def changes(self, query: Query, *, since: Cursor | None) -> Iterator[Page]:
        """As :meth:`Reader.changes`."""
        asked = Query(query.kind, self._asked(query.fields), query.where)
        for page in self._reader.changes(asked, since=since):
            yield replace(page, records=tuple(self._carried(one) for one in page.records))

    def fetch(
        self, kind: str, fields: Sequence[str], keys: Sequence[str], *, key_field: str | None = None
    ) -> Iterator[Record]:
        """As :meth:`Reader.fetch`."""
        for one in self._reader.fetch(kind, self._asked(fields), keys, key_field=key_field):
            yield self._carried(one)

    def _asked(self, fields: Sequence[str]) -> tuple[str, ...]:
        return tuple(name for name in fields if name not in self._plan.paused)

    def _carried(self, one: Record) -> Record:
        return self._plan.carried(one, self._last.get(one.kind, one.external_id))


def _keep(fresh: dict[str, Any], last: Mapping[str, Any], path: str) -> None:
    """Put the last value of a field where it was and is not asked for now; of a related object beside its other fields."""
    head, _, rest = path.partition(".")
    name = path if path in last or not rest else head
    if name not in last:
        return
    if name not in fresh:
        fresh[name] = last[name]
        return
    now, before = fresh[name], last[name]
    if rest and name == head and isinstance(now, list) and isinstance(before, list):
        fresh[name] = [_kept_in(one, other, rest) for one, other in zip(now, _same_as(now, before), strict=True)]
    elif rest and name == head and isinstance(now, Mapping) and isinstance(before, Mapping):
        inner = dict(now)
        _keep(inner, before, rest)
        fresh[name] = {key: inner[key] for key in (*before, *inner) if key in inner}


def _same_as(now: Sequence[Any], before: Sequence[Any]) -> list[Any]:
    """For each element of a list the one that it was: by its id, where elements have one, else by its place."""
    named = {one["id"]: one for one in before if isinstance(one, Mapping) and "id" in one}
    if named:
        return [named.get(one.get("id")) if isinstance(one, Mapping) else None for one in now]
    return list(before) if len(before) == len(now) else [None] * len(now)


def _kept_in(now: Any, before: Any, path: str) -> Any:
    """An element with the last value of a field; one that had none had nothing there, and a new one lacks it."""
    if not isinstance(now, Mapping) or not isinstance(before, Mapping):
        return now
    inner = dict(now)
    _keep(inner, {path.partition(".")[0]: None, **before}, path)
    return inner


def _uses(plan: ObjectMap, reads: Sequence[ObjectMap]) -> tuple[Use, ...]:
    """What the mapping uses of an object: in what is made of it, and in what others look up of it."""
    looked_up = [one for other in reads for one in other.lookups if one.object == plan.kind]
    return (*plan.uses, *(Use(one.get, "", ANY, one.place) for one in looked_up))


def _of_reads(
    kind: str, uses: Iterable[Use], seen: Description | None, known: Mapping[tuple[str, str], _Known]
) -> Iterator[Change]:
    for use in uses:
        was = known.get((kind, use.path))
        if was is None:
            continue
        now = seen.fields.get(use.path) if seen is not None else None
        if now is None or not now.readable:
            means = "not read: records keep its last value, new ones that need it wait"
            yield Change(kind, use.path, "vanished", "the connection does not see it any more", means, pauses=True)
        elif now.type != was.type and use.target and unfit(use, now):
            means = f"not read: {use.target} cannot be made of it; records keep its last value, new ones wait"
            yield Change(kind, use.path, "retyped", f"{now.type}, was {was.type}", means, pauses=True)
        else:
            yield from _picked(kind, use, now, was)


def _picked(kind: str, use: Use, now: Field, was: _Known) -> Iterator[Change]:
    if not use.values or not now.values:
        return
    before, there = frozenset(was.values), frozenset(now.values)
    if new := [value for value in now.values if value not in before and value not in use.values and use.strict]:
        yield Change(kind, use.path, "new value", _some(new), "records with it wait; translate it in `values`")
    if lost := [word for word in use.values if word in before and word not in there]:
        means = "`values` translates it, and it is not active any more"
        yield Change(kind, use.path, "lost value", _some(lost), means)


def _some(values: Sequence[str]) -> str:
    """The first of them, and how many more: there may be thousands."""
    more = f" and {len(values) - MOST_NAMED} more" if len(values) > MOST_NAMED else ""
    return ", ".join(values[:MOST_NAMED]) + more


def _of_writes(part: WriteMap, seen: Description | None, known: Mapping[tuple[str, str], _Known]) -> Iterator[Change]:
    for target in part.fields:
        was = known.get((part.object, target.name))
        if was is None:
            continue
        now = seen.fields.get(target.name) if seen is not None else None
        if now is None:
            found, means = "the connection does not see it any more", "its writes are blocked"
            yield Change(part.object, target.name, "vanished", found, means, pauses=True)
            continue
        if not (now.updatable or now.creatable):
            found, means = "the connection may not write it", "its writes are blocked"
            yield Change(part.object, target.name, "read only", found, means)
        given = _given(target)
        if (
            now.type not in (was.type, "string")
            and not {now.type, was.type} <= _NUMBERS
            and not (now.values and given and set(given) <= set(now.values))
        ):
            means = "we write it, and what we write may be refused"
            yield Change(part.object, target.name, "retyped", f"{now.type}, was {was.type}", means)
        lost = [value for value in given if value in was.values and value not in now.values]
        if lost:
            yield Change(
                part.object, target.name, "lost value", ", ".join(lost), "we write it, and it is not active any more"
            )


def _given(target: WriteField) -> tuple[str, ...]:
    """The words that the mapping writes into a field; none when what it writes is not known before."""
    return tuple(map(str, target.values if target.constant is None else (target.constant,)))


def _used(reads: Sequence[ObjectMap], writes: Sequence[WriteMap]) -> Iterable[tuple[str, str]]:
    yield from ((plan.kind, use.path) for plan in reads for use in _uses(plan, reads) if use.path)
    yield from ((part.object, target.name) for part in writes for target in part.fields)


def _known(db: Connection, connection: str) -> dict[tuple[str, str], _Known]:
    rows = db.execute(select(described_field).where(described_field.c.connection == connection))
    return {(row.object, row.field): _Known(row.type, tuple(json.loads(row.picks)), row.paused_because) for row in rows}


def _remember(
    db: Connection,
    connection: str,
    reads: Sequence[ObjectMap],
    writes: Sequence[WriteMap],
    seen: Mapping[str, Description | None],
    known: Mapping[tuple[str, str], _Known],
) -> None:
    """Keep the fields that are described for the first time. Paths into lists are not described."""
    new: dict[tuple[str, str], Field] = {}
    for kind, name in _used(reads, writes):
        description = seen[kind]
        found = description.fields.get(name) if description is not None else None
        if found is not None and found.readable and (kind, name) not in known:
            new[kind, name] = found
    if new:
        db.execute(
            described_field.insert(),
            [
                {"connection": connection, "object": kind, "field": name, "type": found.type,
                 "picks": json.dumps(found.values)}
                for (kind, name), found in new.items()
            ],
        )  # fmt: skip


def _remember_values(
    db: Connection,
    connection: str,
    uses: Mapping[str, Iterable[Use]],
    writes: Sequence[WriteMap],
    seen: Mapping[str, Description | None],
    known: Mapping[tuple[str, str], _Known],
) -> None:
    """Add picklist values that came later and that the mapping knows by now, so that they are told when they go."""
    words = [(kind, use.path, use.values) for kind, some in uses.items() for use in some]
    words += [(part.object, target.name, _given(target)) for part in writes for target in part.fields]
    more: dict[tuple[str, str], list[str]] = {}
    for kind, name, meant in words:
        was, description = known.get((kind, name)), seen[kind]
        now = description.fields.get(name) if description is not None else None
        if was is not None and now is not None and now.values:
            there, before = frozenset(now.values), (*was.values, *more.get((kind, name), ()))
            if later := [word for word in meant if word in there and word not in before]:
                more.setdefault((kind, name), []).extend(later)
    d = described_field
    for (kind, name), later in more.items():
        mine = (d.c.connection == connection) & (d.c.object == kind) & (d.c.field == name)
        db.execute(d.update().where(mine).values(picks=json.dumps([*known[kind, name].values, *later])))


def _pause(db: Connection, connection: str, kind: str, name: str, because: str | None, at: datetime) -> None:
    d = described_field
    mine = (d.c.connection == connection) & (d.c.object == kind) & (d.c.field == name)
    values = {"paused_because": because, "paused_at": None if because is None else at}
    db.execute(d.update().where(mine).values(values))


def _read_again(db: Connection, connection: str, kind: str) -> None:
    """Ask for a backfill: what is read of the object is not known any more."""
    s = tables.stream
    db.execute(s.update().where(s.c.connection == connection, s.c.kind == kind).values(query_hash=None))
