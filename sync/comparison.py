"""Compares the records of one object as they should be with the records that are there."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from connectors.base import Description, Reader, Record
from sync.plan_items import UNKNOWN, FieldChange, Item, Ref, decide
from sync.sameness import Types, plain, types_of
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


class Comparison:
    """Compares the desired records of one object with the records that are there."""

    def __init__(
        self, name: str, key_field: str | None, shape: Description | None, described: bool, frozen: Frozen | None
    ) -> None:
        self._name, self._key_field, self._shape, self._frozen = name, key_field, shape, frozen
        self._unseen = described and shape is None
        self._types: Types = types_of(shape)

    def read(self, reader: Reader, group: Sequence[Desired]) -> Found:
        """The records that exist; nothing is asked about an object that the connection cannot see."""
        found = Found()
        if self._unseen:
            return found
        names = dict.fromkeys(name for one in group for name in one.fields)
        if self._shape is not None:
            names = {name: None for name in names if name in self._shape.fields}
        if self._key_field is not None:
            names[self._key_field] = None
        if self._frozen is not None:
            names[self._frozen.field] = None
        asked = {one.key: None for one in group}
        for record in reader.fetch(self._name, tuple(names), list(asked), key_field=self._key_field):
            key = record.external_id if self._key_field is None else plain(record.fields.get(self._key_field), "string")
            found.add(key or "", record, asked)
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
                FieldChange(name, None, value) for name, value in one.fields.items() if plain(value) is not None
            )
            gone = "it was there before and is gone; it will be created again" if agreed is not None else ""
            item = Item(ref, "create", one.because, changes, one.parent, gone)
        else:
            item = self._difference(one, record, known)
        reason = self._why_not(item, record)
        if reason:
            return replace(blocked, reason=reason, version=item.version, external_id=item.external_id)
        return item

    def _difference(self, one: Desired, record: Record, known: Mapping[str, Any]) -> Item:
        changes, agrees = [], {}
        for name, ours in one.fields.items():
            kind = self._types.get(name)
            last = plain(known[name], kind) if name in known else UNKNOWN
            theirs = record.fields.get(name)
            if not self._readable(name):
                theirs = known.get(name)
            verdict = decide(plain(theirs, kind), plain(ours, kind), last)
            if verdict != "keep":
                changes.append(FieldChange(name, theirs, ours, verdict == "conflict"))
            elif last != plain(ours, kind):
                agrees[name] = ours
        action: Any = "update" if changes else "unchanged"
        return Item(
            ref_of(one), action, one.because, tuple(changes), one.parent, "", record.version, record.external_id, agrees
        )

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
                return f"the field {self._name}.{change.name} is read-only for the connection; unmap it"
        return ""
