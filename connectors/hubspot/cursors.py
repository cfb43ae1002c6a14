"""Where reading stopped, as text: between reads four marks, inside a read also the part and the place in it.

All instants are the portal's own, in milliseconds since 1970, as its search filters want them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Literal

from connectors.base import Cursor
from connectors.errors import CursorExpired
from connectors.hubspot.config import HubSpotConfig

Part = Literal["whole", "settled", "fresh", "archived", "done"]


@dataclass(frozen=True, slots=True)
class Marks:
    """How far each part has been read: ``fresh`` and ``settled`` are ends of windows, the others when it was done."""

    fresh: int
    settled: int
    archived: int
    whole: int


@dataclass(frozen=True, slots=True)
class Manner:
    """How an object must be read: with ``associations``, and only what meets a filter (``filtered``).

    Changing an association need not move the stamp of a record; a filter is for the search alone, also the first time.
    """

    associations: bool = False
    filtered: bool = False


@dataclass(frozen=True, slots=True)
class Place:
    """A read that began at ``now``: its present part and the place in it (an id, or the vendor's ``after``).

    ``marks`` are those of the last finished read; a first read has none. ``low`` and ``high`` are the first and last
    millisecond of the part of its window that is being searched, where a search was too slow for the whole of it.
    """

    part: Part
    now: int
    marks: Marks | None
    at: str = ""
    low: int | None = None
    high: int | None = None

    @property
    def cursor(self) -> Cursor:
        """This place as text."""
        return json.dumps(asdict(self), separators=(",", ":"))

    def behind(self, at: str) -> Place:
        """The same part, further on."""
        return replace(self, at=at)

    def halves(self) -> tuple[Place, Place] | None:
        """Both halves of the window that is searched; ``None`` for one millisecond, or where no time is searched."""
        if self.low is None or self.high is None or self.low == self.high:
            return None
        middle = (self.low + self.high) // 2
        return replace(self, high=middle), replace(self, low=middle + 1)

    def windows(self, config: HubSpotConfig) -> tuple[Place, ...]:
        """What is left to search of its part, in order: the window it is in, and all that is behind that."""
        window = window_of(self, config)
        if window is None:
            return ()
        low, high = window
        first = replace(self, low=low if self.low is None else self.low, high=high if self.high is None else self.high)
        assert first.high is not None
        return (first,) if first.high == high else (first, replace(self, at="", low=first.high + 1, high=high))


def place_of(cursor: Cursor) -> Place:
    """The place that a cursor names. Raises: ``CursorExpired`` for text that is not a cursor of this connector."""
    try:
        body = json.loads(cursor)
        marks = None if body["marks"] is None else Marks(**body["marks"])
        place = Place(body["part"], body["now"], marks, body["at"], body.get("low"), body.get("high"))
        numbers = [place.now, place.low or 0, place.high or 0, *(asdict(marks).values() if marks else ())]
        if place.part not in ("whole", "settled", "fresh", "archived", "done") or not isinstance(place.at, str):
            raise ValueError(place.part)
        if not all(isinstance(number, int) for number in numbers) or (marks is None and place.part != "whole"):
            raise ValueError(numbers)
    except (ValueError, TypeError, KeyError):
        message = "hubspot: the cursor is not one of this connector; the next run reads everything"
        raise CursorExpired(message) from None
    return place


def parts_of(place: Place, config: HubSpotConfig, manner: Manner) -> Iterator[Place]:
    """What is left of a read, part by part, the present one first.

    A first read lists everything. A later one searches the window whose index has settled, then the newest changes,
    and now and then lists what was archived, and everything.
    """
    due: dict[Part, bool] = {"whole": True, "settled": False, "fresh": False, "archived": False}
    if place.marks is not None:
        often = [config.sweep_hours, *([config.association_hours] if manner.associations else [])]
        hours, minutes = min(filter(None, often), default=None), 60_000 * config.archived_minutes
        due = {
            "whole": hours is not None and place.now - place.marks.whole >= 3_600_000 * hours,
            "settled": True,
            "fresh": True,
            "archived": place.now - place.marks.archived >= minutes,
        }
    parts: tuple[Part, ...] = tuple(due)
    started = place.part == "done"
    for part in parts:
        if part == place.part:
            started = True
            yield place
        elif started and due[part]:
            yield replace(place, part=part, at="", low=None, high=None)


def window_of(place: Place, config: HubSpotConfig) -> tuple[int, int] | None:
    """First and last millisecond of a searched part; ``None`` when it is empty, as while a clock stands back."""
    assert place.marks is not None  # only a later read searches
    settled_until = place.now - 1000 * config.settle_seconds
    overlap = 1000 * config.overlap_seconds
    if place.part == "settled":
        low, high = place.marks.settled - overlap, settled_until
    else:
        low, high = max(place.marks.fresh - overlap, settled_until + 1), place.now - 1000 * config.lag_seconds
    return (low, high) if low <= high else None


def finished(place: Place, config: HubSpotConfig, manner: Manner) -> Place:
    """The place from which the next read starts; marks never go back."""
    before, now = place.marks, place.now
    fresh_until, settled_until = now - 1000 * config.lag_seconds, now - 1000 * config.settle_seconds
    if before is None and manner.filtered:
        return Place("done", now, Marks(fresh_until, settled_until, now, now))
    if before is None:
        return Place("done", now, Marks(now, now, now, now))
    read = {part.part for part in parts_of(replace(place, part="done"), config, manner)}
    marks = Marks(
        fresh=max(before.fresh, fresh_until),
        settled=max(before.settled, settled_until),
        archived=now if "archived" in read else before.archived,
        whole=now if "whole" in read else before.whole,
    )
    return Place("done", now, marks)
