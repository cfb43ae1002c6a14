"""Where reading stopped, as text: between reads an instant, inside a read a window and the last row.

``{"after": stamp}`` starts the next read; ``{"low", "high", "at", "id"}`` goes on inside one. Stamps are the
vendor's own text, which sorts as time does.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import orjson

from connectors.errors import CursorExpired

FIRST = "1999-01-01T00:00:00.000+0000"
"""Before the first Salesforce org: where bisecting an unbounded window starts."""


@dataclass(frozen=True, slots=True)
class Window:
    """Changes with ``low <= stamp < high``, after the row (``at``, ``id``).

    ``low`` ``None``: from the beginning; ``high`` ``None``: the end is not known before the first answer.
    """

    low: str | None
    high: str | None = None
    at: str | None = None
    id: str | None = None

    def until(self, high: str) -> Window:
        """The window with this end."""
        return Window(self.low, high if self.low is None else max(self.low, high), self.at, self.id)

    def after(self, stamp: str, record_id: str) -> Window:
        """The rest of the window after this row."""
        return Window(self.low, self.high, stamp, record_id)

    def text(self) -> str:
        """As a cursor."""
        return orjson.dumps({"low": self.low, "high": self.high, "at": self.at, "id": self.id}).decode()

    def halves(self) -> tuple[Window, Window] | None:
        """The window in two, or ``None`` when it is a single second."""
        assert self.high is not None, "an open window has no middle"
        begin, end = moment_of(self.at or self.low or FIRST), moment_of(self.high)
        middle = (begin + (end - begin) / 2).replace(microsecond=0)
        if middle <= begin or middle >= end:
            return None
        cut = stamp_of(middle)
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
        window = Window(found["low"], found["high"], found["at"], found["id"])
        moment_of(found["high"])
        for stamp in (window.low, window.at):
            if stamp is not None:
                moment_of(stamp)
    except (ValueError, KeyError, TypeError, AttributeError):
        raise CursorExpired("salesforce: this cursor was not made by the Salesforce connector") from None
    return window


def stamp_of(moment: datetime) -> str:
    """An instant as the vendor's stamp: UTC, milliseconds."""
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="milliseconds") + "+0000"


def moment_of(stamp: str) -> datetime:
    """The instant of a stamp."""
    return datetime.fromisoformat(stamp)
