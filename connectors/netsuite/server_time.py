"""The server's local time: NetSuite writes stamps in the session's zone and never says which.

SYSDATE beside the answer's ``Date`` header gives its distance from UTC; that holds until a clock may have been changed.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

FORMAT = "%Y-%m-%d %H:%M:%S"
QUARTER_SECONDS = 15 * 60
"""All zones in use are whole quarters of an hour off UTC, and their clocks are changed on one."""


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

    @property
    def utc(self) -> datetime:
        """Now, as a naive time in UTC."""
        return moment(self.now) - timedelta(minutes=self.offset_minutes)

    def instant(self, text: str | None) -> datetime | None:
        """A local stamp as an instant: by the zone when it is known, else by the present offset."""
        if not text:
            return None
        local = moment(text)
        if self.zone is not None:
            return local.replace(tzinfo=self.zone).astimezone(UTC)
        return (local - timedelta(minutes=self.offset_minutes)).replace(tzinfo=UTC)


def measured(now: str, received_at: datetime) -> ServerTime:
    """The server's time from SYSDATE and the ``Date`` header of the same answer, whose age is the rest."""
    difference = moment(now) - received_at.astimezone(UTC).replace(tzinfo=None)
    return ServerTime(now, round(difference / timedelta(seconds=QUARTER_SECONDS)) * 15)
