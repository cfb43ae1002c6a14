"""The records of the simulated portal: ids, stamps, a search index that lags, archiving, merges.

The database has a change at once; the index has it ``index_lag_seconds`` later. That is what a reader's lanes are for.
"""

from __future__ import annotations

import heapq
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from connectors.hubspot.simulator.answers import PropertyError, not_found
from connectors.hubspot.simulator.links import Links
from connectors.hubspot.simulator.schema import ObjectSpec
from connectors.hubspot.simulator.values import kept, stamp_of

FIRST_ID = 41_000_000_001
_STEP = 37


@dataclass(slots=True)
class Row:
    """One record; ``properties`` hold stored texts, those without a value are absent."""

    id: str
    properties: dict[str, str]
    created: datetime
    updated: datetime
    archived_at: datetime | None = None
    merged_into: str | None = None


@dataclass(order=True, slots=True)
class _Indexing:
    due: datetime
    number: int
    kind: str = field(compare=False)
    id: str = field(compare=False)
    properties: dict[str, str] | None = field(compare=False)


class Rows:
    """All records of one portal, by object and id."""

    def __init__(
        self, objects: Mapping[str, ObjectSpec], now: Callable[[], datetime], happened: Callable[..., None]
    ) -> None:
        self.objects = objects
        self.now = now
        self._happened = happened
        self.index_lag_seconds = 0.0
        self.keeps_id_on_merge: set[str] = set()
        """objects whose merged record is the winner itself, as it used to be for contacts and companies"""
        self.archives_merged = True
        """whether records that were merged away are also among the archived ones"""
        self.links = Links()
        self._tables: dict[str, dict[str, Row]] = {name: {} for name in objects}
        self._order: dict[str, list[int]] = {name: [] for name in objects}
        self._index: dict[str, dict[str, dict[str, str]]] = {name: {} for name in objects}
        self._waiting: list[_Indexing] = []
        self._unique: dict[tuple[str, str], dict[str, str]] = {}
        self._made = 0
        self._indexed = 0

    # -- looking

    def get(self, kind: str, record_id: str) -> Row | None:
        """The record, archived or merged away as it may be."""
        return self._tables[kind].get(record_id)

    def live(self, kind: str, record_id: str) -> Row | None:
        """The record that this id leads to now: itself, or the one that it was merged into."""
        row = self._tables[kind].get(record_id)
        while row is not None and row.merged_into is not None:
            row = self._tables[kind].get(row.merged_into)
        return row if row is not None and row.archived_at is None else None

    def by_value(self, kind: str, name: str, value: str) -> Row | None:
        """The record that has this value of a unique property."""
        record_id = self._unique.get((kind, name), {}).get(value)
        return self.live(kind, record_id) if record_id is not None else None

    def listed(self, kind: str, *, archived: bool, after: int = 0) -> Iterator[Row]:
        """Records in the order of their ids, behind ``after``."""
        ids, table = self._order[kind], self._tables[kind]
        for place in range(bisect_right(ids, after), len(ids)):
            row = table[str(ids[place])]
            if archived and row.archived_at is not None:
                yield row
            elif not archived and row.archived_at is None and row.merged_into is None:
                yield row

    def index(self, kind: str) -> Mapping[str, Mapping[str, str]]:
        """What the search knows by now: id → properties."""
        while self._waiting and self._waiting[0].due <= self.now():
            entry = heapq.heappop(self._waiting)
            if entry.properties is None:
                self._index[entry.kind].pop(entry.id, None)
            else:
                self._index[entry.kind][entry.id] = entry.properties
        return self._index[kind]

    # -- changing

    def checked(self, kind: str, properties: Mapping[str, Any]) -> tuple[dict[str, str], list[PropertyError]]:
        """The texts to store, and every complaint about them."""
        spec, texts, errors = self.objects[kind], {}, []
        for name, value in properties.items():
            known = spec.properties.get(name)
            if known is None:
                errors.append(PropertyError("PROPERTY_DOESNT_EXIST", name, f'Property "{name}" does not exist'))
                continue
            try:
                texts[name] = kept(known, value)
            except PropertyError as error:
                errors.append(error)
        return texts, errors

    def taken(self, kind: str, texts: Mapping[str, str], own: str | None) -> str | None:
        """The id of another record that has one of these unique values."""
        for name, value in texts.items():
            if value and self.objects[kind].properties[name].unique:
                other = self.by_value(kind, name, value)
                if other is not None and other.id != own:
                    return other.id
        return None

    def insert(self, kind: str, texts: Mapping[str, str]) -> Row:
        """A new record from checked texts."""
        row = self._added(kind, Row(self._new_id(), {}, self.now(), self.now()))
        self._store(kind, row, texts)
        self._happened("creation", self.objects[kind].type_id, row.id)
        return row

    def update(self, kind: str, row: Row, texts: Mapping[str, str], *, user: str = "") -> None:
        """Change a record by checked texts; an empty one clears. Without a ``user`` an app did it."""
        row.updated = self.now()
        row.properties.pop("hs_updated_by_user_id", None)
        if user:
            row.properties["hs_updated_by_user_id"] = user
        self._store(kind, row, texts)
        for name in texts:
            self._happened("propertyChange", self.objects[kind].type_id, row.id, propertyName=name)

    def archive(self, kind: str, row: Row) -> None:
        """Move a record to the bin; its unique values are free again."""
        row.archived_at = self.now()
        self._free(kind, row)
        self._reindex(kind, row.id, None)
        self._happened("deletion", self.objects[kind].type_id, row.id)

    def restore(self, kind: str, record_id: str) -> None:
        """Take a record out of the bin."""
        row = self._tables[kind][record_id]
        row.archived_at, row.updated = None, self.now()
        self._store(kind, row, row.properties)
        self._happened("restore", self.objects[kind].type_id, row.id)

    def merge(self, kind: str, primary: str, other: str) -> Row:
        """Merge two records; where they differ, the primary's values stay. Raises: ``Refusal`` when one is not there."""
        winner, loser = self.live(kind, primary), self.live(kind, other)
        if winner is None or loser is None or winner is loser:
            raise not_found([primary if winner is None else other])
        values = {**loser.properties, **winner.properties}
        merged = [*_merged(loser), *_merged(winner), loser.id]
        for row in (loser, winner):
            self._free(kind, row)
        if kind in self.keeps_id_on_merge:
            kept_row = winner
            kept_row.updated = self.now()
        else:
            kept_row = self._added(kind, Row(self._new_id(), {}, min(winner.created, loser.created), self.now()))
            merged.append(winner.id)
        for row in (loser, winner):
            if row is not kept_row:
                row.merged_into = kept_row.id
                row.archived_at = self.now() if self.archives_merged else None
                self._reindex(kind, row.id, None)
        values["hs_merged_object_ids"] = ";".join(dict.fromkeys(merged))
        if kind == "contacts":
            values["hs_calculated_merged_vids"] = ";".join(dict.fromkeys(merged))
        self._store(kind, kept_row, values)
        for row in (loser, winner):
            if row is not kept_row:
                for end in self.links.move(kind, row.id, kept_row.id):
                    self._linked(end, (kind, kept_row.id))
        self._happened(
            "merge", self.objects[kind].type_id, winner.id, primaryObjectId=int(winner.id),
            mergedObjectIds=[int(loser.id)], newObjectId=int(kept_row.id),
        )  # fmt: skip
        return kept_row

    def associate(self, kind: str, record_id: str, other: str, other_id: str) -> None:
        """Associate two records."""
        self.links.add(kind, record_id, other, other_id)
        self._linked((kind, record_id), (other, other_id))

    def separate(self, kind: str, record_id: str, other: str, other_id: str) -> None:
        """Take an association off."""
        self.links.remove(kind, record_id, other, other_id)
        self._linked((kind, record_id), (other, other_id))

    def remove_value(self, kind: str, name: str) -> None:
        """Forget a property's values, as when it is deleted."""
        for row in self._tables[kind].values():
            row.properties.pop(name, None)

    # -- inner

    def _linked(self, *ends: tuple[str, str]) -> None:
        """Keep the one association that is a property, too: a contact's primary company."""
        for kind, record_id in ends:
            if kind == "contacts" and (row := self.live(kind, record_id)) is not None:
                company = self.links.primary(kind, row.id) or ""
                if row.properties.get("associatedcompanyid", "") != company:
                    self.update(kind, row, {"associatedcompanyid": company})

    def _new_id(self) -> str:
        self._made += 1
        return str(FIRST_ID + _STEP * self._made)

    def _added(self, kind: str, row: Row) -> Row:
        self._tables[kind][row.id] = row
        self._order[kind].append(int(row.id))
        return row

    def _store(self, kind: str, row: Row, texts: Mapping[str, str]) -> None:
        spec = self.objects[kind]
        self._free(kind, row)
        for name, text in texts.items():
            if text == "":
                row.properties.pop(name, None)
            else:
                row.properties[name] = text
        row.properties |= _calculated(kind, row.properties)
        row.properties["hs_object_id"] = row.id
        row.properties[spec.created] = stamp_of(row.created)
        row.properties[spec.modified] = stamp_of(row.updated)
        for name, text in row.properties.items():
            if name in spec.properties and spec.properties[name].unique:
                self._unique.setdefault((kind, name), {})[text] = row.id
        self._reindex(kind, row.id, dict(row.properties))

    def _free(self, kind: str, row: Row) -> None:
        for name, text in row.properties.items():
            values = self._unique.get((kind, name))
            if values is not None and values.get(text) == row.id:
                del values[text]

    def _reindex(self, kind: str, record_id: str, properties: dict[str, str] | None) -> None:
        due = self.now() + timedelta(seconds=self.index_lag_seconds)
        self._indexed += 1
        heapq.heappush(self._waiting, _Indexing(due, self._indexed, kind, record_id, properties))


def _calculated(kind: str, properties: Mapping[str, str]) -> dict[str, str]:
    """Properties that the portal computes."""
    if kind == "deals":
        stage = properties.get("dealstage", "")
        closed, won = stage in ("closedwon", "closedlost"), stage == "closedwon"
        return {"hs_is_closed": str(closed).lower(), "hs_is_closed_won": str(won).lower()}
    if kind == "contacts":
        names = [properties[name] for name in ("firstname", "lastname") if name in properties]
        shown = " ".join(names) or properties.get("email")
        return {"hs_full_name_or_email": shown} if shown else {}
    return {}


def _merged(row: Row) -> list[str]:
    return [part for part in row.properties.get("hs_merged_object_ids", "").split(";") if part]
