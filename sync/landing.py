"""Landing a page: raw versions, facts, quarantine and redirects of its records, inside one transaction.

Idempotent: a record whose content we hold already costs one look-up. A record that is older by its own stamp than
the version we hold came out of order; it is counted as stale and left out, so that the order of pages does not matter.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from itertools import chain
from typing import Any, NamedTuple, cast

from sqlalchemy import Connection

from connectors.base import Record
from sync import quarantine, tables
from sync.arrivals import MAPPED_AT_ONCE, Arrival, Head, Mapped, arrived, take_answers
from sync.bulk import append, next_id, rows, run_each
from sync.fact_rows import (
    OUTLIVE_MERGES,
    FactWriter,
    Key,
    Source,
    standing,
    stood,
)
from sync.payloads import decoded, record_of, storable
from sync.raw_rows import Lookups
from sync.tables import micros

RECORDS_AT_ONCE = 500
"""Records of a page that are looked up and written together."""

MOST_REMEMBERED = 20_000
"""Looked-up records kept in memory during a pull."""


Mapper = Callable[[Sequence[Record], Lookups], Sequence[Mapped]]
"""Facts of records, one answer for each, in their order."""


Believe = Callable[[Mapping[str, int]], None]
"""Told how many facts would lose which field (``type.field``); raises when that is not to be taken in."""


@dataclass(frozen=True, slots=True)
class Stream:
    """One object of one connection, and how far reading it has come. Instants of its facts: see ``complete``."""

    id: int
    connection: str
    kind: str
    cursor: str | None = None
    watermark: str | None = None
    reading: str = "changes"
    complete: bool = False
    query_hash: str | None = None
    mapping_hash: str | None = None

    @property
    def since(self) -> str | None:
        """Where reading goes on: inside an interrupted read, else from the watermark."""
        return self.cursor if self.cursor is not None or self.reading == "backfill" else self.watermark


@dataclass(frozen=True, slots=True)
class PageResult:
    """What became of the records of a page; ``facts`` counts the fact versions that were appended."""

    new: int = 0
    changed: int = 0
    unchanged: int = 0
    deleted: int = 0
    quarantined: int = 0
    stale: int = 0
    facts: int = 0

    def __add__(self, other: PageResult) -> PageResult:
        return PageResult(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))


class StoredLookups:
    """Look-ups in the store, remembered within a run, and among the records on their way in, not stored yet."""

    def __init__(self, connection: str) -> None:
        self._connection_name = connection
        self._found: dict[Key, Mapping[str, Any] | None] = {}
        self._arriving: tuple[str, Sequence[Record]] = ("", ())
        self._here: dict[str, Mapping[str, Any]] | None = None
        self.database: Connection | None = None

    def arriving(self, kind: str, records: Sequence[Record]) -> None:
        """Look among these records first; few mappings look up an object from itself, so that they wait to be asked."""
        self._arriving, self._here = (kind, records), None

    def get(self, kind: str, external_id: str) -> Mapping[str, Any] | None:
        """The record's last known fields (of a deleted record: those before its deletion), or ``None``."""
        key = (kind, external_id)
        if kind == self._arriving[0]:
            if self._here is None:
                self._here = {record.external_id: record.fields for record in self._arriving[1] if not record.deleted}
            here = self._here.get(external_id)
            if here is not None:
                return here
        if key not in self._found:
            if len(self._found) >= MOST_REMEMBERED:
                self._found.clear()
            assert self.database is not None, "look-ups are used inside a transaction"
            self._found[key] = last_fields(self.database, self._connection_name, kind, external_id)
        return self._found[key]

    def forget(self, keys: Sequence[Key]) -> None:
        """Forget what was remembered of these records: they have changed."""
        if self._found:
            for key in keys:
                self._found.pop(key, None)


_CURRENT = """
SELECT v.previous, v.payload, v.deleted FROM record r JOIN stream s ON s.id = r.stream_id
JOIN record_version v ON v.id = r.version_id WHERE s.connection = ? AND s.kind = ? AND r.external_id = ?
"""
_OLDER = "SELECT previous, payload, deleted FROM record_version WHERE id = ?"


def last_fields(connection: Connection, name: str, kind: str, external_id: str) -> Mapping[str, Any] | None:
    """The last fields that a record had while it was not deleted; ``None`` when it was never seen so."""
    found = rows(connection, _CURRENT, name, kind, storable(external_id))
    while found:
        previous, payload, deleted = found[0]
        if not deleted:
            return decoded(payload)
        found = rows(connection, _OLDER, previous) if previous is not None else []
    return None


def held_records(connection: Connection, stream: Stream, external_ids: Sequence[str]) -> list[Record]:
    """The current versions of these records, as the system said them."""
    found = rows(connection, _REPLAYED, stream.id, list(external_ids))
    return [record_of(stream.kind, row) for _, _, _, *row in found]


class Landing:
    """The records of one stream on their way into the store, in one transaction."""

    def __init__(
        self,
        connection: Connection,
        stream: Stream,
        mapper: Mapper,
        lookups: StoredLookups,
        seen_at: datetime,
        run_id: int,
        believe: Believe | None = None,
    ) -> None:
        self._connection = connection
        self._believe = believe
        self._emptied: Counter[str] = Counter()
        self.versions: tuple[int, int] | None = None
        """The first and the last id of the versions that were appended."""
        self._stream = stream
        self._mapper = mapper
        self._lookups = lookups
        self._seen_at = micros(seen_at)
        self._run_id = run_id
        self._records: Sequence[Record] = ()
        lookups.database = connection

    def land(self, records: Sequence[Record], arrivals: Sequence[Arrival] | None = None) -> PageResult:
        """Take new states of records; ``arrivals``: what another process made of them, in their order.

        Raises: what ``believe`` raises; the caller's transaction then ends without them.
        """
        self._records = records
        self._lookups.arriving(self._stream.kind, records)
        result = PageResult()
        for part in _without_repeats(records if arrivals is None else arrivals):
            for start in range(0, len(part), RECORDS_AT_ONCE):
                result += self._land(part[start : start + RECORDS_AT_ONCE])
        self._lookups.arriving("", ())
        self._records = ()
        self._believed()
        return result

    def replay(self, external_ids: Sequence[str]) -> PageResult:
        """Map the stored current versions of these records once more."""
        found = rows(self._connection, _REPLAYED, self._stream.id, list(external_ids))
        items, telling = [], []
        for version_id, seq, facts, *row in found:
            external_id, version, _, deleted, merged_into, created, modified = row
            record, head = record_of(self._stream.kind, row), Head(version_id, b"", None, facts)
            items.append(
                Arrival(
                    external_id, version, b"", b"", bool(deleted), merged_into, created, modified,
                    head=head, seq=seq, record=record,
                )
            )  # fmt: skip
            # Of a merged record only what it could not give yet, for it was refused.
            if not record.deleted or (record.merged_into is not None and facts is None):
                telling.append(items[-1])
        self._map(telling)
        outcome = self._state(items)
        self._believed()
        changed = [
            (facts, self._stream.id, item.external_id)
            for item, facts in zip(items, outcome.standing, strict=True)
            if item.head is not None and facts != item.head.facts
        ]
        run_each(self._connection, "UPDATE record SET facts = ? WHERE stream_id = ? AND external_id = ?", changed)
        return PageResult(quarantined=outcome.quarantined, facts=outcome.facts)

    def _land(self, part: Sequence[Record | Arrival]) -> PageResult:
        ids = [storable(one.external_id) for one in part]
        heads = {
            row[0]: Head(row[1], bytes(row[2]), row[3], row[4])
            for row in rows(self._connection, _HEADS, self._stream.id, ids)
        }
        new: list[Arrival] = []
        changed: list[Arrival] = []
        touched: list[tuple[int, int, str]] = []
        stale = 0
        for at in range(0, len(part), MAPPED_AT_ONCE):
            mapped_new, mapped_changed = len(new), len(changed)
            for item in _arrivals(part[at : at + MAPPED_AT_ONCE]):
                head, stamp = heads.get(item.external_id), item.modified
                if head is None:
                    new.append(item)
                    continue
                held = head.modified_at
                if head.content_hash == item.content_hash:
                    if stamp is not None and (held is None or stamp > held):
                        touched.append((stamp, self._stream.id, item.external_id))
                elif stamp is not None and held is not None and stamp < held:
                    stale += 1
                else:
                    item.head = head
                    changed.append(item)
            self._map(new[mapped_new:] + changed[mapped_changed:])
        unchanged = len(part) - len(new) - len(changed) - stale
        run_each(self._connection, _TOUCH, touched)
        if changed:
            self._number(changed)
        items = new + changed
        if not items:
            return PageResult(unchanged=unchanged, stale=stale)
        outcome = self._state(items)
        self._append(items, outcome.standing)
        gone = [item for item in items if item.deleted]
        self._redirect(gone)
        self._unmerge([item.external_id for item in items if not item.deleted and item.head is not None])
        return PageResult(
            new=sum(not item.deleted for item in new),
            changed=sum(not item.deleted for item in changed),
            unchanged=unchanged,
            deleted=len(gone),
            quarantined=outcome.quarantined,
            stale=stale,
            facts=outcome.facts,
        )

    def _number(self, changed: list[Arrival]) -> None:
        """Give the items their place in the row of versions of their record."""
        held = rows(self._connection, _VERSIONS, [item.head.version_id for item in changed if item.head])
        seqs = dict(held)
        for item in changed:
            if item.head is not None:
                item.seq = seqs[item.head.version_id] + 1

    def _append(self, items: Sequence[Arrival], standing_facts: Sequence[str | None]) -> None:
        number = next_id(self._connection, tables.record_version)
        stream_id, run_id, seen_at = self._stream.id, self._run_id, self._seen_at
        versions, new, moved = [], [], []
        for item, facts in zip(items, standing_facts, strict=True):
            head, stamp = item.head, item.modified
            versions.append(
                (
                    number, None if head is None else head.version_id, stream_id, item.external_id, item.seq,
                    item.version, item.payload.decode(), item.deleted, item.merged_into,
                    item.created, stamp, run_id, seen_at,
                )
            )  # fmt: skip
            if head is None:
                new.append((stream_id, item.external_id, number, item.content_hash, stamp, facts))
            else:
                moved.append(
                    (
                        number,
                        item.content_hash,
                        head.modified_at if stamp is None else stamp,
                        facts,
                        stream_id,
                        item.external_id,
                    )
                )
            number += 1
        if versions:
            self.versions = (self.versions or versions[0])[0], number - 1
        append(self._connection, tables.record_version, versions)
        append(self._connection, tables.record, new)
        run_each(self._connection, _MOVE_HEAD, moved)
        kind = self._stream.kind
        self._lookups.forget([(kind, item.external_id) for item in items])

    def _redirect(self, gone: Sequence[Arrival]) -> None:
        run_each(
            self._connection,
            _REDIRECT,
            [
                (self._stream.id, item.external_id, item.merged_into, self._seen_at)
                for item in gone
                if item.merged_into is not None
            ],
        )

    def _unmerge(self, there: Sequence[str]) -> None:
        """A record that was merged away and is there again (undeleted) is itself again."""
        ended = rows(self._connection, _MERGED, self._stream.id, list(there)) if there else []
        run_each(self._connection, _UNMERGE, [(self._seen_at, self._stream.id, loser) for (loser,) in ended])

    def _map(self, items: Sequence[Arrival]) -> None:
        """Note with each item what the mapping makes of it.

        A deleted record that still shows its values may hold a registration that nobody has seen. What was deleted, and
        not merged, before the first full read had ended was withdrawn before we came.
        """
        telling, records = [], []
        for item in items:
            if not item.is_mapped:
                record = self._records[item.place] if item.record is None else item.record
                if not item.deleted or (record.fields and (item.merged_into is not None or self._stream.complete)):
                    telling.append(item)
                    records.append(record)
        if telling:
            take_answers(telling, records, self._mapper(records, self._lookups))

    def _state(self, items: Sequence[Arrival]) -> _Outcome:
        """Append what is news; rejects go to quarantine and leave earlier facts as they are."""
        writer = FactWriter(self._connection, self._run_id)
        before = [stood(item.external_id, item.head.facts) if item.head and item.head.facts else [] for item in items]
        writer.prepare(chain((fact.key for item in items for fact in item.given), chain.from_iterable(before)))
        standing_facts, refused, accepted = [], [], []
        for item, earlier in zip(items, before, strict=True):
            gone, merged = item.deleted, item.merged_into is not None
            if item.reject is not None and (not gone or (merged and not earlier)):
                refused.append((item.external_id, item.seq, item.reject))
                standing_facts.append(None if item.head is None else item.head.facts)
                continue
            accepted.append(item.external_id)
            source = self._source(item)
            told = source if merged or not gone else source.just_before
            keys = []
            for fact in item.given:
                if merged or not gone or not writer.is_withdrawn(fact.key):
                    writer.state(fact, told)
                keys.append(fact.key)
            lost = [key for key in earlier if key not in keys]
            for key in [*keys, *lost] if gone else lost:
                if not merged or key[0] not in OUTLIVE_MERGES:
                    writer.withdraw(key, source)
            keys += lost
            standing_facts.append(standing(item.external_id, keys))
        facts = writer.flush()
        self._emptied += writer.emptied
        quarantine.release(self._connection, self._stream.id, accepted, self._seen_at)
        quarantine.hold(self._connection, self._stream.id, refused, self._seen_at)
        return _Outcome(standing_facts, len(refused), facts)

    def _believed(self) -> None:
        if self._believe is not None and self._emptied:
            self._believe(self._emptied)

    def _source(self, item: Arrival) -> Source:
        seen = first = then = self._seen_at
        if not self._stream.complete:
            if item.modified is not None and item.modified < seen:
                first = then = item.modified
            if item.created is not None:
                first = item.created if item.created < seen else seen
        return Source(self._stream.id, item.external_id, item.seq, first, then)


class _Outcome(NamedTuple):
    standing: list[str | None]
    quarantined: int
    facts: int


def _without_repeats(coming: Sequence[Record] | Sequence[Arrival]) -> Iterator[Sequence[Record | Arrival]]:
    """The records in order, in parts in which no id comes twice."""
    if len({one.external_id for one in coming}) == len(coming):
        if coming:
            yield coming
        return
    part: list[Record | Arrival] = []
    seen: set[str] = set()
    for one in coming:
        if one.external_id in seen:
            yield part
            part, seen = [], set()
        part.append(one)
        seen.add(one.external_id)
    yield part


def _arrivals(some: Sequence[Record | Arrival]) -> Sequence[Arrival]:
    if some and isinstance(some[0], Record):
        return arrived(cast("Sequence[Record]", some))
    return cast("Sequence[Arrival]", some)


_HEADS = "SELECT external_id, version_id, content_hash, modified_at, facts FROM record WHERE stream_id = ? AND external_id AMONG ?"
_VERSIONS = "SELECT id, seq FROM record_version WHERE id AMONG ?"
_TOUCH = "UPDATE record SET modified_at = ? WHERE stream_id = ? AND external_id = ?"
_MOVE_HEAD = "UPDATE record SET version_id = ?, content_hash = ?, modified_at = ?, facts = ? WHERE stream_id = ? AND external_id = ?"
_REDIRECT = """
INSERT INTO redirect (stream_id, loser, winner, seen_at) VALUES (?, ?, ?, ?)
ON CONFLICT (stream_id, loser) DO UPDATE SET winner = excluded.winner, ended_at = NULL, restored_at = NULL
"""
_MERGED = "SELECT loser FROM redirect WHERE stream_id = ? AND ended_at IS NULL AND loser AMONG ?"
_UNMERGE = "UPDATE redirect SET ended_at = ? WHERE stream_id = ? AND loser = ?"
_REPLAYED = """
SELECT r.version_id, v.seq, r.facts, r.external_id, v.version, v.payload, v.deleted, v.merged_into, v.created_at, v.modified_at
FROM record r JOIN record_version v ON v.id = r.version_id
WHERE r.stream_id = ? AND r.external_id AMONG ? ORDER BY r.version_id
"""
