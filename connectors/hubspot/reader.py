"""Reads objects in two lanes: changes from the search index as soon as it has them, and again when it has settled.

A first read, and one now and then, lists everything from the database. Searches give ids only, within a
window of time and by ascending id; the records themselves come from the database. Archived records are in no search:
they are listed apart. What was merged away is named by the record that is left.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from connectors.base import Cursor, Page, Query, Record
from connectors.errors import NeedsOperator
from connectors.halving import in_halves
from connectors.http import Http
from connectors.hubspot.config import HubSpotConfig
from connectors.hubspot.cursors import Manner, Place, finished, parts_of, place_of
from connectors.hubspot.describe import HubSpotDescriber
from connectors.hubspot.kinds import associated_kind, modified_property
from connectors.hubspot.objects import Objects
from connectors.hubspot.records import Row, archived_ms, merged_ids, record_of, redirects, tombstone, with_values

MOST_FILTERS = 4
"""Filters of a mapping's ``where``: HubSpot takes six in a group, and two are ours."""


@dataclass(frozen=True, slots=True)
class _Asked:
    """What is read of one object."""

    kind: str
    fields: tuple[str, ...]
    filters: tuple[dict[str, Any], ...] = ()

    @property
    def properties(self) -> list[str]:
        return [name for name in self.fields if associated_kind(name) is None]

    @property
    def associations(self) -> dict[str, str]:
        """Association field → the object at its other end."""
        return {name: other for name in self.fields if (other := associated_kind(name)) is not None}


@dataclass(slots=True)
class _Step:
    """Whether ids are searched now, or their records read."""

    searching: bool = True


_Page = Callable[[_Asked, Place, int, _Step], tuple[list[Record], Place, bool]]
"""Reads so many records behind a place: the records, the place behind them, and whether there may be more."""


class HubSpotReader:
    """Implements :class:`connectors.base.Reader`."""

    def __init__(self, config: HubSpotConfig, http: Http, describer: HubSpotDescriber) -> None:
        self._config = config
        self._http = http
        self._describer = describer
        self._objects = Objects(config, http)

    def changes(self, query: Query, *, since: Cursor | None) -> Iterator[Page]:
        """Pages of changed records; see the module."""
        calls = self._http.calls
        asked = self._asked(query.kind, query.fields, query.where)
        last = None if since is None else place_of(since)
        if last is None or last.part == "done":
            now = int(self._describer.now().timestamp() * 1000)
            last = Place("whole", now, None) if last is None else Place("done", now, last.marks)
        manner = Manner(associations=bool(asked.associations), filtered=bool(asked.filters))
        for part in parts_of(last, self._config, manner):
            for records, place in self._part(asked, part):
                calls, before = self._http.calls, calls
                yield Page(tuple(records), place.cursor, None, calls - before)
        cursor = finished(last, self._config, manner).cursor
        yield Page((), cursor, cursor, self._http.calls - calls)

    def fetch(
        self, kind: str, fields: Sequence[str], keys: Sequence[str], *, key_field: str | None = None
    ) -> Iterator[Record]:
        """The records with these ids, or with these values of ``key_field``; one merged away comes as deleted."""
        asked = self._asked(kind, (*fields, key_field) if key_field else fields, None)
        wanted = {key: None for key in keys if _is_key(key, number=key_field is None)}
        if not wanted:
            return
        rows = self._objects.read(kind, list(wanted), asked.properties, key_field=key_field)
        if key_field is not None:
            yield from self._records(asked, rows)
            return
        there = [row for row in rows if str(row["id"]) in wanted]
        yield from self._records(asked, there)
        for row in rows:
            yield from redirects(kind, row, wanted)

    def reread(self, query: Query, ids: Sequence[str]) -> Iterator[Record]:
        """These records as they are in the database now, archived ones and those merged away too.

        A filter is for the search alone, whose index may not have a record yet: such a one is left out.
        """
        asked = self._asked(query.kind, query.fields, query.where)
        wanted = [key for key in dict.fromkeys(ids) if _is_key(key, number=True)]
        if not wanted:
            return
        rows = self._objects.read(asked.kind, wanted, asked.properties)
        there = {str(row["id"]) for row in rows}
        merged = [record for row in rows for record in redirects(asked.kind, row)]
        fits = there
        if asked.filters:
            fits = set(self._objects.fitting(asked.kind, asked.filters, [*there]))
        yield from self._records(asked, [row for row in rows if str(row["id"]) in fits])
        yield from merged
        known = there | {record.external_id for record in merged}
        missing = [key for key in wanted if key not in known]
        if missing:
            yield from self._gone(asked, self._archived_values(asked, missing))

    # -- parts of a read

    def _part(self, asked: _Asked, place: Place) -> Iterator[tuple[list[Record], Place]]:
        """Pages of one part; where one is not answered in time, of half of its window, or of half as many records."""
        if place.part == "archived":
            yield from self._pages(asked, place, self._archived)
        elif place.part == "whole":
            yield from self._pages(asked, place, self._searched if asked.filters else self._listed)
        else:
            for window in place.windows(self._config):
                yield from self._pages(asked, window, self._searched)

    def _pages(self, asked: _Asked, place: Place, page: _Page) -> Iterator[tuple[list[Record], Place]]:
        """See :meth:`_part`. Halves of time help a search; the records of its ids are then fewer at a time."""
        step = _Step()

        def read(place: Place, _last: bool, size: Callable[[], int]) -> Iterator[tuple[list[Record], Place]]:
            more = True
            while more:
                records, place, more = page(asked, place, size(), step)
                yield records, place

        pages = in_halves(
            place, read, lambda rest: rest.halves() if step.searching else None, size=self._config.page_size,
            told=lambda at: (
                f"hubspot: {asked.kind}: one {'millisecond' if at.low and step.searching else 'record'} alone (the next of "
                f"the part {at.part} behind {at.at or 'its beginning'}) is not answered within timeout_seconds: "
                f"{self._config.timeout_seconds:g}; raise it, or take properties and associations out of the mapping"
            ),
            alive=self._describer.now,
        )  # fmt: skip
        for records, behind, _ in pages:
            if records or behind != place:
                place = behind
                yield records, place

    def _listed(self, asked: _Asked, place: Place, size: int, _step: _Step) -> tuple[list[Record], Place, bool]:
        rows, after = self._objects.listed(asked.kind, asked.properties, limit=size, after=place.at)
        return self._with_redirects(asked, rows), place.behind(after or place.at), bool(after)

    def _searched(self, asked: _Asked, place: Place, size: int, step: _Step) -> tuple[list[Record], Place, bool]:
        filters = list(asked.filters)
        if place.low is not None:
            name = modified_property(asked.kind)
            low, high = str(place.low), str(place.high)
            filters.append({"propertyName": name, "operator": "BETWEEN", "value": low, "highValue": high})
        ids = self._objects.found(asked.kind, filters, limit=size, after_id=place.at)
        if not ids:
            return [], place, False
        step.searching = False
        records = self._with_redirects(asked, self._objects.read(asked.kind, ids, asked.properties))
        step.searching = True
        return records, place.behind(ids[-1]), True

    def _archived(self, asked: _Asked, place: Place, size: int, _step: _Step) -> tuple[list[Record], Place, bool]:
        assert place.marks is not None  # a first read has nothing to withdraw
        since = place.marks.archived - 1000 * self._config.overlap_seconds
        rows, after = self._objects.listed(asked.kind, (), limit=size, after=place.at, archived=True)
        gone = {str(row["id"]): row for row in rows if archived_ms(row) >= since}
        gone |= {str(row["id"]): row for row in self._archived_values(asked, list(gone))}
        return self._gone(asked, list(gone.values())), place.behind(after or place.at), bool(after)

    def _gone(self, asked: _Asked, rows: Sequence[Row]) -> list[Record]:
        """Archived records, and those that became one of them by merging.

        One that was itself merged away is answered by the record that is left, which is then where it leads. Whether an
        archived record meets a filter cannot be asked, so with one its values are not handed out.
        """
        if not rows:
            return []
        ids = [str(row["id"]) for row in rows]
        left = self._objects.read(asked.kind, ids, ())
        own = {str(row["id"]): row for row in rows if not asked.filters}
        merged = [
            with_values(record, own.get(record.external_id), asked.fields)
            for row in left
            for record in redirects(asked.kind, row, ids)
        ]
        known = {record.external_id for record in merged} | {str(row["id"]) for row in left}
        archived = [row for row in rows if str(row["id"]) not in known]
        before = [record for row in archived for record in redirects(asked.kind, row)]
        tombstones = [
            with_values(tombstone(asked.kind, row), own.get(str(row["id"])), asked.fields) for row in archived
        ]
        return [*before, *merged, *tombstones]

    def _archived_values(self, asked: _Asked, ids: Sequence[str]) -> list[Row]:
        """Archived records with the values that they had."""
        return self._objects.read(asked.kind, ids, asked.properties, archived=True)

    # -- records

    def _with_redirects(self, asked: _Asked, rows: Sequence[Row]) -> list[Record]:
        return [
            *self._records(asked, rows),
            *(record for row in rows if merged_ids(row) for record in redirects(asked.kind, row)),
        ]

    def _records(self, asked: _Asked, rows: Sequence[Row]) -> list[Record]:
        whole = list({str(row["id"]): row for row in rows}.values())
        ids = [str(row["id"]) for row in whole]
        links = {
            name: self._objects.associated(asked.kind, other, ids) if ids else {}
            for name, other in asked.associations.items()
        }
        return [
            record_of(asked.kind, row, asked.fields, {name: found.get(str(row["id"])) for name, found in links.items()})
            for row in whole
        ]

    def _asked(self, kind: str, fields: Sequence[str], where: str | None) -> _Asked:
        """What to read. Raises: ``NeedsOperator`` for a property that HubSpot would leave out without a word."""
        description = self._describer.describe(kind)
        if description is None:
            raise NeedsOperator(
                f"hubspot: there is no object {kind!r} for this app; give it the scope, or take it out of the mapping"
            )
        asked = _Asked(kind, tuple(dict.fromkeys(fields)), _filters(where))
        missing = [name for name in asked.properties if name not in description.fields]
        if missing:
            raise NeedsOperator(
                f"hubspot: {kind} has no {', '.join(missing)} for this app; create the property, give the app its "
                "scope, or take it out of the mapping",
                code="PROPERTY_DOESNT_EXIST",
            )
        return asked


def _filters(where: str | None) -> tuple[dict[str, Any], ...]:
    if where is None:
        return ()
    try:
        filters = json.loads(where)
    except ValueError:
        filters = None
    if (
        not isinstance(filters, list)
        or not 1 <= len(filters) <= MOST_FILTERS
        or not all(isinstance(one, dict) and {"propertyName", "operator"} <= one.keys() for one in filters)
    ):
        raise NeedsOperator(
            f"hubspot: `where` is no list of 1 to {MOST_FILTERS} search filters; write it as JSON, such as "
            '[{"propertyName": "is_partner", "operator": "EQ", "value": "true"}]'
        )
    return tuple(filters)


def _is_key(key: str, *, number: bool) -> bool:
    """Whether a record can have this key at all: one malformed id would refuse the whole batch."""
    if number:
        return key.isascii() and key.isdigit()
    try:
        key.encode()
    except UnicodeEncodeError:
        return False
    return bool(key)
