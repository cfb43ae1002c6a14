"""The server's local time: NetSuite writes stamps in the session's zone and never says which.

Each run asks for SYSDATE and compares it with the answer's ``Date`` header.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

FORMAT = "%Y-%m-%d %H:%M:%S"
_STEP = timedelta(minutes=15)
"""All zones in use are whole quarters of an hour off UTC; the rest is the age of the answer."""


def moment(text: str) -> datetime:
    """A local stamp as a naive time."""
    return datetime.strptime(text, FORMAT)


def stamp(moment: datetime) -> str:
    """A naive time as a local stamp."""
    return moment.strftime(FORMAT)


def whole_minute(text: str) -> str:
    """The stamp at the start of its minute: some stamps have no seconds."""
    return text[:17] + "00"


@dataclass(frozen=True, slots=True)
class ServerTime:
    """The server's local time now, and how it relates to UTC."""

    now: str
    offset_minutes: int
    zone: ZoneInfo | None = None

    def instant(self, text: str | None) -> datetime | None:
        """A local stamp as an instant: by the zone when it is known, else by the present offset."""
        if not text:
            return None
        local = moment(text)
        if self.zone is not None:
            return local.replace(tzinfo=self.zone).astimezone(UTC)
        return (local - timedelta(minutes=self.offset_minutes)).replace(tzinfo=UTC)


def measured(now: str, received_at: datetime, zone: ZoneInfo | None) -> ServerTime:
    """The server's time from SYSDATE and the ``Date`` header of the same answer."""
    difference = moment(now) - received_at.astimezone(UTC).replace(tzinfo=None)
    steps = round(difference / _STEP)
    return ServerTime(now, steps * 15, zone)
