"""Where reading stopped, as text: between reads an instant, inside a read a window and the last row.

``{"after": stamp}`` starts the next read; ``{"low", "high", "at", "id"}`` goes on inside one, with ``"job"`` where a query
job reads the rest of it. Stamps are the vendor's own text, which sorts as time does.
"""

from __future__ import annotations

from dataclasses import astuple, dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

from connectors.errors import CursorExpired
from connectors.halving import middle
from connectors.salesforce import soql

FIRST = "1999-01-01T00:00:00.000+0000"
"""Before the first Salesforce org: where bisecting an unbounded window starts."""


@dataclass(frozen=True, slots=True)
class Reading:
    """Where the results of a query job are being read: at this locator (``None``: their beginning), after ``rows`` of
    ``total`` (``None``: it has not ended yet)."""

    job: str
    locator: str | None = None
    rows: int = 0
    total: int | None = None


@dataclass(frozen=True, slots=True)
class Window:
    """Changes with ``low <= stamp < high``, after the row (``at``, ``id``); ``job``: what of these a query job gives.

    ``low`` ``None``: from the beginning; ``high`` ``None``: the end is not known before the first answer.
    """

    low: str | None
    high: str | None = None
    at: str | None = None
    id: str | None = None
    job: Reading | None = None

    def until(self, high: str) -> Window:
        """The window with this end."""
        return Window(self.low, high if self.low is None else max(self.low, high), self.at, self.id)

    def after(self, stamp: str, record_id: str) -> Window:
        """The rest of the window after this row."""
        return Window(self.low, self.high, stamp, record_id)

    def text(self) -> str:
        """As a cursor."""
        found = {"low": self.low, "high": self.high, "at": self.at, "id": self.id}
        return orjson.dumps(found | ({"job": astuple(self.job)} if self.job else {})).decode()

    def by(self, job: Reading | None) -> Window:
        """The same window, read by a query job from there on (``None``: by queries)."""
        return replace(self, job=job)

    def told(self) -> str:
        """For messages: from where to where."""
        return f"{self.at or self.low or FIRST} to {self.high}"

    def halves(self) -> tuple[Window, Window] | None:
        """The window in two, or ``None`` when it is a single second."""
        assert self.high is not None, "an open window has no middle"
        cut_at = middle(moment_of(self.at or self.low or FIRST), moment_of(self.high))
        if cut_at is None:
            return None
        cut = stamp_of(cut_at)
        return Window(self.low, cut, self.at, self.id), Window(cut, self.high)


def done(high: str) -> str:
    """The cursor of a window that was read to its end."""
    return orjson.dumps({"after": high}).decode()


def window_of(cursor: str | None, overlap: timedelta) -> Window:
    """What to read now: the rest of an unfinished window, or a new one without an end that overlaps the last.

    Raises: ``CursorExpired`` for text that is no cursor of ours.
    """
    if cursor is None:
        return Window(None)
    try:
        found = orjson.loads(cursor)
        if "after" in found:
            return Window(stamp_of(moment_of(found["after"]) - overlap))
        window = Window(found["low"], found["high"], found["at"], found["id"], _reading(found.get("job")))
        moment_of(found["high"])
        for stamp in (window.low, window.at):
            if stamp is not None:
                moment_of(stamp)
    except (ValueError, KeyError, TypeError, AttributeError):
        raise CursorExpired("salesforce: this cursor was not made by the Salesforce connector") from None
    return window


def _reading(found: list[Any] | None) -> Reading | None:
    if found is None:
        return None
    job, locator, rows, total = found
    return Reading(
        str(job), None if locator is None else str(locator), int(rows), None if total is None else int(total)
    )


def stamp_of(moment: datetime) -> str:
    """An instant as the vendor's stamp: UTC, milliseconds."""
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="milliseconds") + "+0000"


def moment_of(stamp: str) -> datetime:
    """The instant of a stamp."""
    return datetime.fromisoformat(stamp)


def bounds(window: Window) -> list[str]:
    """The conditions of a query for what is left of a window."""
    conditions = [] if window.high is None else [f"SystemModstamp < {soql.instant(moment_of(window.high))}"]
    if window.at is not None and window.id is not None:
        at = soql.instant(moment_of(window.at))
        after = f"(SystemModstamp = {at} AND Id > {soql.literal(window.id)})"
        conditions.append(f"({after} OR SystemModstamp > {at})")
    elif window.low is not None:
        conditions.insert(0, f"SystemModstamp >= {soql.instant(moment_of(window.low))}")
    return conditions
