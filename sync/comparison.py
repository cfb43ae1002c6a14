"""Compares the records of one object as they should be with the records that are there."""

from __future__ import annotations

from collections.abc import Collection, Container, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from connectors.base import Description, FieldType, Reader, Record
from sync.decisions import UNKNOWN, FieldPolicy, Last, ObjectPolicy, Side, Unknown, decide, settle
from sync.loops import Pushed
from sync.plan_items import Cell, Clash, FieldChange, Item, Ref, Standing
from sync.sameness import Types, plain, same, says_nothing, types_of
from sync.write_maps import Desired, Frozen


def ref_of(one: Desired) -> Ref:
    """The name of the record that is wanted."""
    return Ref(one.object, one.key_field, one.key)


@dataclass(frozen=True, slots=True)
class Found:
    """Records that were read, by key; ``near``: keys, without regard to case, that came although nobody asked."""

    exact: dict[str, list[Record]] = field(default_factory=dict)
    near: set[str] = field(default_factory=set)

    def add(self, key: str, record: Record, asked: Container[str]) -> None:
        """Take a record in; ``asked`` are the keys that were asked for."""
        others = self.exact.setdefault(key, [])
        if any(other.external_id == record.external_id for other in others):
            return
        others.append(record)
        if key not in asked and not record.deleted:
            self.near.add(key.casefold())


@dataclass(frozen=True, slots=True)
class History:
    """What came before: who may change what, earlier conflicts that stand, and fields that were written often."""

    policies: Mapping[str, ObjectPolicy] = field(default_factory=dict)
    standing: Mapping[Cell, Standing] = field(default_factory=dict)
    pushed: Mapping[Cell, Pushed] = field(default_factory=dict)


class Comparison:
    """Compares the desired records of one object with the records that are there."""

    def __init__(
        self,
        name: str,
        key_field: str | None,
        shape: Description | None,
        described: bool,
        frozen: Frozen | None,
        history: History,
    ) -> None:
        self._name, self._key_field, self._shape, self._frozen = name, key_field, shape, frozen
        self._policy, self._history = history.policies.get(name, ObjectPolicy()), history
        self._unseen = described and shape is None
        self._types: Types = types_of(shape)
        self._alike_held: dict[frozenset[str], frozenset[str]] = {}

    def read(self, reader: Reader, group: Sequence[Desired], others: Collection[str] = ()) -> Found:
        """The records that exist; nothing is asked about an object that the connection cannot see. ``others`` are keys
        that are asked for elsewhere."""
        found = Found()
        if self._unseen:
            return found
        names = dict.fromkeys(name for one in group for name in one.fields)
        if self._policy.changed_by is not None:
            names[self._policy.changed_by] = None
        if self._shape is not None:
            names = {name: None for name in names if name in self._shape.fields}
        if self._key_field is not None:
            names[self._key_field] = None
        if self._frozen is not None:
            names[self._frozen.field] = None
        asked = {one.key: None for one in group}
        for record in reader.fetch(self._name, tuple(names), list(asked), key_field=self._key_field):
            key = record.external_id if self._key_field is None else plain(record.fields.get(self._key_field), "string")
            found.add(key or "", record, asked if key not in others else others)
        return found

    def item(self, one: Desired, found: Found, agreed: Mapping[str, Any] | None) -> Item:
        """What becomes of one desired record."""
        ref, known = ref_of(one), agreed or {}
        blocked = Item(ref, "blocked", one.because, parent=one.parent)
        records = [record for record in found.exact.get(one.key, ()) if not record.deleted]
        if len(records) > 1:
            reason = f"{len(records)} records have this {self._key_field or 'id'}; make it unique there"
            return replace(blocked, reason=reason)
        record = records[0] if records else None
        if record is None:
            reason = self._why_no_create(one, found)
            if reason:
                return replace(blocked, reason=reason)
            changes = tuple(
                FieldChange(name, None, value) for name, value in one.fields.items() if not says_nothing(value)
            )
            if agreed is not None and self._policy.if_deleted == "leave":
                return replace(blocked, reason="it was deleted there, and the mapping says to leave it so")
            gone = "it was there before and is gone; it will be created again" if agreed is not None else ""
            item = Item(ref, "create", one.because, changes, one.parent, gone)
        else:
            item = self._difference(one, record, known)
        reason = self._why_not(item, record)
        if reason:
            return replace(
                blocked, reason=reason, version=item.version, external_id=item.external_id, clashes=item.clashes
            )
        return item

    def _difference(self, one: Desired, record: Record, known: Mapping[str, Any]) -> Item:
        cells = [self._cell(one, record, known, name) for name in one.fields]
        changes = tuple(cell for cell, _ in cells if isinstance(cell, FieldChange))
        agrees = {name: one.fields[name] for name, (cell, _) in zip(one.fields, cells, strict=True) if cell == "agrees"}
        clashes = tuple(clash for _, clash in cells if clash is not None)
        action: Any = "update" if changes else "unchanged"
        held = frozenset(
            name for name in one.fields if plain(record.fields.get(name), self._types.get(name)) is not None
        )
        return Item(
            ref_of(one),
            action,
            one.because,
            changes,
            one.parent,
            "",
            record.version,
            record.external_id,
            agrees,
            clashes,
            held=self._alike_held.setdefault(held, held),
        )

    def _cell(
        self, one: Desired, record: Record, known: Mapping[str, Any], name: str
    ) -> tuple[FieldChange | Literal["agrees"] | None, Clash | None]:
        """What becomes of one field: the change to write, or that it is agreed now; and the clash to keep."""
        kind, ours, cell = self._types.get(name), one.fields[name], Cell(ref_of(one), name)
        theirs = record.fields.get(name) if self._readable(name) else known.get(name)
        standing = self._history.standing.get(cell)
        last = self._last(known, name, standing)
        policy = self._policy.fields.get(name, FieldPolicy())
        verdict = decide(plain(theirs, kind), plain(ours, kind), last, policy.direction)
        if verdict == "keep":
            agrees = plain(theirs, kind) == plain(ours, kind) and last != Last(plain(ours, kind), plain(ours, kind))
            return ("agrees" if agrees else None), None
        change = FieldChange(name, theirs, ours, verdict == "conflict")
        taken: Side | None = "ours"
        reason = "" if verdict in ("push", "delete") else "only they changed it"
        by_person = standing is not None and standing.by_person and standing.state == "ours"
        if by_person and standing is not None and self._alike(standing, theirs, ours, kind):
            return change, self._clash(one, record, known, name, theirs, "ours", "a person took ours")
        if verdict == "pull":
            taken = "theirs"
        elif verdict == "conflict":
            taken = settle(policy.conflict, record.modified_at, one.at)
            reason = f"both sides hold different values; policy: {policy.conflict}"
        if taken == "ours" and (often := self._history.pushed.get(cell)) and (loop := often.goes_round(ours)):
            taken, reason = None, loop
        if taken == "ours" and verdict != "conflict":
            return change, None
        clash = self._clash(one, record, known, name, theirs, taken, reason)
        return (change if taken == "ours" else None), clash

    def _last(self, known: Mapping[str, Any], name: str, standing: Standing | None) -> Last | Unknown:
        kind = self._types.get(name)
        if standing is not None and standing.state == "theirs":
            return Last(plain(standing.theirs, kind), plain(standing.ours, kind))
        return Last(plain(known[name], kind), plain(known[name], kind)) if name in known else UNKNOWN

    def _alike(self, standing: Standing, theirs: Any, ours: Any, kind: FieldType | None) -> bool:
        return same(standing.theirs, theirs, kind) and same(standing.ours, ours, kind)

    def _clash(
        self,
        one: Desired,
        record: Record,
        known: Mapping[str, Any],
        name: str,
        theirs: Any,
        taken: Side | None,
        reason: str,
    ) -> Clash:
        who = None if self._policy.changed_by is None else record.fields.get(self._policy.changed_by)
        return Clash(
            name, theirs, one.fields[name], known.get(name), name in known, taken, reason, record.modified_at, one.at,
            None if who is None else plain(who),
        )  # fmt: skip

    def _readable(self, name: str) -> bool:
        described = self._shape.fields.get(name) if self._shape else None
        return described is None or described.readable

    def _why_no_create(self, one: Desired, found: Found) -> str:
        if self._unseen:
            return f"the connection cannot see {self._name}; give it access"
        if self._key_field is None:
            gone = next((record for record in found.exact.get(one.key, ()) if record.deleted), None)
            if gone is None:
                return "no record has this id; a write by id never creates one"
            if gone.merged_into:
                return f"the record was merged into {gone.merged_into}"
            return "the record was deleted"
        if one.key.casefold() in found.near:
            return f"a record exists whose {self._key_field} differs only by upper and lower case; correct it there"
        return ""

    def _why_not(self, item: Item, record: Record | None) -> str:
        """Why the system would not take this write, as far as that is known beforehand; empty when it would."""
        if not item.writes:
            return ""
        frozen = self._frozen
        if record is not None and frozen is not None:
            kind = self._types.get(frozen.field)
            if plain(record.fields.get(frozen.field), kind) == plain(frozen.value, kind):
                return frozen.reason
        if self._shape is None:
            return ""
        able, verb = (self._shape.creatable, "create") if item.action == "create" else (self._shape.updatable, "change")
        if not able:
            return f"the connection may not {verb} {self._name} records; give it permission"
        for change in item.changes:
            described = self._shape.fields.get(change.name)
            if described is None:
                return f"the connection cannot see the field {self._name}.{change.name}; give it access or unmap it"
            if not (described.creatable if item.action == "create" else described.updatable):
                return (
                    f"the field {self._name}.{change.name} is read-only for the connection; give it access or unmap it"
                )
        return ""
