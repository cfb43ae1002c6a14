"""Where reading stopped: a window of the server's time, a position in it, and the ids that were there.

``write_date`` is empty until a record is changed for the first time, so a window has two phases: records as they were
created, and records that were changed since. Stamps are a transaction's start, not its end; hence the overlap.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Literal

from connectors.base import Cursor
from connectors.errors import CursorExpired
from connectors.halving import middle
from connectors.tryton.values import instant_of, text_of

Phase = Literal["ids", "created", "written", "touched", "gone", "done"]
FIRST = datetime(2008, 1, 1, tzinfo=UTC)
"""Before the first Tryton server: where halving a window without a beginning starts."""
PHASES: tuple[Phase, ...] = ("ids", "created", "written", "touched", "gone", "done")


@dataclass(frozen=True, slots=True)
class Ids:
    """A set of ids as ranges, so that a hundred thousand of them are a short text: ``1-4200,4203``."""

    ranges: tuple[tuple[int, int], ...] = ()

    @classmethod
    def of(cls, ids: Iterable[int]) -> Ids:
        """The set of these ids."""
        ranges: list[tuple[int, int]] = []
        for number in sorted(set(ids)):
            if ranges and number <= ranges[-1][1] + 1:
                ranges[-1] = (ranges[-1][0], number)
            else:
                ranges.append((number, number))
        return cls(tuple(ranges))

    @classmethod
    def parsed(cls, text: str) -> Ids:
        """The set that :meth:`__str__` wrote. Raises: ``ValueError``."""
        pairs = (part.partition("-") for part in text.split(",") if part)
        return cls(tuple((int(first), int(last or first)) for first, _, last in pairs))

    def __str__(self) -> str:
        return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in self.ranges)

    def __iter__(self) -> Iterator[int]:
        for first, last in self.ranges:
            yield from range(first, last + 1)

    def __contains__(self, number: int) -> bool:
        return any(first <= number <= last for first, last in self.ranges)

    def also(self, ids: Iterable[int]) -> Ids:
        """This set with more ids."""
        new = [number for number in ids if number not in self]
        if not new:
            return self
        return Ids(_merged(sorted((*self.ranges, *Ids.of(new).ranges))))

    def without(self, others: Ids) -> Iterator[int]:
        """The ids that are not among ``others``."""
        there = iter(others.ranges)
        first, last = next(there, (0, -1))
        for number in self:
            while last < number and first <= last:
                first, last = next(there, (0, -1))
            if not first <= number <= last:
                yield number


def _merged(ranges: Iterable[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    made: list[tuple[int, int]] = []
    for first, last in ranges:
        if made and first <= made[-1][1] + 1:
            made[-1] = (made[-1][0], max(last, made[-1][1]))
        else:
            made.append((first, last))
    return tuple(made)


@dataclass(frozen=True, slots=True)
class Window:
    """A read that is under way, or (phase ``done``) the place from which the next one starts.

    It covers stamps from ``low`` (``None``: all) up to but not including ``high``. ``at`` is the stamp and ``id`` the id
    of the last record handed out in this phase. ``ids`` were there when ids were last compared, at ``compared``.
    """

    low: str | None
    high: str
    phase: Phase
    at: str | None = None
    id: int = 0
    ids: str | None = None
    compared: str | None = None

    @property
    def cursor(self) -> Cursor:
        """This place as text."""
        return json.dumps(asdict(self), separators=(",", ":"))

    def halves(self) -> tuple[Window, Window] | None:
        """The window in two, the position in the first; ``None`` when it is a single second."""
        begin, end = instant_of(self.at or self.low) or FIRST, instant_of(self.high)
        assert end is not None, "checked when the cursor was read"
        cut = middle(begin, end)
        if cut is None:
            return None
        return replace(self, high=text_of(cut)), replace(self, low=text_of(cut), at=None, id=0)

    def then(self, phase: Phase) -> Window:
        """The start of another phase of the same read."""
        return replace(self, phase=phase, at=None, id=0)


def window_of(cursor: Cursor) -> Window:
    """The place that a cursor names. Raises: ``CursorExpired`` for text that is not a cursor of this connector."""
    try:
        window = Window(**json.loads(cursor))
        for text in (window.low, window.high, window.at, window.compared):
            instant_of(text)
        Ids.parsed(window.ids or "")
        if window.phase not in PHASES or not isinstance(window.id, int) or not window.high:
            raise ValueError(window.phase)
    except (ValueError, TypeError, AttributeError):
        raise CursorExpired("tryton: the cursor is not one of this connector; the next run reads everything") from None
    return window


def first_window(now: datetime) -> Window:
    """A read of everything."""
    return Window(None, text_of(now), "ids")


def next_window(last: Window, now: datetime, overlap: timedelta) -> Window:
    """The read that follows a finished one; after one that ended in the server's future it starts now."""
    low = min(datetime.fromisoformat(last.high) - overlap, now)
    return replace(last, low=text_of(low), high=text_of(now), phase="created", at=None, id=0)
