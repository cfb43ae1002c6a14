"""What another mapping would make of what is stored: differences to the facts as they are, or as a run made them.

Nothing is written. The raw records are those that were read; only the mapping differs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import orjson
from sqlalchemy import Connection

from connectors.base import Record
from sync import quarantine
from sync.bulk import rows
from sync.drift import PausedMap
from sync.fact_rows import Key, stood
from sync.landing import StoredLookups, Stream
from sync.mapping import ObjectMap
from sync.payloads import record_of
from sync.redirects import surviving
from sync.refusal import Reject

AT_ONCE = 500
"""Records mapped together."""

Became = Literal["changed", "new", "withdrawn", "refused", "taken"]


@dataclass(frozen=True, slots=True)
class Difference:
    """What becomes of one fact, or of a whole record.

    ``changed``, ``new``, ``withdrawn``: the fact. ``refused``: the record, whose facts stay as they are. ``taken``:
    a record that was refused and is not any more. ``fields`` are (name, before, after).
    """

    external_id: str
    version: str
    became: Became
    fact: Key | None = None
    fields: tuple[tuple[str, Any, Any], ...] = ()
    reject: Reject | None = None


@dataclass(slots=True)
class Replayed:
    """One object mapped once more. ``unread``: fields that the mapping uses and that were not read."""

    kind: str
    records: int = 0
    same: int = 0
    differences: list[Difference] = field(default_factory=list)
    unread: tuple[str, ...] = ()

    @property
    def counts(self) -> dict[str, int]:
        """How many differences of each kind."""
        return dict(sorted(Counter(one.became for one in self.differences).items()))


class _Version(NamedTuple):
    record: Record
    seq: int
    given: str | None


def replay(db: Connection, stream: Stream, plan: ObjectMap | PausedMap, run_id: int | None = None) -> Replayed:
    """Map the current versions of a stream's records, or the versions that a run read, by another mapping."""
    found = Replayed(stream.kind)
    lookups = StoredLookups(stream.connection)
    lookups.database = db
    survivors = surviving(db)
    refused = {held.external_id: held.seq for held in quarantine.listed(db, stream.connection, stream.kind, "open")}
    names: set[str] = set()
    for part in _parts(db, stream, run_id):
        # Of a deleted record only what it could not give yet, for it was refused.
        alive = [
            version
            for version in part
            if not version.record.deleted or refused.get(version.record.external_id) == version.seq
        ]
        names.update(name for version in alive for name in version.record.fields)
        answers = plan.facts([version.record for version in alive], lookups)
        for version, answer in zip(alive, answers, strict=True):
            before = _stated(db, version, run_id)
            was_refused = refused.get(version.record.external_id) == version.seq
            after = [_led_on(fact, before, survivors) for fact in answer.facts]
            differences = list(_compared(version, before, after, answer.reject, was_refused))
            found.records += 1
            found.same += not differences
            found.differences += differences
    found.unread = lacking(plan.query.fields, names) if names else ()
    return found


def lacking(asked: Collection[str], held: Collection[str]) -> tuple[str, ...]:
    """Which of the fields that a mapping asks for are not among the raw names that are held.

    A field of a related object (``Owner.Name``) is held under its whole name or inside that object.
    """
    known = {name.lower() for name in held}
    return tuple(path for path in asked if not known & {path.lower(), path.partition(".")[0].lower()})


def read_by(db: Connection, run_id: int) -> int:
    """How many versions of records a run read."""
    return int(rows(db, "SELECT count(*) FROM record_version WHERE run_id = ?", run_id)[0][0])


def _parts(db: Connection, stream: Stream, run_id: int | None) -> Iterator[list[_Version]]:
    if run_id is None:
        ids = [number for (number,) in rows(db, _CURRENT, stream.id)]
    else:
        ids = list(dict(rows(db, _READ_BY, stream.id, run_id)).values())  # of each record the last one
    for start in range(0, len(ids), AT_ONCE):
        found = rows(db, _VERSIONS, ids[start : start + AT_ONCE])
        yield [_Version(record_of(stream.kind, row), seq, given) for seq, given, *row in found]


def _stated(db: Connection, version: _Version, run_id: int | None) -> dict[Key, dict[str, Any]]:
    """The facts of a record as they stand, or as they stood after a run; without those that are withdrawn."""
    found = {}
    for key in stood(version.record.external_id, version.given):
        if run_id is None:
            stated = rows(db, _NOW, *key)
        else:
            stated = rows(db, _AFTER_RUN, *key, version.seq, run_id)
        if stated:
            body = orjson.loads(stated[0][0])
            if not body.get("deleted"):
                found[key] = body
    return found


def _led_on(
    fact: Mapping[str, Any], before: Mapping[Key, Mapping[str, Any]], survivors: Mapping[str, str]
) -> Mapping[str, Any]:
    """The fact naming the account that a merge has left, where the stated one does."""
    account = survivors.get(fact.get("account") or "")
    stated = before.get((fact["type"], fact["id"]), {})
    return {**fact, "account": account} if account is not None and stated.get("account") == account else fact


def _compared(
    version: _Version, before: Mapping[Key, Mapping[str, Any]], after: Sequence[Mapping[str, Any]],
    reject: Reject | None, was_refused: bool,
) -> Iterator[Difference]:  # fmt: skip
    record = version.record
    if reject is not None:
        if not was_refused:
            yield Difference(record.external_id, record.version, "refused", reject=reject)
        return
    if was_refused:
        yield Difference(record.external_id, record.version, "taken")
    made = {(fact["type"], fact["id"]): fact for fact in after}
    for key, fact in made.items():
        stated = before.get(key)
        fields = tuple(_fields(stated or {}, fact))
        if stated is None or fields:
            yield Difference(record.external_id, record.version, "new" if stated is None else "changed", key, fields)
    for key in before:
        if key not in made:
            yield Difference(record.external_id, record.version, "withdrawn", key)


def _fields(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    # Facts as they were written: a list that came as a tuple is the same list.
    plain = orjson.loads(orjson.dumps(after))
    for name in sorted(before.keys() | plain.keys()):
        if name not in ("type", "id") and before.get(name) != plain.get(name):
            yield name, before.get(name), plain.get(name)


_CURRENT = "SELECT version_id FROM record WHERE stream_id = ? ORDER BY external_id"
_READ_BY = "SELECT external_id, id FROM record_version WHERE stream_id = ? AND run_id = ? ORDER BY id"
_VERSIONS = """
SELECT v.seq, r.facts, v.external_id, v.version, v.payload, v.deleted, v.merged_into, v.created_at, v.modified_at
FROM record_version v JOIN record r ON r.stream_id = v.stream_id AND r.external_id = v.external_id
WHERE v.id AMONG ? ORDER BY v.external_id
"""
_NOW = "SELECT f.body FROM fact_head h JOIN fact f ON f.id = h.row_id WHERE h.type = ? AND h.fact_id = ?"
_AFTER_RUN = """
WITH RECURSIVE chain(id) AS (
    SELECT row_id FROM fact_head WHERE type = ? AND fact_id = ?
    UNION ALL SELECT f.previous FROM chain c JOIN fact f ON f.id = c.id WHERE f.previous IS NOT NULL
)
SELECT f.body FROM chain c JOIN fact f ON f.id = c.id
WHERE coalesce(f.record_seq, 0) <= ? AND f.run_id <= ? ORDER BY f.id DESC LIMIT 1
"""
