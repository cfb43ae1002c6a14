"""Reconciling: whether what is here is what the system holds, record by record, with counts and sums of money by day.

Reading changes can miss what leaves no trace: a purge, a sharing rule that hides records, a filter that a record left, a
late commit beyond every overlap. Here everything is listed once more, past all watermarks; what differs from the store is
fetched by its id before it is called a difference, and a change that the next pull would bring is none.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any, Literal, NamedTuple

from sqlalchemy import Connection

from connectors.base import PartLister, Query, Reader, Record
from sync.bulk import each_row
from sync.contained import SoundReader
from sync.drift import PausedMap, PausedReader
from sync.object_maps import ObjectMap
from sync.payloads import all_encoded, content_hash, decoded, storable
from sync.store import Store
from sync.tables import instant

UNDATED = "undated"
What = Literal["missing", "deleted", "vanished", "left", "differs"]
_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Difference:
    """One record that is not here as it is there.

    ``missing``: there and not here. ``deleted``: deleted there, alive here. ``vanished``: here, and the system does not
    show it any more (purged, hidden). ``left``: still there, but the mapping's filter leaves it out now. ``differs``:
    ``fields`` hold other values.
    """

    id: str
    what: What
    day: str
    fields: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Day:
    """Records created on one UTC day: how many on each side, and sums of each money field (control sums, all
    currencies together)."""

    day: str
    theirs: int
    ours: int
    sums: Mapping[str, tuple[Decimal, Decimal]] = field(default_factory=dict)

    @property
    def equal(self) -> bool:
        """Whether both sides have as many records and as much money."""
        return self.theirs == self.ours and all(theirs == ours for theirs, ours in self.sums.values())


@dataclass(frozen=True, slots=True)
class Reconciled:
    """One object: ``days`` are all days; ``recent`` counts records that changed after the last pull and were left out.

    ``found`` are the records of the differences as the system holds them now (``None``: it does not), for mending.
    """

    kind: str
    days: tuple[Day, ...]
    differences: tuple[Difference, ...]
    recent: int
    calls: int
    found: Mapping[str, Record | None] = field(default_factory=dict)

    @property
    def equal(self) -> bool:
        """Whether nothing differs."""
        return not self.differences and all(day.equal for day in self.days)


class _Suspect(NamedTuple):
    """A record that looks different: as it was listed there, and as it is held here."""

    theirs: _Held | None
    ours: _Held | None


@dataclass(frozen=True, slots=True)
class _Held:
    """What is known of a live record without its fields: its day, the hash of its content, its money."""

    day: str
    hash: bytes
    money: tuple[Decimal, ...]


def reconcile(
    store: Store,
    connection: str,
    reader: Reader,
    plan: ObjectMap,
    *,
    settled_before: datetime,
    step: Callable[[], None] = lambda: None,
    paused: PausedMap | None = None,
) -> Reconciled:
    """Compare one object of a connection with the store; by ``paused``, as it is read while some of its fields are paused.

    What changed there at ``settled_before`` or later is for the next pull to bring, and no difference. Call it under the
    connection's lease, which ``step`` may renew: it is called after each page. Raises: ``ConnectorError`` kinds: a list that was not read to its end says
    nothing, so nothing is reported.
    """
    whole = not isinstance(reader, PartLister) or reader.lists_all(plan.kind)
    reader = SoundReader(connection, reader)
    if paused is not None:
        reader = PausedReader(reader, paused, store.lookups(connection))
    paths = money_of(plan)
    theirs, gone, calls = _listed(reader, plan.query, paths, step)
    stream = store.stream(connection, plan.kind)
    suspects: dict[str, _Suspect] = {}
    with store.reading() as db:
        days = _Days(paths)
        for external_id, held in _kept(db, stream.id, paths):
            days.add(1, held)
            other = theirs.pop(external_id, None)
            if other is None or other.hash != held.hash:
                suspects[external_id] = _Suspect(other, held)
            if other is not None:
                days.add(0, other)
    for external_id, other in theirs.items():
        days.add(0, other)
        suspects[external_id] = _Suspect(other, None)
    return _judged(store, stream.id, reader, plan, suspects, gone, whole, days, settled_before, calls)


def money_of(plan: ObjectMap) -> tuple[str, ...]:
    """The fields of an object that become money."""
    return tuple(dict.fromkeys(use.path for use in plan.uses if use.path and use.shape.kind == "money"))


def amount_in(fields: Mapping[str, Any], path: str) -> Decimal:
    """The money in a field, or the sum over a list's elements; what is no number counts as nothing."""
    if path in fields:
        return _number(fields[path])
    head, _, rest = path.partition(".")
    inner = fields.get(head)
    if isinstance(inner, Mapping) and rest:
        return amount_in(inner, rest)
    if isinstance(inner, Sequence) and not isinstance(inner, str) and rest:
        return sum((amount_in(each, rest) for each in inner if isinstance(each, Mapping)), Decimal(0))
    return Decimal(0)


def _number(value: Any) -> Decimal:
    try:
        found = Decimal(str(value))
    except InvalidOperation:
        return Decimal(0)
    return found if found.is_finite() else Decimal(0)


def _listed(
    reader: Reader, query: Query, paths: Sequence[str], step: Callable[[], None]
) -> tuple[dict[str, _Held], set[str], int]:
    """Everything that the system lists: live records, ids of deleted ones, and the API calls."""
    live: dict[str, _Held] = {}
    gone: set[str] = set()
    calls = 0
    for page in reader.changes(query, since=None):
        calls += page.calls
        step()
        for record, payload in zip(page.records, all_encoded(page.records), strict=True):
            external_id = storable(record.external_id)
            if record.deleted:
                live.pop(external_id, None)
                gone.add(external_id)
                continue
            gone.discard(external_id)
            live[external_id] = _Held(
                _day(record.created_at), content_hash(payload, False, None), _money(decoded(payload.decode()), paths)
            )
    return live, gone, calls


def _kept(db: Connection, stream_id: int, paths: Sequence[str]) -> Iterator[tuple[str, _Held]]:
    """The live records of the store."""
    for external_id, digest, payload, created_at in each_row(db, _LIVE, stream_id, False):
        fields = decoded(payload) if paths else {}
        at = None if created_at is None else instant(created_at)
        yield external_id, _Held(_day(at), bytes(digest), _money(fields, paths))


def _money(fields: Mapping[str, Any], paths: Sequence[str]) -> tuple[Decimal, ...]:
    return tuple(amount_in(fields, path) for path in paths)


def _day(at: datetime | None) -> str:
    return UNDATED if at is None else at.astimezone(UTC).date().isoformat()


class _Days:
    """Counts and sums by day, of their records (side 0) and of ours (side 1)."""

    def __init__(self, paths: Sequence[str]) -> None:
        self._paths = paths
        self._counts: tuple[Counter[str], Counter[str]] = (Counter(), Counter())
        self._sums: dict[tuple[str, int], list[Decimal]] = {}

    def add(self, side: Literal[0, 1], held: _Held, times: int = 1) -> None:
        self._counts[side][held.day] += times
        sums = self._sums.setdefault((held.day, side), [Decimal(0)] * len(self._paths))
        for place, amount in enumerate(held.money):
            sums[place] += amount * times

    def all(self) -> tuple[Day, ...]:
        nothing = [Decimal(0)] * len(self._paths)
        names = sorted(self._counts[0].keys() | self._counts[1].keys())
        return tuple(
            Day(
                name, self._counts[0][name], self._counts[1][name],
                {
                    path: (self._sums.get((name, 0), nothing)[place], self._sums.get((name, 1), nothing)[place])
                    for place, path in enumerate(self._paths)
                },
            )
            for name in names
        )  # fmt: skip


def _judged(
    store: Store,
    stream_id: int,
    reader: Reader,
    plan: ObjectMap,
    suspects: Mapping[str, _Suspect],
    gone: set[str],
    whole: bool,
    days: _Days,
    settled_before: datetime,
    calls: int,
) -> Reconciled:
    """Ask for each suspect once more, by its id, and say what is wrong with it."""
    ids = sorted(suspects)
    differences: list[Difference] = []
    found: dict[str, Record | None] = {}
    recent = 0
    for start in range(0, len(ids), _AT_ONCE):
        some = ids[start : start + _AT_ONCE]
        there = {
            storable(record.external_id): record
            for record in reader.fetch(plan.kind, plan.query.fields, some)
            if not record.deleted
        }
        with store.reading() as db:
            here = {row[0]: row[1] for row in each_row(db, _SOME, stream_id, some)}
        for external_id in some:
            now, suspect = there.get(external_id), suspects[external_id]
            is_recent = now is not None and now.modified_at is not None and now.modified_at >= settled_before
            one = None
            if not is_recent:
                one = _difference(external_id, now, suspect, here.get(external_id), gone, plan, whole)
            recent += is_recent
            if one is not None:
                differences.append(one)
                found[external_id] = now
                continue
            if suspect.theirs is not None:
                days.add(0, suspect.theirs, -1)
            if suspect.ours is not None:
                days.add(1, suspect.ours, -1)
    return Reconciled(plan.kind, days.all(), tuple(differences), recent, calls, found)


def _difference(
    external_id: str,
    now: Record | None,
    suspect: _Suspect,
    payload: str | None,
    gone: set[str],
    plan: ObjectMap,
    whole: bool,
) -> Difference | None:
    held = suspect.ours
    if held is None:
        return None if now is None else Difference(external_id, "missing", _day(now.created_at))
    if now is None:
        if external_id in gone:
            return Difference(external_id, "deleted", held.day)
        if suspect.theirs is not None or not whole:  # listed a moment ago, or left out of a list that is not all
            return None
        return Difference(external_id, "vanished", held.day)
    kept, fresh = decoded(payload or "{}"), decoded(all_encoded([now])[0].decode())
    names = tuple(name for name in kept if name in fresh and kept[name] != fresh[name])
    if suspect.theirs is None and plan.query.where is not None:
        return Difference(external_id, "left", held.day, names)
    return Difference(external_id, "differs", held.day, names) if names else None


_LIVE = """
SELECT r.external_id, r.content_hash, v.payload, v.created_at FROM record r JOIN record_version v ON v.id = r.version_id
WHERE r.stream_id = ? AND v.deleted = ?
"""
_SOME = """
SELECT r.external_id, v.payload FROM record r JOIN record_version v ON v.id = r.version_id
WHERE r.stream_id = ? AND r.external_id AMONG ?
"""
