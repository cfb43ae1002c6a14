"""Where reading stopped: a window of server-local time, and a position in it.

A window is ``[low, high)``; ``high`` is the server's now less a lag, ``low`` the last window's ``high`` less an
overlap. Rows commit after their stamp and stamps are whole seconds or minutes, hence both. Local time can repeat
or leave out an hour: when the offset changed since, or may have within the overlap, the window starts two hours earlier still.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from datetime import timedelta
from typing import Literal

from connectors.base import Cursor
from connectors.errors import CursorExpired
from connectors.halving import middle
from connectors.netsuite.server_time import ServerTime, moment, stamp, whole_minute

Phase = Literal["unstamped", "changes", "open", "deleted", "done"]
FIRST = "1998-01-01 00:00:00"
"""Before the first NetSuite account: where halving a window without a beginning starts."""
CLOCK_CHANGE = timedelta(hours=2)
_CERTAIN_FOR = timedelta(hours=12)
"""Within this time two clock changes cannot cancel each other out unseen."""


@dataclass(frozen=True, slots=True)
class Window:
    """A read that is under way, or (phase ``done``) the place from which the next one starts.

    ``offset_minutes`` is the server's distance from UTC when ``high`` was set; ``at`` the order values of the last
    row handed out in this phase; ``opened_at`` when open documents were last re-read; ``steady_from`` the instant (UTC) from
    which on reads have seen this offset.
    """

    low: str | None
    high: str
    offset_minutes: int
    phase: Phase
    at: tuple[str, ...] = ()
    opened_at: str | None = None
    steady_from: str | None = None

    @property
    def cursor(self) -> Cursor:
        """This place as text."""
        return json.dumps(asdict(self), separators=(",", ":"))

    def halves(self) -> tuple[Window, Window] | None:
        """The window in two, the position in the first; ``None`` when it is a single second."""
        cut = middle(moment(self.at[0] if self.at else self.low or FIRST), moment(self.high))
        if cut is None:
            return None
        return replace(self, high=stamp(cut)), replace(self, low=stamp(cut), at=())

    def behind(self, at: tuple[str, ...]) -> Window:
        """The same read, further on."""
        return replace(self, at=at)


def window_of(cursor: Cursor) -> Window:
    """The place that a cursor names. Raises: ``CursorExpired`` for text that is not a cursor of this connector."""
    try:
        body = json.loads(cursor)
        window = Window(**{**body, "at": tuple(map(str, body["at"]))})
        for text in (window.low, window.opened_at, window.steady_from):
            moment(text or window.high)
        if window.phase not in ("unstamped", "changes", "open", "deleted", "done") or not isinstance(
            window.offset_minutes, int
        ):
            raise ValueError(window.phase)
    except (ValueError, TypeError, KeyError):
        raise CursorExpired(
            "netsuite: the cursor is not one of this connector; the next run reads everything"
        ) from None
    return window


def first_window(now: ServerTime, lag: timedelta, phase: Phase) -> Window:
    """A read of everything."""
    high = whole_minute(stamp(moment(now.now) - lag))
    return Window(None, high, now.offset_minutes, phase, opened_at=now.now, steady_from=stamp(now.utc))


def next_window(last: Window, now: ServerTime, lag: timedelta, overlap: timedelta) -> Window:
    """The read that follows a finished one; one that ended in the server's future reads the last minutes only."""
    high = moment(whole_minute(stamp(moment(now.now) - lag)))
    # UTC is the ruler: local times before and after a clock change cannot be compared.
    last_utc = moment(last.high) - timedelta(minutes=last.offset_minutes)
    low = last_utc + timedelta(minutes=min(last.offset_minutes, now.offset_minutes)) - overlap
    steady_from = moment(last.steady_from) if last.steady_from else now.utc
    if last.offset_minutes != now.offset_minutes or now.utc - last_utc > _CERTAIN_FOR:
        steady_from = now.utc
    if last_utc - overlap < steady_from:
        low -= CLOCK_CHANGE
    low = min(low, high - overlap)
    return Window(
        whole_minute(stamp(low)), stamp(high), now.offset_minutes, "changes", opened_at=last.opened_at,
        steady_from=stamp(steady_from),
    )  # fmt: skip
