"""The plan: what is wanted in a system beside what is there, as a value to show, count, refuse and approve."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from hashlib import sha256
from typing import Any, NamedTuple

from connectors.base import Change, Description, JobWriter, Reader, Usage, Writer
from sync.brakes import Limits, Tally
from sync.comparison import Comparison, History
from sync.contained import SoundReader
from sync.long_lists import LongList
from sync.plan_items import Item, Ref, shape_of
from sync.sameness import hash_of, written_as
from sync.wanted import Wanted
from sync.write_maps import Desired, Frozen, WriteReject

Agreed = Callable[[Sequence[Ref]], Mapping[Ref, Mapping[str, Any]]]
"""The values that both sides last held of these records."""
TOGETHER = 2000
"""Records that are compared at once with what is there."""


class Parked(NamedTuple):
    """A write that the system rejected; the same one is not tried again until a person says so."""

    payload_hash: str
    reason: str
    shape: str = ""
    """How the system described the object and these fields then; empty: not known."""


def way(ordinary: str, jobs: int) -> str:
    """How records go to or come from a system, in words: the ``ordinary`` way, or by so many jobs of the system's own."""
    return ordinary if not jobs else "1 bulk job" if jobs == 1 else f"{jobs} bulk jobs"


@dataclass(frozen=True, slots=True)
class Cost:
    """How the writes of one object and key field would go, and what they cost: ``rows`` in ``jobs`` of the system's own
    (0: by ordinary calls), ``calls`` API calls in all."""

    object: str
    key_field: str | None
    rows: int
    jobs: int
    calls: int

    @property
    def way(self) -> str:
        """In words."""
        return way("calls", self.jobs)


class Items(LongList[Item]):
    """Items of a plan, counted while they come: there may be a million, and looking through them again takes its time."""

    def __init__(self, items: Iterable[Item] = ()) -> None:
        self.objects: dict[str, Counter[str]] = {}
        self.tally = Tally()
        self.writes = self.digests = 0
        super().__init__(items)

    def append(self, item: Item) -> None:
        """Add one item and count it."""
        super().append(item)
        self.tally.add(item)
        count = self.objects.setdefault(item.ref.object, Counter())
        count[item.action] += 1
        if item.writes:
            self.writes += 1
            self.digests += int.from_bytes(_digest(item))  # a sum does not tell in which order they came
        if item.action != "create":
            count["overwrites"] += any(change.overwrites for change in item.changes)
        if item.clashes:
            count["conflicts"] += any(clash.taken is None for clash in item.clashes)


@dataclass(frozen=True)
class Plan:
    """Everything that one run would write to one connection. The same inputs give the same plan and ``hash``.

    ``costs`` say how it would be written, by object; ``refused`` the brakes it ran into; ``whole`` says that records which it does
    not name are not wanted any more, so that their waiting writes are dropped (nothing is ever deleted there).
    """

    connection: str
    items: Sequence[Item]
    costs: tuple[Cost, ...]
    usage: Usage
    refused: tuple[str, ...] = ()
    allowed_by: str | None = None
    whole: bool = False

    @property
    def writes(self) -> tuple[Item, ...]:
        """The items that cost a write."""
        return tuple(item for item in self.items if item.writes)

    @property
    def empty(self) -> bool:
        """Whether there is nothing to write."""
        return not any(item.writes for item in self.items)

    @property
    def may_run(self) -> bool:
        """Whether no brake holds it, or a person let it through."""
        return not self.refused or self.allowed_by is not None

    @property
    def calls(self) -> int:
        """API calls to write it."""
        return sum(cost.calls for cost in self.costs)

    @property
    def share(self) -> float | None:
        """Its calls as a fraction of all that the system allows in its window; ``None`` when it does not say."""
        return self.calls / self.usage.allowed if self.usage.allowed else None

    @property
    def hash(self) -> str:
        """Names what would be written: a plan made again is the approved one exactly when this is the same."""
        counted = self._counted
        return hash_of({"connection": self.connection, "writes": counted.writes, "rows": f"{counted.digests:x}"})

    @cached_property
    def _counted(self) -> Items:
        return self.items if isinstance(self.items, Items) else Items(self.items)

    def allow(self, person: str) -> Plan:
        """The same plan, let past its brakes by this person. Raises: ``ValueError`` without a name."""
        if not person.strip():
            raise ValueError("a plan is let past its brakes by a named person; found no name")
        return replace(self, allowed_by=person)

    def if_approved(self, hashes: Sequence[str]) -> Plan:
        """The same plan, refused when it would write something and is none of those approved (beginnings of hashes)."""
        if self.empty or any(self.hash.startswith(each) for each in hashes):
            return self
        reason = (
            f"found the plan {self.hash[:12]}, approved: {', '.join(hashes)}. What would be written has changed since; look at "
            "it again with `referee plan`"
        )
        return replace(self, refused=(*self.refused, reason), allowed_by=None)

    def summary(self) -> dict[str, Any]:
        """Counts by object, cost and brakes as JSON values, to be shown or kept."""
        objects = self._counted.objects
        names = ("create", "update", "unchanged", "blocked", "overwrites", "conflicts")
        return {
            "connection": self.connection,
            "hash": self.hash,
            "objects": {name: {key: objects[name][key] for key in names} for name in sorted(objects)},
            "calls": self.calls,
            "costs": [{**asdict(cost), "way": cost.way} for cost in self.costs],
            "used": self.usage.used,
            "allowed": self.usage.allowed,
            "share": None if self.share is None else round(self.share, 6),
            "refused": list(self.refused),
            "allowed_by": self.allowed_by,
        }

    def to_json(self) -> str:
        """The whole plan as JSON text; the same plan gives the same bytes."""
        return written_as({**self.summary(), "items": [item.to_plain() for item in self.items]})


def make_plan(
    desired: Iterable[Desired] | Wanted,
    reader: Reader,
    agreed: Agreed | Mapping[Ref, Mapping[str, Any]],
    *,
    connection: str,
    writer: Writer,
    usage: Usage | None = None,
    descriptions: Mapping[str, Description | None] | None = None,
    limits: Mapping[str, Limits] | None = None,
    default_limits: Limits | None = None,
    frozen: Mapping[str, Frozen] | None = None,
    parked: Mapping[Ref, Parked] | None = None,
    rejects: Sequence[WriteReject] = (),
    history: History | None = None,
    allow: str | None = None,
    whole: bool = False,
    step: Callable[[], None] = lambda: None,
) -> Plan:
    """Compare what is wanted with what is there, and say what would be written.

    Records are read in bulk, one :meth:`Reader.fetch` for :data:`TOGETHER` records of one object and key field. A record known only by the
    system's id is never created. ``descriptions`` give field types and block what the connection may not write
    (``None`` for an object that it cannot see); ``parked`` are rejected writes not to be repeated; ``rejects`` are rows
    that gave no desired record, shown as blocked; ``history`` says who may change which field and what earlier conflicts
    came to (without it, ours is written); ``allow`` names the person who lets the plan past its brakes; ``step`` is called
    before each part is read.
    Raises: ``ConnectorError`` kinds, as the reader does.
    """
    wanted = desired if isinstance(desired, Wanted) else Wanted(desired)
    shapes = descriptions or {}
    items, costs, sound_reader = Items(), [], SoundReader(connection, reader)
    for name, key_field in wanted.groups:
        comparison = Comparison(
            name, key_field, shapes.get(name), name in shapes, (frozen or {}).get(name), history or History()
        )
        parking = _Parking(parked or {}, shapes.get(name))
        cost = _Costing(writer, name, key_field)
        others = wanted.twins((name, key_field)) if key_field is not None else set()
        for group in wanted.of((name, key_field), TOGETHER):
            step()
            refs = [Ref(name, key_field, one.key) for one in group]
            known = agreed(refs) if callable(agreed) else agreed
            found = comparison.read(sound_reader, group, others)
            some = [
                parking.unless_parked(comparison.item(one, found, known.get(ref)))
                for one, ref in zip(group, refs, strict=True)
            ]
            items.extend(some)
            cost.add([item.change() for item in some if item.writes])
        costs += cost.whole()
    items.extend(wanted.clashes())
    items.extend(
        Item(Ref(r.object, None, r.key), "blocked", "", reason=f"{r.field}: found {r.found}; allowed: {r.allowed}")
        for r in rejects
    )
    plan = Plan(
        connection, items, tuple(costs), usage or Usage(None, None), items.tally.tripped(limits or {}, default_limits or Limits()),
        whole=whole,
    )  # fmt: skip
    return plan.allow(allow) if allow is not None else plan


class _Costing:
    """What the writes of one object cost, as they are sent: as many together as the writer takes at once."""

    def __init__(self, writer: Writer, name: str, key_field: str | None) -> None:
        self._writer = writer
        self._most = max(TOGETHER, writer.most_at_once if isinstance(writer, JobWriter) else 0)
        self._waiting: list[Change] = []
        self._cost = Cost(name, key_field, 0, 0, 0)

    def add(self, changes: Sequence[Change]) -> None:
        self._waiting += changes
        while len(self._waiting) > self._most:
            self._count(self._waiting[: self._most])
            del self._waiting[: self._most]

    def whole(self) -> list[Cost]:
        """The cost of all; none when nothing is written."""
        if self._waiting:
            self._count(self._waiting)
            self._waiting = []
        return [self._cost] if self._cost.rows else []

    def _count(self, changes: Sequence[Change]) -> None:
        jobs = self._writer.jobs_for(changes) if isinstance(self._writer, JobWriter) else 0
        before = self._cost
        self._cost = replace(
            before, rows=before.rows + len(changes), jobs=before.jobs + jobs,
            calls=before.calls + self._writer.write_calls(changes),
        )  # fmt: skip


class _Parking:
    """Blocks items that were rejected as they are, while what they need there is described as it was then."""

    def __init__(self, parked: Mapping[Ref, Parked], description: Description | None) -> None:
        self._parked, self._description = parked, description
        self._shapes: dict[tuple[str, ...], str] = {}

    def unless_parked(self, item: Item) -> Item:
        """The item, or the same one blocked."""
        if not item.writes:
            return item
        if self._description is not None:
            item = replace(item, shape=self._shape(tuple(change.name for change in item.changes)))
        known = self._parked.get(item.ref)
        if known is None or known.payload_hash != hash_of(item.payload):
            return item
        if known.shape and item.shape and known.shape != item.shape:
            return item
        return replace(item, action="blocked", reason=known.reason)

    def _shape(self, names: tuple[str, ...]) -> str:
        """The shape of these fields; most records change the same ones."""
        if names not in self._shapes:
            self._shapes[names] = shape_of(self._description, names)
        return self._shapes[names]


def _digest(item: Item) -> bytes:
    """What would be written of one record, in 32 bytes."""
    changes = {change.name: [change.before, change.after] for change in item.changes}
    row = [item.ref.object, item.ref.key_field or "", item.ref.key, item.action, item.parent or "", changes]
    return sha256(written_as(row).encode("utf-8", "surrogatepass")).digest()
