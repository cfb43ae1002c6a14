"""The plan: what is wanted in a system beside what is there, as a value to show, count, refuse and approve."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, NamedTuple

from connectors.base import Change, Description, JobWriter, Reader, Usage, Writer
from sync.brakes import Limits, tripped
from sync.comparison import Comparison, History, ref_of
from sync.plan_items import Item, Ref, shape_of
from sync.sameness import hash_of, plain, written_as
from sync.write_maps import Desired, Frozen, WriteReject

Agreed = Mapping[Ref, Mapping[str, Any]]
"""The values that both sides last held, by record."""


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


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that one run would write to one connection. The same inputs give the same plan and ``hash``.

    ``costs`` say how it would be written, by object; ``refused`` the brakes it ran into; ``whole`` says that records which it does
    not name are not wanted any more, so that their waiting writes are dropped (nothing is ever deleted there).
    """

    connection: str
    items: tuple[Item, ...]
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
        rows = sorted(
            [item.ref.object, item.ref.key_field or "", item.ref.key, item.action, item.parent or "",
             written_as({change.name: [change.before, change.after] for change in item.changes})]
            for item in self.writes
        )  # fmt: skip
        return hash_of({"connection": self.connection, "rows": rows})

    def allow(self, person: str) -> Plan:
        """The same plan, let past its brakes by this person. Raises: ``ValueError`` without a name."""
        if not person.strip():
            raise ValueError("a plan is let past its brakes by a named person; found no name")
        return replace(self, allowed_by=person)

    def summary(self) -> dict[str, Any]:
        """Counts by object, cost and brakes as JSON values, to be shown or kept."""
        objects: dict[str, Counter[str]] = {}
        for item in self.items:
            count = objects.setdefault(item.ref.object, Counter())
            count[item.action] += 1
            count["overwrites"] += any(change.overwrites for change in item.changes)
            count["conflicts"] += any(clash.taken is None for clash in item.clashes)
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
    desired: Iterable[Desired],
    reader: Reader,
    agreed: Agreed,
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
) -> Plan:
    """Compare what is wanted with what is there, and say what would be written.

    Records are read in bulk, one :meth:`Reader.fetch` for each object and key field. A record known only by the
    system's id is never created. ``descriptions`` give field types and block what the connection may not write
    (``None`` for an object that it cannot see); ``parked`` are rejected writes not to be repeated; ``rejects`` are rows
    that gave no desired record, shown as blocked; ``history`` says who may change which field and what earlier conflicts
    came to (without it, ours is written); ``allow`` names the person who lets the plan past its brakes.
    Raises: ``ConnectorError`` kinds, as the reader does.
    """
    wanted, clashes = _one_each(desired)
    shapes = descriptions or {}
    by_object: dict[tuple[str, str | None], list[Desired]] = {}
    for one in wanted:
        by_object.setdefault((one.object, one.key_field), []).append(one)
    items: list[Item] = []
    for (name, key_field), group in by_object.items():
        comparison = Comparison(
            name, key_field, shapes.get(name), name in shapes, (frozen or {}).get(name), history or History()
        )
        found = comparison.read(reader, group)
        some = [comparison.item(one, found, agreed.get(ref_of(one))) for one in group]
        items += sorted(
            (_unless_parked(item, parked or {}, shapes.get(name)) for item in some),
            key=lambda i: (i.parent or "", i.ref.key),
        )
    items += clashes
    items += [
        Item(Ref(r.object, None, r.key), "blocked", "", reason=f"{r.field}: found {r.found}; allowed: {r.allowed}")
        for r in rejects
    ]
    changes: dict[tuple[str, str | None], list[Change]] = {group: [] for group in by_object}
    for item in items:
        if item.writes:
            changes[_group(item)].append(item.change())
    plan = Plan(
        connection,
        tuple(items),
        tuple(_cost(writer, *group, some) for group, some in changes.items() if some),
        usage or Usage(None, None),
        tripped(items, limits or {}, default_limits or Limits()),
        whole=whole,
    )
    return plan.allow(allow) if allow is not None else plan


def _cost(writer: Writer, name: str, key_field: str | None, changes: Sequence[Change]) -> Cost:
    jobs = writer.jobs_for(changes) if isinstance(writer, JobWriter) else 0
    return Cost(name, key_field, len(changes), jobs, writer.write_calls(changes))


def _group(item: Item) -> tuple[str, str | None]:
    return item.ref.object, item.ref.key_field


def _one_each(desired: Iterable[Desired]) -> tuple[list[Desired], list[Item]]:
    """One desired record for each key: what several rows want of it put together, or blocked where they disagree."""
    found: dict[Ref, Desired] = {}
    clash: dict[Ref, str] = {}
    for one in desired:
        ref = ref_of(one)
        other = found.setdefault(ref, one)
        if other is one:
            continue
        for name in sorted(one.fields.keys() & other.fields.keys()):
            if plain(one.fields[name]) != plain(other.fields[name]):
                clash.setdefault(ref, f"two rows want different values of {name}; let one of them write it")
        because = "; ".join(dict.fromkeys(text for text in (other.because, one.because) if text))
        found[ref] = replace(other, fields={**other.fields, **one.fields}, because=because)
    blocked = [Item(ref, "blocked", found[ref].because, reason=reason) for ref, reason in clash.items()]
    return [one for ref, one in found.items() if ref not in clash], blocked


def _unless_parked(item: Item, parked: Mapping[Ref, Parked], description: Description | None) -> Item:
    """The item, blocked when it was rejected as it is and what it needs there is described as it was then."""
    if not item.writes:
        return item
    item = replace(item, shape=shape_of(description, item.payload))
    known = parked.get(item.ref)
    if known is None or known.payload_hash != hash_of(item.payload):
        return item
    if known.shape and item.shape and known.shape != item.shape:
        return item
    return replace(item, action="blocked", reason=known.reason)
